"""Gathers what one message says, by device, into what decoders tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ingest.decoders.telling import DecodedEvent, TimedSample, Told
from ingest.quarantine_reasons import Reason, Unusable

# Told of each field that was not used, and why: how a person sees what a mapping leaves out.
Note = Callable[[str, str], None]


class Gathering:
    """The samples and events of one message, by device and by whether they carry times of their own."""

    __slots__ = ("_feed_id", "_found")

    def __init__(self, feed_id: int) -> None:
        self._feed_id = feed_id
        self._found: dict[tuple[str, bool], tuple[list[TimedSample], list[DecodedEvent]]] = {}

    def add(
        self,
        key: str,
        ts_us: int,
        values: dict[str, float],
        *,
        by_receipt: bool = False,
        seq: int | None = None,
        events: Sequence[DecodedEvent] = (),
    ) -> None:
        """Take in what one record says. Values of one time are one sample. Raises Unusable("bad_timestamp")."""
        samples, heard = self._found.setdefault((key, by_receipt), ([], []))
        heard += events
        if not values:
            return
        last = samples[-1] if samples else None
        if last is None or last.ts_us != ts_us or last.seq != seq or seq is not None:
            samples.append(TimedSample(ts_us, values, seq))
        elif last.values.keys().isdisjoint(values):
            last.values.update(values)
        elif by_receipt:
            name = next(name for name in values if name in last.values)
            raise Unusable(
                Reason.BAD_TIMESTAMP,
                f"got several values of {name[:128]!r} without a time, expected a time in each record",
            )
        else:
            samples.append(TimedSample(ts_us, values))

    def told(self) -> list[Told]:
        """Return it by device, in the order of the message."""
        return [
            Told((self._feed_id, key), samples, events, timed_by_receipt=by_receipt)
            for (key, by_receipt), (samples, events) in self._found.items()
            if samples or events
        ]
