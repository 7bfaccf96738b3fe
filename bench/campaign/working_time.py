"""20,000 questions about working time over ten years, against the oracle that looks at every minute.

``python -m bench.campaign.working_time`` prints the seed of every zone; ``--seed`` asks other questions, ``--zone``
those of one zone again. It first asks an implementation that adds hours to wall-clock times, and must find it wrong.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from bench.report import write_section
from domain.working_time import Segment, WorkingCalendar
from tests.minute_oracle import ZONES, Case, Minutes, Plan, a_plan, cases

YEARS = range(2020, 2030)
PLANS, QUESTIONS = 50, 20
SEED = 20260302
Answer = Callable[[Plan, Minutes, Case], str | None]


def main() -> None:
    """Ask every zone and write the section of bench/RESULTS.md; a wrong answer ends in status 1."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seed", type=int, default=SEED)
    arguments.add_argument("--zone", choices=ZONES, action="append", help="only this zone; nothing is written down")
    options = arguments.parse_args()
    began = time.monotonic()
    planted_asked, planted = wrong_in_zone("Europe/Berlin", range(2024, 2026), 20, 20, options.seed, PLANTED)
    print(f"planted local arithmetic: {len(planted):,} wrong of {planted_asked:,}", flush=True)
    asked, wrong = 0, []
    for zone in options.zone or ZONES:
        seed = options.seed + ZONES.index(zone)
        found = wrong_in_zone(zone, YEARS, PLANS, QUESTIONS, seed)
        asked, wrong = asked + found[0], wrong + found[1]
        print(f"{zone}, seed {seed}: {len(found[1]):,} wrong of {found[0]:,}", flush=True)
    told = f"{len(wrong):,} wrong of {asked:,}"
    print(f"{told} ({time.monotonic() - began:.0f} s)", *wrong[:20], sep="\n")
    if not options.zone:
        write_section("Working time", _section(told, f"{len(planted):,} wrong of {planted_asked:,}", options.seed))
    if wrong or not planted:
        sys.exit(1)


def wrong_in_zone(
    zone: str, years: range, plans: int, questions: int, seed: int, answer: Answer | None = None
) -> tuple[int, list[str]]:
    """Ask ``plans`` times ``questions`` of one zone; return how many were asked, and what was wrong."""
    rng = random.Random(seed)
    first, last = datetime(years[0], 1, 1, tzinfo=UTC), datetime(years[-1] + 1, 1, 1, tzinfo=UTC)
    asked, wrong = 0, []
    for _ in range(plans):
        plan = a_plan(rng, zone, years)
        minutes = Minutes(plan, first, last)
        for case in cases(rng, minutes, questions):
            asked += 1
            complaint = (answer or _as_the_service)(plan, minutes, case)
            if complaint is not None:
                wrong.append(f"{zone} {case}: {complaint}")
    return asked, wrong


def _as_the_service(plan: Plan, minutes: Minutes, case: Case) -> str | None:
    """Compare the service's three answers to a question with the oracle's."""
    calendar = _calendar(plan)
    due, ago = minutes.due(case.start, case.seconds), minutes.ago(case.start, case.seconds)
    later = case.start + timedelta(seconds=case.seconds)
    pairs: list[tuple[str, object, object]] = [
        ("worked", calendar.worked(case.start, later), minutes.worked(case.start, later))
    ]
    # Beyond the years that the oracle has looked at it has no answer to compare with.
    if due is not None:
        pairs.append(("due", calendar.due(case.start, case.seconds), due))
    if ago is not None:
        pairs.append(("ago", calendar.ago(case.start, case.seconds), ago))
    found = [f"{name} {got}, not {expected}" for name, got, expected in pairs if got != expected]
    return "; ".join(found) or None


def _calendar(plan: Plan) -> WorkingCalendar:
    week = tuple(tuple(Segment(starts * 60, ends * 60) for starts, ends in stretches) for stretches in plan.week)
    special = [(day, False) for day in plan.closed] + [(day, True) for day in plan.exchanged]
    return WorkingCalendar(plan.zone, week, frozenset(special))


def by_local_arithmetic(plan: Plan, start: datetime, seconds: int) -> datetime:
    """Answer as many services do: take wall-clock times for a scale on which hours can be added."""
    zone = ZoneInfo(plan.zone)
    wall, left = start.astimezone(zone).replace(tzinfo=None), seconds
    while True:
        midnight = datetime(wall.year, wall.month, wall.day)  # noqa: DTZ001 - the bug
        for starts, ends in plan.stretches(date(wall.year, wall.month, wall.day)):
            begins, over = midnight + timedelta(minutes=starts), midnight + timedelta(minutes=ends)
            here = max(begins, wall)
            if here < over and left <= (over - here).total_seconds():
                return (here + timedelta(seconds=left)).replace(tzinfo=zone).astimezone(UTC)
            left -= max(0, int((over - here).total_seconds()))
        wall = midnight + timedelta(days=1)


def _planted(plan: Plan, minutes: Minutes, case: Case) -> str | None:
    due = minutes.due(case.start, case.seconds)
    got = by_local_arithmetic(plan, case.start, case.seconds)
    return None if due is None or got == due else f"due {got}, not {due}"


PLANTED: Answer = _planted


def _section(told: str, planted: str, seed: int) -> str:
    return (
        f"`python -m bench.campaign.working_time --seed {seed}`: due dates, working time and its reverse in\n"
        f"{len(ZONES)} zones, {YEARS[0]} to {YEARS[-1]}, half of the questions within three days of a clock change,\n"
        f"against an oracle that looks at every minute on its own: **{told}**.\n\n"
        f"The same questions to wall-clock arithmetic, of one zone: {planted}.\n"
    )


if __name__ == "__main__":
    main()
