"""Retention: what is older than the policy keeps goes, readings by whole partitions (SPEC E7).

A partition goes only when its rollups are computed. It is detached without stopping anybody, looked at once more, and
dropped; a kill in between leaves a table that the next run finds. On TimescaleDB its own policies drop chunks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg import Connection, sql

from storage import idempotency, partitions, receipts, rollups, waveforms
from storage.database import Server, detect_server
from storage.levels import FINEST_FIRST, Level
from storage.partitions import DAYS, MONTHS, YEARS, Part, Parts, PartState
from storage.queries import load
from storage.retention_policy import RetentionPolicy
from storage.rollups import TABLES

QUERIES = load("retention")

ROWS_AT_ONCE = 10_000
BATCHES_AT_ONCE = 100
_PARTS: Mapping[Level, Parts] = {Level.RAW: DAYS, Level.MINUTE: MONTHS, Level.HOUR: YEARS}
# TimescaleDB drops by itself, between two of our runs too: what is about to go is not counted on.
_MARGIN = timedelta(days=2)


@dataclass(slots=True)
class RetentionReport:
    """What a run did: partitions or chunks dropped, those that wait for something, and rows deleted by table."""

    dropped: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    deleted: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LevelUsage:
    """One level of time resolution on the disk.

    ``kept_days`` is None for ever; ``kept_from`` says since when it is complete, None when nothing was dropped;
    ``waiting`` counts the marks of its rollup.
    """

    level: Level
    bytes: int
    kept_days: int | None
    kept_from: datetime | None
    waiting: int


def apply_retention(connection: Connection, policy: RetentionPolicy, now: datetime) -> RetentionReport:
    """Drop and delete what the policy keeps no longer. ``connection`` is in autocommit mode.

    Killed at any time, the next run goes on. Partitions that somebody reads for longer than the lock's time limit, or
    whose rollups are not computed yet, wait for the next run.
    """
    report = RetentionReport()
    server = detect_server(connection)
    if server is Server.TIMESCALE:
        _set_policies(connection, policy, now)
    else:
        for level in FINEST_FIRST:
            days = policy.level_days[level]
            if days is not None:
                _drop_before(connection, server, level, _midnight(now - timedelta(days=days)), report)
    _prune(connection, policy, now, report)
    return report


def usage(connection: Connection, policy: RetentionPolicy) -> list[LevelUsage]:
    """Return what each level takes on disk and from when it is kept, finest first."""
    waiting = rollups.waiting(connection)
    found = {Level(level): (int(size), kept) for level, size, kept in connection.execute(QUERIES["levels"]).fetchall()}
    return [
        LevelUsage(level, found[level][0], policy.level_days[level], found[level][1], waiting.get(level, 0))
        for level in FINEST_FIRST
    ]


def _drop_before(
    connection: Connection, server: Server, level: Level, before: datetime, report: RetentionReport
) -> None:
    if level is Level.DAY:
        with connection.transaction():
            deleted = connection.execute(QUERIES["delete_days"], {"before": before}).rowcount
            _not_kept_before(connection, level, before)
        report.deleted[TABLES[level]] = deleted
    elif server is Server.PLAIN:
        for part in partitions.list_parts(connection, _PARTS[level]):
            if part.after <= before:
                gone = _drop_part(connection, level, part)
                (report.dropped if gone else report.waiting).append(part.name)
    else:
        _drop_chunks(connection, level, before, report)


def _drop_part(connection: Connection, level: Level, part: Part) -> bool:
    """Detach and drop one partition; False when it must wait."""
    parts = _PARTS[level]
    try:
        # While the refresher stands still, no mark of this partition can be taken without its readings being seen.
        connection.execute(QUERIES["lock_for_retention"])
        if _has_marks(connection, part):
            return False
        if part.state is PartState.ATTACHED:
            partitions.detach(connection, parts, part)
        elif part.state is PartState.LEAVING:
            partitions.finish_detaching(connection, parts, part)
        return _drop_if_done(connection, level, part)
    except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled):
        return False
    finally:
        connection.execute(QUERIES["unlock_for_retention"])


def _drop_if_done(connection: Connection, level: Level, part: Part) -> bool:
    """Drop a partition that is apart, unless a late reading came into it while it was detached: then back it goes."""
    parts = _PARTS[level]
    with connection.transaction():
        partitions.lock(connection)
        states = {one.name: one.state for one in partitions.list_parts(connection, parts)}
        if states.get(part.name) is not PartState.APART:
            return False  # somebody needed its days again meanwhile
        if _has_marks(connection, part):
            partitions.attach(connection, parts, part)
            return False
        _not_kept_before(connection, level, part.after)
        partitions.drop(connection, part)
    return True


def _drop_chunks(connection: Connection, level: Level, before: datetime, report: RetentionReport) -> None:
    """Drop chunks on TimescaleDB under its Apache licence, which has no policies of its own."""
    with connection.transaction():
        marked = connection.execute(QUERIES["first_mark"]).fetchone()
        if marked is not None and marked[0] is not None and marked[0] < before:
            report.waiting.append(TABLES[level])
            before = _midnight(marked[0])
        _not_kept_before(connection, level, before)
        values = {"relation": sql.Literal(TABLES[level]), "before": sql.Literal(before)}
        report.dropped += [str(row[0]) for row in connection.execute(QUERIES["drop_chunks"].format(**values))]


def _set_policies(connection: Connection, policy: RetentionPolicy, now: datetime) -> None:
    """Give TimescaleDB the days of the policy where they changed, and note what may be dropped before our next run."""
    was = {Level(level): days for level, days in connection.execute(QUERIES["set_policies"]).fetchall()}
    for level, days in policy.level_days.items():
        relation = sql.Literal(TABLES[level])
        with connection.transaction():
            if days is not None:
                _not_kept_before(connection, level, _midnight(now - timedelta(days=days) + _MARGIN))
            if days == was[level]:
                continue
            connection.execute(QUERIES["remove_policy"].format(relation=relation))
            if days is not None:
                after = sql.Literal(timedelta(days=days))
                connection.execute(QUERIES["add_policy"].format(relation=relation, after=after))
            connection.execute(QUERIES["note_policy"], {"level": level, "days": days})


def _prune(connection: Connection, policy: RetentionPolicy, now: datetime, report: RetentionReport) -> None:
    for table, days in policy.row_days.items():
        if days is not None:
            report.deleted[table] = _delete(connection, table, now - timedelta(days=days))
    report.deleted["idempotency"] = _delete(connection, "idempotency", now - idempotency.KEPT_FOR)
    report.deleted["waveform"] = 0
    for _ in range(BATCHES_AT_ONCE):
        pruned = waveforms.prune(connection, now)
        report.deleted["waveform"] += pruned
        if pruned < waveforms.PRUNED_AT_ONCE:
            break
    receipts.prune(connection, now)


def _delete(connection: Connection, table: str, before: datetime) -> int:
    """Delete in batches, each a transaction of its own; what is left over is for the next run."""
    total = 0
    for _ in range(BATCHES_AT_ONCE):
        deleted = connection.execute(QUERIES[f"prune_{table}"], {"before": before, "limit": ROWS_AT_ONCE}).rowcount
        total += deleted
        if deleted < ROWS_AT_ONCE:
            break
    return total


def _has_marks(connection: Connection, part: Part) -> bool:
    row = connection.execute(QUERIES["has_marks"], {"first": part.first, "after": part.after}).fetchone()
    return row is None or bool(row[0])


def _not_kept_before(connection: Connection, level: Level, kept_from: datetime) -> None:
    connection.execute(QUERIES["not_kept_before"], {"level": level, "kept_from": kept_from})


def _midnight(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
