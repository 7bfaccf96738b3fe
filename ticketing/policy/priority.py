"""Factors of the priority's score, and where each priority begins (SPEC S1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ticketing.policy.reading import PolicyTable, invalid_policy


@dataclass(frozen=True, slots=True)
class PriorityPolicy:
    """Factors of the score; ``from_score`` holds the least score of P0, P1, P2 and P3, falling."""

    unknown_severity: int
    criticality: Mapping[int, float]
    tier: Mapping[str, float]
    from_score: tuple[float, ...]


def read_priority(table: PolicyTable) -> PriorityPolicy:
    """Return the factors and where priorities begin."""
    criticality = table.table("criticality")
    tier = table.table("tier")
    from_score = table.table("from_score")
    scores = tuple(from_score.number(f"p{priority}", 0.0, 1_000.0) for priority in range(4))
    if list(scores) != sorted(set(scores), reverse=True):
        raise invalid_policy(from_score.path, "scores that fall from p0 to p3", str(scores))
    found = PriorityPolicy(
        unknown_severity=table.integer("unknown_severity", 1, 10),
        criticality={level: criticality.number(str(level), 0.01, 100.0) for level in range(1, 6)},
        tier={name: tier.number(name, 0.01, 100.0) for name in {"standard", "vip", *tier.names()}},
        from_score=scores,
    )
    for each in (criticality, tier, from_score, table):
        each.finish()
    return found
