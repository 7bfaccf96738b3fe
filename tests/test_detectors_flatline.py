"""Flatline: a stuck sensor against the longest run it ever had (SPEC D1)."""

from __future__ import annotations

import pytest

from detectors.flatline import FlatlineParameters
from detectors.trial import episodes
from tests.detection_builders import START_US, a_bank, a_rule, noise, opened_in, readings_of

ALIVE = [5.0, 5.1, 5.2, 5.1] * 25


def opened(values: list[float], **parameters: float) -> list[int]:
    found = episodes("flatline", {"learn_samples": 50, **parameters}, values)
    return [index for index, _ in found]


def test_a_run_longer_than_the_samples_allowed_opens_and_the_next_other_value_clears() -> None:
    values = ALIVE + [5.3] * 15 + ALIVE
    assert episodes("flatline", {"learn_samples": 50}, values) == [(110, 115)]


def test_what_the_sensor_did_while_learning_stretches_the_run_allowed() -> None:
    """A set point holds for long: three times the longest run learnt."""
    steps = [5.0] * 20 + [6.0] * 20
    assert opened(steps + [5.0] * 60 + [6.0] * 5) == []
    assert opened(steps + [5.0] + [6.0] * 70) == [40 + 1 + 60]


def test_within_the_resolution_a_value_is_the_same() -> None:
    flicker = [5.3, 5.31] * 20
    assert opened(ALIVE + flicker) == []
    assert opened(ALIVE + flicker, resolution=0.02) == [110]


def test_a_slow_drift_in_steps_below_the_resolution_is_alive() -> None:
    drift = [5.3 + 0.004 * number for number in range(200)]
    assert opened(ALIVE + drift, resolution=0.02) == []


def test_seconds_must_have_passed_too() -> None:
    values = ALIVE + [5.3] * 100
    assert opened(values, at_least_s=60.0) == [160]


def test_silence_is_not_sameness() -> None:
    """A gap starts the run again."""
    bank = a_bank(a_rule("flatline", samples=10))
    assert bank.feed(readings_of([*noise(60), *[12.0] * 8])) == []
    assert bank.feed(readings_of([12.0] * 10, first=200)) == []
    assert opened_in(bank.feed(readings_of([12.0], first=210)))


def test_a_set_point_learnt_as_constant_needs_thrice_as_long_to_be_called_stuck() -> None:
    assert opened([5.0] * 150) == []
    assert opened([5.0] * 152) == [150]


def test_the_evidence_tells_the_run_and_what_was_allowed() -> None:
    (finding,) = opened_in(a_bank(a_rule("flatline")).feed(readings_of([*noise(60), *[12.0] * 20])))
    assert finding.direction == "none"
    assert (finding.value, finding.limit) == (12.0, 12.0)
    assert finding.evidence["count"] == 5
    assert finding.evidence["allowed_samples"] == 4
    assert finding.score == 5 / 4
    assert finding.evidence["window_start"] == START_US / 1e6 + 60


def test_parameters_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="'samples' must lie between 2"):
        FlatlineParameters(samples=1)
    with pytest.raises(ValueError, match="'factor' must lie between 1"):
        FlatlineParameters(factor=0.5)
