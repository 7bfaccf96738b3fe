"""Series for people's eyes: reduced in the database to one row a pixel with every peak kept (SPEC E7)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection

from storage.queries import load

QUERIES = load("charts")

# Below this many readings a pixel, the readings themselves are sent.
RAW_PER_PIXEL = 4
# A silence longer than this many usual intervals is drawn as a break, not bridged by a line.
GAP_INTERVALS = 5.0


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """A series with where it belongs and its newest reading (equipment time)."""

    id: int
    device_id: int
    device: str
    asset_id: int
    site_id: str
    metric: str
    unit: str | None
    expected_interval_s: float | None
    last_at: datetime | None
    last_value: float | None


@dataclass(frozen=True, slots=True)
class Columns:
    """A chart, one row an index. ``ts`` is milliseconds since 1970; a row of None is a break in the line.

    Raw: every reading, its value in all four columns. Reduced: the first, lowest, highest and last reading of each
    pixel, ``ts`` that of the first.
    """

    ts: list[float]
    first: list[float | None]
    lowest: list[float | None]
    highest: list[float | None]
    last: list[float | None]
    raw: bool


def list_series(
    connection: Connection,
    *,
    asset_id: int | None = None,
    series_id: int | None = None,
    after: int = 0,
    limit: int = 50,
) -> list[SeriesRow]:
    """Return the series of an asset, or one series, with ids above ``after``."""
    asked = {"asset_id": asset_id, "series_id": series_id, "after": after, "limit": limit}
    return [SeriesRow(*row) for row in connection.execute(QUERIES["series"], asked)]


def readings(
    connection: Connection, series_id: int, start: datetime, end: datetime, limit: int
) -> tuple[list[float], list[float]]:
    """Return at most ``limit`` readings in [start, end): times in milliseconds since 1970, and values."""
    asked = {"series_id": series_id, "from": start, "to": end, "limit": limit}
    with connection.cursor(binary=True) as cursor:
        row = cursor.execute(QUERIES["readings"], asked).fetchone()
    return ([], []) if row is None else (row[0], row[1])


def chart(
    connection: Connection,
    series_id: int,
    start: datetime,
    end: datetime,
    width: int,
    expected_interval_s: float | None,
) -> Columns:
    """Return the series in [start, end) for ``width`` pixels: raw when few readings, else reduced."""
    times, values = readings(connection, series_id, start, end, RAW_PER_PIXEL * width + 1)
    if len(times) <= RAW_PER_PIXEL * width:
        columns = [np.asarray(values, dtype=np.float64)] * 4
        return _with_breaks(np.asarray(times, dtype=np.float64), columns, expected_interval_s, raw=True)
    pixel_s = (end - start).total_seconds() / width
    asked = {"series_id": series_id, "from": start, "to": end, "pixel_s": pixel_s}
    with connection.cursor(binary=True) as cursor:
        row = cursor.execute(QUERIES["reduced"], asked).fetchone() or ([], [], [], [], [])
    ts, lowest, highest, first, last = (np.asarray(column, dtype=np.float64) for column in row)
    return _with_breaks(ts, [first, lowest, highest, last], expected_interval_s, raw=False)


def _with_breaks(
    ts: NDArray[np.float64], columns: list[NDArray[np.float64]], expected_interval_s: float | None, *, raw: bool
) -> Columns:
    """Put a row of None into every silence, so that no line is drawn where nothing was measured."""
    steps = np.diff(ts)
    breaks = np.empty(0, dtype=np.int64)
    if len(steps) > 0:
        usual_ms = max(float(np.median(steps)), (expected_interval_s or 0.0) * 1000)
        breaks = np.flatnonzero(steps > GAP_INTERVALS * usual_ms) + 1
    times = np.insert(ts, breaks, (ts[breaks - 1] + ts[breaks]) / 2)
    first, lowest, highest, last = (
        [None if np.isnan(value) else float(value) for value in np.insert(column, breaks, np.nan)] for column in columns
    )
    return Columns(times.tolist(), first, lowest, highest, last, raw)
