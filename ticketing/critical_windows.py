"""Critical windows: when a fault weighs more, once or every week (SPEC S1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from domain.refusals import Refused

DAY_S = 86_400
LEAST_FACTOR, MOST_FACTOR = 0.1, 10.0
LONGEST_WINDOW = timedelta(days=3660)


@dataclass(frozen=True, slots=True)
class Once:
    """From one instant until just before another; aware UTC."""

    starts_at: datetime
    ends_at: datetime

    def is_open(self, now: datetime, zone: ZoneInfo) -> bool:
        """Say whether the window is open."""
        return self.starts_at <= now < self.ends_at


@dataclass(frozen=True, slots=True)
class Weekly:
    """On ISO ``weekdays`` (1 is Monday), in seconds of the site's wall clock; an end before the start is next day's.

    The wall clock counts: on the night of a clock change the window is as long as the clock on the wall says.
    """

    weekdays: frozenset[int]
    starts_s: int
    ends_s: int

    def is_open(self, now: datetime, zone: ZoneInfo) -> bool:
        """Say whether the window is open."""
        local = now.astimezone(zone)
        today, second = local.isoweekday(), local.hour * 3600 + local.minute * 60 + local.second
        if self.starts_s < self.ends_s:
            return today in self.weekdays and self.starts_s <= second < self.ends_s
        yesterday = 7 if today == 1 else today - 1
        return (today in self.weekdays and second >= self.starts_s) or (
            yesterday in self.weekdays and second < self.ends_s
        )


Times = Once | Weekly


def times_of(given: Mapping[str, object]) -> Times:
    """Return the times of a window from its fields; refuse what is neither once nor weekly, or neither whole.

    Once has ``starts_at`` and ``ends_at``, weekly has ``weekdays``, ``starts_s`` and ``ends_s``.
    """
    named = {name for name, value in given.items() if value is not None}
    starts_at, ends_at = given.get("starts_at"), given.get("ends_at")
    if named == {"starts_at", "ends_at"} and isinstance(starts_at, datetime) and isinstance(ends_at, datetime):
        if not timedelta() < ends_at - starts_at <= LONGEST_WINDOW:
            raise _invalid(f"an end after the start, within {LONGEST_WINDOW.days} days", f"{starts_at} to {ends_at}")
        return Once(starts_at, ends_at)
    weekdays, starts_s, ends_s = given.get("weekdays"), given.get("starts_s"), given.get("ends_s")
    if (
        named == {"weekdays", "starts_s", "ends_s"}
        and isinstance(weekdays, list | tuple | frozenset)
        and isinstance(starts_s, int)
        and isinstance(ends_s, int)
    ):
        days = frozenset(int(day) for day in weekdays)
        if not days or not days <= set(range(1, 8)):
            raise _invalid("one or more weekdays, 1 (Monday) to 7", str(sorted(days)))
        if not 0 <= starts_s < DAY_S or not 0 < ends_s <= DAY_S or starts_s == ends_s:
            raise _invalid("a start of 0 to 86399 and another end of 1 to 86400 seconds", f"{starts_s} to {ends_s}")
        return Weekly(days, starts_s, ends_s)
    raise _invalid("starts_at and ends_at, or weekdays, starts_s and ends_s", ", ".join(sorted(named)) or "no times")


def _invalid(expected: str, got: str) -> Refused:
    return Refused("invalid_window", expected=expected, got=got[:200], remedy="Correct the window's times.")
