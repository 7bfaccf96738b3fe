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

STREAMING = sorted(set(CATALOGUE) - {"missing"})
EVERY = pytest.mark.parametrize("detector", sorted(CATALOGUE))
EVERY_STREAMING = pytest.mark.parametrize("detector", STREAMING)


def restarted(bank: Bank, detector: str) -> Bank:
    again = a_bank(a_rule(detector))
    again.restore(bank.save([1]))
    return again


def silence_judged(bank: Bank, now_us: int) -> list[FindingChange]:
    return bank.tick([1], now_us)


@st.composite
def records(draw: st.DrawFn) -> tuple[list[float], list[int]]:
    """Values with calm and shifted stretches, and times with gaps."""
    stretches = draw(
        st.lists(st.tuples(st.integers(5, 90), st.sampled_from([10.0, 20.0, 2.0])), min_size=1, max_size=5)
    )
    values = list(noise(60, seed=draw(st.integers(0, 5))))
    for number, (length, centre) in enumerate(stretches):
        values.extend(noise(length, centre=centre, seed=number))
    gaps = draw(st.lists(st.integers(0, len(values) - 1), max_size=3))
    steps = np.ones(len(values), np.int64)
    steps[gaps] = 100
    return values, [int(at) for at in np.cumsum(steps) * 1_000_000 + START_US]


def fed(bank: Bank, values: list[float], ts_us: list[int]) -> list[FindingChange]:
    readings = readings_of(values)
    return bank.feed(type(readings)(readings.series_id, np.array(ts_us, np.int64), readings.value))


@EVERY
@settings(max_examples=40, deadline=None)
@given(record=records(), data=st.data())
def test_a_restart_at_any_point_gives_the_same_findings(
    detector: str, record: tuple[list[float], list[int]], data: st.DataObject
) -> None:
    """SPEC E6, ADR 3: restart equals continue, also with an anchor waiting and a silence judged between."""
    values, ts_us = record
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
    values = [*noise(80), *noise(60, centre=20.0), *noise(80, seed=1)]
    at_once = a_bank(a_rule(detector)).feed(readings_of(values))
    bank = a_bank(a_rule(detector))
    one_by_one = [change for i, x in enumerate(values) for change in bank.feed(readings_of([x], first=i))]
    assert one_by_one == at_once


@EVERY
def test_a_constant_signal_is_silent(detector: str) -> None:
    assert a_bank(a_rule(detector)).feed(readings_of([10.0] * 2_000)) == []


@EVERY
def test_calm_noise_is_silent(detector: str) -> None:
    assert a_bank(a_rule(detector)).feed(readings_of(list(noise(5_000)))) == []


@EVERY_STREAMING
def test_one_episode_is_one_finding_that_opens_and_clears(detector: str) -> None:
    """ADR 6."""
    values = [*noise(100), *noise(60, centre=20.0), *noise(300, seed=1)]
    changes = a_bank(a_rule(detector, hold_s=60.0, refractory_s=200.0)).feed(readings_of(values))
    assert [type(change) for change in changes] == [Opened, Cleared]
    opened, cleared = changes
    assert isinstance(opened, Opened)
    assert isinstance(cleared, Cleared)
    assert 100 <= (opened.finding.opened_at.timestamp() * 1e6 - START_US) / 1e6 <= 110
    assert opened.finding.direction == "up"
    assert cleared.opened_at == opened.finding.opened_at


@EVERY_STREAMING
def test_a_single_wild_value_raises_nothing(detector: str) -> None:
    """SPEC D1: N consecutive samples."""
    values = [*noise(100), 80.0, *noise(100, seed=1)]
    assert a_bank(a_rule(detector)).feed(readings_of(values)) == []


@EVERY_STREAMING
def test_a_latched_finding_stays_open_until_the_series_is_anchored(detector: str) -> None:
    bank = a_bank(a_rule(detector, latch=True))
    changes = bank.feed(readings_of([*noise(100), *noise(60, centre=20.0), *noise(300, seed=1)]))
    assert [type(change) for change in changes] == [Opened]
    bank.anchor(1, START_US + 470_000_000)
    after = bank.feed(readings_of(list(noise(100, seed=2)), first=460))
    assert [type(change) for change in after] == [Cleared]
    assert isinstance(after[0], Cleared)
    assert after[0].cleared_at.timestamp() == (START_US / 1e6) + 470


@EVERY_STREAMING
def test_a_gap_never_adds_up_to_a_duration(detector: str) -> None:
    """ADR 6: two samples beyond the limit with a long silence between are not an hour of alarm."""
    rule = a_rule(detector, on_delay_s=60.0)
    bank = a_bank(rule)
    assert bank.feed(readings_of([*noise(100), *noise(20, centre=20.0)])) == []
    assert bank.feed(readings_of(list(noise(5, centre=20.0)), first=3_700)) == []


@EVERY
def test_readings_not_newer_than_the_watermark_are_refused_and_change_nothing(detector: str) -> None:
    """SPEC E6: never twice."""
    values = [*noise(100), *noise(60, centre=20.0)]
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
    (finding,) = opened_in(
        a_bank(a_rule(detector, hold_s=600.0)).feed(readings_of([*noise(100), *noise(60, centre=20.0)]))
    )
    assert finding.asset_id == 7
    assert finding.metric == "signal"
    assert finding.detector == detector
    assert finding.value > finding.limit > 10
    assert finding.score > 0
    assert finding.evidence["window_start"] <= finding.opened_at.timestamp()
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
