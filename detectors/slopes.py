"""Slopes of all pairs: the kernels behind Mann-Kendall and Theil-Sen.

Source: P. K. Sen, Estimates of the regression coefficient based on Kendall's tau, JASA 63 (1968), equation 2.6.
"""

from __future__ import annotations

import math

import numpy as np

from detectors.compiling import seldom


@seldom
def sign_sum(values: np.ndarray, x: float) -> tuple[int, int]:
    """Return how many of the values are above x less how many are below it, and how many equal it."""
    rise, equal = 0, 0
    for i in range(values.size):
        rise += int(values[i] > x) - int(values[i] < x)
        equal += int(values[i] == x)
    return rise, equal


@seldom
def put_in_order(values: np.ndarray) -> None:
    """Sort where they stand, by Shell's method: numpy's sort takes seconds to compile for each kind of array."""
    gap = 1
    while gap < values.size // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, values.size):
            x = values[i]
            place = i
            while place >= gap and values[place - gap] > x:
                values[place] = values[place - gap]
                place -= gap
            values[place] = x
        gap //= 3


@seldom
def count_below(at: np.ndarray, values: np.ndarray, side: int, slope: float) -> int:
    """Return how many pairs have a slope, times ``side``, below ``slope``; ``at`` rises."""
    # A pair has a lesser slope when the later one stands lower over the line of that slope than the earlier one.
    over = np.empty(values.size, np.float64)
    for i in range(values.size):
        over[i] = side * float(values[i]) - slope * at[i]
    below = 0
    for later in range(1, values.size):
        here = over[later]
        for earlier in range(later):
            below += here < over[earlier]
    return below


@seldom
def sorted_slopes(at: np.ndarray, values: np.ndarray, side: int) -> np.ndarray:
    """Return the slopes of all pairs, times ``side``, in rising order; ``at`` rises."""
    slopes = np.empty(values.size * (values.size - 1) // 2, np.float64)
    count = 0
    for later in range(1, values.size):
        for earlier in range(later):
            rise = float(values[later]) - float(values[earlier])
            slopes[count] = side * rise / (at[later] - at[earlier])
            count += 1
    put_in_order(slopes)
    return slopes


@seldom
def interval_ranks(pairs: int, reach: float) -> tuple[int, int]:
    """Return the places of the bounds among the sorted slopes; ``reach`` is z times the deviation of S."""
    low = max(int(np.rint((pairs - reach) / 2)) - 1, 0)
    return low, min(int(np.rint((pairs + reach) / 2)), pairs - 1)


@seldom
def deviations_of(confidence: float) -> float:
    """Return z such that a normal value lies within +-z with this probability, by bisection."""
    low, high = 0.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        if math.erfc(middle / math.sqrt(2)) > 1 - confidence:
            low = middle
        else:
            high = middle
    return low
