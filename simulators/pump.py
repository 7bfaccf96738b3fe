"""A centrifugal pump that begins to cavitate because its suction strainer clogs.

The strainer's pressure loss eats the suction head. Once the head available (NPSHa) comes near the head the
impeller requires (NPSHr), vapour bubbles form at its eye: first noise, then lost head and flow. Head follows
H = H0 - k Q^2 and the power what the water takes up divided by the efficiency.
"""

from __future__ import annotations

import numpy as np

from simulators.machine import Drift, Happening, Observation, WearingPart, WearPlan

WATER_N_M3 = 998.0 * 9.81
ATMOSPHERE_BAR = 1.013
VAPOUR_BAR = 0.074  # water at 40 degrees Celsius
HEALTHY_SUCTION_BAR = 0.60
CLOGGED_SUCTION_LOSS_BAR = 1.25
REQUIRED_HEAD_M = 4.5
# Bubbles begin well above the textbook limit, which is defined by 3 % of lost head.
INCEPTION_MARGIN = 2.6
RATED_FLOW_L_MIN = 2000.0
SHUT_OFF_BAR = 6.2
PRESSURE_LOSS_AT_RATED_FLOW_BAR = 1.7
EFFICIENCY = 0.74

ALARM = Happening("error", "low_npsh", "error", "Suction pressure is below what the impeller needs")
TRIP = Happening("error", "dry_run_trip", "critical", "The controller tripped the pump: no net suction head left")
STOPPED = Happening("state", "tripped", "warning", "The pump stands still")


class Pump:
    """Metrics: flow_l_min, discharge_pressure_bar, suction_pressure_bar (both gauge), vibration_mm_s, power_kw."""

    asset_type = "pump"
    failure_mode = "cavitation"
    component = "suction_strainer"

    def __init__(self, plan: WearPlan, rng: np.random.Generator) -> None:
        self.part = WearingPart(plan)
        self._rng = rng
        self._demand = Drift(sd=0.004, time_constant_s=2.0)
        self._alarmed = False
        self._tripped = False

    def step(self, dt_s: float, wear_h: float) -> Observation:
        """See Machine.step. A tripped pump moves nothing until its strainer is replaced."""
        damage = self.part.damage
        if damage >= 1.0:
            stopped = () if self._tripped else (TRIP, STOPPED)
            self._tripped = True
            return Observation(_standing_still(), stopped)
        self._tripped = False
        self.part.age(wear_h)
        noise = self._rng.standard_normal(5)
        suction_bar = HEALTHY_SUCTION_BAR - CLOGGED_SUCTION_LOSS_BAR * damage
        cavitation = cavitation_of(available_head_m(suction_bar))
        flow = RATED_FLOW_L_MIN * (1 + self._demand.step(dt_s, self._rng)) * (1 - 0.25 * cavitation)
        rise_bar = SHUT_OFF_BAR - PRESSURE_LOSS_AT_RATED_FLOW_BAR * (flow / RATED_FLOW_L_MIN) ** 2
        rise_bar *= 1 - 0.35 * cavitation
        # litres a minute times bar is 1/600 kW
        power = flow * rise_bar / 600 / (EFFICIENCY * (1 - 0.2 * cavitation))
        vibration = 1.6 + 6.5 * cavitation
        # Collapsing bubbles are irregular: the spread grows with the level.
        spread = 0.04 + 0.10 * cavitation
        values = {
            "flow_l_min": round(flow + 6.0 * noise[0], 2),
            "discharge_pressure_bar": round(suction_bar + rise_bar + 0.012 * noise[1], 4),
            "suction_pressure_bar": round(suction_bar + 0.008 * noise[2], 4),
            "vibration_mm_s": round(max(0.0, vibration * (1 + spread * noise[3])), 4),
            "power_kw": round(power * (1 + 0.006 * noise[4]), 4),
        }
        alarm = cavitation > 0.35
        happenings = (ALARM,) if alarm and not self._alarmed else ()
        self._alarmed = alarm
        return Observation(values, happenings)


def available_head_m(suction_bar: float) -> float:
    """Return the net positive suction head available, in metres of water, at a gauge suction pressure in bar."""
    return (suction_bar + ATMOSPHERE_BAR - VAPOUR_BAR) * 1e5 / WATER_N_M3


def cavitation_of(head_m: float) -> float:
    """Return the intensity of cavitation from 0 (none, above inception) to 1 (no head left)."""
    inception_m = INCEPTION_MARGIN * REQUIRED_HEAD_M
    return min(1.0, max(0.0, (inception_m - head_m) / inception_m))


def _standing_still() -> dict[str, float]:
    return {
        "flow_l_min": 0.0,
        "discharge_pressure_bar": 0.0,
        "suction_pressure_bar": 0.0,
        "vibration_mm_s": 0.05,
        "power_kw": 0.0,
    }
