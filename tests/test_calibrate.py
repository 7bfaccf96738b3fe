"""Limits come from replay: the rate that was wanted, on the half of history that was not looked at (SPEC D7, ADR 8)."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.backtest import MACHINE_MONTH
from detectors.bank import Bank, Opened
from detectors.calibrate import LIMITS, calibrate, limits_of, poisson_interval, with_limit
from detectors.catalogue import CATALOGUE
from detectors.closed_loop import History
from domain.readings import Readings
from domain.refusals import Refused
from domain.regimes import OperatingRegimes
from tests.detection_builders import START, START_US, a_rule

HOURS = 24 * 365


def correlated(seed: int, count: int = HOURS, *, phi: float = 0.7) -> np.ndarray:
    """Noise about 10 whose neighbours are alike, as sensors have it: where tables of limits fail."""
    random = np.random.default_rng(seed).standard_normal(count)
    value = np.empty(count)
    last = 0.0
    for number, one in enumerate(random):
        last = phi * last + np.sqrt(1 - phi**2) * one
        value[number] = last
    return 10 + 0.5 * value


def a_history(values: np.ndarray, asset_id: int = 1, metric: str = "signal") -> History:
    ts_us = START_US + np.arange(len(values), dtype=np.int64) * 3_600_000_000
    return History(asset_id, {5: metric}, Readings(np.full(len(values), 5, np.int32), ts_us, values))


def findings(history: History, rule) -> int:
    bank = Bank()
    bank.add_series(5, 1, "signal", [rule])
    return sum(isinstance(change, Opened) for change in bank.feed(history.readings))


FLEET = [a_history(correlated(seed), seed) for seed in range(3)]


@pytest.mark.parametrize(
    ("rule", "parameter"),
    [
        (a_rule("cusum", h=8.0), "h"),
        (a_rule("threshold", consecutive=1, dead_band=0.0, low=None), "high"),
        (a_rule("threshold", consecutive=1, dead_band=0.0, high=None), "low"),
        (a_rule("level", consecutive=1, low=None), "high"),
        (a_rule("level", consecutive=1, high=None), "low"),
        (a_rule("step", limit=8.0), "limit"),
    ],
)
def test_the_proposed_limit_gives_the_wanted_rate_and_the_next_one_tried_does_not(rule, parameter: str) -> None:
    proposal = calibrate(FLEET, rule, parameter, 0.5)
    assert proposal.reached
    assert proposal.limit is not None
    again = sum(findings(history, with_limit(rule, parameter, proposal.limit)) for history in FLEET)
    assert again / proposal.machine_months == proposal.rate
    assert proposal.rate <= 0.5
    nearer = [
        one
        for one in proposal.tried
        if (one.limit > proposal.limit if parameter == "low" else one.limit < proposal.limit)
    ]
    nearest = min(nearer, key=lambda one: abs(one.limit - proposal.limit))
    assert nearest.rate > 0.5 or nearest.in_alarm > 0.1, "a more sensitive limit would have done"


def test_a_limit_from_the_textbook_alarms_far_too_often_and_replay_finds_the_right_one() -> None:
    """ADR 8: on correlated noise the book's h = 8 comes every few days; the proposal keeps to a few a year."""
    rule = a_rule("cusum", h=8.0, learn_samples=1_000)
    book = sum(findings(history, rule) for history in FLEET) / (3 * timedelta(hours=HOURS) / MACHINE_MONTH)
    proposal = calibrate(FLEET, rule, "h", 0.2)
    assert book > 1.0
    assert proposal.current == 8.0
    assert proposal.limit is not None
    assert proposal.limit > 10
    assert proposal.held_out is not None
    assert proposal.held_out.holds


