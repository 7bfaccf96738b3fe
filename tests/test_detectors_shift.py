"""Shift of a distribution: the distance of scipy, in spreads, with the quantiles that moved (SPEC D2)."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
from scipy import stats

from detectors import shift
from detectors.shift import describe_shift


@pytest.mark.parametrize("seed", range(5))
def test_the_distance_is_that_of_scipy(seed: int) -> None:
    random = np.random.default_rng(seed)
    before = np.round(random.standard_normal(500), 1)
    after = np.round(1.5 * random.standard_normal(173) + seed, 1)
    assert describe_shift(before, after).distance == pytest.approx(stats.wasserstein_distance(before, after), rel=1e-9)


def test_a_pure_shift_is_told_in_spreads_and_by_every_quantile() -> None:
    before = np.random.default_rng(0).standard_normal(2_000) * 4
    described = describe_shift(before, before + 10)
    assert described.distance_spreads == pytest.approx(10 / before.std(ddof=1))
    assert [one.moved for one in described.quantiles] == pytest.approx([10.0] * 7)
    assert str(described).startswith("distribution moved by 2.5 spreads (10)")


def test_a_wider_spread_moves_the_ends_and_leaves_the_middle() -> None:
    before = np.random.default_rng(0).standard_normal(2_000)
    described = describe_shift(before, 3 * before)
    moves = {one.quantile: one.moved for one in described.quantiles}
    assert abs(moves[0.5]) < 0.1
    assert moves[0.05] < -2
    assert moves[0.95] > 2
    assert described.distance_spreads > 1


def test_the_same_day_again_has_not_moved() -> None:
    before = np.random.default_rng(0).standard_normal(100)
    assert describe_shift(before, before[::-1]).distance == 0.0


def test_a_baseline_that_never_moved_gives_no_scale() -> None:
    still = np.full(30, 5.0)
    assert describe_shift(still, still).distance_spreads == 0.0
    assert describe_shift(still, still + 1).distance_spreads == math.inf


def test_what_is_no_number_is_left_out_and_too_few_are_refused() -> None:
    values = np.arange(30.0)
    values[3] = math.nan
    assert describe_shift(values, np.arange(40.0)).baseline_count == 29
    with pytest.raises(ValueError, match="values must hold at least 20 numbers, got 5"):
        describe_shift(values, np.arange(5.0))


def test_the_example_runs() -> None:
    assert doctest.testmod(shift) == (0, 2)
