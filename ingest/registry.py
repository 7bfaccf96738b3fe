"""The devices that this ingester knows: who they are, their series, and the counter of each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection

from detectors.bearings import FittedBearing
from ingest.sequence import MAX_GAPS_KEPT, SequenceTrack
from ingest.skew import ClockSkew
from ingest.stencils import Texts
from ingest.times import to_microseconds
from storage import devices
from storage.bearings import fitted_bearings
from storage.devices import Address, DeviceRecord, TimePolicy

# Sets of metric names of one device that are kept ready; devices send few different ones.
_MAX_SHAPES = 256


@dataclass(slots=True)
class KnownDevice:
    """A registered device whose series have been read. ``shapes`` maps metric names, as sent, to their series."""

    record: DeviceRecord
    sequence: SequenceTrack
    series: dict[str, int] = field(default_factory=dict)
    shapes: dict[tuple[str, ...], NDArray[np.int32]] = field(default_factory=dict)
    clock: ClockSkew = field(default_factory=ClockSkew)
    texts: Texts = field(default_factory=Texts)
    # Series by the number of the stencil that reads their values.
    of_stencil: dict[int, NDArray[np.int32]] = field(default_factory=dict)
    # Bearings of its asset by the waveform metric that hears them.
    bearings: Mapping[str, FittedBearing] = field(default_factory=dict)
    # Since when, on the monotonic clock, sequence numbers that came early have been seen to wait.
    waits_since_s: float | None = None

    @property
    def id(self) -> int:
        """The device's key."""
        return self.record.id

    @property
    def is_recorded(self) -> bool:
        """Say whether it may send any past time."""
        return self.record.time_policy is TimePolicy.RECORDED

    def has_waited(self, now_s: float, wait_s: float) -> bool:
        """Say whether sequence numbers that came early have waited so long; asked every second or so."""
        if not self.sequence.waits:
            self.waits_since_s = None
            return False
        if self.waits_since_s is None:
            self.waits_since_s = now_s
        return now_s - self.waits_since_s >= wait_s

    def shape(self, metrics: tuple[str, ...]) -> NDArray[np.int32]:
        """Return the series of these metrics, all of which must have one."""
        known = self.shapes.get(metrics)
        if known is None:
            if len(self.shapes) >= _MAX_SHAPES:
                self.shapes.clear()
            known = self.shapes[metrics] = np.array([self.series[metric] for metric in metrics], np.int32)
        return known


class Registry:
    """Registered devices by address and by id, and those of them that have been read whole."""

    def __init__(self) -> None:
        self._records: dict[Address, DeviceRecord] = {}
        self._by_id: dict[int, DeviceRecord] = {}
        self._known: dict[int, KnownDevice] = {}

    @property
    def device_ids(self) -> Collection[int]:
        """The ids of every registered device."""
        return self._by_id.keys()

    @property
    def known(self) -> Collection[KnownDevice]:
        """The devices that have been read whole."""
        return self._known.values()

    def refresh(
        self, connection: Connection, is_ours: Callable[[DeviceRecord], bool] = lambda _: True
    ) -> tuple[list[int], list[KnownDevice]]:
        """Read every registration of ours again; return the ids that are new and the known devices that changed."""
        records = [record for record in devices.all_devices(connection) if is_ours(record)]
        new = [record.id for record in records if record.id not in self._by_id]
        self._records = {record.address: record for record in records}
        self._by_id = {record.id: record for record in records}
        self._known = {id_: device for id_, device in self._known.items() if id_ in self._by_id}
        changed = [device for device in self._known.values() if self._take_record(device)]
        _look_up_bearings(connection, self._known.values())
        return new, changed

    def look_up(self, connection: Connection, addresses: Collection[Address]) -> list[int]:
        """Ask for addresses that are not known yet; return the ids of devices found."""
        missing = [address for address in addresses if address not in self._records]
        if not missing:
            return []
        found = devices.find_devices(connection, missing)
        for record in found:
            self._records[record.address] = record
            self._by_id[record.id] = record
        return [record.id for record in found]

    def find(self, address: Address) -> KnownDevice | None:
        """Return the device at this address, if it is registered and has been read."""
        record = self._records.get(address)
        return None if record is None else self._known.get(record.id)

    def ids_at(self, addresses: Iterable[Address]) -> list[int]:
        """Return the ids of those addresses that are registered."""
        return [self._records[address].id for address in addresses if address in self._records]

    def by_id(self, device_id: int) -> KnownDevice:
        """Return a device that has been read."""
        return self._known[device_id]

    def read(self, connection: Connection, device_ids: Iterable[int]) -> list[KnownDevice]:
        """Read those of these devices that have not been read yet, and return them."""
        wanted = [id_ for id_ in device_ids if id_ not in self._known and id_ in self._by_id]
        if not wanted:
            return []
        # Read again and not taken from memory: what was stored since then must not look like a gap.
        records = devices.read_devices(connection, wanted)
        gaps: dict[int, list[devices.SequenceGap]] = {}
        for gap in devices.gaps_of(connection, wanted, MAX_GAPS_KEPT):
            gaps.setdefault(gap.device_id, []).append(gap)
        # Events count too: a repeat of the newest one must not look like a counter that began again.
        told_at = devices.newest_events_of(connection, wanted)
        for record in records:
            newest_at = max((at for at in (record.last_reading_at, told_at.get(record.id)) if at), default=None)
            newest_us = None if newest_at is None else to_microseconds(newest_at)
            own_gaps = gaps.get(record.id, ())
            track = SequenceTrack(record.id, record.last_sequence, newest_us, own_gaps, record.sequences_ahead)
            self._known[record.id] = KnownDevice(record, track)
        for device_id, metric, series_id in devices.series_of(connection, wanted):
            if device_id in self._known:
                self._known[device_id].series[metric] = series_id
        found = [self._known[record.id] for record in records]
        _look_up_bearings(connection, found)
        return found

    def create_series(
        self, connection: Connection, wanted: Collection[tuple[int, str]], now: datetime
    ) -> dict[int, list[tuple[str, int]]]:
        """Make series for these (device id, metric) and return them by device: (metric, series id)."""
        devices.create_series(connection, sorted(wanted), now)
        made: dict[int, list[tuple[str, int]]] = {}
        for device_id, metric, series_id in devices.series_of(connection, {device_id for device_id, _ in wanted}):
            if (device_id, metric) in wanted:
                self._known[device_id].series[metric] = series_id
                made.setdefault(device_id, []).append((metric, series_id))
        return made

    def _take_record(self, device: KnownDevice) -> bool:
        old, new = device.record, self._by_id[device.id]
        device.record = new
        return (old.asset_id, old.asset_type) != (new.asset_id, new.asset_type)


def _look_up_bearings(connection: Connection, known: Collection[KnownDevice]) -> None:
    by_asset = fitted_bearings(connection, {device.record.asset_id for device in known})
    for device in known:
        device.bearings = by_asset.get(device.record.asset_id, {})
