"""The outbox: everything that leaves the process is written with the change it tells about (ADR 0010).

A relay leases messages with SKIP LOCKED, sends, and marks after the send. What cannot be sent is retried, and
given up only as a row that people see. The lease's attempt number is its fence: a relay that was too slow and
lost its lease cannot mark a message that another one holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from psycopg import Connection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from domain.refusals import Refused
from storage.queries import load

QUERIES = load("outbox")

BATCH_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Message:
    """A leased message. ``attempts`` counts this attempt too."""

    id: int
    kind: str
    ticket_id: UUID | None
    body: Mapping[str, object]
    attempts: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A message that nobody got; ``detail`` is the last reason."""

    id: int
    kind: str
    code: str | None
    attempts: int
    created_at: datetime
    given_up_at: datetime
    detail: str


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in the outbox and since when, and how much was given up."""

    waiting: int
    given_up: int
    oldest_at: datetime | None


@dataclass(frozen=True, slots=True)
class InboxItem:
    """A notification in a person's inbox; ``code`` is its ticket's."""

    id: int
    text_en: str
    text_zh: str
    code: str | None
    created_at: datetime
    read_at: datetime | None


def enqueue(
    connection: Connection, kind: str, ticket_id: UUID | None, body: Mapping[str, object], now: datetime
) -> int:
    """Write a message in the caller's transaction; return its id."""
    row = connection.execute(
        QUERIES["enqueue"], {"kind": kind, "ticket_id": ticket_id, "body": Jsonb(dict(body)), "now": now}
    ).fetchone()
    assert row is not None
    return int(row[0])


def lease(connection: Connection, *, now: datetime, lease_s: float, limit: int) -> list[Message]:
    """Take up to ``limit`` due messages for ``lease_s`` seconds, oldest first. Commit before sending."""
    parameters = {"now": now, "until": now + timedelta(seconds=lease_s), "limit": min(limit, BATCH_LIMIT)}
    with connection.cursor(row_factory=class_row(Message)) as cursor:
        taken = cursor.execute(QUERIES["lease"], parameters).fetchall()
    return sorted(taken, key=lambda message: message.id)


def mark_sent(connection: Connection, message: Message, channel: str, detail: str, now: datetime) -> None:
    """Record a delivery and finish the message."""
    _record(connection, message, channel, detail, now, delivered=True)
    connection.execute(QUERIES["mark_done"], {"id": message.id, "attempts": message.attempts, "now": now})


def record_failure(connection: Connection, message: Message, channel: str, detail: str, now: datetime) -> None:
    """Record that one channel of several did not carry a message; the next is tried at once."""
    _record(connection, message, channel, detail, now, delivered=False)


def record_notice(
    connection: Connection, message: Message, channel: str, person_id: int, texts: tuple[str, str], now: datetime
) -> bool:
    """Keep what a channel would have told a person, in their language, once; False when there is no such person."""
    parameters = {
        "outbox_id": message.id,
        "channel": channel,
        "person_id": person_id,
        "text_en": texts[0],
        "text_zh": texts[1],
        "now": now,
    }
    row = connection.execute(QUERIES["record_notice"], parameters).fetchone()
    return row is not None and bool(row[0])


def mark_failed(
    connection: Connection, message: Message, channel: str, detail: str, now: datetime, retry_at: datetime | None
) -> None:
    """Record a failed delivery; try again at ``retry_at``, or give up visibly when that is None."""
    _record(connection, message, channel, detail, now, delivered=False)
    query = "give_up" if retry_at is None else "retry_later"
    parameters = {"id": message.id, "attempts": message.attempts, "now": now, "due_at": retry_at}
    connection.execute(QUERIES[query], parameters)


def list_given_up(connection: Connection, limit: int = 100) -> list[GivenUp]:
    """Return messages that were given up, newest first."""
    with connection.cursor(row_factory=class_row(GivenUp)) as cursor:
        return cursor.execute(QUERIES["given_up"], {"limit": min(limit, BATCH_LIMIT)}).fetchall()


def try_again(connection: Connection, message_id: int, now: datetime) -> None:
    """Give a message that was given up another attempt."""
    if connection.execute(QUERIES["try_again"], {"id": message_id, "now": now}).fetchone() is None:
        raise Refused(
            "unknown_record",
            expected="a message that was given up",
            got=str(message_id),
            remedy="List the messages that were given up.",
        )


def backlog(connection: Connection) -> Backlog:
    """Return how much waits, for health and metrics."""
    with connection.cursor(row_factory=class_row(Backlog)) as cursor:
        found = cursor.execute(QUERIES["backlog"]).fetchone()
    assert found is not None
    return found


def put_into_inbox(
    connection: Connection, message: Message, person_id: int, texts: tuple[str, str], now: datetime
) -> None:
    """Put a message, in English and Chinese, into a person's inbox, once however often it is sent."""
    parameters = {
        "outbox_id": message.id,
        "person_id": person_id,
        "text_en": texts[0],
        "text_zh": texts[1],
        "ticket_id": message.ticket_id,
        "now": now,
    }
    connection.execute(QUERIES["put_into_inbox"], parameters)


def supervisors_of(connection: Connection, site_id: str) -> list[int]:
    """Return the active supervisors of a site; its admins where it has none."""
    return [row[0] for row in connection.execute(QUERIES["supervisors_of_site"], {"site_id": site_id})]


def admins(connection: Connection) -> list[int]:
    """Return the active administrators."""
    return [row[0] for row in connection.execute(QUERIES["admins"])]


def devices_of(connection: Connection, asset_id: int) -> list[tuple[str, str]]:
    """Return (site, device name) of the devices that speak for an asset."""
    return [(row[0], row[1]) for row in connection.execute(QUERIES["devices_of_asset"], {"asset_id": asset_id})]


def inbox(connection: Connection, person_id: int, limit: int = 50) -> list[InboxItem]:
    """Return a person's notifications, newest first."""
    with connection.cursor(row_factory=class_row(InboxItem)) as cursor:
        return cursor.execute(QUERIES["inbox"], {"person_id": person_id, "limit": min(limit, BATCH_LIMIT)}).fetchall()


def mark_read(connection: Connection, person_id: int, notification_id: int, now: datetime) -> None:
    """Mark a notification as read by its owner; reading twice changes nothing."""
    connection.execute(QUERIES["mark_read"], {"person_id": person_id, "id": notification_id, "now": now})


def _record(
    connection: Connection, message: Message, channel: str, detail: str, now: datetime, *, delivered: bool
) -> None:
    parameters = {
        "id": message.id,
        "number": message.attempts,
        "channel": channel,
        "now": now,
        "delivered": delivered,
        "detail": detail[:500],
    }
    connection.execute(QUERIES["record_attempt"], parameters)
