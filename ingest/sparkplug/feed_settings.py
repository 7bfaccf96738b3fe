"""The settings of a Sparkplug feed: who we are, how long a message may be late, which metrics are stored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import translate

from domain.refusals import Refused
from ingest.sparkplug.topics import NAMESPACE
from storage.feeds import Feed

DEFAULT_HOST_ID = "wearsight"
DEFAULT_REORDER_S = 2.0
DEFAULT_REBIRTH_PAUSE_S = 30.0
MAX_PATTERNS = 64
MAX_PATTERN_LENGTH = 128

# A host's name is a level of a topic.
_HOST_ID = re.compile(r"[^/+#\x00-\x1f\x7f]{1,64}")
_TOPIC = re.compile(rf"{re.escape(NAMESPACE)}/(?:[^/#]+/)?#")
_SECONDS = {"reorder_s": (0.0, 60.0), "rebirth_pause_s": (1.0, 3_600.0)}


@dataclass(frozen=True, slots=True)
class SparkplugSettings:
    """Checked settings. ``chosen`` matches the whole names of the metrics that are stored."""

    host_id: str
    reorder_s: float
    rebirth_pause_s: float
    chosen: re.Pattern[str]


def settings_of(feed: Feed) -> SparkplugSettings:
    """Check a feed that is to speak Sparkplug B. Raises Refused("invalid_feed")."""
    if not _TOPIC.fullmatch(feed.topic):
        raise _refused(
            f"the filter {NAMESPACE}/GROUP/# or {NAMESPACE}/#",
            repr(feed.topic),
            "Births, data and deaths of a node belong together: listen to a whole group, or to all.",
        )
    known = {"host_id", "metrics", *_SECONDS}
    if unknown := sorted(feed.settings.keys() - known):
        raise _refused(f"the settings {', '.join(sorted(known))}", f"{unknown[0]!r}", "Remove what is not known.")
    return SparkplugSettings(
        _host_id(feed.settings),
        _seconds(feed.settings, "reorder_s", DEFAULT_REORDER_S),
        _seconds(feed.settings, "rebirth_pause_s", DEFAULT_REBIRTH_PAUSE_S),
        _chosen(feed.settings),
    )


def _host_id(settings: Mapping[str, object]) -> str:
    host_id = settings.get("host_id", DEFAULT_HOST_ID)
    if not isinstance(host_id, str) or not _HOST_ID.fullmatch(host_id):
        raise _refused(
            "host_id of 1 to 64 characters without / + # and control characters",
            repr(host_id)[:100],
            "Give the name by which edge nodes know this host.",
        )
    return host_id


def _seconds(settings: Mapping[str, object], name: str, default: float) -> float:
    value = settings.get(name, default)
    least, most = _SECONDS[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise _refused(f"{name} from {least:g} to {most:g} seconds", repr(value)[:100], "Correct the setting.")
    return float(value)


def _chosen(settings: Mapping[str, object]) -> re.Pattern[str]:
    patterns = settings.get("metrics", ["*"])
    if not isinstance(patterns, list) or not 1 <= len(patterns) <= MAX_PATTERNS:
        raise _refused(f"metrics as a list of 1 to {MAX_PATTERNS} patterns", repr(patterns)[:100], "Correct the list.")
    for pattern in patterns:
        if not isinstance(pattern, str) or not 1 <= len(pattern) <= MAX_PATTERN_LENGTH:
            raise _refused(
                f"patterns of metric names of 1 to {MAX_PATTERN_LENGTH} characters, * standing for anything",
                repr(pattern)[:100],
                "Correct the pattern.",
            )
    return re.compile("|".join(translate(pattern) for pattern in patterns))


def _refused(expected: str, got: str, remedy: str) -> Refused:
    return Refused("invalid_feed", expected=expected, got=got, remedy=remedy)
