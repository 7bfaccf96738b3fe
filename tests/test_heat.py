"""Heat (SPEC S5): tier x priority x time left, and the lock that keeps a hot ticket with the engineer who took it."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.refusals import Refused
from storage.database import connect
from storage.tickets import ticket_detail
from tests.ticket_builders import DAY, HOUR, NOW, a_device_ticket, a_house, carry, command, the_policy
from ticketing.heat import Band, Heat, heat_of
from ticketing.ticket import State

POLICY = the_policy()


def heat(
    priority: int = 1, hours: float = 0.0, *, tier: str = "standard", state: State = State.ACCEPTED, **more
) -> Heat:
    found = heat_of(
        POLICY, state=state, tier=tier, priority=priority, opened_at=NOW, due_at=NOW + 10 * HOUR,
        paused_since=more.get("paused_since"), now=NOW + hours * HOUR,
    )  # fmt: skip
    assert found is not None
    return found


def test_heat_is_the_product_of_tier_priority_and_time_left() -> None:
    found = heat(1, 5, tier="vip")
    assert (found.tier, found.priority, found.time_left) == (1.8, 4.0, 1.5)
    assert found.value == 10.8


@pytest.mark.parametrize(
    ("priority", "tier", "hours", "band"),
    [
        (0, "standard", 0, Band.WARM),
        (0, "standard", 4, Band.HOT),
        (1, "standard", 7, Band.WARM),
        (1, "standard", 8, Band.HOT),
        (3, "standard", 20, Band.WARM),
        (4, "standard", 20, Band.COOL),
        (2, "vip", 0, Band.WARM),
        (2, "vip", 3, Band.HOT),
    ],
)
def test_bands_follow_tier_priority_and_time(priority: int, tier: str, hours: float, band: Band) -> None:
    assert heat(priority, hours, tier=tier).band is band


@given(st.lists(st.floats(-5, 40), min_size=2, max_size=20), st.integers(0, 4), st.sampled_from(["standard", "vip"]))
def test_heat_never_falls_as_time_runs_out_and_stops_at_the_due_time(hours: list[float], priority: int, tier: str):
    values = [heat(priority, hour, tier=tier).value for hour in sorted(hours)]
    assert all(before <= after for before, after in pairwise(values))
    assert heat(priority, 10, tier=tier) == heat(priority, 1_000, tier=tier)


def test_heat_stands_still_while_a_hold_pauses_the_ticket() -> None:
    paused = heat(1, 9, paused_since=NOW + 2 * HOUR)
    assert paused.value == heat(1, 2).value


def test_only_a_ticket_that_was_taken_is_locked_and_a_closed_one_has_no_heat() -> None:
    locked = {state: heat(0, 9, state=state).is_locked for state in (State.NEW, State.DISPATCHED, State.ACCEPTED)}
    assert locked == {State.NEW: False, State.DISPATCHED: False, State.ACCEPTED: True}
    closed = heat_of(
        POLICY, state=State.CLOSED, tier="vip", priority=0, opened_at=NOW, due_at=NOW, paused_since=None, now=NOW
    )
    assert closed is None


def test_a_hot_ticket_stays_with_its_engineer_and_a_supervisor_may_move_it(database: str) -> None:
    """Planted: without the lock the engineer hands the hottest ticket on."""
    with connect(database) as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        command(connection, code, "override_priority", house.supervisor, {"level": "P0", "reason": "Ship waits"})
        carry(connection, house, code, State.ACCEPTED)
        late = NOW + timedelta(hours=1, minutes=50)
        detail = ticket_detail(connection, code, actor=house.near, now=late)
        assert detail.heat is not None
        assert detail.heat.is_locked
        assert "transfer" not in [step.command for step in detail.next_steps]
        facts = {"assignee_id": house.far.person_id, "reason": "My shift ends here"}
        with pytest.raises(Refused) as refused:
            command(connection, code, "transfer", house.near, facts, now=late)
        assert refused.value.name == "not_a_legal_step"
        moved = command(connection, code, "transfer", house.supervisor, facts, now=late)
        assert moved.ticket.assignee_id == house.far.person_id


def test_a_ticket_that_is_not_hot_is_passed_on_freely(database: str) -> None:
    with connect(database) as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        carry(connection, house, code, State.ACCEPTED)
        facts = {"assignee_id": house.far.person_id, "reason": "My shift ends here"}
        assert command(connection, code, "transfer", house.near, facts).ticket.assignee_id == house.far.person_id


def test_the_answer_tells_the_heat_with_its_factors(database: str) -> None:
    with connect(database) as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        connection.execute("update person set requester_tier = 'vip' where id = %s", (house.requester.person_id,))
        found = ticket_detail(connection, code, actor=house.near, now=NOW + 30 * DAY).heat
        assert found == Heat(10.8, Band.HOT, 1.8, 3.0, 2.0, is_locked=False)
