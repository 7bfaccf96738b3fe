"""Two lanes: alarms do not queue behind telemetry, each is acknowledged where it came from (SPEC E4, E9; ADR 25)."""

from __future__ import annotations

import itertools
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from prometheus_client import REGISTRY

from ingest.backoff import backoff_s
from ingest.lanes import LaneSource
from ingest.limits import IngestOptions
from ingest.mqtt_source import MqttSource
from ingest.slices import whole
from ingest.source import Message, Source
from ingest.worker import Worker
from runtime.broker_probe import probe_broker
from runtime.embedded_broker import EmbeddedBroker, find_mosquitto
from storage.database import connect
from tests.ingest_builders import (
    CLOCK,
    PARTITION,
    SECOND,
    a_device,
    a_plant,
    a_publisher,
    fresh_client_id,
    ms,
    telemetry,
    topic,
    until,
)

NATIVE = whole(PARTITION).native_filters()
BACKLOG = 20_000
_ports = itertools.count(28_470)


def lanes(url: str, client_id: str, filters: set[str] = NATIVE, **options) -> LaneSource:
    return LaneSource(
        url, CLOCK, options=IngestOptions(**options), partition=PARTITION, client_id=client_id, filters=filters
    )


def one_session(url: str, client_id: str) -> MqttSource:
    """What ingest would be without the lane."""
    return MqttSource(url, CLOCK, partition=PARTITION, client_id=client_id, subscriptions=NATIVE)


def event(code: str = "E17") -> bytes:
    return b'{"ts": %d, "code": "%s"}' % (ms(CLOCK.now()), code.encode())


@pytest.fixture
def source_of(broker) -> Iterator[Callable[..., LaneSource]]:
    """Makes sources that listen; closes them all."""
    made = []

    def make(client_id: str, filters: set[str] = NATIVE, **options) -> LaneSource:
        made.append(lanes(broker, client_id, filters, **options))
        until(lambda: made[-1].is_listening, "it listens")
        return made[-1]

    yield make
    for source in made:
        source.close()


def drain(source: LaneSource, count: int) -> list[Message]:
    """Take messages, without acknowledging them, until there are so many."""
    found: list[Message] = []
    until(lambda: found.extend(source.poll(1000, 0.1).messages) or len(found) >= count, f"{count} messages")
    return found


def batches_until_the_event_is_stored(database: str, broker: str, make: Callable[[str, str], Source]) -> int:
    """Behind a backlog of telemetry an event is sent: how many batches are stored until it is?"""
    client_id, stop = fresh_client_id(), threading.Event()
    with a_plant(database) as plant, a_publisher(broker) as publisher:
        a_device(plant)
        source = make(broker, client_id)
        try:
            until(lambda: source.is_listening, "it listens")
            start = CLOCK.now() - BACKLOG * SECOND / 100
            publisher.send([(topic(), telemetry(start + n * SECOND / 100, n)) for n in range(BACKLOG)])
            publisher.send([(topic(kind="events"), event())])
            until(lambda: source.queued >= IngestOptions().queue_messages, "the queue is full")
            time.sleep(0.5)
            worker = Worker(lambda: connect(database), source, CLOCK, stop)
            batches = 0
            while plant.execute("select count(*) from event").fetchone()[0] == 0:
                worker.step()
                batches += 1
                assert batches < 100
        finally:
            stop.set()
            source.close()
    worker.run()
    return batches


def test_an_event_is_stored_at_once_behind_a_backlog_of_telemetry(database, broker):
    """SPEC E9: 20,000 messages wait, and the event is in the first batch or the next."""
    assert batches_until_the_event_is_stored(database, broker, lanes) <= 2


def test_without_the_lane_an_event_waits_for_the_whole_backlog(database, broker):
    """What the test above guards against: the same with one session."""
    assert batches_until_the_event_is_stored(database, broker, one_session) >= BACKLOG / IngestOptions().batch_messages


