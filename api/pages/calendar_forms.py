"""The form of a calendar: its week as a line of text for each weekday, as "08:00-12:00, 13:00-17:30"."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from starlette.datastructures import FormData

from api.calendar_schemas import CalendarShape
from api.pages.forms import Typed, text

TEXT_MAX = 200
WEEKDAYS = range(1, 8)
_BETWEEN = re.compile(r"[\s,;，；、]+")
_DASH = re.compile(r"\s*[-–—~～至]\s*")
_SHORT_HOUR = re.compile(r"^\d:")


@dataclass(frozen=True, slots=True)
class CalendarForm:
    """The form as it is filled in: text, whatever it says; ``week`` by weekday, 1 is Monday."""

    name: str = ""
    time_zone: str = ""
    country: str = ""
    subdivision: str = ""
    week: Mapping[int, str] = field(default_factory=lambda: dict.fromkeys(WEEKDAYS, ""))

    @classmethod
    def of_stored(cls, calendar: CalendarShape) -> CalendarForm:
        """Return the form that says what is in force."""
        week = {
            weekday: ", ".join(f"{one.starts}-{one.ends}" for one in calendar.segments if one.weekday == weekday)
            for weekday in WEEKDAYS
        }
        return cls(calendar.name, calendar.time_zone, calendar.country or "", calendar.subdivision or "", week)

    @classmethod
    def of_posted(cls, form: FormData) -> CalendarForm:
        """Return the form as it was posted."""
        return cls._read(lambda name: text(form, name))

    @classmethod
    def of_typed(cls, filled: Typed) -> CalendarForm:
        """Return the form as it was typed into a page that refused it."""
        return cls._read(lambda name: filled.values.get(name, ""))

    @classmethod
    def _read(cls, field_of: Callable[[str], str]) -> CalendarForm:
        name, time_zone, country, subdivision, *days = (
            field_of(each)[:TEXT_MAX]
            for each in ("name", "time_zone", "country", "subdivision", *(f"day-{weekday}" for weekday in WEEKDAYS))
        )
        return cls(name, time_zone, country, subdivision, dict(zip(WEEKDAYS, days, strict=True)))

    def body(self) -> dict[str, object]:
        """Return it as the API takes a calendar; what is no stretch of time is handed on as it came."""
        return {
            "name": self.name,
            "time_zone": self.time_zone,
            "country": self.country.upper() or None,
            "subdivision": self.subdivision or None,
            "segments": [
                {"weekday": weekday, "starts": starts, "ends": ends}
                for weekday, line in self.week.items()
                for starts, ends in _stretches(line)
            ],
        }


def _stretches(line: str) -> list[tuple[str, str]]:
    """Return what a line says of a day: from when until when it is worked."""
    found = []
    for one in _BETWEEN.split(_DASH.sub("-", line.replace("：", ":")).strip()):
        if one:
            starts, _, ends = one.partition("-")
            found.append((_padded(starts), _padded(ends)))
    return found


def _padded(clock: str) -> str:
    return f"0{clock}" if _SHORT_HOUR.match(clock) else clock
