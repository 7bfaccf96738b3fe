"""Planning clocks anew when their calendar changed: its hours, its holidays, or which calendar it is (SPEC S3).

A clock remembers the version of the calendar that it was planned on. It is read off with that version, so that the
working time it has used stays used, and planned on the present one. Whoever moves a clock brings its ticket up to date
first (storage/casework.py); the desk does so for the tickets that nobody touches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise

from psycopg import Connection

from domain.working_time import WorkingTime
from storage.calendars import calendar_history, calendar_of_ticket, read_version
from storage.policies import read_policy_version
from storage.queries import load
from storage.ticket_views import TicketRow
from storage.tickets import read_open_hold
from storage.timelines import save_clocks
from ticketing.policy.whole import Policy
from ticketing.sla import Hold, RunningClock, retarget
from ticketing.ticket import Clock

QUERIES = load("replanning")


def is_stale(connection: Connection, code: str) -> bool:
    """Say whether an open ticket's clocks were planned on a calendar that changed; it cannot change meanwhile."""
    row = connection.execute(QUERIES["is_stale"], {"code": code}).fetchone()
    return row is not None and bool(row[0])


def stale_tickets(connection: Connection, limit: int) -> list[str]:
    """Return the codes of open tickets whose clocks were planned on a calendar that changed, the most urgent first."""
    return [row[0] for row in connection.execute(QUERIES["stale_tickets"], {"limit": limit})]


def replan_clocks(connection: Connection, row: TicketRow, now: datetime) -> Mapping[str, object]:
    """Plan the stale clocks of a locked ticket anew; return what its timeline is told, empty when nothing moved."""
    policy = read_policy_version(connection, row.policy_id)
    calendar_id = calendar_of_ticket(connection, policy, row.site_id, row.requester_id)
    version, calendar = read_version(connection, calendar_id, hold=True)
    asked = {"ticket_id": row.id, "calendar_id": calendar_id, "version": version}
    hold = read_open_hold(connection, row.id)
    before: list[RunningClock] = []
    planned: list[RunningClock] = []
    for name, on, planned_on, target_s, started_at, due_at in connection.execute(
        QUERIES["stale_clocks"], asked
    ).fetchall():
        clock = RunningClock(Clock(name), on, target_s, started_at, due_at)
        lives = _lives(connection, clock, planned_on, calendar_id, calendar, now)
        before.append(clock)
        planned.append(replace(_planned_anew(clock, lives, hold, policy), calendar_id=calendar_id))
    save_clocks(connection, row.id, planned)
    connection.execute(QUERIES["mark_planned"], {**asked, "clocks": [clock.clock.value for clock in planned]})
    moved = [(was, clock) for was, clock in zip(before, planned, strict=True) if was.due_at != clock.due_at]
    if not moved:
        return {}
    return {
        "calendar_id": calendar_id,
        **{f"{clock.clock.value}_due_at": clock.due_at.isoformat() for _, clock in moved},
        "before": {f"{was.clock.value}_due_at": was.due_at.isoformat() for was, _ in moved},
    }


def _lives(
    connection: Connection, clock: RunningClock, version: int, calendar_id: str, calendar: WorkingTime, now: datetime
) -> Sequence[tuple[WorkingTime, datetime]]:
    """Return what a clock ran on since it was planned, each with when it ended; the last is the present calendar."""
    assert clock.calendar_id is not None  # round the clock nothing is stale
    known = calendar_history(connection, clock.calendar_id, version)
    lives: list[tuple[WorkingTime, datetime]] = [(was, until or now) for was, until in known]
    return lives if clock.calendar_id == calendar_id else [*lives, (calendar, now)]


def _planned_anew(
    clock: RunningClock, lives: Sequence[tuple[WorkingTime, datetime]], hold: Hold | None, policy: Policy
) -> RunningClock:
    """Plan a clock anew at each change as of the time of the change, so that it matters not when this is done."""
    for (was, until), (then, _) in pairwise(lives):
        (clock,) = retarget(
            [replace(clock, calendar_id="was")],
            targets={},
            calendar_of=lambda _: "then",
            hold=hold,
            policy=policy,
            now=until,
            working={"was": was, "then": then},
        )
    return clock
