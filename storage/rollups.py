"""Rollups: a row for each minute, hour and day of a series, kept right however late readings come (SPEC E6, E7).

Whoever stores readings marks the stretches they lie in, in the same transaction (`mark_due`). The refresher takes
marks and computes their buckets in one transaction: minutes from readings, then hours from minutes, then days from
hours, each leaving marks for the next. Killed at any time, it leaves the marks it had taken. On TimescaleDB continuous
aggregates do it; only what their policies do not reach is marked there (a trigger sees to that).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection, sql

from domain.readings import Readings
from storage.binary import TimestampArray
from storage.database import Server, detect_server
from storage.levels import SECOND_US, WIDTH_US, Level, Stretch, coarser, cut, floor_to, merge
from storage.partitions import DAYS, MONTHS, YEARS, Parts, PartState, ensure_parts, list_parts, lock
from storage.queries import load

QUERIES = load("rollups")

TABLES: Mapping[Level, str] = {
    Level.RAW: "reading",
    Level.MINUTE: "reading_1m",
    Level.HOUR: "reading_1h",
    Level.DAY: "reading_1d",
}
ROLLED: tuple[Level, ...] = (Level.MINUTE, Level.HOUR, Level.DAY)
# A bucket is computed this long after its end: readings are on their way for a while, and each bucket once is cheapest.
SETTLE: Mapping[Level, timedelta] = {
    Level.MINUTE: timedelta(seconds=15),
    Level.HOUR: timedelta(minutes=2),
    Level.DAY: timedelta(minutes=10),
}
_PARTS: Mapping[Level, Parts] = {Level.MINUTE: MONTHS, Level.HOUR: YEARS}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR_US = WIDTH_US[Level.HOUR]
_DAY_US = WIDTH_US[Level.DAY]


@dataclass(frozen=True, slots=True)
class Budget:
    """How much one call may do. Each of its transactions stops after so many marks, slices or stored rows.

    A slice is at most an hour of readings, or a day of minutes or hours, of all series.
    """

    transactions: int = 50
    marks: int = 5_000
    slices: int = 48
    rows: int = 500_000


DEFAULT_BUDGET = Budget()


@dataclass(frozen=True, slots=True)
class RefreshReport:
    """What a refresh did: marks taken, buckets written or changed, and whether marks were left for the next call."""

    marks: int
    rows: int
    unfinished: bool


@dataclass(frozen=True, slots=True)
class Coverage:
    """What each level can answer for near a stretch of time; microseconds since 1970."""

    stale: Mapping[Level, Sequence[Stretch]]
    kept_from_us: Mapping[Level, int]


def mark_due(connection: Connection, readings: Sequence[Readings]) -> None:
    """Mark the stretches of these readings for the refresher, in the transaction that stores them.

    At most one row for each UTC hour that has readings, from the first to the last of them: a backfill of sparse days
    marks those days only, and two ingesters never wait for each other.
    """
    stored = [batch.ts_us for batch in readings if len(batch)]
    if stored:
        starts, ends = _by_hour(np.concatenate(stored) if len(stored) > 1 else stored[0])
        _mark(connection, Level.MINUTE, starts, ends)


def _by_hour(ts_us: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    first, last = ts_us.min(), ts_us.max()
    if first // _HOUR_US == last // _HOUR_US:
        return np.array([first]), np.array([last + 1])
    hours, place = np.unique(ts_us // _HOUR_US, return_inverse=True)
    starts, ends = (hours + 1) * _HOUR_US, hours * _HOUR_US
    np.minimum.at(starts, place, ts_us)
    np.maximum.at(ends, place, ts_us)
    return starts, ends + 1


def _mark(connection: Connection, level: Level, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> None:
    values = {"level": level, "from_ts": TimestampArray(starts), "to_ts": TimestampArray(ends)}
    connection.execute(QUERIES["mark_due"], values)


def refresh_rollups(
    connection: Connection, now: datetime, budget: Budget = DEFAULT_BUDGET, levels: Sequence[Level] = ROLLED
) -> RefreshReport:
    """Compute what is marked and over by ``now``, finest level first; several transactions, each of bounded size.

    ``connection`` is in autocommit mode. While another process refreshes, or retention drops, nothing is done.
    """
    if detect_server(connection) is Server.TIMESCALE:
        return _refresh_beyond_policies(connection, now, budget)
    _restore_partitions(connection)
    marks = rows = transactions = 0
    for level in levels:
        while transactions < budget.transactions:
            taken, stored = _refresh_some(connection, level, now, budget)
            if not taken:
                break
            marks, rows, transactions = marks + taken, rows + stored, transactions + 1
    return RefreshReport(marks, rows, unfinished=transactions >= budget.transactions)


def _restore_partitions(connection: Connection) -> None:
    """Attach again what a killed retention left apart: a late reading in it may have a mark that we are about to take.

    Retention keeps the lock while it works, so whoever gets it finds nothing but leftovers.
    """
    if detect_server(connection) is not Server.PLAIN:
        return
    with connection.transaction():
        if not _is_locked(connection):
            return
        for parts in (DAYS, *_PARTS.values()):
            left = [part for part in list_parts(connection, parts) if part.state is not PartState.ATTACHED]
            if left:
                lock(connection)
                ensure_parts(connection, parts, {_microseconds(part.first) // _DAY_US for part in left})


def _is_locked(connection: Connection) -> bool:
    row = connection.execute(QUERIES["try_lock"]).fetchone()
    return row is not None and bool(row[0])


def _refresh_some(connection: Connection, level: Level, now: datetime, budget: Budget) -> tuple[int, int]:
    """Take some marks and compute their buckets in one transaction; return how many marks and stored rows."""
    settled = _time(floor_to(_microseconds(now - SETTLE[level]), level))
    with connection.transaction():
        if not _is_locked(connection):
            return 0, 0
        asked = {"level": level, "settled": settled, "limit": budget.marks}
        marks = connection.execute(QUERIES["take_marks"], asked).fetchall()
        if not marks:
            return 0, 0
        connection.execute(QUERIES["allow_time"])
        slices, stored, done = _slices([(int(start), int(end)) for start, end in marks], level), 0, 0
        if level in _PARTS and detect_server(connection) is Server.PLAIN:
            ensure_parts(connection, _PARTS[level], {start // _DAY_US for start, _ in slices[: budget.slices]})
        for start, end in slices[: budget.slices]:
            if stored >= budget.rows:
                break
            values = {"from": _time(start), "to": _time(end)}
            stored += connection.execute(QUERIES[f"roll_{level}"], values).rowcount
            done += 1
        _mark_again(connection, level, slices[done:])
        above = coarser(level)
        if above is not None:
            _mark_again(connection, above, cut(merge(slices[:done], above), Level.DAY))
    return len(marks), stored


def _slices(marks: Sequence[Stretch], level: Level) -> list[Stretch]:
    """Return whole buckets of the level, joined and cut into slices of one step's work."""
    above = coarser(level)
    return cut(merge(marks, level), Level.DAY if above is None else above)


