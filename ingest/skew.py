"""How far a device's clock is ahead of ours, estimated from its messages (SPEC E6).

A fresh message says ``time of its newest reading - time of receipt``, which is how far the clock is ahead less all the
time that passed between the two: the device's own waiting, the network, our queue. Delay only ever makes a clock look
behind, so of many messages the least delayed, the largest difference, is nearest the truth. A few seconds of messages
give one largest difference each; the estimate is the median of the last few of these, which one odd time cannot move.

What this can know: a clock that is ahead, at least by so much. What it cannot: whether a clock is behind or everything
it sends is late by the same time. A device that collects readings for a minute before it sends them looks a minute
behind less the age of the newest, and that much is then wrong with its times for whoever compares them with others'.
What is *not* steady is no clock: a device that empties its memory after an outage sends times that approach ours from
far behind, and while the differences disagree by more than ``STEADY_S`` nothing is said. A clock more than five minutes
ahead is never seen here: its messages are set aside. Events, recorded devices, repeats, replays, times of receipt and
whatever came while the source was behind say nothing about a clock and are left out by the caller.
"""

from __future__ import annotations

from statistics import median

# One largest difference is taken of so many seconds (of fewer messages where a device speaks less often).
ROUND_S = 10.0
ROUNDS_KEPT = 6
ROUNDS_NEEDED = 3
# Rounds that differ by more are no steady clock; a hundredth of a drifting hour, and the jitter of a bad network.
STEADY_S = 5.0
# A new estimate is told when it is this different, or after this long.
TELL_CHANGE_S = 1.0
TELL_EVERY_S = 60.0


class ClockSkew:
    """What is known of one device's clock. Times of ours are seconds on the monotonic clock."""

    __slots__ = ("_began_s", "_largest_s", "_rounds", "_told_at_s", "_told_s")

    def __init__(self) -> None:
        self._rounds: list[float] = []
        self._largest_s: float | None = None
        self._began_s = 0.0
        self._told_s: float | None = None
        self._told_at_s = 0.0

    @property
    def ahead_s(self) -> float | None:
        """Seconds that the clock is ahead (negative: behind), None while that is not known."""
        if len(self._rounds) < ROUNDS_NEEDED or max(self._rounds) - min(self._rounds) > STEADY_S:
            return None
        return median(self._rounds)

    def observe(self, difference_s: float, now_s: float) -> float | None:
        """Take note of one fresh message; return the estimate when it is to be stored, else None."""
        if self._largest_s is not None and now_s - self._began_s >= ROUND_S:
            self._rounds.append(self._largest_s)
            del self._rounds[:-ROUNDS_KEPT]
            self._largest_s = None
        if self._largest_s is None:
            self._largest_s, self._began_s = difference_s, now_s
        elif difference_s > self._largest_s:
            self._largest_s = difference_s
        return self._to_tell(now_s)

    def _to_tell(self, now_s: float) -> float | None:
        ahead_s, told_s = self.ahead_s, self._told_s
        if ahead_s is None:
            return None
        if told_s is not None and abs(ahead_s - told_s) < TELL_CHANGE_S and now_s - self._told_at_s < TELL_EVERY_S:
            return None
        self._told_s, self._told_at_s = ahead_s, now_s
        return ahead_s
