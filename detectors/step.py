"""Adaptive step: a sudden change against the recent past, by median and MAD.

Theory. The recent past is a window of the last ``window`` samples, described by its median and its median absolute
deviation, which half of the window may be wrong without moving. A sample is judged against the window before it,

    z = |x - median| / max(1.4826 * MAD, floor * sigma),

where sigma is the deviation of all samples of the first window after an anchor: a signal that falls quiet for a
while, or is so coarsely resolved that its MAD is zero, must not turn its own next breath into an alarm. ``min_spread``
is a floor in the unit of the series, for movements that are known to mean nothing. The finding opens after
``consecutive`` samples beyond ``limit`` and clears when the window has moved over, so it marks the change, not the new
level. Slow ramps it never sees: those are for ``cusum.py`` and ``level.py``.

The window keeps every n-th sample, 32 at most, because neighbours of a real signal say nearly the same (keeping 64
makes the figures on SKAB less sensitive to window and limit, at twice the cost); the kept ones stand in a ring by time
and once more by size, so that the median is read off and the MAD found by counting.

The score is z.

Source: F. R. Hampel, The influence curve and its role in robust estimation, JASA 69 (1974); P. J. Rousseeuw and
C. Croux, Alternatives to the median absolute deviation, JASA 88 (1993).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from detectors.compiling import Record, from_row, kernel, seldom
from detectors.episode import OPENED, QUIET, EpisodeParameters, advance, claim, state_dtype
from detectors.parameters import in_range

KEPT_MAX = 32
MAD_TO_SIGMA = 1.4826

STATE = state_dtype(
    # float32 is enough for a distance from the origin, the first sample.
    ("origin", "f8"),
    ("median", "f8"),
    ("spread", "f8"),
    ("per_spread", "f8"),
    ("least", "f8"),
    ("learnt_mean", "f8"),
    ("learnt_squares", "f8"),
    ("learnt_count", "i4"),
    ("kept", "i4"),
    ("capacity", "i4"),
    ("skipped", "i4"),
    ("next", "i4"),
    ("full", "u1"),
    ("ring", "f4", (KEPT_MAX,)),
    ("ordered", "f4", (KEPT_MAX + 1,)),  # infinite where nothing is kept
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepParameters(EpisodeParameters):
    """``window`` in samples; ``limit`` in spreads of the window; ``floor`` in spreads of the first window.

    ``min_spread``, the least spread believed, is in the series' unit.

    >>> from detectors.trial import episodes
    >>> calm, after = [0.0, 1.0, 0.5, -1.0, -0.5] * 60, [20.0, 21.0] * 150
    >>> [opened for opened, _ in episodes("step", {"window": 200}, calm + after)]
    [304]
    """

    consecutive: int = 5
    window: int = 300
    limit: float = 8.0
    floor: float = 0.25
    min_spread: float = 0.0

    def __post_init__(self) -> None:
        EpisodeParameters.__post_init__(self)
        in_range("window", self.window, 16, 100_000)
        in_range("limit", self.limit, 1, 1000)
        in_range("floor", self.floor, 0, 10)
        in_range("min_spread", self.min_spread, 0)


@kernel
def calm(state: Record, rule: Record, count: int, ts_us: np.ndarray, value: np.ndarray) -> int:
    """Take rows within the limit; the window moves on with every n-th."""
    if not state.full or not state.per_spread > 0:
        return 0
    stride, taken = _stride(rule.window), 0
    while taken < count:
        stop = min(count, taken + stride - state.skipped)
        beyond = 0
        for i in range(taken, stop):
            z = (value[i] - state.origin - state.median) * state.per_spread
            beyond += (z > rule.limit) | (z < -rule.limit)
        if beyond:
            break
        state.skipped += stop - taken
        taken = stop
        if state.skipped >= stride:
            state.skipped = 0
            _keep(state, rule, np.float32(value[stop - 1] - state.origin))
    return taken


@kernel
def update(state: Record, rule: Record, ts_us: int, value: float, gap: bool, change: Record) -> int:
    """Judge one sample against the window before it, then let the window move on."""
    if state.kept == 0:
        state.origin = value
    x = value - state.origin
    what = QUIET
    if state.per_spread > 0:
        z = (x - state.median) * state.per_spread
        side = 1 if z > rule.limit else (-1 if z < -rule.limit else 0)
        what = advance(state, rule, ts_us, side, side == 0, gap)
        if what == OPENED:
            baseline = state.origin + state.median
            claim(
                change, value, abs(z), baseline + side * rule.limit * state.spread, baseline, state.spread,
                state.beyond_count,
            )  # fmt: skip
            change.window_start_us = state.beyond_since_us
    if not state.full:
        _learn_floor(state, rule, x)
    state.skipped += 1
    if state.kept == 0 or state.skipped >= _stride(rule.window):
        state.skipped = 0
        _keep(state, rule, np.float32(x))
    return what


@kernel
def _stride(window: int) -> int:
    return (window + KEPT_MAX - 1) // KEPT_MAX


@seldom
def _keep(state: Record, rule: Record, x: np.float32) -> None:
    ring, ordered = from_row(state.ring, 0), from_row(state.ordered, 0)
    if state.capacity == 0:
        # Once, because a division costs as much as all the rest.
        state.capacity = max(8, min(KEPT_MAX, rule.window // _stride(rule.window)))
        for i in range(KEPT_MAX + 1):
            ordered[i] = np.float32(np.inf)
    capacity = state.capacity
    if state.full:
        _replace(ordered, ring[state.next], x)
    else:
        _insert(ordered, state.kept, x)
        state.kept += 1
    ring[state.next] = x
    state.next = state.next + 1 if state.next + 1 < capacity else 0
    if state.kept < capacity:
        return
    state.full = 1
    _describe_window(state, ordered, capacity)


@kernel
def _insert(ordered: np.ndarray, size: int, x: np.float32) -> None:
    place = size
    while place > 0 and ordered[place - 1] > x:
        ordered[place] = ordered[place - 1]
        place -= 1
    ordered[place] = x


@kernel
def _replace(ordered: np.ndarray, old: np.float32, new: np.float32) -> None:
    """Take ``old`` out and put ``new`` in, without a branch that a processor could guess wrong.

    Without ``old`` what stands from its place on moves down by one; then each place gets the middle one of ``new``
    and its two neighbours there. All places each time, so that several are done at once.
    """
    before = np.float32(-np.inf)
    for i in range(KEPT_MAX):
        here, following = ordered[i], ordered[i + 1]
        here = here if here < old else following
        higher = new if new > before else before
        ordered[i] = higher if higher < here else here
        before = here


@kernel
def _describe_window(state: Record, ordered: np.ndarray, size: int) -> None:
    half = size // 2
    median = ordered[half] if size % 2 else (ordered[half - 1] + ordered[half]) / 2
    # The MAD is the half-th smallest distance from the median. Distances grow outwards on both sides, so the closest
    # ``half`` values are neighbours ordered[low : low + half]; those before are further off than those after.
    low = 0
    for i in range(KEPT_MAX // 2):
        low += median - ordered[i] > ordered[i + half] - median
    mad = max(median - ordered[low], ordered[low + half - 1] - median)
    state.median = median
    state.spread = max(MAD_TO_SIGMA * mad, state.least)
    state.per_spread = 1 / state.spread if state.spread > 0 else 0.0


@kernel
def _learn_floor(state: Record, rule: Record, x: float) -> None:
    """Take one sample of the first window into its deviation, by Welford's recursion."""
    state.learnt_count += 1
    step = x - state.learnt_mean
    state.learnt_mean += step / state.learnt_count
    state.learnt_squares += step * (x - state.learnt_mean)
    state.least = max(rule.floor * math.sqrt(state.learnt_squares / max(1, state.learnt_count - 1)), rule.min_spread)
