"""Contested claims over HTTP, a small number of them, and the bugs that the campaign must find (SPEC X5)."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from bench.campaign.claims import ENGINEERS, contest, waves


@pytest.mark.slow
def test_of_many_who_claim_a_ticket_over_http_one_wins_and_the_others_are_told_who(database: str) -> None:
    """SPEC X5."""
    tally = contest(database, 24)
    assert tally.violations == []
    assert tally.claims > 2 * tally.tickets
    assert tally.refusals == Counter(already_claimed=tally.claims - tally.tickets)


@pytest.mark.parametrize("bug", ["last_one_wins", "forget_who_won"])
def test_the_campaign_finds_a_planted_bug(database: str, bug: str) -> None:
    assert contest(database, 8, bug=bug).violations


def test_nobody_reaches_for_two_tickets_at_once_so_that_the_load_limit_is_never_the_reason() -> None:
    """SPEC X1."""
    codes = [f"P{number:06}" for number in range(200)]
    seen = []
    for wave in waves(codes, random.Random(3)):
        engineers = [place for one in wave for place in one.contestants]
        assert len(engineers) == len(set(engineers)) <= ENGINEERS
        assert all(len(one.contestants) >= 2 for one in wave)
        seen += [one.code for one in wave]
    assert seen == codes
