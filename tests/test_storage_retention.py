"""Retention: nothing goes before its rollups are there, nobody is stopped, a kill loses nothing (SPEC E7)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from domain.refusals import Refused
from ingest.worker import Worker
from storage import partitions
from storage.database import Server, connect, detect_server
from storage.levels import Level
from storage.partitions import PartState
from storage.policies import shipped_body
from storage.retention import apply_retention, usage
from storage.retention_policy import (
    RetentionPolicy,
    ensure_retention_policy,
    publish_retention,
    read_retention_policy,
    retention_in_force,
)
from storage.rollups import mark_due, refresh_rollups
from tests.api_builders import NORTH, Api, an_api
from tests.ingest_builders import CLOCK, ListSource, a_device, a_plant, telemetry, topic
from tests.rollup_builders import (
    LATER,
    NOW,
    assert_rolled_up,
    columns,
    every,
    open_autocommit,
    settle,
    store,
    stored,
    wait_until_blocked,
    wait_until_gone,
)

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
POLICY = read_retention_policy(shipped_body("retention"))
OLD = NOW - 100 * DAY


@pytest.fixture
def connection(database):
    yield from open_autocommit(database)


def keeping(**days: int | None) -> RetentionPolicy:
    levels = {"reading": Level.RAW, "reading_1m": Level.MINUTE, "reading_1h": Level.HOUR, "reading_1d": Level.DAY}
    return replace(POLICY, level_days={**POLICY.level_days, **{levels[name]: kept for name, kept in days.items()}})


def tables(connection: psycopg.Connection) -> set[str]:
    rows = connection.execute(r"select relname from pg_class where relkind = 'r' and relname ~ '^reading_.*\d{4}$'")
    return {name for (name,) in rows}


def name(at) -> str:
    return f"reading_{at:%Y%m%d}"


# The policy


def test_the_shipped_policy_keeps_each_level_as_long_as_the_finer_one():
    assert POLICY.level_days == {Level.RAW: 90, Level.MINUTE: 400, Level.HOUR: 1825, Level.DAY: None}
    assert read_retention_policy({"name": "retention", "days": POLICY.as_days()}) == POLICY


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"reading": 13}, "from 14 to"),
        ({"reading": 36_501}, "to 36500"),
        ({"reading": True}, "whole number"),
        ({"reading": 90.5}, "whole number"),
        ({"reading": "for ever"}, "whole number"),
        ({"reading": 401}, "at least as long"),
        ({"reading": "ever"}, "at least as long"),
        ({"reading_1d": 1824}, "at least as long"),
        ({"event": 0}, "from 1 to"),
        ({"receipt": 8}, "unknown: receipt"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_by_name(change: dict, said: str):
    body = shipped_body("retention")
    body["days"] = {**POLICY.as_days(), **change}
    with pytest.raises(Refused, match=said) as refused:
        read_retention_policy(body)
    assert refused.value.name == "invalid_policy"


def test_a_policy_without_a_field_is_refused():
    days = {key: kept for key, kept in POLICY.as_days().items() if key != "event"}
    for body in ({"name": "retention", "days": days}, {"name": "other", "days": POLICY.as_days()}, {}):
        with pytest.raises(Refused):
            read_retention_policy(body)


def test_the_version_published_last_is_in_force_and_tickets_keep_theirs(connection):
    assert retention_in_force(connection) == (None, POLICY)
    ensure_retention_policy(connection, NOW)
    ensure_retention_policy(connection, NOW)
    assert connection.execute("select version from policy where name = 'retention'").fetchall() == [(1,)]
    body = {"name": "retention", "days": {**POLICY.as_days(), "reading": 60}}
    published = publish_retention(connection, body, person_id=None, now=NOW)
    found, policy = retention_in_force(connection)
    assert (found, policy.level_days[Level.RAW]) == (published, 60)


# Partitions of plain PostgreSQL


def test_what_the_policy_keeps_no_longer_goes_and_its_rollups_stay(connection):
    rows = every(60, OLD, 100) + every(60, NOW - 90 * DAY, 100) + every(60, NOW - DAY, 100)
    store(connection, rows)
    settle(connection, NOW + DAY)
    report = apply_retention(connection, POLICY, NOW)
    assert report.dropped == [name(OLD)]
    assert report.waiting == []
    assert tables(connection) >= {name(NOW - 90 * DAY), name(NOW - DAY)}
    assert_rolled_up(connection, rows)
    kept = dict(connection.execute("select level, kept_from from level_kept where kept_from > '-infinity'").fetchall())
    assert kept == {"raw": (OLD + DAY).replace(hour=0)}
    assert apply_retention(connection, POLICY, NOW).dropped == []


def test_minutes_go_by_the_month_hours_by_the_year_and_days_by_the_row(connection):
    old = NOW.replace(year=NOW.year - 2)
    store(connection, every(600, old, 50) + every(600, NOW - DAY, 50))
    settle(connection)
    report = apply_retention(connection, keeping(reading_1h=400, reading_1d=400), LATER)
    assert report.dropped == [name(old), f"reading_1m_{old:%Y%m}", f"reading_1h_{old:%Y}"]
    assert report.deleted["reading_1d"] == 1
    assert [row[1].year for row in stored(connection, "1d")] == [NOW.year]


def test_readings_that_are_not_rolled_up_yet_stay(connection):
    """SPEC E7: nothing goes before its rollups are there."""
    rows = every(60, OLD, 100)
    store(connection, rows)
    report = apply_retention(connection, POLICY, NOW)
    assert (report.dropped, report.waiting) == ([], [name(OLD)])
    settle(connection)
    assert apply_retention(connection, POLICY, NOW).dropped == [name(OLD)]
    assert_rolled_up(connection, rows)


def test_readings_that_come_too_late_are_rolled_up_and_then_go(connection):
    """SPEC E6, E7: a day that was dropped is made again for them, and dropped again; no peak is lost."""
    store(connection, every(60, OLD, 10))
    settle(connection)
    apply_retention(connection, POLICY, NOW)
    store(connection, [(1, OLD + 5 * SECOND, 88.0), (2, OLD, 1.0)])
    assert apply_retention(connection, POLICY, NOW).waiting == [name(OLD)]
    settle(connection)
    assert apply_retention(connection, POLICY, NOW).dropped == [name(OLD)]
    assert tables(connection).isdisjoint({name(OLD)})
    assert [(row[0], row[2], row[5] == 88.0) for row in stored(connection, "1d")] == [(1, 10, True), (2, 1, False)]


def test_a_reading_that_slips_in_while_its_partition_leaves_brings_it_back(database, connection):
    """The refresher must see every reading whose mark it takes."""
    rows = every(60, OLD, 10)
    store(connection, rows)
    settle(connection)
    late = [(1, OLD + 5 * SECOND, 88.0)]
    failures: list[BaseException] = []

    def retain() -> None:
        try:
            with connect(f"{database} application_name=retention") as own:
                own.autocommit = True
                apply_retention(own, POLICY, NOW)
        except BaseException as error:  # noqa: BLE001 - reported below
            failures.append(error)

    with connect(database) as ingester:
        batch = columns(late)
        ingester.execute("insert into reading values (1, %s, 88)", (late[0][1],))
        thread = threading.Thread(target=retain)
        thread.start()
        wait_until_blocked(connection, "retention")
        mark_due(ingester, [batch])
        ingester.commit()
    thread.join(60)
    assert failures == []
    assert name(OLD) in tables(connection)
    settle(connection)
    assert_rolled_up(connection, rows + late)


def test_nobody_waits_while_a_partition_leaves(database, connection):
    """SPEC E7: a long reader holds retention up; ingest and charts go on."""
    store(connection, every(60, OLD, 10) + every(60, NOW, 10))
    settle(connection, NOW + DAY)
    with connect(database) as reader:
        reader.execute("select count(*) from reading").fetchone()
        process = a_retention(database)
        wait_until_blocked(connection, "retention")
        with connect(database) as other:
            other.autocommit = True
            other.execute("set statement_timeout = '2s'")
            store(other, [(1, NOW + 100 * SECOND, 5.0), (1, NOW + DAY, 5.0)])
            assert other.execute("select count(*) from reading where ts >= %s", (NOW,)).fetchone() == (12,)
    assert process.wait(30) == 0
    assert name(OLD) not in tables(connection)


def a_retention(dsn: str) -> subprocess.Popen:
    """A process of its own that applies the shipped policy once; its connection is called 'retention'."""
    code = (
        "import sys; from datetime import datetime; from storage.database import connect\n"
        "from storage.retention import apply_retention; from storage.retention_policy import retention_in_force\n"
        "with connect(sys.argv[1]) as connection:\n"
        "    connection.autocommit = True\n"
        "    apply_retention(connection, retention_in_force(connection)[1], datetime.fromisoformat(sys.argv[2]))\n"
    )
    environment = {**os.environ, "PGAPPNAME": "retention"}
    return subprocess.Popen([sys.executable, "-c", code, dsn, NOW.isoformat()], env=environment)


@pytest.fixture
def cut_off(database, connection) -> list[tuple]:
    """A retention that was killed while its partition was leaving; the rows that are in it."""
    rows = every(60, OLD, 10)
    store(connection, rows)
    settle(connection)
    with connect(database) as reader:
        reader.execute("select count(*) from reading").fetchone()
        process = a_retention(database)
        wait_until_blocked(connection, "retention")
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'retention'"
        )
        wait_until_gone(connection, "retention")
    assert {part.state for part in partitions.list_parts(connection, partitions.DAYS)} == {PartState.LEAVING}
    return rows


def test_the_next_run_finishes_what_a_killed_one_began(connection, cut_off):
    assert apply_retention(connection, POLICY, NOW).dropped == [name(OLD)]
    assert tables(connection).isdisjoint({name(OLD)})
    assert_rolled_up(connection, cut_off)


def test_ingest_takes_back_a_day_that_a_killed_run_left(connection, cut_off):
    """A late reading does not wait for the jobs process to come back."""
    late = [(1, OLD + 5 * SECOND, 88.0)]
    store(connection, late)
    settle(connection)
    assert_rolled_up(connection, cut_off + late)
    assert connection.execute("select count(*) from reading").fetchone() == (11,)


def test_the_refresher_takes_back_a_day_whose_late_reading_has_a_mark(connection, cut_off):
    late = [(1, OLD + 5 * SECOND, 88.0)]
    part = partitions.list_parts(connection, partitions.DAYS)[0]
    partitions.finish_detaching(connection, partitions.DAYS, part)
    connection.execute(f"insert into {name(OLD)} values (1, %s, 88)", (late[0][1],))
    mark_due(connection, [columns(late)])
    settle(connection)
    assert_rolled_up(connection, cut_off + late)


def test_ingest_goes_on_when_a_day_it_knew_is_gone(database):
    """The pipeline remembers which days have a partition; retention drops one behind its back."""
    with a_plant(database) as plant:
        a_device(plant, time_policy="recorded")
        day = NOW.replace(hour=0)
        source = ListSource([(topic(), telemetry(day, 1, t=1.0))])
        worker = Worker(lambda: connect(database), source, CLOCK, threading.Event())
        worker.step()
        assert plant.execute("select count(*) from reading").fetchone() == (1,)
        plant.execute("delete from rollup_due")
        assert apply_retention(plant, POLICY, NOW + 200 * DAY).dropped == [name(day)]
        following = ListSource([(topic(), telemetry(day + n * SECOND, n + 1, t=2.0)) for n in range(1, 4)])
        source.waiting = following.waiting
        worker.step()
        assert plant.execute("select count(*), min(value) from reading").fetchone() == (3, 2.0)
        assert plant.execute("select count(*) from quarantine").fetchone() == (0,)
        worker._close_pipeline()


# Rows of other tables


def test_rows_that_are_over_go_and_those_that_wait_stay(seeded):
    with connect(seeded) as connection:
        connection.autocommit = True
        a_plant(seeded).close()
        device_id = a_device(connection)
        asset_id = connection.execute("select asset_id from device where id = %s", (device_id,)).fetchone()[0]
        for number, received in enumerate((NOW - 1_826 * DAY, NOW - 1_824 * DAY)):
            connection.execute(
                "insert into event (device_id, asset_id, ts, kind, code, severity, fingerprint, received_at)"
                " values (%s, %s, %s, 'error', 'E1', 'info', %s, %s)",
                (device_id, asset_id, NOW, bytes([number]), received),
            )
        for number, (result, at) in enumerate((("stored", NOW - 31 * DAY), ("stored", NOW - DAY), (None, None))):
            connection.execute(
                "insert into quarantine (received_at, last_received_at, topic, payload, fingerprint, reason, detail,"
                " replayed_at, replay_result) values (%s, %s, 't', '', %s, 'r', 'd', %s, %s)",
                (NOW - 99 * DAY, NOW - 99 * DAY, bytes([number]), at, result),
            )
        connection.execute(
            "insert into idempotency select id, 'k' || n, '', 200, '{}', %s - n * interval '1 day'"
            " from person, generate_series(1, 3) as n where login = 'admin'",
            (NOW,),
        )
        for done in (NOW - 500 * DAY, None):
            connection.execute(
                "with sent as (insert into outbox (kind, body, created_at, due_at, done_at)"
                " values ('x', '{}', %s, %s, %s) returning id)"
                " insert into delivery_attempt select id, 1, 'inbox', %s, true, '' from sent",
                (NOW - 500 * DAY, NOW, done, NOW - 500 * DAY),
            )
        report = apply_retention(connection, POLICY, NOW)
        assert {table: report.deleted[table] for table in ("event", "stored_quarantine", "delivery_attempt")} == {
            "event": 1,
            "stored_quarantine": 1,
            "delivery_attempt": 1,
        }
        assert report.deleted["idempotency"] == 1
        counted = {
            table: connection.execute(f"select count(*) from {table}").fetchone()[0]
            for table in ("event", "quarantine", "delivery_attempt", "idempotency")
        }
        assert counted == {"event": 1, "quarantine": 2, "delivery_attempt": 1, "idempotency": 2}


# Over HTTP


@pytest.fixture
def api(pool: ConnectionPool) -> Iterator[Api]:
    with an_api(pool) as opened:
        yield opened


def test_the_policy_is_read_and_published_over_http(api: Api):
    told = api.get("/retention").json()
    assert told["id"] is None
    assert told["days"] == POLICY.as_days()
    assert [level["level"] for level in told["levels"]] == ["raw", "1m", "1h", "1d"]
    assert all(level["bytes"] >= 0 and level["kept_from"] is None for level in told["levels"])
    days = {**told["days"], "reading": 30}
    published = api.post("/retention", {"name": "retention", "days": days})
    assert published.status_code == 201, published.json()
    assert published.json()["days"] == days
    assert api.get("/retention").json()["id"] == published.json()["id"]


def test_a_policy_that_makes_no_sense_or_comes_from_one_site_is_refused_over_http(api: Api):
    days = POLICY.as_days()
    assert api.post("/retention", {"name": "retention", "days": {**days, "reading": 500}}).status_code == 422
    assert api.post("/retention", {"name": "retention", "days": {**days, "reading": "always"}}).status_code == 422
    assert api.post("/retention", {"name": "retention", "days": days}, "admin", NORTH).status_code == 403
    assert api.post("/retention", {"name": "retention", "days": days}, "planner").status_code == 403


def test_usage_tells_size_backlog_and_since_when_a_level_is_complete(connection):
    store(connection, every(60, OLD, 900))
    before = {level.level: level for level in usage(connection, POLICY)}
    assert before[Level.MINUTE].waiting == 15
    assert before[Level.RAW].bytes > 0
    settle(connection)
    apply_retention(connection, POLICY, NOW)
    after = {level.level: level for level in usage(connection, POLICY)}
    assert after[Level.RAW].bytes < before[Level.RAW].bytes
    assert after[Level.RAW].kept_from == (OLD + DAY).replace(hour=0)
    assert after[Level.MINUTE].kept_from is None
    assert after[Level.MINUTE].bytes > before[Level.MINUTE].bytes
    assert (after[Level.MINUTE].waiting, after[Level.HOUR].kept_days, after[Level.DAY].kept_days) == (0, 1825, None)


# TimescaleDB


@pytest.mark.timescale
def test_timescale_is_given_the_policy_and_keeps_more_than_its_refreshes_reach_back(timescale_database):
    with connect(timescale_database) as connection:
        connection.autocommit = True
        if detect_server(connection) is not Server.TIMESCALE:
            pytest.skip("this server has the Apache licence: no policies")
        for policy in (POLICY, POLICY, keeping(reading=60)):
            apply_retention(connection, policy, NOW)
            found = connection.execute(
                "select count(*), min((config ->> 'drop_after')::interval)"
                " from timescaledb_information.jobs where proc_name = 'policy_retention'"
            ).fetchone()
            assert found == (3, timedelta(days=policy.level_days[Level.RAW]))
        assert refresh_rollups(connection, NOW).marks == 0


@pytest.mark.timescale
def test_an_apache_server_drops_chunks_that_are_rolled_up(timescale_database):
    with connect(timescale_database) as connection:
        connection.autocommit = True
        if detect_server(connection) is not Server.TIMESCALE_APACHE:
            pytest.skip("this server has policies of its own")
        rows = every(60, OLD, 100)
        store(connection, rows)
        assert apply_retention(connection, POLICY, NOW).dropped == []
        settle(connection)
        assert len(apply_retention(connection, POLICY, NOW).dropped) == 1
        assert_rolled_up(connection, rows)
