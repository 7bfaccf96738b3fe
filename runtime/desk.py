"""The desk: evidence to predictions and tickets, tickets to engineers, and a watch on every clock.

Each job runs at its own pace in one loop. Work is claimed from the database, so the desk may die at any moment
and whatever it had not committed is done by the next.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from psycopg_pool import ConnectionPool

from domain.clock import Clock
from runtime.assessing import assess_due
from runtime.rounds import dispatch_round, sweep_round
from runtime.settings import Settings
from storage.database import open_pool

ASSESS_EVERY_S = 0.25
DISPATCH_EVERY_S = 5.0
SWEEP_EVERY_S = 5.0
# After an error a job rests, so that a database that is away is not asked a thousand times a second.
REST_AFTER_ERROR_S = 5.0
POOL_SIZE = 4

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


def _sweep(pool: ConnectionPool, clock: Clock) -> int:
    sweep_round(pool, clock.now())
    return 0


JOBS: tuple[Job, ...] = (
    Job("assess", ASSESS_EVERY_S, assess_due),
    Job("dispatch", DISPATCH_EVERY_S, _dispatch),
    Job("sweep", SWEEP_EVERY_S, _sweep),
)


def run_desk(settings: Settings, clock: Clock, stop: threading.Event) -> None:
    """Do the desk's jobs until ``stop`` is set."""
    with open_pool(str(settings.database_url), size=POOL_SIZE) as pool:
        run_jobs(JOBS, pool, clock, stop)


def run_jobs(jobs: tuple[Job, ...], pool: ConnectionPool, clock: Clock, stop: threading.Event) -> None:
    """Run each job when it is due. A job that fails is logged and rests; the others go on."""
    due_s = dict.fromkeys((job.name for job in jobs), clock.monotonic_s())
    while not stop.is_set():
        for job in jobs:
            if stop.is_set() or clock.monotonic_s() < due_s[job.name]:
                continue
            pause_s = _run_once(job, pool, clock)
            due_s[job.name] = clock.monotonic_s() + pause_s
        stop.wait(max(0.0, min(due_s.values()) - clock.monotonic_s()))


def _run_once(job: Job, pool: ConnectionPool, clock: Clock) -> float:
    """Run a job and return how many seconds it pauses."""
    try:
        return 0.0 if job.run(pool, clock) else job.every_s
    except Exception:  # noqa: BLE001 (the loop's top: one job's failure must not stop the others)
        _log.exception("desk job failed", job=job.name)
        return REST_AFTER_ERROR_S
