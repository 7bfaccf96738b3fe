"""How far the look-ups of a new ticket go back, and how long drafts are kept (SPEC T10, Q1)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ticketing.policy.reading import PolicyTable


@dataclass(frozen=True, slots=True)
class IntakePolicy:
    """``duplicate_from_score`` is between 0 and 1: from there on another ticket is shown as a likely duplicate."""

    history: timedelta
    duplicate_within: timedelta
    duplicate_from_score: float
    articles_shown: int
    drafts_kept: timedelta


def read_intake(table: PolicyTable) -> IntakePolicy:
    """Return the section."""
    found = IntakePolicy(
        history=timedelta(days=table.integer("history_days", 1, 3_660)),
        duplicate_within=timedelta(hours=table.integer("duplicate_within_hours", 1, 8_760)),
        duplicate_from_score=table.number("duplicate_from_score", 0.05, 1.0),
        articles_shown=table.integer("articles_shown", 1, 20),
        drafts_kept=timedelta(days=table.integer("draft_days", 1, 366)),
    )
    table.finish()
    return found
