"""Builders for the ingest tests: a plant with devices, a publisher, and an ingester that runs in a thread."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import paho.mqtt.client as mqtt
import psycopg
from paho.mqtt.enums import CallbackAPIVersion

from ingest.decoders.catalogue import DECODERS
from ingest.decoders.telling import Decoder, Outgoing
from ingest.limits import IngestOptions
from ingest.mqtt_source import MqttSource
from ingest.pipeline import Pipeline
from ingest.source import Batch, Message
from ingest.worker import Worker
from runtime.clock import SystemClock
from storage.checkpoints import take_fence
from storage.database import connect
from storage.feeds import Feed

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SITE = "plant-1"
PARTITION = "mqtt-test"
# Waits as short as the code under test allows; the real ones are the broker's.
QUICK = IngestOptions(
    settle_s=0.2, gap_wait_s=0.4, poll_s=0.05, tick_every_s=0.2, replay_every_s=0.2, checkpoint_every_s=0.5
)
CLOCK = SystemClock()
_numbers = itertools.count(1)


def ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def a_plant(dsn: str) -> psycopg.Connection:
    """A site with the asset type 'motor'; the connection is in autocommit mode."""
    connection = connect(dsn)
    connection.autocommit = True
    connection.execute("insert into calendar (id, name, time_zone) values ('day', 'Day', 'UTC') on conflict do nothing")
    connection.execute(
        "insert into site (id, name, calendar_id, latitude, longitude) values (%s, 'Plant', 'day', 31, 121)"
        " on conflict do nothing",
        (SITE,),
    )
    connection.execute("insert into asset_type values ('motor', 'Motor', '电机') on conflict do nothing")
    return connection


def a_device(
    connection: psycopg.Connection,
    name: str = "m1",
    *,
    time_policy: str = "live",
    expected_interval_s: float | None = None,
    feed: tuple[int, str] | None = None,
) -> int:
    """A registered device on an asset of its own: its id. ``feed`` is its address there: (feed id, key)."""
    asset_id = connection.execute(
        "insert into asset (site_id, asset_type_id, tag, name, created_at)"
        " values (%s, 'motor', %s, %s, %s) returning id",
        (SITE, f"A-{name}", name, NOW),
    ).fetchone()[0]
    return connection.execute(
        "insert into device (site_id, name, asset_id, time_policy, expected_interval_s, feed_id, feed_key, created_at)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s) returning id",
        (SITE, name, asset_id, time_policy, expected_interval_s, *(feed or (None, None)), NOW),
    ).fetchone()[0]


def a_rule(
    connection: psycopg.Connection,
    name: str = "hot",
    *,
    metric: str = "*",
    detector: str = "threshold",
    version: int = 1,
    **parameters: object,
) -> int:
    """A rule in force for motors: its id."""
    return connection.execute(
        "insert into rule (name, version, asset_type_id, metric, detector, parameters, severity, mode, created_at)"
        " values (%s, %s, 'motor', %s, %s, %s, 'high', 'auto', %s) returning id",
        (name, version, metric, detector, json.dumps(parameters), NOW),
    ).fetchone()[0]


def topic(device: str = "m1", kind: str = "telemetry", site: str = SITE) -> str:
    return f"wearsight/v1/{site}/{device}/{kind}"


def telemetry(at: datetime | int | str, seq: int | None = None, **values: float) -> bytes:
    body: dict[str, object] = {"ts": ms(at) if isinstance(at, datetime) else at, "values": values or {"t": 1.0}}
    if seq is not None:
        body["seq"] = seq
    return json.dumps(body).encode()


class Line:
    """A pipeline without a broker: batches are handed over, waits are made by moving the clock.

    ``decoders`` are the dialects that its feeds may speak; what they want sent collects in ``sent``.
    """

    def __init__(
        self,
        dsn: str,
        options: IngestOptions | None = None,
        decoders: Mapping[str, Callable[[Feed], Decoder]] = DECODERS,
    ) -> None:
        self.options = options or IngestOptions()
        self.decoders = decoders
        self.sent: list[Outgoing] = []
        self.dsn = dsn
        self.now, self.now_s = NOW, 1000.0
        self.restart()

    def restart(self) -> None:
        """What a new process would do: a new connection, the next fence, nothing remembered."""
        self.connection = connect(self.dsn)
        self.connection.autocommit = True
        self.fence = take_fence(self.connection, PARTITION, "test", self.now)
        self.pipeline = Pipeline(
            self.connection, PARTITION, self.fence, self.options, send=self.sent.extend, decoders=self.decoders
        )

    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.now += timedelta(seconds=seconds)

    def take(self, *messages: tuple[str, bytes] | Message, settled: bool = True, caught_up: bool = True) -> None:
        """Store one batch, then read back whoever may be."""
        batch = [one if isinstance(one, Message) else Message(*one) for one in messages]
        self.pipeline.process(batch, self.now, self.now_s, settled=settled, caught_up=caught_up)
        self.catch_up(settled=settled)

    def catch_up(self, *, settled: bool = True) -> None:
        while self.pipeline.catch_up(self.now, self.now_s, settled=settled):
            pass

    def rows(self, query: str, *values: object) -> list[tuple]:
        return self.connection.execute(query, values).fetchall()

    def reasons(self) -> list[str]:
        return [reason for (reason,) in self.rows("select reason from quarantine order by id")]


def readings(line: Line) -> list[tuple]:
    return line.rows("select metric, ts, value from reading join series on series.id = series_id order by 1, 2")


def findings(line: Line) -> list[tuple]:
    return line.rows("select opened_at, cleared_at, metric from finding order by 1")


def hot(first: int, last: int, value: float = 99.0, device: str = "m1", **named: float) -> list[tuple[str, bytes]]:
    """Messages of the seconds first..last, each with its second as sequence number."""
    return [
        (topic(device), telemetry(NOW + second * SECOND, second, t=value, **named)) for second in range(first, last)
    ]


class Publisher:
    """A plain MQTT client at QoS 1, as devices use."""

    def __init__(self, url: str) -> None:
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"publisher-{next(_numbers)}-{os.getpid()}")
        self._client.max_inflight_messages_set(1000)
        host, _, port = url.removeprefix("mqtt://").partition(":")
        self._client.connect(host, int(port))
        self._client.loop_start()

    def send(self, messages: Sequence[tuple[str, bytes]], *, retain: bool = False) -> None:
        """Publish and wait until the broker has them all."""
        sent = [self._client.publish(where, payload, qos=1, retain=retain) for where, payload in messages]
        for one in sent:
            one.wait_for_publish(30)
            assert one.is_published()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def a_publisher(url: str) -> Iterator[Publisher]:
    publisher = Publisher(url)
    try:
        yield publisher
    finally:
        publisher.close()


class Ingester:
    """The whole ingest in a thread: broker, queue, pipeline, acknowledgements."""

    def __init__(
        self, dsn: str, url: str, client_id: str, options: IngestOptions = QUICK, connect_with=connect
    ) -> None:
        self.stop = threading.Event()
        clock = SystemClock()
        self.source = MqttSource(url, clock, options=options, partition=PARTITION, client_id=client_id)
        self._knows_feeds = threading.Event()
        self.worker = Worker(
            lambda: connect_with(dsn),
            self.source,
            clock,
            self.stop,
            options,
            on_feeds=lambda _: self._knows_feeds.set(),
        )
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="ingester")
        self._thread.start()

    @property
    def is_listening(self) -> bool:
        """Whether the broker has granted the native topics and those of the feeds that the database has."""
        return self._knows_feeds.is_set() and self.source.is_listening

    def _run(self) -> None:
        try:
            self.worker.run()
        except BaseException as error:  # noqa: BLE001 - raised again by close()
            self.failure = error

    def close(self) -> None:
        self.stop.set()
        self._thread.join(20)
        self.source.close()
        if self.failure is not None:
            raise self.failure


def fresh_client_id() -> str:
    """A session of this test's own."""
    return f"ingest-test-{next(_numbers)}-{os.getpid()}"


