"""Nothing lost, nothing doubled: kills, outages and poison, with real processes and servers (SPEC E4, E5)."""

from __future__ import annotations

import dataclasses
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ingest.quarantine_reasons import Reason
from ingest.source import Message
from ingest.worker import Worker
from runtime.announcing import NOTIFY_SOCKET, Announcements
from runtime.clock import SystemClock
from runtime.embedded_postgres import EmbeddedPostgres
from runtime.ingesting import run_ingest
from runtime.settings import Settings
from storage.database import connect, migrate
from tests.ingest_builders import (
    CLOCK,
    NOW,
    PARTITION,
    QUICK,
    Line,
    ListSource,
    a_device,
    a_plant,
    a_publisher,
    a_rule,
    an_ingester,
    fresh_client_id,
    ms,
    telemetry,
    topic,
    until,
)

REPOSITORY = Path(__file__).parent.parent
SECOND = timedelta(seconds=1)
_numbers = itertools.count(1)


def count(connection, table="reading") -> int:
    return connection.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(table))).fetchone()[0]


def test_from_the_broker_to_committed_rows(database, broker):
    """SPEC E3, E4: published at QoS 1, stored once, in quarantine where it must, acknowledged."""
    start = CLOCK.now() - timedelta(hours=1)
    with a_plant(database) as plant, a_publisher(broker) as publisher:
        a_device(plant)
        client_id = fresh_client_id()
        with an_ingester(database, broker, client_id):
            messages = [(topic(), telemetry(start + n * SECOND, n, t=float(n))) for n in range(500)]
            publisher.send([*messages, *messages[:50], (topic(), b"rubbish"), (topic(kind="state"), b"online")])
            until(lambda: (count(plant), count(plant, "quarantine")) == (500, 1), "all are stored")
            until(lambda: plant.execute("select online from device").fetchone()[0], "online")
        with an_ingester(database, broker, client_id) as again:
            time.sleep(0.5)
            assert again.source.queued == 0
        assert (count(plant), count(plant, "sequence_gap")) == (500, 0)


def test_a_device_registered_while_ingest_runs_gets_its_quarantined_data_by_replay(database, broker):
    """SPEC E2: no restart."""
    from storage.quarantine import request_replay

    start = CLOCK.now() - timedelta(hours=1)
    with a_plant(database) as plant, a_publisher(broker) as publisher, an_ingester(database, broker):
        publisher.send([(topic("m9"), telemetry(start + n * SECOND, n)) for n in range(20)])
        until(lambda: count(plant, "quarantine") == 20, "quarantined")
        a_device(plant, "m9")
        request_replay(plant, CLOCK.now(), reason="unknown_device")
        until(lambda: count(plant) == 20, "replayed")
        until(
            lambda: plant.execute("select count(*) from quarantine where replay_result = 'stored'").fetchone()[0] == 20,
            "marked",
        )


DEVICES, EACH = 20, 1_000


def the_stream(start: datetime) -> list[tuple[str, bytes]]:
    """20,000 messages of 20 devices, with an excursion above 50 of 10 in every 100 samples."""
    return [
        (
            topic(f"d{device}"),
            telemetry(start + n * SECOND, n, t=90.0 + n % 7 if n % 100 >= 90 else 20.0 + (n + device) % 9),
        )
        for n in range(EACH)
        for device in range(DEVICES)
    ]


def outcome(connection) -> tuple[list, list, list]:
    return (
        connection.execute("select series_id, ts, value from reading order by 1, 2").fetchall(),
        connection.execute("select id, opened_at, cleared_at, value, score from finding order by id").fetchall(),
        connection.execute("select device_id, state from checkpoint order by 1").fetchall(),
    )


def a_stocked_plant(dsn: str, start: datetime) -> psycopg.Connection:
    """Devices, rule and series made in one order, so that ids are equal wherever it is done."""
    plant = a_plant(dsn)
    for device in range(DEVICES):
        a_device(plant, f"d{device}")
    a_rule(plant, high=50.0, consecutive=3, dead_band=5.0)
    plant.execute("insert into series (device_id, metric, created_at) select id, 't', now() from device order by id")
    return plant


@pytest.fixture
def reference_database(postgres, template):
    """A second database, for the run that nobody interrupts."""
    name = f"reference_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template))
        )
    yield make_conninfo(postgres, dbname=name)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


class Child:
    """An ingester in a process of its own."""

    def __init__(self, dsn: str, broker: str, client_id: str, log: Path) -> None:
        command = [sys.executable, "-m", "tests.ingest_builders", dsn, broker, client_id]
        self._log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(command, cwd=REPOSITORY, stdout=out, stderr=subprocess.DEVNULL)

    @property
    def is_listening(self) -> bool:
        return "listening" in self._log.read_text(encoding="utf-8").splitlines()

    def kill(self, number: int = signal.SIGKILL) -> None:
        self.process.send_signal(number)
        self.process.wait(20)


@pytest.fixture
def a_child(database, broker, tmp_path):
    """Starts ingesters of one session; none outlives the test."""
    client_id, started = fresh_client_id(), []

    def start() -> Child:
        started.append(Child(database, broker, client_id, tmp_path / f"ingester-{len(started)}"))
        return started[-1]

    yield start
    for child in started:
        child.kill()


