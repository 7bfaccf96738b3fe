"""Which part of a rolling bearing is damaged: its fault frequencies in the envelope spectrum (SPEC D4).

Theory. A spall knocks each time a rolling element passes it, and the geometry says how often. With n elements of
diameter d on a pitch circle D, contact angle a and c = d/D cos(a), a turning shaft in a fixed outer ring gives, in
orders (times the shaft's speed):

- ``bpfo``  ball pass frequency, outer race   n/2 (1 - c)
- ``bpfi``  ball pass frequency, inner race   n/2 (1 + c)
- ``bsf``   ball spin frequency               D/(2d) (1 - c^2); a spall on a ball meets both races, so twice as often
- ``ftf``   fundamental train (cage) frequency  1/2 (1 - c)

Rolling elements slip by a percent or so, therefore the strongest line within 1.5 % of each of the first three
harmonics counts. Each is divided by the median of the spectrum around it, which cancels level and slope, and the
geometric mean of the three is the part's ratio: one strong foreign line raises it by its cube root only. Lines of
whole orders are left out, because unbalance, looseness and gears make them. Noise alone gives a ratio of 2 to 3, and
how much exactly depends on the machine: so a part is named when its ratio exceeds 1.2 times the highest that the same
machine showed while it was healthy. On 54 public recordings that named 28 of 34 damaged races, all of them right,
and none of the healthy; damaged balls are often missed.

Source: R. B. Randall and J. Antoni, Rolling element bearing diagnostics - a tutorial, Mechanical Systems and Signal
Processing 25 (2011); W. A. Smith and R. B. Randall, Rolling element bearing diagnostics using the Case Western
Reserve University data, Mechanical Systems and Signal Processing 64-65 (2015).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from detectors.spectrum import Lines

HARMONICS = (1, 2, 3)
SEARCH = 0.015
BASELINE_MARGIN = 1.2
# No limit is lower: noise alone came to 2.6 in 300 blocks, however calm the few healthy ones were.
LEAST_LIMIT = 3.0
# Fewer harmonics than this are a coincidence, not a comb.
_FEWEST_HARMONICS = 2
# The median is taken over this part of the frequency on each side, and over so many bins at least.
_AROUND, _AROUND_BINS = 0.1, 16
# A Hann window spreads a line over this many bins on each side.
_LINE_BINS = 1.5


class Part(StrEnum):
    """A part of a rolling bearing, by the name of its fault frequency."""

    OUTER_RACE = "bpfo"
    INNER_RACE = "bpfi"
    ROLLING_ELEMENT = "bsf"
    CAGE = "ftf"


PART_EN: Mapping[Part, str] = MappingProxyType(
    {
        Part.OUTER_RACE: "outer race",
        Part.INNER_RACE: "inner race",
        Part.ROLLING_ELEMENT: "rolling element",
        Part.CAGE: "cage",
    }
)
PART_ZH: Mapping[Part, str] = MappingProxyType(
    {Part.OUTER_RACE: "外圈", Part.INNER_RACE: "内圈", Part.ROLLING_ELEMENT: "滚动体", Part.CAGE: "保持架"}
)
# Which multiples of a part's frequency its knocks may come at.
_COMBS: Mapping[Part, tuple[int, ...]] = MappingProxyType(
    {Part.OUTER_RACE: (1,), Part.INNER_RACE: (1,), Part.ROLLING_ELEMENT: (1, 2), Part.CAGE: (1,)}
)


@dataclass(frozen=True, slots=True)
class FaultOrders:
    """Fault frequencies in multiples of the shaft's speed, as a bearing's maker states them."""

    bpfo: float
    bpfi: float
    bsf: float
    ftf: float

    def __post_init__(self) -> None:
        for part in Part:
            if not 0 < self.of(part) <= 100:
                raise ValueError(f"{part} must be a multiple of the shaft speed in (0, 100], got {self.of(part)!r}")

    def of(self, part: Part) -> float:
        """Return the order of one part."""
        order: float = getattr(self, part.value)
        return order


@dataclass(frozen=True, slots=True)
class BearingGeometry:
    """The inside of a bearing: both diameters in the same unit (mm), the contact angle in degrees.

    >>> orders = BearingGeometry(16, 8.41, 71.5, 15.17).orders()
    >>> [round(orders.of(part) * 2000 / 60, 1) for part in Part]
    [236.4, 296.9, 139.9, 14.8]
    """

    elements: int
    ball_diameter_mm: float
    pitch_diameter_mm: float
    contact_angle_deg: float = 0.0

    def __post_init__(self) -> None:
        if not 3 <= self.elements <= 200:
            raise ValueError(f"a bearing has 3 to 200 rolling elements, got {self.elements}")
        if not 0 < self.ball_diameter_mm < self.pitch_diameter_mm < math.inf:
            got = f"{self.ball_diameter_mm} and {self.pitch_diameter_mm}"
            raise ValueError(f"the ball diameter must be above 0 and below the pitch diameter, got {got}")
        if not 0 <= self.contact_angle_deg < 90:
            raise ValueError(f"the contact angle lies between 0 and 90 degrees, got {self.contact_angle_deg}")

    def orders(self) -> FaultOrders:
        """Return the fault orders of a shaft that turns in a fixed outer ring."""
        share = self.ball_diameter_mm / self.pitch_diameter_mm
        along = share * math.cos(math.radians(self.contact_angle_deg))
        return FaultOrders(
            bpfo=self.elements / 2 * (1 - along),
            bpfi=self.elements / 2 * (1 + along),
            bsf=(1 - along * along) / (2 * share),
            ftf=(1 - along) / 2,
        )


@dataclass(frozen=True, slots=True)
class TurningBearing:
    """A bearing at a speed: what the search for its fault frequencies needs."""

    orders: FaultOrders
    speed_rpm: float

    def __post_init__(self) -> None:
        if not 0 < self.speed_rpm < math.inf:
            raise ValueError(f"the shaft must turn to have fault frequencies, got {self.speed_rpm} rpm")


@dataclass(frozen=True, slots=True)
class FittedBearing:
    """A bearing as the register knows it; ``speed_rpm`` is the shaft's usual speed, None where it varies."""

    orders: FaultOrders
    speed_rpm: float | None = None

    def turning(self, speed_rpm: float | None) -> TurningBearing | None:
        """Return the bearing at the speed that was measured, else at the usual one; None at standstill or unknown."""
        turns = self.speed_rpm if speed_rpm is None else speed_rpm
        return TurningBearing(self.orders, turns) if turns is not None and turns > 0 else None


