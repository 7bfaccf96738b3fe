"""Limits of a ticket's life that people set: how long it can be reopened, how far off a review may be (SPEC T5, T9)."""

from __future__ import annotations

from dataclasses import dataclass

from ticketing.policy.reading import PolicyTable


@dataclass(frozen=True, slots=True)
class LifecyclePolicy:
    """Days after closing in which a ticket may be reopened, and days ahead within which a hold is reviewed."""

    reopen_within_days: int
    review_within_days: int


def read_lifecycle(table: PolicyTable) -> LifecyclePolicy:
    """Return the limits; a review date lies at most as far ahead as any time that a fact may name."""
    found = LifecyclePolicy(
        reopen_within_days=table.integer("reopen_within_days", 1, 365),
        review_within_days=table.integer("review_within_days", 1, 180),
    )
    table.finish()
    return found
