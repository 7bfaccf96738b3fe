"""Conformance of every detector beside others: bad rows, holds, regimes, restarts, any batching (SPEC D1, D2, E6)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.bank import Bank, Cleared, FindingChange, Opened
from detectors.catalogue import CATALOGUE
from detectors.running import Role
from tests.detection_builders import START_US, a_rule, noise, opened_in
from tests.detector_signals import SIGNALS, signals_of
from tests.machine_builders import (
    HIGH_LOAD,
    LOAD,
    LOW_LOAD,
    REGIMES,
    SIGNAL,
    Message,
    a_machine,
    messages,
    restarted,
    tell,
)

BAD_VALUE = 1_000.0
JUDGING = sorted(
    name for name, spec in CATALOGUE.items() if spec.role not in (Role.GATE, Role.SILENCE) and spec.vector is None
)
EVERY = pytest.mark.parametrize("detector", sorted(CATALOGUE))
EVERY_JUDGING = pytest.mark.parametrize("detector", JUDGING)
# Those to which a shift of the signal is the fault.
EVERY_SHIFTED = pytest.mark.parametrize("detector", [name for name in JUDGING if name not in SIGNALS])
EVERY_BASELINE = pytest.mark.parametrize(
    "detector", [name for name in JUDGING if CATALOGUE[name].role == Role.BASELINE]
)
A_GATE = a_rule("quality", rule_id=100, low=-500.0, high=500.0)
A_LIMIT = a_rule("threshold", rule_id=101, high=30.0, low=-30.0)


def watched(detector: str) -> Bank:
    """Gate, limit and one detector of the catalogue, named last so that order does not do the gate's work."""
    load_gate = a_rule("quality", rule_id=102, low=0.0, high=100.0)
    return a_machine(a_rule(detector), A_LIMIT, A_GATE, load_rules=[load_gate])


@st.composite
def stories(draw: st.DrawFn) -> list[Message]:
    """A machine that changes load, drifts, breaks and reports nonsense and silence in between."""
    random = np.random.default_rng(draw(st.integers(0, 3)))
    told: list[Message] = []
    now_us = START_US
    levels = st.sampled_from([10.0, 20.0, 2.0, 40.0, BAD_VALUE])
    loads = st.sampled_from([LOW_LOAD, HIGH_LOAD, None, BAD_VALUE])
    stretch = st.tuples(st.integers(1, 60), levels, loads, st.sampled_from([1, 1, 1, 100]))
    calm = (60, 10.0, LOW_LOAD, 1)
    for length, centre, load, silence_s in [calm, *draw(st.lists(stretch, min_size=1, max_size=7))]:
        now_us += (silence_s - 1) * 1_000_000
        for one in centre + np.clip(0.5 * random.standard_normal(length), -1.5, 1.5):
            now_us += 1_000_000
            told.append(Message(now_us, float(one), load))
    return told


@EVERY
@settings(max_examples=60, deadline=None)
@given(story=stories(), data=st.data())
def test_batches_and_restarts_anywhere_give_the_same_findings_and_state(
    detector: str, story: list[Message], data: st.DataObject
) -> None:
    """SPEC E6, ADR 3: what was found does not depend on how rows came, nor on when the process died."""
    cuts = sorted(data.draw(st.sets(st.integers(0, len(story)), max_size=6)))
    restarts = data.draw(st.sets(st.sampled_from(cuts))) if cuts else set()
    anchor_us = data.draw(st.sampled_from([None, *(one.ts_us for one in story)]))
    whole, parted = watched(detector), watched(detector)
    for bank in (whole, parted):
        if anchor_us is not None:
            bank.anchor(SIGNAL, anchor_us)
    expected = tell(whole, story)
    found: list[FindingChange] = []
    for start, stop in zip([0, *cuts], [*cuts, len(story)], strict=True):
        if start in restarts:
            parted = restarted(parted, watched(detector))
        found += tell(parted, story[start:stop])
    assert found == expected
    assert parted.save([SIGNAL, LOAD]) == whole.save([SIGNAL, LOAD])


@EVERY_JUDGING
def test_a_bad_row_is_neither_judged_nor_learnt_from(detector: str) -> None:
    """SPEC D1: the quality gate comes first, whatever the order of rules."""
    signals = signals_of(detector)
    good = messages([*signals.calm(100, 0), *signals.fault(100, 0), *signals.calm(100, 1)], LOW_LOAD)
    bad = {number: replace(one, signal=BAD_VALUE) for number, one in enumerate(good) if number % 9 in (4, 5)}
    without = tell(watched(detector), [one for number, one in enumerate(good) if number not in bad])
    among = tell(watched(detector), [bad.get(number, one) for number, one in enumerate(good)])
    assert [change for change in among if rule_of(change) != A_GATE.rule_id] == without
    assert opened_of(1, without)


