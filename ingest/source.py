"""Where messages come from. A source hands out batches and is told when they are safe (ADR 25).

MQTT is the first. A Kafka source commits offsets where this one acknowledges, and gives one partition per batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import msgspec


class Message(msgspec.Struct, frozen=True, gc=False):
    """One message as it came.

    ``connection`` and ``packet_id`` are the source's receipt (packet 0 needs no acknowledgement). ``quarantine_id``
    and ``received_at`` are set when it comes out of quarantine to be tried again.
    """

    topic: str
    payload: bytes
    connection: int = 0
    packet_id: int = 0
    quarantine_id: int | None = None
    received_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages in the order they came, all of one ``partition``.

    ``settled`` is False while messages may still come out of order after a (re)connect. ``caught_up`` says that
    nothing more was waiting: only then does silence mean something.
    """

    partition: str
    messages: Sequence[Message]
    settled: bool
    caught_up: bool


class Source(Protocol):
    """A stream of messages, delivered at least once."""

    @property
    def partition(self) -> str:
        """The name under which fence and checkpoints are kept."""
        ...

    @property
    def queued(self) -> int:
        """How many messages wait on our side."""
        ...

    def poll(self, max_messages: int, timeout_s: float) -> Batch:
        """Wait at most ``timeout_s`` for messages and return what is there, perhaps nothing."""
        ...

    def commit(self, batch: Batch) -> None:
        """Acknowledge a batch that is safely stored. Never raises: what cannot be acknowledged comes again."""
        ...

    def close(self) -> None:
        """Disconnect. What was not committed comes again."""
        ...
