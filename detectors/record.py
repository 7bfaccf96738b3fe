"""Record: a value beyond everything seen so far, for signals that nobody has told us anything about.

Theory. Of n independent samples of any distribution the n-th is a new maximum with probability 1 / n: records grow
rare by themselves, whatever the signal, and no limit has to be known. What is asked is that a record is clear: it
must lie beyond the largest (or below the smallest) value so far by more than ``limit`` times the range

    range = 99th - 1st percentile of the first ``range_samples`` samples.

Two views of the signal are judged, each against its own extremes and range: the value itself, and its exponential mean
over ``smooth`` samples, which shows when values that are known singly come in a row,

    mean += (value, clipped to the extremes so far - mean) / smooth.

Clipping leaves the single wild value to the first view. A record that opens a finding counts as seen, so only a
clearly larger one continues the episode; it is over after ``quiet`` samples without one. Values that stood alone
where ``consecutive`` in a row are asked for do not become extremes. What creeps up in steps below the limit is never
a record: for that there are ``level.py`` and ``cusum.py``. Nothing is forgotten until the series is anchored.

The percentiles are read off the eight largest and eight smallest samples, which is exact up to 800 of them. The
defaults stand in the middle of a plateau on the open part of the NAB corpus: any ``limit`` of 0.05 to 0.07 with a
``mean_limit`` of 0.09 to 0.12, ``smooth`` of 48 to 72 and ``quiet`` of 180 to 300 scores 62 to 67.

The score is the distance beyond the extreme in ranges.

Source: K. N. Chandler, The distribution and frequency of record values, JRSS B 14 (1952); N. Glick, Breaking records
and breaking boards, American Mathematical Monthly 85 (1978).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from detectors.compiling import Record, kernel, seldom
from detectors.episode import OPENED, QUIET, EpisodeParameters, advance, claim, state_dtype
from detectors.parameters import in_range

KEPT = 8
PERCENTILE_EVERY = 100  # samples for each further rank: the 99th percentile of 100 r samples is the r-th largest
VALUE, MEAN = 0, 1
EXTRA = ("smoothed_samples",)

STATE = state_dtype(
    ("mean", "f8"),
    ("weight", "f8"),  # of the next sample in the mean
    # Of the value and of its mean.
    ("high", "f8", (2,)),
    ("low", "f8", (2,)),
    ("range", "f8", (2,)),
    ("per_range", "f8", (2,)),  # 0 until it is known
    ("seen", "i4"),
    ("since_record", "i4"),  # counted while a finding is open
    ("settled", "u1"),  # both ranges are known and learnt no more
    ("largest", "f8", (2, KEPT)),
    ("smallest", "f8", (2, KEPT)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordParameters(EpisodeParameters):
    """``limit`` (of values) and ``mean_limit`` (of the mean; none: not judged) in ranges; all else in samples.

    Judges after ``learn_samples``; the range is learnt until ``range_samples``.

    >>> from detectors.trial import episodes
    >>> calm = [0.0, 1.0, 2.0, 3.0, 1.0] * 50
    >>> episodes("record", {"quiet": 20}, calm + [0.0, 1.0, 3.1, 5.0, 1.0] + calm)
    [(253, 273)]
    """

    consecutive: int = 1
    limit: float = 0.06
    mean_limit: float | None = 0.1
    smooth: int = 60
    quiet: int = 240
    learn_samples: int = 200
    range_samples: int = 800

    def __post_init__(self) -> None:
        EpisodeParameters.__post_init__(self)
        in_range("limit", self.limit, 0, 1000)
        in_range("mean_limit", self.mean_limit, 0, 1000)
        in_range("smooth", self.smooth, 1, 100_000)
        in_range("quiet", self.quiet, 1, 1_000_000)
        in_range("learn_samples", self.learn_samples, self.smooth + 16, 1_000_000)
        in_range("range_samples", self.range_samples, self.learn_samples, 10_000_000)


@kernel
def calm(state: Record, rule: Record, count: int, ts_us: np.ndarray, value: np.ndarray) -> int:
    """Take rows that leave all extremes as they are."""
    if not state.settled:
        return 0
    high, low = state.high[VALUE], state.low[VALUE]
    high_mean, low_mean = state.high[MEAN], state.low[MEAN]
    mean, weight, beyond = state.mean, state.weight, 0
    for i in range(count):
        x = value[i]
        # Nothing is clipped: a value beyond the extremes ends this.
        mean += (x - mean) * weight
        beyond += (x > high) | (x < low) | (mean > high_mean) | (mean < low_mean)
    if beyond:
        return 0
    state.mean = mean
    return count


@kernel
def update(state: Record, rule: Record, ts_us: int, value: float, gap: bool, change: Record) -> int:
    """Judge one sample and the mean against their extremes, then let these move."""
    high, low = state.high, state.low
    if not state.settled:
        # A signal that has never moved gives no scale to judge by: it is learnt from once it moves.
        still = state.seen >= rule.smooth and high[VALUE] == low[VALUE] == value
        state.seen += 0 if still else 1
        state.weight = 1 / min(state.seen, rule.smooth)
        if state.seen == 1:
            high[VALUE] = low[VALUE] = value
    state.mean += (min(max(value, low[VALUE]), high[VALUE]) - state.mean) * state.weight
    over_value = max(value - high[VALUE], low[VALUE] - value)
    over_mean = max(state.mean - high[MEAN], low[MEAN] - state.mean)
    if state.settled and over_value <= 0 and over_mean <= 0 and state.beyond_count == 0 and not state.open:
        return QUIET
    is_value = over_value * state.per_range[VALUE] > rule.limit
    # A limit that is not set is NaN, and no comparison with NaN holds.
    is_mean = over_mean * state.per_range[MEAN] > rule.mean_limit
    view = MEAN if is_mean and not is_value else VALUE
    found = state.mean if view == MEAN else value
    side = (1 if found > high[view] else -1) if is_value or is_mean else 0
    state.since_record = 0 if side != 0 else min(state.since_record + 1, rule.quiet)
    what = advance(state, rule, ts_us, side, state.since_record >= rule.quiet, gap)
    if what == OPENED:
        extreme = high[view] if side > 0 else low[view]
        limit = extreme + side * (rule.mean_limit if view == MEAN else rule.limit) * state.range[view]
        score = abs(found - extreme) * state.per_range[view]
        claim(change, found, score, limit, extreme, state.range[view], state.beyond_count)
        change.window_start_us = state.beyond_since_us
        change.extra[0] = rule.smooth if view == MEAN else 1
    if side == 0 or state.open:
        _take(state, rule, VALUE, value, 1)
        _take(state, rule, MEAN, state.mean, rule.smooth)
        state.settled = state.seen > rule.range_samples and min(state.range[VALUE], state.range[MEAN]) > 0
    return what


@kernel
def _take(state: Record, rule: Record, view: int, x: float, first: int) -> None:
    """Let x move the extremes, and the range while that is learnt; sample number ``first`` is the first of a view."""
    if state.seen < first:
        return
    if state.seen == first:
        state.high[view] = state.low[view] = x
        for rank in range(KEPT):
            state.largest[view, rank] = -math.inf
            state.smallest[view, rank] = math.inf
    state.high[view] = max(state.high[view], x)
    state.low[view] = min(state.low[view], x)
    if state.seen <= rule.range_samples or state.range[view] == 0:
        _learn_range(state, rule, view, x)


@seldom
def _learn_range(state: Record, rule: Record, view: int, x: float) -> None:
    largest, smallest = state.largest[view], state.smallest[view]
    _insert(largest, x, 1)
    _insert(smallest, x, -1)
    rank = min(KEPT - 1, state.seen // PERCENTILE_EVERY)
    inner, whole = largest[rank] - smallest[rank], largest[0] - smallest[0]
    # Where nearly all samples are the same, the percentiles are too.
    state.range[view] = inner if 0 < inner < math.inf else whole
    if state.seen >= rule.learn_samples and state.range[view] > 0:
        state.per_range[view] = 1 / state.range[view]


@seldom
def _insert(ranked: np.ndarray, x: float, sign: int) -> None:
    """Put x in its place among the values furthest on the side of ``sign``, the furthest first."""
    place = ranked.size - 1
    if not (x - ranked[place]) * sign > 0:
        return
    while place > 0 and (x - ranked[place - 1]) * sign > 0:
        ranked[place] = ranked[place - 1]
        place -= 1
    ranked[place] = x
