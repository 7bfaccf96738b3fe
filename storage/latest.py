"""The newest reading of many series at once: what a wall of figures shows (SPEC E7).

A look into the index without a lower end in time reads every reading of the series on the index page, and a plan
without one opens every partition. So a few series tell since when most have spoken, and all are looked for in that
short stretch. Those that are silent there are looked for among the readings that have no rollup yet; those that are
silent there too have their newest reading on the last day that the rollups by day have of them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection, Cursor
from psycopg.rows import TupleRow

from storage.binary import Int4Array
from storage.database import Server, detect_server
from storage.queries import load

QUERIES = load("charts")

# So many series, spread over all, are looked for first; of those found, one in so many may be slower than the others.
SAMPLE = 64
_SLOW_ONE_IN = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class LatestReadings:
    """Series and their newest readings, one an index; ``ts`` is milliseconds since 1970. None without readings."""

    series_id: list[int]
    ts: list[float | None]
    value: list[float | None]


def latest_readings(
    connection: Connection,
    *,
    asset_id: int | None = None,
    sites: Collection[str] | None = None,
    after: int = 0,
    limit: int,
) -> LatestReadings:
    """Return the newest reading of the series with ids above ``after``, of one asset, of some sites, or of all.

    Readings must be stored as ingest does: with the mark of what is to be rolled up.
    """
    asked = {"asset_id": asset_id, "sites": None if sites is None else list(sites), "after": after, "limit": limit}
    is_plain = detect_server(connection) is Server.PLAIN
    with connection.cursor(binary=True) as cursor:
        if is_plain:
            return _by_stretches(cursor, asked)
        # TimescaleDB rolls up by itself, without marks.
        rows = cursor.execute(QUERIES["latest"], asked).fetchall()
    columns = zip(*rows, strict=True) if rows else ((), (), ())
    series_id, ts, value = (list(column) for column in columns)
    return LatestReadings(series_id, ts, value)


def _by_stretches(cursor: Cursor, asked: Mapping[str, object]) -> LatestReadings:
    (ids,) = _row(cursor, "latest_series", asked)
    wall = _Wall(np.asarray(ids, np.int32))
    # Read before the rollups are: a mark goes in the transaction that stores its rollup.
    (unrolled,) = _row(cursor, "unrolled_since", {})
    step = max(1, len(wall.ids) // SAMPLE)
    sample = _Wall(wall.ids[step // 2 :: step])
    _, days = _row(cursor, "last_days", {"ids": Int4Array(sample.ids)})
    usual = sorted(days)[len(days) // 2] if days else unrolled
    if usual is not None:
        sample.look(cursor, usual, _END_OF_TIME)
        since = sample.most_since()
        wall.look(cursor, since, _END_OF_TIME)
        wall.look(cursor, min(usual, unrolled or usual), since)
    wall.look_at_last_days(cursor)
    return wall.told()


class _Wall:
    """Series, by id ascending, and what was found of them; NaN for what was not found yet."""

    __slots__ = ("_ts", "_value", "ids")

    def __init__(self, ids: NDArray[np.int32]) -> None:
        self.ids = ids
        self._ts, self._value = np.full(len(ids), np.nan), np.full(len(ids), np.nan)

    def look(self, cursor: Cursor, start: datetime, end: datetime) -> None:
        """Look in [start, end) for those that were not found."""
        silent = self.ids[np.isnan(self._ts)]
        if len(silent) and start < end:
            self._take(*_row(cursor, "latest_within", {"ids": Int4Array(silent), "from": start, "to": end}))

    def look_at_last_days(self, cursor: Cursor) -> None:
        """Look for those that were not found on the last day that was rolled up of each."""
        silent = self.ids[np.isnan(self._ts)]
        ids, days = _row(cursor, "last_days", {"ids": Int4Array(silent)}) if len(silent) else ([], [])
        if days:
            # The ends are known before it is planned, so that it opens the partitions between them only.
            asked = {"ids": ids, "days": days, "from": min(days), "to": max(days) + _DAY}
            self._take(*_row(cursor, "latest_on_days", asked))

    def _take(self, ids: Sequence[int], seconds: Sequence[float], value: Sequence[float]) -> None:
        places = np.searchsorted(self.ids, np.asarray(ids, np.int32))
        # Seconds as a float are nearer to the microsecond that they were than to any other.
        self._ts[places] = np.round(np.asarray(seconds) * 1e6) / 1000
        self._value[places] = value

    def most_since(self) -> datetime:
        """Return a time since which most of those that were found have spoken; the end of time when none was."""
        found = np.sort(self._ts[~np.isnan(self._ts)])
        if not len(found):
            return _END_OF_TIME
        return _EPOCH + timedelta(milliseconds=math.floor(found[len(found) // _SLOW_ONE_IN]))

    def told(self) -> LatestReadings:
        """Return what was found as columns."""
        silent = np.isnan(self._ts)
        ts, value = self._ts.astype(object), self._value.astype(object)
        ts[silent] = value[silent] = None
        return LatestReadings(self.ids.tolist(), ts.tolist(), value.tolist())


def _row(cursor: Cursor, query: str, asked: Mapping[str, object]) -> TupleRow:
    """Return the one row of a query; a plan that is kept would open every partition, so none is."""
    row = cursor.execute(QUERIES[query], asked, prepare=False).fetchone()
    if row is None:
        raise ValueError(f"the query '{query}' returned no row, expected one")
    return row
