"""Events: stored once each, and each new one is evidence to be judged (SPEC E4, E9)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec import json
from psycopg import Connection
from psycopg.types.json import Jsonb

from domain.events import Event, EventKind, EventSeverity
from storage.queries import load

QUERIES = load("events")


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """An event and who told it."""

    device_id: int
    asset_id: int
    event: Event


def insert(connection: Connection, heard: Sequence[DeviceEvent], now: datetime) -> int:
    """Store those events that are not there yet, mark their assets for judging, and return how many they were."""
    if not heard:
        return 0
    events = [one.event for one in heard]
    row = connection.execute(
        QUERIES["insert_events"],
        {
            "device_ids": [one.device_id for one in heard],
            "asset_ids": [one.asset_id for one in heard],
            "ts": [event.ts for event in events],
            "kinds": [event.kind.value for event in events],
            "codes": [event.code for event in events],
            "severities": [event.severity.value for event in events],
            "texts": [event.text for event in events],
            "attributes": [Jsonb(event.attributes) for event in events],
            "fingerprints": [fingerprint(event) for event in events],
            "now": now,
        },
    ).fetchone()
    return int(row[0]) if row is not None else 0


def newest_of_device(connection: Connection, device_id: int, *, limit: int) -> list[Event]:
    """Return what a device told last, newest first by its own times."""
    rows = connection.execute(QUERIES["newest_of_device"], {"device_id": device_id, "limit": limit})
    return [
        Event(ts, EventKind(kind), code, EventSeverity(severity), text, attributes)
        for ts, kind, code, severity, text, attributes in rows
    ]


def judge_again(connection: Connection, since: Mapping[int, datetime]) -> None:
    """Have the desk judge assets (by id) again at each of their events from these times on.

    For findings that come to light after the events that followed them were judged without them.
    """
    if since:
        values = {"asset_ids": list(since), "since": list(since.values())}
        connection.execute(QUERIES["judge_again"], values)


def fingerprint(event: Event) -> bytes:
    """Return 16 bytes that are equal for the same event told twice, whatever the order of its attributes."""
    told = [event.kind, event.code, event.severity, event.text, sorted(event.attributes.items())]
    return hashlib.sha256(json.encode(told)).digest()[:16]
