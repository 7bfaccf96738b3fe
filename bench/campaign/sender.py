"""Devices that never give up: one connection speaks for many, at QoS 1, and sends again what was not acknowledged.

Written on a bare socket so that sending costs little beside what is tried, and so that the sender shares no code with
the side that receives. What it counts as sent is what the broker acknowledged.
"""

from __future__ import annotations

import json
import multiprocessing
import select
import time
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized

from bench.campaign import packets

SITE = "campaign"
EVENT_EVERY = 50
CHATTERER = "c0"
CHATTER_TOPIC = f"wearsight/v1/{SITE}/{CHATTERER}/telemetry".encode()
_WINDOW = 500
_PACKET_IDS = 65_535
_SILENT_AFTER_S = 10.0


# Packet id -> number and bytes of a message that is not acknowledged, oldest first.
_Waiting = dict[int, tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class Stream:
    """Messages ``first`` to ``messages``, dealt to ``devices`` in turn, so many ``per_second`` (0: as fast as it goes).

    Message ``n`` of a device has sequence number n, time ``start_ms`` + n seconds, and n as its value; every
    fiftieth is an event with n in its code.
    """

    port: int
    messages: int
    devices: int
    start_ms: int
    per_second: int = 0
    first: int = 0
    client_id: str = "campaign-sender"
    # At QoS 0, of 4 KB each, from a device of its own, without numbers: no broker's window holds these back.
    is_chatter: bool = False


class Sender:
    """A stream on its way, in a process of its own."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        context = multiprocessing.get_context("spawn")
        self._acknowledged: Synchronized[int] = context.Value("q", 0)
        self._process = context.Process(target=_run, args=(stream, self._acknowledged), daemon=True)
        self._process.start()

    @property
    def acknowledged(self) -> int:
        """How many messages the broker has acknowledged so far; they are the first ones of the stream."""
        return self._acknowledged.value

    @property
    def is_done(self) -> bool:
        """Whether everything is acknowledged. Raises RuntimeError when the sender fell over its own feet."""
        if self._process.exitcode:
            raise RuntimeError(f"the sender ended with code {self._process.exitcode}; {self.acknowledged} acknowledged")
        return not self._process.is_alive()

    def has_reached(self, number: int) -> bool:
        """Say whether so many messages are acknowledged."""
        return self.acknowledged >= number

    def stop(self) -> None:
        """Give up what is left to send."""
        self._process.kill()
        self._process.join(5)

    def finish(self, within_s: float) -> int:
        """Wait until everything is acknowledged and return how many messages that were."""
        self._process.join(within_s)
        if not self.is_done:
            raise TimeoutError(f"not within {within_s:.0f} s: all is acknowledged; {self.acknowledged} are")
        return self.acknowledged


def number_of(stream: Stream, topic: bytes, payload: bytes) -> int | None:
    """Return which message of the stream this is; None for what is not of it."""
    name = topic.split(b"/")[3]
    return json.loads(payload)["seq"] * stream.devices + int(name[1:]) if name[:1] == b"d" else None


def message(stream: Stream, number: int) -> tuple[bytes, bytes]:
    """Return topic and payload of one message of the stream."""
    if stream.is_chatter:
        body: dict[str, object] = {"ts": stream.start_ms + number, "values": {"t": 1.0}, "note": "x" * 4_000}
        return CHATTER_TOPIC, json.dumps(body).encode()
    seq, device = divmod(number, stream.devices)
    ts = stream.start_ms + 1_000 * seq
    if seq % EVENT_EVERY == EVENT_EVERY - 1:
        body = {"ts": ts, "seq": seq, "code": f"E{seq}", "severity": "info"}
        kind = "events"
    else:
        body = {"ts": ts, "seq": seq, "values": {"t": float(seq)}}
        kind = "telemetry"
    return f"wearsight/v1/{SITE}/d{device}/{kind}".encode(), json.dumps(body).encode()


def _run(stream: Stream, acknowledged: Synchronized[int]) -> None:
    waiting: _Waiting = {}
    sent, began = stream.first, time.monotonic()
    while sent < stream.messages or waiting:
        try:
            with packets.connect(stream.port, stream.client_id) as connection:
                connection.sendall(b"".join(packets.repeated(packet) for _, packet in waiting.values()))
                heard, buffered = time.monotonic(), b""
                while sent < stream.messages or waiting:
                    fresh = []
                    while len(waiting) < _WINDOW and sent < _allowed(stream, began):
                        packet_id = 0 if stream.is_chatter else sent % _PACKET_IDS + 1
                        packet = packets.publish(*message(stream, sent), packet_id)
                        if packet_id:
                            waiting[packet_id] = (sent, packet)
                        fresh.append(packet)
                        sent += 1
                    connection.sendall(b"".join(fresh))
                    if not select.select([connection], [], [], 0.02)[0]:
                        if waiting and time.monotonic() - heard > _SILENT_AFTER_S:
                            raise OSError("the broker says nothing")
                        continue
                    data = connection.recv(65_536)
                    if not data:
                        raise OSError("closed by the other side")
                    heard = time.monotonic()
                    buffered = _take_acknowledgements(buffered + data, waiting)
                    acknowledged.value = next(iter(waiting.values()))[0] if waiting else sent
        except OSError:
            time.sleep(0.1)
    acknowledged.value = sent


def _allowed(stream: Stream, began: float) -> int:
    if not stream.per_second:
        return stream.messages
    return min(stream.messages, stream.first + int((time.monotonic() - began) * stream.per_second))


def _take_acknowledgements(data: bytes, waiting: _Waiting) -> bytes:
    """Drop what is acknowledged; return the bytes of a packet that is not complete yet."""
    at = 0
    while len(data) - at >= 2 and len(data) - at >= 2 + data[at + 1]:
        if data[at] == 0x40:
            waiting.pop(int.from_bytes(data[at + 2 : at + 4], "big"), None)
        at += 2 + data[at + 1]
    return data[at:]
