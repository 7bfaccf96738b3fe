"""Look-ups: what is found out about a new ticket while nobody waits for it (SPEC T10, Q1).

Opening a ticket writes down what is to be looked up and answers; only the warranty, one column of the asset, is
answered at once. The desk fills the rest: it claims one after the other, so that several desks share the work, and what
a dying desk was at is claimed by the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

import structlog
from psycopg import Connection
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from domain.refusals import Refused
from storage.articles import find_articles
from storage.intake_views import LookupView
from storage.policies import policy_in_force, read_policy_version
from storage.queries import load
from ticketing.likeness import likeness
from ticketing.policy.intake import IntakePolicy

QUERIES = load("lookups")

# A requester sees their own tickets only, so not these.
OTHERS_TICKETS = frozenset({"history", "duplicates"})
# What a serial number fills in beside the warranty.
NAMEPLATE = ("serial_number", "brand", "model", "batch", "firmware", "contract_number")
HISTORY_LIMIT = 20
CANDIDATES_LIMIT = 50
DUPLICATES_LIMIT = 5
ATTEMPTS_LIMIT = 5
RETRY_AFTER = timedelta(seconds=5)

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Subject:
    """The ticket that is looked up about; ``opened_on`` is the site's date when it was opened."""

    id: UUID
    asset_id: int
    asset_type_id: str
    failure_mode_id: int | None
    title_en: str
    title_zh: str
    description: str
    opened_at: datetime
    parent_id: UUID | None
    policy_id: int
    warranty_until: date | None
    opened_on: date
    mode_en: str | None
    mode_zh: str | None
    serial_number: str | None
    brand: str | None
    model: str | None
    batch: str | None
    firmware: str | None
    contract_number: str | None

    @property
    def text(self) -> str:
        """All that the ticket says."""
        titles = {self.title_en: None, self.title_zh: None}
        return " ".join((*titles, self.description))


Body = dict[str, object]


def ask_lookups(connection: Connection, ticket_id: UUID, now: datetime) -> None:
    """Note what is to be looked up about a new ticket, and look up at once what costs nothing."""
    connection.execute(QUERIES["ask"], {"ticket_id": ticket_id, "names": list(LOOKUPS), "now": now})
    subject = _subject(connection, ticket_id)
    policy = read_policy_version(connection, subject.policy_id).intake
    _save(connection, ticket_id, "warranty", _warranty(connection, subject, policy), now)


def fill_next_lookup(connection: Connection, now: datetime) -> bool:
    """Fill one look-up that is due, in the caller's transaction; False when there is none.

    One that fails is tried again later and less and less often, and given up in the end: it is the ticket's, not
    the desk's to stand still for.
    """
    row = connection.execute(QUERIES["claim_next"], {"now": now}).fetchone()
    if row is None:
        return False
    ticket_id, name, attempts = row
    try:
        with connection.transaction():
            subject = _subject(connection, ticket_id)
            policy = read_policy_version(connection, subject.policy_id).intake
            _save(connection, ticket_id, name, LOOKUPS[name](connection, subject, policy), now, attempts + 1)
    except Exception:  # noqa: BLE001 (whatever one ticket's text does must not stop the others')
        _log.exception("a look-up failed", ticket=str(ticket_id), lookup=name, attempt=attempts + 1)
        is_over = attempts + 1 >= ATTEMPTS_LIMIT
        told = {
            "state": "failed" if is_over else "pending",
            "done_at": now if is_over else None,
            "try_at": now + RETRY_AFTER * 4**attempts,
        }
        key = {"ticket_id": ticket_id, "name": name, "body": None, "attempts": attempts + 1}
        connection.execute(QUERIES["save"], {**key, **told})
    return True


def lookups_for(connection: Connection, ticket_id: UUID, *, is_staff: bool) -> list[LookupView]:
    """Return what was looked up about a ticket; other people's tickets are for the staff of the site only."""
    with connection.cursor(row_factory=class_row(LookupView)) as cursor:
        found = cursor.execute(QUERIES["lookups"], {"ticket_id": ticket_id}).fetchall()
    return [lookup for lookup in found if is_staff or lookup.name not in OTHERS_TICKETS]


