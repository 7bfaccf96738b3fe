"""Expected times to resolution: learned from closed tickets, and read for an open one (SPEC S8)."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from psycopg import Connection

from domain.working_time import ROUND_THE_CLOCK, WorkingTime
from storage.calendars import read_calendar
from storage.queries import load
from storage.ticket_views import ExpectedView
from ticketing.eta import Group, Solved, learn, remaining_s

QUERIES = load("eta")

HISTORY = timedelta(days=730)
HISTORY_LIMIT = 20_000


def learn_expectations(connection: Connection, now: datetime) -> int:
    """Learn from the tickets of the last two years, in place of what was learned before; return from how many."""
    connection.execute(QUERIES["lock_estimates"])
    rows = connection.execute(QUERIES["solved_tickets"], {"since": now - HISTORY, "limit": HISTORY_LIMIT}).fetchall()
    working = {calendar_id: _working(connection, calendar_id) for calendar_id in {row[3] for row in rows}}
    history = [
        Solved(priority, kind, failure_mode_id, working[calendar_id].worked(started_at, resolved_at))
        for priority, kind, failure_mode_id, calendar_id, started_at, resolved_at in rows
    ]
    connection.execute(QUERIES["clear_estimates"])
    for estimate in learn(history):
        connection.execute(
            QUERIES["insert_estimate"],
            {
                "kind": estimate.group.kind,
                "priority": estimate.group.priority,
                "failure_mode_id": estimate.group.failure_mode_id,
                "tickets": estimate.tickets,
                "seconds": list(estimate.seconds),
                "now": now,
            },
        )
    return len(history)


def expected_resolution(
    connection: Connection, ticket_id: UUID, calendar_id: str | None, started_at: datetime, now: datetime
) -> ExpectedView | None:
    """Return when an open ticket will be resolved by its resolve clock; None before any ticket was.

    The clock runs on a calendar (None: round the clock) since the ticket was opened, or opened again.
    """
    row = connection.execute(QUERIES["estimate_for_ticket"], {"ticket_id": ticket_id}).fetchone()
    if row is None:
        return None
    priority, kind, failure_mode_id, tickets, seconds, learned_at = row
    basis = Group(priority, kind, failure_mode_id).basis
    working = _working(connection, calendar_id)
    found = remaining_s(seconds, working.worked(started_at, now))
    if found is None:
        return ExpectedView(None, None, None, basis.value, tickets, learned_at)
    low_at, at, high_at = (working.due(started_at, each) for each in found)
    return ExpectedView(low_at, at, high_at, basis.value, tickets, learned_at)


def _working(connection: Connection, calendar_id: str | None) -> WorkingTime:
    return ROUND_THE_CLOCK if calendar_id is None else read_calendar(connection, calendar_id, hold=False)
