"""Several ingesters side by side: a site is heard by one, and a device that moves keeps its state (ADR 25)."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from datetime import timedelta

import psycopg
import pytest
from prometheus_client import REGISTRY
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ingest.lanes import LaneSource
from ingest.slices import cut, unheard
from ingest.worker import Worker
from runtime.doctor import State, examine
from runtime.embedded_broker import EmbeddedBroker
from runtime.screen import Screen
from runtime.settings import Settings
from runtime.supervisor import Supervisor
from storage import checkpoints
from storage.database import connect
from tests.ingest_builders import CLOCK, NOW, QUICK, SECOND, Line, Publisher, a_publisher, fresh_client_id, until
from tests.services_builders import an_open_folder
from tests.slices_builders import NORTH, SOUTH, IngestProcess, a_device_at, a_site, a_stream, outcome, owners, two_sites

DEVICES, EACH = 10, 800
_numbers = itertools.count(1)


@pytest.mark.parametrize(
    ("slices", "site", "owner"),
    [
        ([["*"]], "anywhere", "mqtt-0"),
        ([["a"], ["b", "c"]], "c", "mqtt-1"),
        ([["a"], ["b", "c"]], "d", None),
        ([["a"], ["*"]], "a", "mqtt-0"),
        ([["a"], ["*"]], "d", "mqtt-1"),
        ([["*"], []], "a", "mqtt-0"),
    ],
)
def test_a_site_is_heard_by_one_slice(slices, site, owner):
    cuts = [cut(slices, number) for number in range(len(slices))]
    assert [one.partition for one in cuts if one.hears(site)] == ([owner] if owner else [])
    assert {one.owner_of(site) for one in cuts} == {owner}
    assert unheard(slices, [site]) == ([] if owner else [site])


@pytest.mark.parametrize(
    ("slices", "number", "told"),
    [
        ([["a"], ["a"]], 0, "twice"),
        ([["a", "a"]], 0, "twice"),
        ([["*"], ["*"]], 0, "twice"),
        ([], 0, "at least one"),
        ([["*"]], 1, "expected 0 to 0"),
    ],
)
def test_slices_that_make_no_sense_are_refused(slices, number, told):
    with pytest.raises(ValueError, match=told):
        cut(slices, number)


def test_a_slice_subscribes_to_its_own_sites():
    assert cut([["a", "b"]], 0).native_filters() >= {"wearsight/v1/a/+/events", "wearsight/v1/b/+/telemetry"}
    assert "wearsight/v1/+/+/state" in cut([["a"], ["*"]], 1).native_filters()
    assert cut([["*"], []], 1).native_filters() == set()


@pytest.fixture
def reference_database(postgres, template):
    """A second database, for the run that nobody interrupts."""
    name = f"reference_slices_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template))
        )
    yield make_conninfo(postgres, dbname=name)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def broker(server_folder):
    """A broker for each test: the sessions of slices have names of their own, and outlive a test."""
    server = EmbeddedBroker(server_folder / f"broker-slices-{next(_numbers)}")
    yield server.start()
    server.stop()


@pytest.fixture
def process_of(database, broker, tmp_path):
    """Starts ingest processes; none outlives the test."""
    started: list[IngestProcess] = []

    def start(slices, number: int) -> IngestProcess:
        started.append(IngestProcess(database, broker, tmp_path, slices, number))
        return started[-1]

    yield start
    for process in started:
        process.kill()


def settled(connection, partition: str) -> bool:
    """Whether the ingester of a partition says that it listens and is in order, under its present owner."""
    row = connection.execute(
        "select settled and beat_at >= taken_at and held_devices = 0 from checkpoint_fence where partition = %s",
        (partition,),
    ).fetchone()
    return row is not None and bool(row[0])


def processed_at(connection, partition: str):
    return connection.execute(
        "select processed_at from checkpoint_fence where partition = %s", (partition,)
    ).fetchone()[0]


def count(connection, table: str = "reading") -> int:
    return connection.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(table))).fetchone()[0]


def expected_outcome(reference_database: str, start, streams) -> tuple[list, list, list]:
    """What one pipeline makes of it that nobody interrupts."""
    with two_sites(reference_database, DEVICES) as plant:
        reference = Line(reference_database)
        reference.now = start + timedelta(hours=1)
        for stream in streams:
            for at in range(0, len(stream), 1_000):
                reference.take(*stream[at : at + 1_000])
        reference.wait(60)
        reference.pipeline.flush(reference.now, reference.now_s)
        return outcome(plant)


@pytest.mark.slow
def test_a_slice_that_is_killed_loses_nothing_and_the_other_goes_on(database, reference_database, broker, process_of):
    """SPEC E4, E6: kill -9 of one slice, three times, while both get a stream: readings, findings and state of both
    sites are those of a run that nobody interrupted, and the other slice never stops storing."""
    slices = [[NORTH], [SOUTH]]
    start = CLOCK.now().replace(microsecond=0) - timedelta(hours=1)
    streams = {site: a_stream(site, DEVICES, 0, EACH, start) for site in (NORTH, SOUTH)}
    with two_sites(database, DEVICES) as plant:
        victim, other = process_of(slices, 0), process_of(slices, 1)
        until(lambda: settled(plant, "mqtt-0") and settled(plant, "mqtt-1"), "both listen", 60)
        with a_publisher(broker) as north, a_publisher(broker) as south:
            sending = [
                threading.Thread(target=slowly, args=(publisher, streams[site], 20.0))
                for publisher, site in ((north, NORTH), (south, SOUTH))
            ]
            for thread in sending:
                thread.start()
            for _ in range(3):
                time.sleep(2.0)
                victim.kill()
                before = processed_at(plant, "mqtt-1")
                until(lambda before=before: processed_at(plant, "mqtt-1") > before, "the other goes on", 5)
                victim = process_of(slices, 0)
            for thread in sending:
                thread.join(60)
        until(lambda: count(plant) >= 2 * DEVICES * EACH, "all are stored", 60)
        expected = expected_outcome(reference_database, start, streams.values())
        until(lambda: count(plant, "finding") == len(expected[1]), "all findings", 60)
        time.sleep(1.0)
        victim.kill(signal.SIGTERM)
        other.kill(signal.SIGTERM)
        found = outcome(plant)
        assert (len(found[0]), len(found[1])) == (2 * DEVICES * EACH, 2 * DEVICES * EACH // 100)
        assert found == expected
        assert (count(plant, "sequence_gap"), count(plant, "quarantine")) == (0, 0)


def waiting_to_be_taken(connection) -> int:
    return connection.execute(
        "select count(*) from quarantine where replay_result is distinct from 'stored'"
    ).fetchone()[0]


def slowly(publisher: Publisher, messages, seconds: float) -> None:
    """Publish over so many seconds."""
    parts = int(seconds * 10)
    size = -(-len(messages) // parts)
    for at in range(0, len(messages), size):
        publisher.send(messages[at : at + size])
        time.sleep(seconds / parts)


def test_one_slice_cut_in_two_keeps_the_detectors_state_and_loses_nothing(
    database, reference_database, broker, process_of
):
    """SPEC E4, E6: an excursion that began under one slice ends under the other; what waited in the old session for
    the other's site is stored too."""
    start = CLOCK.now().replace(microsecond=0) - timedelta(hours=1)
    # Cut in mid-excursion: consecutive breaches counted by the first slice must count for the second.
    middle, waiting = 391, 393
    with two_sites(database, DEVICES) as plant, a_publisher(broker) as publisher:
        before = process_of([["*"]], 0)
        until(lambda: settled(plant, "mqtt-0"), "it listens", 60)
        for site in (NORTH, SOUTH):
            publisher.send(a_stream(site, DEVICES, 0, middle, start))
        until(lambda: count(plant) == 2 * DEVICES * middle, "all are stored", 60)
        before.kill(signal.SIGTERM)
        # What the detectors know of the time before is in their state and nowhere else.
        plant.execute("delete from reading where ts < %s", (start + (middle - 1) * SECOND,))
        gone = 2 * DEVICES * (middle - 1)
        for site in (NORTH, SOUTH):
            publisher.send(a_stream(site, DEVICES, middle, waiting, start))  # waits in the old session
        slices = [[NORTH], [SOUTH]]
        after = [process_of(slices, number) for number in (0, 1)]
        until(lambda: settled(plant, "mqtt-0") and settled(plant, "mqtt-1"), "both listen", 60)
        until(lambda: count(plant) == 2 * DEVICES * waiting - gone, "what waited is stored", 60)
        for site in (NORTH, SOUTH):
            publisher.send(a_stream(site, DEVICES, waiting, EACH, start))
        until(lambda: count(plant) == 2 * DEVICES * EACH - gone, "all are stored", 60)
        streams = [a_stream(site, DEVICES, 0, EACH, start) for site in (NORTH, SOUTH)]
        expected = expected_outcome(reference_database, start, streams)
        until(lambda: count(plant, "finding") == len(expected[1]), "all findings", 60)
        until(lambda: waiting_to_be_taken(plant) == 0, "what was handed over is taken", 60)
        time.sleep(1.0)
        for process in after:
            process.kill(signal.SIGTERM)
        assert outcome(plant)[1:] == expected[1:]
        by_partition = plant.execute(
            "select partition, site_id, count(*) from checkpoint join device on device.id = device_id"
            " group by 1, 2 order by 1"
        ).fetchall()
        assert by_partition == [("mqtt-0", NORTH, DEVICES), ("mqtt-1", SOUTH, DEVICES)]


