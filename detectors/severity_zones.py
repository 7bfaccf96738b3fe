"""Severity zones of a machine's vibration velocity after ISO 20816-3: context for a finding, not a detector (SPEC D4).

The standard judges the RMS velocity from 10 to 1,000 Hz, measured on the bearing housings, by the size of the machine
and how it stands. In zone A vibrate new machines, in B such as may run without limit, in C such as may run until they
can be repaired, in D it may do damage. Bearing faults are over before their velocity leaves zone A or B: the zones
tell how the machine fares, the level against its own baseline (``level.py``) whether it has changed.

Source: ISO 20816-3:2022 (before: ISO 10816-3:2009), tables of zone boundaries for machines above 15 kW between 120 and
15,000 rpm; group 1 are machines above 300 kW or with a shaft height from 315 mm, group 2 those from 15 to 300 kW.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class MachineGroup(StrEnum):
    """The size of a machine: large above 300 kW, medium from 15 kW."""

    LARGE = "large"
    MEDIUM = "medium"


class Foundation(StrEnum):
    """Rigid: the lowest natural frequency of machine and support is a quarter or more above the main excitation."""

    RIGID = "rigid"
    FLEXIBLE = "flexible"


class Zone(StrEnum):
    """Zones A to D, from new to damaging."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"


# RMS velocity in mm/s at the borders A/B, B/C and C/D.
BORDERS_MM_S: Mapping[tuple[MachineGroup, Foundation], tuple[float, float, float]] = MappingProxyType(
    {
        (MachineGroup.MEDIUM, Foundation.RIGID): (1.4, 2.8, 4.5),
        (MachineGroup.MEDIUM, Foundation.FLEXIBLE): (2.3, 4.5, 7.1),
        (MachineGroup.LARGE, Foundation.RIGID): (2.3, 4.5, 7.1),
        (MachineGroup.LARGE, Foundation.FLEXIBLE): (3.5, 7.1, 11.0),
    }
)
MEANING_EN: Mapping[Zone, str] = MappingProxyType(
    {
        Zone.A: "as of a new machine",
        Zone.B: "fit for long operation",
        Zone.C: "fit for a limited time only",
        Zone.D: "may cause damage",
    }
)
MEANING_ZH: Mapping[Zone, str] = MappingProxyType(
    {
        Zone.A: "新机水平",
        Zone.B: "可长期运行",
        Zone.C: "只可短期运行",
        Zone.D: "可能造成损坏",
    }
)


@dataclass(frozen=True, slots=True)
class Severity:
    """A velocity with its zone; ``next_mm_s`` is the border above it, None in zone D."""

    velocity_mm_s: float
    zone: Zone
    next_mm_s: float | None

    def in_english(self) -> str:
        """Return a sentence for a finding's summary."""
        border = "" if self.next_mm_s is None else f", next zone from {self.next_mm_s:g} mm/s"
        return f"{self.velocity_mm_s:.2g} mm/s is zone {self.zone} of ISO 20816-3: {MEANING_EN[self.zone]}{border}"

    def in_chinese(self) -> str:
        """Return the same in Chinese."""
        border = "" if self.next_mm_s is None else f"，{self.next_mm_s:g} mm/s 起进入下一区"
        return f"{self.velocity_mm_s:.2g} mm/s 属于 ISO 20816-3 的 {self.zone} 区：{MEANING_ZH[self.zone]}{border}"


def severity_zone(velocity_mm_s: float, group: MachineGroup, foundation: Foundation) -> Severity:
    """Return the zone of an RMS velocity in mm/s; a border belongs to the zone below it.

    Raises ValueError for a velocity that is negative or not finite.

    >>> severity_zone(3.0, MachineGroup.MEDIUM, Foundation.RIGID).zone.value
    'C'
    >>> severity_zone(3.0, MachineGroup.MEDIUM, Foundation.FLEXIBLE).in_english()
    '3 mm/s is zone B of ISO 20816-3: fit for long operation, next zone from 4.5 mm/s'
    """
    if not 0 <= velocity_mm_s < math.inf:
        raise ValueError(f"an RMS velocity is a finite number from 0, got {velocity_mm_s!r}")
    borders = BORDERS_MM_S[group, foundation]
    place = sum(velocity_mm_s > border for border in borders)
    return Severity(velocity_mm_s, tuple(Zone)[place], borders[place] if place < len(borders) else None)
