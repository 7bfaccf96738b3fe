"""An induction motor whose drive-end bearing wears out.

A spall in a raceway adds vibration in quadrature to what the rotor makes, then friction warms the housing and
costs a little current and slip. Past the limit the protection relay trips the motor. Levels follow ISO 20816-3
for a medium machine on a rigid base: healthy in zone A (below 1.4 mm/s), failed well in zone D (above 4.5 mm/s).
"""

from __future__ import annotations

import math

import numpy as np

from simulators.machine import Drift, Happening, Observation, WearingPart, WearPlan, approach
from simulators.waveform import RATE_HZ, UNIT, Waveform, bearing_vibration

SYNCHRONOUS_RPM = 1500.0
FULL_LOAD_SLIP_RPM = 24.0
FULL_LOAD_CURRENT_A = 21.0
AMBIENT_C = 24.0
HEALTHY_VIBRATION_MM_S = 1.1
FAILED_VIBRATION_MM_S = 9.5
HOUSING_TIME_CONSTANT_S = 12.0

TRIP = Happening("error", "vibration_trip", "critical", "The protection relay tripped the motor on high vibration")
STOPPED = Happening("state", "tripped", "warning", "The motor stands still")


class Motor:
    """Metrics: vibration_mm_s (RMS velocity), temperature_c (bearing housing), current_a, speed_rpm."""

    asset_type = "motor"
    failure_mode = "bearing_wear"
    component = "bearing"

    def __init__(self, plan: WearPlan, rng: np.random.Generator) -> None:
        self.part = WearingPart(plan)
        self._rng = rng
        self._load = Drift(sd=0.01, time_constant_s=2.0)
        self._housing_c = AMBIENT_C + _heat_rise_c(0.75, 0.0)
        self._tripped = False
        # A stream of its own, so that a block taken or not leaves the readings as they are.
        self._block_rng = rng.spawn(1)[0]

    def waveform(self) -> Waveform:
        """Return what the accelerometer at the drive end records now; at standstill nothing but noise."""
        damage, turning = self.part.damage, not self._tripped
        load = 0.75
        speed_rpm = SYNCHRONOUS_RPM - FULL_LOAD_SLIP_RPM * (load + 0.1 * damage) if turning else 0.0
        samples = bearing_vibration(
            self._block_rng,
            shaft_hz=speed_rpm / 60,
            rotor_mm_s=HEALTHY_VIBRATION_MM_S if turning else 0.0,
            spall_mm_s=FAILED_VIBRATION_MM_S * damage if turning else 0.0,
            damage=damage if turning else 0.0,
        )
        return Waveform("drive_end", UNIT, RATE_HZ, samples, speed_rpm)

    def step(self, dt_s: float, wear_h: float) -> Observation:
        """See Machine.step. A tripped motor cools, and ages no further until its bearing is replaced."""
        damage = self.part.damage
        if damage >= 1.0:
            happenings = () if self._tripped else (TRIP, STOPPED)
            self._tripped = True
            return Observation(self._standing_still(dt_s), happenings)
        self._tripped = False
        self.part.age(wear_h)
        noise = self._rng.standard_normal(4)
        load = 0.75 + self._load.step(dt_s, self._rng)
        self._housing_c = approach(
            self._housing_c, AMBIENT_C + _heat_rise_c(load, damage), dt_s, HOUSING_TIME_CONSTANT_S
        )
        vibration = math.hypot(HEALTHY_VIBRATION_MM_S, FAILED_VIBRATION_MM_S * damage)
        return Observation(
            {
                "vibration_mm_s": round(max(0.0, vibration * (1 + 0.04 * noise[0])), 4),
                "temperature_c": round(self._housing_c + 0.15 * noise[1], 3),
                "current_a": round(FULL_LOAD_CURRENT_A * (0.3 + 0.7 * load + 0.05 * damage) + 0.15 * noise[2], 3),
                "speed_rpm": round(SYNCHRONOUS_RPM - FULL_LOAD_SLIP_RPM * (load + 0.1 * damage) + 0.4 * noise[3], 2),
            }
        )

    def _standing_still(self, dt_s: float) -> dict[str, float]:
        self._housing_c = approach(self._housing_c, AMBIENT_C, dt_s, 4 * HOUSING_TIME_CONSTANT_S)
        noise = self._rng.standard_normal(2)
        return {
            "vibration_mm_s": round(0.05 + 0.01 * abs(noise[0]), 4),
            "temperature_c": round(self._housing_c + 0.15 * noise[1], 3),
            "current_a": 0.0,
            "speed_rpm": 0.0,
        }


def _heat_rise_c(load: float, damage: float) -> float:
    # Copper losses grow with the square of the load; a spalled race adds friction heat.
    return 46.0 * load * load + 28.0 * damage
