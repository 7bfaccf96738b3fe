"""Operating conditions taken out of metrics, so that what is left is wear (SPEC D5, D6).

An engine at 10 km reads otherwise than the same engine on the ground, and by far more than wear changes it. Where the
settings that make the difference are measured, the times of a run are grouped by them (k-means, Lloyd 1957, begun with
the farthest points so that it is the same every time), and each metric is told in units of its own spread within its
group: z = (value - mean of the group) / deviation of the group. How many groups there are is read off the metrics: the
fewest that explain them about as well as eight do. Without settings, or where they explain nothing, there is one group.
Where somebody has said which operating regimes there are (domain/regimes.py), those are the groups, none more or fewer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MOST_GROUPS = 8
# More groups always leave a little less unexplained; up to so many times the least is about as good.
ABOUT_AS_WELL = 1.25
_ROUNDS = 25
# A metric whose deviation is below this share of its size says nothing: a constant, up to rounding.
_CONSTANT = 1e-6


@dataclass(frozen=True, slots=True)
class Run:
    """A history from the day a part was new: a row for each step of time, steps of equal length.

    ``metrics`` has shape (steps, metrics), ``settings`` (steps, settings), with no settings where none are measured.
    NaN stands for what was not measured. A run to failure ends with the failure. With ``regimes`` above 0 the one
    setting is the number of the operating regime, from 0 on, of so many.
    """

    metrics: Array
    settings: Array
    regimes: int = 0


@dataclass(frozen=True, slots=True)
class Conditions:
    """Groups of settings, and what the metrics are like in each.

    Shapes: ``scale`` (settings), ``centres`` (groups, settings), ``mean`` and ``deviation`` (groups, kept metrics);
    ``kept`` are the columns of the metrics that say anything.
    """

    scale: Array
    centres: Array
    kept: NDArray[np.int64]
    mean: Array
    deviation: Array

    def normalise(self, run: Run) -> Array:
        """Return the kept metrics of a run in deviations of their group; what was not measured keeps its last value."""
        group = _nearest(filled(run.settings) / self.scale, self.centres)
        told = (filled(run.metrics[:, self.kept]) - self.mean[group]) / self.deviation[group]
        # Never measured so far: as if usual.
        return np.nan_to_num(told, nan=0.0)


def fit_conditions(runs: Sequence[Run]) -> Conditions:
    """Find the groups of settings in past runs, and the metrics' means and deviations in each.

    Raises ValueError when there is no run, or no metric that changes.
    """
    if not runs:
        raise ValueError("expected at least one run, got none")
    metrics = np.vstack([filled(run.metrics) for run in runs])
    settings = np.vstack([filled(run.settings) for run in runs])
    regimes = runs[0].regimes
    scale = np.nanstd(settings, axis=0)
    scale = np.where((scale > 0.0) & (regimes == 0), scale, 1.0)
    settings = settings / scale
    overall = np.nanstd(metrics, axis=0)
    kept = np.flatnonzero(overall > _CONSTANT * np.abs(np.nanmean(metrics, axis=0)))
    if kept.size == 0:
        raise ValueError("expected a metric that changes in the runs, got constants only")
    metrics = metrics[:, kept] / overall[kept]
    centres = np.arange(regimes, dtype=np.float64)[:, None] if regimes else _groups(settings, metrics)
    group = _nearest(settings, centres)
    mean, deviation = _by_group(metrics, group, len(centres))
    # A metric may move with the settings alone; in a regime in which it rests it is as usual, whatever others say.
    moves = deviation > _CONSTANT
    telling = np.flatnonzero(moves.any(axis=0) if regimes else moves.all(axis=0))
    deviation = np.where(moves, deviation, 1.0)
    unit = overall[kept][telling]
    return Conditions(scale, centres, kept[telling], mean[:, telling] * unit, deviation[:, telling] * unit)


def _groups(settings: Array, metrics: Array) -> Array:
    """Return the centres of the fewest groups that leave hardly more of the metrics unexplained than the most do."""
    tried = [_cluster(settings, count) for count in range(1, MOST_GROUPS + 1 if settings.shape[1] else 2)]
    left = [_unexplained(metrics, _nearest(settings, centres), len(centres)) for centres in tried]
    return next(centres for centres, one in zip(tried, left, strict=True) if one <= ABOUT_AS_WELL * min(left))


def _cluster(settings: Array, count: int) -> Array:
    """K-means, begun with the row nearest to the mean and then always the row farthest from all centres so far."""
    centres = settings[[np.argmin(((settings - settings.mean(axis=0)) ** 2).sum(axis=1))]]
    while len(centres) < count:
        farthest = ((settings[:, None, :] - centres) ** 2).sum(axis=2).min(axis=1)
        if farthest.max() <= 0.0:
            break
        centres = np.vstack([centres, settings[np.argmax(farthest)]])
    for _ in range(_ROUNDS):
        group = _nearest(settings, centres)
        # A group that has lost all its rows keeps its centre.
        held = [settings[group == one] for one in range(len(centres))]
        centres = np.vstack([rows.mean(axis=0) if len(rows) else centres[one] for one, rows in enumerate(held)])
    return centres


def _unexplained(metrics: Array, group: NDArray[np.int64], count: int) -> float:
    """Return the mean share of the metrics' variance that lies within the groups."""
    mean, _ = _by_group(metrics, group, count)
    return float(np.nanmean((metrics - mean[group]) ** 2))


def _by_group(metrics: Array, group: NDArray[np.int64], count: int) -> tuple[Array, Array]:
    """Return mean and deviation of each metric in each group; those of all rows where a group has too few."""
    mean = np.tile(np.nanmean(metrics, axis=0), (count, 1))
    deviation = np.tile(np.nanstd(metrics, axis=0), (count, 1))
    for one in range(count):
        rows = metrics[group == one]
        known = np.isfinite(rows).sum(axis=0) >= 2
        mean[one, known] = np.nanmean(rows[:, known], axis=0)
        deviation[one, known] = np.nanstd(rows[:, known], axis=0)
    return mean, deviation


def _nearest(settings: Array, centres: Array) -> NDArray[np.int64]:
    distance = ((settings[:, None, :] - centres) ** 2).sum(axis=2)
    nearest: NDArray[np.int64] = np.argmin(np.nan_to_num(distance, nan=np.inf), axis=1)
    return nearest


def filled(columns: Array) -> Array:
    """Return columns, one row a step, where what was not measured is the last value before; the first stay NaN."""
    last = np.maximum.accumulate(np.where(np.isnan(columns), 0, np.arange(len(columns))[:, None]), axis=0)
    return np.take_along_axis(columns, last, axis=0)
