"""The dialects other than our own: one decoder per feed, kept while the feed stays as it is (SPEC E3).

Whatever a decoder does stays with the one message, or the one feed, that made it do so. A feed whose decoder cannot be
made, and a message that a decoder chokes on, are set aside with the reason; everything else goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeGuard

import psycopg
import structlog
from psycopg import Connection

from ingest import metrics
from ingest.decoders.telling import Decoder, Outgoing, Remembering, Told, Waiting
from ingest.quarantine_reasons import Reason, Unusable
from ingest.source import Message
from ingest.topics import FeedRoute, Route
from storage import feeds, receipts
from storage.feeds import Feed
from storage.quarantine import fingerprint

_log = structlog.get_logger()
_NOTE_EVERY_S = 5.0
_PRUNE_EVERY_S = 3_600.0


@dataclass(frozen=True, slots=True)
class Heard:
    """What a feed's message came to: what it says, or why it cannot be used. ``received_at`` stands in for its time."""

    received_at: datetime
    told: Sequence[Told] = ()
    refusal: Unusable | None = None


@dataclass(slots=True)
class _Spoken:
    """A feed with its decoder, or with the reason why there is none."""

    feed: Feed
    decoder: Decoder | None
    trouble: Unusable | None


class Dialects:
    """The feeds that this ingester hears, each with its decoder."""

    def __init__(self, catalogue: Mapping[str, Callable[[Feed], Decoder]]) -> None:
        self._catalogue = catalogue
        self._spoken: dict[int, _Spoken] = {}
        self._noted_s: dict[int, float] = {}
        # Not before an hour: after an outage what comes again must still find its receipts.
        self._prune_s: float | None = None
        self._begin(0.0)

    @property
    def feeds(self) -> list[Feed]:
        """Every feed, those that are disabled or unusable too: what still comes of them has to be set aside."""
        return [one.feed for one in self._spoken.values()]

    def filters(self) -> set[str]:
        """Return the filters to subscribe to: those of the enabled feeds."""
        return {one.feed.topic for one in self._spoken.values() if one.feed.enabled}

    def refresh(self, found: Sequence[Feed]) -> bool:
        """Take note of the feeds as they are now; return whether anything changed. What stays keeps its memory."""
        known, self._spoken = self._spoken, {}
        for feed in found:
            quiet = replace(feed, last_message_at=None)
            same = known.get(feed.id)
            self._spoken[feed.id] = same if same is not None and same.feed == quiet else self._make(quiet)
        return self._spoken != known

    def hear(
        self,
        connection: Connection,
        messages: Sequence[Message],
        routes: Sequence[Route | FeedRoute | None],
        now: datetime,
        now_s: float,
    ) -> dict[int, Heard]:
        """Decode those messages that came by feeds; return what they say, by their place in the batch.

        Nothing is stored. Call ``write`` in the batch's transaction, ``stored`` after it, ``forget`` if it failed.
        """
        self._begin(now_s)
        if FeedRoute not in map(type, routes):  # a plant of native devices pays nothing for dialects
            return {}
        places = [
            (place, message, route)
            for place, (message, route) in enumerate(zip(messages, routes, strict=True))
            if isinstance(route, FeedRoute)
        ]
        troubles = self._prepare(connection, [(message.topic, route.feed_id) for _, message, route in places])
        again = {
            place: fingerprint(message.topic, message.payload)
            for place, message, _ in places
            if message.is_repeat or message.quarantine_id is not None
        }
        first = receipts.find(connection, set(again.values())) if again else {}
        heard: dict[int, Heard] = {}
        for place, message, route in places:
            # A place of its own for each: two readings without a time must not fall on the same moment.
            received_at = message.received_at or now + timedelta(microseconds=place)
            if place in again:
                # Stored before, or by an earlier message of this very batch: a reconnect can bring both at once.
                received_at = first.get(again[place]) or self._receipts.get(again[place], received_at)
            heard[place] = self._decode(message, route.feed_id, received_at, troubles.get(route.feed_id))
        return heard

    def keep_receipt(self, message: Message, received_at: datetime) -> None:
        """Have the time of a message kept that is used in part now and comes again when it is replayed."""
        self._receipts[fingerprint(message.topic, message.payload)] = received_at

    def write(self, connection: Connection, now: datetime) -> None:
        """Store, within the batch's transaction, what decoders remember, receipts, and which feeds spoke."""
        for decoder in self._part.values():
            decoder.write(connection, now)
        receipts.keep(connection, self._receipts)
        now_s = self._now_s
        due = {id_ for id_ in self._heard if now_s - self._noted_s.get(id_, float("-inf")) >= _NOTE_EVERY_S}
        feeds.note_messages(connection, due, now)
        self._noted_s.update(dict.fromkeys(due, now_s))
        if self._prune_s is None:
            self._prune_s = now_s + _PRUNE_EVERY_S
        elif now_s >= self._prune_s:
            receipts.prune(connection, now)
            self._prune_s = now_s + _PRUNE_EVERY_S

    def stored(self) -> list[Outgoing]:
        """Take note that the transaction is committed; return what decoders want sent."""
        outgoing: list[Outgoing] = []
        for feed_id, decoder in self._part.items():
            try:
                outgoing += decoder.stored()
            except Exception:  # noqa: BLE001 - the batch is stored: whatever this is, it must not have it stored again
                _log.exception("a decoder failed after the commit; it reads its memory again", feed=feed_id)
                decoder.forget()
        return outgoing

    def due(self, now: datetime) -> list[Outgoing]:
        """Return what decoders want sent by now, although no message came."""
        return [outgoing for one in self._spoken.values() if _waits(one.decoder) for outgoing in one.decoder.due(now)]

    def forget(self) -> None:
        """Forget everything that is not committed."""
        self._noted_s.clear()
        for one in self._spoken.values():
            if _remembers(one.decoder):
                one.decoder.forget()

    def _begin(self, now_s: float) -> None:
        # Of the batch in hand: its moment, feeds that spoke, remembering decoders that take part, receipts to be kept.
        self._now_s = now_s
        self._heard: set[int] = set()
        self._part: dict[int, Remembering] = {}
        self._receipts: dict[bytes, datetime] = {}

    def _make(self, feed: Feed) -> _Spoken:
        if not feed.enabled:
            return _Spoken(feed, None, _unusable(feed, "is disabled; enable it, then replay"))
        make = self._catalogue.get(feed.decoder)
        if make is None:
            return self._broken(feed, f"names the decoder {feed.decoder!r}, expected one of {sorted(self._catalogue)}")
        try:
            return _Spoken(feed, make(feed), None)
        except Exception as error:  # noqa: BLE001 - one feed's settings must not stop the others
            return self._broken(feed, f"has settings that its decoder refuses: {error}")

    def _broken(self, feed: Feed, what: str) -> _Spoken:
        _log.error("a feed cannot be decoded; its messages are set aside", feed=feed.name, detail=what)
        return _Spoken(feed, None, _unusable(feed, what))

    def _prepare(self, connection: Connection, spoken: Sequence[tuple[str, int]]) -> dict[int, Unusable]:
        """Have remembering decoders read what they need; return the trouble of those that could not, by feed."""
        topics: dict[int, set[str]] = {}
        for topic, feed_id in spoken:
            topics.setdefault(feed_id, set()).add(topic)
        troubles: dict[int, Unusable] = {}
        for feed_id, of_feed in topics.items():
            decoder = self._spoken[feed_id].decoder
            if not _remembers(decoder):
                continue
            try:
                decoder.prepare(connection, of_feed)
            except psycopg.Error:
                raise  # the database's trouble is waited out, as everywhere
            except Exception as error:  # noqa: BLE001 - the feed's trouble stays with the feed
                _log.exception("a decoder could not prepare; the messages are set aside", feed=feed_id)
                decoder.forget()
                troubles[feed_id] = _failed(error)
            else:
                self._part[feed_id] = decoder
        return troubles

    def _decode(self, message: Message, feed_id: int, received_at: datetime, trouble: Unusable | None) -> Heard:
        spoken = self._spoken[feed_id]
        self._heard.add(feed_id)
        trouble = trouble or spoken.trouble
        if trouble is not None or spoken.decoder is None:
            return Heard(received_at, refusal=trouble)
        try:
            told = spoken.decoder.decode(message.topic, message.payload, received_at)
        except Unusable as refusal:
            return Heard(received_at, refusal=refusal)
        except Exception as error:  # noqa: BLE001 - its own message, and no other, pays for a decoder's fault
            _log.exception(
                "a decoder failed; the message is set aside", feed=spoken.feed.name, topic=message.topic[:200]
            )
            return Heard(received_at, refusal=_failed(error))
        if message.is_retained:
            told = _without_guessed_times(told)
        # Packet 0 is never sent again, and what comes out of quarantine is known there.
        if message.packet_id and message.quarantine_id is None and any(one.timed_by_receipt for one in told):
            self._receipts[fingerprint(message.topic, message.payload)] = received_at
        return Heard(received_at, told)


def _without_guessed_times(told: Sequence[Told]) -> list[Told]:
    """Return what a retained message says that needs no time.

    Brokers send it at every connect. What it says was heard when it was sent, or before we listened: to store it with
    the time of receipt would make a new reading of an old one, as often as we connect.
    """
    timeless = [Told(one.address, online=one.online) if one.timed_by_receipt else one for one in told]
    metrics.RETAINED.inc(sum(one.timed_by_receipt for one in told))
    return timeless


def _remembers(decoder: object) -> TypeGuard[Remembering]:
    return hasattr(decoder, "prepare")


def _waits(decoder: object) -> TypeGuard[Waiting]:
    return hasattr(decoder, "due")


def _unusable(feed: Feed, what: str) -> Unusable:
    return Unusable(Reason.FEED_UNUSABLE, f"feed {feed.name!r} {what}")


def _failed(error: Exception) -> Unusable:
    return Unusable(Reason.PROCESSING_FAILED, repr(error))
