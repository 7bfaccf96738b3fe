"""Anchored CUSUM: small lasting shifts against a baseline that was learnt once.

Theory. Of each sample the distance from the baseline is taken in units of its spread, z = (x - mean) / spread, and
clipped to +-``clip`` so that one wild value cannot decide alone. Two sums collect what exceeds the slack ``k``:

    S+ = max(0, S+ + z - k)        S- = max(0, S- - z - k)

A shift of d spreads lets the sum grow by d - k a sample, so it is found after about h / (d - k) samples: slowly for
small shifts, but surely, where a limit on single samples stays blind. The finding opens above ``h`` and clears
below h / 2; the sums stop at 2 h, or recovery from a long excursion would take as long as the excursion.

Textbook run lengths hold for independent samples only: at k 0.5, h 8 one false alarm in 8,376 samples becomes one
in 77 when neighbours correlate by 0.7. Calibrate ``h`` by replay.

The score is the sum that opened the finding; ``limit`` is the level from which on it grows.

Source: E. S. Page, Continuous inspection schemes, Biometrika 41 (1954); D. C. Montgomery, Introduction to
Statistical Quality Control, section 9.1.
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
    ("up", "f8"),
    ("down", "f8"),
    ("up_since_us", "i8"),
    ("down_since_us", "i8"),
    ("per_spread", "f8"),
    *BASELINE_FIELDS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CusumParameters(BaselineParameters):
    """``k``, ``h``, ``clip`` in spreads of the baseline; ``min_spread``, the least believed, in the series' unit.

    >>> from detectors.trial import episodes
    >>> calm, shifted = [0.0, 1.0, 0.0, -1.0] * 10, [1.5] * 12
    >>> episodes("cusum", {"k": 0.5, "h": 8.0, "learn_samples": 32}, calm + shifted)
    [(45, None)]
    """

    consecutive: int = 1
    k: float = 0.5
    h: float = 8.0
    clip: float = 5.0
    side: Side = Side.BOTH
    min_spread: float = 0.0

    def __post_init__(self) -> None:
        BaselineParameters.__post_init__(self)
        in_range("k", self.k, 0, 100)
        in_range("h", self.h, 1e-3, 1e6)
        in_range("clip", self.clip, self.k, 1e6)
        in_range("min_spread", self.min_spread, 0)


@kernel
def calm(state: Record, rule: Record, count: int, ts_us: np.ndarray, value: np.ndarray) -> int:
    """Take rows that leave both sums below ``h``, where they are never cut off."""
    if not state.learnt:
        return 0
    centre, per_spread, clip = state.centre, state.per_spread, rule.clip
    # The sum of a side that is not watched stays 0.
    up_slack = rule.k if rule.side >= 0 else math.inf
    down_slack = rule.k if rule.side <= 0 else math.inf
    up, down, beyond = state.up, state.down, 0
    # Rows are numbered by floats here: a choice between integers would become a branch that is guessed wrong.
    row, up_row, down_row = 0.0, -1.0, -1.0
    for i in range(count):
        z = min(max((value[i] - centre) * per_spread, -clip), clip)
        up_row, down_row = row if up == 0 else up_row, row if down == 0 else down_row
        up, down = max(0.0, up + z - up_slack), max(0.0, down - z - down_slack)
        beyond += (up > rule.h) | (down > rule.h)
        row += 1.0
    if beyond:
        return 0
    state.up, state.down = up, down
    if up_row >= 0:
        state.up_since_us = ts_us[int(up_row)]
    if down_row >= 0:
        state.down_since_us = ts_us[int(down_row)]
    return count


@kernel
def update(state: Record, rule: Record, ts_us: int, value: float, gap: bool, change: Record) -> int:
    """Learn from one sample, or add it to the sums and judge them."""
    if not state.learnt:
        learn(state, rule, ts_us, value)
        spread = max(state.spread, rule.min_spread)
        # A baseline without any spread gives no scale to judge by: z is then 0 for ever.
        state.per_spread = 1 / spread if state.learnt and spread > 0 else 0.0
        return QUIET
    z = min(max((value - state.centre) * state.per_spread, -rule.clip), rule.clip)
    # Everything in locals first, so that the selections below need no branch: with noise around the baseline the sums
    # touch zero at random, and a processor guesses wrong half the time.
    up, down = state.up, state.down
    up_since_us, down_since_us = state.up_since_us, state.down_since_us
    state.up_since_us = ts_us if up == 0 else up_since_us
    state.down_since_us = ts_us if down == 0 else down_since_us
    state.up = min(max(0.0, up + z - rule.k), 2 * rule.h) * (rule.side >= 0)
    state.down = min(max(0.0, down - z - rule.k), 2 * rule.h) * (rule.side <= 0)
    side = 1 if state.up > rule.h else (-1 if state.down > rule.h else 0)
    back = max(state.up, state.down) < rule.h / 2
    what = advance(state, rule, ts_us, side, back, gap)
    if what == OPENED:
        score = state.up if side > 0 else state.down
        spread = max(state.spread, rule.min_spread)
        claim(change, value, score, state.centre + side * rule.k * spread, state.centre, spread, state.beyond_count)
        change.window_start_us = state.up_since_us if side > 0 else state.down_since_us
    return what
