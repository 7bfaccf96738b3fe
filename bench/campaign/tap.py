"""What passed between broker and ingester: which messages were delivered to it, and which it acknowledged.

An acknowledgement is a promise: from then on the broker may forget. What was acknowledged and is not stored, the
ingester has lost, whatever the broker did.
"""

from __future__ import annotations

import threading

from bench.campaign import packets
from bench.campaign.packets import Packet

# Topic and payload.
Told = tuple[bytes, bytes]


class Tap:
    """Listens at a proxy in front of the broker; each connection there is a number."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rest: dict[tuple[int, bool], bytes] = {}
        self._waiting: dict[int, dict[int, Told]] = {}
        self._delivered: set[Told] = set()
        self._acknowledged: set[Told] = set()
        self._strays = 0

    @property
    def delivered(self) -> frozenset[Told]:
        """What was delivered since it was last forgotten."""
        with self._lock:
            return frozenset(self._delivered)

    @property
    def acknowledged(self) -> frozenset[Told]:
        """What was acknowledged, ever."""
        with self._lock:
            return frozenset(self._acknowledged)

    @property
    def strays(self) -> int:
        """How many acknowledgements were of nothing that was delivered on their connection and still waited."""
        with self._lock:
            return self._strays

    def forget_delivered(self) -> None:
        """Forget what was delivered: an ingester that died owes nothing but what it acknowledged."""
        with self._lock:
            self._delivered.clear()

    def hear(self, connection: int, data: bytes, *, is_from_broker: bool) -> None:
        """Take note of what passes, before it is passed on."""
        with self._lock:
            found, rest = packets.split(self._rest.pop((connection, is_from_broker), b"") + data)
            self._rest[connection, is_from_broker] = rest
            waiting = self._waiting.setdefault(connection, {})
            for packet in found:
                if is_from_broker and packet.kind == packets.PUBLISH:
                    self._note_delivery(packet, waiting)
                elif not is_from_broker and packet.kind == packets.PUBACK:
                    told = waiting.pop(packet.packet_id, None)
                    if told is None:
                        self._strays += 1
                    else:
                        self._acknowledged.add(told)

    def _note_delivery(self, packet: Packet, waiting: dict[int, Told]) -> None:
        packet_id, topic, payload = packets.read_publish(packet)
        self._delivered.add((topic, payload))
        if packet_id:
            waiting[packet_id] = (topic, payload)
