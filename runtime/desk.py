"""The desk: evidence to predictions and tickets, tickets to engineers, and a watch on every clock.

Each job runs at its own pace in one loop. Work is claimed from the database, so the desk may die at any moment
and whatever it had not committed is done by the next.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog
from prometheus_client import Counter, Histogram
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

ASSESS_EVERY_S = 0.25
FREEZE_EVERY_S = 1.0
UNSHELVE_EVERY_S = 5.0
LOOK_UP_EVERY_S = 1.0
SCHEDULE_EVERY_S = 5.0
# One call freezes or fills at most so many, then lets the desk's other work have its turn.
PACKS_PER_CALL = 50
LOOKUPS_PER_CALL = 50
SCHEDULES_PER_CALL = 50
# One assignment problem (SPEC X2); what cannot wait has a round of its own.
DISPATCH_EVERY_S = 30.0
URGENT_EVERY_S = 1.0
SWEEP_EVERY_S = 5.0
REPLAN_EVERY_S = 15.0
ESCALATE_EVERY_S = 2.0
PRIORITISE_EVERY_S = 15.0
WATCH_EVERY_S = 5.0
BEAT_EVERY_S = 5.0
# After an error a job rests, so that a database that is away is not asked a thousand times a second.
REST_AFTER_ERROR_S = 5.0
POOL_SIZE = 4

JOB_SECONDS = Histogram("wearsight_desk_job_seconds", "How long a round of the job took.", ["job"])
JOB_FAILURES = Counter("wearsight_desk_job_failures", "Rounds of the job that failed.", ["job"])

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Job:
    """Something the desk does again and again. ``run`` returns how much it did; after work it runs again at once."""

    name: str
    every_s: float
    run: Callable[[ConnectionPool, Clock], int]


def _dispatch(pool: ConnectionPool, clock: Clock) -> int:
    dispatch_round(pool, clock.now())
    return 0


def _dispatch_urgent(pool: ConnectionPool, clock: Clock) -> int:
    dispatch_round(pool, clock.now(), How.URGENT)
    return 0


def _sweep(pool: ConnectionPool, clock: Clock) -> int:
    sweep_round(pool, clock.now())
    return 0


def _escalate(pool: ConnectionPool, clock: Clock) -> int:
    return escalation_round(pool, clock.now())


def _prioritise(pool: ConnectionPool, clock: Clock) -> int:
    prioritise_round(pool, clock.now())
    return 0


def _freeze(pool: ConnectionPool, clock: Clock) -> int:
    for done in range(PACKS_PER_CALL):
        with pool.connection() as connection:
            if not evidence_packs.freeze_next(connection, clock.now()):
                return done
    return PACKS_PER_CALL


def _look_up(pool: ConnectionPool, clock: Clock) -> int:
    for done in range(LOOKUPS_PER_CALL):
        with pool.connection() as connection:
            if not fill_next_lookup(connection, clock.now()):
                return done
    return LOOKUPS_PER_CALL


def _schedule(pool: ConnectionPool, clock: Clock) -> int:
    for done in range(SCHEDULES_PER_CALL):
        with pool.connection() as connection:
            if not look_at_next_schedule(connection, clock.now()):
                return done
    return SCHEDULES_PER_CALL


def _unshelve(pool: ConnectionPool, clock: Clock) -> int:
    with pool.connection() as connection:
        return end_due_shelvings(connection, clock.now())


def _replan(pool: ConnectionPool, clock: Clock) -> int:
    return replan_round(pool, clock.now())


JOBS: tuple[Job, ...] = (
    Job("assess", ASSESS_EVERY_S, assess_due),
    Job("freeze", FREEZE_EVERY_S, _freeze),
    Job("look_up", LOOK_UP_EVERY_S, _look_up),
    Job("schedule", SCHEDULE_EVERY_S, _schedule),
    Job("unshelve", UNSHELVE_EVERY_S, _unshelve),
    Job("urgent", URGENT_EVERY_S, _dispatch_urgent),
    Job("dispatch", DISPATCH_EVERY_S, _dispatch),
    Job("sweep", SWEEP_EVERY_S, _sweep),
    Job("replan", REPLAN_EVERY_S, _replan),
    Job("escalate", ESCALATE_EVERY_S, _escalate),
    Job("prioritise", PRIORITISE_EVERY_S, _prioritise),
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
