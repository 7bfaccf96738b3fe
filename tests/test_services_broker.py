"""The embedded brokers with real kills: sessions and acknowledged messages stay, and so does the port."""

from __future__ import annotations

import os
import pwd
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from runtime.broker_probe import parse_broker_url, probe_broker
from runtime.broker_traps import judge
from runtime.children import AlreadyRunningError, ServiceError
from runtime.embedded_broker import HOST, EmbeddedBroker, MosquittoBroker
from tests.services_builders import IS_ROOT, an_open_folder, eventually, kill_hard, processes_of

TOPIC = "wearsight/v1/plant-1/d1/telemetry"
MESSAGES = 300


@pytest.fixture
def folder() -> Iterator[Path]:
    with an_open_folder() as opened:
        yield opened


@pytest.fixture(params=["nats", pytest.param("mosquitto", marks=pytest.mark.mosquitto)])
def server(request: pytest.FixtureRequest, folder: Path) -> Iterator[EmbeddedBroker | MosquittoBroker]:
    kind = EmbeddedBroker if request.param == "nats" else MosquittoBroker
    embedded = kind(folder / "broker")
    yield embedded
    embedded.stop()


@pytest.fixture
def nats(folder: Path) -> Iterator[EmbeddedBroker]:
    embedded = EmbeddedBroker(folder / "nats")
    yield embedded
    embedded.stop()


def port_of(url: str) -> int:
    return parse_broker_url(url).port


def connected(url: str, name: str) -> mqtt.Client:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=False)
    accepted = threading.Event()
    client.on_connect = lambda *_arguments: accepted.set()
    client.connect(HOST, port_of(url))
    client.loop_start()
    assert accepted.wait(10)
    return client


def leave(client: mqtt.Client) -> None:
    client.disconnect()
    client.loop_stop()


def subscribe_and_leave(url: str) -> None:
    client = connected(url, "ingest")
    granted = threading.Event()
    client.on_subscribe = lambda *_arguments: granted.set()
    client.subscribe(TOPIC, qos=1)
    assert granted.wait(10)
    leave(client)


def publish(url: str, count: int) -> None:
    client = connected(url, "device")
    for number in range(count):
        sent = client.publish(TOPIC, str(number), qos=1)
    sent.wait_for_publish(20)
    assert sent.is_published()
    leave(client)


def received(url: str, count: int) -> list[int]:
    """What comes to the persistent session without subscribing again, once each and in order.

    The order of arrival is no promise: NATS hands out what it believes under way only when its ``ack_wait`` is over.
    """
    got: set[int] = set()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="ingest", clean_session=False)
    client.on_message = lambda _client, _userdata, message: got.add(int(message.payload))
    client.connect(HOST, port_of(url))
    client.loop_start()
    eventually(lambda: len(got) >= count)
    leave(client)
    return sorted(got)


def test_acknowledged_messages_and_sessions_survive_a_kill(nats: EmbeddedBroker) -> None:
    url = nats.start()
    subscribe_and_leave(url)
    publish(url, MESSAGES)
    kill_hard(nats.pid)
    assert eventually(lambda: nats.exit_code is not None)
    assert nats.start() == url
    assert received(url, MESSAGES) == list(range(MESSAGES))


def test_messages_and_sessions_survive_a_clean_stop(server: EmbeddedBroker | MosquittoBroker) -> None:
    url = server.start()
    subscribe_and_leave(url)
    publish(url, MESSAGES)
    server.stop()
    assert server.start() == url
    assert received(url, MESSAGES) == list(range(MESSAGES))


def test_more_messages_are_kept_than_a_broker_keeps_by_default(server: EmbeddedBroker | MosquittoBroker) -> None:
    """Mosquitto's own default drops silently above 1,000 for each client."""
    url = server.start()
    subscribe_and_leave(url)
    publish(url, 1500)
    assert received(url, 1500) == list(range(1500))


def test_a_stopped_broker_leaves_nobody_behind(server: EmbeddedBroker | MosquittoBroker, folder: Path) -> None:
    url = server.start()
    assert probe_broker(url) is None
    assert processes_of(folder)
    server.stop()
    assert processes_of(folder) == []
    assert "cannot be reached" in str(probe_broker(url))


def _name_of(link: Path) -> str | None:
    """What an open file of a process is; None when it was closed meanwhile."""
    try:
        return link.readlink().name
    except FileNotFoundError:
        return None


def test_it_listens_on_loopback_only(server: EmbeddedBroker | MosquittoBroker) -> None:
    server.start()
    held = {name for link in Path(f"/proc/{server.pid}/fd").iterdir() if (name := _name_of(link)) is not None}
    addresses = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in held:
                addresses.add(fields[1].split(":")[0])
    assert addresses == {"0100007F"}


def test_a_port_that_somebody_took_meanwhile_is_left_to_them(nats: EmbeddedBroker) -> None:
    port = port_of(nats.start())
    nats.stop()
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind((HOST, port))
        squatter.listen()
        assert port_of(nats.start()) != port


def test_a_killed_broker_waits_for_its_port_because_clients_know_it(nats: EmbeddedBroker) -> None:
    url = nats.start()
    kill_hard(nats.pid)
    assert eventually(lambda: nats.exit_code is not None)
    squatter = socket.socket()
    squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    squatter.bind((HOST, port_of(url)))
    squatter.listen()
    leaves = threading.Timer(1.0, squatter.close)
    leaves.start()
    assert nats.start() == url
    leaves.join()


def test_a_port_that_was_asked_for_and_is_taken_is_refused_in_words(folder: Path) -> None:
    with socket.socket() as squatter:
        squatter.bind((HOST, 0))
        squatter.listen()
        with pytest.raises(ServiceError, match="does not answer"):
            EmbeddedBroker(folder / "nats", port=squatter.getsockname()[1]).start()
    assert processes_of(folder) == []


def test_a_second_start_on_one_directory_is_refused(nats: EmbeddedBroker, folder: Path) -> None:
    nats.start()
    with pytest.raises(AlreadyRunningError, match=f"process {os.getpid()}"):
        EmbeddedBroker(folder / "nats").start()


@pytest.mark.skipif(not IS_ROOT, reason="left out: only root drops to another user")
def test_root_drops_to_an_unprivileged_user(server: EmbeddedBroker | MosquittoBroker) -> None:
    server.start()
    uids = Path(f"/proc/{server.pid}/status").read_text().partition("Uid:")[2].split()[:4]
    assert set(uids) == {str(pwd.getpwnam("nobody").pw_uid)}


def test_something_that_is_no_broker_is_told_apart() -> None:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen()
        url = f"mqtt://{HOST}:{listener.getsockname()[1]}"

        def answer() -> None:
            accepted, _ = listener.accept()
            accepted.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            accepted.close()

        thread = threading.Thread(target=answer)
        thread.start()
        assert probe_broker(url) == "what answers there is not an MQTT broker"
        thread.join()


def test_a_broker_that_says_nothing_is_given_up_on() -> None:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen()
        url = f"mqtt://{HOST}:{listener.getsockname()[1]}"
        assert probe_broker(url, timeout_s=0.2) == "it did not answer within 0.2 s"


def test_dropped_messages_are_a_trap_that_was_sprung() -> None:
    traps = judge({"$SYS/broker/version": "mosquitto version 2.0.11", "$SYS/broker/publish/messages/dropped": "1234"})
    assert "1,234" in traps.seen[0].sentence
    assert traps.unseen[0].sentence.startswith("Mosquitto keeps 1,000")
    assert judge({}).seen == ()
    assert "cannot be seen" in judge({}).unseen[0].sentence
