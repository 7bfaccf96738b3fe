"""Escalations as the API shows them, and the directors, who are told of red tickets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from psycopg import Connection
from psycopg.rows import class_row

from domain.refusals import Refused
from storage.queries import load

QUERIES = load("escalations")


@dataclass(frozen=True, slots=True)
class AttemptView:
    """One attempt to deliver; ``detail`` says how it went."""

    number: int
    channel: str
    at: datetime
    delivered: bool
    detail: str


@dataclass(frozen=True, slots=True)
class ToldView:
    """One message of a step to one person, meant for ``channel``; other channels stood in where attempts name them."""

    person_id: int
    name: str
    channel: str
    delivered_at: datetime | None
    given_up_at: datetime | None
    attempts: list[AttemptView]


@dataclass(frozen=True, slots=True)
class StepView:
    """One step: open, done, or dropped because its ladder ended, was acknowledged or overtaken before."""

    number: int
    due_at: datetime
    done_at: datetime | None
    dropped_at: datetime | None
    told: list[ToldView]


@dataclass(frozen=True, slots=True)
class EscalationView:
    """One round of one ladder on a ticket. It stands still since ``paused_at``, and was silenced by a graver one."""

    ladder: str
    starts_on: str
    round: int
    began_at: datetime
    paused_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    overtaken_at: datetime | None
    ended_at: datetime | None
    steps: list[StepView] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RecordedNotice:
    """What a phone call or a text message would have told a person, in their language."""

    id: int
    channel: str
    person_id: int
    person_name: str
    code: str | None
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Director:
    """Somebody who is told of red tickets; while inactive they are not."""

    id: int
    name: str
    active: bool


def escalations_of(connection: Connection, ticket_id: UUID) -> list[EscalationView]:
    """Return the ladders of a ticket in the order in which they began, with steps, people and attempts."""
    told = _told(connection, ticket_id)
    found: dict[int, EscalationView] = {}
    for row in connection.execute(QUERIES["ticket_steps"], {"ticket_id": ticket_id}):
        escalation_id, step_id, number, due_at, done_at, dropped_at = row[0], *row[10:]
        if escalation_id not in found:
            found[escalation_id] = EscalationView(*row[1:10])
        step = StepView(number, due_at, done_at, dropped_at, told.get(step_id, []))
        found[escalation_id].steps.append(step)
    return list(found.values())


def _told(connection: Connection, ticket_id: UUID) -> dict[int, list[ToldView]]:
    messages: dict[tuple[int, int, str], ToldView] = {}
    for row in connection.execute(QUERIES["ticket_attempts"], {"ticket_id": ticket_id}):
        step_id, person_id, name, channel, done_at, given_up_at = row[:6]
        key = (step_id, person_id, channel)
        if key not in messages:
            messages[key] = ToldView(person_id, name, channel, done_at, given_up_at, [])
        if row[6] is not None:
            messages[key].attempts.append(AttemptView(*row[6:]))
    steps: dict[int, list[ToldView]] = {}
    for (step_id, _, _), told in messages.items():
        steps.setdefault(step_id, []).append(told)
    return steps


def recorded_notices(
    connection: Connection,
    *,
    sites: Sequence[str] | None,
    channel: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[RecordedNotice]:
    """Return what was recorded about tickets of these sites (None: all), newest first."""
    asked = {"sites": None if sites is None else list(sites), "channel": channel, "before": before, "limit": limit}
    with connection.cursor(row_factory=class_row(RecordedNotice)) as cursor:
        return cursor.execute(QUERIES["recorded_notices"], asked).fetchall()


def directors(connection: Connection, site_id: str) -> list[Director]:
    """Return the directors of a site."""
    with connection.cursor(row_factory=class_row(Director)) as cursor:
        return cursor.execute(QUERIES["list_directors"], {"site_id": site_id}).fetchall()


def set_directors(connection: Connection, site_id: str, person_ids: Sequence[int]) -> None:
    """Say who the directors of a site are. Raises Refused("unknown_record")."""
    connection.execute(QUERIES["forget_directors"], {"site_id": site_id})
    for person_id in dict.fromkeys(person_ids):
        values = {"site_id": site_id, "person_id": person_id}
        if connection.execute(QUERIES["add_director"], values).rowcount != 1:
            raise _unknown("an active person", person_id)


def _unknown(expected: str, got: object) -> Refused:
    return Refused("unknown_record", expected=expected, got=str(got), remedy="Check the id.")