def test_an_ingester_killed_twice_in_mid_stream_loses_nothing_doubles_nothing_and_judges_alike(
    database, reference_database, broker, a_child
):
    """SPEC E4, E6; ADR 3: 20,000 messages, kill -9 twice; readings, findings and detector state are those of a
    run that nobody interrupted."""
    start = CLOCK.now().replace(microsecond=0) - timedelta(hours=2)
    messages = the_stream(start)
    with a_stocked_plant(database, start) as plant, a_stocked_plant(reference_database, start) as reference_plant:
        child = a_child()
        until(lambda: child.is_listening, "the first ingester listens", 30)
        with a_publisher(broker) as publisher:
            last = len(messages) * 9 // 10
            sending = threading.Thread(target=publisher.send, args=(messages[:last],))
            sending.start()
            for share in (0.25, 0.6):
                until(lambda share=share: count(plant) >= share * len(messages), f"{share:.0%} are stored", 60)
                child.kill()
                child = a_child()
            sending.join(60)
            publisher.send(messages[last:])
        until(lambda: count(plant) >= len(messages), "all are stored", 60)
        reference = Line(reference_database)
        reference.now = start + timedelta(hours=2)
        for at in range(0, len(messages), 1_000):
            reference.take(*messages[at : at + 1_000])
        reference.wait(60)
        reference.pipeline.flush(reference.now, reference.now_s)
        expected = outcome(reference_plant)
        until(lambda: count(plant, "finding") == len(expected[1]), "all findings", 30)
        time.sleep(0.5)
        child.kill(signal.SIGTERM)
        found = outcome(plant)
        assert len(found[0]) == DEVICES * EACH
        assert len(found[1]) == DEVICES * EACH // 100
        assert found == expected
        assert (count(plant, "sequence_gap"), count(plant, "quarantine")) == (0, 0)


def test_a_database_that_stops_and_starts_again_loses_nothing_and_memory_stays_bounded(server_folder, broker):
    """ADR 3: nothing is acknowledged, the queue is bounded, and work goes on by itself."""
    server = EmbeddedPostgres(server_folder / "pg-outage")
    dsn = server.start()
    try:
        migrate(dsn)
        start = CLOCK.now() - timedelta(hours=1)
        messages = [(topic(), telemetry(start + n * SECOND, n)) for n in range(3_000)]
        with a_plant(dsn) as plant:
            a_device(plant)
        options = options_with(queue_messages=200, batch_messages=100)
        with a_publisher(broker) as publisher, an_ingester(dsn, broker, options=options) as ingester:
            publisher.send(messages[:500])
            server.stop()
            publisher.send(messages[500:])
            time.sleep(1.5)
            assert ingester.failure is None
            assert ingester.source.queued <= 200 + 1_000  # one burst of the socket beyond the bound
            assert server.start() == dsn
            with connect(dsn) as plant:
                plant.autocommit = True
                until(lambda: count(plant) == 3_000, "all are stored", 30)
                assert count(plant, "sequence_gap") == 0
    finally:
        server.stop()


def options_with(**changes):
    return dataclasses.replace(QUICK, backoff_max_s=0.5, **changes)


@pytest.fixture
def poisoned(database):
    """A database that refuses every reading of 666, as a constraint nobody thought of would."""
    with a_plant(database) as plant:
        a_device(plant)
        plant.execute(
            "create function refuse() returns trigger language plpgsql as $$ begin"
            " raise exception 'no such value' using errcode = 'check_violation'; end $$"
        )
        plant.execute("create trigger poison before insert on event for each row when (new.code = 'E666')"
                      " execute function refuse()")  # fmt: skip
        yield plant


def run_worker(dsn: str, source: ListSource, stop: threading.Event | None = None) -> None:
    stop = stop or threading.Event()
    worker = Worker(lambda: connect(dsn), source, SystemClock(), stop, QUICK)
    while source.waiting:
        worker.step()
    worker.step()
    stop.set()
    worker.run()


def test_one_poisonous_message_is_found_and_set_aside_and_the_others_are_stored(poisoned, database):
    """SPEC E5: the batch is halved until the culprit stands alone; everything is acknowledged."""
    now = CLOCK.now()
    event = b'{"ts": %d, "code": "%s"}'
    at = int(now.timestamp() * 1000)
    messages = [(topic(kind="events"), event % (at + n, b"E666" if n in (17, 60) else b"E1")) for n in range(100)]
    source = ListSource([*messages, (topic(), telemetry(now))])
    run_worker(database, source)
    assert (count(poisoned, "event"), count(poisoned), count(poisoned, "quarantine")) == (98, 1, 2)
    rows = poisoned.execute("select distinct reason, detail from quarantine").fetchall()
    assert rows[0][0] == Reason.DATABASE_REFUSED
    assert "no such value" in rows[0][1]
    assert source.acknowledged == list(range(1, 102))


