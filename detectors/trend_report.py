"""A trend in words: the slope of a list of values with its interval, when a limit is reached, or plainly no trend.

The same judgement as ``trend.py`` makes of a stream, for pages, notebooks and reports: Mann-Kendall asks whether
there is a trend, Theil-Sen how steep it is, and nothing is claimed beyond one observed span. More than a hundred
values are first reduced to the medians of a hundred equal blocks of time.

Source: that of ``trend.py``; scipy's ``kendalltau`` and ``theilslopes`` are held against it in the tests.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from detectors.trend import BLOCKS, LEVEL_BLOCKS

MIN_VALUES = 8


class NoTrendReason(StrEnum):
    """Why nothing is claimed."""

    TOO_FEW = "too_few"
    NOT_SIGNIFICANT = "not_significant"


@dataclass(frozen=True, slots=True)
class NoTrend:
    """Nothing is claimed; ``p`` is the probability of such an order by chance, None where too few values came."""

    reason: NoTrendReason
    count: int
    p: float | None

    def __str__(self) -> str:
        if self.p is None:
            return f"no trend: {self.count} values are too few, at least {MIN_VALUES} are needed"
        return f"no trend: values in such an order come about by chance (p = {self.p:.2g}, {self.count} values)"


@dataclass(frozen=True, slots=True)
class Trend:
    """A trend that is no chance: slopes in the values' unit per hour, times in seconds from the last value.

    The times are None where there is no limit, where the trend leads away from it or where they lie beyond the
    observed span ``span_s``; that of the far end alone may be.
    """

    count: int
    p: float
    tau: float
    level: float
    slope_per_h: float
    slope_low_per_h: float
    slope_high_per_h: float
    span_s: float
    time_to_limit_low_s: float | None
    time_to_limit_s: float | None
    time_to_limit_high_s: float | None

    def __str__(self) -> str:
        slope = f"{self.slope_per_h:+.3g} per hour ({self.slope_low_per_h:+.3g} to {self.slope_high_per_h:+.3g})"
        if self.time_to_limit_s is None or self.time_to_limit_low_s is None:
            return f"trend of {slope}; no claim about the limit"
        latest = "open" if self.time_to_limit_high_s is None else f"{self.time_to_limit_high_s / 3600:.3g} h"
        earliest, likely = self.time_to_limit_low_s / 3600, self.time_to_limit_s / 3600
        return f"trend of {slope}; limit in {likely:.3g} h ({earliest:.3g} h to {latest})"


def describe_trend(
    ts_s: NDArray[np.float64],
    values: NDArray[np.float64],
    limit: float | None = None,
    *,
    p_limit: float = 0.01,
    confidence: float = 0.9,
) -> Trend | NoTrend:
    """Return the trend of ``values`` at the rising times ``ts_s`` (seconds), or why there is none.

    Values that are no numbers are left out. Raises ValueError when the columns differ in length or times do not rise.

    >>> hours = np.arange(40) * 3600.0
    >>> print(describe_trend(hours, np.sin(np.arange(40.0))))
    no trend: values in such an order come about by chance (p = 0.85, 40 values)
    >>> print(describe_trend(hours, 20 + np.arange(40) / 2 + np.sin(np.arange(40.0)), limit=45.0))
    trend of +0.499 per hour (+0.48 to +0.513); limit in 12.3 h (6.84 h to 14.6 h)
    """
    ts_s, values = np.asarray(ts_s, np.float64), np.asarray(values, np.float64)
    if ts_s.shape != values.shape or ts_s.ndim != 1:
        raise ValueError(f"times and values must be columns of one length, got {ts_s.shape} and {values.shape}")
    known = np.isfinite(values)
    ts_s, values = ts_s[known], values[known]
    if np.any(np.diff(ts_s) <= 0):
        raise ValueError("times must rise; sort them and leave out doubles")
    if values.size < MIN_VALUES:
        return NoTrend(NoTrendReason.TOO_FEW, values.size, None)
    last_s, span_s = float(ts_s[-1]), float(ts_s[-1] - ts_s[0])
    if values.size > BLOCKS:
        ts_s, values = block_medians(ts_s, values)
    earlier, later = np.triu_indices(values.size, 1)
    rises, steps = values[later] - values[earlier], ts_s[later] - ts_s[earlier]
    concordance, deviation = float(np.sign(rises).sum()), _deviation(values)
    p = math.erfc(abs(concordance) / deviation / math.sqrt(2)) if deviation > 0 else 1.0
    slopes = np.sort(rises / steps)
    reach = NormalDist().inv_cdf(0.5 + confidence / 2) * deviation
    low = float(slopes[max(int(np.rint((slopes.size - reach) / 2)) - 1, 0)])
    high = float(slopes[min(int(np.rint((slopes.size + reach) / 2)), slopes.size - 1)])
    if p >= p_limit or low * high <= 0:
        return NoTrend(NoTrendReason.NOT_SIGNIFICANT, values.size, p)
    slope, newest = float(np.median(slopes)), values[-LEVEL_BLOCKS:]
    lag_s = last_s - float(np.median(ts_s[-LEVEL_BLOCKS:]))
    earliest, likely, latest = _times(limit, values, (low, slope, high), lag_s, span_s)
    return Trend(
        count=values.size,
        p=p,
        tau=concordance / _tau_scale(values),
        level=float(np.median(newest)),
        slope_per_h=slope * 3600,
        slope_low_per_h=low * 3600,
        slope_high_per_h=high * 3600,
        span_s=span_s,
        time_to_limit_low_s=earliest,
        time_to_limit_s=likely,
        time_to_limit_high_s=latest,
    )


def block_medians(
    ts_s: NDArray[np.float64], values: NDArray[np.float64], blocks: int = BLOCKS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the middle times and the medians of ``blocks`` equal blocks of time; empty ones are left out."""
    edges = np.linspace(ts_s[0], ts_s[-1], blocks + 1)
    number = np.clip(np.searchsorted(edges, ts_s, side="right") - 1, 0, blocks - 1)
    filled, starts = np.unique(number, return_index=True)
    medians = np.array([np.median(part) for part in np.split(values, starts[1:])])
    return (edges[filled] + edges[filled + 1]) / 2, medians