@EVERY_SHIFTED
def test_a_few_bad_rows_change_no_count_and_many_are_a_gap(detector: str) -> None:
    """A stretch of bad rows that spans a gap is one: silence never adds up to a duration (ADR 6)."""
    rule = a_rule(detector, on_delay_s=20.0)
    calm, shifted = noise(100), noise(100, centre=20.0)
    opened = opened_in(tell(a_machine(rule, A_GATE), messages([*calm, *shifted[:2], *([BAD_VALUE] * 100)], LOW_LOAD)))
    assert {finding.rule_id for finding in opened} == {A_GATE.rule_id}
    one_bad, many_bad = a_machine(rule, A_GATE), a_machine(rule, A_GATE)
    tell(one_bad, messages([*calm, *shifted[:15], BAD_VALUE], LOW_LOAD))
    tell(many_bad, messages([*calm, *shifted[:15], *([BAD_VALUE] * 6)], LOW_LOAD))
    assert opened_of(rule.rule_id, tell(one_bad, messages(shifted[15:33], LOW_LOAD, first=116)))
    assert not opened_of(rule.rule_id, tell(many_bad, messages(shifted[15:33], LOW_LOAD, first=121)))


@EVERY_BASELINE
def test_rows_that_come_while_a_limit_has_a_finding_open_teach_nothing(detector: str) -> None:
    """SPEC D2: baselines stop learning while a finding is open; one in shadow moves nothing."""
    calm, hot, after = noise(20), noise(200, centre=45.0), noise(40, seed=1)
    rule, limit = a_rule(detector), replace(A_LIMIT, parameters={"high": 30.0, "consecutive": 1})
    story = messages([*calm, *hot, *after, *noise(60, centre=25.0, seed=2)], LOW_LOAD)
    (held,) = opened_of(1, tell(a_machine(rule, limit), story))
    assert held.evidence["baseline"] == pytest.approx(10.0, abs=0.5)
    shadowed = opened_of(1, tell(a_machine(rule, replace(limit, shadow=True)), story))
    assert [finding.evidence["baseline"] for finding in shadowed] != [held.evidence["baseline"]]


@EVERY_BASELINE
def test_each_regime_has_a_baseline_of_its_own(detector: str) -> None:
    """SPEC D2: the normal of full load is no fault, and a fault under full load is found."""
    loads = [LOW_LOAD if number // 100 % 2 == 0 else HIGH_LOAD for number in range(800)]
    random = np.random.default_rng(0)
    signal = [
        (10.0 if load == LOW_LOAD else 30.0) + np.clip(0.5 * random.standard_normal(), -1.5, 1.5) for load in loads
    ]
    bank = a_machine(a_rule(detector))
    assert tell(bank, messages(signal, loads)) == []
    assert opened_in(tell(a_machine(a_rule(detector), regimes=None), messages(signal, loads)))
    (finding,) = opened_in(tell(bank, messages(noise(60, centre=60.0), HIGH_LOAD, first=800)))
    assert finding.evidence["regime"] == 1
    assert finding.evidence["baseline"] == pytest.approx(30.0, abs=1.0)


@EVERY_SHIFTED
def test_between_regimes_only_the_baselines_are_blind(detector: str) -> None:
    bank = a_machine(a_rule(detector, consecutive=1), regimes=replace(REGIMES, settle_s=100.0))
    tell(bank, messages(noise(300), LOW_LOAD))
    changes = tell(bank, messages(noise(90, centre=20.0), HIGH_LOAD, first=300))
    assert bool(opened_in(changes)) == (CATALOGUE[detector].role == Role.LIMIT)


@EVERY_SHIFTED
def test_one_episode_is_one_finding_with_bad_rows_and_regimes_about(detector: str) -> None:
    """ADR 6."""
    signal = [*noise(100), *noise(60, centre=20.0), *noise(300, seed=1)]
    signal[20::25] = [BAD_VALUE] * len(signal[20::25])
    changes = tell(a_machine(a_rule(detector, hold_s=60.0, refractory_s=200.0), A_GATE), messages(signal, LOW_LOAD))
    assert [type(change) for change in changes] == [Opened, Cleared]


@EVERY
def test_a_slot_costs_the_same_after_a_day_as_after_a_minute(detector: str) -> None:
    """SPEC D6: state is bounded, and small enough that a thousand series stay in the cache."""
    assert CATALOGUE[detector].state.itemsize <= 4_096
    bank = watched(detector)
    tell(bank, messages(noise(60), LOW_LOAD))
    saved, sizes = len(bank.save([SIGNAL, LOAD])), bank.nbytes
    for hour in range(1, 25):
        tell(bank, messages(noise(3_600, seed=hour), LOW_LOAD, first=3_600 * hour))
    assert len(bank.save([SIGNAL, LOAD])) == saved
    assert bank.nbytes == sizes


def rule_of(change: FindingChange) -> int:
    return change.finding.rule_id if isinstance(change, Opened) else change.rule_id


def opened_of(rule_id: int, changes: list[FindingChange]) -> list:
    return [finding for finding in opened_in(changes) if finding.rule_id == rule_id]
