"""The MQTT source: bounded, and acknowledged only on the connection a message came by (ADR 3, 25)."""

from __future__ import annotations

import struct
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.buffered_client import BufferedClient, Publish, cut_publishes
from ingest.limits import IngestOptions
from ingest.mailbox import Mailbox
from ingest.mqtt_source import MqttSource
from ingest.source import Message
from runtime.clock import SystemClock
from tests.ingest_builders import a_publisher, fresh_client_id, topic, until

PUBACK, PINGRESP = b"\x40\x02\x00\x01", b"\xd0\x00"


def a_packet(
    name: bytes, payload: bytes, packet_id: int = 0, *, is_repeat: bool = False, is_retained: bool = False
) -> bytes:
    """A PUBLISH packet as brokers write it: QoS 1 when it has an id."""
    body = struct.pack("!H", len(name)) + name + (struct.pack("!H", packet_id) if packet_id else b"") + payload
    length, head = len(body), [0x30 | (0x02 if packet_id else 0) | (0x08 if is_repeat else 0) | is_retained]
    while True:
        length, digit = divmod(length, 128)
        head.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(head) + body


@pytest.fixture
def source_of(broker):
    """Makes sources; closes them all."""
    made = []

    def make(client_id: str, **options) -> MqttSource:
        source = MqttSource(
            broker, SystemClock(), options=IngestOptions(**options), partition="test", client_id=client_id
        )
        made.append(source)
        until(lambda: source.is_listening, "it listens")
        return source

    yield make
    for source in made:
        source.close()


def drain(source: MqttSource, count: int, within_s: float = 15.0) -> list[Message]:
    """Take messages, without acknowledging them, until there are so many."""
    found: list[Message] = []
    until(lambda: found.extend(source.poll(1000, 0.1).messages) or len(found) >= count, f"{count} messages", within_s)
    return found


def test_the_private_names_of_paho_that_the_buffer_leans_on_are_there():
    client = BufferedClient.__mro__[1]
    assert {"_create_socket", "_packet_queue", "_packet_read", "loop_read"} <= set(dir(client))


@given(
    packets=st.lists(
        st.tuples(
            st.binary(min_size=1, max_size=20),
            st.binary(max_size=300),
            st.integers(0, 65_535),
            st.booleans(),
            st.booleans(),
        ),
        max_size=8,
    ),
    tail=st.sampled_from(
        [b"", PUBACK, PINGRESP, b"\x30", b"\x32\x80", b"\x32\x05\x00\x09ab", b"\x34\x06\x00\x01a\x00\x01x"]
    ),
)
def test_whole_messages_are_cut_out_of_a_buffer_and_the_rest_is_left(packets, tail):
    encoded = [
        a_packet(name, body, number, is_repeat=repeat, is_retained=retained)
        for name, body, number, repeat, retained in packets
    ]
    found, at = cut_publishes(b"".join(encoded) + tail, 0)
    assert found == [Publish(*packet) for packet in packets]
    assert at == sum(map(len, encoded))


@given(st.binary(max_size=64))
def test_no_bytes_make_the_cutter_fail_or_run_past_the_end(buffer):
    found, at = cut_publishes(buffer, 0)
    assert 0 <= at <= len(buffer)
    assert bool(found) == (at > 0)


def test_a_full_mailbox_blocks_who_puts_until_something_is_taken():
    """ADR 3: the bound is ours, whatever the broker's window."""
    box = Mailbox(max_messages=10, max_bytes=1_000)
    box.put([Message("t", b"x")] * 10)
    putting = threading.Thread(target=box.put, args=([Message("t", b"y")],))
    putting.start()
    putting.join(0.2)
    assert putting.is_alive()
    assert len(box) == 10
    assert len(box.take(4, 1_000, 0)) == 4
    putting.join(5)
    assert not putting.is_alive()
    assert len(box) == 7


def test_a_mailbox_is_bounded_in_bytes_too_and_a_batch_as_well():
    box = Mailbox(max_messages=100, max_bytes=1_000)
    box.put([Message("t", b"x" * 600)] * 2)
    putting = threading.Thread(target=box.put, args=([Message("t", b"y")],))
    putting.start()
    putting.join(0.2)
    assert putting.is_alive()
    assert len(box.take(10, 700, 0)) == 1
    putting.join(5)
    assert len(box.take(10, 100, 0)) == 1  # one that is larger than a batch comes alone


