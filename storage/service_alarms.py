"""Alarms about the service itself: what is wrong now, since when, and who was told (SPEC E8).

Every condition is one query that returns what is wrong at this moment, so that the health page and the sweep can
never disagree. The sweep keeps the history and tells people once per stretch of trouble.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from psycopg import Connection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from domain.refusals import Refused
from storage.outbox import enqueue
from storage.policies import newest_body, publish_body, shipped_body
from storage.queries import load

QUERIES = load("service_alarms")

POLICY = "operations"
DISK_FILLING = "disk_filling"
# The conditions that the database knows; each is the name of its query.
KINDS = (
    "feed_silent",
    "site_silent",
    "ingest_silent",
    "ingest_behind",
    "process_silent",
    "quarantine_rising",
    "outbox_given_up",
    "holidays_ending",
    "escalation_late",
)
# How long before the official holidays of a calendar run out people are told (SPEC S3).
HOLIDAYS_END_WITHIN = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class OperationsPolicy:
    """When the service raises an alarm about itself; editions/policy/operations.toml says what each means."""

    process_silent_s: float
    escalation_late_s: float
    ingest_behind_s: float
    site_silent_s: float
    quarantine_per_minute: float
    disk_share: float
    quiet_s: float


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is wrong now. ``subject`` says with what; ``site`` None concerns the whole service."""

    kind: str
    subject: str
    site: str | None
    detail: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ServiceAlarm:
    """A stretch of trouble, open while ``cleared_at`` is None."""

    id: int
    kind: str
    subject: str
    site: str | None
    detail: Mapping[str, object]
    raised_at: datetime
    cleared_at: datetime | None


def read_operations(body: Mapping[str, object]) -> OperationsPolicy:
    """Check and return the policy. Raises Refused("invalid_policy") naming the first field that is wrong."""
    values: dict[str, float] = {}
    for name in (field.name for field in fields(OperationsPolicy)):
        value = body.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
            raise Refused(
                "invalid_policy",
                expected=f"{POLICY}.{name} as a number above 0",
                got=repr(value),
                remedy="See editions/policy/operations.toml for all fields.",
            )
        values[name] = float(value)
    if values["disk_share"] > 1:
        raise Refused(
            "invalid_policy",
            expected="disk_share as a share, at most 1",
            got=str(values["disk_share"]),
            remedy="Write 0.85 for 85 percent.",
        )
    return OperationsPolicy(**values)


def ensure_operations_policy(connection: Connection, now: datetime) -> None:
    """Publish the shipped policy when there is none yet."""
    if newest_body(connection, POLICY) is None:
        body = shipped_body(POLICY)
        read_operations(body)
        publish_body(connection, POLICY, body, person_id=None, now=now)


def operations_in_force(connection: Connection) -> OperationsPolicy:
    """Return the policy in force; before the first seeding, the shipped one."""
    found = newest_body(connection, POLICY)
    return read_operations(shipped_body(POLICY) if found is None else found[1])


def troubles(connection: Connection, now: datetime, disks: Mapping[str, float]) -> list[Trouble]:
    """Return all that is wrong now. ``disks`` maps what lies on a disk to the share of it that is in use."""
    policy = operations_in_force(connection)
    values = {
        "now": now,
        "process_silent_s": policy.process_silent_s,
        "escalation_late_s": policy.escalation_late_s,
        "ingest_behind_s": policy.ingest_behind_s,
        "site_silent_s": policy.site_silent_s,
        "quarantine_per_minute": policy.quarantine_per_minute,
        "holidays_needed_until": (now + HOLIDAYS_END_WITHIN).date(),
    }
    found = [
        Trouble(kind, str(subject), site, detail)
        for kind in KINDS
        for subject, site, detail in connection.execute(QUERIES[kind], values).fetchall()
    ]
    return found + [
        Trouble(DISK_FILLING, subject, None, {"percent": round(100 * share)})
        for subject, share in disks.items()
        if share > policy.disk_share
    ]


def sweep(connection: Connection, now: datetime, disks: Mapping[str, float]) -> int:
    """Raise and clear alarms as things stand, and tell people of new ones; return how many were raised.

    Does nothing while another process sweeps.
    """
    row = connection.execute(QUERIES["lock_sweep"]).fetchone()
    if row is None or not row[0]:
        return 0
    found = troubles(connection, now, disks)
    kinds, subjects = [one.kind for one in found], [one.subject for one in found]
    connection.execute(QUERIES["clear_others"], {"kinds": kinds, "subjects": subjects, "now": now})
    quiet_s = operations_in_force(connection).quiet_s
    raised = 0
    for one in found:
        values = {
            "kind": one.kind,
            "subject": one.subject,
            "site_id": one.site,
            "detail": Jsonb(dict(one.detail)),
            "now": now,
            "quiet_s": quiet_s,
        }
        fresh = connection.execute(QUERIES["raise"], values).fetchone()
        if fresh is None:
            continue
        raised += 1
        if not fresh[0]:
            _tell(connection, one, now)
    return raised


def page(
    connection: Connection,
    *,
    sites: Sequence[str] | None,
    before: int | None = None,
    open_only: bool = False,
    limit: int = 50,
) -> list[ServiceAlarm]:
    """Return alarms, newest first: those of these sites (None: all) and those of the whole service."""
    values = {
        "sites": None if sites is None else list(sites),
        "before": before,
        "open_only": open_only,
        "limit": limit,
    }
    with connection.cursor(row_factory=class_row(ServiceAlarm)) as cursor:
        return cursor.execute(QUERIES["page"], values).fetchall()


def beat(connection: Connection, process: str, now: datetime) -> None:
    """Note that a process has finished a round of its work."""
    connection.execute(QUERIES["beat"], {"process": process, "now": now})


def beats(connection: Connection) -> dict[str, datetime]:
    """Return when each process last finished a round of its work."""
    return {str(process): beat_at for process, beat_at in connection.execute(QUERIES["beats"]).fetchall()}


def expect(connection: Connection, processes: Sequence[str], now: datetime) -> None:
    """Note that these processes and the ingesters are being started: silence before is no trouble, from now it is."""
    connection.execute(QUERIES["forget_beats"])
    connection.execute(QUERIES["expect_beats"], {"processes": list(processes), "now": now})
    connection.execute(QUERIES["expect_ingesters"], {"now": now})


def _tell(connection: Connection, trouble: Trouble, now: datetime) -> None:
    body: dict[str, object] = {
        "person_ids": [],
        "supervisors_of": trouble.site,
        "admins": True,
        "subject": trouble.subject,
        **{name: value for name, value in trouble.detail.items() if value is not None},
    }
    enqueue(connection, f"service.{trouble.kind}", None, body, now)
