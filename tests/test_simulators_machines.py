"""The physical models: healthy readings stay put, wear shows where the physics says, a repair restores (SPEC R1)."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from simulators.machine import Machine, Phase, WearingPart, WearPlan, generator_of
from simulators.motor import Motor
from simulators.oven import Oven
from simulators.pump import Pump, available_head_m, cavitation_of

HEALTHY_FOR_EVER = WearPlan(onset_h=1e9, growth_h=1.0)
WEARS_AT_ONCE = WearPlan(onset_h=0.0, growth_h=400.0)
MODELS = [Motor, Pump, Oven]


def run(machine: Machine, steps: int, wear_h: float = 5.0) -> dict[str, np.ndarray]:
    """Readings of ``steps`` half-second steps, as a column per metric."""
    rows = [machine.step(0.5, wear_h).values for _ in range(steps)]
    return {metric: np.array([row[metric] for row in rows]) for metric in rows[0]}


@pytest.mark.parametrize("model", MODELS)
def test_the_same_seed_gives_the_same_readings_and_another_seed_others(model) -> None:
    first, again, other = (run(model(HEALTHY_FOR_EVER, generator_of(seed, "X-1")), 50) for seed in (1, 1, 2))
    assert all(np.array_equal(first[metric], again[metric]) for metric in first)
    assert any(not np.array_equal(first[metric], other[metric]) for metric in first)


@pytest.mark.parametrize("model", MODELS)
def test_a_healthy_machine_shows_no_trend_in_an_hour(model) -> None:
    columns = run(model(HEALTHY_FOR_EVER, generator_of(3, "X-1")), 7_200)
    for metric, values in columns.items():
        early, late = values[:3_600].mean(), values[3_600:].mean()
        assert abs(early - late) <= 0.15 * max(values.std(), 1e-9), metric


@pytest.mark.parametrize("model", MODELS)
def test_readings_are_finite_and_never_negative_where_they_cannot_be(model) -> None:
    for values in run(model(WEARS_AT_ONCE, generator_of(4, "X-1")), 300).values():
        assert np.isfinite(values).all()
    assert run(model(WEARS_AT_ONCE, generator_of(4, "X-1")), 300).get("vibration_mm_s", np.zeros(1)).min() >= 0


def test_damage_is_zero_before_onset_grows_ever_faster_and_stays_at_one() -> None:
    part = WearingPart(WearPlan(onset_h=100, growth_h=100))
    damages = []
    for _ in range(250):
        part.age(1.0)
        damages.append(part.damage)
    assert damages[98] == 0 == damages[0]
    assert 0 < damages[149] < 0.25, "half way it is still small"
    assert damages[-1] == 1.0
    assert all(earlier <= later for earlier, later in itertools.pairwise(damages))


def test_a_part_is_healthy_then_wearing_then_failed_and_healthy_again_once_replaced() -> None:
    part = WearingPart(WearPlan(onset_h=10, growth_h=10))
    phases = [part.phase]
    for _ in range(2):
        part.age(11)
        phases.append(part.phase)
    part.replace(WearPlan(onset_h=10, growth_h=10))
    assert [*phases, part.phase] == [Phase.HEALTHY, Phase.WEARING, Phase.FAILED, Phase.HEALTHY]


@pytest.mark.parametrize(("onset_h", "growth_h"), [(-1, 10), (0, 0), (5, -3)])
def test_an_impossible_wear_plan_is_refused(onset_h: float, growth_h: float) -> None:
    with pytest.raises(ValueError, match="onset_h >= 0 and growth_h > 0"):
        WearPlan(onset_h, growth_h)


def test_a_worn_bearing_shows_first_in_vibration_then_in_heat_and_trips_the_motor_once() -> None:
    motor = Motor(WearPlan(onset_h=0, growth_h=1_000), generator_of(5, "M-1"))
    rows = [motor.step(0.5, 5.0) for _ in range(230)]
    vibration = np.array([row.values["vibration_mm_s"] for row in rows])
    heat = np.array([row.values["temperature_c"] for row in rows])
    half = slice(95, 105)
    assert vibration[half].mean() > 1.5 * vibration[:5].mean()
    assert heat[half].mean() < 1.1 * heat[:5].mean()
    assert vibration[:200].max() > 4.5, "past ISO 20816 zone C before it fails"
    happened = [happening.code for row in rows for happening in row.happenings]
    assert happened == ["vibration_trip", "tripped"]
    assert rows[-1].values["speed_rpm"] == 0


def test_a_tripped_motor_does_not_age_and_runs_again_with_a_new_bearing() -> None:
    motor = Motor(WearPlan(onset_h=0, growth_h=10), generator_of(6, "M-1"))
    run(motor, 20)
    age = motor.part.age_h
    run(motor, 20)
    assert motor.part.age_h == age
    motor.part.replace(HEALTHY_FOR_EVER)
    assert run(motor, 20)["speed_rpm"].min() > 1_400


def test_cavitation_begins_near_the_required_head_and_is_total_without_head() -> None:
    assert cavitation_of(available_head_m(0.6)) == 0
    assert 0 < cavitation_of(available_head_m(-0.2)) < 1
    assert cavitation_of(0.0) == 1.0
    assert available_head_m(0.0) == pytest.approx(9.59, abs=0.01)


def test_a_clogging_strainer_lowers_suction_first_then_flow_and_head_while_vibration_rises() -> None:
    columns = run(Pump(WearPlan(onset_h=0, growth_h=1_000), generator_of(7, "P-1")), 195)
    suction, flow, vibration = (columns[name] for name in ("suction_pressure_bar", "flow_l_min", "vibration_mm_s"))
    assert suction[90:100].mean() < 0.45
    assert flow[90:100].mean() > 0.98 * flow[:5].mean(), "no cavitation yet"
    assert flow[-5:].mean() < 0.92 * flow[:5].mean()
    assert vibration[-5:].mean() > 2 * vibration[:5].mean()
    assert columns["discharge_pressure_bar"][-5:].mean() < 0.85 * columns["discharge_pressure_bar"][:5].mean()


def test_the_controller_hides_a_dying_heater_until_it_has_no_duty_left() -> None:
    columns = run(Oven(WearPlan(onset_h=0, growth_h=2_000), generator_of(8, "O-1")), 420)
    temperature, duty = columns["temperature_c"], columns["heater_percent"]
    assert abs(temperature[250:260].mean() - 200) < 1.0
    assert duty[250:260].mean() > duty[:10].mean() + 5
    assert duty[-1] > 99
    assert temperature[-1] < 195
