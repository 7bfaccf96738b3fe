"""What a pipeline may write: its partition while it holds the fence, the devices that are its own, its position.

Each device has one owner. When the slices are cut anew, whoever hears a device now claims it with its detectors'
state; the former owner is refused from then on, so no reading is judged by two (ADR 25).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from psycopg import Connection

from ingest.slices import Slice
from storage import checkpoints, quarantine
from storage.devices import DeviceRecord
from storage.quarantine import ToReplay


class Move(NamedTuple):
    """From where to where a batch moves the position of its source; None where it has no positions."""

    from_position: int | None = None
    to_position: int | None = None


NO_MOVE = Move()


class Ownership:
    """One fence on one partition, and the devices claimed under it."""

    def __init__(self, connection: Connection, slice_: Slice, fence: int) -> None:
        self._connection = connection
        self._slice = slice_
        self._fence = fence
        self._claimed: set[int] = set()

    def chooser(self) -> Callable[[DeviceRecord], bool]:
        """Return what says whether a registered device is ours, before anything was heard from it."""
        if self._slice.is_keyed:
            owned = checkpoints.owned_devices(self._connection, self._slice.partition)
            return lambda record: record.id in owned
        return lambda record: self._slice.hears(record.site)

    def claim(self, device_ids: Collection[int]) -> None:
        """Make devices ours that are not yet; to be done before anything of them is read, and outside transactions."""
        new = self._claimed.symmetric_difference(device_ids) - self._claimed
        if new:
            checkpoints.claim(self._connection, self._slice.partition, self._fence, new)
            self._claimed |= new

    def to_replay(self, limit: int) -> list[ToReplay]:
        """Return messages in quarantine that somebody asked to try again, of the sites that are ours.

        Those of no site are tried by the slice that hears the rest. A log's partitions try none: who owns the device
        is for the log to say, so they are sent to it again.
        """
        slice_ = self._slice
        if slice_.is_keyed:
            return []
        sites = None if slice_.hears_rest else slice_.sites
        return quarantine.to_replay(self._connection, limit, sites=sites, but_not=slice_.elsewhere.keys())

    def hold(self, device_ids: Collection[int], move: Move = NO_MOVE) -> None:
        """Begin a transaction that writes these devices and moves the position. Raises FenceLostError."""
        checkpoints.hold_fence(self._connection, self._slice.partition, self._fence)
        checkpoints.hold_devices(self._connection, self._slice.partition, device_ids)
        checkpoints.advance(self._connection, self._slice.partition, self._fence, *move)
