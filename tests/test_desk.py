"""The desk's loop: jobs at their own pace, one job's failure is not the others' (SPEC N4)."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from psycopg_pool import ConnectionPool

from domain.clock import Clock
from runtime.clock import SystemClock
from runtime.desk import JOBS, Job, run_desk, run_jobs
from runtime.relay import run_relay
from runtime.settings import Settings
from storage.outbox import backlog, inbox
from storage.tickets import ticket_row
from tests.ticket_builders import NOW, a_device_ticket, a_house


class SteppedClock:
    """Moves on by itself a little whenever it is read, so that a loop over it is quick."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def monotonic_s(self) -> float:
        self.seconds += 0.01
        return self.seconds


def test_each_job_runs_at_its_pace_and_a_failing_one_stops_no_other(pool: ConnectionPool) -> None:
    stop, runs = threading.Event(), {"busy": 0, "slow": 0, "broken": 0}

    def job(name: str, *, more: int = 0, breaks: bool = False) -> Job:
        def run(_pool: ConnectionPool, _clock: Clock) -> int:
            runs[name] += 1
            if runs["busy"] >= 40:
                stop.set()
            if breaks:
                raise RuntimeError("planted")
            return more

        return Job(name, 1.0, run)

    run_jobs((job("broken", breaks=True), job("slow"), job("busy", more=1)), pool, SteppedClock(), stop)
    assert runs["busy"] == 40
    assert 1 <= runs["slow"] < runs["busy"]
    assert runs["broken"] >= 1


def test_the_desk_assesses_before_it_dispatches() -> None:
    names = [job.name for job in JOBS]
    assert names.index("assess") < names.index("dispatch") < names.index("sweep")


def test_a_round_is_every_thirty_seconds_and_what_cannot_wait_is_looked_for_every_second() -> None:
    """SPEC X2."""
    assert {job.name: job.every_s for job in JOBS if job.name in ("urgent", "dispatch")} == {
        "urgent": 1.0,
        "dispatch": 30.0,
    }


def test_desk_and_relay_bring_a_ticket_to_its_engineer(pool: ConnectionPool, database: str, broker: str) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
    settings = Settings(database_url=database, broker_url=broker)
    stop, clock = threading.Event(), SystemClock()
    loops = [threading.Thread(target=run, args=(settings, clock, stop)) for run in (run_desk, run_relay)]
    for loop in loops:
        loop.start()
    try:
        for _ in range(300):
            with pool.connection() as connection:
                told = inbox(connection, house.near.person_id or 0)
                if told and backlog(connection).waiting == 0:
                    break
            stop.wait(0.1)
    finally:
        stop.set()
        for loop in loops:
            loop.join(30)
    assert not any(loop.is_alive() for loop in loops)
    assert "D000001" in told[0].text_en
    with pool.connection() as connection:
        assert ticket_row(connection, code).assignee_name == "Near"
