"""Anchored EWMA: small lasting shifts, both sides, and limits that hold for independent noise only (SPEC D2)."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.ewma import EwmaParameters
from detectors.trial import episodes
from tests.detection_builders import a_bank, a_rule, opened_in, readings_of


def gaussian(count: int, *, shift: float = 0.0, seed: int = 0) -> np.ndarray:
    return shift + np.random.default_rng(seed).standard_normal(count)


def reference(values: np.ndarray, learn: int, weight: float, limit: float, clip: float) -> int | None:
    """The first index after learning at which a plain loop would open."""
    centre, spread, smooth = values[:learn].mean(), values[:learn].std(ddof=1), 0.0
    for index in range(learn, values.size):
        z = np.clip((values[index] - centre) / spread, -clip, clip)
        smooth = (1 - weight) * smooth + weight * z
        if abs(smooth) > limit * np.sqrt(weight / (2 - weight)):
            return index
    return None


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("weight", [0.05, 0.1, 0.3])
def test_it_opens_where_a_plain_loop_would(seed: int, weight: float) -> None:
    # Sixteen values learnt: none is winsorised, so the plain mean and deviation are the baseline.
    values = np.concatenate([gaussian(16, seed=seed), gaussian(400, shift=1.5, seed=seed + 100)])
    found = episodes("ewma", {"weight": weight, "learn_samples": 16, "limit": 4.0}, list(values))
    expected = reference(values, 16, weight, 4.0, 5.0)
    assert [opened for opened, _ in found[:1]] == ([] if expected is None else [expected])


def test_a_shift_of_one_spread_is_found_within_a_hundred_samples() -> None:
    delays = []
    for seed in range(20):
        values = [*gaussian(2_000, seed=seed), *gaussian(300, shift=1.0, seed=seed + 50)]
        found = episodes("ewma", {"learn_samples": 1_000, "limit": 4.5}, values)
        delays.append(next(opened for opened, _ in found if opened >= 2_000) - 2_000)
    assert np.mean(delays) < 40
    assert max(delays) < 100


def test_neighbours_that_correlate_destroy_the_textbook_limit() -> None:
    """ADR 8: the reason why limits come from replay."""
    innovations = gaussian(20_000, seed=1)
    correlated = np.empty_like(innovations)
    correlated[0] = innovations[0]
    for index in range(1, innovations.size):
        correlated[index] = 0.7 * correlated[index - 1] + np.sqrt(1 - 0.49) * innovations[index]
    independent = episodes("ewma", {"learn_samples": 2_000, "limit": 4.0}, list(innovations))
    dependent = episodes("ewma", {"learn_samples": 2_000, "limit": 4.0}, list(correlated))
    assert len(independent) <= 3
    assert len(dependent) > 40


def test_one_wild_value_counts_as_clip_spreads_at_most() -> None:
    values = [*gaussian(200), 1e9, *gaussian(50, seed=1)]
    assert episodes("ewma", {"learn_samples": 200, "limit": 4.0}, values) == []


@pytest.mark.parametrize(("side", "directions"), [("up", ["up"]), ("down", ["down"]), ("both", ["up", "down"])])
def test_sides(side: str, directions: list[str]) -> None:
    values = [*gaussian(200), *gaussian(60, shift=4.0), *gaussian(200, seed=3), *gaussian(60, shift=-4.0)]
    bank = a_bank(a_rule("ewma", side=side, learn_samples=200))
    assert [finding.direction for finding in opened_in(bank.feed(readings_of(values)))] == directions


def test_the_finding_is_about_the_mean_in_the_unit_of_the_series() -> None:
    values = 50 + 2 * np.concatenate([gaussian(200), gaussian(60, shift=4.0)])
    (finding,) = opened_in(a_bank(a_rule("ewma", learn_samples=200, limit=6.0)).feed(readings_of(list(values))))
    sigma = np.sqrt(0.1 / 1.9) * finding.evidence["spread"]
    assert finding.limit == pytest.approx(finding.evidence["baseline"] + 6.0 * sigma)
    assert finding.value == pytest.approx(finding.evidence["baseline"] + finding.score * sigma)
    assert finding.value > finding.limit


def test_a_limit_that_clipped_samples_cannot_reach_is_refused() -> None:
    with pytest.raises(ValueError, match="raise clip above that"):
        EwmaParameters(limit=30.0)
