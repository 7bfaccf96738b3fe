"""Remaining life by similarity to past runs to failure, as an interval that keeps its promise (SPEC D5).

Theory. A library holds, for every moment of every past run, its health index (detectors/health_index.py) now and a
while before, its age, and how long the part still lived. A moment of today counts a past moment by

    w = exp(-(mean squared difference of the indices / INDEX_WIDTH^2 + squared difference of age / AGE_WIDTH^2) / 2)

with widths in shares of a usual life. The remaining life is then distributed as the remaining lives of the past
moments, so weighted (after Wang, Yu, Siegel, Lee, PHM 2008): its middle is their median, its ends their outer
quantiles. In the library each run has the index that other runs give it: today's run was not learnt from either.

The quantiles are not believed but calibrated (conformalised quantile regression: Romano, Patterson, Candes, NeurIPS
2019): each run is told at several moments from the library without it; by how much, in widths of the interval, its
truth lay outside (or inside, below zero) says how far all intervals must be moved out, or may be moved in. Where
failures that come too early are the oftener missed, the lower end is moved out further, by itself, and likewise the
upper: no end may be missed oftener than in half of the cases that the promise leaves.

    >>> import numpy as np
    >>> from detectors.conditions import Run
    >>> wear = [np.linspace(0.0, 1.0, 60 + 2 * number) for number in range(20)]
    >>> runs = [Run(np.column_stack([one, 2.0 - one**2]), np.empty((len(one), 0))) for one in wear]
    >>> library = fit_library(runs, coverage=0.8)
    >>> left = library.left(Run(runs[7].metrics[:50], runs[7].settings[:50]))
    >>> left.low <= 24.0 <= left.high
    True
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detectors.conditions import Run
from detectors.health_index import HealthIndex, fit_health_index, indices_left_out

Array = NDArray[np.float64]

# Fewer runs say too little about how lives differ (SPEC D5).
LEAST_RUNS = 20
# The longest life that wear shows beforehand, as a share of a usual life.
CEILING = 0.6
# The index is compared at the moment and at these shares of a usual life before it.
LAGS = (0.0, 0.05, 0.10)
INDEX_WIDTH = 0.03
AGE_WIDTH = 0.30
# The moments of each run, as shares of its life, at which the intervals are held against the truth.
CHECKED_AT = tuple(np.arange(0.15, 1.0, 0.1).round(2).tolist())
# Bands of the index that are calibrated apart.
BANDS = 3
# What is calibrated beyond the promise: the next runs are other runs, and the promise is a least one.
MARGIN = 0.017


@dataclass(frozen=True, slots=True)
class LifeLeft:
    """The life left, in steps: an interval, its median, and the mean of the lives told no longer than the ceiling."""

    low: float
    middle: float
    high: float
    expected: float


@dataclass(frozen=True, slots=True)
class LifeLibrary:
    """Past runs to failure, ready to be compared with.

    ``moved`` is how far the lower and the upper end of an interval are moved out, in its widths, for each band of the
    index. Shapes: ``history`` (moments, lags), ``age``, ``remaining`` and ``of_run`` (moments), all in steps.
    """

    index: HealthIndex
    coverage: float
    moved: tuple[tuple[float, float], ...]
    history: Array
    age: Array
    remaining: Array
    of_run: NDArray[np.int64]

    @property
    def runs(self) -> int:
        """How many runs there are."""
        return int(self.of_run[-1]) + 1

    def left(self, run: Run) -> LifeLeft:
        """Return the life left at the end of ``run``, which began when the part was new."""
        if len(run.metrics) == 0:
            raise ValueError("expected a run of one step or more, got an empty one")
        indices = self.index.of(run)
        return self._told(_history(indices, self.index.life)[-1], float(len(indices) - 1))

    def _told(self, history: Array, age: float, without: int = -1) -> LifeLeft:
        life = self.index.life
        far = ((self.history - history) ** 2).mean(axis=1) / (INDEX_WIDTH * life) ** 2
        far += ((self.age - age) / (AGE_WIDTH * life)) ** 2
        far[self.of_run == without] = np.inf
        weights = np.exp(-(far - far.min()) / 2.0)
        tail = (1.0 - self.coverage) / 2.0
        low, middle, high = _quantiles(self.remaining, weights, (tail, 0.5, 1.0 - tail))
        down, up = (share * max(high - low, 1.0) for share in self.moved[self._band(history)])
        expected = float(weights @ np.minimum(self.remaining, self.index.ceiling) / weights.sum())
        return LifeLeft(min(max(0.0, low - down), middle), middle, max(high + up, middle), expected)

    def _band(self, history: Array) -> int:
        """Return the band of the index: worn moments are told better than others, each band keeps its own promise."""
        return min(int(BANDS * history[0] / self.index.ceiling), BANDS - 1)

    def _calibrated(self) -> tuple[tuple[float, float], ...]:
        """Return how far the ends in each band must be moved so that they hold the truth as often as promised."""
        outside: list[list[tuple[float, float]]] = [[] for _ in range(BANDS)]
        for run in range(self.runs):
            own = np.flatnonzero(self.of_run == run)
            for at in CHECKED_AT:
                row = own[int(at * (len(own) - 1))]
                told, left = self._told(self.history[row], self.age[row], without=run), float(self.remaining[row])
                width = max(told.high - told.low, 1.0)
                outside[self._band(self.history[row])].append(((told.low - left) / width, (left - told.high) / width))
        every = [one for band in outside for one in band]
        return tuple(self._moved(band if len(band) >= LEAST_RUNS else every) for band in outside)

    def _moved(self, outside: Sequence[tuple[float, float]]) -> tuple[float, float]:
        """Return how far the lower and the upper end must be moved, given by how much the truth lay outside each."""
        share = self.coverage + MARGIN
        both = _share([max(ends) for ends in outside], share)
        low, high = (_share(one, (1.0 + share) / 2.0) for one in zip(*outside, strict=True))
        return max(low, both), max(high, both)


def fit_library(runs: Sequence[Run], *, coverage: float = 0.8, ceiling: float | None = None) -> LifeLibrary:
    """Learn from runs to failure; ``ceiling`` in steps, by default CEILING of their usual life.

    Raises ValueError for fewer than LEAST_RUNS runs, a coverage outside (0, 1), and metrics that never change.
    """
    if len(runs) < LEAST_RUNS:
        raise ValueError(f"expected at least {LEAST_RUNS} runs to failure, got {len(runs)}")
    if not 0.0 < coverage < 1.0 - MARGIN:
        raise ValueError(f"expected a coverage between 0 and {1.0 - MARGIN}, got {coverage}")
    lengths = [len(run.metrics) for run in runs]
    ceiling = CEILING * float(np.median(lengths)) if ceiling is None else ceiling
    index = fit_health_index(runs, ceiling)
    library = LifeLibrary(
        index=index,
        coverage=coverage,
        moved=((0.0, 0.0),) * BANDS,
        history=np.vstack([_history(indices, index.life) for indices in indices_left_out(runs, ceiling)]),
        age=np.concatenate([np.arange(length, dtype=np.float64) for length in lengths]),
        remaining=np.concatenate([np.arange(length, dtype=np.float64)[::-1] for length in lengths]),
        of_run=np.repeat(np.arange(len(runs)), lengths),
    )
    return replace(library, moved=library._calibrated())


def _history(indices: Array, life: float) -> Array:
    """Return the index of each step and of those before it; before the first there is the first."""
    steps = np.arange(len(indices))
    return np.column_stack([indices[np.maximum(steps - round(lag * life), 0)] for lag in LAGS])


def _share(values: Sequence[float], share: float) -> float:
    """Return the least value that so great a share of those to come will not exceed, on what these say."""
    return float(np.quantile(values, min(1.0, share * (1.0 + 1.0 / len(values))), method="higher"))


def _quantiles(values: Array, weights: Array, shares: Sequence[float]) -> list[float]:
    """Return weighted quantiles: the least value with so great a share of the weight at or below it."""
    order = np.argsort(values, kind="stable")
    summed = np.cumsum(weights[order])
    found = np.searchsorted(summed, np.asarray(shares) * summed[-1])
    return [float(values[order[min(one, len(values) - 1)]]) for one in found]
