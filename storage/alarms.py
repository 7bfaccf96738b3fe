"""Alarms: findings as people watch them, acknowledged and shelved after ISA-18.2 (SPEC D1).

What is shelved goes on being recorded and counts for nothing: it opens no prediction and no ticket. A shelving ends by
itself, and what still holds then is put before the desk as if it had just come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from psycopg import Connection

from domain.alarms import AlarmState, alarm_state
from domain.refusals import Refused
from storage.queries import load

QUERIES = load("alarms")

LONGEST_SHELVING = timedelta(days=30)
# What has cleared by itself is shown until somebody says that they know, but not for ever.
RETURNED_FOR = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Alarm:
    """A finding that somebody should look at, or has set aside. ``opened_at`` and ``cleared_at`` are equipment time."""

    state: AlarmState
    finding_id: UUID
    asset_id: int
    site_id: str
    asset_tag: str
    asset_name: str
    series_id: int
    metric: str
    unit: str | None
    detector: str
    rule: str
    direction: str
    severity: str
    opened_at: datetime
    cleared_at: datetime | None
    value: float
    limit: float
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    shelved_until: datetime | None
    shelved_because: str | None


@dataclass(frozen=True, slots=True)
class Shelving:
    """What is set aside of an asset: one metric or every, one rule or every; ``findings`` it has kept back so far."""

    id: int
    asset_id: int
    site_id: str
    asset_tag: str
    metric: str | None
    rule: str | None
    reason: str
    shelved_by: str
    shelved_at: datetime
    until: datetime
    ended_at: datetime | None
    findings: int


@dataclass(frozen=True, slots=True)
class AlarmFilter:
    """Which alarms or shelvings; None does not filter."""

    sites: Sequence[str] | None = None
    asset_id: int | None = None
    shelved: bool | None = None


def alarms(
    connection: Connection,
    wanted: AlarmFilter,
    now: datetime,
    *,
    finding_id: UUID | None = None,
    before: UUID | None = None,
    limit: int = 50,
) -> list[Alarm]:
    """Return what holds, or cleared within a week without anybody saying that they know; those after ``before``."""
    asked = {
        "id": finding_id,
        "sites": None if wanted.sites is None else list(wanted.sites),
        "asset_id": wanted.asset_id,
        "shelved": wanted.shelved,
        "lately": now - RETURNED_FOR,
        "before": before,
        "limit": limit,
    }
    return [_alarm(row) for row in connection.execute(QUERIES["alarms"], asked)]


def acknowledge(
    connection: Connection, finding_ids: Sequence[UUID], sites: Sequence[str] | None, person_id: int, now: datetime
) -> list[UUID]:
    """Note that a person knows of these findings at these sites (None: all); return those that were new to it."""
    asked = {
        "ids": list(finding_ids),
        "sites": None if sites is None else list(sites),
        "person_id": person_id,
        "now": now,
    }
    return [row[0] for row in connection.execute(QUERIES["acknowledge"], asked).fetchall()]


def shelve(
    connection: Connection,
    *,
    asset_id: int,
    metric: str | None,
    rule: str | None,
    reason: str,
    until: datetime,
    person_id: int,
    now: datetime,
) -> int:
    """Set aside what an asset's detectors say until a time, at most 30 days ahead; return the shelving's id.

    Raises Refused("invalid_request") for another time.
    """
    if not now < until <= now + LONGEST_SHELVING:
        raise Refused(
            "invalid_request",
            expected=f"an end between now and {LONGEST_SHELVING.days} days from now",
            got=until.isoformat(),
            remedy="Shelve for less, or switch the rule to shadow: that is the lasting decision.",
        )
    row = connection.execute(
        QUERIES["shelve"],
        {
            "asset_id": asset_id,
            "metric": metric,
            "rule_name": rule,
            "reason": reason,
            "person_id": person_id,
            "now": now,
            "until": until,
        },
    ).fetchone()
    assert row is not None  # an insert that returns
    connection.execute(QUERIES["shelve_open"], {"shelving_id": row[0]})
    return int(row[0])


def unshelve(connection: Connection, shelving_id: int, person_id: int, now: datetime) -> None:
    """End a shelving before its time. Raises Refused("not_a_legal_step") when it has ended."""
    asked = {"id": shelving_id, "person_id": person_id, "now": now}
    if connection.execute(QUERIES["end_shelving"], asked).fetchone() is None:
        raise Refused(
            "not_a_legal_step",
            expected="a shelving in force",
            got="one that has ended",
            remedy="Read the list again: what still holds counts already.",
        )
    connection.execute(QUERIES["bring_back"], {"shelving_ids": [shelving_id], "now": now})


def end_due_shelvings(connection: Connection, now: datetime) -> int:
    """End the shelvings whose time is up; return how many."""
    ended = [row[0] for row in connection.execute(QUERIES["end_due"], {"now": now}).fetchall()]
    if ended:
        connection.execute(QUERIES["bring_back"], {"shelving_ids": ended, "now": now})
    return len(ended)


def shelvings(
    connection: Connection,
    wanted: AlarmFilter,
    *,
    shelving_id: int | None = None,
    in_force: bool | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Shelving]:
    """Return what is or was set aside, newest first."""
    asked = {
        "id": shelving_id,
        "sites": None if wanted.sites is None else list(wanted.sites),
        "asset_id": wanted.asset_id,
        "in_force": in_force,
        "before": before,
        "limit": limit,
    }
    return [Shelving(*row) for row in connection.execute(QUERIES["shelvings"], asked)]


def _alarm(row: Sequence[object]) -> Alarm:
    *told, shadow = row
    cleared_at, acknowledged_at, shelved_until = told[13], told[16], told[18]
    state = alarm_state(
        holds=cleared_at is None,
        acknowledged=acknowledged_at is not None,
        shelved=shelved_until is not None,
        shadow=bool(shadow),
    )
    return Alarm(state, *told)  # type: ignore[arg-type]
