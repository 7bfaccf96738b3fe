"""The timeline's hash chain: each event's hash covers its own content and the hash before it (SPEC T7).

Changing, removing, inserting or reordering an event breaks every hash from there on; cutting off the end is seen
because the ticket keeps the length and the last hash. The chain begins from the ticket's own id, so a whole
timeline cannot be moved to another ticket.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """Who did what, when, from where, before and after. ``facts`` are plain JSON values."""

    number: int
    at: datetime
    actor_kind: str
    actor_id: int | None
    actor_name: str
    channel: str
    command: str
    from_state: str | None
    to_state: str
    effective: bool
    summary: str
    facts: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ChainedEvent:
    """An event with its links."""

    event: TimelineEvent
    previous_hash: bytes
    hash: bytes


def genesis(ticket_id: UUID) -> bytes:
    """Return what the first event of a ticket is chained to."""
    return hashlib.sha256(b"wearsight timeline " + ticket_id.bytes).digest()


def chain(previous_hash: bytes, event: TimelineEvent) -> ChainedEvent:
    """Return the event chained to the one before it."""
    return ChainedEvent(event, previous_hash, hashlib.sha256(previous_hash + _canonical(event)).digest())


def first_break(ticket_id: UUID, events: Sequence[ChainedEvent], length: int, head: bytes) -> int | None:
    """Return the number of the first event that is not as it was written, or None when the timeline is whole.

    ``length`` and ``head`` are what the ticket says of its timeline's end; a cut end breaks at the first event
    that is missing.
    """
    previous = genesis(ticket_id)
    for position, chained in enumerate(events, start=1):
        event = chained.event
        if event.number != position or chained.previous_hash != previous:
            return position
        if chain(previous, event).hash != chained.hash:
            return position
        previous = chained.hash
    if len(events) != length or previous != head:
        return min(len(events), length) + 1
    return None


def _canonical(event: TimelineEvent) -> bytes:
    """Return the bytes that are hashed: sorted keys, no spaces, times in UTC to the microsecond."""
    content = {
        "number": event.number,
        "at": event.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": [event.actor_kind, event.actor_id, event.actor_name, event.channel],
        "command": event.command,
        "states": [event.from_state, event.to_state],
        "effective": event.effective,
        "summary": event.summary,
        "facts": event.facts,
    }
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
