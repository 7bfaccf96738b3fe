"""History: years of readings as columns, fast enough to be tried on again and again (SPEC D7).

A driver hands over the rows of a COPY one by one, and ten million rows are ten million calls. So the server packs the
rows of a stretch into one value, times and readings side by side in its binary format, and numpy reads that as it is.
A stretch is as long as about ``ROWS_AT_ONCE`` rows take: it begins with an hour and follows what the series sends.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection

from domain.readings import Readings
from storage.binary import POSTGRES_EPOCH_US
from storage.queries import load

QUERIES = load("history")

# 16 MB packed. The server's values end at 1 GB, which a series that suddenly sends 64 times as often does not reach.
ROWS_AT_ONCE = 1_000_000
FIRST_STRETCH = timedelta(hours=1)
GROWTH = 32
_HEADER_BYTES = 19
_FIELD = struct.Struct("!hi")  # fields of the row, bytes of the first; -1 is null
_PACKED = np.dtype([("ts", ">i8"), ("value", ">f8")])


def read_columns(connection: Connection, series_ids: Sequence[int], since: datetime, until: datetime) -> Readings:
    """Return the readings of these series from ``since`` until before ``until``, in series-time order.

    Memory: 20 bytes a row for the answer, and one stretch of ``ROWS_AT_ONCE`` rows beside it.
    """
    parts = list(stream_columns(connection, series_ids, since, until))
    if not parts:
        return Readings(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float64))
    return Readings(
        np.concatenate([part.series_id for part in parts]),
        np.concatenate([part.ts_us for part in parts]),
        np.concatenate([part.value for part in parts]),
    )


def stream_columns(
    connection: Connection, series_ids: Sequence[int], since: datetime, until: datetime
) -> Iterator[Readings]:
    """Give the same rows in parts of bounded size, each of one series, one after the other in series-time order."""
    for series_id in sorted(set(series_ids)):
        start, stretch = since, FIRST_STRETCH
        while start < until:
            stop = min(start + stretch, until)
            ts_us, value = _read_stretch(connection, series_id, start, stop)
            if len(ts_us):
                yield Readings(np.full(len(ts_us), series_id, np.int32), ts_us, value)
            start, stretch = stop, _next_stretch(stop - start, len(ts_us))


def _next_stretch(stretch: timedelta, rows: int) -> timedelta:
    return stretch * min(GROWTH, ROWS_AT_ONCE / max(rows, 1))


def _read_stretch(
    connection: Connection, series_id: int, since: datetime, until: datetime
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    asked = {"series_id": series_id, "since": since.isoformat(), "until": until.isoformat()}
    with connection.cursor() as cursor, cursor.copy(QUERIES["copy_packed"], asked) as copy:
        packed = b"".join(bytes(part) for part in copy)
    _, length = _FIELD.unpack_from(packed, _HEADER_BYTES)
    rows = np.frombuffer(packed, _PACKED, offset=_HEADER_BYTES + _FIELD.size, count=max(length, 0) // _PACKED.itemsize)
    return rows["ts"].astype(np.int64) + POSTGRES_EPOCH_US, rows["value"].astype(np.float64)
