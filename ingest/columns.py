"""The second look at a batch: accepted samples become columns in series-time order, split by how they are stored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from domain.readings import Readings
from ingest.intake import Samples

NEVER_US = np.iinfo(np.int64).min
MICROSECONDS_PER_DAY = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Columns:
    """Readings in series-time order, each (series, time) once, and the id of the device that sent each."""

    readings: Readings
    device_id: NDArray[np.int64]

    def where(self, mask: NDArray[np.bool_]) -> Readings:
        """Return the readings for which the mask holds."""
        found = self.readings
        if mask.all():
            return found
        return Readings(found.series_id[mask], found.ts_us[mask], found.value[mask])


class Newest:
    """The time of the newest stored reading of each series, in microseconds since 1970."""

    def __init__(self) -> None:
        self._ts_us = np.full(1024, NEVER_US, np.int64)

    def of(self, series_id: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return the newest time of each series, ``NEVER_US`` where nothing is stored."""
        self._reach(series_id)
        return self._ts_us[series_id]

    def update(self, readings: Readings) -> None:
        """Take note of readings that are stored now, in series-time order."""
        if len(readings):
            self._reach(readings.series_id)
            np.maximum.at(
                self._ts_us,
                readings.series_id[_last_of_series(readings.series_id)],
                readings.ts_us[_last_of_series(readings.series_id)],
            )

    def set(self, series_id: int, ts_us: int) -> None:
        """Take note of what the database says."""
        self._reach(np.array([series_id], np.int32))
        self._ts_us[series_id] = ts_us

    def _reach(self, series_id: NDArray[np.int32]) -> None:
        if len(series_id) and (largest := int(series_id.max())) >= len(self._ts_us):
            larger = np.full(max(largest + 1, 2 * len(self._ts_us)), NEVER_US, np.int64)
            larger[: len(self._ts_us)] = self._ts_us
            self._ts_us = larger


def build(samples: Samples) -> Columns:
    """Return the samples as columns. Of readings with the same series and time the first to arrive counts."""
    blocks = [
        device.shape(series) if isinstance(series, tuple) else series
        for device, series in zip(samples.devices, samples.series, strict=True)
    ]
    if not blocks:
        return Columns(Readings(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0)), np.empty(0, np.int64))
    counts = np.fromiter(map(len, blocks), np.int64, len(blocks))
    series_id = np.concatenate(blocks)
    ts_us = np.repeat(np.array(samples.ts_us, np.int64), counts)
    value = samples.values()
    device_id = np.repeat(np.fromiter((device.id for device in samples.devices), np.int64, len(blocks)), counts)
    order = np.argsort(series_id, kind="stable")
    if not _is_in_order(series_id[order], ts_us[order]):
        # Stable too: among equals the first to arrive stays first.
        order = np.lexsort((ts_us, series_id))
        same = (np.diff(series_id[order]) == 0) & (np.diff(ts_us[order]) == 0)
        order = order[np.concatenate([[True], ~same])]
    return Columns(Readings(series_id[order], ts_us[order], value[order]), device_id[order])


def days_of(readings: Readings) -> set[int]:
    """Return the days of the readings, counted from 1970-01-01 UTC."""
    if not len(readings):
        return set()
    first, last = (int(ts_us) // MICROSECONDS_PER_DAY for ts_us in (readings.ts_us.min(), readings.ts_us.max()))
    if last - first <= 1:
        return {first, last}  # both ends have a reading; sorting out what lies between would cost more than the rest
    return set(np.unique(readings.ts_us // MICROSECONDS_PER_DAY).tolist())


def _is_in_order(series_id: NDArray[np.int32], ts_us: NDArray[np.int64]) -> bool:
    return not bool(np.any((series_id[1:] == series_id[:-1]) & (ts_us[1:] <= ts_us[:-1])))


def _last_of_series(series_id: NDArray[np.int32]) -> NDArray[np.bool_]:
    return np.concatenate([series_id[1:] != series_id[:-1], [True]])
