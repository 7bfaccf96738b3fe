"""T2 and Q: several metrics of one device that no longer belong together, each of them within its limits.

Theory. Load, speed, current and temperature of a healthy machine move together; a fault shows first as a break of
that pattern. Each metric is standardised by the mean and spread that were learnt, z, and the eigenvectors P of their
correlations (off-diagonal times 1 - ``shrink``, so that few samples do not feign certainty) split z in two: the
components that carry ``explained`` of the variance, with t = P'z, and the rest. Two statistics follow:

    T2 = sum t_c^2 / lambda_c        how far the machine is from its usual working point, within the pattern
    Q  = |z - P t|^2 = |z|^2 - |t|^2 how far it is from the pattern (squared prediction error)

The model is learnt once after each anchor from ``learn_samples`` rows. The ``calibrate_samples`` rows after them,
which it has not seen, set the limits: ``factor`` times the ``quantile`` of each statistic there. Limits from tables (F
for T2, Jackson and Mudholkar for Q) suppose independent Gaussian rows and are not used (ADR 8). Q is believed from
``floor`` spreads on at least: metrics that are copies of each other would else alarm at their last digit. Then all
is frozen.

Which metric it is, the contributions say: a statistic is z'Mz with M = W W, and the share of metric i is the square of
(W z)_i over the statistic; shares are never negative and add up to 1. The finding stands on the metric with the
greatest share of the statistic that is further beyond its limit. Its ``baseline`` is what the other metrics let one
expect of it (where the statistic is least), and ``limit`` the value at which the statistic would have been at its
limit. The score is the statistic divided by its limit.

Working points that were not there while learning are breaks too: learn long enough, and have the load among the
metrics. A metric that is held stands still while the others move on: keep ``max_age_s`` below ``consecutive`` intervals
of the fast ones, or one that falls silent looks like a break.

Source: H. Hotelling, Multivariate quality control (1947); J. E. Jackson and G. S. Mudholkar, Control procedures for
residuals associated with principal component analysis, Technometrics 21 (1979); C. F. Alcala and S. J. Qin, Analysis
and generalization of fault diagnosis methods for process monitoring, Journal of Process Control 21 (2011), complete
decomposition contributions; eigenvectors: C. G. J. Jacobi (1846), after G. H. Golub and C. F. Van Loan, Matrix
Computations, section 8.5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from detectors.assembling import INSTANTS_AT_ONCE, MEMBERS, vector_state_dtype
from detectors.baseline import TRUSTED_AFTER, WINSOR_LIMIT
from detectors.compiling import Record, from_row, kernel, seldom
from detectors.eigenvectors import eigenvectors
from detectors.episode import MICROSECONDS, OPENED, QUIET, EpisodeParameters, advance, claim
from detectors.extremes import KEPT, keep_greatest, tail_quantile
from detectors.parameters import in_range

STATE = vector_state_dtype(
    ("mean", "f8", (MEMBERS,)),
    ("spread", "f8", (MEMBERS,)),
    ("per_spread", "f8", (MEMBERS,)),
    ("per_variance", "f8", (MEMBERS,)),  # of each component
    ("matrix", "f8", (MEMBERS, MEMBERS)),  # products while learning, then one component a column
    ("greatest_t2", "f8", (KEPT,)),
    ("greatest_q", "f8", (KEPT,)),
    ("t2_limit", "f8"),
    ("q_limit", "f8"),
    ("anchored_us", "i8"),
    ("learning_since_us", "i8"),
    ("learnt_count", "i8"),
    ("calibrated_count", "i8"),
    ("components", "i8"),
    ("learnt", "u1"),
)
EXTRA = ("t2", "t2_limit", "q", "q_limit")


@dataclass(frozen=True, slots=True, kw_only=True)
class T2QParameters(EpisodeParameters):
    """Rows and seconds of learning as in ``baseline.py``; ``max_age_s``, how old a metric may be in a row, in seconds.

    ``explained``, ``shrink`` and ``quantile`` are shares, ``factor`` a ratio, ``floor`` in spreads. A finding clears
    when both statistics are back by the fraction ``dead_band`` of their limits.

    >>> from detectors.trial import group_episodes
    >>> import numpy as np
    >>> angle = np.arange(600.0)
    >>> load, current = np.sin(angle), np.sin(angle) + 0.1 * np.cos(7 * angle)
    >>> current[500:520] = 0.0  # well within its range, but not where the load says
    >>> group_episodes("t2q", {"learn_samples": 200}, {"load": load, "current": current})
    [(502, 522)]
    """

    learn_samples: int = 400
    learn_s: float = 0.0
    settle_s: float = 0.0
    calibrate_samples: int = 200
    explained: float = 0.9
    shrink: float = 0.01
    quantile: float = 0.99
    factor: float = 2.0
    floor: float = 0.1
    dead_band: float = 0.2
    max_age_s: float = 2.0

    def __post_init__(self) -> None:
        EpisodeParameters.__post_init__(self)
        in_range("learn_samples", self.learn_samples, 32, 10_000_000)
        in_range("learn_s", self.learn_s, 0, 366 * 86_400)
        in_range("settle_s", self.settle_s, 0, 366 * 86_400)
        in_range("calibrate_samples", self.calibrate_samples, 32, 10_000_000)
        in_range("explained", self.explained, 0.1, 1)
        in_range("shrink", self.shrink, 0, 1)
        in_range("quantile", self.quantile, 0.5, 1)
        in_range("factor", self.factor, 1, 1000)
        in_range("floor", self.floor, 1e-6, 100)
        in_range("dead_band", self.dead_band, 0, 1)
        in_range("max_age_s", self.max_age_s, 0, 366 * 86_400)


@seldom
def calm(
    state: Record,
    rule: Record,
    size: int,
    count: int,
    begins: np.ndarray,
    value: np.ndarray,
    tables: np.ndarray,
) -> bool:
    """Take rows of which both statistics are within their limits: those of ``_statistics``, all rows at once."""
    if not state.learnt or state.t2_limit == 0 or state.open or state.beyond_count != 0:
        return False
    z, t2, q = _table(tables, MEMBERS), _table(tables, MEMBERS + 1), _table(tables, MEMBERS + 2)
    matrix, components = state.matrix, state.components
    for k in range(count):
        t2[k] = q[k] = 0.0
    for c in range(components):
        scores = _table(tables, c)
        for k in range(count):
            scores[k] = 0.0
    for i in range(size):
        mean, per_spread, x = state.mean[i], state.per_spread[i], from_row(value, begins[i])
        for k in range(count):
            z[k] = (x[k] - mean) * per_spread
            q[k] += z[k] * z[k]
        for c in range(components):
            scores, weight = _table(tables, c), matrix[i, c]
            for k in range(count):
                scores[k] += weight * z[k]
    for c in range(components):
        scores, per_variance = _table(tables, c), state.per_variance[c]
        for k in range(count):
            t2[k] += scores[k] * scores[k] * per_variance
            q[k] -= scores[k] * scores[k]
    beyond = 0
    for k in range(count):
        beyond += (t2[k] > state.t2_limit) | (q[k] > state.q_limit)
    return beyond == 0


@kernel
def _table(tables: np.ndarray, number: int) -> np.ndarray:
    return from_row(tables, number * INSTANTS_AT_ONCE)


@kernel
def update(
    state: Record,
    rule: Record,
    ts_us: int,
    row: np.ndarray,
    gap: bool,
    hold: bool,
    work: np.ndarray,
    change: Record,
) -> int:
    """Learn from one row of all metrics, set the limits by it, or judge it."""
    if not state.learnt:
        if not hold:
            _learn(state, rule, ts_us, row, work)
        return QUIET
    z, scores = work[0], work[1]
    t2, q = _statistics(state, row, z, scores)
    if state.t2_limit == 0:
        if not hold:
            _calibrate(state, rule, t2, q)
        return QUIET
    beyond = max(t2 / state.t2_limit, q / state.q_limit)
    what = advance(state, rule, ts_us, 1 if beyond > 1 else 0, not (beyond > 1 - rule.dead_band), gap)
    if what == OPENED:
        _explain(state, row, t2, q, z, scores, change)
        change.window_start_us = state.beyond_since_us
    return what


@seldom
def _learn(state: Record, rule: Record, ts_us: int, row: np.ndarray, work: np.ndarray) -> None:
    """Take one row into the means and the products; far values count as four spreads off, as in ``baseline.py``."""
    if state.anchored_us == 0:
        state.anchored_us = ts_us
    if ts_us - state.anchored_us < rule.settle_s * MICROSECONDS:
        return
    if state.learnt_count == 0:
        state.learning_since_us = ts_us
    before, after = work[0], work[1]
    for i in range(row.size):
        value = row[i]
        if state.learnt_count >= TRUSTED_AFTER:
            reach = WINSOR_LIMIT * math.sqrt(state.matrix[i, i] / (state.learnt_count - 1))
            if reach > 0:
                value = min(max(value, state.mean[i] - reach), state.mean[i] + reach)
        before[i] = value - state.mean[i]
        state.mean[i] += before[i] / (state.learnt_count + 1)
        after[i] = value - state.mean[i]
    for i in range(row.size):
        for j in range(row.size):
            state.matrix[i, j] += before[i] * after[j]
    state.learnt_count += 1
    long_enough = ts_us - state.learning_since_us >= rule.learn_s * MICROSECONDS
    if state.learnt_count >= rule.learn_samples and long_enough:
        _freeze(state, rule, row.size)


@seldom
def _freeze(state: Record, rule: Record, size: int) -> None:
    """Make spreads and components of what was learnt; a metric that never moved takes no part."""
    correlation = np.zeros((size, size))
    total = 0.0
    for i in range(size):
        spread = math.sqrt(state.matrix[i, i] / (state.learnt_count - 1))
        state.spread[i] = spread
        state.per_spread[i] = 1 / spread if spread > 0 else 0.0
    for i in range(size):
        for j in range(size):
            scale = state.spread[i] * state.spread[j] * (state.learnt_count - 1)
            if scale > 0:
                correlation[i, j] = 1.0 if i == j else (1 - rule.shrink) * state.matrix[i, j] / scale
        total += correlation[i, i]
    variances, vectors = eigenvectors(correlation)
    carried = 0.0
    state.components = 0
    for c in range(size):
        if carried >= rule.explained * total - 1e-12 or variances[c] <= 1e-9:
            break
        carried += variances[c]
        state.per_variance[c] = 1 / variances[c]
        state.components += 1
    for c in range(size):
        for i in range(size):
            state.matrix[i, c] = vectors[c, i]
    state.learnt = 1


@seldom
def _statistics(state: Record, row: np.ndarray, z: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Return T2 and Q; write the standardised row into ``z`` and the components' t into ``scores``."""
    t2, q = 0.0, 0.0
    scores[:] = 0
    for i in range(row.size):
        z[i] = (row[i] - state.mean[i]) * state.per_spread[i]
        q += z[i] * z[i]
        # Metric by metric, so that one addition need not wait for the one before.
        for c in range(state.components):
            scores[c] += state.matrix[i, c] * z[i]
    for c in range(state.components):
        t2 += scores[c] * scores[c] * state.per_variance[c]
        q -= scores[c] * scores[c]
    return t2, max(q, 0.0)


