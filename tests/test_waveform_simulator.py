"""The simulated motor's accelerometer: a signal whose features tell the truth about its bearing (SPEC R1, D4)."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.vibration import features
from ingest.decoders.waveform import decode_waveform
from simulators.fleet import FleetPlan
from simulators.machine import WearPlan, generator_of
from simulators.motor import FULL_LOAD_SLIP_RPM, SYNCHRONOUS_RPM, Motor
from simulators.oven import Oven
from simulators.waveform import OUTER_RACE_PER_TURN, Vibrating

HEALTHY = WearPlan(10_000, 400)


def block_features(motor: Motor) -> dict[str, float]:
    (block,), sequence = decode_waveform(motor.waveform().encode(1_000, 7))
    assert (block.ts_us, sequence, block.unit) == (1_000_000, 7, "m/s2")
    return features(block)


def test_a_motor_has_an_accelerometer_and_an_oven_has_none() -> None:
    assert isinstance(Motor(HEALTHY, generator_of(1, "m")), Vibrating)
    assert not isinstance(Oven(HEALTHY, generator_of(1, "o")), Vibrating)


def test_kurtosis_and_envelope_rise_long_before_the_failure_and_velocity_only_towards_it() -> None:
    motor = Motor(WearPlan(0, 400), generator_of(3, "m"))
    life = []
    for _ in range(10):
        life.append((motor.part.damage, block_features(motor)))
        motor.step(0.5, 40)
    (_, sound), (_, early), (late_damage, late) = life[0], life[1], life[-1]
    assert late_damage < 1
    assert sound["kurtosis"] == pytest.approx(3, abs=0.3)
    assert early["kurtosis"] > 8
    assert early["velocity_rms_mm_s"] < 1.25 * sound["velocity_rms_mm_s"]
    assert late["velocity_rms_mm_s"] > 4 * sound["velocity_rms_mm_s"]
    assert late["kurtosis"] < early["kurtosis"]
    envelopes = [found["envelope_peak_1"] for _, found in life]
    assert envelopes == sorted(envelopes)
    assert envelopes[1] > 10 * envelopes[0]


@pytest.mark.parametrize("seed", range(5))
def test_the_strongest_line_of_the_envelope_names_the_outer_race_within_one_bin(seed: int) -> None:
    motor = Motor(WearPlan(0, 400), generator_of(seed, "m"))
    motor.step(0.5, 120)
    shaft_hz = (SYNCHRONOUS_RPM - FULL_LOAD_SLIP_RPM * 0.75) / 60
    waveform = motor.waveform()
    assert block_features(motor)["envelope_peak_1_hz"] == pytest.approx(
        OUTER_RACE_PER_TURN * shaft_hz, abs=1 / waveform.length_s
    )


def test_the_blocks_velocity_is_that_of_the_motors_own_reading() -> None:
    for seed, hours in ((1, 0.0), (2, 250.0), (3, 380.0)):
        motor = Motor(WearPlan(0, 400), generator_of(seed, "m"))
        said = motor.step(0.5, hours).values["vibration_mm_s"]
        motor_now = block_features(motor)["velocity_rms_mm_s"]
        wears = np.hypot(1.1, 9.5 * motor.part.damage)
        assert motor_now == pytest.approx(wears, rel=0.15)
        assert said == pytest.approx(1.1, rel=0.2)


def test_a_tripped_motor_stands_still() -> None:
    motor = Motor(WearPlan(0, 10), generator_of(1, "m"))
    for _ in range(3):
        motor.step(0.5, 20)
    assert block_features(motor)["velocity_rms_mm_s"] < 0.2


def test_taking_a_block_or_not_leaves_the_readings_as_they_are() -> None:
    """SPEC R1: repeatable from the seed."""
    plain, heard = (Motor(HEALTHY, generator_of(1, "m")) for _ in range(2))
    for _ in range(5):
        heard.waveform()
        assert plain.step(0.5, 1.0).values == heard.step(0.5, 1.0).values
    first, again = (Motor(HEALTHY, generator_of(1, "m")).waveform().samples for _ in range(2))
    assert np.array_equal(first, again)


def test_a_fleet_cannot_send_blocks_at_negative_intervals() -> None:
    with pytest.raises(ValueError, match="waveform_every_s"):
        FleetPlan(waveform_every_s=-1)
