"""Trend: a value that creeps towards a limit, and when it will be there, as an interval.

Theory. The last ``span_s`` seconds are cut into ``BLOCKS`` blocks of time, and each block is described by one value:
the median of the means of its sixteen parts, so that every sample counts and a few wild ones do not. Over these
medians stand two classics that suppose nothing about the noise but independence:

- Mann and Kendall ask whether there is a trend at all. S is the number of pairs that rise less the number that fall;
  without a trend S is about normal with variance (n (n-1) (2n+5) - sum t (t-1) (2t+5)) / 18, t the sizes of ties.
- Theil and Sen ask how steep it is: the median of the slopes of all pairs. The order statistics
  (N -+ z sqrt(var S)) / 2 of the N sorted slopes bound the slope with the given ``confidence``.

With the level, the median of the newest five blocks, the time to the limit is (limit - level) / slope. Its bounds
follow from those of the slope and from the least and the greatest of the five, between which their median lies with
a probability of 0.94. The finding opens when after ``consecutive`` blocks in a row

    p(S) < ``p_limit``, towards the limit, the slope's interval excludes 0, the nearest time <= ``horizon_s``,
    and the likeliest time <= the span that was observed.

The last condition is the honest one: beyond one observed span extrapolation was measured to be worthless, so nothing
is claimed, and an upper bound beyond it is left out of the evidence. ``describe_trend`` says the same of a list of
values, and says "no trend" plainly.

All work but a sum is done once per finished block. Neighbouring blocks that correlate (a daily cycle with blocks of
an hour) make p too small: choose a span in which cycles average out, and calibrate by replay.

The score is |S| / sqrt(var S); ``value`` is the level, ``count`` the number of blocks.

Source: H. B. Mann, Nonparametric tests against trend, Econometrica 13 (1945); M. G. Kendall, Rank Correlation Methods
(1975); P. K. Sen, Estimates of the regression coefficient based on Kendall's tau, JASA 63 (1968).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from detectors.compiling import Record, kernel, seldom
from detectors.episode import MICROSECONDS, OPENED, QUIET, EpisodeParameters, advance, claim, state_dtype
from detectors.parameters import in_range
from detectors.slopes import count_below, deviations_of, interval_ranks, put_in_order, sign_sum, sorted_slopes

BLOCKS = 100
PARTS = 16
LEVEL_BLOCKS = 5

STATE = state_dtype(
    # float32 is enough for a distance from the origin, the first sample.
    ("origin", "f8"),
    ("part_sum", "f8"),
    ("confidence_z", "f8"),
    ("part_end_us", "i8"),
    ("block", "i8"),
    ("first_block", "i8"),
    ("concordance", "i8"),  # S of the medians in the ring
    ("ties", "i8"),  # sum of t (t-1) (2t+5)
    ("part_count", "i4"),
    ("parts", "i4"),
    ("medians", "i4"),
    ("part_means", "f4", (PARTS,)),
    ("ring_value", "f4", (BLOCKS,)),  # oldest first
    ("ring_block", "i4", (BLOCKS,)),  # counted from first_block
    ("gapped", "u1"),
)
EXTRA = (
    "slope_per_h",
    "slope_low_per_h",
    "slope_high_per_h",
    "time_to_limit_low_s",
    "time_to_limit_s",
    "time_to_limit_high_s",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendParameters(EpisodeParameters):
    """``high`` and ``low``, at least one, in the series' unit; ``span_s`` and ``horizon_s`` in seconds.

    ``confidence`` is that of the slope's interval; ``min_blocks`` of the hundred must be there. ``consecutive``
    counts blocks.

    >>> from detectors.trial import episodes
    >>> flat, rising = [20.0, 20.4, 19.8] * 40, [20.0 + 0.2 * hour for hour in range(120)]
    >>> parameters = {"high": 50.0, "span_s": 360_000.0, "horizon_s": 200_000.0}
    >>> episodes("trend", parameters, flat + rising, interval_s=3_600.0)
    [(215, None)]
    """

    high: float | None = None
    low: float | None = None
    span_s: float = 7 * 86_400.0
    horizon_s: float = 7 * 86_400.0
    p_limit: float = 0.01
    confidence: float = 0.9
    min_blocks: int = 20

    def __post_init__(self) -> None:
        EpisodeParameters.__post_init__(self)
        in_range("span_s", self.span_s, 1, 3 * 366 * 86_400)
        in_range("horizon_s", self.horizon_s, 1, 3 * 366 * 86_400)
        in_range("p_limit", self.p_limit, 1e-12, 0.5)
        in_range("confidence", self.confidence, 0.5, 0.999)
        in_range("min_blocks", self.min_blocks, 8, BLOCKS)
        if self.high is None and self.low is None:
            raise ValueError("at least one of high and low must be given")
        if self.high is not None and self.low is not None and self.low >= self.high:
            raise ValueError(f"low must lie below high, got low={self.low}, high={self.high}")


@kernel
def calm(state: Record, rule: Record, count: int, ts_us: np.ndarray, value: np.ndarray) -> int:
    """Take rows up to the end of the block."""
    if state.part_count == 0:
        return 0
    part_us = _part_us(rule)
    block_end_us = (state.block + 1) * part_us * PARTS
    origin, part_sum, part_count, part_end_us = state.origin, state.part_sum, state.part_count, state.part_end_us
    taken = 0
    while taken < count and ts_us[taken] < block_end_us:
        distance = value[taken] - origin
        if ts_us[taken] < part_end_us:
            part_sum += distance
            part_count += 1
        else:
            state.part_means[state.parts] = part_sum / part_count
            state.parts += 1
            part_sum, part_count, part_end_us = distance, 1, (ts_us[taken] // part_us + 1) * part_us
        taken += 1
    state.part_sum, state.part_count, state.part_end_us = part_sum, part_count, part_end_us
    return taken


@kernel
def _part_us(rule: Record) -> int:
    """Return how long a part lasts."""
    return max(1, int(rule.span_s * MICROSECONDS / (BLOCKS * PARTS)))


@kernel
def update(state: Record, rule: Record, ts_us: int, value: float, gap: bool, change: Record) -> int:
    """Add one sample to its part of the block; judge when a block is finished."""
    if ts_us < state.part_end_us:
        state.part_sum += value - state.origin
        state.part_count += 1
        state.gapped |= gap
        return QUIET
    return _next_part(state, rule, ts_us, value, gap, change)


@kernel
def _next_part(state: Record, rule: Record, ts_us: int, value: float, gap: bool, change: Record) -> int:
    part_us = _part_us(rule)
    block = ts_us // (part_us * PARTS)
    what = QUIET
    if state.part_count == 0:
        state.origin = value
        state.block = state.first_block = block
        state.confidence_z = deviations_of(rule.confidence)
    else:
        state.part_means[state.parts] = state.part_sum / state.part_count
        state.parts += 1
        if block != state.block:
            _finish_block(state)
            state.block = block
            what = _judge(state, rule, ts_us, part_us * PARTS, (state.gapped | gap) != 0, change)
            state.gapped = 0
    state.gapped |= gap
    state.part_sum = value - state.origin
    state.part_count = 1
    state.part_end_us = (ts_us // part_us + 1) * part_us
    return what


@seldom
def _finish_block(state: Record) -> None:
    """Take the median of the block's parts into the ring, what is older than the span out of it, and keep S."""
    values, blocks = state.ring_value, state.ring_block
    number = state.block - state.first_block
    gone = 0
    while gone < state.medians and blocks[gone] <= number - BLOCKS:
        rise, equal = sign_sum(values[gone + 1 : state.medians], values[gone])
        state.concordance -= rise
        state.ties -= (equal + 1) * equal * (2 * equal + 7)
        state.ties += equal * (equal - 1) * (2 * equal + 5)
        gone += 1
    count = state.medians - gone
    for i in range(count):
        values[i] = values[i + gone]
        blocks[i] = blocks[i + gone]
    part_means = state.part_means[: state.parts]
    put_in_order(part_means)
    half = state.parts // 2
    median = part_means[half] if state.parts % 2 else (part_means[half - 1] + part_means[half]) / np.float32(2)
    rise, equal = sign_sum(values[:count], median)
    state.concordance -= rise
    state.ties += (equal + 1) * equal * (2 * equal + 7)
    state.ties -= equal * (equal - 1) * (2 * equal + 5)
    values[count] = median
    blocks[count] = number
    state.medians = count + 1
    state.parts = 0