@contextmanager
def an_ingester(dsn: str, url: str, client_id: str | None = None, options: IngestOptions = QUICK) -> Iterator[Ingester]:
    ingester = Ingester(dsn, url, client_id or fresh_client_id(), options)
    try:
        # What is sent before the broker grants its subscriptions is lost.
        until(lambda: ingester.is_listening, "its subscriptions are granted")
        yield ingester
    finally:
        ingester.close()


def until(holds: Callable[[], object], what: str, within_s: float = 20.0) -> None:
    """Wait until something holds."""
    deadline = CLOCK.monotonic_s() + within_s
    while not holds():
        assert CLOCK.monotonic_s() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.05)


class ListSource:
    """A source of given messages, for what needs no broker. Remembers what was acknowledged."""

    partition = PARTITION
    queued = 0

    def __init__(self, messages: Sequence[tuple[str, bytes]]) -> None:
        self.waiting = [Message(where, payload, 1, number) for number, (where, payload) in enumerate(messages, 1)]
        self.acknowledged: list[int] = []

    def start_at(self, position: int | None) -> None:
        pass

    def listen_to(self, filters: Collection[str], stale: Collection[str] = ()) -> None:
        pass

    def poll(self, max_messages: int, timeout_s: float) -> Batch:
        taken, self.waiting = self.waiting[:max_messages], self.waiting[max_messages:]
        if not taken:
            time.sleep(timeout_s)
        return Batch(self.partition, taken, True, not self.waiting)

    def commit(self, batch: Batch) -> None:
        self.acknowledged.extend(message.packet_id for message in batch.messages)

    def close(self) -> None:
        pass


def say_so() -> None:
    sys.stdout.write("listening\n")
    sys.stdout.flush()


def main(dsn: str, url: str, client_id: str) -> None:
    """An ingester as a process of its own, for tests that kill it."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    # Small batches take their time, so that a kill meets it in the middle of its work.
    clock, options = SystemClock(), IngestOptions(batch_messages=200)
    source = MqttSource(
        url,
        clock,
        options=options,
        partition=PARTITION,
        client_id=client_id,
        on_subscribed=say_so,
    )
    Worker(lambda: connect(dsn), source, clock, stop, options).run()
    source.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