def passed_over() -> float:
    return REGISTRY.get_sample_value("wearsight_ingest_passed_over_total") or 0.0


class Side:
    """The ingester of one slice in a thread, with short waits: its worker, source and what ended it."""

    def __init__(self, dsn: str, broker: str, slices, number: int, session: str) -> None:
        self.stop = threading.Event()
        one = cut(slices, number)
        self.source = LaneSource(
            broker,
            CLOCK,
            options=QUICK,
            partition=one.partition,
            client_id=f"{session}-{number}",
            filters=one.native_filters(),
        )
        self.worker = Worker(
            lambda: connect(dsn), self.source, CLOCK, self.stop, QUICK, slice_=one, mark=self.source.mark
        )
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.worker.run()
        except checkpoints.FenceLostError as error:
            self.failure = error

    def close(self) -> None:
        self.stop.set()
        self._thread.join(20)
        self.source.close()


@pytest.fixture
def side_of(database, broker):
    """Starts ingesters of slices on sessions of this test's own."""
    session, started = fresh_client_id(), []

    def start(slices, number: int) -> Side:
        started.append(Side(database, broker, slices, number, session))
        return started[-1]

    yield start
    for side in started:
        side.close()


def test_the_slice_of_the_rest_passes_over_what_others_name_once_they_hear_it(database, broker, side_of):
    """It receives everything; what another slice names is that one's, and not in quarantine for ever."""
    slices = [["*"], [SOUTH]]
    with two_sites(database, 1) as plant, a_publisher(broker) as publisher:
        rest, south = side_of(slices, 0), side_of(slices, 1)
        until(lambda: settled(plant, "mqtt-0") and settled(plant, "mqtt-1"), "both listen")
        until(lambda: SOUTH in rest.worker._hand_over._given, "the rest passes the south over")
        publisher.send(a_stream(NORTH, 1, 0, 50, CLOCK.now()) + a_stream(SOUTH, 1, 0, 50, CLOCK.now()))
        until(lambda: count(plant) == 100 and rest.source.queued + south.source.queued == 0, "all are stored")
        assert count(plant, "quarantine") == 0
        assert {partition for _, partition, _ in owners(plant)} == {"mqtt-0", "mqtt-1"}


