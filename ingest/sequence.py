"""Sequence numbers: what a device's counter says about messages that never arrived.

Each message object of a device carries a number one above the one before. A jump ahead is a gap, reported at once;
a number inside a gap fills it; a number at or below the newest is a repeat. A device that restarts counts from
anywhere: a smaller number with a newer time, or a jump too long to be loss, starts the count afresh.

Alarms come by a lane of their own, past telemetry that still waits in a queue. A number that came early and is not the
next one proves nothing yet: it is kept *ahead*. It is counted when the telemetry in front of it has come, and judged
by the rules above when later telemetry passes it, or when nothing more is waiting that could come before it.

Brokers keep the order of a topic, not between topics, and a waveform's time is that of its first sample. So the second
message of a count can come before the first and be the older one. Where a count has only just begun, numbers right
below its first are such stragglers, and not a count that begins again.
"""

from __future__ import annotations

from collections.abc import Iterable

from storage.devices import SequenceGap

# Beyond so many missing messages a jump is a restart of the counter rather than loss.
MAX_GAP = 1_000_000
# Gaps of one device kept in mind, so that they can be filled. Older ones stay reported.
MAX_GAPS_KEPT = 1_000
# Numbers of one device kept ahead. With more the smallest is judged: at worst a gap is reported and filled later.
MAX_AHEAD = 256
# So many messages may have overtaken the first of a count: a handful of topics, each a moment ahead.
STRAGGLERS = 16


