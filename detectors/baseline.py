"""The anchored baseline: mean and spread learnt once after each anchor, then frozen (ADR 7).

A running mean would chase the very drift it should find, so learning ends after ``learn_samples`` samples that span
at least ``learn_s`` seconds, and starts again only when the asset is anchored anew: at commissioning and after a
repair. The first ``settle_s`` seconds after an anchor are left out: machines warm up, controllers swing in. Rows that
come while a limit, a step or the quality gate has a finding open teach nothing (SPEC D2, ``running.py``).

Mean and variance follow Welford's recursion. From the 17th sample on a value counts as at most four standard
deviations off, so that a spike while learning does not spoil the rest of a life (winsorising; Tukey 1962).

Source: B. P. Welford, Note on a method for calculating corrected sums of squares and products, Technometrics 4
(1962).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from detectors.compiling import Record, kernel
from detectors.episode import MICROSECONDS, EpisodeParameters
from detectors.parameters import in_range

BASELINE_FIELDS = (
    ("centre", "f8"),
    ("squares", "f8"),
    ("spread", "f8"),  # the standard deviation, once learnt
    ("learnt_count", "i8"),
    ("anchored_us", "i8"),
    ("learning_since_us", "i8"),
    ("learnt", "u1"),
)
TRUSTED_AFTER = 16
WINSOR_LIMIT = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineParameters(EpisodeParameters):
    """``settle_s`` seconds are left out, then ``learn_samples`` samples that span ``learn_s`` seconds are learnt from.

    All seconds are on the equipment's clock. ``by_regime``: where the type of the asset has operating regimes, a
    baseline of its own for each of them.
    """

    learn_samples: int = 200
    learn_s: float = 0.0
    settle_s: float = 0.0
    by_regime: bool = True

    def __post_init__(self) -> None:
        EpisodeParameters.__post_init__(self)
        in_range("learn_samples", self.learn_samples, 8, 10_000_000)
        in_range("learn_s", self.learn_s, 0, 366 * 86_400)
        in_range("settle_s", self.settle_s, 0, 366 * 86_400)


@kernel
def learn(state: Record, rule: Record, ts_us: int, value: float) -> None:
    """Take one sample into the baseline; set ``state.learnt`` once it is complete."""
    if state.anchored_us == 0:
        state.anchored_us = ts_us
    if ts_us - state.anchored_us < rule.settle_s * MICROSECONDS:
        return
    if state.learnt_count == 0:
        state.learning_since_us = ts_us
    counted = value
    if state.learnt_count >= TRUSTED_AFTER:
        reach = WINSOR_LIMIT * spread_of(state)
        if reach > 0:
            counted = min(max(value, state.centre - reach), state.centre + reach)
    state.learnt_count += 1
    step = counted - state.centre
    state.centre += step / state.learnt_count
    state.squares += step * (counted - state.centre)
    long_enough = ts_us - state.learning_since_us >= rule.learn_s * MICROSECONDS
    if state.learnt_count >= rule.learn_samples and long_enough:
        state.learnt = 1
        state.spread = spread_of(state)


@kernel
def spread_of(state: Record) -> float:
    """Return the standard deviation learnt so far, in the series' unit."""
    return math.sqrt(state.squares / max(1, state.learnt_count - 1))
