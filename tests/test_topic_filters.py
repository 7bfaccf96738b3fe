"""Topic filters against a slow oracle that spells MQTT's rules out (SPEC E3)."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.topic_filters import MAX_FILTER_LENGTH, check_filter, matches, overlap

LEVELS = ("", "a", "b", "$s")
# Every topic of up to four levels over a small alphabet: filters of up to three levels differ on them or nowhere.
TOPICS = [
    "/".join(levels) for n in range(1, 5) for levels in itertools.product(LEVELS, repeat=n) if any(levels) or n > 1
]
FILTERS = (
    st.lists(st.sampled_from([*LEVELS, "+"]), min_size=1, max_size=3)
    .flatmap(lambda levels: st.sampled_from(["/".join(levels), "/".join([*levels, "#"]), "#"]))
    .filter(bool)
)


def selects(topic_filter: str, topic: str) -> bool:
    """The oracle: the filter as a regular expression."""
    if topic.startswith("$") and topic_filter[0] in "+#":
        return False
    if topic_filter == "#":
        return True
    pattern = re.escape(topic_filter).replace(r"\+", "[^/]*")
    if topic_filter.endswith("/#"):
        pattern = pattern.removesuffix(r"/\#") + "(/.*)?"
    return re.fullmatch(pattern, topic) is not None


@given(FILTERS)
@example("+")
@example("+/#")
@example("/+")
@example("a/#")
@example("$s/#")
def test_a_filter_selects_exactly_what_the_rules_say(topic_filter):
    check_filter(topic_filter)
    assert {topic for topic in TOPICS if matches(topic_filter, topic)} == {
        topic for topic in TOPICS if selects(topic_filter, topic)
    }


@given(FILTERS, FILTERS)
@example("a/#", "a")
@example("a/+/#", "a")
@example("#", "$s/a")
@example("+/a", "$s/a")
@example("#", "+")
@example("+/+", "/#")
def test_two_filters_overlap_exactly_when_they_share_a_topic(a, b):
    share = any(selects(a, topic) and selects(b, topic) for topic in TOPICS)
    assert overlap(a, b) == overlap(b, a) == share


@pytest.mark.parametrize(
    ("topic_filter", "expected"),
    [
        ("", "1 to 512"),
        ("a" * (MAX_FILTER_LENGTH + 1), "1 to 512"),
        ("a/#/b", "last level"),
        ("a#", "last level"),
        ("a/b+", "alone"),
        ("++", "alone"),
        ("a\0", "control"),
        ("a\ud800", "character"),
        ("$share/g/a", "shared"),
    ],
)
def test_what_is_no_filter_is_refused_with_what_was_expected(topic_filter, expected):
    with pytest.raises(ValueError, match=expected):
        check_filter(topic_filter)


@pytest.mark.parametrize("topic_filter", ["a" * MAX_FILTER_LENGTH, "/", "//", "温度/+/数据", "a b/#", "$aws/things/+"])
def test_odd_but_legal_filters_are_taken(topic_filter):
    check_filter(topic_filter)
