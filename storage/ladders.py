"""Planning of escalations: after every command the ladders that stand on a ticket are those that should (SPEC N1, N4).

The caller owns the transaction of the command and has locked the ticket, so that a step is never planned for a ticket
that is no longer so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import Connection
from psycopg.rows import class_row

from domain.working_time import WorkingTime
from storage.calendars import working_times
from storage.queries import load
from ticketing.escalation import Standing, after_pause, due, standing
from ticketing.policy.escalation import EscalationPolicy, Runs, Start
from ticketing.ticket import Ticket

QUERIES = load("escalations")


@dataclass(frozen=True, slots=True)
class Stored:
    """A ladder that stands, with its open step; it has none once it was acknowledged or overtaken."""

    id: int
    ladder: str
    starts_on: str
    subject: str
    calendar_id: str | None
    began_at: datetime
    paused_at: datetime | None
    step_id: int | None
    number: int | None
    due_at: datetime | None


def plan(
    connection: Connection,
    ticket: Ticket,
    policy: EscalationPolicy,
    now: datetime,
    *,
    reopened: bool = False,
    recount: bool = False,
) -> None:
    """End the ladders that no longer stand, begin those that do from now on, and follow holds and calendars.

    ``recount``: a calendar has changed, and what is due on it is counted anew from the beginning of its ladder.
    """
    wanted = standing(ticket, policy, now, reopened=reopened)
    facts = connection.execute(QUERIES["ticket_to_plan"], {"ticket_id": ticket.id}).fetchone()
    held_at, calendar_id = facts if facts is not None else (None, None)
    kept: set[str] = set()
    for stored in _standing(connection, ticket.id):
        found = wanted.get(stored.ladder)
        if found is None or found.is_another(stored.subject, stored.began_at):
            _end(connection, ticket.id, stored, now)
        else:
            kept.add(stored.ladder)
            _follow(connection, stored, found, held_at, calendar_id, now, recount)
    fresh = {name: one for name, one in wanted.items() if name not in kept}
    if fresh:
        working = working_times(connection, {None, calendar_id})
        for one in fresh.values():
            _begin(connection, ticket.id, one, held_at is not None, calendar_id, working, now)


def _standing(connection: Connection, ticket_id: UUID) -> list[Stored]:
    with connection.cursor(row_factory=class_row(Stored)) as cursor:
        return cursor.execute(QUERIES["standing"], {"ticket_id": ticket_id}).fetchall()


def _end(connection: Connection, ticket_id: UUID, stored: Stored, now: datetime) -> None:
    connection.execute(QUERIES["end"], {"id": stored.id, "now": now})
    if stored.starts_on == Start.INACTIVE:
        connection.execute(QUERIES["take_flag_down"], {"ticket_id": ticket_id})


def _begin(
    connection: Connection,
    ticket_id: UUID,
    one: Standing,
    is_held: bool,
    calendar_id: str | None,
    working: Mapping[str | None, WorkingTime],
    now: datetime,
) -> None:
    on = _calendar(one, calendar_id)
    row = connection.execute(
        QUERIES["begin"],
        {
            "ticket_id": ticket_id,
            "ladder": one.ladder.name,
            "starts_on": one.ladder.starts_on,
            "subject": one.subject,
            "calendar_id": on,
            "began_at": one.began_at,
            "paused_at": now if is_held else None,
        },
    ).fetchone()
    assert row is not None
    due_at = due(one.ladder, 1, one.began_at, working[on])
    connection.execute(QUERIES["plan_step"], {"escalation_id": row[0], "number": 1, "due_at": due_at})


def _follow(
    connection: Connection,
    stored: Stored,
    one: Standing,
    held_at: datetime | None,
    calendar_id: str | None,
    now: datetime,
    recount: bool,
) -> None:
    """Make a ladder stand still while its ticket waits, go on after it, and run on the calendar that counts now."""
    on = _calendar(one, calendar_id)
    if held_at is not None and stored.paused_at is None:
        connection.execute(QUERIES["pause"], {"id": stored.id, "now": now})
    is_over = held_at is None and stored.paused_at is not None
    is_counted_anew = on != stored.calendar_id or (recount and on is not None)
    if not (is_over or is_counted_anew):
        return
    working = working_times(connection, {on, stored.calendar_id})
    began_at, due_at, paused_at = stored.began_at, stored.due_at, stored.paused_at
    if is_over and paused_at is not None:
        began_at = now - (paused_at - began_at) if began_at < paused_at else now
        due_at = after_pause(due_at, paused_at, now, working[stored.calendar_id]) if due_at is not None else None
        paused_at = None
    if is_counted_anew and stored.number is not None:
        due_at = due(one.ladder, stored.number, began_at, working[on])
    values = {"id": stored.id, "paused_at": paused_at, "began_at": began_at, "calendar_id": on}
    connection.execute(QUERIES["go_on"], values)
    if due_at is not None:
        connection.execute(QUERIES["move_step"], {"step_id": stored.step_id, "due_at": due_at})


def _calendar(one: Standing, calendar_id: str | None) -> str | None:
    return calendar_id if one.ladder.runs is Runs.AS_PRIORITY else None