@seldom
def _judge(state: Record, rule: Record, ts_us: int, block_us: int, gap: bool, change: Record) -> int:
    count = state.medians
    variance = (count * (count - 1) * (2 * count + 5) - state.ties) / 18
    side = 1 if state.concordance > 0 else -1
    limit = rule.high if side > 0 else rule.low
    score = abs(state.concordance) / math.sqrt(variance) if variance > 0 else 0.0
    # A limit that is not set is NaN.
    certain = math.erfc(score / math.sqrt(2)) < rule.p_limit and not math.isnan(limit) and count >= rule.min_blocks
    reached = certain and _reaches(state, rule, ts_us, block_us, side, limit, math.sqrt(variance))
    what = advance(state, rule, ts_us, side if reached else 0, not (reached and side == state.direction), gap)
    if what == OPENED:
        level = _describe(state, ts_us, block_us, side, limit, math.sqrt(variance), change)
        claim(change, level, score, limit, math.nan, math.nan, count)
        change.window_start_us = (state.first_block + state.ring_block[0]) * block_us
    return what


@seldom
def _reaches(state: Record, rule: Record, ts_us: int, block_us: int, side: int, limit: float, deviation: float) -> bool:
    """Say whether the trend reaches the limit soon enough. Counts slopes, which is far cheaper than to sort them."""
    values, blocks, count = state.ring_value[: state.medians], state.ring_block[: state.medians], state.medians
    pairs = count * (count - 1) // 2
    low_rank, high_rank = interval_ranks(pairs, deviation * state.confidence_z)
    nearest, distance, _ = _distances(state, side, limit)
    lag = _lag_us(state, ts_us, block_us) / block_us
    horizon = rule.horizon_s * MICROSECONDS / block_us
    span = blocks[count - 1] - blocks[0] + 1
    # The steepest slope of the interval reaches the limit within the horizon, the middle one within the span, and
    # the gentlest one still leads there: slopes above 0 are those below 0 when the values are turned round.
    return (
        count_below(blocks, values, side, nearest / (horizon + lag)) <= high_rank
        and count_below(blocks, values, side, distance / (span + lag)) <= pairs // 2
        and pairs - count_below(blocks, values, -side, 0.0) <= low_rank
    )


