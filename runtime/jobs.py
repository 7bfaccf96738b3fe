"""The jobs process: what must be done again and again and is no one's request.

Rollups are a loop of their own, for every ten seconds is too often for jobs in a table; so is the auditor. The rest,
few and each worth keeping if a process dies, are jobs of procrastinate. Its worker is asynchronous, so that, and
nothing else here, is.
Two jobs processes may run at once: locks in the database keep them apart.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from functools import partial

import structlog
from procrastinate import App, PsycopgConnector, RetryStrategy
from psycopg import Connection

from domain.clock import Clock
from runtime.auditor import run_auditor
from runtime.learning import learn_from_closures
from runtime.measuring import measured
from runtime.remaining_life import tell_remaining_lives
from runtime.settings import Settings
from runtime.timekeeping import keep_time
from storage import service_alarms
from storage.backtest_queue import any_waiting, defer_run
from storage.database import connect
from storage.dispatching import count_first_time_fixes
from storage.job_schema import ensure_job_schema
from storage.levels import Level
from storage.retention import apply_retention
from storage.retention_policy import retention_in_force
from storage.rollups import ROLLED, Budget, refresh_rollups

# Minutes as they pass; late data moves hours and days seldom, and charts do not wait for them.
EVERY_S: Mapping[Level, float] = {Level.MINUTE: 10.0, Level.HOUR: 300.0, Level.DAY: 1800.0}
# Few transactions a call: between calls the loop listens for its end.
BUDGET = Budget(transactions=4)
REST_AFTER_ERROR_S = 5.0
BEAT_EVERY_S = 5.0
CONCURRENT_JOBS = 2
FINISH_WITHIN_S = 8.0
LEAVE_WITHIN_S = 1.0
LOOK_FOR_STOP_S = 0.2
KEEP_FAILED_H = 30 * 24
# A worker tells that it lives every ten seconds; one that has not for so long is dead, and its jobs are done again.
DEAD_AFTER_S = 60

_log = structlog.get_logger()


def run_jobs(settings: Settings, clock: Clock, stop: threading.Event) -> None:
    """Refresh rollups and do the periodic jobs until ``stop`` is set."""
    dsn = str(settings.database_url)
    with connect(dsn) as connection:
        fresh = ensure_job_schema(connection, clock.now())
    look_for_backtests(dsn)
    if fresh:
        _log.info("the job queue's schema is brought up to date", files=len(fresh), newest=fresh[-1])
    ended = threading.Event()
    loops = (
        threading.Thread(target=_roll, args=(dsn, clock, stop, ended), name="rollups"),
        threading.Thread(target=run_auditor, args=(dsn, settings.data_dir, clock, ended), name="auditor"),
    )
    for loop in loops:
        loop.start()
    try:
        with measured(settings.data_dir, "jobs"):
            asyncio.run(_serve(make_app(dsn, clock, stop), stop))
    finally:
        ended.set()
        for loop in loops:
            loop.join()
    if not stop.is_set():
        raise RuntimeError("the job queue's worker ended by itself; the lines above say why")


def _roll(dsn: str, clock: Clock, stop: threading.Event, ended: threading.Event) -> None:
    """Keep the rollups up to date. An error is logged and rested after; what was marked stays marked."""
    due_s = dict.fromkeys(ROLLED, clock.monotonic_s())
    connection: Connection | None = None
    beat_s = clock.monotonic_s()
    while not (stop.is_set() or ended.is_set()):
        try:
            if connection is None:
                connection = connect(dsn)
                connection.autocommit = True
            pause_s = _roll_once(connection, clock, due_s)
            if clock.monotonic_s() >= beat_s:
                service_alarms.beat(connection, "jobs", clock.now())
                beat_s = clock.monotonic_s() + BEAT_EVERY_S
        except Exception:  # noqa: BLE001 (the loop's top: logged, and the next round tries again)
            _log.exception("rollups failed")
            if connection is not None:
                connection.close()
            connection, pause_s = None, REST_AFTER_ERROR_S
        ended.wait(min(pause_s, 1.0))
    if connection is not None:
        connection.close()


def _roll_once(connection: Connection, clock: Clock, due_s: dict[Level, float]) -> float:
    """Refresh the levels that are due and return how long there is nothing to do, in seconds."""
    now_s = clock.monotonic_s()
    levels = [level for level in ROLLED if now_s >= due_s[level]]
    if levels:
        report = refresh_rollups(connection, clock.now(), BUDGET, levels)
        if report.unfinished:
            return 0.0
        for level in levels:
            due_s[level] = now_s + EVERY_S[level]
    return max(0.0, min(due_s.values()) - clock.monotonic_s())


def make_app(dsn: str, clock: Clock, stop: threading.Event | None = None) -> App:
    """Return the job queue with its jobs; times of day are UTC. Long ones end early when ``stop`` is set."""
    ending = stop or threading.Event()
    app = App(connector=PsycopgConnector(conninfo=dsn, min_size=1, max_size=CONCURRENT_JOBS + 2))

    for name, cron, work in PERIODIC:
        _repeat(app, name, cron, partial(work, dsn, clock))

    # The lock lets one run at a time. No lock on waiting: a dead worker's run must be able to come back beside another.
    @app.task(name="backtests", lock="backtests")
    def backtests() -> None:
        """Run the backtests that wait."""
        # Imported here: a jobs process without backtests does without detectors.
        from runtime.backtesting import run_waiting

        run_waiting(dsn, clock, ending)

    @app.periodic(cron="* * * * *")
    @app.task(name="sweep", queueing_lock="sweep")
    async def sweep(timestamp: int) -> None:
        """See `sweep_jobs`; and a backtest whose run was lost is run."""
        await sweep_jobs(app)
        await asyncio.to_thread(look_for_backtests, dsn)

    return app


def _repeat(app: App, name: str, cron: str, work: Callable[[], None]) -> None:
    """Do some work at its times of day, one at a time, and thrice if it fails."""

    @app.periodic(cron=cron)
    @app.task(name=name, lock=name, queueing_lock=name, retry=RetryStrategy(max_attempts=3, wait=60))
    def repeated(timestamp: int) -> None:
        work()


async def sweep_jobs(app: App) -> None:
    """Take the jobs of killed workers up again, whose locks stop all later ones; forget those that failed long ago."""
    jobs = app.job_manager
    for job in await jobs.get_stalled_jobs(seconds_since_heartbeat=DEAD_AFTER_S):
        _log.warning("a worker died over a job; it is done again", job=job.task_name, id=job.id)
        await jobs.retry_job(job)
    await jobs.prune_stalled_workers(DEAD_AFTER_S)
    await jobs.delete_old_jobs(KEEP_FAILED_H, include_failed=True, include_cancelled=True, include_aborted=True)


def look_for_backtests(dsn: str) -> None:
    """Put a run into the queue when a backtest is not done."""
    with connect(dsn) as connection:
        if any_waiting(connection):
            defer_run(connection)


def keep_what_the_policy_says(dsn: str, clock: Clock) -> None:
    """Apply the retention policy in force, once."""
    with connect(dsn) as connection:
        connection.autocommit = True
        _, policy = retention_in_force(connection)
        report = apply_retention(connection, policy, clock.now())
    _log.info("retention", dropped=report.dropped, waiting=report.waiting, deleted=report.deleted)


def count_what_held(dsn: str, clock: Clock) -> None:
    """Count anew which engineers' repairs held, once (SPEC X1)."""
    with connect(dsn) as connection:
        count_first_time_fixes(connection, clock.now())


