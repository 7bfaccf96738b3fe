"""Vibration over the wire: the class of a machine's severity zones, and what its measuring points say."""

from __future__ import annotations

from datetime import datetime

from api.schemas import Asked, Told
from detectors.severity_zones import Foundation, MachineGroup, Zone
from storage.bearing_verdicts import BearingVerdict


class SeverityClassBody(Asked):
    """The size of a machine and how it stands, after ISO 20816-3."""

    group: MachineGroup
    foundation: Foundation


class PointShape(Told):
    """A measuring point with its newest velocity (RMS, mm/s; equipment time) and the zone that it lies in.

    ``highest_mm_s`` is the highest velocity of the day before the newest one, for a machine that stands tells nothing.
    ``verdict`` is what the newest block that is kept whole says of the bearing; null where it cannot say.
    """

    metric: str
    velocity_mm_s: float | None
    measured_at: datetime | None
    zone: Zone | None
    next_zone_from_mm_s: float | None
    highest_mm_s: float | None
    highest_zone: Zone | None
    bearing: str | None
    waveform_id: int | None
    verdict: BearingVerdict | None


class VibrationShape(Told):
    """The measuring points of an asset; while nobody has said the class, ``is_assumed``, the lowest borders hold."""

    group: MachineGroup
    foundation: Foundation
    is_assumed: bool
    borders_mm_s: tuple[float, float, float]
    items: list[PointShape]
