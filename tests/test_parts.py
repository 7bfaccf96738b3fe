"""What is kept for a ticket, and what is ordered: pure rules (SPEC P3)."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.ticket_builders import NOW
from ticketing.parts import Allocation, Need, allocate, comes_in_time, reorder_quantity

PARTS = st.integers(1, 6)
NEEDS = st.lists(
    st.builds(Need, PARTS, st.integers(1, 5), st.floats(0.1, 1.0)), max_size=6, unique_by=lambda need: need.part_id
)
FREE = st.dictionaries(PARTS, st.integers(0, 8))
SUBSTITUTES = st.dictionaries(PARTS, st.lists(PARTS, max_size=3, unique=True))


def test_a_need_takes_its_own_part_first_and_a_substitute_for_the_rest():
    kept = allocate([Need(1, 3, 0.9)], {1: 2, 2: 5}, {1: [2]})
    assert kept == (Allocation(1, 1, 2), Allocation(2, 1, 1))


def test_a_substitute_is_taken_only_after_its_own_need():
    """The pieces of part 2 are needed as such, with less probability than part 1 that they could stand in for."""
    kept = allocate([Need(1, 2, 0.9), Need(2, 2, 0.5)], {1: 0, 2: 3}, {1: [2]})
    assert kept == (Allocation(2, 2, 2), Allocation(2, 1, 1))


def test_the_best_substitute_goes_first():
    assert allocate([Need(1, 1, 0.9)], {2: 1, 3: 1}, {1: [3, 2]}) == (Allocation(3, 1, 1),)


@given(needs=NEEDS, free=FREE, substitutes=SUBSTITUTES)
def test_nothing_is_promised_twice_and_no_need_gets_more_than_it_asked_for(needs, free, substitutes):
    others = {part: [other for other in found if other != part] for part, found in substitutes.items()}
    kept = allocate(needs, free, others)
    taken = Counter()
    given_to = Counter()
    for one in kept:
        taken[one.part_id] += one.quantity
        given_to[one.for_part_id] += one.quantity
        assert one.quantity > 0
        assert one.part_id == one.for_part_id or one.part_id in others[one.for_part_id]
    assert all(taken[part] <= free.get(part, 0) for part in taken)
    asked = {need.part_id: need.quantity for need in needs}
    assert all(given_to[part] <= asked[part] for part in given_to)
    for need in needs:
        if given_to[need.part_id] < need.quantity:
            assert taken[need.part_id] == free.get(need.part_id, 0), "short, though its own part was left"
            assert all(taken[other] == free.get(other, 0) for other in others.get(need.part_id, ()))


def test_what_is_on_order_or_free_is_not_ordered_again():
    assert reorder_quantity(short=3, reorder_level=2, free=0, on_order=0) == 5
    assert reorder_quantity(short=3, reorder_level=2, free=1, on_order=4) == 0
    assert reorder_quantity(short=0, reorder_level=0, free=9, on_order=0) == 0


def test_a_part_comes_in_time_up_to_the_very_day():
    assert comes_in_time(NOW, 14, NOW + timedelta(days=14))
    assert not comes_in_time(NOW, 14, NOW + timedelta(days=13, hours=23))
