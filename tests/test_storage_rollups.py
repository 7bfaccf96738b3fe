"""Rollups: right after any order of arrivals, refreshes and kills (SPEC E6, E7)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from datetime import datetime, timedelta

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.conninfo import make_conninfo

from domain.readings import Readings
from storage import partitions, readings, rollups
from storage.database import Server, _alembic, connect, detect_server, migrate
from storage.levels import WIDTH_US, Level, coarsest, cover, cut, finer, merge, wanted_level
from storage.rollups import Budget, mark_due, refresh_rollups
from tests.rollup_builders import (
    LATER,
    NOW,
    Row,
    assert_rolled_up,
    by_pandas,
    columns,
    every,
    open_autocommit,
    refresh_everything,
    settle,
    store,
    stored,
    us,
    wait_until_blocked,
    wait_until_gone,
)

HOUR, DAY, SECOND = timedelta(hours=1), timedelta(days=1), timedelta(seconds=1)
MINUTE_US, HOUR_US, DAY_US = (WIDTH_US[level] for level in (Level.MINUTE, Level.HOUR, Level.DAY))


@pytest.fixture
def connection(database):
    yield from open_autocommit(database)


@pytest.fixture(params=["database", pytest.param("timescale_database", marks=pytest.mark.timescale)])
def either(request):
    yield from open_autocommit(request.getfixturevalue(request.param))


def marks(connection: psycopg.Connection) -> list[tuple]:
    return connection.execute("select level, from_ts, to_ts from rollup_due order by level, from_ts").fetchall()


# The arithmetic of stretches


def test_stretches_are_widened_to_whole_buckets_and_joined():
    found = merge([(61, 62), (MINUTE_US + 1, MINUTE_US + 2), (3 * MINUTE_US, 4 * MINUTE_US)], Level.MINUTE)
    assert found == [(0, 2 * MINUTE_US), (3 * MINUTE_US, 4 * MINUTE_US)]
    assert cut([(HOUR_US - 5, HOUR_US + 5)], Level.HOUR) == [(HOUR_US - 5, HOUR_US), (HOUR_US, HOUR_US + 5)]


@pytest.mark.parametrize(
    ("pixel", "level"),
    [
        (SECOND, Level.RAW),
        (119 * SECOND, Level.RAW),
        (120 * SECOND, Level.MINUTE),
        (11 * HOUR, Level.HOUR),
        (2 * DAY, Level.DAY),
        (400 * DAY, Level.DAY),
    ],
)
def test_the_level_fits_the_pixel(pixel: timedelta, level: Level):
    assert wanted_level(pixel // timedelta(microseconds=1)) is level


stretches = st.lists(
    st.tuples(st.integers(0, 4 * DAY_US), st.integers(1, 30 * HOUR_US)).map(lambda one: (one[0], one[0] + one[1])),
    max_size=4,
)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 4 * DAY_US),
    st.integers(1, 5 * DAY_US),
    st.sampled_from(list(Level)),
    st.fixed_dictionaries(dict.fromkeys(Level, stretches)),
)
def test_every_moment_of_a_chart_is_answered_once_by_a_level_that_knows_it(start, length, level, stale):
    """SPEC E7. Each level is stale where a finer one is, as `coverage` has it."""
    known: dict[Level, list[tuple[int, int]]] = {Level.RAW: []}
    for one in (Level.MINUTE, Level.HOUR, Level.DAY):
        known[one] = merge([*known[finer(one)], *stale[one]], one)
    pieces = cover(start, start + length, level, known, dict.fromkeys(Level, 0))
    assert [piece.start_us for piece in pieces] == [start, *(piece.end_us for piece in pieces[:-1])]
    assert pieces[-1].end_us == start + length
    assert list(Level).index(coarsest(pieces)) <= list(Level).index(level)
    for piece in pieces:
        assert piece.start_us % WIDTH_US[piece.level] == piece.end_us % WIDTH_US[piece.level] == 0
        assert all(to <= piece.start_us or start >= piece.end_us for start, to in known[piece.level])


def test_what_a_level_no_longer_keeps_is_answered_by_the_next_in_whole_buckets():
    kept = {Level.RAW: 10 * HOUR_US + 7, Level.MINUTE: 0, Level.HOUR: 0, Level.DAY: 0}
    nothing = {level: [] for level in Level}
    pieces = cover(9 * HOUR_US + 5, 11 * HOUR_US, Level.RAW, nothing, kept)
    edge = 10 * HOUR_US + MINUTE_US
    assert [(piece.level, piece.start_us, piece.end_us) for piece in pieces] == [
        (Level.MINUTE, 9 * HOUR_US, edge),
        (Level.RAW, edge, 11 * HOUR_US),
    ]


# Marks


def test_a_batch_marks_each_hour_once_and_nothing_between(connection):
    """SPEC E6: a backfill of sparse days must not have everything between computed anew."""
    rows = [(1, NOW + 5 * SECOND, 1.0), (2, NOW + 9 * SECOND, 1.0), (1, NOW - 40 * DAY, 1.0)]
    mark_due(connection, [columns(rows[:2]), columns(rows[2:]), columns([])])
    micro = timedelta(microseconds=1)
    assert marks(connection) == [
        ("1m", NOW - 40 * DAY, NOW - 40 * DAY + micro),
        ("1m", NOW + 5 * SECOND, NOW + 9 * SECOND + micro),
    ]


def test_many_hours_in_one_batch_are_as_many_marks(connection):
    start = us(NOW) - us(NOW) % HOUR_US
    ts = start + np.arange(0, 48 * HOUR_US, 7 * MINUTE_US)
    mark_due(connection, [Readings(np.ones(len(ts), np.int32), ts, np.ones(len(ts)))])
    found = marks(connection)
    assert len(found) == 48
    assert all(us(first) // HOUR_US == (us(last) - 1) // HOUR_US for _, first, last in found)
    assert us(found[0][1]) == start
    assert us(found[-1][2]) == int(ts[-1]) + 1


def test_marks_go_with_the_transaction_that_did_not_store_its_readings(connection):
    with connection.transaction(force_rollback=True):
        mark_due(connection, [columns([(1, NOW, 1.0)])])
    assert marks(connection) == []


def test_ingesters_that_mark_the_same_hour_do_not_wait_for_each_other(database, connection):
    with connection.transaction():
        mark_due(connection, [columns([(1, NOW, 1.0)])])
        with connect(database) as other:
            other.execute("set statement_timeout = '2s'")
            mark_due(other, [columns([(1, NOW, 1.0)])])
    assert len(marks(connection)) == 2


# Refreshing


def test_rollups_say_what_the_readings_say_on_every_server(either):
    """SPEC E7: the same names, columns and results with and without TimescaleDB."""
    rows = every(20, NOW - 3 * DAY, 9_000) + every(613, NOW - 40 * DAY, 3_000, series=2)
    store(either, rows)
    refresh_everything(either)
    assert_rolled_up(either, rows)
    assert marks(either) == []


def test_a_bucket_is_computed_when_it_is_over_and_once(connection):
    """Not every ten seconds anew while it fills: ten thousand series would be read again each time."""
    store(connection, every(1, NOW, 60))
    refresh_rollups(connection, NOW + 59 * SECOND)
    assert stored(connection, "1m") == []
    refresh_rollups(connection, NOW + 80 * SECOND)
    assert [row[2] for row in stored(connection, "1m")] == [60]
    assert stored(connection, "1h") == []
    refresh_rollups(connection, NOW + HOUR + 3 * 60 * SECOND)
    assert [row[2] for row in stored(connection, "1h")] == [60]
    assert stored(connection, "1d") == []
    refresh_rollups(connection, NOW + DAY)
    assert [row[2] for row in stored(connection, "1d")] == [60]


def test_late_readings_reach_every_level(connection):
    """SPEC E6."""
    rows = every(30, NOW - 2 * DAY, 2_000)
    store(connection, rows)
    settle(connection)
    late = [(1, NOW - 2 * DAY + 7 * SECOND, 99.0), (1, NOW - 2 * DAY - 5 * SECOND, -99.0)]
    store(connection, late)
    settle(connection)
    assert_rolled_up(connection, rows + late)


def test_a_repeat_changes_nothing(connection):
    """SPEC E4. The table's own count of updates says that not a row was written again."""
    rows = every(30, NOW - DAY, 500)
    store(connection, rows)
    settle(connection)
    before = [connection.execute(f"select ctid, * from reading_{level}").fetchall() for level in ("1m", "1h", "1d")]
    store(connection, rows)
    settle(connection)
    after = [connection.execute(f"select ctid, * from reading_{level}").fetchall() for level in ("1m", "1h", "1d")]
    assert after == before
    assert_rolled_up(connection, rows)


