"""Builders for the tests of detection: rules, readings, findings, modes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np

from detectors.bank import Bank, FindingChange, Opened
from detectors.parameters import Scalar
from detectors.rules import RuleInForce
from domain.checklists import Task
from domain.events import Event, EventKind, EventSeverity
from domain.failure_modes import EventSign, FailureMode, FindingSign, PartAgeSign, PartNeed, Signature
from domain.findings import Direction, Finding, Severity
from domain.readings import Readings

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
START_US = int(START.timestamp() * 1_000_000)

# Parameters with which every detector learns quickly and finds a shift of ten spreads.
QUICK: dict[str, dict[str, Scalar]] = {
    "quality": {"high": 15.0, "low": 5.0},
    "threshold": {"high": 15.0, "low": 5.0, "dead_band": 1.0},
    "step": {"window": 60, "consecutive": 3},
    "level": {"high": 1.5, "low": 0.5, "learn_samples": 40},
    "cusum": {"k": 0.5, "h": 20.0, "learn_samples": 40},
    "ewma": {"limit": 6.0, "learn_samples": 40},
    "rate": {"limit_per_s": 1.6},
    "flatline": {"samples": 4, "learn_samples": 40},
    "trend": {"high": 40.0, "span_s": 100.0, "horizon_s": 60.0},
    "record": {
        "consecutive": 3,
        "learn_samples": 40,
        "range_samples": 90,
        "mean_limit": 3.0,
        "smooth": 24,
        "quiet": 20,
    },
    "t2q": {"learn_samples": 60, "calibrate_samples": 60},
    "missing": {"factor": 5.0, "at_least_s": 0.0},
}


def a_rule(detector: str = "threshold", *, rule_id: int = 1, metric: str = "*", **changes: Scalar) -> RuleInForce:
    """A rule with the quick parameters and some of its own; ``shadow`` and ``severity`` keep their defaults."""
    parameters = {**QUICK[detector], **changes}
    return RuleInForce(rule_id, f"test.{detector}", 1, metric, detector, parameters, Severity.HIGH, shadow=False)


def a_bank(*rules: RuleInForce, series_ids: Sequence[int] = (1,)) -> Bank:
    """A bank that watches these series of asset 7 with these rules."""
    bank = Bank()
    for series_id in series_ids:
        bank.add_series(series_id, 7, "signal", rules)
    return bank


def readings_of(values: Sequence[float], *, series_id: int = 1, first: int = 0, step_s: float = 1.0) -> Readings:
    """Readings of one series, one every ``step_s`` seconds; the first is number ``first``."""
    count = len(values)
    ts_us = START_US + (np.arange(first, first + count) * step_s * 1e6).astype(np.int64)
    return Readings(np.full(count, series_id, np.int32), ts_us, np.asarray(values, np.float64))


def opened_in(changes: Sequence[FindingChange]) -> list[Finding]:
    """The findings that opened."""
    return [change.finding for change in changes if isinstance(change, Opened)]


def noise(count: int, *, centre: float = 10.0, seed: int = 0) -> np.ndarray:
    """Independent noise of deviation 0.5 around ``centre``, never further off than 1.5."""
    return centre + np.clip(0.5 * np.random.default_rng(seed).standard_normal(count), -1.5, 1.5)


def a_finding(
    metric: str = "vibration",
    *,
    hours: float = 0.0,
    detector: str = "level",
    direction: Direction = Direction.UP,
    cleared_after_h: float | None = None,
    shadow: bool = False,
    rule_id: int = 1,
    number: int = 1,
) -> Finding:
    """A finding that opened ``hours`` after START."""
    opened_at = START + timedelta(hours=hours)
    return Finding(
        id=UUID(int=number),
        rule_id=rule_id,
        series_id=1,
        asset_id=7,
        metric=metric,
        detector=detector,
        direction=direction,
        severity=Severity.HIGH,
        shadow=shadow,
        opened_at=opened_at,
        cleared_at=None if cleared_after_h is None else opened_at + timedelta(hours=cleared_after_h),
        value=2.0,
        score=2.0,
        limit=1.3,
        evidence={"baseline": 1.0},
    )


def an_event(code: str, *, hours: float = 0.0, attributes: Mapping[str, str] | None = None) -> Event:
    """An event ``hours`` after START."""
    kind = EventKind.ERROR if attributes is None else EventKind.OPERATOR
    return Event(START + timedelta(hours=hours), kind, code, EventSeverity.ERROR, attributes=dict(attributes or {}))


def a_mode(code: str = "bearing_wear", *, signature: Signature | None = None, prior: float = 0.01) -> FailureMode:
    """A failure mode that a level finding alone brings to watch, and with error E7 to a ticket."""
    return FailureMode(
        code=code,
        asset_type="motor",
        name_en="Bearing wear",
        name_zh="轴承磨损",
        effect_en="It stops",
        effect_zh="停机",
        severity=7,
        component="bearing",
        prior=prior,
        watch_probability=0.05,
        ticket_probability=0.6,
        window_from_h=24,
        window_to_h=48,
        skills=("mechanical",),
        tasks=(Task("Look", "检查"),),
        parts=(PartNeed("SEAL", "Seal", "密封", 1, 0.5), PartNeed("BEARING", "Bearing", "轴承", 1, 0.9)),
        signature=signature
        or Signature(
            findings=(FindingSign("vibration", "level", Direction.UP, 12.0, 3.0),),
            events=(EventSign("E7", 24.0, 3.0), EventSign("E8", 24.0, 2.0)),
            part_age=PartAgeSign(28.0, 1.0, -4.0),
        ),
    )
