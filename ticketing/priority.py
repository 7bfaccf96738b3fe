"""Priority: a score with its arithmetic shown (SPEC S1).

score = severity of the failure mode (1 to 10) x criticality of the asset x tier of the requester. The policy holds
the factors and the scores from which P0 to P3 begin. A line stop is P0 whatever the score.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from ticketing.policy.whole import Policy

LAST_PRIORITY = 4


@dataclass(frozen=True, slots=True)
class Factor:
    """One number of the product and where it comes from, in a form that needs no translation."""

    name: str
    value: float
    source: str


@dataclass(frozen=True, slots=True)
class Priority:
    """P0 (most urgent) to P4, and how it came about."""

    level: int
    score: float
    factors: tuple[Factor, ...]
    from_score: tuple[float, ...]
    line_stopped: bool

    def as_json(self) -> dict[str, object]:
        """Return the arithmetic as plain JSON, to be frozen on the ticket."""
        return {
            "level": self.level,
            "score": self.score,
            "factors": [asdict(factor) for factor in self.factors],
            "from_score": list(self.from_score),
            "line_stopped": self.line_stopped,
        }


def priority_of(
    policy: Policy,
    *,
    failure_mode: str | None,
    severity: int | None,
    criticality: int,
    tier: str,
    line_stopped: bool = False,
) -> Priority:
    """Return the priority of a fault; ``severity`` is None while nobody knows the failure mode."""
    rules = policy.priority
    factors = (
        Factor("severity", severity or rules.unknown_severity, failure_mode or "unknown"),
        Factor("criticality", rules.criticality[criticality], str(criticality)),
        Factor("requester_tier", rules.tier[tier], tier),
    )
    score = 1.0
    for factor in factors:
        score *= factor.value
    score = round(score, 3)
    reached = (level for level, least in enumerate(rules.from_score) if score >= least)
    level = 0 if line_stopped else next(reached, LAST_PRIORITY)
    return Priority(level, score, factors, rules.from_score, line_stopped)
