"""A health index out of several metrics: how much life is left, as far as the metrics of this moment and before tell.

Theory. Past runs to failure say for each of their moments what the metrics were and how long the part still lived. The
index of a moment is the kernel ridge regression (Saunders, Gammerman, Vovk 1998) of that life, no longer than
``ceiling``, on the moment's features: a part as good as new shows no wear, so longer lives cannot be told apart.

- Features: each metric, operating conditions taken out, as the mean of the last twentieth of a usual life, of the
  tenth before that, and of the 3/20 before that, and the part's age. Short means see where it stands, long ones where
  it comes from; a run that is too short for a mean has it from its first steps.
- Similarity of two moments: k = exp(-d/WIDTH), d^2 = (x - y)' M (x - y). M is learnt: the mean of the products of the
  index's own gradients (Radhakrishnan et al., Science 383, 2024), so that features count as far as the life left
  depends on them, and nobody chooses metrics. As the kernel is local, two failure modes that move a metric in opposite
  directions do not cancel out: each is compared with its own kind.
- What the index says of a run that it was learnt from is too good to be believed. So each fifth of the runs is also
  told by an index that the other four fifths gave, metric and all.

Deterministic; past moments are taken at equal steps, at most ``MOMENTS`` in all, and ``METRIC_MOMENTS`` for M.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from detectors.conditions import Conditions, Run, fit_conditions

Array = NDArray[np.float64]

# Trailing means, from and to, as shares of a usual life.
SPANS: tuple[tuple[float, float], ...] = ((0.0, 0.05), (0.05, 0.15), (0.15, 0.30))
# A mean of fewer steps is mostly noise.
LEAST_STEPS = 5
MOMENTS = 2_500
METRIC_MOMENTS = 1_250
FOLDS = 5
WIDTH = 2.0
RIDGE = 0.3
GRADIENT_ROUNDS = 3
# The first moments of a run have no history to tell anything from.
FIRST_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class HealthIndex:
    """A fitted index. ``life`` is the usual life and ``ceiling`` the longest that is told, both in steps.

    Shapes: ``mean``, ``deviation`` (features); ``root`` (features, features) with M = root root'; ``moments``
    (moments, features), already times root; ``weights`` (moments); ``offset`` the index where nothing is similar.
    """

    conditions: Conditions
    life: float
    ceiling: float
    mean: Array
    deviation: Array
    root: Array
    moments: Array
    weights: Array
    offset: float

    def of(self, run: Run) -> Array:
        """Return the index at each step of a run, in steps: 0 fails now, ``ceiling`` is as good as new."""
        raw = features(self.conditions.normalise(run), self.life)
        placed = ((raw - self.mean) / self.deviation) @ self.root
        told = np.exp(-_distance(placed, self.moments) / WIDTH) @ self.weights
        return np.clip(told + self.offset, 0.0, self.ceiling)


def features(told: Array, life: float) -> Array:
    """Return the features of each step: the trailing means of ``SPANS`` of the normalised metrics, and the age."""
    steps = np.arange(1, len(told) + 1)
    summed = np.vstack([np.zeros(told.shape[1]), np.cumsum(told, axis=0)])
    means = []
    for nearest, farthest in SPANS:
        end = np.maximum(steps - round(nearest * life), np.minimum(steps, LEAST_STEPS))
        begin = np.maximum(0, np.minimum(steps - round(farthest * life), end - LEAST_STEPS))
        means.append((summed[end] - summed[begin]) / (end - begin)[:, None])
    return np.hstack([*means, steps[:, None] / life])


def fit_health_index(runs: Sequence[Run], ceiling: float) -> HealthIndex:
    """Learn an index from runs to failure; ``ceiling`` in steps. Raises ValueError when there is no run."""
    conditions = fit_conditions(runs)
    life = float(np.median([len(run.metrics) for run in runs]))
    raw = [features(conditions.normalise(run), life) for run in runs]
    taken = [_taken(len(one), sum(map(len, raw)), life) for one in raw]
    moments = np.vstack([one[rows] for one, rows in zip(raw, taken, strict=True)])
    left = np.concatenate([len(one) - 1 - rows for one, rows in zip(raw, taken, strict=True)])
    target = np.minimum(left, ceiling)
    offset = float(target.mean())
    mean, deviation = moments.mean(axis=0), np.maximum(moments.std(axis=0), np.finfo(float).eps)
    moments = (moments - mean) / deviation
    thin = slice(None, None, -(-len(moments) // METRIC_MOMENTS))
    root = _learn_metric(moments[thin], target[thin] - offset)
    placed = moments @ root
    weights = _regress(np.exp(-_distance(placed, placed) / WIDTH), target - offset)
    return HealthIndex(conditions, life, ceiling, mean, deviation, root, placed, weights, offset)


def indices_left_out(runs: Sequence[Run], ceiling: float) -> list[Array]:
    """Return the index of each run as told by runs of which it is none. Raises ValueError for fewer than two runs."""
    if len(runs) < 2:
        raise ValueError(f"expected at least two runs to failure, got {len(runs)}")
    told: dict[int, Array] = {}
    for fold in range(min(FOLDS, len(runs))):
        others = fit_health_index([run for number, run in enumerate(runs) if number % FOLDS != fold], ceiling)
        told |= {number: others.of(runs[number]) for number in range(fold, len(runs), FOLDS)}
    return [told[number] for number in range(len(runs))]


def _taken(length: int, in_all: int, life: float) -> NDArray[np.int64]:
    """Return which steps of a run are learnt from: equally far apart, the last always among them."""
    first = min(round(FIRST_SHARE * life), length - 1)
    return np.arange(length - 1, first - 1, -max(1, -(-in_all // MOMENTS)))[::-1]


def _learn_metric(moments: Array, target: Array) -> Array:
    """Return the root of M, learnt in rounds: regress, take the gradients at all moments, weigh the features anew."""
    count, width = moments.shape
    root: Array = np.eye(width) / np.sqrt(width)
    for _ in range(GRADIENT_ROUNDS):
        placed = moments @ root
        distance = _distance(placed, placed)
        kernel = np.exp(-distance / WIDTH)
        weights = _regress(kernel, target)
        pull = np.divide(kernel, distance, out=np.zeros_like(kernel), where=distance > 1e-9) * weights
        gradient = (pull @ placed - pull.sum(axis=1)[:, None] * placed) @ root.T
        products = gradient.T @ gradient / count
        # Tidied by its eigenvalues: M has no negative ones, whatever rounding says; its trace is one.
        values, vectors = np.linalg.eigh(products / np.trace(products))
        root = vectors * np.sqrt(np.maximum(values, 0.0))
    return root


def _regress(kernel: Array, target: Array) -> Array:
    weights: Array = cho_solve(cho_factor(kernel + RIDGE * np.eye(len(kernel)), overwrite_a=True), target)
    return weights


def _distance(left: Array, right: Array) -> Array:
    squared = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2.0 * left @ right.T
    distance: Array = np.sqrt(np.maximum(squared, 0.0))
    return distance
