"""Rate: a value that moves faster than it can, or faster than it ever did.

Theory. Heat, level and pressure cannot jump: how fast they may change is a matter of physics and often better known
than where they may stand. The rate is taken between samples at least ``over_s`` seconds apart,

    r = (x - x') / (t - t'),

and the finding opens after ``consecutive`` rates in a row beyond ``limit_per_s`` on one side. A single wild value
gives one rate up and one down, so it opens nothing from two in a row on. Where no limit is given, it is ``factor``
times the ``quantile`` of |r| over a learning period after each anchor: of what this sensor did while all was well.

Noise in x counts twice and is divided by the time between: of a noisy signal take the rate over a longer time. No
rate is taken across a gap, because what happened meanwhile is not known. Once learnt, the limit stays.

The score is |r| divided by its limit; ``limit`` is the value at which the rate would have been at its limit, and
``rate_per_s`` and ``limit_per_s`` are in the evidence.

Source: ANSI/ISA-18.2-2016, rate-of-change alarms; D. Rothenberg, Alarm Management for Process Control (2009).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from detectors.baseline import BaselineParameters
from detectors.compiling import Record, kernel
from detectors.episode import MICROSECONDS, OPENED, QUIET, advance, claim, state_dtype
from detectors.extremes import KEPT, keep_greatest, tail_quantile
from detectors.parameters import Side, in_range

STATE = state_dtype(
    ("from_value", "f8"),
    ("from_us", "i8"),
    ("limit_per_s", "f8"),
    ("learnt_count", "i8"),
    ("anchored_us", "i8"),
    ("learning_since_us", "i8"),
    ("greatest", "f8", (KEPT,)),
    ("learnt", "u1"),
    ("gapped", "u1"),
)
EXTRA = ("rate_per_s", "limit_per_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class RateParameters(BaselineParameters):
    """``limit_per_s`` in the series' unit per second, or ``factor`` times the learnt ``quantile``; ``over_s`` seconds.

    A finding clears when the rate is back by the fraction ``dead_band`` of its limit.

    >>> from detectors.trial import episodes
    >>> episodes("rate", {"limit_per_s": 2.0}, [20.0] * 9 + [23.0, 26.0, 29.0, 32.0] + [32.0] * 4)
    [(11, 15)]
    >>> calm, climb = [20.0, 20.5, 20.2, 19.9] * 30, [23.0, 26.0, 29.0, 32.0]
    >>> episodes("rate", {"learn_samples": 100}, calm + climb)
    [(122, None)]
    """

    limit_per_s: float | None = None
    factor: float = 3.0
    quantile: float = 0.999
    over_s: float = 0.0
    side: Side = Side.BOTH
    dead_band: float = 0.2

    def __post_init__(self) -> None:
        BaselineParameters.__post_init__(self)
        in_range("limit_per_s", self.limit_per_s, 1e-12)
        in_range("factor", self.factor, 1, 1000)
        in_range("quantile", self.quantile, 0.5, 1)
        in_range("over_s", self.over_s, 0, 366 * 86_400)
        in_range("dead_band", self.dead_band, 0, 1)


@kernel
def calm(state: Record, rule: Record, count: int, ts_us: np.ndarray, value: np.ndarray) -> int:
    """Take rows of which none moved too fast, where every row gives a rate."""
    if not state.learnt or state.gapped or state.from_us == 0 or rule.over_s > 0:
        return 0
    limit = _limit(state, rule)
    rising = limit if rule.side >= 0 else math.inf
    falling = limit if rule.side <= 0 else math.inf
    before, before_us, beyond = state.from_value, state.from_us, 0
    for i in range(count):
        x, now = value[i], ts_us[i]
        moved, dt_s = x - before, (now - before_us) / MICROSECONDS
        beyond += (moved > rising * dt_s) | (moved < -(falling * dt_s))
        before, before_us = x, now
    if beyond:
        return 0
    state.from_value, state.from_us = before, before_us
    return count


@kernel
def _limit(state: Record, rule: Record) -> float:
    """Return the limit per second; infinite for a sensor that never moved while learning, which gives no scale."""
    limit = state.limit_per_s if math.isnan(rule.limit_per_s) else rule.limit_per_s
    return limit if limit > 0 else math.inf


@kernel
def update(state: Record, rule: Record, ts_us: int, value: float, gap: bool, change: Record) -> int:
    """Take the rate since the sample before; learn from it or judge it."""
    state.gapped |= gap
    if state.anchored_us == 0:
        state.anchored_us = ts_us
    before, since_us = state.from_value, state.from_us
    dt_s = (ts_us - since_us) / MICROSECONDS
    if since_us != 0 and not gap and dt_s < rule.over_s:
        return QUIET
    state.from_value = value
    state.from_us = ts_us
    if since_us == 0 or gap:
        return QUIET
    moved = value - before
    # With a limit of one's own there is nothing to learn.
    state.learnt |= not math.isnan(rule.limit_per_s)
    if not state.learnt:
        _learn(state, rule, ts_us, abs(moved) / dt_s)
        return QUIET
    limit = _limit(state, rule)
    # Compared as distances, which saves a division a sample.
    reach = limit * dt_s
    side = 1 if moved > reach and rule.side >= 0 else (-1 if moved < -reach and rule.side <= 0 else 0)
    back = moved * state.direction <= (1 - rule.dead_band) * reach
    what = advance(state, rule, ts_us, side, back, state.gapped != 0)
    state.gapped = 0
    if what == OPENED:
        claim(change, value, abs(moved) / reach, before + side * reach, before, math.nan, state.beyond_count)
        change.window_start_us = since_us if state.beyond_count == 1 else state.beyond_since_us
        change.extra[0] = moved / dt_s
        change.extra[1] = limit
    return what


@kernel
def _learn(state: Record, rule: Record, ts_us: int, size: float) -> None:
    if ts_us - state.anchored_us < rule.settle_s * MICROSECONDS:
        return
    if state.learnt_count == 0:
        state.learning_since_us = ts_us
    keep_greatest(state.greatest, state.learnt_count, size)
    state.learnt_count += 1
    long_enough = ts_us - state.learning_since_us >= rule.learn_s * MICROSECONDS
    if state.learnt_count >= rule.learn_samples and long_enough:
        state.learnt = 1
        state.limit_per_s = rule.factor * tail_quantile(state.greatest, state.learnt_count, rule.quantile)
