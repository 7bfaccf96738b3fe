"""When a failure is due: an interval, from the best that is known about it (SPEC D5, P2).

The first of these that gives one:

1. the remaining useful life of the asset for this failure mode;
2. the time to the limit that a finding behind the prediction tells (``time_to_limit_low_s`` to ``_high_s`` after its
   opening): of several findings the one whose limit is reached first;
3. what is usual for the mode, ``window_h`` after the evidence.

The interval never begins before the evidence, never ends in its past, and is never wider than a year: beyond that it
says nothing that somebody could plan by.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.failure_modes import FailureMode
from domain.findings import Finding
from domain.predictions import WindowSource
from domain.remaining_life import RemainingLife

WIDEST = timedelta(days=365)
# The far end of a window is at least this long after its near end and after the evidence.
NARROWEST = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Window:
    """The interval in which the failure is expected (equipment time), and where it comes from."""

    begin: datetime
    end: datetime
    source: WindowSource


def window(mode: FailureMode, life: RemainingLife | None, findings: Iterable[Finding], evidence_at: datetime) -> Window:
    """Return when the mode's failure is due, seen from ``evidence_at``; ``findings`` are those that support it."""
    found = None if life is None else _of_life(life, evidence_at)
    return found or _of_trend(findings, evidence_at) or _of_mode(mode, evidence_at)


def _of_life(life: RemainingLife, evidence_at: datetime) -> Window | None:
    begin, end = (life.as_of + timedelta(hours=hours) for hours in (life.low_h, life.high_h))
    return _sane(begin, end, evidence_at, WindowSource.REMAINING_LIFE)


def _of_trend(findings: Iterable[Finding], evidence_at: datetime) -> Window | None:
    told: list[tuple[float, Window]] = []
    for finding in findings:
        middle = finding.evidence.get("time_to_limit_s")
        if middle is None:
            continue
        low = finding.evidence.get("time_to_limit_low_s", middle / 2)
        # A trend that may also be none has no far end; twice the best guess is as far as it is believed.
        high = finding.evidence.get("time_to_limit_high_s", 2 * middle)
        # Seconds beyond the widest window would leave the calendar.
        begin, end = (
            finding.opened_at + min(timedelta(seconds=max(0.0, min(s, 1e9))), 2 * WIDEST) for s in (low, high)
        )
        window_told = _sane(begin, end, evidence_at, WindowSource.TREND)
        if window_told is not None:
            told.append((finding.opened_at.timestamp() + middle, window_told))
    return min(told, key=lambda one: (one[0], one[1].begin, one[1].end))[1] if told else None


def _of_mode(mode: FailureMode, evidence_at: datetime) -> Window:
    begin, end = (evidence_at + timedelta(hours=hours) for hours in (mode.window_from_h, mode.window_to_h))
    return Window(begin, end, WindowSource.MODE)


def _sane(begin: datetime, end: datetime, evidence_at: datetime, source: WindowSource) -> Window | None:
    """Return the window from the evidence on, or None where the interval had passed by then."""
    if end <= evidence_at:
        return None
    begin = max(begin, evidence_at)
    return Window(begin, min(max(end, begin + NARROWEST), begin + WIDEST), source)