@seldom
def _newest(state: Record) -> np.ndarray:
    """Return the medians of the newest blocks in rising order."""
    newest = np.empty(LEVEL_BLOCKS, np.float32)
    for i in range(LEVEL_BLOCKS):
        newest[i] = state.ring_value[state.medians - LEVEL_BLOCKS + i]
    put_in_order(newest)
    return newest


@seldom
def _distances(state: Record, side: int, limit: float) -> tuple[float, float, float]:
    """Return how far the nearest, the middle and the furthest of the newest blocks are from the limit; at least 0."""
    newest = _newest(state)
    nearest = limit - (state.origin + newest[LEVEL_BLOCKS - 1 if side > 0 else 0])
    middle = limit - (state.origin + newest[LEVEL_BLOCKS // 2])
    furthest = limit - (state.origin + newest[0 if side > 0 else LEVEL_BLOCKS - 1])
    return max(0.0, side * nearest), max(0.0, side * middle), max(0.0, side * furthest)


@seldom
def _lag_us(state: Record, ts_us: int, block_us: int) -> float:
    """Return how long ago the level was that of the middle one of the newest blocks."""
    middle = state.first_block + state.ring_block[state.medians - 1 - LEVEL_BLOCKS // 2] + 0.5
    return float(ts_us - middle * block_us)


@seldom
def _describe(
    state: Record, ts_us: int, block_us: int, side: int, limit: float, deviation: float, change: Record
) -> float:
    """Write the slope and the times to the limit, with their bounds, into ``change.extra``; return the level."""
    values, blocks, count = state.ring_value[: state.medians], state.ring_block[: state.medians], state.medians
    low_rank, high_rank = interval_ranks(count * (count - 1) // 2, deviation * state.confidence_z)
    nearest, distance, furthest = _distances(state, side, limit)
    lag_s, block_s = _lag_us(state, ts_us, block_us) / MICROSECONDS, block_us / MICROSECONDS
    slopes = sorted_slopes(blocks, values, side)
    low, high = slopes[low_rank] / block_s, slopes[high_rank] / block_s
    half = slopes.size // 2
    slope = (slopes[half] if slopes.size % 2 else (slopes[half - 1] + slopes[half]) / 2) / block_s
    at_latest_s = max(0.0, furthest / low - lag_s)
    change.extra[0] = side * slope * 3600
    change.extra[1] = (low if side > 0 else -high) * 3600
    change.extra[2] = (high if side > 0 else -low) * 3600
    change.extra[3] = max(0.0, nearest / high - lag_s)
    change.extra[4] = max(0.0, distance / slope - lag_s)
    change.extra[5] = at_latest_s if at_latest_s <= (blocks[count - 1] - blocks[0] + 1) * block_s else math.nan
    return float(state.origin) + float(_newest(state)[LEVEL_BLOCKS // 2])
