"""Working time against a second implementation that looks at every minute on its own (SPEC S3).

Here some hundred questions over two years; ``bench/campaign/working_time.py`` asks 20,000 over ten.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bench.campaign.working_time import PLANTED, by_local_arithmetic, wrong_in_zone
from tests.minute_oracle import Minutes, Plan

YEARS = range(2024, 2026)
OFFICE = ((480, 720), (780, 1050))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "Africa/Casablanca"])
def test_every_answer_is_that_of_the_wall_clock_asked_minute_by_minute(zone: str) -> None:
    asked, wrong = wrong_in_zone(zone, YEARS, plans=10, questions=30, seed=20260302)
    assert asked == 300
    assert wrong == []


def test_local_arithmetic_is_found_out() -> None:
    """Trap found in peers: adding hours to wall-clock times is wrong around clock changes."""
    asked, wrong = wrong_in_zone("Europe/Berlin", YEARS, plans=10, questions=30, seed=20260302, answer=PLANTED)
    assert asked == 300
    assert len(wrong) > 5


def test_the_oracle_itself_counts_as_one_does_by_hand() -> None:
    """Monday 2 March 2026 in Shanghai: two hours before lunch, one after."""
    plan = Plan("Asia/Shanghai", (OFFICE,) * 5 + ((), ()))
    minutes = Minutes(plan, datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 8, tzinfo=UTC))
    ten = datetime(2026, 3, 2, 2, tzinfo=UTC)
    assert minutes.worked(ten, datetime(2026, 3, 2, 6, tzinfo=UTC)) == 3 * 3600
    assert minutes.due(ten, 3 * 3600) == datetime(2026, 3, 2, 6, tzinfo=UTC)
    assert minutes.ago(datetime(2026, 3, 2, 6, tzinfo=UTC), 3 * 3600) == ten
    assert minutes.changes() == []


def test_away_from_clock_changes_local_arithmetic_is_right() -> None:
    """So that what finds it out is the clock change and nothing else."""
    plan = Plan("Europe/Berlin", (OFFICE,) * 7)
    minutes = Minutes(plan, datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 6, 1, tzinfo=UTC))
    for hours in range(1, 30):
        start = datetime(2025, 2, 3, 12, tzinfo=UTC)
        assert by_local_arithmetic(plan, start, 3600 * hours) == minutes.due(start, 3600 * hours)
