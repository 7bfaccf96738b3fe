"""What each detector calls calm and what it calls a fault, for the suite that every detector passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from domain.findings import Direction, Finding
from tests.detection_builders import noise

Signal = Callable[[int, int], np.ndarray]  # (count, seed) -> values around ten


def _noise(count: int, seed: int) -> np.ndarray:
    return noise(count, seed=seed)


def _shifted(count: int, seed: int) -> np.ndarray:
    return noise(count, centre=20.0, seed=seed)


def _ramp(per_sample: float) -> Signal:
    return lambda count, seed: 12.0 + per_sample * np.arange(1, count + 1)


def _constant(count: int, seed: int) -> np.ndarray:
    return np.full(count, 12.0)


def _beyond_its_limit(finding: Finding) -> bool:
    return finding.value > finding.limit > 10


@dataclass(frozen=True, slots=True)
class Signals:
    """The signals of one detector with its QUICK parameters.

    A fault that follows 100 calm samples opens a finding of this direction within ``within`` samples, and what the
    finding then says of value and limit makes ``claims`` true. ``constant`` equal samples are still nothing.
    """

    fault: Signal = _shifted
    calm: Signal = _noise
    direction: Direction = Direction.UP
    within: int = 10
    constant: int = 2_000
    claims: Callable[[Finding], bool] = _beyond_its_limit


SIGNALS: Mapping[str, Signals] = {
    "rate": Signals(fault=_ramp(2.0)),
    "flatline": Signals(
        fault=_constant,
        direction=Direction.NONE,
        constant=100,
        claims=lambda finding: finding.value == finding.limit == 12.0,
    ),
    # Two hundred samples to the limit; the finding comes before it.
    "trend": Signals(
        fault=_ramp(0.4),
        within=60,
        claims=lambda finding: 10 < finding.value < finding.limit == 40.0,
    ),
}
SHIFT = Signals()  # of all the others


def signals_of(detector: str) -> Signals:
    """The signals of this detector; of one that is not named above a shift by twenty spreads is the fault."""
    return SIGNALS.get(detector, SHIFT)
