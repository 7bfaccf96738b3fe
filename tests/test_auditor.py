"""The auditor: alarms are raised when the desk is dead, and each heart is watched by another (SPEC N4)."""

from __future__ import annotations

import threading
from pathlib import Path

from psycopg_pool import ConnectionPool

from runtime.auditor import AUDITOR, audit, run_auditor
from runtime.desk import watch_job
from runtime.processes import BEATING, PROCESSES
from storage import service_alarms
from storage.database import connect
from tests.escalation_builders import teams
from tests.services_builders import eventually
from tests.test_relay import SteppedClock
from tests.ticket_builders import MINUTE, NOW, a_report


def standing(pool: ConnectionPool) -> set[tuple[str, str]]:
    with pool.connection() as connection:
        return {(one.kind, one.subject) for one in service_alarms.page(connection, sites=None, open_only=True)}


def test_the_auditor_raises_what_a_dead_desk_cannot(pool: ConnectionPool, database: str, tmp_path: Path) -> None:
    with pool.connection() as connection:
        a_report(connection, teams(connection).house)
        service_alarms.beat(connection, "desk", NOW)
    clock = SteppedClock(NOW + 17 * MINUTE)
    with connect(database) as connection:
        connection.autocommit = True
        assert audit(connection, tmp_path, clock) == 2
        assert audit(connection, tmp_path, clock) == 0
    assert standing(pool) == {("process_silent", "desk"), ("escalation_late", "plant-1")}
    with pool.connection() as connection:
        kinds = connection.execute("select kind from outbox where kind like 'service%' order by kind").fetchall()
        assert kinds == [("service.escalation_late",), ("service.process_silent",)]
        assert service_alarms.beats(connection)[AUDITOR] == clock.now()


def test_the_desk_raises_that_the_auditor_is_silent(pool: ConnectionPool, tmp_path: Path) -> None:
    with pool.connection() as connection:
        service_alarms.beat(connection, AUDITOR, NOW)
    watch = watch_job(tmp_path)
    watch.run(pool, SteppedClock(NOW + MINUTE / 4))
    assert standing(pool) == set()
    watch.run(pool, SteppedClock(NOW + MINUTE))
    assert standing(pool) == {("process_silent", AUDITOR)}


def test_every_heart_is_in_a_process_that_there_is() -> None:
    assert set(BEATING.values()) <= set(PROCESSES)
    assert BEATING[AUDITOR] not in ("desk", "relay"), "who watches must not die with whom they watch"


def test_the_auditor_beats_again_after_its_database_was_away(
    pool: ConnectionPool, database: str, tmp_path: Path
) -> None:
    """Its connection is cut off between two rounds: the next round fails, the one after that has a new connection."""
    ended, clock = threading.Event(), SteppedClock(NOW)
    loop = threading.Thread(target=run_auditor, args=(database, tmp_path, clock, ended), kwargs={"every_s": 0.1})
    loop.start()

    def beat_at(moment: object) -> bool:
        with pool.connection() as connection:
            return service_alarms.beats(connection).get(AUDITOR) == moment

    try:
        assert eventually(lambda: beat_at(NOW))
        with pool.connection() as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
        clock.move(60)
        assert eventually(lambda: beat_at(clock.now()))
    finally:
        ended.set()
        loop.join(30)
    assert not loop.is_alive()
