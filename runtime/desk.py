"""The desk: evidence to predictions and tickets, tickets to engineers, and a watch on every clock.

Each job runs at its own pace in one loop. Work is claimed from the database, so the desk may die at any moment
and whatever it had not committed is done by the next.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog
from prometheus_client import Counter, Histogram
from psycopg import Connection
from psycopg_pool import ConnectionPool

from domain.clock import Clock
from runtime.assessing import assess_due
from runtime.measuring import disks, measured
from runtime.prioritising import prioritise_round
from runtime.rounds import dispatch_round, escalation_round, replan_round, sweep_round
from runtime.settings import Settings
from storage import evidence_packs, service_alarms
from storage.alarms import end_due_shelvings
from storage.database import open_pool
from storage.dispatching import How
from storage.lookups import fill_next_lookup
from storage.schedules import look_at_next_schedule

# One call takes at most so many pieces of work, then lets the desk's other jobs have their turn.
PIECES_PER_CALL = 50
WATCH_EVERY_S = 5.0
BEAT_EVERY_S = 5.0
# After an error a job rests, so that a database that is away is not asked a thousand times a second.
REST_AFTER_ERROR_S = 5.0
POOL_SIZE = 4

JOB_SECONDS = Histogram("wearsight_desk_job_seconds", "How long a round of the job took.", ["job"])
JOB_FAILURES = Counter("wearsight_desk_job_failures", "Rounds of the job that failed.", ["job"])

_log = structlog.get_logger()


# Does some work by a clock and returns how much it did.
Run = Callable[[ConnectionPool, Clock], int]


@dataclass(frozen=True, slots=True)
class Job:
    """Something the desk does again and again. ``run`` returns how much it did; after work it runs again at once."""

    name: str
    every_s: float
    run: Run


def _round(once: Callable[[ConnectionPool, datetime], object]) -> Run:
    """Make a job of a round over all there is: the next comes in its turn, whatever this one did."""

    def run(pool: ConnectionPool, clock: Clock) -> int:
        once(pool, clock.now())
        return 0

    return run


def _batch(some: Callable[[ConnectionPool, datetime], int]) -> Run:
    """Make a job of what takes a batch and says how much it did: the next batch follows at once."""
    return lambda pool, clock: some(pool, clock.now())


def _one_by_one(take: Callable[[Connection, datetime], bool]) -> Run:
    """Make a job of what takes one piece of work a transaction, until it says that there is none."""

    def run(pool: ConnectionPool, clock: Clock) -> int:
        for done in range(PIECES_PER_CALL):
            with pool.connection() as connection:
                if not take(connection, clock.now()):
                    return done
        return PIECES_PER_CALL

    return run


def _dispatch_urgent(pool: ConnectionPool, now: datetime) -> None:
    dispatch_round(pool, now, How.URGENT)


def _unshelve(pool: ConnectionPool, now: datetime) -> int:
    with pool.connection() as connection:
        return end_due_shelvings(connection, now)


# A round of dispatch is one assignment problem (SPEC X2); what cannot wait has a round of its own.
JOBS: tuple[Job, ...] = (
    Job("assess", 0.25, assess_due),
    Job("freeze", 1.0, _one_by_one(evidence_packs.freeze_next)),
    Job("look_up", 1.0, _one_by_one(fill_next_lookup)),
    Job("schedule", 5.0, _one_by_one(look_at_next_schedule)),
    Job("unshelve", 5.0, _batch(_unshelve)),
    Job("urgent", 1.0, _round(_dispatch_urgent)),
    Job("dispatch", 30.0, _round(dispatch_round)),
    Job("sweep", 5.0, _round(sweep_round)),
    Job("replan", 15.0, _batch(replan_round)),
    Job("escalate", 2.0, _batch(escalation_round)),
    Job("prioritise", 15.0, _round(prioritise_round)),
)


def watch_job(data_dir: Path) -> Job:
    """Return the job that raises and clears the service's own alarms."""

    def watch(pool: ConnectionPool, clock: Clock) -> int:
        with pool.connection() as connection:
            service_alarms.sweep(connection, clock.now(), disks(data_dir))
        return 0

    return Job("watch", WATCH_EVERY_S, watch)


def run_desk(settings: Settings, clock: Clock, stop: threading.Event) -> None:
    """Do the desk's jobs until ``stop`` is set."""
    jobs = (*JOBS, watch_job(settings.data_dir))
    with open_pool(str(settings.database_url), size=POOL_SIZE) as pool, measured(settings.data_dir, "desk"):
        run_jobs(jobs, pool, clock, stop)


def run_jobs(jobs: tuple[Job, ...], pool: ConnectionPool, clock: Clock, stop: threading.Event) -> None:
    """Run each job when it is due. A job that fails is logged and rests; the others go on.

    The desk's heart beats while every job's last round went well: a desk that fails at its work is not well.
    """
    due_s = dict.fromkeys((job.name for job in jobs), clock.monotonic_s())
    failing: set[str] = set()
    beat_s = clock.monotonic_s()
    while not stop.is_set():
        for job in jobs:
            if stop.is_set() or clock.monotonic_s() < due_s[job.name]:
                continue
            pause_s = _run_once(job, pool, clock, failing)
            due_s[job.name] = clock.monotonic_s() + pause_s
        if not failing and clock.monotonic_s() >= beat_s:
            beat_s = clock.monotonic_s() + (BEAT_EVERY_S if _beat(pool, clock) else REST_AFTER_ERROR_S)
        stop.wait(max(0.0, min(due_s.values()) - clock.monotonic_s()))


def _run_once(job: Job, pool: ConnectionPool, clock: Clock, failing: set[str]) -> float:
    """Run a job and return how many seconds it pauses."""
    began_s = clock.monotonic_s()
    try:
        pause_s = 0.0 if job.run(pool, clock) else job.every_s
    except Exception:  # noqa: BLE001 (the loop's top: one job's failure must not stop the others)
        _log.exception("desk job failed", job=job.name)
        JOB_FAILURES.labels(job.name).inc()
        failing.add(job.name)
        return REST_AFTER_ERROR_S
    failing.discard(job.name)
    JOB_SECONDS.labels(job.name).observe(clock.monotonic_s() - began_s)
    return pause_s


def _beat(pool: ConnectionPool, clock: Clock) -> bool:
    try:
        with pool.connection() as connection:
            service_alarms.beat(connection, "desk", clock.now())
    except Exception:  # noqa: BLE001 (a database that is away is the jobs' to report)
        return False
    return True
