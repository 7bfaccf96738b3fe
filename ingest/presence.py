"""Presence: what a batch tells about each device beside its readings (SPEC E8)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from ingest.sequence import SequenceTrack
from ingest.times import to_datetime
from storage.devices import Heard


class Presence:
    """Collects over one batch who spoke, the newest reading of each, and who said that it is online or not."""

    def __init__(self) -> None:
        # By device id; None of a device that spoke without a reading.
        self.newest_us: dict[int, int | None] = {}
        self._online: dict[int, bool] = {}
        self._untimely: set[int] = set()
        self._revised: set[int] = set()

    def spoke(self, device_id: int) -> None:
        """Note that the device said something."""
        self.newest_us.setdefault(device_id, None)

    def read(self, device_id: int, ts_us: int) -> None:
        """Note a reading of this time."""
        known = self.newest_us.get(device_id)
        if known is None or ts_us > known:
            self.newest_us[device_id] = ts_us

    def untimely(self, device_id: int) -> None:
        """Note that times of this device in this batch say nothing about its clock."""
        self._untimely.add(device_id)

    def revised(self, device_id: int) -> None:
        """Note that what is known of the device changed, though it said nothing."""
        self.newest_us.setdefault(device_id, None)
        self._revised.add(device_id)

    def said(self, device_id: int, *, online: bool) -> None:
        """Note the device's own word, or its last will."""
        self.spoke(device_id)
        self._online[device_id] = online

    def fresh_us(self) -> dict[int, int]:
        """Return the time of the newest reading of each device whose clock it shows."""
        return {
            device_id: newest_us
            for device_id, newest_us in self.newest_us.items()
            if newest_us is not None and device_id not in self._untimely
        }

    def heard(
        self,
        seen_at: datetime,
        tracks: dict[int, SequenceTrack],
        clocks_s: Mapping[int, float],
        is_held: Callable[[int], bool],
    ) -> list[Heard]:
        """Return one row per device.

        ``tracks`` has the sequence numbers, ``clocks_s`` new estimates of clocks, ``is_held`` says whose readings wait.
        """
        found: list[Heard] = []
        for device_id, newest_us in self.newest_us.items():
            track = tracks.get(device_id)
            found.append(
                Heard(
                    device_id,
                    None if device_id in self._revised else seen_at,
                    None if newest_us is None else to_datetime(newest_us),
                    None if track is None else track.last,
                    self._online.get(device_id),
                    is_held(device_id),
                    track.ahead if track is not None and track.ahead_changed else None,
                    clocks_s.get(device_id),
                )
            )
        return found
