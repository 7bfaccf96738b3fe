"""Builders for the tests of rollups, retention and charts: readings stored as ingest does, and what they sum to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from psycopg import Connection

from domain.readings import Readings
from storage import partitions, readings, rollups
from storage.database import Server, connect, detect_server
from tests.ingest_builders import until

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
DAY_US = 86_400_000_000
LATER = NOW + timedelta(days=30)
TABLES = {"1m": "reading_1m", "1h": "reading_1h", "1d": "reading_1d"}
WIDTHS = {"1m": "1min", "1h": "1h", "1d": "1D"}
Row = tuple[int, datetime, float]


def us(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000)


def columns(rows: Sequence[Row]) -> Readings:
    return Readings(
        np.array([row[0] for row in rows], np.int32),
        np.array([us(row[1]) for row in rows], np.int64),
        np.array([row[2] for row in rows], np.float64),
    )


def store(connection: Connection, rows: Sequence[Row]) -> None:
    """What ingest does: days opened, readings and marks in one transaction, repeats harmless."""
    batch = columns(rows)
    if partitions.needs_partitions(detect_server(connection)):
        partitions.ensure_partitions(connection, set((batch.ts_us // DAY_US).tolist()))
    with connection.transaction():
        readings.insert(connection, batch)
        rollups.mark_due(connection, [batch])


def every(seconds: float, start: datetime, count: int, series: int = 1, seed: int = 0) -> list[Row]:
    """Readings at equal intervals, with noise."""
    values = np.random.default_rng(seed).standard_normal(count)
    return [(series, start + timedelta(seconds=seconds * n), float(values[n])) for n in range(count)]


def settle(connection: Connection, now: datetime = LATER) -> None:
    """Refresh until nothing is left to do."""
    while rollups.refresh_rollups(connection, now).unfinished:
        pass


def by_pandas(rows: Sequence[Row], level: str) -> list[tuple]:
    """The same rollup, computed by somebody else."""
    frame = pd.DataFrame(rows, columns=["series_id", "ts", "value"]).drop_duplicates(["series_id", "ts"], keep="first")
    frame["ts"] = pd.to_datetime(frame["ts"], utc=True)
    frame = frame.sort_values(["series_id", "ts"])
    buckets = frame.groupby(["series_id", frame["ts"].dt.floor(WIDTHS[level])])["value"]
    found = buckets.agg(["count", "sum", "min", "max", "first", "last"]).reset_index()
    return [
        (int(row[0]), row[1].to_pydatetime(), int(row[2]), *(float(one) for one in row[3:]))
        for row in found.itertuples(index=False)
    ]


def stored(connection: Connection, level: str) -> list[tuple]:
    rows = connection.execute(
        "select series_id, bucket, n::bigint, s, lo, hi, first_value, last_value"
        f" from {TABLES[level]} order by series_id, bucket"
    )
    return list(rows)


def assert_rolled_up(connection: Connection, rows: Sequence[Row]) -> None:
    """Every level says what pandas says; sums may differ in the last bits, because addition has no order here."""
    for level in TABLES:
        found, expected = stored(connection, level), by_pandas(rows, level)
        assert [row[:3] + row[4:] for row in found] == [row[:3] + row[4:] for row in expected], level
        assert [row[3] for row in found] == pytest.approx([row[3] for row in expected], rel=1e-9, abs=1e-9), level


def open_autocommit(dsn: str) -> Iterator[Connection]:
    with connect(dsn) as opened:
        opened.autocommit = True
        yield opened


def refresh_everything(connection: Connection) -> None:
    """Bring all rollups up to date, by our own means or by TimescaleDB's; no policy is waited for."""
    if detect_server(connection) is Server.TIMESCALE:
        for table in TABLES.values():
            connection.execute(f"call refresh_continuous_aggregate('{table}', null, null)")
    settle(connection)


def wait_until_blocked(connection: Connection, application: str) -> None:
    """Wait until a process of this name waits for a lock."""
    query = "select 1 from pg_stat_activity where application_name = %s and wait_event_type = 'Lock'"
    until(lambda: connection.execute(query, (application,)).fetchone(), f"{application} waits for a lock")


def wait_until_gone(connection: Connection, application: str) -> None:
    """Wait until the server has noticed that a killed process is gone: only then its locks are."""
    query = "select 1 from pg_stat_activity where application_name = %s"
    until(lambda: connection.execute(query, (application,)).fetchone() is None, f"{application} is gone")
