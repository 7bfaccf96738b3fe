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
    HISTORY = "history"
    RIVAL = "rival"


class WindowSource(StrEnum):
    """Where the interval in which the failure is expected comes from; declared from best known to least."""

    REMAINING_LIFE = "remaining_life"
    TREND = "trend"
    MODE = "mode"


WINDOW_SOURCE_EN = {
    WindowSource.REMAINING_LIFE: "remaining useful life of this asset",
    WindowSource.TREND: "trend towards the limit",
    WindowSource.MODE: "what is usual for this failure mode",
}
WINDOW_SOURCE_ZH = {
    WindowSource.REMAINING_LIFE: "该设备的剩余使用寿命",
    WindowSource.TREND: "向限值发展的趋势",
    WindowSource.MODE: "该失效模式的常见时间",
}


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

    Times are aware UTC on the equipment's clock; ``evidence_at`` is when the newest evidence came in. The failure is
    expected from ``window_from`` to ``window_to``, which never lies before the evidence.
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
    window_source: WindowSource = WindowSource.MODE
