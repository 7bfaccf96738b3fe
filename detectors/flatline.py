"""Flatline: a sensor that is stuck shows the same value for longer than it ever did.

Theory. A live sensor carries noise; one that is broken, frozen or cut off repeats its last value, and no limit is
ever crossed. A run lasts while each sample lies within ``resolution`` of the value at which the run began (not of
its neighbour: a slow drift in small steps is alive). How long a run is normal depends on the signal: a set point
holds for hours, a vibration never. So the longest run of a learning period after each anchor is the scale, and the
finding opens when a run

    has lasted more than max(``samples``, ``factor`` * longest run learnt) samples and at least ``at_least_s`` seconds.

Silence is not sameness: a gap starts the run again, and ``missing.py`` tells of silence.

The score is the length of the run divided by the length allowed; ``value`` and ``limit`` are the value at which it
stays, ``count`` is the run in samples, and ``allowed_samples`` stands in the evidence.

Source: R. Isermann, Fault-Diagnosis Systems (2006), chapter 7, on plausibility checks of sensors; Integrated Ocean
Observing System, QARTOD manuals, flat line test.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from detectors.baseline import BaselineParameters
from detectors.compiling import Record, kernel
from detectors.episode import MICROSECONDS, OPENED, QUIET, advance, claim, state_dtype
from detectors.parameters import in_range

STATE = state_dtype(
    ("held", "f8"),
    ("run_since_us", "i8"),
    ("run_count", "i8"),
    ("longest", "i8"),
    ("learnt_count", "i8"),
    ("anchored_us", "i8"),
    ("learning_since_us", "i8"),
    ("learnt", "u1"),
)
EXTRA = ("allowed_samples",)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatlineParameters(BaselineParameters):
    """``resolution`` in the series' unit; ``samples`` and ``factor`` as above; ``at_least_s`` in seconds.

    >>> from detectors.trial import episodes
    >>> alive, stuck = [5.0, 5.1, 5.1, 5.0] * 10, [5.1] * 20
    >>> episodes("flatline", {"learn_samples": 32}, alive + stuck + [5.0])
    [(50, 60)]
    """

    consecutive: int = 1
    resolution: float = 0.0
    samples: int = 10
    factor: float = 3.0
    at_least_s: float = 0.0

    def __post_init__(self) -> None:
        BaselineParameters.__post_init__(self)
        in_range("resolution", self.resolution, 0)
        in_range("samples", self.samples, 2, 10_000_000)
        in_range("factor", self.factor, 1, 1000)
        in_range("at_least_s", self.at_least_s, 0, 366 * 86_400)


@kernel
def calm(state: Record, rule: Record, count: int, ts_us: np.ndarray, value: np.ndarray) -> int:
    """Take rows that each differ from the one before: every one begins a run, and none lasts."""
    if not state.learnt:
        return 0
    before, same = state.held, 0
    for i in range(count):
        x = value[i]
        same += abs(x - before) <= rule.resolution
        before = x
    if same:
        return 0
    state.held, state.run_since_us, state.run_count = before, ts_us[count - 1], 1
    return count


@kernel
def update(state: Record, rule: Record, ts_us: int, value: float, gap: bool, change: Record) -> int:
    """Let the run go on or begin anew; learn how long runs are, or judge this one."""
    if state.run_count > 0 and not gap and abs(value - state.held) <= rule.resolution:
        state.run_count += 1
    else:
        state.held = value
        state.run_since_us = ts_us
        state.run_count = 1
    if not state.learnt:
        _learn(state, rule, ts_us)
        return QUIET
    allowed = max(float(rule.samples), rule.factor * state.longest)
    long_enough = ts_us - state.run_since_us >= rule.at_least_s * MICROSECONDS
    stuck = state.run_count > allowed and long_enough
    what = advance(state, rule, ts_us, 1 if stuck else 0, not stuck, gap)
    if what == OPENED:
        # Sameness has no direction.
        state.direction = 0
        claim(change, value, state.run_count / allowed, state.held, state.held, math.nan, state.run_count)
        change.window_start_us = state.run_since_us
        change.extra[0] = allowed
    return what


@kernel
def _learn(state: Record, rule: Record, ts_us: int) -> None:
    if state.anchored_us == 0:
        state.anchored_us = ts_us
    if ts_us - state.anchored_us < rule.settle_s * MICROSECONDS:
        return
    if state.learnt_count == 0:
        state.learning_since_us = ts_us
    state.learnt_count += 1
    state.longest = max(state.longest, state.run_count)
    long_enough = ts_us - state.learning_since_us >= rule.learn_s * MICROSECONDS
    if state.learnt_count >= rule.learn_samples and long_enough:
        state.learnt = 1
