"""Presence: what a batch tells about each device beside its readings (SPEC E8)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from ingest.sequence import SequenceTrack
from ingest.times import to_datetime
from storage.devices import Heard


class Presence:
    """Collects over one batch who spoke, the newest reading of each, and who said that it is online or not."""

    def __init__(self) -> None:
        self._newest_us: dict[int, int | None] = {}
        self._online: dict[int, bool] = {}

    def spoke(self, device_id: int) -> None:
        """Note that the device said something."""
        self._newest_us.setdefault(device_id, None)

    def read(self, device_id: int, ts_us: int) -> None:
        """Note a reading of this time."""
        known = self._newest_us.get(device_id)
        if known is None or ts_us > known:
            self._newest_us[device_id] = ts_us

    def said(self, device_id: int, *, online: bool) -> None:
        """Note the device's own word, or its last will."""
        self.spoke(device_id)
        self._online[device_id] = online

    def heard(self, seen_at: datetime, tracks: dict[int, SequenceTrack], is_held: Callable[[int], bool]) -> list[Heard]:
        """Return one row per device; ``tracks`` has the sequence numbers, ``is_held`` says whose readings wait."""
        return [
            Heard(
                device_id,
                seen_at,
                None if newest_us is None else to_datetime(newest_us),
                tracks[device_id].last if device_id in tracks else None,
                self._online.get(device_id),
                is_held(device_id),
            )
            for device_id, newest_us in self._newest_us.items()
        ]
