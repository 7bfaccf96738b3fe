"""What decoders tell, whatever the dialect: the one shape that the pipeline takes in (SPEC E3)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

import msgspec
from psycopg import Connection

from domain.events import Event
from domain.waveforms import WaveformBlock

# (site, device name) on the native topics; (feed id, the dialect's own name of the device) on a feed.
Address = tuple[str, str] | tuple[int, str]


class TimedSample(msgspec.Struct, frozen=True, gc=False):
    """The values of many metrics at one time, in microseconds since 1970, all of them finite."""

    ts_us: int
    values: dict[str, float]
    seq: int | None = None


class DecodedEvent(msgspec.Struct, frozen=True):
    """One event, its time in microseconds since 1970, and its sequence number."""

    ts_us: int
    seq: int | None
    event: Event


class Told(msgspec.Struct, frozen=True):
    """What one message says about one device.

    ``timed_by_receipt``: the message carries no time, so the time of receipt stands in for it.
    """

    address: Address
    samples: Sequence[TimedSample] = ()
    events: Sequence[DecodedEvent] = ()
    online: bool | None = None
    waveforms: Sequence[WaveformBlock] = ()
    timed_by_receipt: bool = False


class Decoder(Protocol):
    """One dialect with the settings of one feed."""

    def decode(self, topic: str, payload: bytes, received_at: datetime) -> Sequence[Told]:
        """Return what the message says, by device; nothing when it is none of ours (a command, an answer).

        Raises Unusable, and nothing else whatever the bytes are.
        """
        ...


class Outgoing(msgspec.Struct, frozen=True):
    """A message to send once the batch is committed, at least tried: a request to be told everything again."""

    topic: str
    payload: bytes


class Waiting(Protocol):
    """A decoder that may want something sent when a wait is over, although no message comes."""

    def due(self, now: datetime) -> Sequence[Outgoing]:
        """Return what is to be sent by now; it is taken as sent."""
        ...


class Remembering(Protocol):
    """A decoder that remembers between messages (names given by number). Its memory is part of the transaction."""

    def prepare(self, connection: Connection, topics: Collection[str]) -> None:
        """Read what the messages on these topics will need, unless it is known already."""
        ...

    def write(self, connection: Connection, now: datetime) -> None:
        """Store what has changed; called within the transaction that stores the batch."""
        ...

    def stored(self) -> Sequence[Outgoing]:
        """Take note that the transaction is committed; return what is to be sent."""
        ...

    def forget(self) -> None:
        """Forget everything that is not committed, and read it again when needed."""
        ...
