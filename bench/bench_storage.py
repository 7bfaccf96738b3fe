"""Storage: charts, walls of figures and rollups on a year of data, beside the same read whole.

One database of the embedded server. One series at 1 Hz for a year: readings for two days, their rollups computed by
the service, and the year before as rollups made by SQL, as they would have been. Ten thousand series over three days
beside it, in the end over four hundred partitions. The ceilings: the same chart from readings alone, and the same table
read by one plain query.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from psycopg import Connection

from bench.rows import Row
from domain.readings import Readings
from runtime.embedded_postgres import EmbeddedPostgres
from storage import charts, partitions, rollups
from storage.database import connect, migrate
from storage.latest import latest_readings
from storage.levels import Level

NOW = datetime(2026, 3, 2, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
RAW_DAYS = 2
WIDTH = 800
MANY = 10_000
MANY_DAYS = 3
BAR_MS = 100.0
ONE = MANY + 1
# Latest readings once more, in a table of so many partitions: so many series have no reading in the newest, or none.
PARTITIONS = 400
SILENT, UNHEARD = 100, 50


def measure() -> list[Row]:
    """Fill a database and measure it; takes about two minutes."""
    folder = Path(tempfile.mkdtemp(prefix="ws-bench-", dir="/tmp"))
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "pg")
    try:
        dsn = server.start()
        migrate(dsn)
        with connect(dsn) as connection:
            connection.autocommit = True
            connection.execute("set statement_timeout = '10min'")
            rows = [_fill_many(connection), _fill_year(connection)]
            connection.execute("vacuum analyze")
            rows += [*_chart_rows(connection), _latest_row(connection, f"{MANY_DAYS} days"), _mark_row(connection)]
            _fill_partitions(connection)
            name = f"{PARTITIONS} days, {SILENT + UNHEARD} of them silent for months"
            return [*rows, _latest_row(connection, name, UNHEARD)]
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _fill_many(connection: Connection) -> Row:
    """Ten thousand series, a reading every fifteen minutes, in the order in which they arrive; rolled up."""
    _open_days(connection, MANY_DAYS + 1)
    connection.execute(
        "insert into reading select series, ts, random() from generate_series(%s::timestamptz, %s, '15 min') as ts,"
        " generate_series(1, %s) as series",
        (NOW - MANY_DAYS * DAY, NOW - HOUR, MANY),
    )
    connection.execute("analyze reading")
    connection.execute(
        "insert into calendar (id, name, time_zone) values ('day', 'Day', 'UTC');"
        "insert into site values ('north', 'North', 'day', 31, 120);"
        "insert into asset_type values ('motor', 'Motor', 'Motor');"
        "insert into asset (site_id, asset_type_id, tag, name, created_at) values ('north', 'motor', 'M', 'M', now());"
        "insert into device (site_id, name, asset_id, time_policy, created_at) values ('north', 'd', 1, 'live', now());"
        "insert into series (device_id, metric, created_at) select 1, 'm' || n, now() from generate_series(1, 10001) n"
    )
    _mark(connection, range(MANY_DAYS * 24))
    began = time.perf_counter()
    while rollups.refresh_rollups(connection, NOW + 2 * DAY).unfinished:
        pass
    took_s = time.perf_counter() - began
    count = _count(connection, "reading")
    read_s = _median_s(lambda: connection.execute("select sum(value) from reading").fetchone(), 3)
    return Row(
        name=f"storage: rollups of {MANY:,} series",
        value=count / took_s,
        unit="readings/s",
        ceiling=f"{count / read_s:,.0f} readings/s to add them up",
        ratio=read_s / took_s,
        bar=None,
    )


def _fill_year(connection: Connection) -> Row:
    """One series at 1 Hz: two days of readings that the service rolls up, and a year of rollups before them."""
    start = NOW - RAW_DAYS * DAY
    connection.execute(
        "insert into reading select %s, ts, sin(extract(epoch from ts) / 7000) + random()"
        " from generate_series(%s::timestamptz, %s, '1 second') as ts",
        (ONE, start, NOW - timedelta(seconds=1)),
    )
    _mark(connection, range(RAW_DAYS * 24))
    began = time.perf_counter()
    while rollups.refresh_rollups(connection, NOW + 2 * DAY).unfinished:
        pass
    took_s = time.perf_counter() - began
    first = int((NOW - 366 * DAY).timestamp()) // 86_400
    partitions.ensure_parts(connection, partitions.MONTHS, range(first, first + 367))
    partitions.ensure_parts(connection, partitions.YEARS, range(first, first + 367))
    for table, width, count in (("reading_1m", "1 minute", 60), ("reading_1h", "1 hour", 3_600)):
        connection.execute(
            f"insert into {table} select %s, ts, %s, 0, -random(), 1 + random(), 0, 1"  # noqa: S608 - two names of ours
            " from generate_series(%s::timestamptz, %s, %s::interval) as ts",
            (ONE, count, NOW - 365 * DAY, start - timedelta(minutes=1), width),
        )
    return Row(
        name="storage: rollups of one series at 1 Hz, two days",
        value=took_s,
        unit="s",
        ceiling="172,800 readings, beside 10,000 other series in the same partitions",
        ratio=1.0,
        bar=None,
    )


def _chart_rows(connection: Connection) -> list[Row]:
    spans = {"a year": 365 * DAY, "30 days": 30 * DAY, "2 days": 2 * DAY, "an hour": HOUR}
    rows = []
    raw_ms = 1000 * _median_s(lambda: _raw_chart(connection, 2 * DAY), 5)
    for name, span in spans.items():
        chart = charts.chart(connection, ONE, NOW - span, NOW, WIDTH, None)
        took_ms = 1000 * _median_s(lambda span=span: charts.chart(connection, ONE, NOW - span, NOW, WIDTH, None), 15)
        rows.append(
            Row(
                name=f"storage: chart of {name} of 1 Hz, read by {chart.level}, {len(chart.ts)} pixels",
                value=took_ms,
                unit="ms",
                ceiling=f"{raw_ms:.1f} ms for 2 days of it from readings",
                ratio=raw_ms / took_ms,
                bar=BAR_MS,
                bar_is_absolute=True,
            )
        )
    _check(connection)
    return rows


def _raw_chart(connection: Connection, span: timedelta) -> list[tuple[float, float]]:
    pixel = span / WIDTH
    return connection.execute(
        "select min(value), max(value) from reading where series_id = %s and ts >= %s and ts < %s"
        " group by date_bin(%s, ts, %s) order by min(ts)",
        (ONE, NOW - span, NOW, pixel, NOW - span),
    ).fetchall()


def _check(connection: Connection) -> None:
    """Peaks: the chart of two days from minutes is the chart of the readings, pixel by pixel."""
    chart = charts.chart(connection, ONE, NOW - 2 * DAY, NOW, WIDTH, None)
    pixel = timedelta(milliseconds=chart.ts[1] - chart.ts[0])
    rows = connection.execute(
        "select min(value), max(value) from reading where series_id = %s and ts >= %s"
        " group by date_bin(%s, ts, %s) order by min(ts)",
        (ONE, NOW - 2 * DAY, pixel, NOW - 2 * DAY),
    ).fetchall()
    if chart.level is not Level.MINUTE or [*zip(chart.lowest, chart.highest, strict=True)] != rows:
        raise AssertionError("the chart from rollups is not the chart of the readings")


def _fill_partitions(connection: Connection) -> None:
    """Before the three days a reading a day of each series; some of them then fall silent, some have never spoken."""
    oldest, newest = NOW - (PARTITIONS - 1) * DAY, NOW - (MANY_DAYS + 1) * DAY
    _open_days(connection, PARTITIONS - 1)
    connection.execute("delete from reading where series_id <= %s", (SILENT + UNHEARD,))
    connection.execute("delete from reading_1d where series_id <= %s", (SILENT + UNHEARD,))
    connection.execute(
        "insert into reading select series, ts, random() from generate_series(%s::timestamptz, %s, '1 day') as ts,"
        " generate_series(1, %s) as series where series > %s and (series > %s or ts < %s)",
        (oldest, newest, MANY, UNHEARD, UNHEARD + SILENT, NOW - 90 * DAY),
    )
    connection.execute(
        "insert into reading_1d select series_id, ts, 1, value, value, value, value, value from reading"
        " where series_id <= %s",
        (UNHEARD + SILENT,),
    )
    connection.execute("vacuum analyze")


def _latest_row(connection: Connection, stretch: str, unheard: int = 0) -> Row:
    found = latest_readings(connection, limit=MANY)
    if len(found.value) != MANY or found.value.count(None) != unheard:
        raise AssertionError("a series has no newest reading")
    took_ms = 1000 * _median_s(lambda: latest_readings(connection, limit=MANY), 15)
    whole_ms = 1000 * _median_s(
        lambda: connection.execute("select distinct on (series_id) value from reading order by series_id, ts desc"), 3
    )
    return Row(
        name=f"storage: latest readings of {MANY:,} series, {stretch}",
        value=took_ms,
        unit="ms",
        ceiling=f"{whole_ms:,.0f} ms by one query over the table",
        ratio=whole_ms / took_ms,
        bar=BAR_MS,
        bar_is_absolute=True,
    )


def _mark_row(connection: Connection) -> Row:
    """What the marks cost an ingest transaction of ten thousand readings."""
    ts = np.int64(NOW.timestamp() * 1e6) + np.arange(MANY, dtype=np.int64) * 1_000
    batch = Readings(np.arange(MANY, dtype=np.int32), ts, np.ones(MANY))
    return Row(
        name="storage: marking a batch of 10,000 readings for the rollups",
        value=1e6 * _median_s(lambda: _mark_and_forget(connection, batch), 50),
        unit="us",
        ceiling="in a transaction that is rolled back",
        ratio=1.0,
        bar=None,
    )


def _mark_and_forget(connection: Connection, batch: Readings) -> None:
    with connection.transaction(force_rollback=True):
        rollups.mark_due(connection, [batch])


def _open_days(connection: Connection, days: int) -> None:
    today = int(NOW.timestamp()) // 86_400
    partitions.ensure_partitions(connection, range(today - days, today + 1))


def _mark(connection: Connection, hours: range) -> None:
    last = int(NOW.timestamp()) * 1_000_000
    for hour in hours:
        ts = np.array([last - hour * 3_600_000_000 - 3_600_000_000, last - hour * 3_600_000_000 - 1], np.int64)
        rollups.mark_due(connection, [Readings(np.ones(2, np.int32), ts, np.ones(2))])


def _count(connection: Connection, table: str) -> int:
    row = connection.execute(f"select count(*) from {table}").fetchone()  # noqa: S608 - a name of ours
    return 0 if row is None else int(row[0])


def _median_s(work: Callable[[], object], times: int) -> float:
    """Return the median wall time of several runs, in seconds."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)
