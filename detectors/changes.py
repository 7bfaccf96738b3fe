"""What a bank tells: findings that open and clear."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import numpy as np

from detectors.catalogue import DetectorSpec
from detectors.episode import OPENED
from detectors.pace import NO_REGIME
from detectors.slots import Owner
from domain.findings import Direction, Finding

# Findings are named by what they are about, so that storing one twice is harmless.
FINDING_NAMESPACE = UUID("6f9d2a0c-5c0e-5e1b-9d5a-2b1f5f6d8c11")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DIRECTIONS = {1: Direction.UP, -1: Direction.DOWN, 0: Direction.NONE}


@dataclass(frozen=True, slots=True)
class Opened:
    """A finding opened."""

    finding: Finding


@dataclass(frozen=True, slots=True)
class Cleared:
    """The finding of this rule on this series that opened at ``opened_at`` is over."""

    series_id: int
    rule_id: int
    opened_at: datetime
    cleared_at: datetime


FindingChange = Opened | Cleared


def told(spec: DetectorSpec, owner: Owner, series_id: int, asset_id: int, metric: str, row: np.void) -> FindingChange:
    """Return what a kernel wrote into ``row`` (CHANGE) about this owner's slot, in words that leave the bank."""
    rule = owner.rule
    opened_at, ts = time_of(int(row["opened_us"])), time_of(int(row["ts_us"]))
    if row["what"] != OPENED:
        return Cleared(series_id, rule.rule_id, opened_at, ts)
    named = {name: float(row[name]) for name in ("baseline", "spread", "count")}
    named.update(zip(spec.extra, row["extra"].tolist(), strict=False))
    evidence = {name: number for name, number in named.items() if np.isfinite(number)}
    evidence["window_start"] = int(row["window_start_us"]) / 1e6
    about = f"{series_id}/{rule.rule_id}/{int(row['opened_us'])}"
    if owner.regime != NO_REGIME:
        evidence["regime"] = owner.regime
        about += f"/{owner.regime}"
    return Opened(
        Finding(
            id=uuid5(FINDING_NAMESPACE, about),
            rule_id=rule.rule_id,
            series_id=series_id,
            asset_id=asset_id,
            metric=metric,
            detector=rule.detector,
            direction=DIRECTIONS[int(row["direction"])],
            severity=rule.severity,
            shadow=rule.shadow,
            opened_at=opened_at,
            cleared_at=None,
            value=float(row["value"]),
            score=float(row["score"]),
            limit=float(row["limit"]),
            evidence=evidence,
        )
    )


def time_of(us: int) -> datetime:
    """Return the aware time of so many microseconds since 1970."""
    return EPOCH + timedelta(microseconds=us)


def when(change: FindingChange) -> datetime:
    """Return when it happened, on the equipment's clock."""
    return change.finding.opened_at if isinstance(change, Opened) else change.cleared_at