def test_a_message_that_breaks_our_own_code_is_set_aside_alone(database, monkeypatch):
    """A fault of ours must not stop the stream."""
    from ingest import intake

    sound = intake.decode_state

    def faulty(payload: bytes) -> bool:
        if payload == b"offline":
            raise ZeroDivisionError("a fault of ours")
        return sound(payload)

    monkeypatch.setattr(intake, "decode_state", faulty)
    with a_plant(database) as plant:
        a_device(plant)
        now = CLOCK.now()
        source = ListSource(
            [(topic(), telemetry(now)), (topic(kind="state"), b"offline"), (topic(kind="state"), b"online")]
        )
        run_worker(database, source)
        assert plant.execute("select reason from quarantine").fetchall() == [(Reason.PROCESSING_FAILED,)]
        assert (count(plant), plant.execute("select online from device").fetchone()) == (1, (True,))


def test_detectors_that_fail_do_not_cost_a_reading(database, monkeypatch):
    """Storing goes on, judging is tried again: the readings wait in the table."""
    from ingest.judging import Judge

    sound = Judge.feed

    def faulty(*_arguments):
        raise ValueError("a fault of ours")

    with a_plant(database) as plant:
        a_device(plant)
        a_rule(plant, high=50.0, consecutive=3)
        now = CLOCK.now() - timedelta(minutes=1)
        monkeypatch.setattr(Judge, "feed", faulty)
        run_worker(database, ListSource([(topic(), telemetry(now + n * SECOND, n, t=99.0)) for n in range(5)]))
        assert (count(plant), count(plant, "quarantine"), count(plant, "finding")) == (5, 0, 0)
        monkeypatch.setattr(Judge, "feed", sound)
        run_worker(database, ListSource([(topic(), telemetry(now + 6 * SECOND, 5, t=99.0))]))
        assert (count(plant), count(plant, "finding")) == (6, 1)


def test_a_missing_table_is_waited_for_and_not_blamed_on_the_messages(database):
    """An error that says nothing about the data must not fill the quarantine."""
    with a_plant(database) as plant:
        a_device(plant)
        plant.execute("alter table event rename to event_elsewhere")
        source = ListSource([(topic(kind="events"), b'{"ts": %d, "code": "E"}' % ms(CLOCK.now()))])
        stop = threading.Event()
        worker = Worker(lambda: connect(database), source, SystemClock(), stop, options_with())
        working = threading.Thread(target=worker.run)
        working.start()
        time.sleep(1.0)
        assert (source.acknowledged, count(plant, "quarantine")) == ([], 0)
        plant.execute("alter table event_elsewhere rename to event")
        until(lambda: source.acknowledged == [1], "stored and acknowledged")
        stop.set()
        working.join(10)
        assert count(plant, "event") == 1


def test_a_worker_asked_to_stop_while_the_database_is_away_stops_and_acknowledges_nothing():
    source = ListSource([(topic(), telemetry(NOW))])
    stop = threading.Event()
    worker = Worker(lambda: connect("host=127.0.0.1 port=9 dbname=x"), source, SystemClock(), stop, options_with())
    working = threading.Thread(target=worker.run)
    working.start()
    time.sleep(0.5)
    stop.set()
    working.join(10)
    assert not working.is_alive()
    assert source.acknowledged == []


def test_readings_that_are_there_after_all_cost_a_second_attempt_and_nothing_else(database):
    """The fast COPY believes readings to be new; another writer may have been quicker."""
    with a_plant(database) as plant:
        a_device(plant)
        line = Line(database)
        line.take((topic(), telemetry(NOW)))
        plant.execute("insert into reading values (1, %s, 7)", (NOW + SECOND,))
        with pytest.raises(psycopg.errors.UniqueViolation):
            line.take((topic(), telemetry(NOW + SECOND)), (topic(), telemetry(NOW + 2 * SECOND)))
        line.pipeline.reset()
        line.take(Message(topic(), telemetry(NOW + SECOND)), Message(topic(), telemetry(NOW + 2 * SECOND)))
        assert count(plant) == 3
        assert PARTITION


def test_the_ingest_process_stores_and_stops_and_says_what_it_misses(database, broker, tmp_path, monkeypatch):
    """The composition root, in a thread."""
    settings = Settings(database_url=database, broker_url=broker, data_dir=tmp_path)
    stop = threading.Event()
    with (
        closing(Announcements(tmp_path)) as announcements,
        a_plant(database) as plant,
        a_publisher(broker) as publisher,
    ):
        monkeypatch.setenv(NOTIFY_SOCKET, announcements.address)
        a_device(plant)
        running = threading.Thread(target=run_ingest, args=(settings, CLOCK, stop))
        running.start()
        until(lambda: count(plant, "checkpoint_fence"), "it holds its partition")
        until(lambda: plant.execute("select beat_at from checkpoint_fence").fetchone()[0], "it beats")
        until(announcements.heard, "it says that it listens")
        publisher.send([(topic(), telemetry(CLOCK.now()))])
        until(lambda: count(plant) == 1, "stored")
        stop.set()
        running.join(20)
        assert not running.is_alive()
    with pytest.raises(ValueError, match="WEARSIGHT_BROKER_URL"):
        run_ingest(settings.model_copy(update={"broker_url": None}), CLOCK, stop)