@dataclass(frozen=True, slots=True)
class PartEvidence:
    """What the envelope spectrum shows of one part.

    ``frequency_hz`` is where its knocks are expected; ``found_hz`` and ``ratios`` are the strongest line near each
    harmonic and its height in medians of the spectrum around it; ``ratio`` is the geometric mean of those.
    """

    frequency_hz: float
    found_hz: tuple[float, ...]
    ratios: tuple[float, ...]
    ratio: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The damaged part, None when there is none, with the evidence about every part and the ratio that names it."""

    part: Part | None
    evidence: Mapping[Part, PartEvidence]
    limits: Mapping[Part, float]

    @property
    def name(self) -> str:
        """The part in words, "none" where none is damaged."""
        return "none" if self.part is None else PART_EN[self.part]

    def in_words(self) -> str:
        """Return the verdict as a sentence that says what it rests on."""
        if self.part is None:
            seen = ", ".join(f"{part} {one.ratio:.1f} of {self.limits[part]:.1f}" for part, one in self._judged())
            return f"none: no part is above its limit ({seen or 'nothing could be judged'})"
        one = self.evidence[self.part]
        lines = ", ".join(f"{hz:.1f} Hz ({ratio:.1f})" for hz, ratio in zip(one.found_hz, one.ratios, strict=True))
        return f"{self.name}: {self.part} {one.ratio:.1f} above {self.limits[self.part]:.1f}; lines at {lines}"

    def _judged(self) -> list[tuple[Part, PartEvidence]]:
        return [(part, one) for part, one in self.evidence.items() if part in self.limits]


def examine(lines: Lines, bearing: TurningBearing) -> dict[Part, PartEvidence]:
    """Return what an envelope spectrum shows of each part; parts that it cannot resolve are left out."""
    shaft_hz = bearing.speed_rpm / 60
    found = {}
    for part in Part:
        combs = [_comb(lines, bearing.orders.of(part) * shaft_hz * times, shaft_hz) for times in _COMBS[part]]
        told = [comb for comb in combs if comb is not None]
        if told:
            found[part] = max(told, key=lambda comb: comb.ratio)
    return found


def healthy_limits(
    healthy: Sequence[Mapping[Part, PartEvidence]], margin: float = BASELINE_MARGIN
) -> dict[Part, float]:
    """Return the ratio above which a part is named: ``margin`` times the highest of the machine's healthy blocks.

    Never below LEAST_LIMIT. With no healthy block there is no limit and no verdict.
    """
    highest: dict[Part, float] = {}
    for block in healthy:
        for part, evidence in block.items():
            highest[part] = max(highest.get(part, 0.0), evidence.ratio)
    return limits_above(highest, margin)


def limits_above(highest: Mapping[Part, float], margin: float = BASELINE_MARGIN) -> dict[Part, float]:
    """Return the ratio above which a part is named, where ``highest`` is the highest of its healthy blocks."""
    return {part: max(LEAST_LIMIT, margin * ratio) for part, ratio in highest.items()}


def identify(evidence: Mapping[Part, PartEvidence], limits: Mapping[Part, float]) -> Verdict:
    """Name the part that is furthest above its limit, or none; a part without a limit is not judged."""
    excess = {part: one.ratio / limits[part] for part, one in evidence.items() if part in limits}
    worst = max(excess, key=lambda part: excess[part], default=None)
    return Verdict(worst if worst is not None and excess[worst] > 1 else None, evidence, limits)


def _comb(lines: Lines, frequency_hz: float, shaft_hz: float) -> PartEvidence | None:
    """Return the strongest lines near the harmonics of a frequency; None when too few can be told apart."""
    step_hz = float(lines.frequency_hz[0])
    found = [_harmonic(lines.amplitude, step_hz, times * frequency_hz, shaft_hz) for times in HARMONICS]
    told = [one for one in found if one is not None]
    if len(told) < _FEWEST_HARMONICS:
        return None
    ratios = tuple(ratio for _, ratio in told)
    mean = math.exp(sum(math.log(ratio) for ratio in ratios) / len(ratios))
    return PartEvidence(frequency_hz, tuple(hz for hz, _ in told), ratios, mean)


def _harmonic(
    amplitude: NDArray[np.float64], step_hz: float, expected_hz: float, shaft_hz: float
) -> tuple[float, float] | None:
    """Return (frequency, height in medians) of the strongest line near ``expected_hz``. Line i is at (i+1) steps."""
    # Half a bin on each side: a line between two bins shows in both.
    first = math.ceil(expected_hz * (1 - SEARCH) / step_hz - 0.5) - 1
    last = math.floor(expected_hz * (1 + SEARCH) / step_hz + 0.5) - 1
    if first < 1 or last >= len(amplitude) - 1:
        return None
    from_whole_order = _LINE_BINS * step_hz
    best = -1
    for line in range(first, last + 1):
        hz = (line + 1) * step_hz
        if abs(hz - shaft_hz * max(1, round(hz / shaft_hz))) >= from_whole_order and (
            best < 0 or amplitude[line] > amplitude[best]
        ):
            best = line
    reach = max(_AROUND_BINS, int(_AROUND * expected_hz / step_hz))
    around = amplitude[max(0, first - reach) : last + reach + 1]
    middle = len(around) // 2
    median = float(np.partition(around, middle)[middle])
    if best < 0 or median <= 0:
        return None
    # The very strongest line of all is a finite ratio, and no line at all must have a logarithm.
    return (best + 1) * step_hz, max(float(amplitude[best]) / median, 1e-3)
