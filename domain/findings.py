"""Findings: a detector's claim about one series, with its evidence (SPEC D8)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Direction(StrEnum):
    """Which way the value left its normal range."""

    UP = "up"
    DOWN = "down"
    NONE = "none"


class Severity(StrEnum):
    """How grave the rule says its finding is; declared from least to most."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Finding:
    """One episode in which one rule held on one series.

    ``opened_at`` and ``cleared_at`` are aware UTC times on the equipment's clock; ``value`` and ``limit`` have
    the series' unit, ``score`` the detector's own (its docstring says which). ``evidence`` names what the
    detector saw: baseline, spread, count, window start.
    """

    id: UUID
    rule_id: int
    series_id: int
    asset_id: int
    metric: str
    detector: str
    direction: Direction
    severity: Severity
    shadow: bool
    opened_at: datetime
    cleared_at: datetime | None
    value: float
    score: float
    limit: float
    evidence: dict[str, float]
