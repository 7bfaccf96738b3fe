"""Virtual time: what is to happen when, in order, with the clock set from one event to the next."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import datetime
from typing import Protocol


class SettableClock(Protocol):
    """A clock that stands still until it is set; the service reads the same one."""

    def now(self) -> datetime:
        """Return the virtual time, aware, in UTC."""
        ...

    def set_to(self, at: datetime) -> None:
        """Move the time on; never back."""
        ...


class Agenda:
    """What is to happen. Of two things at the same instant, the one that was entered first comes first."""

    def __init__(self, clock: SettableClock) -> None:
        self._clock = clock
        self._entries: list[tuple[datetime, int, Callable[[], None]]] = []
        self._entered = 0

    def now(self) -> datetime:
        """Return the virtual time."""
        return self._clock.now()

    def at(self, when: datetime, action: Callable[[], None]) -> None:
        """Enter something; what should have been before now comes next."""
        self._entered += 1
        heapq.heappush(self._entries, (max(when, self.now()), self._entered, action))

    def run(self, until: datetime, is_over: Callable[[], bool]) -> None:
        """Let everything happen up to ``until``, or until ``is_over`` says so after something happened."""
        while self._entries and self._entries[0][0] <= until:
            when, _, action = heapq.heappop(self._entries)
            self._clock.set_to(when)
            action()
            if is_over():
                return
