"""Readings: stored once each, however often they arrive, and read back in series-time order (SPEC E4, E6)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection

from domain.readings import Readings
from storage.binary import Float8Array, Int4Array, TimestampArray, copy_rows, read_copied
from storage.queries import load

QUERIES = load("readings")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COPY_CHUNK_BYTES = 128 * 1024
_NEVER = np.iinfo(np.int64).min


def copy_new(connection: Connection, readings: Readings) -> None:
    """Store readings that are known to be new, sorted by (series, time) for speed.

    Raises psycopg.errors.UniqueViolation when one exists after all; the transaction is then lost.
    """
    if not len(readings):
        return
    rows = memoryview(copy_rows(readings))
    with connection.cursor() as cursor, cursor.copy(QUERIES["copy_readings"]) as copy:
        for start in range(0, len(rows), _COPY_CHUNK_BYTES):
            copy.write(rows[start : start + _COPY_CHUNK_BYTES])


def insert(connection: Connection, readings: Readings) -> int:
    """Store those readings that are not there yet and return how many they were."""
    if not len(readings):
        return 0
    columns = {
        "series_id": Int4Array(readings.series_id),
        "ts": TimestampArray(readings.ts_us),
        "value": Float8Array(readings.value),
    }
    return connection.execute(QUERIES["insert_readings"], columns).rowcount


def newest_us(connection: Connection, series_ids: NDArray[np.int32]) -> dict[int, int]:
    """Return the time of each series' newest reading in microseconds since 1970; without readings it is left out."""
    rows = connection.execute(QUERIES["newest"], {"series_id": Int4Array(series_ids)}).fetchall()
    return {int(series_id): int(ts_us) for series_id, ts_us in rows}


def read_after(
    connection: Connection, series_ids: NDArray[np.int32], after_us: NDArray[np.int64], limit: int
) -> Readings:
    """Return the readings newer than ``after_us`` of each series, at most ``limit`` of each, in series-time order.

    ``after_us`` is microseconds since 1970, the smallest int64 for a series' whole history.
    """
    values = {
        "series_id": series_ids.tolist(),
        "after": ["-infinity" if ts == _NEVER else _time(ts).isoformat() for ts in after_us.tolist()],
        "limit": limit,
    }
    with connection.cursor() as cursor, cursor.copy(QUERIES["copy_readings_after"], values) as copy:
        return read_copied(b"".join(bytes(part) for part in copy))


def _time(ts_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=ts_us)
