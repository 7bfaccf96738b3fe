"""Bootstrap intervals: how far a figure could have been off had other machines, files or runs been recorded.

Source: B. Efron, Bootstrap methods: another look at the jackknife, Annals of Statistics 7 (1979); percentile method.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")
COVERAGE = 0.95


def interval(
    values: Sequence[T], statistic: Callable[[Sequence[T]], float], *, rounds: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % percentile interval of ``statistic`` over resamples of ``values`` with replacement.

    ``values`` are the independent units: machines, files or runs, never rows. Rounds in which the statistic is not
    a number (a resample without any event, for instance) are left out. Raises ValueError without values.
    """
    if not values:
        raise ValueError("an interval needs at least one value to resample")
    random = np.random.default_rng(seed)
    drawn = random.integers(0, len(values), (rounds, len(values)))
    figures = np.array([statistic([values[place] for place in places]) for places in drawn], np.float64)
    low, high = np.nanquantile(figures, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return float(low), float(high)
