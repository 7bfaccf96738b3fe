"""Competing failure modes: what one explains well is worth less to the others (SPEC P2)."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.competing import AT_ONCE_MAX, RIVALS_MAX, Claim, probability_of, weigh

STORIES = st.dictionaries(st.sampled_from("abcd"), st.floats(0.1, 8), max_size=3)
CLAIMS = st.lists(st.tuples(st.floats(-8, 4), STORIES), min_size=1, max_size=AT_ONCE_MAX).map(
    lambda many: [Claim(f"mode_{number}", own, stories) for number, (own, stories) in enumerate(many)]
)


def by_hand(claims: list[Claim], code: str) -> float:
    """The posterior by adding up every set of modes, in plain numbers."""
    total, holding = 0.0, 0.0
    for under_way in itertools.product([False, True], repeat=len(claims)):
        chosen = [claim for claim, is_so in zip(claims, under_way, strict=True) if is_so]
        weight = math.prod(math.exp(claim.own) for claim in chosen)
        for story in "abcd":
            ratios = [math.exp(claim.stories[story]) for claim in chosen if story in claim.stories]
            weight *= max(ratios, default=1.0)
        total += weight
        holding += weight if any(claim.code == code for claim in chosen) else 0.0
    return holding / total


@given(CLAIMS)
def test_the_posterior_is_that_of_all_sets_of_modes(claims: list[Claim]) -> None:
    """Modes that share nothing are weighed apart: it must make no difference."""
    verdicts = weigh(claims)
    for claim in claims:
        assert probability_of(verdicts[claim.code].log_odds) == pytest.approx(by_hand(claims, claim.code), rel=1e-6)


@given(CLAIMS)
def test_no_mode_gains_by_a_rival_or_loses_what_is_its_own(claims: list[Claim]) -> None:
    verdicts = weigh(claims)
    for claim in claims:
        assert claim.own - 1e-6 <= verdicts[claim.code].log_odds <= claim.log_odds + 1e-9


@given(CLAIMS)
def test_exactly_one_mode_of_a_group_leads(claims: list[Claim]) -> None:
    verdicts = weigh(claims)
    for code, verdict in verdicts.items():
        group = [code, *verdict.rivals]
        assert sum(verdicts[other].leads for other in group) == 1
        assert all(probability_of(verdicts[other].log_odds) <= verdict.of_any + 1e-9 for other in group)


def test_a_symptom_that_the_better_cause_explains_leaves_the_other_as_it_was() -> None:
    likely = Claim("likely", 4.0, {"shakes": 5.0})
    other = Claim("other", -8.0, {"shakes": 5.0})
    verdicts = weigh([likely, other])
    assert verdicts["likely"].log_odds == pytest.approx(9.0, abs=0.1)
    assert verdicts["other"].log_odds == pytest.approx(-8.0, abs=0.1)
    assert verdicts["other"].rivals == ("likely",)


def test_modes_are_rivals_through_others_too() -> None:
    chain = [Claim("a", -4.0, {"x": 3.0}), Claim("b", -4.0, {"x": 3.0, "y": 3.0}), Claim("c", -4.0, {"y": 3.0})]
    for order in itertools.permutations(chain):
        verdicts = weigh(order)
        assert {code: set(verdict.rivals) for code, verdict in verdicts.items()} == {
            "a": {"b", "c"},
            "b": {"a", "c"},
            "c": {"a", "b"},
        }


def test_any_number_of_rivals_is_weighed() -> None:
    many = [Claim(f"mode_{number:02}", -4.0 - number / 10, {"shakes": 5.0}) for number in range(3 * RIVALS_MAX)]
    verdicts = weigh(many)
    assert len(verdicts) == len(many)
    assert [code for code, verdict in verdicts.items() if verdict.leads] == ["mode_00"]
    assert all(claim.log_odds > verdicts[claim.code].log_odds for claim in many)


def test_certain_evidence_stays_within_what_a_number_can_hold() -> None:
    sure = [Claim("a", 500.0, {"x": 400.0}), Claim("b", 500.0, {"x": 400.0})]
    for verdict in weigh(sure).values():
        assert 0 < probability_of(verdict.log_odds) < 1
