"""One message with all that is known about it, and the readings found in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from ingest.decoders.telling import TimedSample, Told
from ingest.limits import MAX_METRICS
from ingest.quarantine_reasons import Reason, Unusable
from ingest.sparkplug.nodes import Node, Unit
from ingest.sparkplug.topics import Spoken, key_of
from ingest.sparkplug.wire import Metric, Payload
from ingest.times import to_microseconds

_LAST_SEQUENCE = 255
_LAST_MS = 253_402_300_799_999  # the end of year 9999


@dataclass(frozen=True)
class Heard:
    """A message. ``is_live``: nothing newer of its node has come; one out of quarantine is not live."""

    spoken: Spoken
    message: Payload
    node: Node
    unit: Unit
    received_at: datetime
    is_live: bool

    @cached_property
    def key(self) -> str:
        """How the feed calls the speaker."""
        return key_of(self.spoken.group, self.spoken.edge, self.spoken.device)

    @cached_property
    def sent_us(self) -> int:
        """When it was sent by the node's clock; by ours, but not before the node's birth, where it does not say."""
        if self.message.HasField("timestamp"):
            return _microseconds(self.message.timestamp)
        received_us = to_microseconds(self.received_at)
        born_us = self.node.born_us
        return received_us if born_us is None or not self.is_live else max(received_us, born_us)

    @cached_property
    def sequence(self) -> int | None:
        """Its sequence number. Raises Unusable("bad_sequence")."""
        if not self.message.HasField("seq"):
            return None
        if self.message.seq > _LAST_SEQUENCE:
            raise Unusable(Reason.BAD_SEQUENCE, f"got seq {self.message.seq}, expected 0 to {_LAST_SEQUENCE}")
        return self.message.seq


class Found:
    """The readings of one message, by their times."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard
        self._by_time: dict[int, dict[str, float]] = {}
        self._untimed = False

    def __bool__(self) -> bool:
        return bool(self._by_time)

    def add(self, metric: Metric, name: str, value: float) -> None:
        """Note a reading at the metric's own time, else the message's, else that of receipt."""
        if metric.HasField("timestamp"):
            ts_us = _microseconds(metric.timestamp)
        elif self._heard.message.HasField("timestamp"):
            ts_us = self._heard.sent_us
        else:
            ts_us, self._untimed = to_microseconds(self._heard.received_at), True
        values = self._by_time.get(ts_us)
        if values is None:
            values = self._by_time[ts_us] = {}
        values[name] = value

    def told(self, feed_id: int, *, online: bool | None) -> Told:
        """Return the readings in order of time, in samples of as many metrics as one may have."""
        samples = list(self._samples())
        return Told((feed_id, self._heard.key), samples, online=online, timed_by_receipt=self._untimed)

    def _samples(self) -> Iterator[TimedSample]:
        for ts_us in sorted(self._by_time):
            values = self._by_time[ts_us]
            if len(values) <= MAX_METRICS:
                yield TimedSample(ts_us, values)
                continue
            pairs = list(values.items())
            for start in range(0, len(pairs), MAX_METRICS):
                yield TimedSample(ts_us, dict(pairs[start : start + MAX_METRICS]))


def _microseconds(milliseconds: int) -> int:
    if milliseconds > _LAST_MS:
        raise Unusable(Reason.BAD_TIMESTAMP, f"got {milliseconds}, expected milliseconds since 1970, before year 10000")
    return milliseconds * 1000
