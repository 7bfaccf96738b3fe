"""Asking edge nodes to be born again: not at once, not too often, and ever more seldom where it does not help."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ingest.decoders.telling import Outgoing
from ingest.sparkplug.nodes import Node
from ingest.sparkplug.topics import command_topic
from ingest.sparkplug.wire import rebirth_request

LONGEST_WAIT = timedelta(hours=1)
_MAX_REMEMBERED = 10_000


@dataclass(slots=True)
class _Asked:
    """When a node was asked last, and how long it is left alone after that."""

    at: datetime
    wait: timedelta


class Rebirths:
    """Decides when to ask. ``reorder_s``: so long a message may be late. ``pause_s``: the shortest pause between two.

    Each request doubles the pause, up to an hour; a node that gave no reason for twice its pause starts anew.
    """

    def __init__(self, reorder_s: float, pause_s: float) -> None:
        self._reorder = timedelta(seconds=reorder_s)
        self._pause = timedelta(seconds=pause_s)
        self._asked: dict[tuple[str, str], _Asked] = {}

    def due(self, node: Node, now: datetime) -> Outgoing | None:
        """Return the request to this node if its time has come; it is taken as sent."""
        since = node.wanting_since
        # A time ahead of now: our own clock was set back.
        if since is None or timedelta(0) <= now - since < self._reorder or not self._may_ask(node, now):
            return None
        return Outgoing(command_topic(node.group, node.edge), rebirth_request(now))

    def _may_ask(self, node: Node, now: datetime) -> bool:
        name = (node.group, node.edge)
        asked = self._asked.get(name)
        if asked is None or not asked.at <= now < asked.at + 2 * asked.wait:
            if len(self._asked) >= _MAX_REMEMBERED:
                self._asked.clear()
            self._asked[name] = _Asked(now, self._pause)
            return True
        if now < asked.at + asked.wait:
            return False
        self._asked[name] = _Asked(now, min(LONGEST_WAIT, 2 * asked.wait))
        return True
