"""What beside severity, criticality and tier goes into the priority's score (SPEC S1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ticketing.policy.reading import PolicyTable

FINDING_SEVERITIES = ("low", "medium", "high", "critical")


@dataclass(frozen=True, slots=True)
class ScopePolicy:
    """Every further asset that is affected adds ``per_asset``, up to the factor ``most``."""

    per_asset: float
    most: float


@dataclass(frozen=True, slots=True)
class HistoryPolicy:
    """Every complaint and every repeat within ``days`` adds its share, both together up to the factor ``most``."""

    days: int
    per_complaint: float
    per_repeat: float
    most: float


@dataclass(frozen=True, slots=True)
class ScorePolicy:
    """Factors of evidence, scope and history; ``window_most`` bounds the factor of critical windows."""

    window_most: float
    finding: Mapping[str, float]
    scope: ScopePolicy
    history: HistoryPolicy


def read_score(table: PolicyTable) -> ScorePolicy:
    """Return the factors; none of them can make a score 0."""
    finding, scope, history = table.table("finding"), table.table("scope"), table.table("history")
    found = ScorePolicy(
        window_most=table.number("window_most", 1.0, 10.0),
        finding={severity: finding.number(severity, 0.01, 100.0) for severity in FINDING_SEVERITIES},
        scope=ScopePolicy(scope.number("per_asset", 0.0, 10.0), scope.number("most", 1.0, 100.0)),
        history=HistoryPolicy(
            history.integer("days", 1, 3650),
            history.number("per_complaint", 0.0, 10.0),
            history.number("per_repeat", 0.0, 10.0),
            history.number("most", 1.0, 100.0),
        ),
    )
    for each in (finding, scope, history, table):
        each.finish()
    return found