def test_a_site_is_given_away_under_a_stream_that_never_stops(database, broker, side_of):
    """Where there is never a moment with nothing waiting, a mark in the stream itself tells what was sent before it."""
    slices = [["*"], [SOUTH]]
    with two_sites(database, 1) as plant, a_publisher(broker) as publisher:
        stop, sent, before = threading.Event(), [], passed_over()
        start = CLOCK.now() - timedelta(days=6)

        def pour() -> None:
            while not stop.is_set():
                at = len(sent) * 10
                publisher.send(a_stream(NORTH, 1, at, at + 10, start) + a_stream(SOUTH, 1, at, at + 10, start))
                sent.append(at)

        side_of(slices, 0)
        until(lambda: settled(plant, "mqtt-0"), "it listens")
        pouring = threading.Thread(target=pour)
        pouring.start()
        try:
            side_of(slices, 1)
            until(lambda: passed_over() > before, "passed over while it pours")
        finally:
            stop.set()
            pouring.join(20)
        until(lambda: (count(plant), waiting_to_be_taken(plant)) == (20 * len(sent), 0), "all are stored")
        assert plant.execute("select distinct reason from quarantine").fetchall() in ([], [("other_slice",)])


def test_what_another_slice_cannot_have_heard_yet_waits_for_it(database, broker, side_of):
    """SPEC E4: its process has not begun; nothing of its site is dropped meanwhile."""
    slices = [["*"], [SOUTH]]
    with two_sites(database, 1) as plant, a_publisher(broker) as publisher:
        side_of(slices, 0)
        until(lambda: settled(plant, "mqtt-0"), "it listens")
        publisher.send(a_stream(SOUTH, 1, 0, 50, CLOCK.now()))
        until(lambda: waiting_to_be_taken(plant) == 50, "kept")
        assert plant.execute("select distinct reason, site_name from quarantine").fetchall() == [("other_slice", SOUTH)]
        side_of(slices, 1)
        until(lambda: (count(plant), waiting_to_be_taken(plant)) == (50, 0), "taken")


