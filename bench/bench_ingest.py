"""Ingest: from the broker to committed rows, detectors on, beside its two ceilings.

One embedded broker and one embedded server. Everything is published before the clock starts, so that the publisher is
not the limit. The database's ceiling is the same rows by binary COPY from memory into the same table, one client. The
client's is what a bare MQTT client takes from the same broker, acknowledging every message as it comes and doing
nothing else: paho with a read-ahead buffer, and beside it the client that ingest itself uses, which cuts whole bursts
(ADR 32 says why the bar is set by the first). Figures and ceilings are measured in turn, several rounds of it, and the
ratio is the middle one of the rounds: what else the machine does comes and goes within seconds.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from psycopg import Connection

from bench.rows import Row
from domain.readings import Readings
from ingest.buffered_client import BufferedClient, BufferedSocket, Publish
from ingest.limits import IngestOptions
from ingest.mqtt_source import MqttSource
from ingest.source import Batch
from ingest.topics import SUBSCRIPTIONS
from ingest.worker import Worker
from runtime.clock import SystemClock
from runtime.embedded_broker import EmbeddedBroker
from runtime.embedded_postgres import EmbeddedPostgres
from storage import partitions, readings
from storage.database import connect, migrate

SITE, DEVICES = "bench", 100
MANY_VALUES = 50
MANY_MESSAGES, SINGLE_MESSAGES = 16_000, 40_000
# As many rows as a batch of ingest has, and what COPY takes fastest here: 25,000 to 100,000 were 12 to 18 % slower.
COPY_ROWS = 200_000
MANY_ROUNDS, SINGLE_ROUNDS = 9, 5
CLOCK = SystemClock()


def measure() -> list[Row]:
    """Measure both message sizes and their ceilings; takes about five minutes."""
    with _servers() as (dsn, url):
        _register(dsn)
        many = [_many(dsn, url, number) for number in range(MANY_ROUNDS)]
        single = [_single(dsn, url, number) for number in range(SINGLE_ROUNDS)]
    return [
        _row(
            f"readings stored from {MANY_VALUES}-value messages",
            "rows/s",
            many,
            "rows/s by binary COPY from memory",
            0.7,
        ),
        _row(
            "single-value messages stored",
            "messages/s",
            [(stored, paho) for stored, paho, _ in single],
            "messages/s by paho with a read-ahead buffer and nothing behind it",
            0.8,
        ),
        _row(
            "the same",
            "messages/s",
            [(stored, bursts) for stored, _, bursts in single],
            "messages/s by ingest's own client with nothing behind it",
            None,
        ),
    ]


def _many(dsn: str, url: str, number: int) -> tuple[float, float]:
    """Return rows per second of ingest, and of COPY just before and after."""
    before = _copy_ceiling(dsn)
    stored = _ingest(dsn, url, MANY_MESSAGES, MANY_VALUES, number) * MANY_VALUES
    return stored, (before + _copy_ceiling(dsn)) / 2


def _single(dsn: str, url: str, number: int) -> tuple[float, float, float]:
    """Return messages per second of ingest, of a bare paho, and of our own client with nothing behind it."""
    paho = _bare_client(url, SINGLE_MESSAGES, in_bursts=False)
    stored = _ingest(dsn, url, SINGLE_MESSAGES, 1, number)
    return stored, paho, _bare_client(url, SINGLE_MESSAGES, in_bursts=True)


def _row(name: str, unit: str, pairs: Sequence[tuple[float, float]], ceiling: str, bar: float | None) -> Row:
    """Return the middle round, by ratio, and how far the others were from it."""
    in_order = sorted(pairs, key=lambda pair: pair[0] / pair[1])
    value, beside = in_order[len(in_order) // 2]
    least, most = (round(measured / limit, 2) for measured, limit in (in_order[0], in_order[-1]))
    told = f"{beside:,.0f} {ceiling}; {len(pairs)} rounds, {least} to {most}"
    return Row(name, value, unit, told, value / beside, bar)


@contextmanager
def _servers() -> Iterator[tuple[str, str]]:
    folder = Path(tempfile.mkdtemp(prefix="wb-", dir="/tmp"))
    folder.chmod(0o755)
    server, broker = EmbeddedPostgres(folder / "pg"), EmbeddedBroker(folder / "broker")
    try:
        dsn = server.start()
        migrate(dsn)
        yield dsn, broker.start()
    finally:
        broker.stop()
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _register(dsn: str) -> None:
    """A site with a hundred devices and the rules that a motor has: three detectors on every series."""
    rules = (
        ("limits", "threshold", {"high": 1e9}),
        ("drift", "cusum", {}),
        ("jump", "step", {}),
    )
    with connect(dsn) as connection:
        connection.execute("insert into calendar values ('day', 'Day', 'UTC')")
        connection.execute("insert into site values (%s, 'Bench', 'day', 0, 0)", (SITE,))
        connection.execute("insert into asset_type values ('motor', 'Motor', '电机')")
        for name, detector, parameters in rules:
            connection.execute(
                "insert into rule"
                " (name, version, asset_type_id, metric, detector, parameters, severity, mode, created_at)"
                " values (%s, 1, 'motor', '*', %s, %s, 'high', 'auto', now())",
                (name, detector, json.dumps(parameters)),
            )
        connection.execute(
            "with made as (insert into asset (site_id, asset_type_id, tag, name, created_at)"
            " select %(site)s, 'motor', 'A' || n, 'A' || n, now() from generate_series(0, %(last)s) as n"
            " returning id, tag)"
            " insert into device (site_id, name, asset_id, created_at)"
            " select %(site)s, 'd' || substr(tag, 2), id, now() from made",
            {"site": SITE, "last": DEVICES - 1},
        )


def _copy_ceiling(dsn: str) -> float:
    """Rows per second by COPY of what the messages will carry, sorted by key as the fastest way is."""
    rows = MANY_MESSAGES * MANY_VALUES
    series = np.repeat(np.arange(1, DEVICES * MANY_VALUES + 1, dtype=np.int32), rows // (DEVICES * MANY_VALUES))
    each = rows // (DEVICES * MANY_VALUES)
    start_us = int((CLOCK.now() - timedelta(hours=2)).timestamp()) * 1_000_000
    ts_us = np.tile(start_us + np.arange(each, dtype=np.int64) * 1_000_000, DEVICES * MANY_VALUES)
    value = np.random.default_rng(1).normal(50, 1, len(series))
    # Cut by time, as a stream arrives: every batch has its share of every series.
    order = np.argsort(ts_us, kind="stable")
    batches = [np.sort(order[at : at + COPY_ROWS]) for at in range(0, rows, COPY_ROWS)]
    cut = [Readings(series[batch], ts_us[batch], value[batch]) for batch in batches]
    with connect(dsn) as connection:
        connection.autocommit = True
        partitions.ensure_partitions(connection, set((ts_us // 86_400_000_000).tolist()))
        began_s = CLOCK.monotonic_s()
        for batch in cut:
            with connection.transaction():
                readings.copy_new(connection, batch)
        seconds = CLOCK.monotonic_s() - began_s
        _empty(connection)
    return rows / seconds


def _ingest(dsn: str, url: str, messages: int, values: int, number: int = 0) -> float:
    """Messages per second from the broker to committed rows, of an ingester that has been running.

    It is warmed up by a few messages of another session: series made, kernels compiled, every device caught up.
    """
    options, session = replace(IngestOptions(), settle_s=0.0), f"{values}-{number}"
    partition = f"bench-{session}"
    with connect(dsn) as connection, _backlog(url, f"warm-{session}", 2 * DEVICES, values, offset=0):
        connection.autocommit = True
        worker = _Worker(dsn, _CountingSource(url, partition, f"warm-{session}", options), options)
        worker.run_until(2 * DEVICES)
        for _ in range(5):
            worker.step()
        with _backlog(url, f"bench-{session}", messages, values, offset=2):
            worker.take_over(_CountingSource(url, partition, f"bench-{session}", options))
            seconds = worker.run_until(messages)
        worker.stop.set()
        worker.run()
        worker.source.close()
        row = connection.execute("select count(*) from reading").fetchone()
        expected = (messages + 2 * DEVICES) * values
        if row is None or row[0] != expected:
            raise RuntimeError(f"expected {expected} readings, found {row}: the figure would mean nothing")
        _empty(connection)
    return messages / seconds


class _CountingSource(MqttSource):
    """Counts what is acknowledged, which is after its commit. Settled from the start: nothing is redelivered here."""

    def __init__(self, url: str, partition: str, client_id: str, options: IngestOptions) -> None:
        self.acknowledged = 0
        super().__init__(url, CLOCK, options=options, partition=partition, client_id=client_id)

    def _has_settled(self) -> bool:
        return True

    def commit(self, batch: Batch) -> None:
        super().commit(batch)
        self.acknowledged += len(batch.messages)


class _Worker(Worker):
    """A worker whose source can be changed, and that tells when the last message was acknowledged."""

    def __init__(self, dsn: str, source: _CountingSource, options: IngestOptions) -> None:
        self.stop = threading.Event()
        self.source = source
        super().__init__(lambda: connect(dsn), source, CLOCK, self.stop, options)

    def take_over(self, source: _CountingSource) -> None:
        self.source.close()
        self.source = self._source = source

    def run_until(self, wanted: int) -> float:
        """Work until so many messages are acknowledged; return the seconds since the call."""
        began_s = CLOCK.monotonic_s()
        while self.source.acknowledged < wanted:
            self.step()
        return CLOCK.monotonic_s() - began_s


class _PlainClient(BufferedClient):
    """paho with a read-ahead buffer and nothing else of ours: it handles and acknowledges packet by packet."""

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Let paho read packets while any are buffered."""
        rc = super().loop_read(max_packets)
        for _ in range(500):
            sock: object = self._sock
            if rc != MQTTErrorCode.MQTT_ERR_SUCCESS or not isinstance(sock, BufferedSocket) or not sock.pending():
                break
            rc = super().loop_read(max_packets)
        return rc


