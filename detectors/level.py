"""Level: the smoothed value against the asset's own baseline, as a ratio.

Theory. Many signals of wear grow in proportion to what is normal for this very machine: vibration, power, duty.
Their natural scale is the baseline itself, not its noise: on the IMS bearings a level above 1.25 times the own
baseline, five times in a row, came 41 to 132 hours before each failure, while limits in standard deviations alarmed
on sound bearings weeks early. The level is an exponential mean with time constant ``smooth_s``, weighted by the
time each sample stands for,

    level += (1 - exp(-dt / smooth_s)) * (value - level),

with dt bounded by ``smooth_s`` so that the first sample after a silence does not speak for all of it. The finding
opens beyond ``high`` or ``low`` times the baseline; the baseline is learnt once after each anchor (``baseline.py``).

The score is the level divided by the baseline. It means something for quantities with a true zero only.

Source: A. Heng et al., Rotating machinery prognostics, Mechanical Systems and Signal Processing 23 (2009), on
relative levels; time-weighted exponential mean: U. Mueller, Specially weighted moving averages with repeated
application of the EMA operator, Olsen (1991). Measured on the IMS bearing data (NASA).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from detectors.baseline import BASELINE_FIELDS, BaselineParameters, learn
from detectors.compiling import Record, kernel
from detectors.episode import MICROSECONDS, OPENED, QUIET, advance, claim, state_dtype
from detectors.parameters import in_range

STATE = state_dtype(("level", "f8"), ("level_us", "i8"), *BASELINE_FIELDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelParameters(BaselineParameters):
    """``high`` (above 1) and ``low`` (below 1) are ratios to the baseline, at least one; ``smooth_s`` in seconds.

    A finding clears when the level is back by the fraction ``dead_band`` of the distance between limit and baseline.

    >>> from detectors.trial import episodes
    >>> calm, loud = [1.0, 1.02] * 20, [1.4] * 10
    >>> episodes("level", {"high": 1.25, "learn_samples": 30, "consecutive": 5}, calm + loud + calm)
    [(44, 54)]
    """

    consecutive: int = 5
    high: float | None = None
    low: float | None = None
    smooth_s: float = 0.0
    dead_band: float = 0.2

    def __post_init__(self) -> None:
        BaselineParameters.__post_init__(self)
        in_range("high", self.high, 1.0 + 1e-6, 1000)
        in_range("low", self.low, 0, 1.0 - 1e-6)
        in_range("smooth_s", self.smooth_s, 0, 366 * 86_400)
        in_range("dead_band", self.dead_band, 0, 1)
        if self.high is None and self.low is None:
            raise ValueError("at least one of high and low must be given")


@kernel
def _limits(state: Record, rule: Record) -> tuple[float, float]:
    """Return the upper and the lower limit; a ratio that is not set is NaN, and no comparison with NaN holds."""
    # Of a negative quantity the limits lie outwards too.
    size = abs(state.centre)
    return state.centre + (rule.high - 1) * size, state.centre - (1 - rule.low) * size


@kernel
def calm(state: Record, rule: Record, count: int, ts_us: np.ndarray, value: np.ndarray) -> int:
    """Take rows within the limits, where values are not smoothed."""
    if not state.learnt or rule.smooth_s > 0:
        return 0
    upper, lower = _limits(state, rule)
    beyond = 0
    for i in range(count):
        x = value[i]
        beyond += (x > upper) | (x < lower)
    if beyond:
        return 0
    state.level, state.level_us = value[count - 1], ts_us[count - 1]
    return count


@kernel
def update(state: Record, rule: Record, ts_us: int, value: float, gap: bool, change: Record) -> int:
    """Smooth one sample, learn from it or judge it."""
    if state.level_us == 0 or rule.smooth_s <= 0:
        state.level = value
    else:
        dt_s = min((ts_us - state.level_us) / MICROSECONDS, rule.smooth_s)
        state.level += (1 - math.exp(-dt_s / rule.smooth_s)) * (value - state.level)
    state.level_us = ts_us
    if not state.learnt:
        learn(state, rule, ts_us, value)
        return QUIET
    upper, lower = _limits(state, rule)
    side = 1 if state.level > upper else (-1 if state.level < lower else 0)
    still_up = state.level > upper - rule.dead_band * (upper - state.centre)
    still_down = state.level < lower + rule.dead_band * (state.centre - lower)
    what = advance(state, rule, ts_us, side, not (still_up or still_down), gap)
    if what == OPENED:
        score = state.level / state.centre if state.centre != 0 else 0.0
        limit = upper if side > 0 else lower
        claim(change, state.level, score, limit, state.centre, state.spread, state.beyond_count)
        change.window_start_us = state.beyond_since_us
    return what