def test_a_batch_takes_all_alarms_first_then_telemetry_up_to_its_limit(broker, source_of):
    source = source_of(fresh_client_id())
    with a_publisher(broker) as publisher:
        publisher.send([(topic(), b"%d" % number) for number in range(20)])
        publisher.send([(topic(kind="events"), b"e"), (topic(kind="state"), b"online")])
        until(lambda: source.queued == 22, "all are here")
    batch = source.poll(10, 1)
    came = [message.payload for message in batch.messages]
    # The embedded broker promises no order between two topics.
    assert (sorted(came[:2]), came[2:]) == ([b"e", b"online"], [b"%d" % n for n in range(8)])
    assert [message.is_early for message in batch.messages] == [True] * 2 + [False] * 8
    assert not batch.caught_up
    assert len(source.poll(100, 1).messages) == 12


def test_each_message_is_acknowledged_on_the_client_that_it_came_by(broker, source_of):
    """SPEC E4: packet ids of the two clients are the same numbers."""
    client_id = fresh_client_id()
    source = source_of(client_id)
    with a_publisher(broker) as publisher:
        publisher.send([(topic(), b"t%d" % number) for number in range(5)])
        publisher.send([(topic(kind="events"), b"e%d" % number) for number in range(5)])
    until(lambda: source.queued == 10, "all are here")
    source.commit(source.poll(7, 1))  # five events and two of telemetry
    time.sleep(0.3)
    source.close()
    again = source_of(client_id)
    found = drain(again, 3)
    assert [message.payload for message in found] == [b"t2", b"t3", b"t4"]
    assert again.poll(10, 0.3).messages == []


def test_a_message_that_comes_again_says_so(broker, source_of):
    """The DUP flag, on either lane."""
    client_id = fresh_client_id()
    source = source_of(client_id)
    with a_publisher(broker) as publisher:
        publisher.send([(topic(), b"t"), (topic(kind="events"), b"e")])
    assert [message.is_repeat for message in drain(source, 2)] == [False, False]
    source.close()
    assert [message.is_repeat for message in drain(source_of(client_id), 2)] == [True, True]


def test_an_alarm_ends_the_wait_for_telemetry(broker, source_of):
    """A poll waits for either lane."""
    source = source_of(fresh_client_id())
    with a_publisher(broker) as publisher:
        sending = threading.Timer(0.3, publisher.send, args=([(topic(kind="events"), b"e")],))
        sending.start()
        began_s = CLOCK.monotonic_s()
        assert [message.payload for message in source.poll(10, 15.0).messages] == [b"e"]
        assert CLOCK.monotonic_s() - began_s < 10
        sending.join()


def test_both_lanes_must_have_settled_and_have_nothing_waiting(broker, source_of):
    """SPEC E6, E8: order and silence are of both."""
    source = source_of(fresh_client_id(), settle_s=0.4)
    assert not source.poll(10, 0).settled
    time.sleep(0.5)
    with a_publisher(broker) as publisher:
        publisher.send([(topic(kind="events"), b"e")])
        until(lambda: source.queued == 1, "here")
        until(lambda: source.lag_s() > 0, "it ages")
        source.poll(10, 0)
        assert source.lag_s() > 0  # it was taken, and is not stored yet
        batch = source.poll(10, 0)
    assert (batch.settled, batch.caught_up, source.queued) == (True, True, 0)
    source.commit(batch)
    assert source.lag_s() == 0


def test_subscriptions_change_at_run_time_and_hold_over_a_reconnect(broker, source_of):
    """Feeds come and go while ingest runs; what is given up does not come back with the session."""
    client_id = fresh_client_id()
    source = source_of(client_id)
    with a_publisher(broker) as publisher:
        source.listen_to({*NATIVE, "mill/#"})
        until(lambda: source.is_listening, "granted")
        publisher.send([("mill/a", b"1")])
        source.commit(source.poll(10, 5))
        source.listen_to({*NATIVE, "kiln/#"})
        until(lambda: source.is_listening, "granted, and what was asked before, to give up the mill, is done")
        publisher.send([("mill/a", b"2"), ("kiln/a", b"3")])
        batch = source.poll(10, 5)
        assert [message.payload for message in batch.messages] == [b"3"]
        source.commit(batch)
        time.sleep(0.3)
        source.close()
        publisher.send([("mill/a", b"4"), ("kiln/a", b"5")])
        again = source_of(client_id, NATIVE)
        assert [message.payload for message in drain(again, 1)] == [b"5"]  # the session remembered


