"""The measuring points of an asset: newest velocity with its zone, bands, fault-frequency ratios, bearing (SPEC D4).

A point is an accelerometer that sends waveforms, or a sensor that sends the velocity itself, told by its unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg import Connection

from detectors.bearings import Part
from detectors.severity_zones import Severity, severity_zone
from storage.bearing_verdicts import BearingVerdict, judge_block, newest_block
from storage.bearings import Bearing, list_bearings
from storage.charts import SeriesRow, chart, list_series
from storage.severity_classes import SeverityClass
from storage.waveforms import StoredWaveform

VELOCITY = "velocity_rms_mm_s"
_BAND = "band_"
# What a waveform becomes, by the end of its name: any of these tells an accelerometer.
_OF_WAVEFORM = ("rms", "peak", VELOCITY)
MOST_SERIES = 500
# Of a machine that stands the newest velocity says nothing: the highest of so long a time does.
LATELY = timedelta(days=1)
# Fewer pixels are as exact: of each its highest reading is kept.
_PIXELS = 24


@dataclass(frozen=True, slots=True)
class MeasuringPoint:
    """One point; ``metric`` names its waveforms, or is the velocity's own. ``severity`` is of the newest velocity.

    ``highest_mm_s`` is the highest velocity of the LATELY before the newest, and ``highest_severity`` its zone.
    ``block`` is the newest one that is kept whole; ``verdict`` what it says of the bearing, None where it cannot.
    """

    metric: str
    velocity: SeriesRow | None
    severity: Severity | None
    highest_mm_s: float | None
    highest_severity: Severity | None
    bands: tuple[SeriesRow, ...]
    ratios: tuple[SeriesRow, ...]
    bearing: Bearing | None
    block: StoredWaveform | None
    verdict: BearingVerdict | None

    @property
    def has_waveforms(self) -> bool:
        """Whether an accelerometer sends blocks here, or a bearing waits for them."""
        return bool(self.bands or self.ratios or self.bearing or self.block)


def measuring_points(
    connection: Connection, asset_id: int, judged_by: SeverityClass, now: datetime
) -> list[MeasuringPoint]:
    """Return the points of an asset in the order of their names; of its first MOST_SERIES series."""
    series = list_series(connection, asset_id=asset_id, limit=MOST_SERIES)
    bearings = {one.metric: one for one in list_bearings(connection, asset_id)}
    by_metric = {one.metric: one for one in series}
    names = {_point_of(one) for one in series} | set(bearings)
    return [
        _point(connection, asset_id, name, by_metric, bearings.get(name), judged_by, now)
        for name in sorted(name for name in names if name is not None)
    ]


def is_measured(series: Sequence[SeriesRow]) -> bool:
    """Whether any of these series belongs to a measuring point."""
    return any(_point_of(one) is not None for one in series)


def without_features(series: Sequence[SeriesRow]) -> list[SeriesRow]:
    """Return the series that are no features of waveforms: two dozen a point, which have a page of their own."""
    points = {point for one in series if (point := _point_of(one)) is not None}
    return [one for one in series if one.metric.rpartition(".")[0] not in points]


def _point_of(series: SeriesRow) -> str | None:
    point, _, feature = series.metric.rpartition(".")
    if point and feature in _OF_WAVEFORM:
        return point
    is_velocity = series.unit == "mm/s" or (series.unit is None and series.metric.endswith("_mm_s"))
    return series.metric if not point and is_velocity else None


def _point(
    connection: Connection,
    asset_id: int,
    name: str,
    by_metric: Mapping[str, SeriesRow],
    bearing: Bearing | None,
    judged_by: SeverityClass,
    now: datetime,
) -> MeasuringPoint:
    velocity = by_metric.get(f"{name}.{VELOCITY}", by_metric.get(name))
    value = None if velocity is None else velocity.last_value
    highest = None if velocity is None else _highest(connection, velocity)
    bands = sorted(
        (one for metric, one in by_metric.items() if metric.startswith(f"{name}.{_BAND}")), key=lambda one: one.metric
    )
    ratios = [by_metric[f"{name}.{part}"] for part in Part if f"{name}.{part}" in by_metric]
    block = newest_block(connection, asset_id, name, now)
    return MeasuringPoint(
        metric=name,
        velocity=velocity,
        severity=_severity(value, judged_by),
        highest_mm_s=highest,
        highest_severity=_severity(highest, judged_by),
        bands=tuple(bands),
        ratios=tuple(ratios),
        bearing=bearing,
        block=block,
        verdict=None if block is None or bearing is None else judge_block(connection, asset_id, bearing, block),
    )


def _highest(connection: Connection, velocity: SeriesRow) -> float | None:
    if velocity.last_at is None:
        return None
    until = velocity.last_at + timedelta(microseconds=1)
    columns = chart(connection, velocity.id, until - LATELY, until, _PIXELS, None)
    return max((value for value in columns.highest if value is not None), default=None)


def _severity(velocity_mm_s: float | None, judged_by: SeverityClass) -> Severity | None:
    if velocity_mm_s is None or velocity_mm_s < 0:
        return None
    return severity_zone(velocity_mm_s, judged_by.group, judged_by.foundation)
