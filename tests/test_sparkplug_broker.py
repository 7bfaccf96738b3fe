"""Sparkplug over a real broker into a real database: births, aliases, gaps, deaths, STATE, restarts."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from ingest.mqtt_source import MqttSource
from ingest.sparkplug.host_state import Hosts
from ingest.worker import Worker
from runtime.clock import SystemClock
from runtime.mosquitto_broker import MosquittoBroker
from simulators.sparkplug_node import EdgeNode, Metric, Type, run_edge_node
from storage.database import connect
from storage.feeds import Feed, FeedDraft, update_feed
from tests.conftest import REPOSITORY
from tests.ingest_builders import PARTITION, QUICK, Line, a_device, a_plant, fresh_client_id, until
from tests.ingest_builders import readings as readings_of
from tests.sparkplug_builders import EDGE, GROUP, NOW, SECOND, a_birth, a_death, a_feed, data, temperature

CLOCK = SystemClock()
ROBOT = f"{GROUP}/{EDGE}/robot"
MOTOR = (Metric("Temperature", Type.FLOAT, 20.0, unit="degC"), Metric("Speed", Type.INT16, -5))


class Service:
    """An ingester with its hosts, as the process wires them."""

    def __init__(self, dsn: str, url: str, client_id: str) -> None:
        self.stop = threading.Event()
        self.source = MqttSource(url, CLOCK, options=QUICK, partition=PARTITION, client_id=client_id)
        self.hosts = Hosts(url, f"{client_id}-host", CLOCK)
        self.worker = Worker(
            lambda: connect(dsn),
            self.source,
            CLOCK,
            self.stop,
            QUICK,
            send=self.source.send,
            on_feeds=self.hosts.follow,
        )
        self._thread = threading.Thread(target=self.worker.run, name="service")
        self._thread.start()

    def close(self) -> None:
        self.stop.set()
        self._thread.join(20)
        self.hosts.close()
        self.source.close()


@contextmanager
def a_service(dsn: str, url: str, client_id: str | None = None) -> Iterator[Service]:
    service = Service(dsn, url, client_id or fresh_client_id())
    try:
        until(lambda: service.hosts.online, "the host is online")
        yield service
    finally:
        service.close()


@pytest.fixture
def plant(database: str) -> Iterator[psycopg.Connection]:
    """A plant with a feed for all groups, and the robot of the press registered on it."""
    with a_plant(database) as connection:
        yield connection


@pytest.fixture
def feed(database: str, plant: psycopg.Connection) -> Feed:
    made = a_feed(database, reorder_s=0.3, rebirth_pause_s=1, host_id=f"scada-{os.getpid()}")
    a_device(plant, "robot", feed=(made.id, ROBOT))
    return made


def a_node(url: str, **more: object) -> EdgeNode:
    return EdgeNode(url, GROUP, EDGE, {"": (), "robot": MOTOR}, CLOCK.now, **more)


def stored(plant: psycopg.Connection, metric: str = "Temperature") -> list[float]:
    rows = plant.execute(
        "select value from reading join series on series.id = series_id where metric = %s order by ts", (metric,)
    ).fetchall()
    return [value for (value,) in rows]


def online(plant: psycopg.Connection) -> bool | None:
    return plant.execute("select online from device where name = 'robot'").fetchone()[0]


def state_of(url: str, host_id: str) -> dict[str, object] | None:
    """The retained STATE of a host, as a newcomer hears it."""
    heard: queue.Queue[bytes] = queue.Queue()
    host, _, port = url.removeprefix("mqtt://").partition(":")
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda _client, _userdata, message: heard.put(message.payload if message.retain else b"null")
    client.connect(host, int(port))
    client.subscribe(f"spBv1.0/STATE/{host_id}", qos=1)
    client.loop_start()
    try:
        return json.loads(heard.get(timeout=2))
    except queue.Empty:
        return None
    finally:
        client.disconnect()
        client.loop_stop()


def test_births_data_gap_rebirth_and_death_on_a_real_broker(database: str, broker: str, plant, feed: Feed):
    walk(database, broker, plant)


@pytest.mark.mosquitto
def test_births_data_gap_rebirth_and_death_on_mosquitto(database: str, server_folder: Path, plant, feed: Feed):
    server = MosquittoBroker(server_folder / "sparkplug-mosquitto")
    url = server.start()
    try:
        walk(database, url, plant)
        assert state_of(url, str(feed.settings["host_id"]))["online"] is False
    finally:
        server.stop()


def walk(database: str, url: str, plant: psycopg.Connection) -> None:
    with a_service(database, url), a_node(url) as node:
        until(lambda: stored(plant) == [20.0], "the birth's value is stored")
        assert stored(plant, "Speed") == [-5.0]
        assert online(plant) is True
        node.publish("robot", {"Temperature": 21.0, "Speed": -6})
        until(lambda: stored(plant) == [20.0, 21.0], "data by alias is stored")
        node.publish("robot", {"Temperature": 22.0}, is_lost=True)
        node.publish("robot", {"Temperature": 23.0})
        until(lambda: node.rebirths_asked == 1 and node.births == 2, "the gap has the node asked to be born again")
        node.publish("robot", {"Temperature": 24.0})
        until(lambda: stored(plant)[-1] == 24.0, "it goes on")
        assert stored(plant)[:3] == [20.0, 21.0, 23.0]
        assert stored(plant, "Speed")[:2] == [-5.0, -6.0]
        time.sleep(1.5)
        assert node.rebirths_asked == 1
        node.die("robot")
        until(lambda: online(plant) is False, "the device's death is noted")
    unit = plant.execute("select unit from series where metric = 'Temperature'").fetchone()
    assert unit == ("degC",)
    assert plant.execute("select reason, detail from quarantine").fetchall() == []


def test_a_restarted_ingester_reads_on_by_the_aliases_it_knew(database: str, broker: str, plant, feed: Feed):
    session = fresh_client_id()
    with a_service(database, broker, session) as first, a_node(broker) as node:
        until(lambda: stored(plant) == [20.0], "the birth's value is stored")
        first.close()
        with a_service(database, broker, session):
            node.publish("robot", {"Temperature": 21.0})
            until(lambda: stored(plant)[-1] == 21.0, "data by alias is stored")
            time.sleep(1.5)
            assert (node.births, node.rebirths_asked) == (1, 0)


def test_what_came_before_its_birth_is_stored_once_the_birth_came(database: str, broker: str, plant, feed: Feed):
    with a_node(broker) as node, a_service(database, broker):
        node.publish("robot", {"Temperature": 21.0})
        until(lambda: stored(plant) == [21.0, 20.0], "the message that waited, and the birth")
        assert node.rebirths_asked == 1
        until(lambda: plant.execute("select replay_result from quarantine").fetchall() == [("stored",)], "replayed")


def test_a_killed_node_is_offline_and_a_stale_death_changes_nothing(database: str, broker: str, plant, feed: Feed):
    with a_service(database, broker):
        killed = a_process("node", broker)
        until(lambda: online(plant) is True, "the node of the other process is born")
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait(10)
        until(lambda: online(plant) is False, "its last will is honoured")
        with a_node(broker, birth_number=8) as node:
            until(lambda: online(plant) is True, "the next session is born")
            node._client.publish(node.topic("NDEATH"), a_death(NOW, 7)[1], qos=1).wait_for_publish(5)
            node.publish("robot", {"Temperature": 30.0})
            until(lambda: stored(plant)[-1] == 30.0, "data after the stale death is stored")
            assert online(plant) is True
        until(lambda: online(plant) is False, "the death of the session that lives is honoured")


def test_the_simulated_edge_node_of_the_command_line_is_heard(database: str, broker: str, plant, feed: Feed):
    stop = threading.Event()
    said: list[str] = []
    with a_service(database, broker):
        node = threading.Thread(
            target=run_edge_node,
            args=(broker, GROUP, EDGE, ["robot"]),
            kwargs={"now": CLOCK.now, "stop": stop, "say": said.append, "every_s": 0.05},
        )
        node.start()
        until(lambda: len(stored(plant, "Motor/Vibration")) > 5, "its data is stored")
        stop.set()
        node.join(10)
        until(lambda: online(plant) is False, "it said that it leaves")
    assert said == ["edge node hall/press is born with 1 devices"]


def test_state_says_online_while_we_listen_and_offline_after(database: str, broker: str, plant, feed: Feed):
    host_id = str(feed.settings["host_id"])
    with a_service(database, broker):
        until(lambda: (state_of(broker, host_id) or {}).get("online") is True, "STATE is online")
        timestamp = state_of(broker, host_id)["timestamp"]
        assert abs(timestamp - CLOCK.now().timestamp() * 1000) < 30_000
    assert state_of(broker, host_id)["online"] is False


def test_the_killed_ingest_process_is_offline_and_the_next_one_online(
    database: str, broker: str, plant, feed: Feed, tmp_path: Path
):
    host_id = str(feed.settings["host_id"])
    settings = {"DATABASE_URL": database, "BROKER_URL": broker, "DATA_DIR": str(tmp_path)}
    environment = os.environ | {f"WEARSIGHT_{name}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "runtime", "ingest"]
    with a_node(broker) as node:
        for end, left in ((signal.SIGKILL, "its will"), (signal.SIGTERM, "its last word")):
            process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL)
            try:
                until(lambda: (state_of(broker, host_id) or {}).get("online") is True, "STATE is online", 60)
                before = len(stored(plant))
                node.bear()
                until(lambda before=before: len(stored(plant)) > before, "the births are stored")
            finally:
                process.send_signal(end)
                process.wait(30)
            until(lambda: state_of(broker, host_id)["online"] is False, f"STATE is offline by {left}")


def test_a_disabled_feed_has_no_host(database: str, broker: str, plant, feed: Feed):
    host_id = str(feed.settings["host_id"])
    with a_service(database, broker) as service:
        draft = FeedDraft(feed.name, feed.site, feed.topic, feed.decoder, feed.settings, enabled=False)
        update_feed(plant, feed.id, draft)
        until(lambda: not service.hosts.online, "the host is closed")
        until(lambda: (state_of(broker, host_id) or {}).get("online") is False, "STATE is offline")


def test_the_will_of_a_killed_host_says_offline_with_the_time_it_came_online(broker: str):
    killed = a_process("host", broker)
    until(lambda: (state_of(broker, "killed") or {}).get("online") is True, "STATE is online")
    timestamp = state_of(broker, "killed")["timestamp"]
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait(10)
    until(lambda: state_of(broker, "killed") == {"online": False, "timestamp": timestamp}, "the will is told")


def test_a_host_that_hears_itself_declared_offline_contradicts(broker: str):
    running = a_process("host", broker)
    try:
        until(lambda: (state_of(broker, "killed") or {}).get("online") is True, "STATE is online")
        host, _, port = broker.removeprefix("mqtt://").partition(":")
        client = mqtt.Client(CallbackAPIVersion.VERSION2)
        client.connect(host, int(port))
        client.loop_start()
        client.publish("spBv1.0/STATE/killed", b'{"online":false,"timestamp":1}', qos=1, retain=True).wait_for_publish(
            5
        )
        until(lambda: state_of(broker, "killed")["online"] is True, "it says that it is online")
        client.disconnect()
        client.loop_stop()
    finally:
        running.kill()
        running.wait(10)


def test_a_device_adopted_later_gets_what_its_messages_said(database: str, plant):
    feed = a_feed(database)
    line = Line(database)
    birth = a_birth(NOW, temperature(value=5.0), device="robot", seq=1)
    line.take(a_birth(NOW), birth, data(NOW + SECOND, 2, {1: 6.0}, device="robot"))
    assert line.reasons() == ["unknown_device", "unknown_device"]
    assert line.rows("select distinct feed_id, device_name from quarantine") == [(feed.id, ROBOT)]
    a_device(plant, "robot", feed=(feed.id, ROBOT))
    line.wait(2)
    replay(line)
    assert [value for _, _, value in readings_of(line)] == [5.0, 6.0]
    assert line.rows("select online from device") == [(True,)]


def test_the_death_of_a_gateway_that_is_no_device_takes_its_devices_offline(database: str, plant):
    feed = a_feed(database)
    a_device(plant, "robot", feed=(feed.id, ROBOT))
    line = Line(database)
    line.take(a_birth(NOW), a_birth(NOW, temperature(), device="robot", seq=1))
    assert line.rows("select online from device") == [(True,)]
    line.wait(1)
    line.take(a_death(NOW))
    assert line.rows("select online from device") == [(False,)]
    assert line.reasons() == []


def test_a_batch_that_fails_is_stored_from_the_databases_own_truth(database: str, plant):
    feed = a_feed(database)
    a_device(plant, "robot", feed=(feed.id, ROBOT))
    line = Line(database)
    line.take(a_birth(NOW), a_birth(NOW, temperature(), device="robot", seq=1))
    line.wait(1)
    line.connection.execute("alter table reading rename to elsewhere")
    second = data(NOW + SECOND, 2, {1: 6.0}, device="robot")
    with pytest.raises(psycopg.errors.UndefinedTable):
        line.take(second)
    line.connection.execute("alter table elsewhere rename to reading")
    line.pipeline.reset()
    line.take(second)
    assert [value for _, _, value in readings_of(line)] == [20.0, 6.0]


def replay(line: Line) -> None:
    """Ask for everything in quarantine to be tried again, and do it."""
    line.connection.execute("update quarantine set replay_requested_at = %s", (line.now,))
    line.take(*line.pipeline.to_replay())


def a_process(role: str, url: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tests.test_sparkplug_broker", role, url], cwd=REPOSITORY)


def main(arguments: Sequence[str]) -> None:
    """A host or an edge node as a process of its own, for tests that kill it."""
    role, url = arguments
    if role == "host":
        hosts = Hosts(url, "killed", CLOCK)
        for _ in range(2):
            hosts.follow([Feed(1, "f", "s", "spBv1.0/#", "sparkplug_b", {"host_id": "killed"}, True, None, None)])
        time.sleep(60)
    else:
        with a_node(url, birth_number=7):
            time.sleep(60)


if __name__ == "__main__":
    main(sys.argv[1:])