def test_subscriptions_of_an_earlier_run_are_given_up_when_named(server_folder):
    """The session outlives the process; so does a filter that nobody wants any more. The broker is away while it is
    named, so that only the connect can give it up."""
    server = EmbeddedBroker(server_folder / f"broker-lanes-{next(_ports)}")
    url, client_id = server.start(), fresh_client_id()
    earlier = lanes(url, client_id, {*NATIVE, "mill/#"})
    try:
        until(lambda: earlier.is_listening, "it listens")
    finally:
        earlier.close()
        server.stop()
    source = lanes(url, client_id)
    try:
        source.listen_to(NATIVE, stale={"mill/#"})
        assert not source.is_connected
        assert server.start() == url
        until(lambda: source.is_listening, "it listens")
        with a_publisher(url) as publisher:
            publisher.send([("mill/a", b"1"), (topic(), b"2")])
            assert [message.payload for message in drain(source, 1)] == [b"2"]
            assert source.poll(10, 0.5).messages == []
    finally:
        source.close()
        server.stop()


def test_it_is_announced_once_all_that_is_asked_for_is_granted(broker):
    """What devices send before that would be lost: who waits for us must wait for feeds too."""
    told = threading.Event()
    source = LaneSource(
        broker, CLOCK, partition=PARTITION, client_id=fresh_client_id(), filters=NATIVE, on_subscribed=told.set
    )
    try:
        until(lambda: source.is_listening, "the native topics are granted")
        assert not told.wait(0.3)
        source.listen_to({*NATIVE, "mill/#"})
        assert told.wait(10)
    finally:
        source.close()


@pytest.fixture
def small_mosquitto(tmp_path) -> Iterator[str]:
    """A Mosquitto that queues ten messages for a client, and says every second what it dropped."""
    port = next(_ports)
    tmp_path.chmod(0o755)
    configuration = tmp_path / "mosquitto.conf"
    configuration.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 10\nmax_inflight_messages 5\n"
        "sys_interval 1\n"
    )
    process = subprocess.Popen([find_mosquitto(), "-c", configuration], stderr=subprocess.DEVNULL)
    url = f"mqtt://127.0.0.1:{port}"
    try:
        until(lambda: probe_broker(url) is None, "Mosquitto answers")
        yield url
    finally:
        process.terminate()
        process.wait(10)


def dropped_so_far() -> float:
    return REGISTRY.get_sample_value("wearsight_ingest_broker_dropped_total") or 0.0


@pytest.mark.mosquitto
def test_what_mosquitto_drops_is_counted(small_mosquitto):
    """Its publishers get their acknowledgement and the subscriber gets nothing: only the broker can tell."""
    before = dropped_so_far()
    source = lanes(small_mosquitto, fresh_client_id())
    try:
        until(lambda: source.is_listening, "it listens")
        with a_publisher(small_mosquitto) as publisher:
            publisher.send([(topic(), b"%d" % number) for number in range(100)])
        assert source.queued <= 15
        until(lambda: dropped_so_far() - before >= 85, "Mosquitto tells")
    finally:
        source.close()


def test_waits_double_up_to_their_limit_and_no_two_clients_wait_alike():
    """Backoff with jitter: between half and all of the doubled wait."""
    for failures, longest_s in enumerate([0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]):
        waits = {backoff_s(failures, 0.5, 10.0) for _ in range(200)}
        assert longest_s / 2 <= min(waits) < max(waits) <= longest_s
        assert len(waits) > 150
    assert backoff_s(10_000, 0.5, 10.0) <= 10.0


def test_a_broker_that_is_away_is_asked_ever_more_rarely(monkeypatch):
    """No storm of connects, however long it lasts."""
    waits: list[int] = []

    def note(failures: int, first_s: float, most_s: float) -> float:
        waits.append(failures)
        assert 0 < first_s < most_s <= 60
        return 0.0

    monkeypatch.setattr("ingest.mqtt_source.backoff_s", note)
    source = MqttSource("mqtt://127.0.0.1:9", CLOCK, partition=PARTITION, client_id="nobody")
    try:
        until(lambda: len(waits) >= 3, "three tries")
        assert waits[:3] == [0, 1, 2]
    finally:
        source.close()
