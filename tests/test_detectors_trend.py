"""Trend: significance, slope and time to the limit against scipy, and what is not claimed (SPEC D2)."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
from scipy import stats

from detectors import trend_report
from detectors.trend import TrendParameters
from detectors.trend_report import NoTrend, NoTrendReason, Trend, block_medians, describe_trend
from domain.findings import Finding
from tests.detection_builders import a_bank, a_rule, opened_in, readings_of

HOUR_S = 3_600.0
# A block an hour, and one reading in each: what the detector sees is what scipy is given.
HOURLY = {"span_s": 100 * HOUR_S, "horizon_s": 100 * HOUR_S, "consecutive": 1}


def rising(count: int, *, per_hour: float = 0.2, deviation: float = 1.0, seed: int = 0) -> np.ndarray:
    return 20 + per_hour * np.arange(count) + deviation * np.random.default_rng(seed).standard_normal(count)


def findings_of(values: np.ndarray, **changes: float) -> list[Finding]:
    parameters = {"high": 60.0, "low": None, **HOURLY, **changes}
    return opened_in(a_bank(a_rule("trend", **parameters)).feed(readings_of(list(values), step_s=HOUR_S)))


def seen_by(finding: Finding, values: np.ndarray) -> np.ndarray:
    """The values of the blocks that were finished when the finding opened, one each."""
    start = int((finding.evidence["window_start"] - 1772438400) // HOUR_S)
    return values[start : start + int(finding.evidence["count"])]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("rounded", [False, True])
def test_the_slope_and_its_interval_are_those_of_scipy(seed: int, rounded: bool) -> None:
    values = rising(160, seed=seed)
    if rounded:
        values = np.round(values)  # ties
    finding = findings_of(values)[0]
    seen = seen_by(finding, values.astype(np.float32).astype(np.float64))
    slope, _, low, high = stats.theilslopes(seen, np.arange(seen.size), alpha=0.9)
    assert finding.evidence["slope_per_h"] == pytest.approx(slope, rel=1e-4)
    assert finding.evidence["slope_low_per_h"] == pytest.approx(low, rel=1e-4)
    assert finding.evidence["slope_high_per_h"] == pytest.approx(high, rel=1e-4)
    tau, p = stats.kendalltau(np.arange(seen.size), seen, method="asymptotic")
    assert finding.score == pytest.approx(stats.norm.isf(p / 2), rel=1e-6)
    described = describe_trend(np.arange(seen.size) * HOUR_S, seen, 60.0)
    assert isinstance(described, Trend)
    assert (described.tau, described.p) == pytest.approx((tau, p), rel=1e-9)
    assert described.slope_low_per_h == pytest.approx(low, rel=1e-9)
    assert described.slope_per_h == pytest.approx(slope, rel=1e-9)
    assert described.slope_high_per_h == pytest.approx(high, rel=1e-9)


def test_ties_and_departures_are_counted_as_if_from_scratch() -> None:
    """S and its ties are kept by adding and taking away; a long record with gaps must not let them drift."""
    random = np.random.default_rng(5)
    values = np.round(20 + 0.05 * np.arange(400) + random.standard_normal(400))
    bank = a_bank(a_rule("trend", high=45.0, **HOURLY))
    parts = [bank.feed(readings_of(list(values[:250]), step_s=HOUR_S))]
    parts.append(bank.feed(readings_of(list(values[290:]), first=290, step_s=HOUR_S)))
    finding = opened_in([change for part in parts for change in part])[-1]
    assert finding.opened_at.timestamp() > 1772438400 + 290 * HOUR_S
    newest = int((finding.opened_at.timestamp() - 1772438400) // HOUR_S) - 1
    kept = [hour for hour in range(newest - 99, newest + 1) if not 250 <= hour < 290]
    assert finding.evidence["count"] == len(kept)
    _, p = stats.kendalltau(kept, values[kept], method="asymptotic")
    assert finding.score == pytest.approx(stats.norm.isf(p / 2), rel=1e-6)


def test_the_time_to_the_limit_holds_the_true_time() -> None:
    values = rising(200, deviation=0.5)
    finding = findings_of(values, horizon_s=80 * HOUR_S)[0]
    opened_h = (finding.opened_at.timestamp() - 1772438400) / HOUR_S
    true_h = (60 - 20) / 0.2 - opened_h
    evidence = finding.evidence
    assert evidence["time_to_limit_low_s"] <= evidence["time_to_limit_s"] <= evidence["time_to_limit_high_s"]
    assert evidence["time_to_limit_low_s"] / HOUR_S - 5 <= true_h <= evidence["time_to_limit_high_s"] / HOUR_S + 5
    assert evidence["time_to_limit_low_s"] <= 80 * HOUR_S


@pytest.mark.parametrize("seed", range(10))
def test_noise_alone_is_no_trend(seed: int) -> None:
    values = rising(1_000, per_hour=0.0, seed=seed)
    assert findings_of(values, high=24.0, low=16.0, p_limit=1e-4) == []


def test_a_trend_away_from_the_limit_is_no_finding() -> None:
    assert findings_of(rising(200, per_hour=-0.2)) == []
    assert findings_of(rising(200), high=None, low=0.0) == []
    assert [finding.direction for finding in findings_of(rising(200, per_hour=-0.2), high=None, low=0.0)] == ["down"]


def test_nothing_is_claimed_beyond_one_observed_span() -> None:
    """SPEC D2: the trend is plain, the limit further away than what was seen of it."""
    few = rising(40, per_hour=0.2, deviation=0.2)
    assert findings_of(few, horizon_s=1e7) == []
    assert findings_of(few, high=30.0, horizon_s=1e7) != []
    described = describe_trend(np.arange(40) * HOUR_S, few, 60.0)
    assert isinstance(described, Trend)
    assert (described.time_to_limit_low_s, described.time_to_limit_s) == (None, None)
    assert "no claim" in str(described)


def test_an_upper_bound_beyond_the_span_is_left_out() -> None:
    finding = findings_of(rising(200, per_hour=0.1, deviation=3.0, seed=3), high=38.0, horizon_s=100 * HOUR_S)[0]
    assert "time_to_limit_high_s" not in finding.evidence
    assert finding.evidence["time_to_limit_s"] > 0


def test_a_wild_hour_in_a_hundred_moves_neither_trend_nor_level() -> None:
    values = rising(200, deviation=0.3)
    wild = values.copy()
    wild[::25] = 500.0
    calm, shaken = findings_of(values)[0], findings_of(wild)[0]
    assert shaken.value == pytest.approx(calm.value, abs=2.0)
    assert shaken.evidence["slope_per_h"] == pytest.approx(0.2, abs=0.03)


def test_all_samples_of_a_block_count_and_wild_ones_do_not() -> None:
    """A block is the median of the means of its parts."""
    random = np.random.default_rng(2)
    minutes = np.arange(200 * 60)
    values = 20 + 0.2 * minutes / 60 + 3 * random.standard_normal(minutes.size)
    values[::61] = 1e4
    found = opened_in(a_bank(a_rule("trend", high=60.0, **HOURLY)).feed(readings_of(list(values), step_s=60.0)))
    # Sixteen parts of four minutes: at most one of them is wild. One value in sixty would be off by three.
    assert found[0].evidence["slope_per_h"] == pytest.approx(0.2, abs=0.01)


def test_a_limit_already_passed_leaves_no_time() -> None:
    described = describe_trend(np.arange(60) * HOUR_S, rising(60, deviation=0.1), 25.0)
    assert isinstance(described, Trend)
    assert described.time_to_limit_s == 0.0
    away = describe_trend(np.arange(60) * HOUR_S, rising(60, deviation=0.1), 10.0)
    assert isinstance(away, Trend)
    assert away.time_to_limit_s is None


def test_no_trend_is_said_plainly() -> None:
    few = describe_trend(np.arange(5.0), np.arange(5.0))
    assert few == NoTrend(NoTrendReason.TOO_FEW, 5, None)
    assert str(few) == "no trend: 5 values are too few, at least 8 are needed"
    constant = describe_trend(np.arange(50.0), np.full(50, 3.0))
    assert constant == NoTrend(NoTrendReason.NOT_SIGNIFICANT, 50, 1.0)


def test_many_values_are_described_by_a_hundred_medians() -> None:
    ts_s = np.arange(20_000) * 60.0
    values = 5 + ts_s / 1e6 + np.random.default_rng(0).standard_normal(ts_s.size)
    described = describe_trend(ts_s, values)
    assert isinstance(described, Trend)
    assert described.count == 100
    assert described.slope_low_per_h < 3_600 / 1e6 < described.slope_high_per_h
    middles, medians = block_medians(ts_s, values)
    assert medians[0] == np.median(values[:200])
    assert middles[0] == pytest.approx((ts_s[0] + ts_s[-1] / 100) / 2)


def test_columns_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="columns of one length"):
        describe_trend(np.arange(5.0), np.arange(6.0))
    with pytest.raises(ValueError, match="times must rise"):
        describe_trend(np.zeros(9), np.arange(9.0))
    gaps = rising(40, deviation=0.1)
    gaps[7] = math.nan
    assert isinstance(describe_trend(np.arange(40) * HOUR_S, gaps), Trend)


def test_the_examples_of_the_report_run() -> None:
    assert doctest.testmod(trend_report).failed == 0


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({}, "at least one of high and low"),
        ({"high": 1.0, "low": 2.0}, "low must lie below high"),
        ({"high": 1.0, "min_blocks": 3}, "'min_blocks' must lie between 8 and 100"),
        ({"high": 1.0, "confidence": 1.0}, "'confidence'"),
    ],
)
def test_parameters_out_of_range_are_refused(given: dict, refusal: str) -> None:
    with pytest.raises(ValueError, match=refusal):
        TrendParameters(**given)


def test_four_of_five_intervals_hold_the_true_time() -> None:
    """The interval is that of slope and level together; that of the slope alone held the true time in every second."""
    held = []
    for seed in range(60):
        finding = findings_of(rising(260, seed=seed), horizon_s=60 * HOUR_S)[0]
        true_s = (60 - 20) / 0.2 * HOUR_S - (finding.opened_at.timestamp() - 1772438400)
        latest = finding.evidence.get("time_to_limit_high_s", math.inf)
        held.append(finding.evidence["time_to_limit_low_s"] <= true_s <= latest)
    assert np.mean(held) >= 0.8


def test_a_slope_whose_interval_touches_zero_is_no_finding() -> None:
    """A counter that moves in rare steps: the order is no chance, but half of all pairs are equal."""
    values = np.repeat([20.0, 21.0], [70, 30])
    described = describe_trend(np.arange(100) * HOUR_S, values, 21.5)
    assert isinstance(described, NoTrend)
    assert described.p is not None
    assert described.p < 1e-6
    assert findings_of(values, high=21.5) == []


def test_the_slopes_interval_excludes_zero_however_little_is_asked_of_the_test() -> None:
    found = [
        finding
        for seed in range(40)
        for finding in findings_of(rising(120, per_hour=0.01, seed=seed), high=22.0, p_limit=0.4, confidence=0.99)
    ]
    assert found
    assert min(finding.evidence["slope_low_per_h"] for finding in found) > 0
