"""What every simulated machine shares: a part that wears, a step in time, and the truth about it.

Ageing and physics run on two clocks. The physics (heat, load) follow the wall clock, so that readings look as a
sensor would give them; ageing follows the wear clock, which the fleet runs thousands of times faster. A month of
wear then shows within a minute without the temperatures jumping.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol
from zlib import crc32

import numpy as np


class Phase(StrEnum):
    """The truth about a machine, in the order of its life."""

    HEALTHY = "healthy"
    WEARING = "wearing"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Happening:
    """An event that the machine itself reports: kind error or state, with its code, severity and text."""

    kind: str
    code: str
    severity: str
    text: str


@dataclass(frozen=True, slots=True)
class Observation:
    """What one step shows: a value per metric (units are in the metric's name) and the events of the step."""

    values: dict[str, float]
    happenings: tuple[Happening, ...] = ()


@dataclass(frozen=True, slots=True)
class WearPlan:
    """How the part ages, in hours of wear.

    It is sound for ``onset_h``, then its damage grows exponentially and reaches 1, the functional failure,
    ``growth_h`` later (the P-F interval).
    """

    onset_h: float
    growth_h: float

    def __post_init__(self) -> None:
        if self.onset_h < 0 or self.growth_h <= 0:
            raise ValueError(f"a wear plan needs onset_h >= 0 and growth_h > 0, got {self.onset_h} and {self.growth_h}")


# Damage feeds on itself: a spall sheds the particles that widen it. exp(3) gives twentyfold growth over the interval.
GROWTH_EXPONENT = 3.0


class WearingPart:
    """The one part of a machine that fails in this simulation: its age, and its damage from 0 to 1."""

    def __init__(self, plan: WearPlan) -> None:
        self.plan = plan
        self.age_h = 0.0

    @property
    def damage(self) -> float:
        """0 while sound, 1 at functional failure; it stays at 1."""
        progress = (self.age_h - self.plan.onset_h) / self.plan.growth_h
        if progress <= 0:
            return 0.0
        return min(1.0, math.expm1(GROWTH_EXPONENT * progress) / math.expm1(GROWTH_EXPONENT))

    @property
    def phase(self) -> Phase:
        """Where the part is in its life."""
        damage = self.damage
        if damage >= 1.0:
            return Phase.FAILED
        return Phase.WEARING if damage > 0 else Phase.HEALTHY

    def age(self, wear_h: float) -> None:
        """Use the part for ``wear_h`` hours."""
        self.age_h += wear_h

    def replace(self, plan: WearPlan) -> None:
        """Fit a new part."""
        self.plan = plan
        self.age_h = 0.0


class Drift:
    """A slow wander around zero (first-order autoregression): load, ambient, supply. ``sd`` is its deviation."""

    def __init__(self, sd: float, time_constant_s: float) -> None:
        self._sd = sd
        self._time_constant_s = time_constant_s
        self._value = 0.0

    def step(self, dt_s: float, rng: np.random.Generator) -> float:
        """Return the wander after ``dt_s`` more seconds."""
        memory = math.exp(-dt_s / self._time_constant_s)
        self._value = memory * self._value + self._sd * math.sqrt(1 - memory * memory) * float(rng.standard_normal())
        return self._value


class Machine(Protocol):
    """A physical model with one part that wears."""

    asset_type: str
    failure_mode: str
    component: str
    part: WearingPart

    def step(self, dt_s: float, wear_h: float) -> Observation:
        """Run ``dt_s`` seconds of physics and ``wear_h`` hours of ageing, and return what the sensors show."""
        ...


def generator_of(seed: int, name: str, resumed_at: int = 0) -> np.random.Generator:
    """Return the machine's own stream of random numbers: the same for the same seed, name and resumption."""
    return np.random.default_rng([seed, crc32(name.encode()), resumed_at])


def approach(value: float, target: float, dt_s: float, time_constant_s: float) -> float:
    """Return ``value`` after ``dt_s`` seconds of first-order approach to ``target`` (exact for any step)."""
    return target + (value - target) * math.exp(-dt_s / time_constant_s)
