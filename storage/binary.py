"""Numpy columns in PostgreSQL's binary formats: array parameters and COPY, without a Python object per value.

Building the bytes in numpy costs about 0.05 us a row, adapting Python lists 0.9 us.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.adapt import Dumper
from psycopg.pq import Format

from domain.readings import Readings

# PostgreSQL counts microseconds from 2000-01-01 UTC.
POSTGRES_EPOCH_US = 946_684_800_000_000
_COPY_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_COPY_TRAILER = b"\xff\xff"
_READING_ROW = np.dtype(
    [
        ("fields", ">i2"),
        ("n1", ">i4"),
        ("series_id", ">i4"),
        ("n2", ">i4"),
        ("ts", ">i8"),
        ("n3", ">i4"),
        ("value", ">f8"),
    ]
)


class BinaryArray:
    """One column as the bytes of a PostgreSQL array parameter."""

    __slots__ = ("encoded",)
    element_oid: ClassVar[int]
    element: ClassVar[np.dtype[np.void]]

    def __init__(self, column: NDArray[np.generic]) -> None:
        body = np.empty(len(column), self.element)
        body["length"] = self.element["value"].itemsize
        body["value"] = column
        # dimensions, has nulls, element type, length, lower bound
        header = np.array([1, 0, self.element_oid, len(column), 1], ">i4")
        self.encoded = header.tobytes() + body.tobytes()


class Int4Array(BinaryArray):
    """An ``int4[]`` parameter from an int32 column."""

    element_oid = 23
    element = np.dtype([("length", ">i4"), ("value", ">i4")])


class Int8Array(BinaryArray):
    """A ``bigint[]`` parameter from an int64 column."""

    element_oid = 20
    element = np.dtype([("length", ">i4"), ("value", ">i8")])


class Float8Array(BinaryArray):
    """A ``float8[]`` parameter from a float64 column."""

    element_oid = 701
    element = np.dtype([("length", ">i4"), ("value", ">f8")])


class TimestampArray(BinaryArray):
    """A ``timestamptz[]`` parameter from int64 microseconds since 1970 UTC."""

    element_oid = 1184
    element = np.dtype([("length", ">i4"), ("value", ">i8")])

    def __init__(self, ts_us: NDArray[np.int64]) -> None:
        super().__init__(ts_us - POSTGRES_EPOCH_US)


class _ArrayDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: BinaryArray) -> bytes:
        return obj.encoded


def _register(array: type[BinaryArray], array_oid: int) -> None:
    dumper = type(f"{array.__name__}Dumper", (_ArrayDumper,), {"oid": array_oid})
    psycopg.adapters.register_dumper(array, dumper)


_register(Int4Array, 1007)
_register(Int8Array, 1016)
_register(Float8Array, 1022)
_register(TimestampArray, 1185)


def copy_rows(readings: Readings) -> bytes:
    """Return the readings as the whole input of ``copy reading (series_id, ts, value) from stdin (format binary)``."""
    rows = np.empty(len(readings), _READING_ROW)
    rows["fields"], rows["n1"], rows["n2"], rows["n3"] = 3, 4, 8, 8
    rows["series_id"] = readings.series_id
    rows["ts"] = readings.ts_us - POSTGRES_EPOCH_US
    rows["value"] = readings.value
    return _COPY_HEADER + rows.tobytes() + _COPY_TRAILER


def read_copied(copied: bytes) -> Readings:
    """Return the readings of ``copy (select series_id, ts, value ...) to stdout (format binary)``, no nulls."""
    rows = np.frombuffer(copied, _READING_ROW, offset=len(_COPY_HEADER), count=_row_count(copied))
    return Readings(
        rows["series_id"].astype(np.int32),
        rows["ts"].astype(np.int64) + POSTGRES_EPOCH_US,
        rows["value"].astype(np.float64),
    )


def _row_count(copied: bytes) -> int:
    return (len(copied) - len(_COPY_HEADER) - len(_COPY_TRAILER)) // _READING_ROW.itemsize