def _bare_client(url: str, messages: int, *, in_bursts: bool) -> float:
    """Messages per second of a client that acknowledges and does nothing else.

    ``in_bursts`` is the very client that ingest uses; without it paho handles every packet by itself.
    """
    host, _, port = url.removeprefix("mqtt://").partition(":")
    client_id = f"bench-bare-{in_bursts}"
    with _backlog(url, client_id, messages, 1, offset=0):
        left, done = [messages], threading.Event()
        kind = BufferedClient if in_bursts else _PlainClient
        client = kind(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=False, manual_ack=in_bursts)

        def seen(count: int) -> None:
            left[0] -= count
            if left[0] <= 0:
                done.set()

        def take_burst(burst: Sequence[Publish]) -> None:
            client.acknowledge([publish.packet_id for publish in burst])
            seen(len(burst))

        def take_one(_client: object, _userdata: object, message: mqtt.MQTTMessage) -> None:
            client.ack(message.mid, message.qos)
            seen(1)

        client.on_message = take_one
        if in_bursts:
            client.on_burst = take_burst
        began_s = CLOCK.monotonic_s()
        client.connect(host, int(port))
        client.loop_start()
        done.wait(120)
        seconds = CLOCK.monotonic_s() - began_s
        client.disconnect()
        client.loop_stop()
    return messages / seconds


