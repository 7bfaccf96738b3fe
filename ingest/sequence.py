"""Sequence numbers: what a device's counter says about messages that never arrived.

Each message object of a device carries a number one above the one before. A jump ahead is a gap, reported at once;
a number inside a gap fills it; a number at or below the newest is a repeat. A device that restarts counts from
anywhere: a smaller number with a newer time, or a jump too long to be loss, starts the count afresh.
"""

from __future__ import annotations

from collections.abc import Iterable

from storage.devices import SequenceGap

# Beyond so many missing messages a jump is a restart of the counter rather than loss.
MAX_GAP = 1_000_000
# Gaps of one device kept in mind, so that they can be filled. Older ones stay reported.
MAX_GAPS_KEPT = 1_000


class SequenceTrack:
    """The counter of one device. Changes wait in ``removed`` and ``added`` until they are stored."""

    __slots__ = ("_gaps", "_newest_ts_us", "added", "device_id", "last", "removed")

    def __init__(
        self, device_id: int, last: int | None, newest_ts_us: int | None, gaps: Iterable[SequenceGap] = ()
    ) -> None:
        self.device_id = device_id
        self.last = last
        self._newest_ts_us = newest_ts_us
        self._gaps = list(gaps)  # oldest first
        self.removed: set[SequenceGap] = set()
        self.added: set[SequenceGap] = set()

    @property
    def is_whole(self) -> bool:
        """Say whether every number up to the newest has arrived, as far as is kept in mind."""
        return not self._gaps

    @property
    def gaps(self) -> tuple[SequenceGap, ...]:
        """The gaps kept in mind, oldest first."""
        return tuple(self._gaps)

    def accept(self, sequence: int, ts_us: int) -> bool:
        """Take note of one message. Returns whether it opened a new gap."""
        newest_ts_us = self._newest_ts_us
        if newest_ts_us is None or ts_us > newest_ts_us:
            self._newest_ts_us = ts_us
        last = self.last
        if last is None or sequence == last + 1:
            self.last = sequence
            return False
        if sequence > last:
            self.last = sequence
            if sequence - last > MAX_GAP:
                return False
            self._open(SequenceGap(self.device_id, last, sequence))
            return True
        if not self._fill(sequence) and newest_ts_us is not None and ts_us > newest_ts_us:
            self.last = sequence
        return False

    def stored(self) -> None:
        """Forget the changes: they are committed."""
        self.removed.clear()
        self.added.clear()

    def _open(self, gap: SequenceGap) -> None:
        self._gaps.append(gap)
        self.added.add(gap)
        if len(self._gaps) > MAX_GAPS_KEPT:
            del self._gaps[0]

    def _fill(self, sequence: int) -> bool:
        for place, gap in enumerate(self._gaps):
            if gap.after < sequence < gap.before:
                parts = (
                    SequenceGap(self.device_id, gap.after, sequence),
                    SequenceGap(self.device_id, sequence, gap.before),
                )
                left = [part for part in parts if part.before - part.after > 1]
                self._gaps[place : place + 1] = left
                # A gap that was opened and changed within one batch never reaches the database.
                if gap in self.added:
                    self.added.remove(gap)
                else:
                    self.removed.add(gap)
                self.added.update(left)
                return True
        return False
