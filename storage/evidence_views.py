"""What a ticket rests on, as pages and API answers show it: findings, the prediction, and what moved it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class FindingView:
    """A finding the ticket rests on, with what a plot needs: series, opening time, value and limit."""

    id: UUID
    series_id: int
    metric: str
    detector: str
    direction: str
    severity: str
    opened_at: datetime
    cleared_at: datetime | None
    value: float
    score: float
    limit_value: float
    unit: str | None
    evidence: dict[str, float]
    joined_at: datetime


@dataclass(frozen=True, slots=True)
class PredictionHead:
    """The prediction that opened the ticket; all times on the equipment's clock."""

    id: UUID
    stage: str
    status: str
    probability: float
    evidence_at: datetime
    first_evidence_at: datetime
    window_from: datetime
    window_to: datetime


@dataclass(frozen=True, slots=True)
class EvidenceView:
    """One piece of evidence and how far it moved the log-odds."""

    kind: str
    reference: str
    ts: datetime
    log_odds: float
    summary_en: str
    summary_zh: str
