"""A small campaign against two schedulers; ``python -m bench.campaign --only schedulers`` is the whole (SPEC N4)."""

from __future__ import annotations

import pytest

from bench.campaign.escalations import kills_of_schedulers


@pytest.mark.slow
def test_two_schedulers_that_are_killed_miss_none_and_double_none() -> None:
    outcome = kills_of_schedulers(0.025, "none")
    assert outcome.passed, outcome.told
    assert "0 missed, 0 doubled of 100 escalations" in outcome.told
