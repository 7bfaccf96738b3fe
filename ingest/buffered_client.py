"""paho-mqtt without its system calls per packet.

Stock paho asks the kernel four times for every packet: select, then recv of one, one and N bytes. Here one recv
fills a buffer of 256 KiB; whole PUBLISH packets are cut out of it in one go, and everything else (handshakes, pings,
a packet that is not all there yet) is left to paho, which reads on from the same buffer. Acknowledgements of a
batch are written as one packet for the same reason.

This leans on a few private names of paho 2.2; the version is pinned, and ``test_ingest_source`` fails when they go.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTErrorCode

BUFFER_BYTES = 262_144
_LARGE_BYTES = 65_536
# Reads of one call, so that pings and acknowledgements get their turn while messages pour in.
_READS_AT_ONCE = 4
_PUBLISH, _PUBACK = 0x30, 0x40
_RETAIN, _QOS_1, _QOS_2, _DUP = 0x01, 0x02, 0x04, 0x08
_PUBACK_ROW = np.dtype([("command", "u1"), ("remaining", "u1"), ("packet_id", ">u2")])


class Publish(NamedTuple):
    """One PUBLISH packet; ``packet_id`` is 0 at QoS 0."""

    topic: bytes
    payload: bytes
    packet_id: int
    is_repeat: bool
    is_retained: bool = False


def cut_publishes(buffer: bytes, at: int) -> tuple[list[Publish], int]:
    """Return the whole PUBLISH packets (QoS 0 or 1) that follow each other from ``at``, and where they end.

    Stops before anything else: another kind of packet, one that is not all there, a malformed one.
    """
    found: list[Publish] = []
    end = len(buffer)
    while at < end:
        first = buffer[at]
        if first & 0xF0 != _PUBLISH or first & _QOS_2:
            break
        start, length, shift = at + 1, 0, 0
        while start < end and shift <= 21:
            byte = buffer[start]
            start += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        else:
            break
        stop = start + length
        if stop > end or length < 2:
            break
        topic_end = start + 2 + (buffer[start] << 8 | buffer[start + 1])
        body = topic_end + 2 if first & _QOS_1 else topic_end
        if body > stop:
            break
        packet_id = buffer[topic_end] << 8 | buffer[topic_end + 1] if first & _QOS_1 else 0
        found.append(
            Publish(
                buffer[start + 2 : topic_end], buffer[body:stop], packet_id, bool(first & _DUP), bool(first & _RETAIN)
            )
        )
        at = stop
    return found, at


class BufferedSocket:
    """A socket that reads ahead. paho asks ``pending()`` before it waits, as it does for TLS."""

    def __init__(self, inner: socket.socket) -> None:
        self._inner = inner
        self._buffer = b""
        self._at = 0
        self.has_ended = False

    def recv(self, size: int) -> bytes:
        """Return up to ``size`` bytes, from the buffer while it has any."""
        if self._at >= len(self._buffer):
            if size > _LARGE_BYTES:
                return self._inner.recv(size)
            self._buffer, self._at = self._inner.recv(BUFFER_BYTES), 0
        taken = self._buffer[self._at : self._at + size]
        self._at += len(taken)
        return taken

    def pending(self) -> int:
        """Return how many bytes are buffered."""
        return len(self._buffer) - self._at

    def take_publishes(self) -> list[Publish]:
        """Return the PUBLISH packets that are all there, reading once when nothing is buffered."""
        if self._at >= len(self._buffer):
            try:
                self._buffer, self._at = self._inner.recv(BUFFER_BYTES), 0
            except BlockingIOError:
                return []
            except OSError:
                self._buffer, self._at = b"", 0
            # The end, or an error: paho reads it again and draws the consequences.
            self.has_ended = not self._buffer
        found, self._at = cut_publishes(self._buffer, self._at)
        return found

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else a socket has
        return getattr(self._inner, name)


class BufferedClient(Client):
    """A client that hands whole bursts of messages to ``on_burst``. Plain TCP only; TLS is left to paho as it is."""

    on_burst: Callable[[Sequence[Publish]], None] | None = None

    def _create_socket(self) -> Any:  # noqa: ANN401 - paho's own protocol type is private
        created = super()._create_socket()
        return BufferedSocket(created) if isinstance(created, socket.socket) and not self._ssl else created

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Read what is there: bursts of messages by ourselves, everything else by paho."""
        for _ in range(_READS_AT_ONCE):
            sock: object = self._sock
            if not isinstance(sock, BufferedSocket) or self.on_burst is None or self._in_packet["command"] != 0:
                return super().loop_read(max_packets)
            burst = sock.take_publishes()
            if burst:
                self.on_burst(burst)
                with self._msgtime_mutex:
                    self._last_bytes_received = _paho_time()
            if sock.pending() or sock.has_ended:
                rc = super().loop_read()
                if rc != MQTTErrorCode.MQTT_ERR_SUCCESS or self._in_packet["command"] != 0:
                    return rc
            elif not burst:
                break
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def acknowledge(self, packet_ids: Sequence[int]) -> None:
        """Acknowledge these packets, in this order, in one write."""
        rows = np.empty(len(packet_ids), _PUBACK_ROW)
        rows["command"], rows["remaining"], rows["packet_id"] = _PUBACK, 2, packet_ids
        self._packet_queue(_PUBACK, rows.tobytes(), packet_ids[-1], 1)


def _paho_time() -> float:
    # paho compares this with its own clock, so it must be that very one.
    from paho.mqtt import client

    return client.time_func()
