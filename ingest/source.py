"""Where messages come from. A source hands out batches and is told when they are safe (ADR 25).

MQTT is the first. A Kafka source commits offsets where this one acknowledges, and gives one partition per batch.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import msgspec


class Message(msgspec.Struct, frozen=True, gc=False):
    """One message as it came.

    ``connection`` and ``packet_id`` are the source's receipt (packet 0 needs no acknowledgement). ``quarantine_id``
    and ``received_at`` are set when it comes out of quarantine to be tried again. ``is_early``: it came by the alarms'
    lane, and telemetry sent before it may still be waiting. ``is_repeat``: the broker says that it was sent before.
    ``is_retained``: the broker kept it, and nobody knows since when.
    """

    topic: str
    payload: bytes
    connection: int = 0
    packet_id: int = 0
    quarantine_id: int | None = None
    received_at: datetime | None = None
    is_early: bool = False
    is_repeat: bool = False
    is_retained: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages in the order they came, all of one ``partition``.

    ``settled`` is False while messages may still come out of order after a (re)connect. ``caught_up`` says that
    nothing more was waiting: only then does silence mean something. ``position`` is where the source stands after the
    batch, for a source that has positions (an offset of a log): it is stored in the batch's own transaction.
    """

    partition: str
    messages: Sequence[Message]
    settled: bool
    caught_up: bool
    position: int | None = None


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

    def start_at(self, position: int | None) -> None:
        """Begin after the stored ``position`` (None: nothing was stored yet). Called once, before the first batch.

        A source without positions has nothing to do: its broker remembers what was acknowledged.
        """
        ...

    def listen_to(self, filters: Collection[str], stale: Collection[str] = ()) -> None:
        """Deliver what these topic filters select from now on; give up others, and ``stale`` ones of earlier runs.

        A source that has no filters may ignore it.
        """
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
