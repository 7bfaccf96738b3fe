"""One conformance suite over the whole catalogue: what every detector must do, whatever it computes (SPEC D6)."""

from __future__ import annotations

import doctest
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.bank import Bank, Cleared, FindingChange, Opened
from detectors.catalogue import CATALOGUE
from tests.detection_builders import QUICK, START_US, a_bank, a_rule, noise, opened_in, readings_of
from tests.detector_signals import SIGNALS, Signals, signals_of

# Those that look at several metrics at once have a suite of their own, ``test_detectors_t2q.py``.
STREAMING = sorted(name for name, spec in CATALOGUE.items() if name != "missing" and spec.vector is None)
EVERY = pytest.mark.parametrize("detector", sorted(CATALOGUE))
EVERY_STREAMING = pytest.mark.parametrize("detector", STREAMING)


def restarted(bank: Bank, detector: str) -> Bank:
    again = a_bank(a_rule(detector))
    again.restore(bank.save([1]))
    return again


def silence_judged(bank: Bank, now_us: int) -> list[FindingChange]:
    return bank.tick([1], now_us)


def low(count: int, seed: int) -> np.ndarray:
    return noise(count, centre=2.0, seed=seed)


@st.composite
def records(draw: st.DrawFn, signals: Signals) -> tuple[list[float], list[int]]:
    """Values with calm, faulty and low stretches, and times with gaps."""
    kinds = st.sampled_from([signals.calm, signals.fault, low])
    stretches = draw(st.lists(st.tuples(st.integers(5, 90), kinds), min_size=1, max_size=5))
    values = list(signals.calm(60, draw(st.integers(0, 5))))
    for number, (length, kind) in enumerate(stretches):
        values.extend(kind(length, number))
    gaps = draw(st.lists(st.integers(0, len(values) - 1), max_size=3))
    steps = np.ones(len(values), np.int64)
    steps[gaps] = 100
    return values, [int(at) for at in np.cumsum(steps) * 1_000_000 + START_US]


def fed(bank: Bank, values: list[float], ts_us: list[int]) -> list[FindingChange]:
    readings = readings_of(values)
    return bank.feed(type(readings)(readings.series_id, np.array(ts_us, np.int64), readings.value))


@EVERY
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_restart_at_any_point_gives_the_same_findings(detector: str, data: st.DataObject) -> None:
    """SPEC E6, ADR 3: restart equals continue, also with an anchor waiting and a silence judged between."""
    values, ts_us = data.draw(records(signals_of(detector)))
    split = data.draw(st.integers(0, len(values)))
    anchor_us = data.draw(st.sampled_from([None, *ts_us]))
    whole, parted = a_bank(a_rule(detector)), a_bank(a_rule(detector))
    for bank in (whole, parted):
        if anchor_us is not None:
            bank.anchor(1, anchor_us)
    look_us = (ts_us[split - 1] if split else START_US) + 50_000_000
    expected = fed(whole, values[:split], ts_us[:split]) + silence_judged(whole, look_us)
    expected += fed(whole, values[split:], ts_us[split:])
    found = fed(parted, values[:split], ts_us[:split])
    parted = restarted(parted, detector)
    found += silence_judged(parted, look_us)
    parted = restarted(parted, detector)
    found += fed(parted, values[split:], ts_us[split:])
    assert found == expected


@EVERY
def test_one_batch_and_many_give_the_same_findings(detector: str) -> None:
    signals = signals_of(detector)
    values = [*signals.calm(80, 0), *signals.fault(60, 0), *signals.calm(80, 1)]
    at_once = a_bank(a_rule(detector)).feed(readings_of(values))
    bank = a_bank(a_rule(detector))
    one_by_one = [change for i, x in enumerate(values) for change in bank.feed(readings_of([x], first=i))]
    assert one_by_one == at_once


@EVERY
def test_a_constant_signal_is_silent(detector: str) -> None:
    assert a_bank(a_rule(detector)).feed(readings_of([10.0] * signals_of(detector).constant)) == []


@EVERY
def test_calm_noise_is_silent(detector: str) -> None:
    assert a_bank(a_rule(detector)).feed(readings_of(list(signals_of(detector).calm(5_000, 0)))) == []


