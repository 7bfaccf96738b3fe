"""What a ticket's answer shows of its opening: plain rows (SPEC T10)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class LookupView:
    """What was looked up about the ticket: pending, done (with its body) or failed."""

    name: str
    state: str
    body: Mapping[str, object] | None
    asked_at: datetime
    done_at: datetime | None


@dataclass(frozen=True, slots=True)
class ReferenceView:
    """The record of another system that the ticket is."""

    source: str
    reference: str
