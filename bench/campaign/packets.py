"""The few MQTT 3.1.1 packets that the campaigns need, by hand: nothing here is shared with the side that is tried."""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK = 0x10, 0x20, 0x30, 0x40, 0x82, 0x90
_QOS_1, _REPEATED = 0x02, 0x08
_CLEAN_SESSION = 0x02
_KEEPALIVE_S = 60


class Packet(NamedTuple):
    """One packet: its first byte, and what follows its length."""

    first: int
    body: bytes

    @property
    def kind(self) -> int:
        """The kind of packet, without flags."""
        return self.first & 0xF0

    @property
    def packet_id(self) -> int:
        """The number of an acknowledgement."""
        return int.from_bytes(self.body[:2], "big")


class Delivered(NamedTuple):
    """What a PUBLISH says; ``packet_id`` is 0 at QoS 0."""

    packet_id: int
    topic: bytes
    payload: bytes


def connect(port: int, client_id: str, *, clean: bool = True) -> socket.socket:
    """Return a connection to loopback that the broker has accepted."""
    connection = socket.create_connection(("127.0.0.1", port), 5)
    connection.settimeout(10)
    name = client_id.encode()
    flags = _CLEAN_SESSION if clean else 0
    body = b"\x00\x04MQTT\x04" + bytes([flags]) + struct.pack(">HH", _KEEPALIVE_S, len(name)) + name
    try:
        connection.sendall(_packet(CONNECT, body))
        answer = b""
        while len(answer) < 4:
            more = connection.recv(4 - len(answer))
            if not more:
                raise OSError("no answer to CONNECT")
            answer += more
        if answer[0] != CONNACK or answer[3] != 0:
            raise OSError(f"refused: {answer!r}")
    except BaseException:
        connection.close()
        raise
    return connection


def publish(topic: bytes, payload: bytes, packet_id: int) -> bytes:
    """Return a packet of QoS 1, or without an id of QoS 0."""
    number = struct.pack(">H", packet_id) if packet_id else b""
    body = struct.pack(">H", len(topic)) + topic + number + payload
    return _packet(PUBLISH | (_QOS_1 if packet_id else 0), body)


def repeated(packet: bytes) -> bytes:
    """Return a PUBLISH as it is sent again."""
    return bytes([packet[0] | _REPEATED]) + packet[1:]


def subscribe(topic: bytes) -> bytes:
    """Ask for a filter at QoS 1."""
    return _packet(SUBSCRIBE, b"\x00\x01" + struct.pack(">H", len(topic)) + topic + b"\x01")


def acknowledge(packet_id: int) -> bytes:
    """Return a PUBACK."""
    return _packet(PUBACK, struct.pack(">H", packet_id))


def read_publish(packet: Packet) -> Delivered:
    """Take a PUBLISH apart."""
    topic_end = 2 + int.from_bytes(packet.body[:2], "big")
    start = topic_end + 2 if packet.first & 0x06 else topic_end
    packet_id = int.from_bytes(packet.body[topic_end:start], "big")
    return Delivered(packet_id, packet.body[2:topic_end], packet.body[start:])


def split(data: bytes) -> tuple[list[Packet], bytes]:
    """Return the packets that are all there, and the bytes of one that is not."""
    found: list[Packet] = []
    at = 0
    while True:
        start, length, shift = at + 1, 0, 0
        while start < len(data):
            byte = data[start]
            start, length, shift = start + 1, length | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                break
        else:
            return found, data[at:]
        if start + length > len(data):
            return found, data[at:]
        found.append(Packet(data[at], data[start : start + length]))
        at = start + length


def _packet(first: int, body: bytes) -> bytes:
    length, value = bytearray(), len(body)
    while True:
        value, low = value >> 7, value & 0x7F
        length.append(low | (0x80 if value else 0))
        if not value:
            return bytes([first]) + bytes(length) + body