@pytest.mark.parametrize("budget", [Budget(1, 1, 1, 1), Budget(3, 4, 2, 10)])
def test_a_small_budget_leaves_the_rest_for_the_next_call(connection, budget: Budget):
    rows = every(600, NOW - 2 * DAY, 200)
    store(connection, rows)
    first = refresh_rollups(connection, LATER, budget)
    assert first.unfinished
    assert marks(connection)
    for _ in range(1_000):
        if not refresh_rollups(connection, LATER, budget).unfinished:
            break
    assert_rolled_up(connection, rows)


def test_only_the_levels_asked_for_are_computed(connection):
    rows = every(600, NOW - 2 * DAY, 200)
    store(connection, rows)
    refresh_rollups(connection, LATER, levels=[Level.MINUTE])
    assert len(stored(connection, "1m")) == 200
    assert stored(connection, "1h") == []
    settle(connection)
    assert_rolled_up(connection, rows)


times = st.integers(0, 3 * 24 * 3600 - 1).map(lambda second: NOW - 3 * DAY + second * SECOND)
batches = st.lists(st.tuples(st.integers(1, 3), times, st.floats(-1e6, 1e6)), min_size=1, max_size=12)
steps = st.lists(
    st.one_of(batches, st.sampled_from([Budget(), Budget(1, 2, 1, 1)]), st.sampled_from(list(rollups.ROLLED))),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_any_order_of_arrivals_and_refreshes_ends_at_what_pandas_computes(connection, steps):
    """SPEC E6, E7."""
    for table in ("reading", "reading_1m", "reading_1h", "reading_1d", "rollup_due"):
        connection.execute(f"truncate {table}")
    kept: list[Row] = []
    for step in steps:
        if isinstance(step, Budget):
            refresh_rollups(connection, LATER, step)
        elif isinstance(step, Level):
            refresh_rollups(connection, LATER, levels=[step])
        else:
            store(connection, step)
            kept += step
    settle(connection)
    if kept:
        assert_rolled_up(connection, kept)


# Several at once, and kills


def test_refreshers_at_once_and_ingesters_between_them_end_right(database, connection):
    rows: list[Row] = []
    stop, failures = threading.Event(), []

    def refresh() -> None:
        try:
            with connect(database) as own:
                own.autocommit = True
                while not stop.is_set():
                    refresh_rollups(own, LATER, Budget(transactions=2, marks=3))
        except Exception as error:  # noqa: BLE001 - reported below
            failures.append(error)

    def ingest(series: int) -> None:
        try:
            with connect(database) as own:
                own.autocommit = True
                for start in range(0, 3_600, 60):
                    batch = every(1, NOW + start * SECOND, 60, series, seed=start)
                    store(own, batch)
                    rows.extend(batch)
        except Exception as error:  # noqa: BLE001 - reported below
            failures.append(error)

    refreshers = [threading.Thread(target=refresh) for _ in range(2)]
    ingesters = [threading.Thread(target=ingest, args=(series,)) for series in (1, 2)]
    for thread in refreshers + ingesters:
        thread.start()
    for thread in ingesters:
        thread.join(60)
    stop.set()
    for thread in refreshers:
        thread.join(60)
    settle(connection)
    assert failures == []
    assert len(rows) == 7_200
    assert_rolled_up(connection, rows)


def a_refresher(dsn: str, now: datetime = LATER) -> subprocess.Popen:
    """A process of its own that refreshes once; its connection is called 'refresher'."""
    code = (
        "import sys; from datetime import datetime; from storage.database import connect\n"
        "from storage.rollups import refresh_rollups\n"
        "with connect(sys.argv[1]) as connection:\n"
        "    connection.autocommit = True\n"
        "    refresh_rollups(connection, datetime.fromisoformat(sys.argv[2]))\n"
    )
    environment = {**os.environ, "PGAPPNAME": "refresher"}
    return subprocess.Popen([sys.executable, "-c", code, dsn, now.isoformat()], env=environment)


@pytest.mark.parametrize("table", ["reading_1m", "reading_1h", "reading_1d"])
def test_a_refresher_killed_in_the_middle_loses_nothing(database, connection, table: str):
    """SPEC E7. It stands in the middle of its transaction, its marks taken, when it dies."""
    rows = every(30, NOW - 2 * DAY, 3_000)
    store(connection, rows)
    with connect(database) as blocker:
        blocker.execute(f"lock table {table} in exclusive mode")
        refresher = a_refresher(database)
        wait_until_blocked(connection, "refresher")
        refresher.send_signal(signal.SIGKILL)
        refresher.wait(10)
    wait_until_gone(connection, "refresher")
    assert marks(connection)
    settle(connection)
    assert_rolled_up(connection, rows)


# Before there were rollups


def test_readings_that_were_there_before_the_rollups_are_marked_by_the_migration(postgres):
    from alembic import command

    with psycopg.connect(postgres, autocommit=True) as server:
        server.execute("create database before_rollups")
    dsn = make_conninfo(postgres, dbname="before_rollups")
    command.upgrade(_alembic(dsn), "0013")
    rows = every(600, NOW - 3 * DAY, 400)
    with connect(dsn) as connection:
        connection.autocommit = True
        batch = columns(rows)
        partitions.ensure_partitions(connection, set((batch.ts_us // DAY_US).tolist()))
        readings.insert(connection, batch)
        migrate(dsn)
        assert len(marks(connection)) == 4
        settle(connection)
        assert_rolled_up(connection, rows)
    with psycopg.connect(postgres, autocommit=True) as server:
        server.execute("drop database before_rollups with (force)")


# What retention has taken away


def test_a_late_reading_does_not_empty_the_bucket_of_readings_that_were_dropped(connection):
    """SPEC E6, E7: what is computed anew from the few that came late keeps the count, and gains the new peak."""
    old = NOW - 100 * DAY
    store(connection, every(1, old, 120))
    settle(connection)
    whole = by_pandas(every(1, old, 120), "1m")[0]
    connection.execute(f"drop table reading_{old:%Y%m%d}")
    store(connection, [(1, old + timedelta(seconds=30, milliseconds=5), 50.0)])
    settle(connection)
    kept = stored(connection, "1m")[0]
    assert kept[2:5] == pytest.approx(whole[2:5])
    assert kept[5] == 50.0
    assert kept[6:] == whole[6:]
    assert [row[2] for row in stored(connection, "1d")] == [120]
    assert [row[5] for row in stored(connection, "1d")] == [50.0]


# TimescaleDB


@pytest.mark.timescale
def test_timescale_refreshes_the_recent_by_policies_and_the_rest_by_marks(timescale_database):
    """The seven days that live devices may reach back are the policies'; older ones are marked."""
    with connect(timescale_database) as connection:
        connection.autocommit = True
        if detect_server(connection) is not Server.TIMESCALE:
            pytest.skip("this server has the Apache licence: no continuous aggregates")
        now = connection.execute("select now()").fetchone()[0]
        store(connection, [(1, now - timedelta(minutes=5), 1.0)])
        assert marks(connection) == []
        old = every(600, now - 30 * DAY, 500)
        store(connection, old)
        assert marks(connection)
        refresh_rollups(connection, now)
        assert marks(connection) == []
        assert [row[:3] for row in stored(connection, "1h")] == [row[:3] for row in by_pandas(old, "1h")]
        policies = connection.execute(
            "select count(*) from timescaledb_information.jobs where proc_name = 'policy_refresh_continuous_aggregate'"
        ).fetchone()
        assert policies == (3,)
