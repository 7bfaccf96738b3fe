"""Calendars over the wire: a week of working time, special days, and official holidays by country (SPEC S3)."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from api.register_schemas import Changed, Text
from api.schemas import Asked, LowWord, Told
from domain.working_time import DAY_S, Segment

SEGMENTS_LIMIT = 7 * 24


def _not_after_midnight(value: str) -> str:
    if _seconds(value) > DAY_S:
        raise ValueError("expected a time of day, 00:00 to 24:00")
    return value


def _seconds(value: str) -> int:
    hours, minutes = value.split(":")
    return int(hours) * 3600 + int(minutes) * 60


TimeOfDay = Annotated[
    str, StringConstraints(pattern=r"^([01][0-9]|2[0-4]):[0-5][0-9]$"), AfterValidator(_not_after_midnight)
]
Zone = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_+/-]{1,64}$")]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
Subdivision = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9 ._-]{1,64}$")]


class WorkingSegment(Asked):
    """A stretch of working time on a weekday (1 Monday to 7 Sunday), by the wall clock; a night shift is two."""

    weekday: Annotated[int, Field(ge=1, le=7)]
    starts: TimeOfDay
    ends: TimeOfDay

    def row(self) -> tuple[int, int, int]:
        """Return (weekday, starts, ends) with seconds after midnight."""
        return self.weekday, _seconds(self.starts), _seconds(self.ends)

    @classmethod
    def of(cls, weekday: int, segment: Segment) -> Self:
        """Return a stored segment as it goes over the wire."""
        return cls.model_construct(weekday=weekday, starts=_clock(segment.starts_s), ends=_clock(segment.ends_s))


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}"


Week = Annotated[list[WorkingSegment], Field(min_length=1, max_length=SEGMENTS_LIMIT)]


class CalendarHead(Told):
    """A calendar without its hours. ``official_until``: the last day whose official holidays are known.

    ``holidays_end_soon``: it is near, so that due dates beyond it are planned without the holidays to come.
    """

    id: str
    name: str
    time_zone: str
    country: str | None
    subdivision: str | None
    official_until: date | None
    holidays_end_soon: bool
    version: int
    sites: list[str]


class SpecialDayShape(Told):
    """A day that differs from its weekday: a holiday, or with ``working`` a day that is worked in exchange."""

    day: date
    working: bool
    name: str
    source: Literal["entered", "official"]


class CalendarShape(CalendarHead):
    """A calendar with its week, and its special days of the year asked for."""

    segments: list[WorkingSegment]
    days: list[SpecialDayShape]


class Calendars(Told):
    """A page of calendars."""

    items: list[CalendarHead]
    next_cursor: str | None


class NewCalendar(Asked):
    """A calendar to add; with a country it has that country's official holidays."""

    id: LowWord
    name: Text
    time_zone: Zone
    segments: Week
    country: Country | None = None
    subdivision: Subdivision | None = None


class CalendarChange(Changed):
    """What to change of a calendar; ``segments`` are the whole week."""

    name: Text | None = None
    time_zone: Zone | None = None
    segments: Week | None = None
    country: Country | None = None
    subdivision: Subdivision | None = None

    @model_validator(mode="after")
    def _keeps_what_it_needs(self) -> Self:
        self._refuse_null("name", "time_zone", "segments")
        return self


class EnteredDay(Asked):
    """A special day: not worked, or worked in exchange."""

    working: bool
    name: Text


class PersonCalendar(Asked):
    """The calendar of a person's own, null for their site's."""

    calendar_id: LowWord | None


class Holidays(Told):
    """Countries whose official holidays are known, each with its parts."""

    places: dict[str, list[str]]
