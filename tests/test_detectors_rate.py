"""Rate: limits per second, given or learnt from what the sensor did while all was well (SPEC D1)."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.catalogue import CATALOGUE
from detectors.extremes import KEPT
from detectors.rate import RateParameters
from detectors.trial import episodes
from tests.detection_builders import START_US, a_bank, a_rule, noise, opened_in, readings_of


def climb(count: int, per_s: float, *, start: float = 20.0) -> list[float]:
    return [start + per_s * number for number in range(1, count + 1)]


def test_only_a_rate_beyond_the_limit_opens() -> None:
    assert episodes("rate", {"limit_per_s": 2.0}, [20.0, *climb(20, 1.99)]) == []
    assert [opened for opened, _ in episodes("rate", {"limit_per_s": 2.0}, [20.0, *climb(20, 2.01)])] == [3]


def test_the_rate_counts_seconds_not_samples() -> None:
    values = [20.0, *climb(20, 10.0)]
    assert episodes("rate", {"limit_per_s": 2.0}, values, interval_s=6.0) == []
    assert episodes("rate", {"limit_per_s": 2.0}, values, interval_s=4.0) != []


def test_over_a_longer_time_noise_counts_less() -> None:
    """Noise of half a degree a second against a climb of a twentieth."""
    values = [*noise(600), *(noise(600, seed=1) + 0.05 * np.arange(600))]
    assert episodes("rate", {"limit_per_s": 0.04, "over_s": 60.0}, values[:600]) == []
    (opened, _), *_ = episodes("rate", {"limit_per_s": 0.04, "over_s": 60.0}, values)
    assert 600 + 180 <= opened <= 600 + 300


@pytest.mark.parametrize(("side", "found"), [("up", 1), ("down", 0), ("both", 1)])
def test_a_side_that_is_not_watched_opens_nothing(side: str, found: int) -> None:
    assert len(episodes("rate", {"limit_per_s": 2.0, "side": side}, [20.0, *climb(10, 3.0)])) == found
    falling = [20.0, *climb(10, -3.0)]
    assert len(episodes("rate", {"limit_per_s": 2.0, "side": side}, falling)) == (1 if side == "both" else 1 - found)


@pytest.mark.parametrize("count", [100, 1_000, 20_000])
def test_the_learnt_limit_is_the_factor_times_the_quantile_of_all_rates(count: int) -> None:
    """Exact for as many rates as the kept greatest can stand for."""
    values = noise(count + 1, seed=3)
    bank = a_bank(a_rule("rate", limit_per_s=None, learn_samples=count, factor=2.0))
    bank.feed(readings_of(list(values)))
    finding = opened_in(bank.feed(readings_of(climb(5, 50.0), first=count + 1)))[0]
    expected = 2.0 * np.quantile(np.abs(np.diff(values)), 0.999, method="inverted_cdf")
    assert finding.evidence["limit_per_s"] == pytest.approx(expected, rel=1e-9)
    assert finding.score == pytest.approx(finding.evidence["rate_per_s"] / expected, rel=1e-9)
    assert KEPT >= 20_000 * 0.001


def test_the_first_seconds_after_an_anchor_are_not_learnt_from() -> None:
    starting = climb(50, 5.0)
    running = list(270 + noise(400) - 10)
    values = [*starting, *running, *climb(5, 8.0, start=270.0)]
    settled = {"learn_samples": 100, "settle_s": 60.0}
    assert [opened for opened, _ in episodes("rate", settled, values)] == [452]
    assert episodes("rate", {**settled, "settle_s": 0.0}, values) == []


def test_no_rate_is_taken_across_a_gap() -> None:
    bank = a_bank(a_rule("rate", consecutive=1))
    assert bank.feed(readings_of(list(noise(100)))) == []
    assert bank.feed(readings_of([1e6], first=200)) == []
    assert opened_in(bank.feed(readings_of([1e6 + 2], first=201)))


def test_a_sensor_that_never_moved_gives_no_scale() -> None:
    assert episodes("rate", {"learn_samples": 20, "consecutive": 1}, [5.0] * 40 + [6.0, 7.0, 8.0]) == []


def test_the_evidence_names_the_rate_and_the_value_at_its_limit() -> None:
    (finding,) = opened_in(a_bank(a_rule("rate")).feed(readings_of([10.0] * 20 + climb(5, 3.0, start=10.0))))
    assert finding.evidence["rate_per_s"] == pytest.approx(3.0)
    assert finding.evidence["limit_per_s"] == 1.6
    assert finding.value == 19.0
    assert finding.limit == pytest.approx(16.0 + 1.6)
    assert finding.evidence["window_start"] == START_US / 1e6 + 20
    assert CATALOGUE["rate"].extra == ("rate_per_s", "limit_per_s")


def test_parameters_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="'limit_per_s' must lie between"):
        RateParameters(limit_per_s=0.0)
    with pytest.raises(ValueError, match=r"'quantile' must lie between 0\.5 and 1"):
        RateParameters(quantile=1.5)
