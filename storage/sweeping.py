"""Sweeps: noticing, once, that a clock has run out or that a hold is due for review (SPEC S2, T5).

Each locks the ticket, looks whether there is still something to tell, marks it and tells it in one transaction:
two sweeps at once tell people once, and a sweep that dies leaves the work to the next.
"""

from __future__ import annotations

from datetime import datetime

from psycopg import Connection

from storage.casework import perform, replan
from storage.policies import read_policy_version
from storage.queries import load
from storage.tickets import read_open_hold
from ticketing.actors import SYSTEM
from ticketing.lifecycle import Command
from ticketing.sla import RunningClock, is_paused
from ticketing.ticket import Clock

QUERIES = load("sweeping")
CASEWORK = load("casework")

SWEEP_LIMIT = 500


def overdue_clocks(connection: Connection, now: datetime) -> list[tuple[str, str]]:
    """Return (code, clock) of the clocks that are over and not yet noticed; paused ones may be among them."""
    rows = connection.execute(QUERIES["overdue_clocks"], {"now": now, "limit": SWEEP_LIMIT}).fetchall()
    return [(row[0], row[1]) for row in rows]


def notice_overdue(connection: Connection, code: str, clock: str, now: datetime) -> bool:
    """Record on the timeline that a clock ran out, and tell people; say whether this call did it.

    A clock that a hold pauses is not over: its due time moves on when the hold ends. One whose calendar changed is
    planned anew first.
    """
    connection.execute(CASEWORK["lock_ticket"], {"code": code})
    replan(connection, code, now)
    row = connection.execute(QUERIES["clock_to_notice"], {"code": code, "clock": clock, "now": now}).fetchone()
    if row is None:
        return False
    ticket_id, calendar_id, target_s, started_at, due_at, policy_id = row
    running = RunningClock(Clock(clock), calendar_id, target_s, started_at, due_at)
    if is_paused(running, read_open_hold(connection, ticket_id), read_policy_version(connection, policy_id)):
        return False
    connection.execute(QUERIES["mark_clock_noticed"], {"ticket_id": ticket_id, "clock": clock, "now": now})
    told = {"clock": clock, "target_s": target_s, "due_at": due_at.isoformat()}
    perform(connection, code, Command.OVERDUE, None, "", told, SYSTEM, now)
    return True


def holds_to_review(connection: Connection, now: datetime) -> list[str]:
    """Return the codes of tickets whose hold has passed its review date unnoticed."""
    return [row[0] for row in connection.execute(QUERIES["holds_to_review"], {"now": now, "limit": SWEEP_LIMIT})]


def notice_review(connection: Connection, code: str, now: datetime) -> bool:
    """Record that a hold is due for review, and tell people; say whether this call did it."""
    connection.execute(CASEWORK["lock_ticket"], {"code": code})
    row = connection.execute(QUERIES["notice_hold"], {"code": code, "now": now}).fetchone()
    if row is None:
        return False
    told = {"reason": row[0], "review_at": row[1].isoformat()}
    perform(connection, code, Command.REVIEW, None, "", told, SYSTEM, now)
    return True
