"""The simulated device on a real broker: what it sends, its last will, its bound on what is in flight."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from uuid import uuid4

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from simulators import device as device_module
from simulators.device import BrokerAddress, Device, DeviceStopped
from simulators.faults import Sample

NOW = datetime(2026, 3, 2, 8, 0, 0, 250_000, tzinfo=UTC)


class Listener:
    """Hears one device."""

    def __init__(self, broker: str, site: str) -> None:
        self.messages: list[tuple[str, bytes]] = []
        address = BrokerAddress.parse(broker)
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"listener-{uuid4()}")
        self.client.on_message = lambda _client, _data, message: self.messages.append((message.topic, message.payload))
        subscribed = threading.Event()
        self.client.on_subscribe = lambda *_: subscribed.set()
        self.client.connect(address.host, address.port)
        self.client.loop_start()
        self.client.subscribe(f"wearsight/v1/{site}/#", qos=1)
        assert subscribed.wait(5)

    def of(self, kind: str) -> list[bytes]:
        return [payload for topic, payload in self.messages if topic.endswith(f"/{kind}")]


def eventually(holds: Callable[[], object]) -> None:
    for _ in range(500):
        if holds():
            return
        time.sleep(0.01)
    pytest.fail("it did not come to hold within 5 s")


@pytest.fixture
def site() -> str:
    return f"site-{uuid4().hex[:8]}"


@pytest.fixture
def listener(broker: str, site: str) -> Iterator[Listener]:
    heard = Listener(broker, site)
    yield heard
    heard.client.disconnect()
    heard.client.loop_stop()


def a_sample(sequence: int) -> Sample:
    return Sample(NOW, sequence, {"a": 1.5, "b": 2.0})


def test_a_device_sends_one_sample_as_an_object_and_more_as_a_list(broker: str, site: str, listener: Listener) -> None:
    with Device(broker, site, "D-1", threading.Event()) as device:
        device.publish_samples([a_sample(device.next_sequence())])
        device.publish_samples([a_sample(device.next_sequence()), a_sample(device.next_sequence())])
        device.publish_samples([])
        device.wait_until_sent()
    eventually(lambda: len(listener.of("telemetry")) == 2)
    single, several = map(json.loads, listener.of("telemetry"))
    assert single == {"ts": 1772438400250, "seq": 1, "values": {"a": 1.5, "b": 2.0}}
    assert [sample["seq"] for sample in several] == [2, 3]


def test_events_count_on_in_the_same_sequence(broker: str, site: str, listener: Listener) -> None:
    with Device(broker, site, "D-1", threading.Event()) as device:
        device.resume_after(41)
        device.publish_samples([a_sample(device.next_sequence())])
        device.publish_event(
            NOW, kind="operator", code="component_replaced", severity="info", attributes={"component": "bearing"}
        )
        device.wait_until_sent()
    eventually(lambda: listener.of("events"))
    assert json.loads(listener.of("events")[0]) == {
        "ts": 1772438400250,
        "seq": 43,
        "kind": "operator",
        "code": "component_replaced",
        "severity": "info",
        "text": "",
        "attrs": {"component": "bearing"},
    }


def test_a_device_says_online_when_it_comes_and_offline_when_it_goes(
    broker: str, site: str, listener: Listener
) -> None:
    with Device(broker, site, "D-1", threading.Event()):
        eventually(lambda: listener.of("state") == [b"online"])
    eventually(lambda: listener.of("state") == [b"online", b"offline"])


def test_a_device_that_dies_is_declared_offline_by_its_last_will(broker: str, site: str, listener: Listener) -> None:
    device = Device(broker, site, "D-1", threading.Event())
    device.__enter__()
    eventually(lambda: listener.of("state") == [b"online"])
    device._client.loop_stop()
    sock = device._client.socket()
    assert sock is not None
    sock.close()
    eventually(lambda: listener.of("state") == [b"online", b"offline"])


def test_a_device_hears_of_the_tickets_of_its_asset_even_those_that_closed_while_it_was_away(
    broker: str, site: str, listener: Listener
) -> None:
    notice = {"code": "D000001", "state": "closed", "outcome": "repaired"}
    absent, granted = Device(broker, site, "D-1", threading.Event(), listen=True), threading.Event()
    absent._client.on_subscribe = lambda *_: granted.set()
    with absent:
        eventually(granted.is_set)
    listener.client.publish(f"wearsight/v1/{site}/D-1/tickets", json.dumps(notice), qos=1).wait_for_publish(5)
    listener.client.publish(f"wearsight/v1/{site}/D-1/tickets", "not json", qos=1).wait_for_publish(5)
    heard: list[dict[str, object]] = []
    with Device(broker, site, "D-1", threading.Event(), listen=True) as device:
        eventually(lambda: heard.extend(device.ticket_notices()) or heard)
    assert heard == [notice]


def test_what_is_in_flight_is_bounded_and_the_caller_waits(
    monkeypatch: pytest.MonkeyPatch, broker: str, site: str, listener: Listener
) -> None:
    monkeypatch.setattr(device_module, "IN_FLIGHT_LIMIT", 3)
    with Device(broker, site, "D-1", threading.Event()) as device:
        for _ in range(200):
            device.publish_samples([a_sample(device.next_sequence())])
            assert device._in_flight <= 4, "three messages, and the word that it is online"
        device.wait_until_sent()
    eventually(lambda: len(listener.of("telemetry")) == 200)


def test_without_a_broker_a_device_keeps_its_bound_and_gives_way_to_stop(
    monkeypatch: pytest.MonkeyPatch, site: str
) -> None:
    monkeypatch.setattr(device_module, "IN_FLIGHT_LIMIT", 3)
    stop = threading.Event()
    with Device("mqtt://127.0.0.1:9", site, "D-1", stop) as device:
        for _ in range(3):
            device.publish_samples([a_sample(device.next_sequence())])
        stop.set()
        with pytest.raises(DeviceStopped, match="D-1 was stopped with 3 messages unacknowledged"):
            device.publish_samples([a_sample(device.next_sequence())])


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("mqtt://127.0.0.1:1884", BrokerAddress("127.0.0.1", 1884, False, None, None)),
        ("mqtt://plant", BrokerAddress("plant", 1883, False, None, None)),
        ("mqtts://me:s%40fe@plant", BrokerAddress("plant", 8883, True, "me", "s@fe")),
    ],
)
def test_a_broker_address_is_read_with_its_credentials(text: str, address: BrokerAddress) -> None:
    assert BrokerAddress.parse(text) == address


@pytest.mark.parametrize("text", ["plant:1883", "http://plant", "mqtt://", ""])
def test_what_is_no_broker_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"mqtt://\[user:password@\]host\[:port\], got"):
        BrokerAddress.parse(text)
