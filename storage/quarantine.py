"""Quarantine: messages that could not be used, whole, with the reason, until they are replayed (SPEC E5)."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection

from storage.queries import load

QUERIES = load("quarantine")

STORED = "stored"


@dataclass(frozen=True, slots=True)
class SetAside:
    """A message that could not be used. ``site`` and ``device`` are the names in its topic, where it has them."""

    topic: str
    payload: bytes
    reason: str
    detail: str
    site: str | None
    device: str | None


@dataclass(frozen=True, slots=True)
class ToReplay:
    """A message that somebody asked to try again; ``received_at`` is when it first came."""

    id: int
    topic: str
    payload: bytes
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of a message that was tried again: ``STORED``, or the reason and detail of its new refusal."""

    id: int
    result: str
    detail: str


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A message in quarantine as lists show it, without its bytes."""

    id: int
    received_at: datetime
    last_received_at: datetime
    times_received: int
    topic: str
    payload_bytes: int
    reason: str
    detail: str
    site: str | None
    device: str | None
    replay_requested_at: datetime | None
    replayed_at: datetime | None
    replay_result: str | None


def set_aside(connection: Connection, messages: Sequence[SetAside], now: datetime) -> None:
    """Keep messages; the same bytes on the same topic are one row with a count."""
    if not messages:
        return
    times: dict[bytes, int] = {}
    last: dict[bytes, SetAside] = {}
    for message in messages:
        key = fingerprint(message.topic, message.payload)
        times[key] = times.get(key, 0) + 1
        last[key] = message
    # In one order everywhere, so that two ingesters cannot wait for each other.
    keys = sorted(last)
    connection.execute(
        QUERIES["set_aside"],
        {
            "times": [times[key] for key in keys],
            "topics": [_text(last[key].topic) for key in keys],
            "payloads": [last[key].payload for key in keys],
            "fingerprints": keys,
            "reasons": [last[key].reason for key in keys],
            "details": [_text(last[key].detail) for key in keys],
            "site_names": [last[key].site for key in keys],
            "device_names": [last[key].device for key in keys],
            "now": now,
        },
    )


def fingerprint(topic: str, payload: bytes) -> bytes:
    """Return 16 bytes that are equal for the same bytes on the same topic."""
    return hashlib.sha256(topic.encode("utf-8", "surrogateescape") + b"\0" + payload).digest()[:16]


def request_replay(
    connection: Connection, now: datetime, *, ids: Collection[int] | None = None, reason: str | None = None
) -> int:
    """Ask the ingester to try messages again, by id or by reason, and return how many; it does so within a second.

    Raises ValueError when neither is given. Messages that were stored by an earlier replay are left alone.
    """
    if ids is None and reason is None:
        raise ValueError("expected ids or a reason, got neither: say which messages to try again")
    values = {"ids": None if ids is None else list(ids), "reason": reason, "now": now}
    return connection.execute(QUERIES["request_replay"], values).rowcount


def to_replay(connection: Connection, limit: int) -> list[ToReplay]:
    """Return messages that somebody asked to try again, oldest first."""
    return [ToReplay(*row) for row in connection.execute(QUERIES["to_replay"], {"limit": limit}).fetchall()]


def mark_replayed(connection: Connection, tried: Sequence[Replayed], now: datetime) -> None:
    """Note what became of messages that were tried again."""
    if not tried:
        return
    values = {
        "ids": [one.id for one in tried],
        "results": [one.result for one in tried],
        "details": [_text(one.detail) for one in tried],
        "now": now,
    }
    connection.execute(QUERIES["mark_replayed"], values)


def page(
    connection: Connection,
    *,
    before: int | None = None,
    reason: str | None = None,
    open_only: bool = False,
    limit: int = 50,
) -> list[Quarantined]:
    """Return messages in quarantine, newest first, with ids below ``before``."""
    values = {"before": before, "reason": reason, "open_only": open_only, "limit": limit}
    return [Quarantined(*row) for row in connection.execute(QUERIES["page"], values).fetchall()]


def find(connection: Connection, quarantine_id: int) -> Quarantined | None:
    """Return one message in quarantine."""
    row = connection.execute(QUERIES["one"], {"id": quarantine_id}).fetchone()
    return None if row is None else Quarantined(*row)


def payload_of(connection: Connection, quarantine_id: int) -> bytes | None:
    """Return the bytes of one message, as they came."""
    row = connection.execute(QUERIES["payload"], {"id": quarantine_id}).fetchone()
    return None if row is None else bytes(row[0])


def open_counts(connection: Connection) -> dict[str, int]:
    """Return how many messages wait, by reason."""
    return {str(reason): int(count) for reason, count in connection.execute(QUERIES["open_counts"]).fetchall()}


def _text(text: str) -> str:
    # PostgreSQL's text takes no NUL and no lone surrogate.
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
