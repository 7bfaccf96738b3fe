"""An oven under a temperature controller whose heater elements burn out one by one.

The controller hides the fault: it holds the temperature by asking for a longer duty. So the duty (heater_percent)
shows the wear long before the temperature does; when the duty reaches 100 % the temperature sags.
"""

from __future__ import annotations

import numpy as np

from simulators.machine import Happening, Observation, WearingPart, WearPlan

SETPOINT_C = 200.0
HALL_C = 26.0
HEATER_KW = 12.0
LOSS_KW_PER_K = 0.0379  # 55 % duty holds the set point with sound elements
HEAT_CAPACITY_KJ_PER_K = 2.4
LOST_POWER_AT_FAILURE = 0.6
GAIN_PERCENT_PER_K = 4.0
RESET_TIME_S = 6.0
SAG_K = 5.0

SAG = Happening("error", "temperature_low", "error", "The temperature is below its band at full heater output")


class Oven:
    """Metrics: temperature_c, setpoint_c, heater_percent (duty)."""

    asset_type = "oven"
    failure_mode = "heater_degradation"
    component = "heater"

    def __init__(self, plan: WearPlan, rng: np.random.Generator) -> None:
        self.part = WearingPart(plan)
        self._rng = rng
        self._chamber_c = SETPOINT_C
        self._integral_percent = 100 * LOSS_KW_PER_K * (SETPOINT_C - HALL_C) / HEATER_KW
        self._sagging = False

    def step(self, dt_s: float, wear_h: float) -> Observation:
        """See Machine.step. An oven with a failed heater runs on, too cold."""
        self.part.age(wear_h)
        noise = self._rng.standard_normal(2)
        measured_c = self._chamber_c + 0.12 * noise[0]
        error_k = SETPOINT_C - measured_c
        wanted = GAIN_PERCENT_PER_K * error_k + self._integral_percent
        duty = min(100.0, max(0.0, wanted))
        if duty == wanted:
            # Anti-windup: the integral rests while the output is at its stop.
            self._integral_percent += GAIN_PERCENT_PER_K * error_k * dt_s / RESET_TIME_S
        power_kw = HEATER_KW * (1 - LOST_POWER_AT_FAILURE * self.part.damage) * duty / 100
        loss_kw = LOSS_KW_PER_K * (self._chamber_c - HALL_C)
        self._chamber_c += (power_kw - loss_kw) * dt_s / HEAT_CAPACITY_KJ_PER_K
        values = {
            "temperature_c": round(measured_c, 3),
            "setpoint_c": SETPOINT_C,
            "heater_percent": round(min(100.0, max(0.0, duty + 0.25 * noise[1])), 3),
        }
        sagging = self._chamber_c < SETPOINT_C - SAG_K
        happenings = (SAG,) if sagging and not self._sagging else ()
        self._sagging = sagging
        return Observation(values, happenings)