def _mark_again(connection: Connection, level: Level, stretches: Sequence[Stretch]) -> None:
    if stretches:
        starts, ends = np.array(stretches, np.int64).T
        _mark(connection, level, starts, ends)


def _refresh_beyond_policies(connection: Connection, now: datetime, budget: Budget) -> RefreshReport:
    """Refresh, by TimescaleDB's own means, what its policies do not reach; then take the marks away.

    What is older than the readings that are kept is left alone: computed anew from what came late, its buckets would
    lose what retention has dropped.
    """
    found = connection.execute(QUERIES["marks_beyond_policies"], {"limit": budget.marks}).fetchall()
    kept_us = known_levels(connection)[0][Level.RAW]
    stretches = [(max(int(start), kept_us), int(end)) for _, start, end in found if int(end) > kept_us]
    for level in ROLLED:
        settled = floor_to(_microseconds(now - SETTLE[level]), level)
        first_whole = -floor_to(-kept_us, level)
        for start, end in merge(stretches, level):
            bounds = max(start, first_whole), min(end, settled)
            if bounds[0] < bounds[1]:
                connection.execute(
                    QUERIES["refresh_aggregate"].format(
                        view=sql.Literal(TABLES[level]),
                        start=sql.Literal(_time(bounds[0])),
                        end=sql.Literal(_time(bounds[1])),
                    )
                )
    if found:
        connection.execute(QUERIES["forget_marks"], {"ids": [row[0] for row in found]})
    return RefreshReport(len(found), 0, unfinished=len(found) >= budget.marks)


def coverage(connection: Connection, start: datetime, end: datetime) -> Coverage:
    """Return what each level can answer for in [start, end): charts read the rest from a finer one."""
    kept_from, reach = known_levels(connection)
    rows = connection.execute(QUERIES["stale"], {"from": start, "to": end}).fetchall()
    marks: dict[Level, list[Stretch]] = {level: [] for level in ROLLED}
    for level, first, last in rows:
        marks[Level(level)].append((int(first), int(last)))
    stale: dict[Level, list[Stretch]] = {}
    behind: list[Stretch] = []
    for level in ROLLED:
        behind = merge([*behind, *marks[level], (reach[level], _FAR_US)], level)
        stale[level] = behind
    return Coverage(stale, kept_from)


# Later than any reading.
_FAR_US = 8_000_000_000 * SECOND_US


def known_levels(connection: Connection) -> tuple[dict[Level, int], dict[Level, int]]:
    """Return from when on each level is kept, and until when each rollup has been computed; microseconds since 1970."""
    rows = connection.execute(QUERIES["known"]).fetchall()
    kept_from = {Level(level): int(kept) for level, kept, _ in rows}
    reach = {Level(level): int(until) for level, _, until in rows if until is not None}
    return kept_from, reach


def waiting(connection: Connection) -> dict[Level, int]:
    """Return how many marks wait to be computed, by level."""
    return {Level(level): int(count) for level, count in connection.execute(QUERIES["waiting"]).fetchall()}


def _time(at_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=int(at_us))


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)