def _deviation(values: NDArray[np.float64]) -> float:
    """Return the standard deviation that Kendall's S has without a trend."""
    count, (_, ties) = values.size, np.unique(values, return_counts=True)
    return math.sqrt((count * (count - 1) * (2 * count + 5) - float(np.sum(ties * (ties - 1) * (2 * ties + 5)))) / 18)


def _tau_scale(values: NDArray[np.float64]) -> float:
    """Return what S is divided by for Kendall's tau-b: times have no ties, values may."""
    pairs, (_, ties) = values.size * (values.size - 1) / 2, np.unique(values, return_counts=True)
    return math.sqrt(pairs * (pairs - float(np.sum(ties * (ties - 1) / 2))))


def _times(
    limit: float | None,
    values: NDArray[np.float64],
    slopes: tuple[float, float, float],
    lag_s: float,
    span_s: float,
) -> tuple[float | None, float | None, float | None]:
    """Return the earliest, likeliest and latest time to the limit in seconds, as far as they may be claimed."""
    if limit is None:
        return None, None, None
    side = 1 if slopes[1] > 0 else -1
    first, newest = np.median(values[:LEVEL_BLOCKS]), values[-LEVEL_BLOCKS:]
    if (limit - np.median(newest)) * side < 0 and (limit - first) * side < 0:
        return None, None, None  # it leads away
    gentle, slope, steep = sorted(side * slope for slope in slopes)
    nearest, furthest = np.sort((limit - newest) * side)[[0, -1]]
    # The level is that of some time ago, of which the time to the limit has begun to run out.
    soonest, likely, latest = (
        max(0.0, float(distance / steepness) - lag_s)
        for distance, steepness in (
            (nearest, steep),
            ((limit - np.median(newest)) * side, slope),
            (furthest, gentle),
        )
    )
    if likely > span_s:
        return None, None, None
    return soonest, likely, latest if latest <= span_s else None
