"""Anchored EWMA: the exponentially weighted mean against a baseline that was learnt once.

Theory. Of each sample the distance from the baseline is taken in units of its spread, z = (x - mean) / spread, and
clipped to +-``clip`` so that one wild value cannot decide alone. The mean of z forgets with weight lambda,

    e = (1 - lambda) * e + lambda * z,        sigma_e = sqrt(lambda / (2 - lambda)) in the long run,

and the finding opens when |e| exceeds ``limit`` times sigma_e. A weight of 0.05 to 0.1 finds shifts of one spread in
some twenty samples; it reacts sooner than CUSUM to large shifts and forgets sooner when they end.

sigma_e supposes independent samples: at lambda 0.1 and limit 4 one false alarm in 13,900 samples becomes one in 111
when neighbours correlate by 0.7. Calibrate ``limit`` by replay.

The score is |e| / sigma_e; ``value`` is the mean in the series' unit, with clipped samples.

Source: S. W. Roberts, Control chart tests based on geometric moving averages, Technometrics 1 (1959); J. M. Lucas
and M. S. Saccucci, Exponentially weighted moving average control schemes, Technometrics 32 (1990).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from detectors.baseline import BASELINE_FIELDS, BaselineParameters, learn
from detectors.compiling import Record, kernel
from detectors.episode import OPENED, QUIET, advance, claim, state_dtype
from detectors.parameters import Side, in_range

STATE = state_dtype(
    ("smooth", "f8"),
    ("reach", "f8"),  # the limit in spreads of the baseline
    ("per_spread", "f8"),
    ("within_us", "i8"),
    *BASELINE_FIELDS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EwmaParameters(BaselineParameters):
    """``weight`` is lambda; ``limit`` in long-run deviations of the mean; ``clip`` in spreads of the baseline.

    ``min_spread``, the least believed, is in the series' unit. A finding clears when the mean is back by the
    fraction ``dead_band`` of the limit.

    >>> from detectors.trial import episodes
    >>> calm, shifted = [0.0, 1.0, 0.0, -1.0] * 10, [1.5] * 12
    >>> episodes("ewma", {"weight": 0.1, "limit": 4.0, "learn_samples": 32}, calm + shifted)
    [(45, None)]
    """

    consecutive: int = 1
    weight: float = 0.1
    limit: float = 4.0
    clip: float = 5.0
    side: Side = Side.BOTH
    min_spread: float = 0.0
    dead_band: float = 0.5

    def __post_init__(self) -> None:
        BaselineParameters.__post_init__(self)
        in_range("weight", self.weight, 1e-4, 1)
        in_range("limit", self.limit, 0.1, 1000)
        in_range("clip", self.clip, 0.1, 1e6)
        in_range("min_spread", self.min_spread, 0)
        in_range("dead_band", self.dead_band, 0, 1)
        reached = self.limit * math.sqrt(self.weight / (2 - self.weight))
        if reached >= self.clip:
            raise ValueError(
                f"with weight {self.weight} limit {self.limit} means {reached:.3g} spreads; raise clip above that"
            )


@kernel
def calm(state: Record, rule: Record, count: int, ts_us: np.ndarray, value: np.ndarray) -> int:
    """Take rows that leave the mean within its limits."""
    if not state.learnt:
        return 0
    centre, per_spread, clip, weight = state.centre, state.per_spread, rule.clip, rule.weight
    # Of a side that is not watched the mean counts as 0.
    limit, inside = state.reach, (1 - rule.dead_band) * state.reach
    smooth, within_us, beyond = state.smooth, state.within_us, 0
    for i in range(count):
        z = min(max((value[i] - centre) * per_spread, -clip), clip)
        smooth += weight * (z - smooth)
        up, down = smooth * (rule.side >= 0), -smooth * (rule.side <= 0)
        within_us = ts_us[i] if max(up, down) <= inside else within_us
        beyond += (up > limit) | (down > limit)
    if beyond:
        return 0
    state.smooth, state.within_us = smooth, within_us
    return count


@kernel
def update(state: Record, rule: Record, ts_us: int, value: float, gap: bool, change: Record) -> int:
    """Learn from one sample, or take it into the mean and judge that."""
    if not state.learnt:
        learn(state, rule, ts_us, value)
        spread = max(state.spread, rule.min_spread)
        # A baseline without any spread gives no scale to judge by: z is then 0 for ever.
        state.per_spread = 1 / spread if state.learnt and spread > 0 else 0.0
        state.reach = rule.limit * math.sqrt(rule.weight / (2 - rule.weight))
        state.within_us = ts_us
        return QUIET
    z = min(max((value - state.centre) * state.per_spread, -rule.clip), rule.clip)
    state.smooth += rule.weight * (z - state.smooth)
    limit = state.reach
    up = state.smooth * (rule.side >= 0)
    down = -state.smooth * (rule.side <= 0)
    side = 1 if up > limit else (-1 if down > limit else 0)
    back = max(up, down) <= (1 - rule.dead_band) * limit
    state.within_us = ts_us if back else state.within_us
    what = advance(state, rule, ts_us, side, back, gap)
    if what == OPENED:
        spread = max(state.spread, rule.min_spread)
        mean, bound = state.centre + state.smooth * spread, state.centre + side * limit * spread
        score = abs(state.smooth) / limit * rule.limit
        claim(change, mean, score, bound, state.centre, spread, state.beyond_count)
        # The evidence begins where the mean was last well inside its limit.
        change.window_start_us = state.within_us
    return what
