"""Series for people's eyes: reduced in the database to one row a pixel with every peak kept (SPEC E7).

The level fits the pixel: readings for minutes on the screen, days for years. What a rollup has not been computed for
yet, the newest minutes among it, is read from the finer levels, so a chart never waits for a job.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection

from storage.levels import WIDTH_US, Level, Piece, coarsest, cover, floor_to, wanted_level
from storage.queries import load
from storage.rollups import coverage

QUERIES = load("charts")

# Below this many readings a pixel, the readings themselves are sent.
RAW_PER_PIXEL = 4
# A silence longer than this many usual intervals is drawn as a break, not bridged by a line.
GAP_INTERVALS = 5.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


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
    pixel, ``ts`` that of the first, or the beginning of its bucket where a rollup was read. ``level`` is the coarsest
    that was read; from a rollup on, pixels are whole buckets, so that every figure is exact for its pixel.
    """

    ts: list[float]
    first: list[float | None]
    lowest: list[float | None]
    highest: list[float | None]
    last: list[float | None]
    raw: bool
    level: Level


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
    start_us, end_us = (start - _EPOCH) // _MICROSECOND, (end - _EPOCH) // _MICROSECOND
    known = coverage(connection, start, end)
    if start_us >= known.kept_from_us[Level.RAW]:
        times, values = readings(connection, series_id, start, end, RAW_PER_PIXEL * width + 1)
        if len(times) <= RAW_PER_PIXEL * width:
            columns = [np.asarray(values, dtype=np.float64)] * 4
            return _with_breaks(np.asarray(times, dtype=np.float64), columns, expected_interval_s, Level.RAW, raw=True)
    pixel_us = -(-(end_us - start_us) // width)
    pieces = cover(start_us, end_us, wanted_level(pixel_us), known.stale, known.kept_from_us)
    level = coarsest(pieces)
    # Whole buckets make a pixel, or the extremes of two pixels would be mixed.
    pixel_us = -(-pixel_us // WIDTH_US[level]) * WIDTH_US[level]
    ts, columns = _reduced(connection, series_id, pieces, floor_to(start_us, level), pixel_us)
    return _with_breaks(ts, columns, expected_interval_s, level, raw=False)


def _reduced(
    connection: Connection, series_id: int, pieces: Sequence[Piece], origin_us: int, pixel_us: int
) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
    """Read each piece from its level and join them into one row a pixel: times in ms; first, lowest, highest, last."""
    found: list[list[NDArray[np.float64]]] = []
    with connection.cursor(binary=True) as cursor:
        for piece in pieces:
            asked = {
                "series_id": series_id,
                "from": _time(piece.start_us),
                "to": _time(piece.end_us),
                "pixel": timedelta(microseconds=pixel_us),
                "origin": _time(origin_us),
            }
            row = cursor.execute(QUERIES[f"pixels_{piece.level}"], asked).fetchone()
            if row is not None and row[0]:
                found.append([np.asarray(column, dtype=np.float64) for column in row])
    if not found:
        return np.empty(0), [np.empty(0)] * 4
    ts, first, lowest, highest, last = (np.concatenate(column) for column in zip(*found, strict=True))
    # Pieces come in time order; a pixel that lies in two of them has a row from each.
    pixel = np.round(ts * 1000 - origin_us).astype(np.int64) // pixel_us
    begins = np.flatnonzero(np.diff(pixel, prepend=pixel[0] - 1))
    ends = np.append(begins[1:], len(pixel)) - 1
    extremes = [np.minimum.reduceat(lowest, begins), np.maximum.reduceat(highest, begins)]
    return ts[begins], [first[begins], *extremes, last[ends]]


def _time(at_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at_us)


def _with_breaks(
    ts: NDArray[np.float64],
    columns: list[NDArray[np.float64]],
    expected_interval_s: float | None,
    level: Level,
    *,
    raw: bool,
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
    return Columns(times.tolist(), first, lowest, highest, last, raw, level)
