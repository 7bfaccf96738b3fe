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
- Leaving a run out needs no new regression: with G the inverse of (K + RIDGE I) and a = G y, the weights without the
  moments B are a - G[:, B] inverse(G[B, B]) a[B], which are zero on B.

Deterministic; past moments are taken at equal steps, at most ``MOMENTS`` in all.
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
        return self._at(features(self.conditions.normalise(run), self.life), self.weights)

    def _at(self, raw: Array, weights: Array) -> Array:
        placed = ((raw - self.mean) / self.deviation) @ self.root
        told = np.exp(-_distance(placed, self.moments) / WIDTH) @ weights
        return np.clip(told + self.offset, 0.0, self.ceiling)


@dataclass(frozen=True, slots=True)
class Fitted:
    """An index with the runs it was learnt from, each told by the index of all the others."""

    index: HealthIndex
    left_out: tuple[Array, ...]


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


def fit_health_index(runs: Sequence[Run], ceiling: float) -> Fitted:
    """Learn an index from runs to failure; ``ceiling`` in steps. Raises ValueError for fewer than two runs."""
    if len(runs) < 2:
        raise ValueError(f"expected at least two runs to failure, got {len(runs)}")
    conditions = fit_conditions(runs)
    life = float(np.median([len(run.metrics) for run in runs]))
    raw = [features(conditions.normalise(run), life) for run in runs]
    taken = _taken([len(one) for one in raw], life)
    of_run = np.repeat(np.arange(len(runs)), [len(one) for one in taken])
    moments = np.vstack([one[rows] for one, rows in zip(raw, taken, strict=True)])
    left = np.concatenate([len(one) - 1 - rows for one, rows in zip(raw, taken, strict=True)])
    target = np.minimum(left, ceiling)
    mean, deviation = moments.mean(axis=0), np.maximum(moments.std(axis=0), np.finfo(float).eps)
    moments = (moments - mean) / deviation
    offset = float(target.mean())
    root = _learn_metric(moments, target - offset)
    placed = moments @ root
    inverse = _inverse(np.exp(-_distance(placed, placed) / WIDTH))
    weights = inverse @ (target - offset)
    index = HealthIndex(conditions, life, ceiling, mean, deviation, root, placed, weights, offset)
    left_out = []
    for number, one in enumerate(raw):
        own = np.flatnonzero(of_run == number)
        without = weights - inverse[:, own] @ np.linalg.solve(inverse[np.ix_(own, own)], weights[own])
        left_out.append(index._at(one, without))
    return Fitted(index, tuple(left_out))


def _taken(lengths: Sequence[int], life: float) -> list[NDArray[np.int64]]:
    """Return which steps of each run are learnt from: equally far apart, the last always among them."""
    apart = max(1, -(-sum(lengths) // MOMENTS))
    first = round(FIRST_SHARE * life)
    return [np.arange(length - 1, min(first, length - 1) - 1, -apart)[::-1] for length in lengths]


def _learn_metric(moments: Array, target: Array) -> Array:
    """Return the root of M, learnt in rounds: regress, take the gradients at all moments, weigh the features anew."""
    count, width = moments.shape
    root = np.eye(width) / np.sqrt(width)
    for _ in range(GRADIENT_ROUNDS):
        placed = moments @ root
        distance = _distance(placed, placed)
        kernel = np.exp(-distance / WIDTH)
        weights = _inverse(kernel) @ target
        pull = np.divide(kernel, distance, out=np.zeros_like(kernel), where=distance > 1e-9) * weights
        gradient = (pull @ placed - pull.sum(axis=1)[:, None] * placed) @ root.T
        products = gradient.T @ gradient / count
        # Tidied by its eigenvalues: M has no negative ones, whatever rounding says; its trace is one.
        values, vectors = np.linalg.eigh(products / np.trace(products))
        root = vectors * np.sqrt(np.maximum(values, 0.0))
    return root


def _inverse(kernel: Array) -> Array:
    ridged = kernel + RIDGE * np.eye(len(kernel))
    inverse: Array = cho_solve(cho_factor(ridged, overwrite_a=True), np.eye(len(kernel)))
    return inverse


def _distance(left: Array, right: Array) -> Array:
    squared: Array = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2.0 * left @ right.T
    return np.asarray(np.sqrt(np.maximum(squared, 0.0)))
