"""The health index: operating conditions taken out, several metrics in, the life left out (SPEC D5)."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.conditions import MOST_GROUPS, Run, fit_conditions
from detectors.health_index import FOLDS, SPANS, features, fit_health_index, indices_left_out
from tests.life_builders import a_run, lengths

LIVES = lengths(16)
CEILING = 40.0


def runs(count: int = 16, *, seed: int = 0) -> list[Run]:
    return [a_run(steps, seed + number) for number, steps in enumerate(LIVES[:count])]


def flown(run: Run, seed: int, places: int) -> Run:
    """The same run under as many settings, each of which moves the metrics by far more than wear does."""
    random = np.random.default_rng(seed)
    place = random.integers(0, places, len(run.metrics))
    shift = 100.0 * np.arange(places)[:, None] * np.array([1.0, -2.0])
    scale = 1.0 + np.arange(places)[:, None]
    settings = np.column_stack([10.0 * place, 0.1 * (place % 3)]) + 0.001 * random.standard_normal((len(place), 2))
    return Run(run.metrics * scale[place] + shift[place], settings)


def error(told: list[np.ndarray], of: list[Run]) -> float:
    """Root mean squared error of the index against the life left, no longer than the ceiling, in steps."""
    truth = [np.minimum(np.arange(len(run.metrics))[::-1], CEILING) for run in of]
    return float(np.sqrt(np.mean((np.concatenate(told) - np.concatenate(truth)) ** 2)))


@pytest.mark.parametrize("places", [1, 2, 6, MOST_GROUPS])
def test_as_many_operating_conditions_are_found_as_the_settings_have(places: int) -> None:
    past = [flown(run, number, places) for number, run in enumerate(runs())]
    conditions = fit_conditions(past)
    assert len(conditions.centres) == places
    told = np.vstack([conditions.normalise(run) for run in past])
    assert np.abs(told.mean(axis=0)).max() < 1e-6
    assert told.std(axis=0) == pytest.approx(1.0)


def test_settings_that_explain_nothing_make_one_group_whatever_they_do() -> None:
    random = np.random.default_rng(0)
    past = [Run(run.metrics, random.integers(0, 4, (len(run.metrics), 1)).astype(float)) for run in runs()]
    assert len(fit_conditions(past).centres) == 1


def in_regimes(run: Run, seed: int, count: int) -> Run:
    """The run with a regime at each step, of which all but the first move the metrics."""
    number = np.random.default_rng(seed).integers(0, count, len(run.metrics)).astype(float)[:, None]
    return Run(run.metrics + 30.0 * number, number, count)


def test_operating_regimes_that_somebody_has_named_are_the_groups_none_more_and_none_fewer() -> None:
    """SPEC D2, D5: a baseline for each regime, however little the metrics differ between them."""
    past = [in_regimes(run, number, 3) for number, run in enumerate(runs())]
    conditions = fit_conditions(past)
    assert conditions.centres.tolist() == [[0.0], [1.0], [2.0]]
    told = np.vstack([conditions.normalise(run) for run in past])
    for regime in range(3):
        within = told[np.vstack([run.settings for run in past])[:, 0] == regime]
        assert np.abs(within.mean(axis=0)).max() < 1e-6
        assert within.std(axis=0) == pytest.approx(1.0)
    alike = [Run(run.metrics, one.settings, 3) for run, one in zip(runs(), past, strict=True)]
    assert len(fit_conditions(alike).centres) == 3


def test_a_metric_that_rests_in_one_regime_still_tells_wear_in_the_others() -> None:
    past = []
    for number, run in enumerate(runs()):
        one = in_regimes(run, number, 2)
        past.append(Run(np.where(one.settings == 0.0, [[0.0, 1.0]], run.metrics), one.settings, 2))
    conditions = fit_conditions(past)
    assert conditions.kept.tolist() == [0, 1]
    told = conditions.normalise(past[0])
    resting = past[0].settings[:, 0] == 0.0
    assert np.abs(told[resting]).max() < 1e-6
    assert told[~resting].std(axis=0).min() > 0.5


def test_metrics_that_never_change_are_left_out_and_nothing_but_them_is_refused() -> None:
    past = [Run(np.column_stack([np.full(len(run.metrics), 7.0), run.metrics]), run.settings) for run in runs()]
    assert fit_conditions(past).kept.tolist() == [1, 2]
    with pytest.raises(ValueError, match="constants only"):
        fit_conditions([Run(run.metrics[:, :1], run.settings) for run in past])
    with pytest.raises(ValueError, match="at least one run"):
        fit_conditions([])


def test_what_was_not_measured_keeps_its_last_value_and_before_the_first_is_usual() -> None:
    conditions = fit_conditions(runs())
    whole = a_run(50, 99)
    holes = whole.metrics.copy()
    holes[:5, 0] = np.nan
    holes[20:30, 1] = np.nan
    told, with_holes = conditions.normalise(whole), conditions.normalise(Run(holes, whole.settings))
    assert with_holes[:5, 0].tolist() == [0.0] * 5
    assert with_holes[20:30, 1].tolist() == [told[19, 1]] * 10
    assert with_holes[30:].tolist() == told[30:].tolist()


def test_a_feature_is_the_mean_of_its_span_and_looks_at_nothing_later() -> None:
    told = np.random.default_rng(3).standard_normal((80, 2))
    life = 100.0
    found = features(told, life)
    for number, (nearest, farthest) in enumerate(SPANS):
        begin, end = 60 - round(farthest * life), 60 - round(nearest * life)
        assert found[59, 2 * number : 2 * number + 2] == pytest.approx(told[begin:end].mean(axis=0))
    assert found[59, -1] == 0.6
    assert features(told[:60], life).tolist() == found[:60].tolist()


def test_the_index_tells_how_long_runs_live_that_it_was_not_learnt_from() -> None:
    index = fit_health_index(runs(), CEILING)
    others = [a_run(steps, 500 + number) for number, steps in enumerate(lengths(20, seed=5))]
    told = [index.of(run) for run in others]
    constant = error([np.full(len(run.metrics), CEILING / 2) for run in others], others)
    assert error(told, others) < 0.45 * constant
    assert all(one.min() >= 0.0 and one.max() <= CEILING for one in told)


def test_operating_conditions_cost_the_index_little() -> None:
    past = [flown(run, number, 6) for number, run in enumerate(runs())]
    others = [a_run(steps, 500 + number) for number, steps in enumerate(lengths(20, seed=5))]
    plain = fit_health_index(runs(), CEILING)
    index = fit_health_index(past, CEILING)
    elsewhere = [flown(run, 900 + number, 6) for number, run in enumerate(others)]
    assert error([index.of(run) for run in elsewhere], others) < 1.3 * error([plain.of(run) for run in others], others)


def test_two_failure_modes_that_move_a_metric_in_opposite_directions_do_not_cancel_out() -> None:
    """The one metric falls in one mode and rises in the other: a sum over metrics sees nothing but the age."""

    def of_both_modes(lives: list[int], seed: int) -> list[Run]:
        both = [a_run(steps, seed + number, sign=(-1.0) ** number) for number, steps in enumerate(lives)]
        return [Run(run.metrics[:, 1:], run.settings) for run in both]

    def shuffled(past: list[Run]) -> list[Run]:
        random = np.random.default_rng(1)
        return [Run(random.permutation(run.metrics), run.settings) for run in past]

    past, others = of_both_modes(LIVES, 0), of_both_modes(lengths(20, seed=5), 500)
    index, of_age = fit_health_index(past, CEILING), fit_health_index(shuffled(past), CEILING)
    by_age = error([of_age.of(run) for run in shuffled(others)], others)
    assert error([index.of(run) for run in others], others) < 0.75 * by_age


def test_each_run_is_told_by_runs_of_which_it_is_none() -> None:
    """SPEC D5: wear told by itself would be told too well, and the intervals would be too narrow."""
    past = runs(12)
    told = indices_left_out(past, CEILING)
    strange = [*past[:3], Run(past[3].metrics * 5.0, past[3].settings), *past[4:]]
    changed = indices_left_out(strange, CEILING)
    assert len(told) == 12
    same_fold = 3 + FOLDS
    assert changed[same_fold].tolist() == told[same_fold].tolist()
    assert changed[4].tolist() != told[4].tolist()
    with pytest.raises(ValueError, match="at least two runs"):
        indices_left_out(past[:1], CEILING)


def test_the_index_is_the_same_every_time() -> None:
    first, second = (fit_health_index(runs(10), CEILING).of(a_run(50, 77)).tolist() for _ in range(2))
    assert first == second
