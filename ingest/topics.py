"""Topics: wearsight/v1/{site}/{device}/{telemetry|events|state} (SPEC E3)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from ingest.quarantine_reasons import Reason, Unusable


class TopicKind(StrEnum):
    """What a topic carries."""

    TELEMETRY = "telemetry"
    EVENTS = "events"
    STATE = "state"


SUBSCRIPTIONS = tuple(f"wearsight/v1/+/+/{kind}" for kind in TopicKind)
_TOPIC = re.compile(r"wearsight/v1/([A-Za-z0-9_-]{1,64})/([A-Za-z0-9_-]{1,64})/(telemetry|events|state)")


@dataclass(frozen=True, slots=True)
class Route:
    """Who speaks, and about what. ``address`` is (site, device name)."""

    address: tuple[str, str]
    kind: TopicKind


def parse(topic: str) -> Route:
    """Read a topic. Raises Unusable("bad_topic")."""
    match = _TOPIC.fullmatch(topic)
    if match is None:
        raise Unusable(
            Reason.BAD_TOPIC,
            f"got topic {topic[:200]!r}, expected wearsight/v1/SITE/DEVICE/telemetry, /events or /state, "
            "names of 1 to 64 of A-Z a-z 0-9 _ -",
        )
    return Route((match[1], match[2]), TopicKind(match[3]))
