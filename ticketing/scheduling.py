"""Rounds of work that come again: by the calendar or by a meter (SPEC T8).

A calendar's round n is due n times the interval after the first day, counted from that first day and not from the
round before: a month that is too short moves one round, not all that follow. A day off moves it to the next working
day. Rounds that nobody opened in time are one piece of work, not twenty: the newest is opened, the others are missed.

A meter's rounds are its round numbers. What it has counted beyond one is carried over to the next, so that work done
late does not move the rounds that follow.
"""

from __future__ import annotations

import calendar
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum

# A calendar that has no working day in so long has none at all; then days off do not count.
SEARCH_DAYS = 366
# Sums of tenths of an hour must not miss a round number by a rounding.
_SLACK = 1e-9


class Unit(StrEnum):
    """What a calendar's interval is counted in."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class CalendarPlan:
    """A round every so many units after ``first_on``, opened ``lead_days`` before it is due."""

    unit: Unit
    every: int
    first_on: date
    lead_days: int

    def day(self, number: int) -> date:
        """Return the day of a round, be it a working day or not; round 0 is on ``first_on``."""
        count = number * self.every
        match self.unit:
            case Unit.DAY:
                return self.first_on + timedelta(days=count)
            case Unit.WEEK:
                return self.first_on + timedelta(weeks=count)
            case Unit.MONTH:
                years, month = divmod(self.first_on.month - 1 + count, 12)
                year = self.first_on.year + years
                last = calendar.monthrange(year, month + 1)[1]
                return date(year, month + 1, min(self.first_on.day, last))


@dataclass(frozen=True, slots=True)
class CalendarRound:
    """A round that is to be opened, or is covered by work under way: its number, its day, and those missed before."""

    number: int
    due_on: date
    missed: int


def first_number(plan: CalendarPlan, today: date) -> int:
    """Return the first round that is not over: those before a schedule was made were nobody's to miss."""
    number = 0
    while plan.day(number) < today:
        number += 1
    return number


def due_round(
    plan: CalendarPlan, next_number: int, today: date, is_working: Callable[[date], bool]
) -> CalendarRound | None:
    """Return the newest round that is to be opened by now; those from ``next_number`` on before it are missed."""
    found: CalendarRound | None = None
    number = next_number
    while True:
        due_on = working_day(plan.day(number), is_working)
        if due_on - timedelta(days=plan.lead_days) > today:
            return found
        found = CalendarRound(number, due_on, number - next_number)
        number += 1


def rounds_past(plan: CalendarPlan, next_number: int, today: date, is_working: Callable[[date], bool]) -> int:
    """Return how many rounds from ``next_number`` on were due by today: the work still under way stands for them."""
    number = next_number
    while working_day(plan.day(number), is_working) <= today:
        number += 1
    return number - next_number


def working_day(day: date, is_working: Callable[[date], bool]) -> date:
    """Return the day, or the next one on which people work."""
    for later in range(SEARCH_DAYS):
        if is_working(day + timedelta(days=later)):
            return day + timedelta(days=later)
    return day


@dataclass(frozen=True, slots=True)
class Meter:
    """What a meter has ``counted`` since the last round number, and up to which reading.

    ``low_value`` is a reading below the last one that waits for a second: a meter that was replaced stays low, a slip
    does not.
    """

    counted: float
    last_value: float | None = None
    last_at: datetime | None = None
    low_value: float | None = None


def read_meter(meter: Meter, readings: Iterable[tuple[datetime, float]]) -> Meter:
    """Return the meter after more readings, in the order of their time; the first one ever only says where it stands.

    After a replacement what the new meter shows is counted from nought; what the old one did unseen is lost.
    """
    for at, value in readings:
        if not math.isfinite(value):
            continue
        meter = replace(_after(meter, value), last_at=at)
    return meter


def _after(meter: Meter, value: float) -> Meter:
    if meter.last_value is None:
        return replace(meter, last_value=value)
    if value >= meter.last_value:
        return replace(meter, counted=meter.counted + value - meter.last_value, last_value=value, low_value=None)
    if meter.low_value is None or value < meter.low_value:
        return replace(meter, low_value=value)
    # Low for the second time and not falling: a new meter, which has counted so much since it was fitted.
    return replace(meter, counted=meter.counted + max(value, 0.0), last_value=value, low_value=None)


def meter_rounds(counted: float, every: float) -> tuple[int, float]:
    """Return how many round numbers have been passed, and what is carried over."""
    rounds = math.floor(counted / every + _SLACK)
    return rounds, max(0.0, counted - rounds * every)
