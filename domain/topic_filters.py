"""MQTT topic filters: which topics a filter selects, and whether two filters select a topic in common.

The rules are those of MQTT 3.1.1, section 4.7. Levels are separated by ``/`` and may be empty, so ``/a`` has two of
them. ``+`` stands for one level, ``#`` at the end for any number of them, none included: ``a/#`` selects ``a`` too.
A wildcard in the first place selects no topic that begins with ``$``: those belong to the broker.
"""

from __future__ import annotations

import re

MAX_FILTER_LENGTH = 512

_ONE = "+"
_REST = "#"
_RESERVED = "$"
# Shared subscriptions are no topics, and are not sticky: a device's messages would reach several ingesters.
_SHARED = "$share"
# Control characters (a broker may hang up on them), halves of characters, and code points that are none.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


def check_filter(topic_filter: str) -> None:
    """Raise ValueError, with what came and what was expected, unless this is a filter to subscribe to."""
    if not 1 <= len(topic_filter) <= MAX_FILTER_LENGTH:
        raise ValueError(f"got a filter of {len(topic_filter)} characters, expected 1 to {MAX_FILTER_LENGTH}")
    if _FORBIDDEN.search(topic_filter):
        raise ValueError(f"got {topic_filter!r}, expected no control characters and nothing that is no character")
    levels = topic_filter.split("/")
    if levels[0] == _SHARED:
        raise ValueError(
            f"got {topic_filter!r}, expected a plain filter: a shared subscription breaks a device's order"
        )
    for place, level in enumerate(levels, 1):
        if _REST in level and (level != _REST or place < len(levels)):
            raise ValueError(f"got {topic_filter!r}, expected # only as the last level and alone in it")
        if _ONE in level and level != _ONE:
            raise ValueError(f"got {topic_filter!r}, expected + only alone in its level")


def matches(topic_filter: str, topic: str) -> bool:
    """Say whether a valid filter selects this topic, which has no wildcards."""
    if topic[:1] == _RESERVED and topic_filter[:1] in (_ONE, _REST):
        return False
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if wanted[-1] == _REST:
        wanted.pop()
        if len(levels) < len(wanted):
            return False
    elif len(levels) != len(wanted):
        return False
    return all(one in (_ONE, level) for one, level in zip(wanted, levels, strict=False))


def overlap(a: str, b: str) -> bool:
    """Say whether there is a topic that both of these valid filters select."""
    for one, other in ((a, b), (b, a)):
        if one[:1] in (_ONE, _REST) and other[:1] == _RESERVED:
            return False
    first, second = a.split("/"), b.split("/")
    for one, other in zip(first, second, strict=False):
        if _REST in (one, other):
            return True
        if one != other and _ONE not in (one, other):
            return False
    # One may go on where the other ends only by a #, which stands for nothing too.
    longer = max(first, second, key=len)
    shorter = min(len(first), len(second))
    return len(first) == len(second) or longer[shorter:] == [_REST]
