"""Faults to order (SPEC R3): each does what it says, at the rate ordered, and nothing else."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from simulators.faults import FAULTS, FaultOrder, Sample, Stuck, disturb, faults_of, parse_order
from simulators.fleet import FleetPlan

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
COUNT = 4_000


def samples() -> list[Sample]:
    return [
        Sample(START + timedelta(seconds=number / 2), number, {"a": float(number), "b": 1.0})
        for number in range(1, COUNT + 1)
    ]


def sent_with(fault: str, amount: float) -> list[Sample]:
    faults = faults_of("M-1", [FaultOrder("M-1", fault, amount)], np.random.default_rng(1))
    return [sample for one in samples() for sample in disturb(faults, [one])]


def test_without_faults_everything_is_sent_as_it_is() -> None:
    assert disturb([], samples()) == samples()


def test_dropout_loses_its_share_and_leaves_holes_in_the_sequence() -> None:
    sent = sent_with("dropout", 0.05)
    assert 0.03 < 1 - len(sent) / COUNT < 0.07
    assert len({sample.sequence for sample in sent}) == len(sent)


def test_a_spike_multiplies_one_metric_of_its_share_of_messages() -> None:
    changed = [(one, other) for one, other in zip(samples(), sent_with("spike", 0.02), strict=True) if one != other]
    assert 0.01 < len(changed) / COUNT < 0.03
    for before, after in changed:
        touched = [metric for metric in before.values if before.values[metric] != after.values[metric]]
        assert len(touched) == 1
        assert after.values[touched[0]] == 8 * before.values[touched[0]]


def test_a_stuck_sensor_repeats_one_message_and_comes_free_again() -> None:
    sent = sent_with("stuck", 0.005)
    runs = Counter(sample.values["a"] for sample in sent)
    assert max(runs.values()) == Stuck.LENGTH + 1
    assert min(runs.values()) == 1
    assert [sample.sequence for sample in sent] == [sample.sequence for sample in samples()]


def test_duplicates_are_sent_twice_with_the_same_sequence_number() -> None:
    counted = Counter(sample.sequence for sample in sent_with("duplicates", 0.1))
    assert set(counted.values()) == {1, 2}
    assert 0.08 < (sum(counted.values()) - COUNT) / COUNT < 0.12


def test_disorder_loses_nothing_and_holds_a_message_back_behind_at_most_five() -> None:
    sent = sent_with("disorder", 0.1)
    sequences = [sample.sequence for sample in sent]
    assert sequences != sorted(sequences)
    assert set(range(1, COUNT - 5)) <= set(sequences)
    newest = 0
    for sequence in sequences:
        newest = max(newest, sequence)
        assert newest - sequence <= 10, "held back behind five that may themselves be late"


@pytest.mark.parametrize("seconds", [90.0, -3_600.0])
def test_a_skewed_clock_shifts_every_stamp_and_nothing_else(seconds: float) -> None:
    for before, after in zip(samples(), sent_with("skew", seconds), strict=True):
        assert after.ts - before.ts == timedelta(seconds=seconds)
        assert (after.sequence, after.values) == (before.sequence, before.values)


@pytest.mark.parametrize("fault", [name for name in FAULTS if name != "skew"])
def test_an_amount_of_nought_disturbs_nothing(fault: str) -> None:
    assert sent_with(fault, 0.0) == samples()


def test_faults_strike_the_device_they_are_ordered_for_in_the_order_given() -> None:
    orders = [FaultOrder("M-1", "skew", 5.0), FaultOrder("M-2", "dropout", 1.0), FaultOrder("M-1", "duplicates", 1.0)]
    faults = faults_of("M-1", orders, np.random.default_rng(1))
    assert len(disturb(faults, samples()[:3])) == 6


def test_an_order_is_read_from_its_text() -> None:
    assert parse_order("M-102:dropout:0.05") == FaultOrder("M-102", "dropout", 0.05)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("M-102:dropout", "ordered as device:fault:amount"),
        (":dropout:0.1", "ordered as device:fault:amount"),
        ("M-102:gremlin:0.1", "there is no fault 'gremlin'.*choose one of dropout"),
        ("M-102:dropout:often", "is a number, got 'often'"),
        ("M-102:dropout:1.5", "probability from 0 to 1, got 1.5"),
        ("M-102:spike:nan", "probability from 0 to 1, got nan"),
    ],
)
def test_an_order_that_cannot_be_read_is_refused_in_words(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_order(text)


def test_a_fault_for_a_machine_that_the_fleet_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match=r"ordered for X-9; the fleet has M-101"):
        FleetPlan(faults=(FaultOrder("X-9", "dropout", 0.1),))
