"""Topics: wearsight/v1/{site}/{device}/{telemetry|events|state|waveform} for our own dialect, feeds for all others."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from domain.topic_filters import MAX_FILTER_LENGTH, matches
from ingest.quarantine_reasons import Reason, Unusable
from storage.feeds import Feed

# Remembered topics, and how long they may be: a sender may use as many as it likes, of up to 64 KiB each.
_MAX_ROUTES = 100_000
_MAX_REMEMBERED_LENGTH = MAX_FILTER_LENGTH


class TopicKind(StrEnum):
    """What a native topic carries."""

    TELEMETRY = "telemetry"
    EVENTS = "events"
    STATE = "state"
    WAVEFORM = "waveform"


SUBSCRIPTIONS = tuple(f"wearsight/v1/+/+/{kind}" for kind in TopicKind)
_TOPIC = re.compile(r"wearsight/v1/([A-Za-z0-9_-]{1,64})/([A-Za-z0-9_-]{1,64})/(telemetry|events|state|waveform)")


@dataclass(frozen=True, slots=True)
class Route:
    """A native topic: who speaks, and about what. ``address`` is (site, device name)."""

    address: tuple[str, str]
    kind: TopicKind


@dataclass(frozen=True, slots=True)
class FeedRoute:
    """A topic of a feed: its decoder knows who speaks. Messages of unknown devices belong to ``site``."""

    feed_id: int
    site: str


def parse(topic: str) -> Route:
    """Read a native topic. Raises Unusable("bad_topic")."""
    match = _TOPIC.fullmatch(topic)
    if match is None:
        raise Unusable(
            Reason.BAD_TOPIC,
            f"got topic {topic[:200]!r}, expected wearsight/v1/SITE/DEVICE/telemetry, /events, /state or /waveform, "
            "names of 1 to 64 of A-Z a-z 0-9 _ -, or the topic of a feed",
        )
    return Route((match[1], match[2]), TopicKind(match[3]))


class Router:
    """Topics as routes, remembered: a plant's topics come again and again."""

    def __init__(self, feeds: Iterable[Feed] = ()) -> None:
        self._feeds = [(feed.topic, FeedRoute(feed.id, feed.site)) for feed in feeds]
        self._routes: dict[str, Route | FeedRoute | None] = {}

    def route(self, topic: str) -> Route | FeedRoute | None:
        """Return where the topic leads, None when it is not one of ours."""
        try:
            return self._routes[topic]
        except KeyError:
            found = self._find(topic)
        if len(topic) <= _MAX_REMEMBERED_LENGTH:
            if len(self._routes) >= _MAX_ROUTES:
                self._routes.clear()
            self._routes[topic] = found
        return found

    def _find(self, topic: str) -> Route | FeedRoute | None:
        try:
            return parse(topic)
        except Unusable:
            # No two feeds' filters share a topic, so the first is the only one.
            return next((route for topic_filter, route in self._feeds if matches(topic_filter, topic)), None)