@EVERY_STREAMING
def test_one_episode_is_one_finding_that_opens_and_clears(detector: str) -> None:
    """ADR 6."""
    signals = signals_of(detector)
    values = [*signals.calm(100, 0), *signals.fault(60, 0), *signals.calm(300, 1)]
    changes = a_bank(a_rule(detector, hold_s=60.0, refractory_s=200.0)).feed(readings_of(values))
    assert [type(change) for change in changes] == [Opened, Cleared]
    opened, cleared = changes
    assert isinstance(opened, Opened)
    assert isinstance(cleared, Cleared)
    assert 100 <= opened.finding.opened_at.timestamp() - START_US / 1e6 <= 100 + signals.within
    assert opened.finding.direction == signals.direction
    assert cleared.opened_at == opened.finding.opened_at


@EVERY_STREAMING
def test_a_single_wild_value_raises_nothing(detector: str) -> None:
    """SPEC D1: N consecutive samples."""
    calm = signals_of(detector).calm
    values = [*calm(100, 0), 80.0, *calm(100, 1)]
    assert a_bank(a_rule(detector)).feed(readings_of(values)) == []


@EVERY_STREAMING
def test_a_latched_finding_stays_open_until_the_series_is_anchored(detector: str) -> None:
    signals = signals_of(detector)
    bank = a_bank(a_rule(detector, latch=True))
    changes = bank.feed(readings_of([*signals.calm(100, 0), *signals.fault(60, 0), *signals.calm(300, 1)]))
    assert [type(change) for change in changes] == [Opened]
    bank.anchor(1, START_US + 470_000_000)
    after = bank.feed(readings_of(list(signals.calm(100, 2)), first=460))
    assert [type(change) for change in after] == [Cleared]
    assert isinstance(after[0], Cleared)
    assert after[0].cleared_at.timestamp() == (START_US / 1e6) + 470


@EVERY_STREAMING
def test_a_gap_never_adds_up_to_a_duration(detector: str) -> None:
    """ADR 6: two samples beyond the limit with a long silence between are not an hour of alarm."""
    signals = signals_of(detector)
    bank = a_bank(a_rule(detector, on_delay_s=60.0))
    fault = list(signals.fault(25, 0))
    assert bank.feed(readings_of([*signals.calm(100, 0), *fault[:20]])) == []
    assert bank.feed(readings_of(fault[20:], first=3_700)) == []


@EVERY
def test_readings_not_newer_than_the_watermark_are_refused_and_change_nothing(detector: str) -> None:
    """SPEC E6: never twice."""
    signals = signals_of(detector)
    values = [*signals.calm(100, 0), *signals.fault(60, 0)]
    bank, twin = a_bank(a_rule(detector)), a_bank(a_rule(detector))
    for one in (bank, twin):
        one.feed(readings_of(values[:90]))
    with pytest.raises(ValueError, match="not newer than what was fed"):
        bank.feed(
            readings_of(values[89:]),
        )
    with pytest.raises(ValueError, match="series-time order"):
        bank.feed(readings_of([*values[90:95], 1.0], step_s=0.0))
    rest = readings_of(values[90:], first=90)
    assert bank.feed(rest) == twin.feed(rest)


@EVERY_STREAMING
def test_a_finding_carries_its_evidence(detector: str) -> None:
    """SPEC D8."""
    signals = signals_of(detector)
    values = [*signals.calm(100, 0), *signals.fault(60, 0)]
    (finding,) = opened_in(a_bank(a_rule(detector, hold_s=600.0)).feed(readings_of(values)))
    assert finding.asset_id == 7
    assert finding.metric == "signal"
    assert finding.detector == detector
    assert signals.claims(finding)
    assert finding.score > 0
    assert finding.evidence["window_start"] <= finding.opened_at.timestamp()
    assert set(CATALOGUE[detector].extra) <= finding.evidence.keys()
    assert all(np.isfinite(number) for number in finding.evidence.values())


@EVERY
def test_the_example_in_the_docstring_runs(detector: str) -> None:
    """SPEC D6: the catalogue teaches."""
    module = sys.modules[CATALOGUE[detector].parameters.__module__]
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
    assert "Source:" in (module.__doc__ or "")


def test_the_quick_parameters_cover_the_catalogue() -> None:
    assert QUICK.keys() == CATALOGUE.keys()
    assert SIGNALS.keys() <= CATALOGUE.keys()
