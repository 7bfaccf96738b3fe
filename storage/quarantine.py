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
UNKNOWN_DEVICE = "unknown_device"
# Bounds one statement; what is left is dismissed by asking again.
DISMISSED_AT_ONCE = 10_000

# Site and device name on our own topics; id of the feed and the device's key on a feed.
Address = tuple[str | int, str]


@dataclass(frozen=True, slots=True)
class SetAside:
    """A message that could not be used. ``site`` and ``device`` are the names in its topic, where it has them.

    With ``feed_id`` it came by a feed: ``site`` is the feed's and ``device`` is the key the dialect calls it by.
    """

    topic: str
    payload: bytes
    reason: str
    detail: str
    site: str | None
    device: str | None
    feed_id: int | None = None


@dataclass(frozen=True, slots=True)
class ToReplay:
    """A message that somebody asked to try again; ``received_at`` is when it first came."""

    id: int
    topic: str
    payload: bytes
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of a message that was tried again: ``STORED``, or the reason and detail of its new refusal.

    ``device`` is the name of a device that is unknown still: a gateway's message may speak for several.
    """

    id: int
    result: str
    detail: str
    device: str | None = None


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
    feed_id: int | None
    replay_requested_at: datetime | None
    replayed_at: datetime | None
    replay_result: str | None


@dataclass(frozen=True, slots=True)
class Which:
    """Messages that wait: by id, by reason or by address, of these sites only (None: of every site, and of none)."""

    ids: Collection[int] | None = None
    reason: str | None = None
    address: Address | None = None
    sites: Collection[str] | None = None


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """How many messages wait for one reason, and when the newest of them came."""

    reason: str
    messages: int
    newest_at: datetime


def set_aside(connection: Connection, messages: Sequence[SetAside], now: datetime) -> None:
    """Keep messages; the same bytes on the same topic are one row with a count.

    A message of an unknown device whose device was registered in this very moment is tried again at once.
    """
    if not messages:
        return
    if any(message.reason == UNKNOWN_DEVICE for message in messages):
        # Whoever adopts a device holds this lock alone: either its messages are there for it, or we see its device.
        connection.execute(QUERIES["wait_for_adoption"])
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
            "device_names": [None if (name := last[key].device) is None else _text(name) for key in keys],
            "feed_ids": [last[key].feed_id for key in keys],
            "now": now,
        },
    )


def fingerprint(topic: str, payload: bytes) -> bytes:
    """Return 16 bytes that are equal for the same bytes on the same topic."""
    return hashlib.sha256(topic.encode("utf-8", "surrogateescape") + b"\0" + payload).digest()[:16]


def request_replay(
    connection: Connection,
    now: datetime,
    *,
    ids: Collection[int] | None = None,
    reason: str | None = None,
    address: Address | None = None,
    sites: Collection[str] | None = None,
) -> int:
    """Ask the ingester to try messages again, by id, reason or address, and return how many; it does so in a second.

    Raises ValueError when none is given. Messages that were stored by an earlier replay are left alone.
    """
    chosen = _chosen(Which(ids, reason, address, sites))
    return connection.execute(QUERIES["request_replay"], {**chosen, "now": now}).rowcount


def dismiss(connection: Connection, which: Which, *, person_id: int, why: str, now: datetime) -> int:
    """Remove messages that wait, oldest first, at most ``DISMISSED_AT_ONCE``, and return how many.

    The audit keeps of each what it was, who dismissed it and why; its bytes are gone. Messages that were stored by a
    replay are left alone.
    """
    values = {**_chosen(which), "limit": DISMISSED_AT_ONCE, "person_id": person_id, "why": why, "now": now}
    return connection.execute(QUERIES["dismiss"], values).rowcount


def to_replay(
    connection: Connection, limit: int, *, sites: Collection[str] | None = None, but_not: Collection[str] = ()
) -> list[ToReplay]:
    """Return messages that somebody asked to try again, oldest first; of these sites, None: of every one ``but_not``.

    Messages of no site are among those of every site.
    """
    values = {"limit": limit, "sites": None if sites is None else list(sites), "but_not": list(but_not)}
    return [ToReplay(*row) for row in connection.execute(QUERIES["to_replay"], values).fetchall()]


def mark_replayed(connection: Connection, tried: Sequence[Replayed], now: datetime) -> None:
    """Note what became of messages that were tried again."""
    if not tried:
        return
    values = {
        "ids": [one.id for one in tried],
        "results": [one.result for one in tried],
        "details": [_text(one.detail) for one in tried],
        "devices": [None if one.device is None else _text(one.device) for one in tried],
        "now": now,
    }
    connection.execute(QUERIES["mark_replayed"], values)


def page(
    connection: Connection,
    *,
    before: int | None = None,
    sites: Collection[str] | None = None,
    site: str | None = None,
    feed_id: int | None = None,
    device: str | None = None,
    reason: str | None = None,
    open_only: bool = False,
    limit: int = 50,
) -> list[Quarantined]:
    """Return messages in quarantine that match every filter given, newest first, with ids below ``before``."""
    values = {
        "before": before,
        "sites": None if sites is None else list(sites),
        "site": site,
        "feed_id": feed_id,
        "device": device,
        "reason": reason,
        "open_only": open_only,
        "limit": limit,
    }
    return [Quarantined(*row) for row in connection.execute(QUERIES["page"], values).fetchall()]


def find(connection: Connection, quarantine_id: int) -> Quarantined | None:
    """Return one message in quarantine."""
    row = connection.execute(QUERIES["one"], {"id": quarantine_id}).fetchone()
    return None if row is None else Quarantined(*row)


def payload_of(connection: Connection, quarantine_id: int) -> bytes | None:
    """Return the bytes of one message, as they came."""
    row = connection.execute(QUERIES["payload"], {"id": quarantine_id}).fetchone()
    return None if row is None else bytes(row[0])


def reason_counts(connection: Connection, sites: Collection[str] | None) -> list[ReasonCount]:
    """Return what waits at these sites (None: everywhere, and what has no site), by reason, most first."""
    asked = {"sites": None if sites is None else list(sites)}
    return [ReasonCount(*row) for row in connection.execute(QUERIES["reason_counts"], asked)]


def _chosen(which: Which) -> dict[str, object]:
    if which.ids is None and which.reason is None and which.address is None:
        raise ValueError("expected ids, a reason or an address, got none: say which messages")
    place, name = (None, None) if which.address is None else which.address
    return {
        "ids": None if which.ids is None else list(which.ids),
        "reason": which.reason,
        "site": place if isinstance(place, str) else None,
        "feed_id": place if isinstance(place, int) else None,
        "device": name,
        "sites": None if which.sites is None else list(which.sites),
    }


def _text(text: str) -> str:
    # PostgreSQL's text takes no NUL and no lone surrogate.
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
