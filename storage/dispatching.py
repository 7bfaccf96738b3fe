"""The dispatch round: every new ticket gets the best engineer, or a visible reason why nobody fits (SPEC X1-X4)."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from psycopg import Connection
from psycopg.types.json import Jsonb

from domain.refusals import Refused
from storage.queries import load
from ticketing.dispatch import Choice, Engineer, Job, Place

QUERIES = load("dispatching")

ROUND_LIMIT = 500


def tickets_to_dispatch(connection: Connection) -> list[str]:
    """Return the codes of new tickets, the most urgent first."""
    return [row[0] for row in connection.execute(QUERIES["tickets_to_dispatch"], {"limit": ROUND_LIMIT})]


def take_new_ticket(connection: Connection, code: str) -> UUID | None:
    """Lock a ticket that is still new; None when it is not, or when somebody else is at it."""
    row = connection.execute(QUERIES["take_new_ticket"], {"code": code}).fetchone()
    return None if row is None else row[0]


def lock_assignment(connection: Connection) -> None:
    """Until the transaction ends, be the only one who gives out tickets by the load limit."""
    connection.execute(QUERIES["lock_assignment"])


def job_of(connection: Connection, ticket_id: UUID) -> Job:
    """Return what a ticket asks of an engineer; an asset without a position lies where its site does."""
    row = connection.execute(QUERIES["job"], {"ticket_id": ticket_id}).fetchone()
    if row is None:
        raise Refused("unknown_record", expected="a ticket", got=str(ticket_id), remedy="Check the id.")
    return Job(tuple(row[0]), Place(row[1], row[2]))


def engineers_for(connection: Connection, ticket_id: UUID, person_id: int | None = None) -> list[Engineer]:
    """Return everybody who is an engineer somewhere, or the one asked for, as the rules see them."""
    rows = connection.execute(QUERIES["candidates"], {"ticket_id": ticket_id, "person_id": person_id}).fetchall()
    return [
        Engineer(
            person_id=row[0],
            name=row[1],
            is_engineer_at_site=row[2],
            is_active=row[3],
            is_on_duty=row[4],
            load_limit=row[5],
            place=Place(row[6], row[7]) if row[6] is not None and row[7] is not None else None,
            open_tickets=row[8],
            skills=row[9],
        )
        for row in rows
    ]


def engineer_for(connection: Connection, ticket_id: UUID, person_id: int) -> Engineer | None:
    """Return one engineer as the rules see them, or None when the person is no engineer anywhere."""
    return next(iter(engineers_for(connection, ticket_id, person_id)), None)


def record_choice(connection: Connection, ticket_id: UUID, choice: Choice, now: datetime) -> bool:
    """Store a decision unless it repeats the last one (a ticket nobody fits is tried every round); say if stored."""
    candidates = [candidate.as_json() for candidate in choice.candidates]
    last = connection.execute(QUERIES["last_decision"], {"ticket_id": ticket_id}).fetchone()
    if last is not None and (last[0], last[1]) == (choice.chosen_id, _as_stored(candidates)):
        return False
    parameters = {"ticket_id": ticket_id, "now": now, "chosen_id": choice.chosen_id, "candidates": Jsonb(candidates)}
    connection.execute(QUERIES["insert_decision"], parameters)
    return True


def was_unassigned_noticed(connection: Connection, ticket_id: UUID) -> bool:
    """Say whether the supervisors have been told that nobody fits."""
    return connection.execute(QUERIES["was_unassigned_noticed"], {"ticket_id": ticket_id}).fetchone() is not None


def _as_stored(candidates: list[dict[str, object]]) -> list[dict[str, object]]:
    """Return candidates as they come back from the database: tuples are lists there."""
    return [
        {name: list(value) if isinstance(value, tuple) else value for name, value in candidate.items()}
        for candidate in candidates
    ]