class SequenceTrack:
    """The counter of one device. Changes wait in ``removed``, ``added`` and ``ahead_changed`` until they are stored."""

    __slots__ = ("_ahead", "_first", "_gaps", "_newest_ts_us", "added", "ahead_changed", "device_id", "last", "removed")

    def __init__(
        self,
        device_id: int,
        last: int | None,
        newest_ts_us: int | None,
        gaps: Iterable[SequenceGap] = (),
        ahead: Iterable[int] = (),
    ) -> None:
        self.device_id = device_id
        self.last = last
        self._newest_ts_us = newest_ts_us
        self._first: int | None = None  # of this count, where its beginning was seen
        self._gaps = list(gaps)  # oldest first
        self._ahead: dict[int, int | None] = dict.fromkeys(ahead)  # number -> its time, where it is still known
        self.ahead_changed = False
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

    @property
    def waits(self) -> bool:
        """Say whether numbers that came early wait."""
        return bool(self._ahead)

    @property
    def ahead(self) -> tuple[int, ...]:
        """The numbers that came early and wait, smallest first."""
        return tuple(sorted(self._ahead))

    def accept(self, sequence: int, ts_us: int, *, is_early: bool = False) -> bool:
        """Take note of one message. Returns whether it opened a new gap."""
        last, newest_ts_us = self.last, self._newest_ts_us
        if last is not None and sequence == last + 1 and not self._ahead:  # nearly always
            self.last = sequence
            if newest_ts_us is None or ts_us > newest_ts_us:
                self._newest_ts_us = ts_us
            return False
        if is_early and self._must_wait(sequence, ts_us):
            return self._keep_ahead(sequence, ts_us)
        if not self._ahead:
            return self._take(sequence, ts_us)
        opened = self._pass(sequence, ts_us)
        last = self.last
        opened |= self._take(sequence, ts_us)
        if last is not None and self.last is not None and self.last < last:  # the count began again
            self._drop_ahead([number for number in self._ahead if number <= self.last])
        self._drop_ahead([sequence])
        self._catch_up()
        return opened

    def settle(self) -> bool:
        """Judge what came early: nothing that was sent before it is still to come. Returns whether a gap opened."""
        last, opened = self.last, False
        later = [number for number in self.ahead if last is None or number > last]
        # A number below the newest with a newer time was kept because the count seemed to begin again; so it did.
        again = [number for number in self.ahead if last is not None and number <= last]
        for number in later:
            opened |= self._take(number, self._ahead[number])
        if again:
            self.last = self._first = again[0]
            for number in again[1:]:
                opened |= self._take(number, self._ahead[number])
        self._drop_ahead(self.ahead)
        return opened

    def stored(self) -> None:
        """Forget the changes: they are committed."""
        self.removed.clear()
        self.added.clear()
        self.ahead_changed = False

    def _must_wait(self, sequence: int, ts_us: int) -> bool:
        """Say whether an early number proves nothing yet: it is neither the next one nor of the past."""
        last = self.last
        if sequence in self._ahead or last is None or sequence > last + 1:
            return True
        is_newer = self._newest_ts_us is not None and ts_us > self._newest_ts_us
        return sequence <= last and is_newer and not self._is_awaited(sequence)

    def _keep_ahead(self, sequence: int, ts_us: int) -> bool:
        if sequence in self._ahead:
            return False
        self._ahead[sequence] = ts_us
        self.ahead_changed = True
        if len(self._ahead) <= MAX_AHEAD:
            return False
        smallest = min(self._ahead)
        opened = self._take(smallest, self._ahead[smallest])
        self._drop_ahead([smallest])
        self._catch_up()
        return opened

    def _pass(self, sequence: int, ts_us: int) -> bool:
        """Judge what waits ahead of a number that came in its turn: what was sent before it has come or is lost."""
        last = self.last
        if last is None or sequence > last:
            passed = [number for number in self.ahead if (last is None or number > last) and number < sequence]
        elif self._begins_again(sequence, ts_us):
            # Of the old count, if it is older; of the new one otherwise, and then its turn will come.
            passed = [
                number
                for number in self.ahead
                if number > last and (at := self._ahead[number]) is not None and at < ts_us
            ]
        else:
            return False
        opened = False
        for number in passed:
            opened |= self._take(number, self._ahead[number])
        self._drop_ahead(passed)
        return opened

    def _begins_again(self, sequence: int, ts_us: int) -> bool:
        if self._is_awaited(sequence):
            return False
        return self._newest_ts_us is not None and ts_us > self._newest_ts_us

    def _is_awaited(self, sequence: int) -> bool:
        """Say whether a number at or below the newest is of this count: missing, or overtaken at its beginning."""
        if any(gap.after < sequence < gap.before for gap in self._gaps):
            return True
        first, last = self._first, self.last
        return (
            first is not None
            and last is not None
            and first - STRAGGLERS <= sequence < first
            and last - first < STRAGGLERS
        )

    def _catch_up(self) -> None:
        """Count what waits and follows the newest number without a gap."""
        while self._ahead and self.last is not None and (following := self.last + 1) in self._ahead:
            self._take(following, self._ahead[following])
            self._drop_ahead([following])

    def _drop_ahead(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            if number in self._ahead:
                del self._ahead[number]
                self.ahead_changed = True

    def _take(self, sequence: int, ts_us: int | None) -> bool:
        """Apply the rules to a number whose turn has come. Returns whether it opened a new gap."""
        newest_ts_us = self._newest_ts_us
        if ts_us is not None and (newest_ts_us is None or ts_us > newest_ts_us):
            self._newest_ts_us = ts_us
        last = self.last
        if last is None:
            self.last = self._first = sequence
            return False
        if sequence == last + 1:
            self.last = sequence
            return False
        if sequence > last:
            self.last = sequence
            if sequence - last > MAX_GAP:
                self._first = sequence
                return False
            self._open(SequenceGap(self.device_id, last, sequence))
            return True
        if ts_us is not None and newest_ts_us is not None and ts_us > newest_ts_us and not self._is_awaited(sequence):
            self.last = self._first = sequence
        else:
            self._fill(sequence)
        return False

    def _open(self, gap: SequenceGap) -> None:
        self._gaps.append(gap)
        self.added.add(gap)
        if len(self._gaps) > MAX_GAPS_KEPT:
            del self._gaps[0]

    def _fill(self, sequence: int) -> None:
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
                return
