"""Shift: how far a day's distribution has moved from the baseline's, for reports and notebooks.

Theory. Two samples may share their mean and still not be alike: a valve that hunts spreads both ways. The Wasserstein
distance of first order is the area between the two distribution functions, which is the least work that turns one
heap of sand into the other,

    W = integral |F(x) - G(x)| dx,

in the unit of the values. Divided by the baseline's spread it can be compared between metrics: a pure shift by d
spreads gives d. The quantiles of both days say where it moved: all alike is a shift, the ends apart a wider spread.

A report, no alarm: on SKAB the distance found about as many faults as CUSUM, and like CUSUM was in alarm for most of a
run without a fault in which the motor only warmed up.

Source: S. S. Vallender, Calculation of the Wasserstein distance between probability distributions on the line, Theory
of Probability and its Applications 18 (1974); C. Villani, Optimal Transport (2009), chapter 6.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_VALUES = 20
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class QuantileMove:
    """One quantile of both samples, in the values' unit."""

    quantile: float
    before: float
    after: float

    @property
    def moved(self) -> float:
        """How far it moved, up positive."""
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class Shift:
    """What became of a distribution: ``distance`` in the values' unit, ``distance_spreads`` in spreads of the baseline.

    ``distance_spreads`` is infinite when the baseline never moved and the day did.
    """

    baseline_count: int
    count: int
    spread: float
    distance: float
    distance_spreads: float
    quantiles: tuple[QuantileMove, ...]

    def __str__(self) -> str:
        median = next(one for one in self.quantiles if one.quantile == 0.5)
        return (
            f"distribution moved by {self.distance_spreads:.2g} spreads ({self.distance:.3g}); "
            f"median {median.before:.4g} to {median.after:.4g}"
        )


def describe_shift(baseline: NDArray[np.float64], values: NDArray[np.float64]) -> Shift:
    """Return how far ``values`` (of a day, say) lie from ``baseline``; what is no number is left out.

    Raises ValueError when fewer than ``MIN_VALUES`` numbers are left of either.

    >>> before = 5 + np.sin(np.arange(1000.0))
    >>> print(describe_shift(before, before + 2.0))
    distribution moved by 2.8 spreads (2); median 5 to 7
    """
    before, after = (np.sort(one[np.isfinite(one)]) for one in (np.asarray(baseline), np.asarray(values)))
    for name, one in (("baseline", before), ("values", after)):
        if one.size < MIN_VALUES:
            raise ValueError(f"{name} must hold at least {MIN_VALUES} numbers, got {one.size}")
    distance, spread = wasserstein(before, after), float(before.std(ddof=1))
    moves = zip(QUANTILES, np.quantile(before, QUANTILES), np.quantile(after, QUANTILES), strict=True)
    return Shift(
        baseline_count=before.size,
        count=after.size,
        spread=spread,
        distance=distance,
        distance_spreads=distance / spread if spread > 0 else (math.inf if distance > 0 else 0.0),
        quantiles=tuple(QuantileMove(quantile, float(was), float(became)) for quantile, was, became in moves),
    )


def wasserstein(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """Return the area between the distribution functions of two rising columns."""
    edges = np.sort(np.concatenate([before, after]))
    below = np.searchsorted(before, edges[:-1], "right") / before.size
    above = np.searchsorted(after, edges[:-1], "right") / after.size
    return float(np.sum(np.abs(below - above) * np.diff(edges)))