@contextmanager
def _backlog(url: str, client_id: str, messages: int, values: int, *, offset: int) -> Iterator[None]:
    """Have so many messages wait in the broker for this session."""
    host, _, port = url.removeprefix("mqtt://").partition(":")
    subscriber = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=False)
    subscribed = threading.Event()
    subscriber.on_subscribe = lambda *_: subscribed.set()
    subscriber.connect(host, int(port))
    subscriber.loop_start()
    subscriber.subscribe([(topic, 1) for topic in SUBSCRIPTIONS])
    subscribed.wait(10)
    subscriber.disconnect()
    subscriber.loop_stop()
    publisher = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="bench-publisher")
    publisher.max_inflight_messages_set(1_000)
    publisher.connect(host, int(port))
    publisher.loop_start()
    start_ms = int((CLOCK.now() - timedelta(hours=2)).timestamp()) * 1_000
    generator = np.random.default_rng(2)
    sent = []
    for number in range(messages):
        second, device = divmod(number, DEVICES)
        told = {f"metric_{place}": round(value, 3) for place, value in enumerate(generator.normal(50, 1, values))}
        body = {"ts": start_ms + 1_000 * (offset + second), "seq": offset + second, "values": told}
        sent.append(publisher.publish(f"wearsight/v1/{SITE}/d{device}/telemetry", json.dumps(body), qos=1))
    for one in sent:
        one.wait_for_publish(120)
    publisher.disconnect()
    publisher.loop_stop()
    yield


def _empty(connection: Connection) -> None:
    connection.execute("truncate reading")
    connection.execute("truncate checkpoint, sequence_gap")
    connection.execute("update device set last_sequence = null, last_reading_at = null")
    connection.execute("checkpoint")
