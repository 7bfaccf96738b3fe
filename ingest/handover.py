"""When slices are cut anew: what still comes by our session although another slice hears it now.

A session at the broker outlives the process, with its subscriptions and what is queued in it. A message of a site
that another slice hears has either come to that slice too, or was sent before its session listened. Which of the two
cannot be told from the message. So it is kept in quarantine and asked to be tried again at once, by the slice that
hears the site; until that slice is seen to listen and our own session has been drained after that. Drained is a session
in which nothing waits, or, where messages never stop, one that has delivered a *mark*: a message that we send ourselves
on the site's topics and that comes after all that was sent before. From then on the site is *given*: what comes of it
is passed over, and our session's old subscriptions to it are given up (which at some brokers discards what is queued).
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from psycopg import Connection

from domain.topic_filters import matches
from ingest import metrics
from ingest.decoders.telling import Outgoing
from ingest.quarantine_reasons import Reason
from ingest.slices import Slice, native_filter, site_of
from ingest.source import Message
from ingest.topics import TopicKind
from storage import checkpoints, quarantine
from storage.feeds import all_feeds
from storage.quarantine import SetAside

# Stands where a native topic has the device, whose name can hold no "!". Every slice passes these messages over.
_MARK = "/!mark-"
_MARK_AGAIN = timedelta(seconds=30)
# A slice that said nothing for so long is not known to listen.
_BEATS_WITHIN = timedelta(seconds=10)
_MAX_TOPICS = 100_000
_MAX_SITES = 10_000


class HandOver:
    """Sorts what other slices hear out of batches. Does nothing where one slice hears everything."""

    def __init__(self, slice_: Slice) -> None:
        self._slice = slice_
        self._feeds: list[tuple[str, str]] = []  # (filter, site) of feeds that other slices hear
        self._others: dict[str, str | None] = {}  # site -> the partition that hears it
        self._given: set[str] = set()
        self._site_of: dict[str, str | None] = {}
        # Marks under way: by site the topics that have not come back, and when they were sent.
        self._marks: dict[str, set[str]] = {}
        self._marked_at: dict[str, datetime] = {}
        self._word = secrets.token_hex(8).encode()

    def split(self, messages: Sequence[Message]) -> tuple[Sequence[Message], list[Message]]:
        """Return our messages, and those that somebody else must be given; what is given already is in neither."""
        if self._slice.is_whole:
            return messages, []
        own: list[Message] = []
        others: list[Message] = []
        for message in messages:
            site = self._site(message.topic)
            if site is not None and _MARK in message.topic:
                self._see(site, message)
            elif site is None or self._slice.hears(site):
                own.append(message)
            elif site in self._given:
                metrics.PASSED_OVER.inc()
            else:
                others.append(message)
                if len(self._others) < _MAX_SITES:
                    self._others.setdefault(site, self._slice.owner_of(site))
        return own, others

    def keep(self, connection: Connection, messages: Sequence[Message], now: datetime) -> None:
        """Store others' messages where the slice that hears them finds them."""
        detail = f"came by {self._slice.partition}, to be tried again by the slice that hears this site"
        aside = [
            SetAside(one.topic, one.payload, Reason.OTHER_SLICE, detail, self._site(one.topic), None)
            for one in messages
        ]
        with connection.transaction():
            quarantine.set_aside(connection, aside, now)
            quarantine.request_replay(connection, now, reason=Reason.OTHER_SLICE)

    def refresh(self, connection: Connection) -> None:
        """Take note of the registered sites and of the feeds that other slices hear."""
        for site in checkpoints.registered_sites(connection):
            if not self._slice.hears(site):
                self._others.setdefault(site, self._slice.owner_of(site))
        self._feeds = [(feed.topic, feed.site) for feed in all_feeds(connection) if not self._slice.hears(feed.site)]
        self._site_of.clear()

    def look(self, connection: Connection, now: datetime, *, is_drained: bool) -> list[Outgoing]:
        """See which sites can be given away; return marks to send, at QoS 1.

        To be called while our session delivers in order. ``is_drained``: nothing waits in it.
        """
        open_sites = {
            site: partition
            for site, partition in self._others.items()
            if partition is not None and site not in self._given
        }
        if not open_sites:
            return []
        heard = checkpoints.sites_heard(connection, open_sites, now - _BEATS_WITHIN)
        if is_drained:
            self._given |= heard
            return []
        marks: list[Outgoing] = []
        for site in heard:
            if site not in self._marked_at or now - self._marked_at[site] > _MARK_AGAIN:
                topics = {f"wearsight/v1/{site}{_MARK}{self._slice.partition}/{kind}" for kind in TopicKind}
                self._marks[site], self._marked_at[site] = topics, now
                marks += [Outgoing(topic, self._word) for topic in sorted(topics)]
        return marks

    def stale_filters(self) -> set[str]:
        """Return the filters to give up: an earlier cut of the slices may have left them in our session."""
        if self._slice.is_whole:
            return set()
        sites = set(self._given)
        if not self._slice.hears_rest and self._others.keys() <= self._given:
            sites.add("+")
        native = {native_filter(site, kind) for site in sites for kind in TopicKind}
        return native.union(topic for topic, site in self._feeds if site in self._given)

    def _see(self, site: str, message: Message) -> None:
        """Take note of a mark; those of others, and of earlier runs, say nothing."""
        waited_for = self._marks.get(site)
        if waited_for is not None and message.payload == self._word:
            waited_for.discard(message.topic)
            if not waited_for:
                del self._marks[site]
                self._given.add(site)

    def _site(self, topic: str) -> str | None:
        site = site_of(topic)
        if site is not None:
            return site
        if topic not in self._site_of:
            if len(self._site_of) >= _MAX_TOPICS:
                self._site_of.clear()
            self._site_of[topic] = next((site for one, site in self._feeds if matches(one, topic)), None)
        return self._site_of[topic]
