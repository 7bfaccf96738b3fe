"""Hand-overs between teams: what the receiving team was told, and how it rates that (SPEC T9)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import Connection
from psycopg.rows import class_row

from storage.queries import load

QUERIES = load("hand_overs")


@dataclass(frozen=True, slots=True)
class HandOverView:
    """One hand-over; people and teams by name. ``rating`` is 1 to 5, None until the receiving team gives it."""

    at: datetime
    from_person: str | None
    from_team: str | None
    to_team_id: int
    to_team: str
    asked: str
    history: str
    serial_number: str
    requester: str
    rating: int | None
    comment: str | None
    rated_by: str | None
    rated_at: datetime | None


def hand_overs_of(connection: Connection, ticket_id: UUID) -> list[HandOverView]:
    """Return the hand-overs of a ticket, oldest first."""
    with connection.cursor(row_factory=class_row(HandOverView)) as cursor:
        return cursor.execute(QUERIES["hand_overs_of_ticket"], {"ticket_id": ticket_id}).fetchall()


def receivers_of(connection: Connection, ticket_id: UUID) -> tuple[int, ...]:
    """Return the ids of the people who may rate a hand-over of a ticket."""
    return tuple(row[0] for row in connection.execute(QUERIES["receivers_of_ticket"], {"ticket_id": ticket_id}))


def teams_to_choose(connection: Connection, ticket_id: UUID) -> list[tuple[int, str]]:
    """Return id and name of the teams that can be given a ticket."""
    rows = connection.execute(QUERIES["teams_for_hand_over"], {"ticket_id": ticket_id}).fetchall()
    return [(row[0], row[1]) for row in rows]
