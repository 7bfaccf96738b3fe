"""Who is judged at once and who must wait: detectors see each series in time order and never twice (SPEC E6).

The table of readings is the reorder buffer. A device that is *held* has its readings stored and acknowledged, but
not fed; when it is released they are read back in time order and fed. Devices are held until they have caught up
after a start, while the source has not settled after a (re)connect (brokers redeliver old messages after newer
ones), and for a bounded while when their sequence numbers have a gap. A restart holds everybody and so continues
exactly where the checkpoints are.
"""

from __future__ import annotations

from collections.abc import Iterable

_NOW = float("-inf")


class Holding:
    """The devices that are held. Times are seconds on the monotonic clock."""

    def __init__(self) -> None:
        self._until_s: dict[int, float] = {}
        self._settled = False

    def __len__(self) -> int:
        return len(self._until_s)

    def holds(self, device_id: int) -> bool:
        """Say whether the device's readings wait."""
        return device_id in self._until_s

    def settle(self, settled: bool, device_ids: Iterable[int]) -> None:
        """Take note of the source's order: while it is not settled nobody is released, and these are held."""
        if self._settled and not settled:
            for device_id in device_ids:
                self.hold(device_id)
        self._settled = settled

    def hold(self, device_id: int) -> None:
        """Hold a device until it has been read back; one that waits for a gap goes on waiting."""
        self._until_s.setdefault(device_id, _NOW)

    def hold_until(self, device_id: int, until_s: float) -> None:
        """Hold a device because of a gap, at most until this time; an earlier limit stands.

        The first gap sets the limit: a device that loses messages all the time must not wait for ever.
        """
        known = self._until_s.get(device_id, _NOW)
        if known == _NOW:
            self._until_s[device_id] = until_s

    def gap_filled(self, device_id: int) -> None:
        """Let a device that waited for a gap be read back as soon as its turn comes."""
        if device_id in self._until_s:
            self._until_s[device_id] = _NOW

    def due(self, now_s: float, limit: int) -> list[int]:
        """Return at most ``limit`` devices that may be read back now."""
        if not self._settled:
            return []
        found: list[int] = []
        for device_id, until_s in self._until_s.items():
            if until_s <= now_s:
                found.append(device_id)
                if len(found) == limit:
                    break
        return found

    def release(self, device_id: int) -> None:
        """Feed this device at once from now on: it has caught up."""
        self._until_s.pop(device_id, None)