def test_a_slice_that_is_emptied_gives_away_what_its_session_holds_and_its_subscriptions(database, broker, side_of):
    """How a slice is removed without loss."""
    with two_sites(database, 1) as plant, a_publisher(broker) as publisher:
        for number in (0, 1):
            side_of([["*"], [SOUTH]], number).close()  # sessions are there, and both are away
        publisher.send(a_stream(SOUTH, 1, 0, 50, CLOCK.now()))
        rest, emptied = (side_of([["*"], []], number) for number in (0, 1))
        until(lambda: (count(plant), waiting_to_be_taken(plant)) == (50, 0), "taken")
        until(lambda: settled(plant, "mqtt-0") and settled(plant, "mqtt-1"), "both listen")
        time.sleep(5 * QUICK.tick_every_s)
        received = emptied.source.put_total
        publisher.send(a_stream(SOUTH, 1, 50, 60, CLOCK.now()))
        until(lambda: count(plant) == 60, "stored by the other")
        assert emptied.source.put_total == received
        assert rest.failure is None


def test_an_ingester_with_the_old_slices_ends_when_devices_were_taken(database, broker, side_of):
    """Two settings at once: whoever claims last has the devices, and the data stays right."""
    with two_sites(database, 1) as plant, a_publisher(broker) as publisher:
        old = side_of([["*"]], 0)
        until(lambda: settled(plant, "mqtt-0"), "it listens")
        publisher.send(a_stream(SOUTH, 1, 0, 10, CLOCK.now()))
        until(lambda: count(plant) == 10, "stored")
        new = side_of([[NORTH], [SOUTH]], 1)
        until(lambda: settled(plant, "mqtt-1"), "it listens")
        publisher.send(a_stream(SOUTH, 1, 10, 20, CLOCK.now()))
        until(lambda: old.failure is not None, "the old one ended")
        until(lambda: count(plant) == 20, "stored by the new one")
        assert "another slice" in str(old.failure)
        assert new.failure is None


def test_the_doctor_tells_of_sites_that_no_slice_hears(database):
    """What devices there send would stay at the broker, in silence."""
    with two_sites(database, 1) as plant:
        a_site(plant, "west")
        a_device_at(plant, "west", "d0")
        checkpoints.take_fence(plant, "mqtt-7", "t", NOW)
    told = examine(Settings(database_url=database, ingest_slices=[[NORTH], [SOUTH]]), CLOCK)
    lines = [line for line in told if "slice" in line.sentence]
    assert [line.state for line in lines] == [State.PROBLEM, State.NOTE]
    assert "west" in lines[0].sentence
    assert "mqtt-7" in lines[1].sentence


def test_the_house_runs_one_ingester_for_each_slice():
    """The supervisor's processes `ingest` and `ingest-1`, each with its own partition, sessions and metrics."""
    with an_open_folder() as folder:
        settings = Settings(data_dir=folder / "house", ingest_slices=[[NORTH], ["*"]])
        with Supervisor(settings, CLOCK, Screen(CLOCK), processes=("ingest",)) as supervisor:
            addresses = supervisor.start()
            with connect(addresses.database) as connection:
                connection.autocommit = True
                held = "select partition from checkpoint_fence order by 1"
                until(lambda: len(connection.execute(held).fetchall()) == 2, "both hold their partition", 30)
                assert connection.execute(held).fetchall() == [("mqtt-0",), ("mqtt-1",)]
                names = "select distinct application_name from pg_stat_activity where application_name like '%ingest%'"
                assert {name for (name,) in connection.execute(names)} == {"wearsight-ingest", "wearsight-ingest-1"}
            files = {name: folder / "house" / "metrics" / f"{name}.prom" for name in ("ingest", "ingest-1")}
            until(lambda: all(file.exists() for file in files.values()), "both tell", 30)
            text = files["ingest-1"].read_text()
            names = ("queued_messages{lane", "queued_bytes{lane", "lag_seconds", "last_processed", "broker_dropped")
            assert [name for name in names if f"wearsight_ingest_{name}" not in text] == []