def test_the_check_on_the_other_half_tells_when_the_rate_does_not_hold() -> None:
    """Noise that doubles in the middle of the year: what fits the first half does not fit the second."""
    values = correlated(4)
    values[HOURS // 2 :] = 10 + 2 * (values[HOURS // 2 :] - 10)
    proposal = calibrate([a_history(values)], a_rule("threshold", low=None, consecutive=1, dead_band=0.0), "high", 0.5)
    assert proposal.held_out is not None
    assert not proposal.held_out.holds
    assert proposal.held_out.low > 0.5
    steady = calibrate([FLEET[0]], a_rule("threshold", low=None, consecutive=1, dead_band=0.0), "high", 0.5)
    assert steady.held_out is not None
    assert steady.held_out.holds


def test_a_limit_that_is_always_in_alarm_is_no_rare_alarm() -> None:
    """One finding that never clears has the lowest rate of all: the share of time in alarm tells it apart."""
    values = correlated(6, 4_000)
    rule = a_rule("threshold", low=None, consecutive=1, dead_band=50.0)
    proposal = calibrate([a_history(values)], rule, "high", 0.3)
    assert proposal.limit is not None
    assert proposal.limit >= values.max()
    always = [one for one in proposal.tried if one.in_alarm > 0.5]
    assert always
    assert all(one.findings <= 1 for one in always)


def test_spans_around_failures_are_left_out_of_the_count_and_of_the_time() -> None:
    values = correlated(5)
    values[1_000:1_100] += 8
    history = a_history(values)
    rule = a_rule("threshold", low=None, consecutive=1, dead_band=0.0)
    span = (START + timedelta(hours=990), START + timedelta(hours=1_110))
    with_it, without = (
        calibrate([history], rule, "high", 0.05),
        calibrate([history], rule, "high", 0.05, {1: [span, span]}),
    )
    assert with_it.limit > without.limit
    lost = timedelta(hours=120) / MACHINE_MONTH
    assert with_it.machine_months - without.machine_months == pytest.approx(lost)


def test_it_is_told_when_no_limit_keeps_to_the_rate_or_none_is_as_sensitive() -> None:
    """A device that speaks nonsense beyond any scale, and one that is silent in all it says."""
    random = np.random.default_rng(0)
    wild = a_history(10 + 1e5 * random.standard_cauchy(HOURS) * (random.random(HOURS) < 0.3))
    never = calibrate([wild], a_rule("cusum", h=8.0, clip=1e6), "h", 1e-3)
    assert never.limit is None
    assert not never.reached
    assert never.tried[-1].rate > 1e-3
    calm = calibrate([a_history(np.full(HOURS, 10.0))], a_rule("cusum", h=8.0, min_spread=1.0), "h", 1.0)
    assert not calm.reached
    assert calm.rate == 0.0


def test_what_cannot_be_calibrated_is_refused_by_name() -> None:
    for parameter, rule, wanted, histories in [
        ("dead_band", a_rule("threshold"), 0.1, FLEET),
        ("h", a_rule("threshold"), 0.1, FLEET),
        ("high", a_rule("threshold"), 0.0, FLEET),
        ("high", a_rule("threshold"), float("nan"), FLEET),
        ("high", a_rule("threshold", metric="other"), 0.1, FLEET),
        ("high", a_rule("threshold"), 0.1, [replace(FLEET[0], readings=Readings(*(column[:1] for column in (
            FLEET[0].readings.series_id, FLEET[0].readings.ts_us, FLEET[0].readings.value))))]),
    ]:  # fmt: skip
        with pytest.raises(Refused):
            calibrate(histories, rule, parameter, wanted)
    assert limits_of("missing") == limits_of("trend") == []
    assert limits_of("threshold") == ["low_low", "low", "high", "high_high"]


def test_other_limits_of_the_rule_bound_the_search() -> None:
    rule = a_rule("threshold", low=5.0, high=11.0, high_high=11.5, consecutive=1, dead_band=0.0)
    proposal = calibrate(FLEET, rule, "high", 0.5)
    assert all(5.0 < one.limit < 11.5 for one in proposal.tried)
    with pytest.raises(Refused, match="room"):
        calibrate(FLEET, replace(rule, parameters={**rule.parameters, "high": 11.4995, "low": 11.499}), "high", 0.5)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 60))
def test_the_interval_of_a_count_holds_it_and_is_exact(count: int) -> None:
    low, high = poisson_interval(count)
    assert low <= count < high
    terms = np.cumsum(np.concatenate([[0.0], np.log(np.arange(1, 400))]))
    below = np.exp(-high + np.arange(count + 1) * np.log(high) - terms[: count + 1]).sum()
    assert below == pytest.approx(0.05)


def test_every_limit_that_can_be_calibrated_is_a_parameter_of_its_detector() -> None:
    for detector, names in LIMITS.items():
        fields = {field.name for field in dataclasses.fields(CATALOGUE[detector].parameters)}
        assert set(names) <= fields, detector


def two_metrics(values: np.ndarray, load: np.ndarray, regimes: OperatingRegimes | None) -> History:
    """A machine whose signal (series 5) follows its load (series 6)."""
    ts_us = START_US + np.arange(len(values), dtype=np.int64) * 3_600_000_000
    readings = Readings(
        np.repeat(np.array([5, 6], np.int32), len(values)), np.tile(ts_us, 2), np.concatenate([values, load])
    )
    return History(1, {5: "signal", 6: "load"}, readings, regimes=regimes)


def test_a_replay_knows_the_operating_regimes() -> None:
    """SPEC D2: without them every change of load is a fault, and only a limit beyond it is quiet."""
    load = np.where(np.arange(HOURS) % 200 < 100, 20.0, 80.0)
    values = correlated(7) + np.where(load > 50, 30.0, 0.0)
    rule = a_rule("level", metric="signal", consecutive=1, low=None, high=1.5, by_regime=True)
    regimes = OperatingRegimes("load", (50.0,), 0.0)
    known, unknown = (calibrate([two_metrics(values, load, told)], rule, "high", 0.2).limit for told in (regimes, None))
    assert known is not None
    assert known < 1.6
    assert unknown is None or unknown > 2 * known


def test_a_rule_over_several_metrics_is_replayed_as_ingest_runs_it() -> None:
    """SPEC D3, D6."""
    random = np.random.default_rng(3)
    load = 50 + 10 * random.standard_normal(HOURS)
    values = 0.2 * load + 0.3 * random.standard_normal(HOURS)
    rule = a_rule("t2q", metric="*", max_age_s=7_200.0, consecutive=1)
    proposal = calibrate([two_metrics(values, load, None)], rule, "factor", 0.2)
    assert proposal.limit is not None
    assert any(one.findings > 0 for one in proposal.tried), "the rule must have spoken"
