"""Messages without a time, over real brokers: killed between commit and acknowledgement nothing doubles (SPEC E4)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.limits import IngestOptions
from ingest.mqtt_source import MqttSource
from ingest.source import Batch
from ingest.worker import Worker
from runtime.clock import SystemClock
from runtime.embedded_broker import EmbeddedBroker, MosquittoBroker
from storage import feeds
from storage.database import connect
from storage.feeds import FeedDraft
from tests.ingest_builders import (
    CLOCK,
    PARTITION,
    SITE,
    a_device,
    a_plant,
    a_publisher,
    an_ingester,
    fresh_client_id,
    until,
)

REPOSITORY = Path(__file__).parent.parent
SENT = 60
SETTINGS = {"topics": ["tele/{device}/SENSOR"], "missing_time": "receipt"}


@pytest.fixture(params=["nats", pytest.param("mosquitto", marks=pytest.mark.mosquitto)])
def url(request: pytest.FixtureRequest, server_folder: Path) -> Iterator[str]:
    """A broker of this test's own."""
    kind = EmbeddedBroker if request.param == "nats" else MosquittoBroker
    server = kind(server_folder / f"receipts-{request.param}")
    yield server.start()
    server.stop()


def test_killed_between_commit_and_acknowledgement_a_message_without_a_time_is_one_reading(database, url):
    """Every message is redelivered to the next ingester; those that are stored get the time they have."""
    client_id = fresh_client_id()
    with a_plant(database) as plant:
        feed = feeds.create_feed(
            plant, FeedDraft("tasmota", SITE, "tele/+/SENSOR", "mapped_json", SETTINGS), CLOCK.now()
        )
        a_device(plant, "s1", feed=(feed.id, "plug"))
        command = [sys.executable, "-m", "tests.test_ingest_receipts", database, url, client_id]
        child = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.DEVNULL, stdout=subprocess.PIPE)
        try:
            assert child.stdout is not None
            assert b"listening\n" in iter(child.stdout.readline, b"")
            with a_publisher(url) as publisher:
                publisher.send([("tele/plug/SENSOR", b'{"Power": %d}' % (n // 2)) for n in range(SENT)])
            assert child.wait(30) == -signal.SIGKILL
        finally:
            child.kill()
            child.wait()
        stored = plant.execute("select count(*) from reading").fetchone()[0]
        assert stored > 0
        with an_ingester(database, url, client_id):
            until(lambda: plant.execute("select max(value) from reading").fetchone()[0] == (SENT - 1) // 2, "the last")
            time.sleep(1.0)
        rows = plant.execute("select value, count(*) from reading group by value order by value").fetchall()
        # Each value was sent twice; of what was stored before the kill nothing is there more often than it was sent.
        assert [value for value, _ in rows] == [float(n) for n in range(SENT // 2)]
        assert max(times for _, times in rows) == 2
        assert plant.execute("select count(*) from quarantine").fetchone() == (0,)


class Dying(MqttSource):
    """A source whose process dies when its first messages are committed, before it acknowledges any."""

    def commit(self, batch: Batch) -> None:
        if batch.messages:
            os.kill(os.getpid(), signal.SIGKILL)


def main(dsn: str, url: str, client_id: str) -> None:
    clock = SystemClock()
    source = Dying(url, clock, options=IngestOptions(), partition=PARTITION, client_id=client_id)
    worker = Worker(lambda: connect(dsn), source, clock, threading.Event())
    while not (source.is_listening and "tele/+/SENSOR" in source._filters):
        worker.step()
    until(lambda: source.is_listening, "the feed is granted")
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    until(lambda: source.queued == SENT, "one batch has them all")
    while True:
        worker.step()


if __name__ == "__main__":
    main(*sys.argv[1:])
