"""The jobs process: rollups and retention go on, through kills and beside each other (SPEC E7)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest
from procrastinate.schema import SchemaManager

from runtime.clock import SystemClock
from runtime.embedded_postgres import EmbeddedPostgres
from runtime.jobs import make_app, run_jobs, sweep_jobs
from runtime.processes import PROCESSES
from runtime.settings import Settings
from storage.database import connect, migrate
from storage.job_schema import ForeignJobSchemaError, ensure_job_schema
from tests.api_builders import TestClock
from tests.ingest_builders import until
from tests.loops import in_a_loop_of_its_own
from tests.rollup_builders import (
    LATER,
    NOW,
    Row,
    assert_rolled_up,
    every,
    open_autocommit,
    refresh_everything,
    store,
    stored,
)

DAY = timedelta(days=1)


@pytest.fixture
def connection(database):
    yield from open_autocommit(database)


@contextmanager
def a_jobs_process(dsn: str) -> Iterator[subprocess.Popen]:
    """``python -m runtime jobs``, as the supervisor starts it."""
    environment = {
        **os.environ,
        "WEARSIGHT_DATABASE_URL": dsn,
        "WEARSIGHT_BROKER_URL": "mqtt://127.0.0.1:1",
        "PGAPPNAME": "wearsight-jobs",
    }
    process = subprocess.Popen([sys.executable, "-m", "runtime", "jobs"], env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def no_minute_is_marked(connection: psycopg.Connection) -> bool:
    """Whether the minutes are done; hours and days that they marked come every few minutes, longer than a test."""
    return connection.execute("select count(*) from rollup_due where level = '1m'").fetchone() == (0,)


def test_the_supervisor_starts_it():
    assert "jobs" in PROCESSES


def test_the_job_queue_has_its_schema_once(database, connection):
    shipped = ensure_job_schema(connection, NOW)
    assert shipped
    assert ensure_job_schema(connection, NOW) == []
    connection.execute("select count(*) from procrastinate_jobs")


def test_a_newer_library_has_only_its_new_files_run(connection):
    """The last file is taken for not yet run: it is run, alone; those of procrastinate may be run on their result."""
    shipped = ensure_job_schema(connection, NOW)
    connection.execute("delete from job_schema where file = %s", (shipped[-1],))
    try:
        assert ensure_job_schema(connection, NOW) == [shipped[-1]]
    except psycopg.errors.DuplicateFunction:
        # It was run indeed, and by its nature cannot be twice: all of it is taken back.
        assert connection.execute("select count(*) from job_schema").fetchone() == (len(shipped) - 1,)


def test_tables_of_somebody_elses_queue_are_not_touched(connection):
    connection.execute(SchemaManager.get_schema().encode())
    with pytest.raises(ForeignJobSchemaError, match="of its own"):
        ensure_job_schema(connection, NOW)


def test_two_processes_make_the_schema_once(database, connection):
    failures = []

    def make() -> None:
        try:
            with connect(database) as own:
                ensure_job_schema(own, NOW)
        except Exception as error:  # noqa: BLE001 - reported below
            failures.append(error)

    makers = [threading.Thread(target=make) for _ in range(3)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join(30)
    assert failures == []


def test_a_killed_jobs_process_is_followed_by_one_that_goes_on(database, connection):
    """SPEC E7: kill -9 at any moment, again and again, while readings come; at the end every bucket is right."""
    rows: list[Row] = []

    def is_well() -> bool:
        query = "select 1 from pg_stat_activity where application_name = 'wearsight-jobs'"
        return connection.execute(query).fetchone() is not None

    def computed() -> int:
        return len(stored(connection, "1m"))

    for days in (3, 2, 1):
        batch = every(20, NOW - days * DAY, 4_000, seed=days)
        rows += batch
        before = computed()
        with a_jobs_process(database) as process:
            until(is_well, "it runs")
            store(connection, batch)
            until(lambda before=before: computed() > before, "some minutes are computed")
            process.send_signal(signal.SIGKILL)
            process.wait(10)
        until(lambda: not is_well(), "the server has let go of the killed one's connections")
    with a_jobs_process(database) as process:
        until(is_well, "it runs")
        until(lambda: no_minute_is_marked(connection), "every minute is computed")
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    refresh_everything(connection)
    assert_rolled_up(connection, rows)


def test_asked_to_stop_after_the_database_has_gone_it_ends(tmp_path_factory):
    """A worker tells the database that it leaves; when there is none left to tell, it must leave all the same."""
    folder = tmp_path_factory.mktemp("jobs")
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "pg")
    try:
        dsn = server.start()
        migrate(dsn)
        with a_jobs_process(dsn) as process:
            with connect(dsn) as watching:
                watching.autocommit = True
                workers = "select count(*) from procrastinate_workers"
                until(lambda: _exists(watching) and watching.execute(workers).fetchone() == (1,), "it works")
            os.kill(server.pid, signal.SIGKILL)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
    finally:
        server.stop()


def _exists(connection: psycopg.Connection) -> bool:
    return connection.execute("select to_regclass('procrastinate_workers') is not null").fetchone() == (True,)


def test_two_jobs_processes_at_once_do_no_harm(database, connection):
    rows = every(20, NOW - 2 * DAY, 6_000)
    with a_jobs_process(database), a_jobs_process(database):
        for start in range(0, 6_000, 500):
            store(connection, rows[start : start + 500])
        until(lambda: no_minute_is_marked(connection), "every minute is computed")
    refresh_everything(connection)
    assert_rolled_up(connection, rows)


def test_it_stops_when_asked_and_runs_what_was_left_of_a_dead_worker(seeded):
    """Issue of the library: a killed worker's job stays 'doing', and its lock would stop every later one."""
    clock = TestClock(LATER)
    with connect(seeded) as connection:
        connection.autocommit = True
        ensure_job_schema(connection, NOW)
        store(connection, every(60, LATER - 200 * DAY, 10))
        connection.execute(
            "with dead as (insert into procrastinate_workers (last_heartbeat) values (now() - interval '1 hour')"
            " returning id)"
            " insert into procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args, status, worker_id)"
            """ select 'default', 'retention', 'retention', 'retention', '{"timestamp": 0}', 'doing', id from dead"""
        )
        in_a_loop_of_its_own(lambda: _sweep(seeded, clock))
        assert connection.execute("select status::text from procrastinate_jobs").fetchall() == [("todo",)]
        stop = threading.Event()
        settings = Settings(database_url=seeded, broker_url="mqtt://127.0.0.1:1")
        process = threading.Thread(target=run_jobs, args=(settings, _Waking(clock), stop))
        process.start()
        query = "select count(*) from procrastinate_jobs where task_name = 'retention'"
        until(lambda: connection.execute(query).fetchone() == (0,), "the job is done and deleted")
        stop.set()
        process.join(20)
        assert not process.is_alive()


class _Waking:
    """The time of day stands, seconds pass."""

    def __init__(self, clock: TestClock) -> None:
        self.now = clock.now
        self.monotonic_s = SystemClock().monotonic_s


async def _sweep(dsn: str, clock: TestClock) -> None:
    app = make_app(dsn, clock)
    async with app.open_async():
        await sweep_jobs(app)
