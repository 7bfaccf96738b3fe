"""Readings, partitions and checkpoints in the database (SPEC E4; ADR 24, 25)."""

from __future__ import annotations

import threading
from datetime import date, timedelta

import numpy as np
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.readings import Readings
from storage import checkpoints, partitions, readings
from storage.binary import copy_rows, read_copied
from storage.database import Server, connect, detect_server
from tests.ingest_builders import CLOCK, NOW, a_device, a_plant

NOW_US = int(NOW.timestamp()) * 1_000_000
DAY_US = 86_400_000_000
NEVER_US = np.iinfo(np.int64).min


def some(*rows: tuple[int, int, float]) -> Readings:
    series, ts, value = zip(*rows, strict=True) if rows else ((), (), ())
    return Readings(np.array(series, np.int32), np.array(ts, np.int64), np.array(value, np.float64))


def as_rows(found: Readings) -> list[tuple[int, int, float]]:
    return list(zip(found.series_id.tolist(), found.ts_us.tolist(), found.value.tolist(), strict=True))


@pytest.fixture
def connection(database):
    with connect(database) as opened:
        opened.autocommit = True
        partitions.ensure_partitions(opened, [NOW_US // DAY_US])
        yield opened


@pytest.fixture(params=["database", pytest.param("timescale_database", marks=pytest.mark.timescale)])
def either(request):
    """A connection to plain PostgreSQL and, where there is one, to TimescaleDB: one code path, the same results."""
    with connect(request.getfixturevalue(request.param)) as opened:
        opened.autocommit = True
        if partitions.needs_partitions(detect_server(opened)):
            partitions.ensure_partitions(opened, [NOW_US // DAY_US])
        yield opened


def test_columns_survive_the_binary_formats_exactly(either):
    """To the microsecond and to the last bit, by COPY and by array."""
    values = [0.1, -0.0, 5e-324, 1.7976931348623157e308, -273.15]
    rows = [(number, NOW_US + number, value) for number, value in enumerate(values, 1)]
    readings.copy_new(either, some(*rows))
    shifted = [(number + 10, ts, value) for number, ts, value in rows]
    assert readings.insert(either, some(*shifted)) == len(rows)
    series = np.arange(1, 16, dtype=np.int32)
    assert as_rows(readings.read_after(either, series, np.full(15, NEVER_US), 100)) == [*rows, *shifted]
    assert either.execute("select ts from reading where series_id = 3").fetchone() == (NOW + timedelta(microseconds=3),)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 2**52), st.floats(allow_nan=False)), max_size=30))
def test_the_copy_format_reads_back_what_was_written(rows):
    assert as_rows(read_copied(copy_rows(some(*rows)))) == rows


def test_inserting_twice_stores_once_and_the_first_value_stays(either):
    """SPEC E4."""
    assert readings.insert(either, some((1, NOW_US, 1.0), (2, NOW_US, 1.0))) == 2
    assert readings.insert(either, some((1, NOW_US, 9.0), (1, NOW_US + 1, 2.0))) == 1
    assert either.execute("select value from reading where series_id = 1 order by ts").fetchall() == [
        (1.0,),
        (2.0,),
    ]


def test_copying_what_is_there_is_refused_whole(either):
    readings.copy_new(either, some((1, NOW_US, 1.0)))
    with pytest.raises(psycopg.errors.UniqueViolation):
        readings.copy_new(either, some((1, NOW_US - 1, 1.0), (1, NOW_US, 1.0)))
    assert either.execute("select count(*) from reading").fetchone() == (1,)


def test_nothing_is_a_batch_too(either):
    readings.copy_new(either, some())
    assert readings.insert(either, some()) == 0
    assert readings.newest_us(either, np.empty(0, np.int32)) == {}


def test_the_newest_reading_of_each_series_is_found(either):
    readings.insert(either, some((1, NOW_US, 1.0), (1, NOW_US + 5, 1.0), (3, NOW_US + 1, 1.0)))
    assert readings.newest_us(either, np.array([1, 2, 3], np.int32)) == {1: NOW_US + 5, 3: NOW_US + 1}


def test_readings_are_read_after_each_series_own_time_and_bounded(either):
    readings.insert(either, some(*[(series, NOW_US + n, float(n)) for series in (1, 2) for n in range(10)]))
    found = readings.read_after(either, np.array([1, 2], np.int32), np.array([NOW_US + 7, NEVER_US]), 3)
    assert [(series, ts - NOW_US) for series, ts, _ in as_rows(found)] == [(1, 8), (1, 9), (2, 0), (2, 1), (2, 2)]


