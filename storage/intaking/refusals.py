"""Refused requests for tickets: kept whole with their reason, so that no report is ever lost (SPEC Q3, T10)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import class_row

from domain.refusals import REFUSALS, Kind, Refused
from storage.queries import load
from ticketing.intake import Channel

QUERIES = load("intake_refusals")

BODY_BYTES = 65_536
# What says something about the request. Who may not knock is told so; what the service itself could not do is retried.
KEPT = frozenset({Kind.BAD_INPUT, Kind.NOT_FOUND, Kind.CONFLICT, Kind.GONE, Kind.TOO_LARGE})


@dataclass(frozen=True, slots=True)
class IntakeRefusal:
    """A refused request as it came (``body``), why it was refused, and how it was dealt with, if it was."""

    id: int
    first_at: datetime
    last_at: datetime
    times: int
    channel: str
    site_id: str | None
    person_name: str | None
    reason: str
    expected: str
    got: str
    remedy: str
    body: str
    settled_at: datetime | None
    settled_by_name: str | None
    settled_note: str | None


def is_kept(refusal: Refused) -> bool:
    """Say whether a refusal of this kind is kept."""
    return REFUSALS[refusal.name].kind in KEPT


def keep_refusal(
    connection: Connection,
    refusal: Refused,
    *,
    channel: Channel,
    body: str,
    person_id: int | None,
    site_id: str | None,
    now: datetime,
) -> int:
    """Keep a refused request, in a transaction of its own: the one that was refused is rolled back."""
    cut = body.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace")[:BODY_BYTES]
    parts = (channel.value, str(person_id), refusal.name, refusal.expected, cut.decode("utf-8", "ignore"))
    row = connection.execute(
        QUERIES["keep"],
        {
            "now": now,
            "channel": channel.value,
            "site_id": site_id,
            "person_id": person_id,
            "reason": refusal.name,
            "expected": refusal.expected,
            "got": refusal.got,
            "remedy": refusal.remedy,
            "body": parts[-1],
            "fingerprint": hashlib.sha256("\x1f".join(parts).encode()).digest(),
        },
    ).fetchone()
    assert row is not None
    return int(row[0])


def list_refusals(
    connection: Connection,
    *,
    sites: Sequence[str] | None,
    is_open: bool | None = None,
    refusal_id: int | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[IntakeRefusal]:
    """Return refused requests, newest first, that lie at ``sites`` (None: everywhere)."""
    asked = {
        "sites": None if sites is None else list(sites),
        "open": is_open,
        "id": refusal_id,
        "before": before,
        "limit": limit,
    }
    with connection.cursor(row_factory=class_row(IntakeRefusal)) as cursor:
        return cursor.execute(QUERIES["refusals"], asked).fetchall()


def settle_refusal(connection: Connection, refusal_id: int, *, person_id: int, note: str, now: datetime) -> None:
    """Note how a refused request was dealt with; the second to do so is refused as ``stale_record``."""
    asked = {"id": refusal_id, "person_id": person_id, "note": note, "now": now}
    if connection.execute(QUERIES["settle"], asked).fetchone() is None:
        raise Refused(
            "stale_record",
            expected="a refused request that nobody has dealt with yet",
            got=f"request {refusal_id}, which is settled",
            remedy="Read it again.",
        )
