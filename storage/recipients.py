"""Whom a rung of an escalation tells, as things stand when it is due: a lead or a shift may have changed since.

Where there is nobody, the next in the order is told instead and the timeline says so: a rung is never silent (SPEC N1).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import Connection

from storage.outbox import admins, supervisors_of
from storage.queries import load
from storage.shifts import on_call
from storage.ticket_views import TicketRow
from ticketing.policy.escalation import Recipient

QUERIES = load("escalations")

# Who stands in for whom: the next in this order that there is, and after them all the administrators.
ORDER = (Recipient.ASSIGNEE, Recipient.ON_CALL, Recipient.LEAD, Recipient.SUPERVISORS, Recipient.DIRECTORS)


@dataclass(frozen=True, slots=True)
class Team:
    """The team that has a ticket; all None where neither the ticket nor its engineer has one."""

    id: int | None
    lead_id: int | None
    backup_id: int | None
    backup_name: str | None


@dataclass(frozen=True, slots=True)
class Told:
    """People to tell, in the order of the rung, and which of its recipients there were none of."""

    person_ids: tuple[int, ...]
    nobody: tuple[str, ...]


def team_of(connection: Connection, ticket_id: UUID, now: datetime) -> Team:
    """Return the team that has a ticket; an inactive lead is none, an absent one's delegate stands in."""
    row = connection.execute(QUERIES["team_of_ticket"], {"ticket_id": ticket_id, "now": now}).fetchone()
    return Team(None, None, None, None) if row is None else Team(*row)


def backup_of(connection: Connection, ticket_id: UUID, team: Team) -> int | None:
    """Return the team that takes over; none that the ticket was taken from before, or two would pass it on for ever."""
    if team.backup_id is None:
        return None
    before = {row[0] for row in connection.execute(QUERIES["teams_passed_by"], {"ticket_id": ticket_id})}
    return None if team.backup_id in before else team.backup_id


def lead_of(connection: Connection, team_id: int, now: datetime) -> int | None:
    """Return the active lead of a team, or who stands in for them."""
    row = connection.execute(QUERIES["lead_of_team"], {"team_id": team_id, "now": now}).fetchone()
    return None if row is None else int(row[0])


def people_to_tell(
    connection: Connection, row: TicketRow, team: Team, wanted: tuple[Recipient, ...], now: datetime
) -> Told:
    """Return whom to tell, each once."""
    found: dict[int, None] = {}
    nobody: list[str] = []
    for recipient in wanted:
        people = _people(connection, row, team, recipient, now)
        if not people:
            nobody.append(recipient.value)
            people = _instead(connection, row, team, recipient, now)
        found.update(dict.fromkeys(people))
    return Told(tuple(found), tuple(nobody))


def _instead(connection: Connection, row: TicketRow, team: Team, missing: Recipient, now: datetime) -> list[int]:
    for recipient in ORDER[ORDER.index(missing) + 1 :]:
        people = _people(connection, row, team, recipient, now)
        if people:
            return people
    return admins(connection)


def _people(connection: Connection, row: TicketRow, team: Team, recipient: Recipient, now: datetime) -> list[int]:
    match recipient:
        case Recipient.ASSIGNEE:
            asked = {"person_id": row.assignee_id}
            return [person_id for (person_id,) in connection.execute(QUERIES["active_person"], asked)]
        case Recipient.ON_CALL:
            return [] if team.id is None else on_call(connection, team.id, now)
        case Recipient.LEAD:
            return [] if team.lead_id is None else [team.lead_id]
        case Recipient.SUPERVISORS:
            return supervisors_of(connection, row.site_id)
        case Recipient.DIRECTORS:
            asked_site = {"site_id": row.site_id}
            return [person_id for (person_id,) in connection.execute(QUERIES["directors_of_site"], asked_site)]
