"""What a dispatch round reads and keeps: jobs, engineers as the rules see them, and decisions (SPEC X1-X4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from psycopg import Connection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from domain.refusals import Refused
from storage.policies import read_policy_version
from storage.queries import load
from ticketing.dispatching.assignment import Choice
from ticketing.dispatching.shapes import Certificate, Engineer, Job, Place, Presence
from ticketing.policy.dispatch import DispatchPolicy
from ticketing.policy.escalation import Start
from ticketing.policy.whole import Policy

QUERIES = load("dispatching")

ROUND_LIMIT = 500
LEAST_URGENT = 4
# No policy looks further back than this for the same fault.
HANDLED_WITHIN = timedelta(hours=720)
FIRST_TIME_FIX_OF = timedelta(days=365)


class How(StrEnum):
    """How a decision came about."""

    ROUND = "round"
    URGENT = "urgent"
    FALLBACK = "fallback"
    FROZEN = "frozen"


@dataclass(frozen=True, slots=True)
class OpenJob:
    """A ticket as a job, with its id and version, its opening and the policy frozen on it.

    ``is_escalated``: a ladder of that policy reminds people as long as nobody has the ticket.
    """

    ticket_id: UUID
    version: int
    job: Job
    opened_at: datetime
    policy: DispatchPolicy
    is_escalated: bool


@dataclass(frozen=True, slots=True)
class _JobRow:
    id: UUID
    version: int
    code: str
    priority: int
    policy_id: int
    opened_at: datetime
    site_id: str
    latitude: float
    longitude: float
    day: date
    skills: list[str]
    certificates: list[str]
    team_id: int | None
    brand: str | None
    asset_type_id: str
    failure_mode_id: int | None
    last_engineer_id: int | None


@dataclass(frozen=True, slots=True)
class _EngineerRow:
    id: int
    name: str
    latitude: float | None
    longitude: float | None
    is_everywhere: bool
    sites: list[str]
    active: bool
    on_duty: bool
    is_planned: bool
    is_at_work: bool
    is_on_call: bool
    absent_until: datetime | None
    delegate: str | None
    team_ids: list[int]
    skills: dict[str, int]
    certificates: list[tuple[str, str, str | None]]
    brands: list[str]
    access: dict[str, str | None]
    open_tickets: int
    load_limit: int
    repairs: dict[str, tuple[int, int]]
    handled: dict[str, float]


def lock_assignment(connection: Connection) -> None:
    """Until the transaction ends, be the only one who gives out tickets by the load limit."""
    connection.execute(QUERIES["lock_assignment"])


def try_lock_round(connection: Connection) -> bool:
    """Be the only dispatch round until ``unlock_round``, or until this session ends; False while another goes on."""
    row = connection.execute(QUERIES["try_lock_round"]).fetchone()
    return bool(row and row[0])


def unlock_round(connection: Connection) -> None:
    """Let the next round begin."""
    connection.execute(QUERIES["unlock_round"])


def take_new_ticket(connection: Connection, code: str) -> tuple[UUID, int] | None:
    """Lock a ticket that is still new and return id and version; None when somebody else is or was at it."""
    row = connection.execute(QUERIES["take_new_ticket"], {"code": code}).fetchone()
    return None if row is None else (row[0], row[1])


def open_jobs(connection: Connection, now: datetime, least_urgent: int = LEAST_URGENT) -> list[OpenJob]:
    """Return the new tickets up to a priority, the most urgent first, at most ``ROUND_LIMIT``."""
    asked = {"least_urgent": least_urgent, "limit": ROUND_LIMIT}
    return jobs_of(connection, [row[0] for row in connection.execute(QUERIES["tickets_to_dispatch"], asked)], now)


def job_of(connection: Connection, ticket_id: UUID, now: datetime) -> OpenJob:
    """Return what a ticket asks of an engineer; an asset without a position lies where its site does."""
    found = jobs_of(connection, [ticket_id], now)
    if not found:
        raise Refused("unknown_record", expected="a ticket", got=str(ticket_id), remedy="Check the id.")
    return found[0]


def jobs_of(connection: Connection, ticket_ids: Sequence[UUID], now: datetime) -> list[OpenJob]:
    """Return what tickets ask, in whatever state they are, the most urgent first."""
    asked = {"ticket_ids": list(ticket_ids), "now": now}
    with connection.cursor(row_factory=class_row(_JobRow)) as cursor:
        rows = cursor.execute(QUERIES["jobs"], asked).fetchall()
    policies = {policy_id: read_policy_version(connection, policy_id) for policy_id in {row.policy_id for row in rows}}
    return [_open_job(row, policies[row.policy_id]) for row in rows]


def _open_job(row: _JobRow, policy: Policy) -> OpenJob:
    is_escalated = any(ladder.starts_on is Start.UNASSIGNED for ladder in policy.escalation.ladders)
    return OpenJob(row.id, row.version, _job(row), row.opened_at, policy.dispatch, is_escalated)


def engineers(connection: Connection, now: datetime, person_id: int | None = None) -> list[Engineer]:
    """Return everybody who is an engineer somewhere, or the one asked for, as the rules see them now."""
    asked = {"now": now, "person_id": person_id, "handled_since": now - HANDLED_WITHIN}
    with connection.cursor(row_factory=class_row(_EngineerRow)) as cursor:
        return [_engineer(row) for row in cursor.execute(QUERIES["engineers"], asked)]


def engineer_for(connection: Connection, person_id: int, now: datetime) -> Engineer | None:
    """Return one engineer as the rules see them, or None when the person is no engineer anywhere."""
    return next(iter(engineers(connection, now, person_id)), None)


def record_choice(connection: Connection, ticket_id: UUID, choice: Choice, how: How, now: datetime) -> bool:
    """Store a decision unless it repeats the last one (a ticket nobody fits is tried every round); say if stored."""
    candidates = [candidate.as_json() for candidate in choice.candidates]
    last = connection.execute(QUERIES["last_decision"], {"ticket_id": ticket_id}).fetchone()
    if last is not None and (last[0], last[1], last[2]) == (choice.chosen_id, how.value, _as_stored(candidates)):
        return False
    parameters = {"ticket_id": ticket_id, "now": now, "chosen_id": choice.chosen_id, "candidates": Jsonb(candidates)}
    counts = {"considered": choice.considered, "fitting": choice.fitting, "excluded": Jsonb(choice.excluded)}
    connection.execute(QUERIES["insert_decision"], {**parameters, **counts, "how": how.value})
    return True


def last_unassigned_notice(connection: Connection, ticket_id: UUID) -> datetime | None:
    """Return when the supervisors were last told that nobody fits, None when never."""
    row = connection.execute(QUERIES["last_unassigned_notice"], {"ticket_id": ticket_id}).fetchone()
    return None if row is None else row[0]


def count_first_time_fixes(connection: Connection, now: datetime) -> int:
    """Count anew how many repairs of the last year held, by engineer and type of asset; return the rows."""
    connection.execute(QUERIES["forget_first_time_fixes"])
    return connection.execute(QUERIES["count_first_time_fixes"], {"since": now - FIRST_TIME_FIX_OF}).rowcount


def _job(row: _JobRow) -> Job:
    return Job(
        code=row.code,
        priority=row.priority,
        site_id=row.site_id,
        place=Place(row.latitude, row.longitude),
        day=row.day,
        skills=tuple(row.skills),
        certificates=tuple(row.certificates),
        team_id=row.team_id,
        brand=row.brand,
        asset_type_id=row.asset_type_id,
        failure_mode_id=row.failure_mode_id,
        last_engineer_id=row.last_engineer_id,
    )


def _engineer(row: _EngineerRow) -> Engineer:
    return Engineer(
        person_id=row.id,
        name=row.name,
        place=None if row.latitude is None or row.longitude is None else Place(row.latitude, row.longitude),
        sites=None if row.is_everywhere else frozenset(row.sites),
        is_active=row.active,
        is_on_duty=row.on_duty,
        presence=_presence(row),
        absent_until=row.absent_until,
        delegate=row.delegate,
        team_ids=frozenset(row.team_ids),
        skills=row.skills,
        certificates=tuple(
            Certificate(name, date.fromisoformat(start), _day(end)) for name, start, end in row.certificates
        ),
        brands=frozenset(row.brands),
        access={site_id: _day(last_day) for site_id, last_day in row.access.items()},
        open_tickets=row.open_tickets,
        load_limit=row.load_limit,
        repairs={asset_type_id: (repaired, held) for asset_type_id, (repaired, held) in row.repairs.items()},
        handled_h={int(mode_id): float(hours) for mode_id, hours in row.handled.items()},
    )


def _presence(row: _EngineerRow) -> Presence:
    """Say what the plan says; one who is on shift and on call at once is on shift."""
    if row.is_at_work or not row.is_planned:
        return Presence.AT_WORK
    return Presence.ON_CALL if row.is_on_call else Presence.OFF


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def _as_stored(candidates: list[dict[str, object]]) -> list[dict[str, object]]:
    """Return candidates as they come back from the database: tuples are lists there."""
    return [
        {name: list(value) if isinstance(value, tuple) else value for name, value in candidate.items()}
        for candidate in candidates
    ]