def preview(
    connection: Connection,
    asset_id: int,
    *,
    title: str,
    description: str,
    failure_mode: str | None,
    is_staff: bool,
    now: datetime,
) -> dict[str, Body]:
    """Return what would be looked up about a ticket that somebody is about to open, for the form to show."""
    policy_id, policy = policy_in_force(connection)
    asked = {"asset_id": asset_id, "failure_mode": failure_mode, "now": now}
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(QUERIES["subject_of_asset"], asked).fetchone()
    if row is None:
        raise Refused("unknown_record", expected="an asset", got=str(asset_id), remedy="Check the asset's id.")
    subject = Subject(
        id=UUID(int=0),
        asset_id=asset_id,
        title_en=title,
        title_zh=title,
        description=description,
        opened_at=now,
        parent_id=None,
        policy_id=policy_id,
        **row,
    )
    return {
        name: look_up(connection, subject, policy.intake)
        for name, look_up in LOOKUPS.items()
        if is_staff or name not in OTHERS_TICKETS
    }


def warranty_on(warranty_until: date | None, day: date) -> Body:
    """Return what the warranty says on a day, its last day included; out of it the work is charged."""
    if warranty_until is None:
        return {"state": "unknown", "until": None, "days_left": None, "charge": False}
    days_left = (warranty_until - day).days
    is_in = days_left >= 0
    return {
        "state": "in" if is_in else "out",
        "until": warranty_until.isoformat(),
        "days_left": days_left,
        "charge": not is_in,
    }


def _subject(connection: Connection, ticket_id: UUID) -> Subject:
    with connection.cursor(row_factory=class_row(Subject)) as cursor:
        found = cursor.execute(QUERIES["subject"], {"ticket_id": ticket_id}).fetchone()
    assert found is not None
    return found


def _save(connection: Connection, ticket_id: UUID, name: str, body: Body, now: datetime, attempts: int = 1) -> None:
    told = {"state": "done", "body": Jsonb(body), "done_at": now, "attempts": attempts, "try_at": now}
    connection.execute(QUERIES["save"], {"ticket_id": ticket_id, "name": name, **told})


def _warranty(connection: Connection, subject: Subject, policy: IntakePolicy) -> Body:
    plate = {name: getattr(subject, name) for name in NAMEPLATE}
    return {**warranty_on(subject.warranty_until, subject.opened_on), **plate}


def _history(connection: Connection, subject: Subject, policy: IntakePolicy) -> Body:
    asked = {
        "asset_id": subject.asset_id,
        "failure_mode_id": subject.failure_mode_id,
        "id": subject.id,
        "since": subject.opened_at - policy.history,
        "until": subject.opened_at,
        "limit": HISTORY_LIMIT,
    }
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(QUERIES["history"], asked).fetchall()
    return {"days": policy.history.days, "items": [{**row, "opened_at": row["opened_at"].isoformat()} for row in rows]}


def _duplicates(connection: Connection, subject: Subject, policy: IntakePolicy) -> Body:
    """Compare with the asset's other tickets; no likeness of words ever reaches over to another asset."""
    asked = {
        "asset_id": subject.asset_id,
        "id": subject.id,
        "parent_id": subject.parent_id,
        "since": subject.opened_at - policy.duplicate_within,
        "limit": CANDIDATES_LIMIT,
    }
    found: list[tuple[float, Body]] = []
    for row in connection.execute(QUERIES["candidates"], asked):
        code, title_en, title_zh, description, state, opened_at, failure_mode_id = row
        alike = likeness(
            (subject.failure_mode_id, failure_mode_id),
            subject.opened_at - opened_at,
            policy.duplicate_within,
            (subject.text, f"{title_en} {title_zh} {description}"),
        )
        if alike.score >= policy.duplicate_from_score:
            told = {"code": code, "title_en": title_en, "title_zh": title_zh, "state": state}
            found.append((alike.score, {**told, "opened_at": opened_at.isoformat(), **asdict(alike)}))
    found.sort(key=lambda one: -one[0])
    return {"from_score": policy.duplicate_from_score, "items": [body for _, body in found[:DUPLICATES_LIMIT]]}


def _knowledge(connection: Connection, subject: Subject, policy: IntakePolicy) -> Body:
    # The failure mode's names too: an article in one language is found for a report in the other.
    text = " ".join(filter(None, (subject.text, subject.mode_en, subject.mode_zh)))
    found = find_articles(
        connection,
        text,
        asset_type_id=subject.asset_type_id,
        failure_mode_id=subject.failure_mode_id,
        limit=policy.articles_shown,
    )
    return {"items": [asdict(article) for article in found]}


LOOKUPS: Mapping[str, Callable[[Connection, Subject, IntakePolicy], Body]] = {
    "warranty": _warranty,
    "history": _history,
    "duplicates": _duplicates,
    "knowledge": _knowledge,
}
