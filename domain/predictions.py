"""Predictions: which failure mode is coming, when, with which parts, and why. All that detection tells ticketing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.failure_modes import PartNeed


class Stage(StrEnum):
    """Watch first, then ticket (SPEC P2)."""

    WATCH = "watch"
    TICKET = "ticket"


class EvidenceKind(StrEnum):
    """Where a piece of evidence comes from."""

    PRIOR = "prior"
    FINDING = "finding"
    EVENT = "event"
    PART_AGE = "part_age"


@dataclass(frozen=True, slots=True)
class Contribution:
    """One piece of evidence and how far it moved the log-odds (natural logarithm)."""

    kind: EvidenceKind
    reference: str
    ts: datetime
    log_odds: float
    summary_en: str
    summary_zh: str


@dataclass(frozen=True, slots=True)
class Prediction:
    """A failure mode of one asset with its probability, window, evidence and parts.

    Times are aware UTC on the equipment's clock; ``evidence_at`` is when the newest evidence came in.
    """

    asset_id: int
    failure_mode: str
    stage: Stage
    probability: float
    evidence_at: datetime
    window_from: datetime
    window_to: datetime
    contributions: tuple[Contribution, ...]
    parts: tuple[PartNeed, ...]
