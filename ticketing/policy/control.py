"""The control policy: a second way to score, and for which share of the tickets it is tried (SPEC S7)."""

from __future__ import annotations

from dataclasses import dataclass

from ticketing.policy.priority import PriorityPolicy, read_priority
from ticketing.policy.reading import PolicyTable
from ticketing.policy.score import ScorePolicy, read_score


@dataclass(frozen=True, slots=True)
class ControlPolicy:
    """``share`` of the tickets, 0 to 1, is scored by ``priority`` and ``score`` as well."""

    share: float
    priority: PriorityPolicy
    score: ScorePolicy


def read_control(table: PolicyTable) -> ControlPolicy:
    """Return the share and the second way to score."""
    found = ControlPolicy(
        share=table.number("share", 0.0, 1.0),
        priority=read_priority(table.table("priority")),
        score=read_score(table.table("score")),
    )
    table.finish()
    return found