@seldom
def _calibrate(state: Record, rule: Record, t2: float, q: float) -> None:
    keep_greatest(state.greatest_t2, state.calibrated_count, t2)
    keep_greatest(state.greatest_q, state.calibrated_count, q)
    state.calibrated_count += 1
    if state.calibrated_count >= rule.calibrate_samples:
        reached_t2 = tail_quantile(state.greatest_t2, state.calibrated_count, rule.quantile)
        reached_q = tail_quantile(state.greatest_q, state.calibrated_count, rule.quantile)
        # Of metrics that never moved there is nothing to say: then both statistics are 0 for ever.
        state.t2_limit = max(rule.factor * reached_t2, 1e-12)
        state.q_limit = max(rule.factor * reached_q, rule.floor * rule.floor)


@seldom
def _explain(
    state: Record, row: np.ndarray, t2: float, q: float, z: np.ndarray, scores: np.ndarray, change: Record
) -> None:
    """Write the share of each metric, and of the one with the greatest what the others let one expect of it."""
    about_t2 = t2 / state.t2_limit >= q / state.q_limit
    statistic, limit = (t2, state.t2_limit) if about_t2 else (q, state.q_limit)
    chosen = 0
    for i in range(row.size):
        # (W z)_i: W is the root of M, P lambda^-1/2 P' for T2 and 1 - P P', its own root, for Q.
        part = 0.0 if about_t2 else z[i]
        for c in range(state.components):
            part += state.matrix[i, c] * scores[c] * (math.sqrt(state.per_variance[c]) if about_t2 else -1.0)
        change.shares[i] = part * part / statistic
        chosen = i if change.shares[i] > change.shares[chosen] else chosen
    # As a function of this metric alone, d away from where it is, the statistic is curve d^2 + 2 slope d + statistic.
    curve = 0.0 if about_t2 else 1.0
    slope = 0.0 if about_t2 else z[chosen]
    for c in range(state.components):
        weight = state.per_variance[c] if about_t2 else -1.0
        curve += weight * state.matrix[chosen, c] ** 2
        slope += weight * state.matrix[chosen, c] * scores[c]
    root = math.sqrt(max(0.0, slope * slope - curve * (statistic - limit)))
    side = 1 if slope > 0 else -1
    value, spread = row[chosen], state.spread[chosen]
    expected = value - slope / curve * spread
    at_limit = value + (side * root - slope) / curve * spread
    claim(change, value, statistic / limit, at_limit, expected, spread, state.beyond_count)
    change.extra[0], change.extra[1] = t2, state.t2_limit
    change.extra[2], change.extra[3] = q, state.q_limit
    change.member = chosen
    state.direction = side
