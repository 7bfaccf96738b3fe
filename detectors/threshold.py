"""Threshold: a value beyond a fixed limit for N samples in a row.

Theory. The oldest alarm there is. Limits low-low, low, high and high-high are set by people who know the machine;
any subset may be given, and the innermost one given on each side decides. A single sample beyond a limit is mostly
noise: with independent Gaussian noise a 3-sigma limit is crossed once in 355 samples, three in a row once in more
than 20,000. A value that hovers at the limit would open and clear without end, so it counts as back only when it
is inside by the dead band. Counting, delays, latch and hold are those of ``episode.py``.

The score is the distance beyond the limit, in the series' unit.

Source: ANSI/ISA-18.2-2016, Management of Alarm Systems for the Process Industries (dead band, on- and off-delay,
latching); run lengths simulated, 20,000 runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from detectors.compiling import Record, kernel
from detectors.episode import OPENED, EpisodeParameters, advance, claim, state_dtype
from detectors.parameters import in_range

STATE = state_dtype()


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdParameters(EpisodeParameters):
    """Limits and dead band in the series' unit; at least one limit, in rising order.

    >>> from detectors.trial import episodes
    >>> episodes("threshold", {"high": 80.0, "dead_band": 2.0}, [70, 81, 82, 83, 79, 77, 77, 77])
    [(3, 7)]
    >>> ThresholdParameters(low=10.0, high=5.0)
    Traceback (most recent call last):
    ValueError: limits must rise from low_low to high_high, got low=10.0, high=5.0
    """

    low_low: float | None = None
    low: float | None = None
    high: float | None = None
    high_high: float | None = None
    dead_band: float = 0.0

    def __post_init__(self) -> None:
        EpisodeParameters.__post_init__(self)
        in_range("dead_band", self.dead_band, 0)
        names = ("low_low", "low", "high", "high_high")
        given = [(name, limit) for name in names if (limit := getattr(self, name)) is not None]
        if not given:
            raise ValueError("at least one of low_low, low, high, high_high must be given")
        if any(left[1] >= right[1] for left, right in pairwise(given)):
            shown = ", ".join(f"{name}={limit}" for name, limit in given)
            raise ValueError(f"limits must rise from low_low to high_high, got {shown}")


@kernel
def _limits(rule: Record) -> tuple[float, float]:
    """Return the innermost upper and lower limit; what is not set is NaN, and no comparison with NaN holds."""
    upper = rule.high_high if math.isnan(rule.high) else rule.high
    lower = rule.low_low if math.isnan(rule.low) else rule.low
    return upper, lower


@kernel
def calm(state: Record, rule: Record, count: int, ts_us: np.ndarray, value: np.ndarray) -> int:
    """Take rows of which none is beyond a limit: they change nothing."""
    upper, lower = _limits(rule)
    beyond = 0
    for i in range(count):
        x = value[i]
        beyond += (x > upper) | (x < lower)
    return 0 if beyond else count


@kernel
def update(state: Record, rule: Record, ts_us: int, value: float, gap: bool, change: Record) -> int:
    """Judge one sample against the limits."""
    upper, lower = _limits(rule)
    side = 1 if value > upper else (-1 if value < lower else 0)
    back = not (value > upper - rule.dead_band) and not (value < lower + rule.dead_band)
    what = advance(state, rule, ts_us, side, back, gap)
    if what == OPENED:
        outer = rule.high_high if side > 0 else rule.low_low
        inner = upper if side > 0 else lower
        limit = outer if (value - outer) * side > 0 else inner
        claim(change, value, (value - limit) * side, limit, math.nan, math.nan, state.beyond_count)
        change.window_start_us = state.beyond_since_us
    return what