def test_closing_a_mailbox_lets_everybody_go():
    box = Mailbox(max_messages=1, max_bytes=1)
    box.put([Message("t", b"x")])
    putting = threading.Thread(target=box.put, args=([Message("t", b"y")],))
    putting.start()
    box.close()
    putting.join(5)
    assert not putting.is_alive()
    assert len(box) == 1


def test_messages_arrive_in_order_whole_and_of_every_size(broker, source_of):
    """Small ones in bursts, large ones in pieces, in any mixture."""
    source = source_of(fresh_client_id())
    payloads = [bytes([number % 251]) * size for number, size in enumerate([1, 500, 60_000, 3, 300_000, 2] * 20)]
    with a_publisher(broker) as publisher:
        publisher.send([(topic(f"d{number}"), payload) for number, payload in enumerate(payloads)])
    found = drain(source, len(payloads))
    assert [message.payload for message in found] == payloads
    assert [message.topic for message in found] == [topic(f"d{number}") for number in range(len(payloads))]


def test_what_is_not_acknowledged_comes_again_and_what_is_does_not(broker, source_of):
    """SPEC E4."""
    client_id = fresh_client_id()
    source = source_of(client_id)
    with a_publisher(broker) as publisher:
        publisher.send([(topic(), b"%d" % number) for number in range(20)])
    until(lambda: source.queued == 20, "twenty")
    source.commit(source.poll(12, 1))
    time.sleep(0.3)
    source.close()
    again = source_of(client_id)
    assert [message.payload for message in drain(again, 8)] == [b"%d" % number for number in range(12, 20)]
    assert again.poll(10, 0.3).messages == []


def test_what_the_broker_kept_is_told_from_what_was_sent_while_we_were_away(broker, source_of):
    """A retained message that our session queued is a message like any other; sent again at a connect it is not."""
    client_id, name = fresh_client_id(), topic(fresh_client_id())
    source_of(client_id).close()
    with a_publisher(broker) as publisher:
        publisher.send([(name, b"kept")], retain=True)
    source = source_of(client_id)
    found = drain(source, 2)
    assert sorted((one.payload, one.is_retained) for one in found) == [(b"kept", False), (b"kept", True)]
    with a_publisher(broker) as publisher:
        publisher.send([(name, b"")], retain=True)


def test_a_stale_acknowledgement_never_reaches_the_next_connection(broker, source_of):
    """ADR 3: packet ids are used again, and a stale acknowledgement would discard a message nobody stored."""
    client_id = fresh_client_id()
    source = source_of(client_id, settle_s=0.1)
    with a_publisher(broker) as publisher:
        publisher.send([(topic(), b"%d" % number) for number in range(5)])
        until(lambda: source.queued == 5, "five")
        stale = source.poll(10, 1)
        other = source_of(client_id)  # takes the session over: the first one is disconnected
        other.close()
        until(lambda: source.queued == 5, "they come again by the next connection")
        source.commit(stale)
        assert {message.payload for message in drain(source, 5)} == {b"%d" % number for number in range(5)}


def test_a_source_settles_only_after_its_time_and_after_what_came_before(broker, source_of):
    """SPEC E6."""
    source = source_of(fresh_client_id(), settle_s=0.6)
    assert not source.poll(10, 0).settled
    with a_publisher(broker) as publisher:
        publisher.send([(topic(), b"early")])
        until(lambda: source.queued, "early")
        time.sleep(0.6)
        first, second = source.poll(10, 0), source.poll(10, 0)
    assert [message.payload for message in first.messages] == [b"early"]
    assert (first.settled, second.settled, second.caught_up) == (False, True, True)


def test_a_broker_that_is_away_is_waited_for_and_nothing_is_raised(source_of):
    source = MqttSource("mqtt://127.0.0.1:9", SystemClock(), partition="test", client_id="nobody")
    try:
        batch = source.poll(10, 0.2)
        assert (batch.messages, batch.settled, batch.caught_up, source.is_connected) == ([], False, False, False)
        source.commit(batch)
    finally:
        source.close()


def test_an_address_that_is_none_is_refused():
    with pytest.raises(ValueError, match="mqtt://"):
        MqttSource("http://here", SystemClock(), client_id="nobody")