# What is done again and again, and when.
PERIODIC: tuple[tuple[str, str, Callable[[str, Clock], None]], ...] = (
    ("retention", "17 * * * *", keep_what_the_policy_says),
    ("learning", "*/5 * * * *", learn_from_closures),
    ("remaining_life", "41 */3 * * *", tell_remaining_lives),
    ("timekeeping", "29 * * * *", keep_time),
    ("first_time_fixes", "37 * * * *", count_what_held),
)


async def _serve(app: App, stop: threading.Event) -> None:
    """Run the worker until ``stop`` is set, or until it ends by an error, which is raised."""
    async with app.open_async():
        worker = asyncio.create_task(
            app.run_worker_async(
                name="jobs",
                concurrency=CONCURRENT_JOBS,
                delete_jobs="successful",
                shutdown_graceful_timeout=FINISH_WITHIN_S,
                install_signal_handlers=False,
                stalled_worker_timeout=DEAD_AFTER_S,
            )
        )
        while not (stop.is_set() or worker.done()):
            await asyncio.sleep(LOOK_FOR_STOP_S)
        worker.cancel()
        # What a worker writes when it leaves may never be answered: the database may have gone first.
        await asyncio.wait([worker], timeout=FINISH_WITHIN_S + LEAVE_WITHIN_S)
        worker.cancel()
        if not stop.is_set():
            await worker
