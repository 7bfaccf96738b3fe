"""Names that the embedded broker does not carry: client ids, topics and filters with a space (SPEC E2, E3)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.refusals import Refused
from runtime.broker_access import internal_address, keep_service
from runtime.dialects import IngestDialects, dialects_at
from runtime.embedded_broker import MosquittoBroker
from runtime.settings import Settings
from storage.feeds import FeedDraft
from tests.broker_builders import a_client
from tests.services_builders import eventually

MAPPING = {"topics": ["line 1/{device}"], "missing_time": "receipt"}


@pytest.fixture(scope="module")
def mosquitto(server_folder: Path) -> Iterator[str]:
    server = MosquittoBroker(server_folder / "names-mosquitto")
    yield server.start()
    server.stop()


def a_draft(topic: str, *, enabled: bool = True) -> FeedDraft:
    return FeedDraft("line", "plant-1", topic, "mapped_json", MAPPING, enabled)


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("client_id", ["press 7", "plant-1.press-7.1", "press*7", "press>7", " ", "冲压机 7"])
def test_the_embedded_broker_turns_away_client_ids_with_a_space_a_dot_or_a_wildcard_of_its_own(
    broker: str, client_id: str, *, clean: bool
):
    """At once, by its answer to CONNECT: the client never comes to subscribe."""
    with a_client(broker, client_id, clean=clean) as client:
        assert client.connected[0] is False
        assert not client.is_in


@pytest.mark.parametrize("client_id", ["press-7", "press_7", "00:1a:2b:3c", "press/7", "冲压机\u30007"])
def test_the_embedded_broker_lets_other_client_ids_in(broker: str, client_id: str):
    with a_client(broker, client_id) as client:
        assert client.is_in
        assert client.subscribe("a/#")


def test_the_embedded_broker_hangs_up_on_a_topic_with_a_space_and_nothing_behind_it_arrives(broker: str):
    """The client sends an unacknowledged message again after each reconnect, and is hung up on again."""
    with a_client(broker, "listens") as listener, a_client(broker, "press-7", clean=False) as client:
        assert listener.subscribe("line/#")
        client._client.publish("line/press 7", "never arrives", qos=1)
        client._client.publish("line/press-7", "waits behind it", qos=1)
        assert eventually(lambda: client.lost >= 3)
        assert listener.texts() == []


@pytest.mark.parametrize(
    ("topic", "is_granted"), [("a b/#", False), ("a/b c", False), ("a/+/c d", False), ("a\u3000b/#", True)]
)
def test_the_embedded_broker_grants_no_filter_with_a_space(broker: str, topic: str, *, is_granted: bool):
    with a_client(broker, "asks") as client:
        assert client.subscribe(topic) is is_granted
        assert client.is_in


@pytest.mark.mosquitto
def test_mosquitto_carries_them_all(mosquitto: str):
    with a_client(mosquitto, "press 7.1") as client:
        assert client.subscribe("line 1/#")
        client.publish("line 1/press 7", "arrives")
        assert eventually(lambda: client.texts() == ["arrives"])


@pytest.mark.parametrize("topic", ["line 1/#", "line/+/press 7", " "])
def test_a_feed_that_the_embedded_broker_could_not_hear_is_refused_with_what_to_do(topic: str):
    """One subscription that is not granted, and ingest would never say that it listens."""
    with pytest.raises(Refused) as refused:
        IngestDialects(carries_spaces=False).check(a_draft(topic))
    assert refused.value.name == "invalid_feed"
    assert (refused.value.got, "without spaces" in refused.value.expected) == (repr(topic), True)
    assert "docs/broker.md" in refused.value.remedy


def test_a_feed_that_is_there_already_can_be_switched_off():
    IngestDialects(carries_spaces=False).check(a_draft("line 1/#", enabled=False))


def test_only_the_embedded_nats_is_known_to_refuse_spaces(tmp_path: Path):
    def takes(broker_url: str | None, broker: str = "nats") -> bool:
        settings = Settings(data_dir=tmp_path, broker_url=broker_url, broker=broker)
        try:
            dialects_at(settings).check(a_draft("line 1/#"))
        except Refused:
            return False
        return True

    address = "mqtt://127.0.0.1:1883"
    assert takes(address)  # of a directory that has no broker
    keep_service(tmp_path)
    own = internal_address(tmp_path, address)
    assert not takes(own)
    assert takes(own, "mosquitto")
    assert takes(address)
    assert takes("mqtt://wearsight-service:of-their-own@broker.example:1883")
    assert takes(None)
