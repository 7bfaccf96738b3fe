"""Working time the naive way: ask the wall clock of every minute of the years in question, and count.

The second implementation that domain/working_time.py is judged by (SPEC S3). It shares nothing with it: no intervals,
no offsets carried over, no calendar type; every minute is looked at on its own.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
LEAP_DAYS = tuple(datetime(year, 2, 29, tzinfo=UTC) for year in range(2016, 2041, 4))

# Every kind of change: north and south, by half an hour and by two, at midnight, round Ramadan, given up, begun again.
ZONES = (
    "UTC",
    "Asia/Shanghai",
    "Europe/Berlin",
    "Europe/Dublin",
    "America/New_York",
    "America/St_Johns",
    "America/Santiago",
    "America/Mexico_City",
    "America/Nuuk",
    "America/Scoresbysund",
    "America/Havana",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Africa/Casablanca",
    "Africa/Cairo",
    "Asia/Beirut",
    "Asia/Tehran",
    "Asia/Gaza",
    "Asia/Kathmandu",
    "Pacific/Apia",
)


@dataclass(frozen=True)
class Plan:
    """A calendar as plain figures: for each weekday (Monday first) stretches in minutes, and special days."""

    zone: str
    week: tuple[tuple[tuple[int, int], ...], ...]
    closed: frozenset[date] = frozenset()
    exchanged: frozenset[date] = frozenset()

    def stretches(self, day: date) -> tuple[tuple[int, int], ...]:
        """What is worked on a day. An exchanged day off is worked like the first weekday with hours."""
        if day in self.closed:
            return ()
        usual = self.week[day.weekday()]
        if not usual and day in self.exchanged:
            return next(stretches for stretches in self.week if stretches)
        return usual


@lru_cache(maxsize=4)
def wall_minutes(zone: str, first: datetime, last: datetime) -> tuple[np.ndarray, np.ndarray]:
    """For each UTC minute from first to last: the ordinal of its local day, and its minute on that day's wall clock."""
    count = int((last - first) / MINUTE)
    days, minutes = np.empty(count, np.int32), np.empty(count, np.int16)
    local_zone, instant = ZoneInfo(zone), first
    for at in range(count):
        local = instant.astimezone(local_zone)
        days[at] = local.toordinal()
        minutes[at] = local.hour * 60 + local.minute
        instant += MINUTE
    return days, minutes


@lru_cache(maxsize=4)
def wall_jumps(zone: str, first: datetime, last: datetime) -> list[datetime]:
    """The minutes at which the wall clock of a zone jumped."""
    days, minutes = wall_minutes(zone, first, last)
    wall = days.astype(np.int64) * 1440 + minutes
    return [first + int(at + 1) * MINUTE for at in np.flatnonzero(np.diff(wall) != 1)]


@dataclass
class Minutes:
    """Every minute of some years, worked or not, and how many were worked before each."""

    plan: Plan
    first: datetime
    last: datetime
    worked_before: np.ndarray = field(init=False)
    is_worked: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        days, minutes = wall_minutes(self.plan.zone, self.first, self.last)
        low = int(days.min())
        table = np.zeros((int(days.max()) - low + 1, 1440), bool)
        for row in range(len(table)):
            for starts, ends in self.plan.stretches(date.fromordinal(low + row)):
                table[row, starts:ends] = True
        self.is_worked = table[days - low, minutes]
        self.worked_before = np.concatenate([[0], np.cumsum(self.is_worked)])

    def worked_until(self, at: datetime) -> int:
        """Seconds worked from the beginning of the years to an instant."""
        minute, rest = divmod(at - self.first, MINUTE)
        inside = rest.total_seconds() if rest and self.is_worked[minute] else 0
        return int(self.worked_before[minute]) * 60 + int(inside)

    def worked(self, start: datetime, end: datetime) -> int:
        """Seconds of working time between two whole seconds."""
        return self.worked_until(end) - self.worked_until(start)

    def due(self, start: datetime, seconds: int) -> datetime | None:
        """The first instant by which so much was worked since the start; None when the years end before."""
        wanted = self.worked_until(start) + seconds
        minute = int(np.searchsorted(self.worked_before, -(-wanted // 60), side="left")) - 1
        if minute >= len(self.is_worked):
            return None
        return self.first + minute * MINUTE + timedelta(seconds=wanted - int(self.worked_before[minute]) * 60)

    def ago(self, end: datetime, seconds: int) -> datetime | None:
        """The last instant since which so much was worked until the end; None when the years begin after it."""
        wanted = self.worked_until(end) - seconds
        if wanted < 0:
            return None
        minute = int(np.searchsorted(self.worked_before, wanted // 60, side="right")) - 1
        return self.first + minute * MINUTE + timedelta(seconds=wanted - int(self.worked_before[minute]) * 60)

    def changes(self) -> list[datetime]:
        """The minutes at which the wall clock jumped."""
        return wall_jumps(self.plan.zone, self.first, self.last)


@dataclass(frozen=True)
class Case:
    """A question about a plan: from when, and how many seconds of working time."""

    start: datetime
    seconds: int


def a_plan(rng: random.Random, zone: str, years: range) -> Plan:
    """A week with up to four stretches a day, some lasting to midnight, some days off, and special days."""

    def stretches() -> tuple[tuple[int, int], ...]:
        style = rng.random()
        if style < 0.25:
            return ()
        if style < 0.35:
            return ((0, 1440),)
        edges = sorted(rng.sample(range(1441), 2 * rng.randint(1, 4)))
        return tuple(zip(edges[::2], edges[1::2], strict=True))

    week = [stretches() for _ in range(7)]
    if not any(week):
        week[rng.randrange(7)] = ((480, 720), (780, 1050))
    special = [date(rng.choice(years), 1, 1) + timedelta(days=rng.randrange(365)) for _ in range(rng.randint(0, 40))]
    special += [moment.date() for moment in LEAP_DAYS if rng.random() < 0.3]
    closed = {day for day in special if rng.random() < 0.6}
    return Plan(zone, tuple(week), frozenset(closed), frozenset(set(special) - closed))


def cases(rng: random.Random, minutes: Minutes, count: int) -> Iterator[Case]:
    """Questions near clock changes (half of them), near leap days and special days, and anywhere."""
    margin = 120 * DAY
    low, high = minutes.first + margin, minutes.last - margin
    changes = [moment for moment in minutes.changes() if low < moment < high]
    leaps = [moment for moment in LEAP_DAYS if low < moment < high]
    special = [
        datetime(day.year, day.month, day.day, tzinfo=UTC) for day in minutes.plan.closed | minutes.plan.exchanged
    ]
    special = sorted(moment for moment in special if low < moment < high)
    for number in range(count):
        pool = (changes, leaps, changes, special, changes, [])[number % 6]
        if pool:
            start = rng.choice(pool) + timedelta(seconds=rng.randint(-3 * 86_400, 86_400))
        else:
            start = low + timedelta(seconds=rng.randrange(int((high - low).total_seconds())))
        longest = rng.choice((3600, 86_400, 400_000))
        yield Case(start, rng.choice((60 * rng.randint(1, longest // 60), rng.randint(1, longest))))