def test_a_partition_is_made_for_each_day_once(connection):
    """ADR 24: a leap day and both ends of a year too."""
    days = [(date(2024, 2, 29) - date(1970, 1, 1)).days, (date(2023, 12, 31) - date(1970, 1, 1)).days]
    days.append(days[1] + 1)
    partitions.ensure_partitions(connection, days)
    partitions.ensure_partitions(connection, days)
    assert partitions.existing_days(connection) == {*days, NOW_US // DAY_US}
    for day in days:
        last = day * DAY_US + DAY_US - 1
        assert readings.insert(connection, some((1, day * DAY_US, 1.0), (1, last, 1.0))) == 2
    assert connection.execute("select count(*) from reading_20240229").fetchone() == (2,)


def test_buckets_begin_at_the_same_times_on_every_server(either):
    """Weeks begin on Monday, as TimescaleDB has it."""
    found = either.execute(
        "select time_bucket(interval '7 days', ts), time_bucket(interval '15 minutes', ts)"
        " from (values (timestamptz '2026-03-04 08:07:30+00')) as given (ts)"
    ).fetchone()
    assert [one.isoformat() for one in found] == ["2026-03-02T00:00:00+00:00", "2026-03-04T08:00:00+00:00"]


@pytest.mark.timescale
def test_timescale_keeps_the_readings_in_a_hypertable_and_makes_its_own_chunks(timescale_database):
    """ADR 24. Columnstore is there under the full licence, and not asked for under Apache's."""
    with connect(timescale_database) as connection:
        server = detect_server(connection)
        assert server in (Server.TIMESCALE, Server.TIMESCALE_APACHE)
        readings.insert(connection, some((1, NOW_US, 1.0), (1, NOW_US - 3 * DAY_US, 2.0)))
        chunks = connection.execute(
            "select count(*) from timescaledb_information.chunks where hypertable_name = 'reading'"
        ).fetchone()
        assert chunks == (2,)
        policies = connection.execute(
            "select count(*) from timescaledb_information.jobs"
            " where hypertable_name = 'reading' and proc_name in ('policy_compression', 'policy_columnstore')"
        ).fetchone()
        assert policies == (1 if server is Server.TIMESCALE else 0,)


def test_a_day_without_partition_is_refused_by_the_database(connection):
    with pytest.raises(psycopg.errors.CheckViolation):
        readings.insert(connection, some((1, NOW_US + 30 * DAY_US, 1.0)))


def test_two_processes_that_make_the_same_partitions_do_not_collide(database, connection):
    days = list(range(20_000, 20_060))
    failures = []

    def make() -> None:
        try:
            with connect(database) as own:
                own.autocommit = True
                partitions.ensure_partitions(own, days)
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    makers = [threading.Thread(target=make) for _ in range(3)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join(30)
    assert failures == []
    assert set(days) <= partitions.existing_days(connection)


def test_only_plain_postgres_needs_partitions():
    assert [partitions.needs_partitions(server) for server in Server] == [server is Server.PLAIN for server in Server]


def test_a_fence_grows_with_each_owner_and_refuses_the_one_before(database, connection):
    """ADR 25."""
    first = checkpoints.take_fence(connection, "p", "one", NOW)
    checkpoints.hold_fence(connection, "p", first)
    second = checkpoints.take_fence(connection, "p", "two", NOW)
    assert second == first + 1
    with pytest.raises(checkpoints.FenceLostError, match="two"):
        checkpoints.hold_fence(connection, "p", first)
    with pytest.raises(checkpoints.FenceLostError, match="nobody"):
        checkpoints.hold_fence(connection, "q", 1)


def test_a_new_owner_waits_for_the_transaction_that_holds_the_fence(database, connection):
    """ADR 25: what a zombie is writing is finished before the successor reads."""
    fence = checkpoints.take_fence(connection, "p", "one", NOW)
    taken = threading.Event()

    def take() -> None:
        with connect(database) as other:
            checkpoints.take_fence(other, "p", "two", NOW)
        taken.set()

    with connection.transaction():
        checkpoints.hold_fence(connection, "p", fence)
        taker = threading.Thread(target=take)
        taker.start()
        assert not taken.wait(0.4)
    assert taken.wait(10)
    taker.join()


def test_states_are_saved_and_replaced_by_device(database, connection):
    with a_plant(database) as plant:
        devices = [a_device(plant, name) for name in ("a", "b")]
    checkpoints.take_fence(connection, "p", "one", NOW)
    checkpoints.save_states(connection, "p", "v1", {devices[0]: b"1", devices[1]: b"2"}, NOW)
    checkpoints.save_states(connection, "p", "v2", {devices[0]: b"3"}, NOW)
    checkpoints.save_states(connection, "p", "v2", {}, NOW)
    found = checkpoints.load_states(connection, "p", [*devices, 99])
    assert {one.device_id: (one.layout, one.state) for one in found} == {
        devices[0]: ("v2", b"3"),
        devices[1]: ("v1", b"2"),
    }


def test_an_ingester_tells_how_it_does_and_an_ousted_one_does_not(connection):
    fence = checkpoints.take_fence(connection, "p", "one", NOW)
    told = checkpoints.Beat("p", "one", NOW, None, 3, 1, False)
    checkpoints.beat(connection, fence, told)
    checkpoints.beat(connection, fence - 1, checkpoints.Beat("p", "zombie", CLOCK.now(), None, 0, 0, True))
    assert checkpoints.beats(connection) == [told]


def test_a_rolled_back_batch_leaves_nothing(either):
    with either.transaction(force_rollback=True):
        readings.copy_new(either, some((1, NOW_US, 1.0)))
    assert either.execute("select count(*) from reading").fetchone() == (0,)
