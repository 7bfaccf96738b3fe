"""The greatest values of a learning period, and the quantile that follows from them.

A limit far out in the tail (99.9 %) needs only the few values out there: the ``KEPT`` greatest are kept in order, and
the p-quantile of n values, the ceil(p * n)-th in rising order, is among them for up to ``KEPT`` / (1 - p) values. Of
more the least of those kept is taken, which is further out, never closer.

Source: R. J. Hyndman and Y. Fan, Sample quantiles in statistical packages, The American Statistician 50 (1996),
definition 1 (the inverse of the empirical distribution).
"""

from __future__ import annotations

import math

import numpy as np

from detectors.compiling import kernel, seldom

KEPT = 32


@kernel
def keep_greatest(greatest: np.ndarray, seen: int, x: float) -> None:
    """Take ``x`` among the greatest, in falling order; ``seen`` values came before it."""
    size = min(seen, greatest.size)
    if size == greatest.size:
        if x <= greatest[size - 1]:
            return
        size -= 1
    place = size
    while place > 0 and greatest[place - 1] < x:
        greatest[place] = greatest[place - 1]
        place -= 1
    greatest[place] = x


@seldom
def tail_quantile(greatest: np.ndarray, seen: int, quantile: float) -> float:
    """Return the quantile of the ``seen`` values of which these are the greatest; 0 when there were none."""
    if seen == 0:
        return 0.0
    # Less a little, because 0.999 * 1000 must not come out above 999.
    from_above = seen - math.ceil(quantile * seen - 1e-6)
    return float(greatest[min(from_above, greatest.size - 1, seen - 1)])
