"""Back-pressure: a database that is away or slow stops acknowledging, and memory stays bounded (SPEC E4; ADR 3)."""

from __future__ import annotations

import ast
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.lanes import LaneSource
from ingest.limits import IngestOptions
from ingest.slices import whole
from ingest.source import Batch
from ingest.worker import Worker
from runtime.clock import SystemClock
from runtime.embedded_postgres import EmbeddedPostgres
from storage.database import connect, migrate
from tests.ingest_builders import (
    CLOCK,
    PARTITION,
    QUICK,
    a_device,
    a_plant,
    a_publisher,
    fresh_client_id,
    telemetry,
    topic,
    until,
)

REPOSITORY = Path(__file__).parent.parent
MIB = 1024 * 1024
QUEUE_BYTES = 8 * MIB
# What is put on top of the queue: the burst that was let in, buffers, what the allocator keeps.
SLACK_BYTES = 48 * MIB
LARGE = 60_000
NATIVE = whole(PARTITION).native_filters()


def child(dsn: str, url: str, client_id: str) -> None:
    """An ingester with a small queue, as a process of its own."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    options = IngestOptions(queue_bytes=QUEUE_BYTES, settle_s=1.0, backoff_max_s=1.0)
    source = LaneSource(url, SystemClock(), options=options, partition=PARTITION, client_id=client_id, filters=NATIVE)
    Worker(lambda: connect(dsn), source, SystemClock(), stop, options).run()
    source.close()


@pytest.fixture
def child_of() -> Iterator[object]:
    """Starts ingesters as processes; none outlives the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        code = f"from tests.test_ingest_pressure import child; child(*{arguments!r})"
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait(10)


@pytest.fixture
def own_server(server_folder) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL of this test's own, to be stopped and started."""
    server = EmbeddedPostgres(server_folder / "pg-pressure")
    yield server
    server.stop()


def resident_bytes(process: subprocess.Popen[bytes]) -> int:
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the process is gone")


def test_without_a_database_nothing_is_acknowledged_and_memory_stays_bounded(own_server, broker, child_of):
    """A publisher sends 120 MB while the database is away. The process keeps its size; killed -9 and started again
    with the database back, every message is there."""
    dsn = own_server.start()
    migrate(dsn)
    client_id, messages = fresh_client_id(), 2_000
    with a_plant(dsn) as plant:
        process = child_of(dsn, broker, client_id)
        beating = "select count(*) from checkpoint_fence where settled"
        until(lambda: plant.execute(beating).fetchone()[0], "it listens", 30)
    own_server.stop()
    before = largest = resident_bytes(process)
    with a_publisher(broker) as publisher:
        for at in range(0, messages, 100):
            publisher.send([(topic(), b"%07d" % number + b"x" * LARGE) for number in range(at, at + 100)])
            time.sleep(0.4)
            largest = max(largest, resident_bytes(process))
    assert largest - before < QUEUE_BYTES + SLACK_BYTES
    process.kill()
    process.wait(10)
    own_server.start()
    with connect(dsn) as plant:
        plant.autocommit = True
        child_of(dsn, broker, client_id)
        kept = "select count(*), count(distinct fingerprint) from quarantine"
        until(lambda: plant.execute(kept).fetchone() == (messages, messages), "every message is there", 60)


class CountingSource(LaneSource):
    """Counts what is acknowledged."""

    acknowledged = 0

    def commit(self, batch: Batch) -> None:
        super().commit(batch)
        self.acknowledged += len(batch.messages)


def test_behind_a_slow_database_the_queue_is_full_and_nothing_is_acknowledged(database, broker):
    """A statement that waits is an absent database for as long as it waits."""
    options = IngestOptions(
        **{name: getattr(QUICK, name) for name in IngestOptions.__dataclass_fields__ if name != "queue_messages"},
        queue_messages=300,
    )
    stop, total = threading.Event(), 5_000
    with a_plant(database) as plant, connect(database) as blocking, a_publisher(broker) as publisher:
        a_device(plant)
        source = CountingSource(
            broker, CLOCK, options=options, partition=PARTITION, client_id=fresh_client_id(), filters=NATIVE
        )
        until(lambda: source.is_listening, "it listens")
        working = threading.Thread(target=Worker(lambda: connect(database), source, CLOCK, stop, options).run)
        working.start()
        try:
            start = CLOCK.now()
            publisher.send([(topic(), telemetry(start, 0))])
            until(lambda: source.acknowledged == 1, "it works")
            blocking.execute("lock table reading in access exclusive mode")
            publisher.send([(topic(), telemetry(start, number + 1, t=1.0)) for number in range(total)])
            until(lambda: source.queued >= 300, "the queue is full")
            time.sleep(2.0)
            # One read of the socket, 256 KiB, is let in beyond the bound.
            assert source.queued < 300 + 262_144 // 50
            assert source.queued < total
            assert source.acknowledged == 1
            assert source.lag_s() > 1.5
            blocking.rollback()
            until(lambda: source.acknowledged == total + 1, "all are acknowledged")
        finally:
            blocking.rollback()
            stop.set()
            working.join(20)
            source.close()


WAITING_CALLS = {"wait": 1, "join": 1, "acquire": 1, "wait_for_publish": 1}


def test_every_wait_in_ingest_has_a_bound():
    """A wait without a limit hides a dead peer for ever."""
    endless = []
    for path in sorted((REPOSITORY / "ingest").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                wanted = WAITING_CALLS.get(node.func.attr)
                is_text = isinstance(node.func.value, ast.Constant)
                if wanted and not is_text and len(node.args) + len(node.keywords) < wanted:
                    endless.append(f"{path.name}:{node.lineno}")
    assert endless == []
