"""Official days: the holidays of a country or a part of it, and weekend days that are worked in exchange (SPEC S3).

Where a government announces every year which days are exchanged, the days of a year without its announcement are
those fixed by law alone: good enough to plan with, not good enough to trust. ``official_until`` tells them apart.

Source: the library `holidays`; its category "public".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache

import holidays

from domain.refusals import Refused

# Countries that exchange working days by a decree for each year. Others do now and then, or have stopped: of a year
# without exchanged days nothing tells whether it is still to be announced, and people are not to be alarmed for ever.
ANNOUNCED_YEARLY = frozenset({"BG", "BY", "CN", "HU", "LV", "RU", "UZ", "VN"})
ADJUSTED_NAMES = {"CN": "调休上班", "TW": "補行上班"}
ADJUSTED_NAME = "Adjusted working day"


def check_place(country: str, subdivision: str | None) -> None:
    """Refuse, as ``invalid_calendar``, a country or a part of it (ISO 3166) whose holidays are not known."""
    places = known_places()
    if country not in places:
        raise _unknown("a country whose holidays are known, such as CN or DE", country)
    if subdivision is not None and subdivision not in places[country]:
        known = ", ".join(places[country]) or "none"
        raise _unknown(f"a part of {country} whose holidays are known: {known}", subdivision)


@cache
def known_places() -> Mapping[str, tuple[str, ...]]:
    """Return the countries whose holidays are known, each with its parts."""
    listed = holidays.list_supported_countries(include_aliases=False)
    return {country: tuple(parts) for country, parts in listed.items()}


def official_days(country: str, subdivision: str | None, years: Iterable[int]) -> dict[date, tuple[bool, str]]:
    """Return (is worked, name) of the days of these years that differ from their weekday, in the country's language."""
    wanted = frozenset(years)
    official = _of(country, subdivision, wanted)
    days = {day: (False, name) for day, name in sorted(official.items()) if day.year in wanted}
    for day in sorted(official.weekend_workdays):
        if day.year in wanted:
            days[day] = (True, ADJUSTED_NAMES.get(country, ADJUSTED_NAME))
    return days


def official_until(country: str, subdivision: str | None, last_year: int) -> date:
    """Return the last day up to which the days to ``last_year`` are official: fixed by law, or announced."""
    if country not in ANNOUNCED_YEARLY:
        return date(last_year, 12, 31)
    announced = [int(year) for year in _of(country, subdivision, frozenset({last_year})).special_public_holidays]
    return date(min(last_year, max(announced, default=1)), 12, 31)


def _of(country: str, subdivision: str | None, years: frozenset[int]) -> holidays.HolidayBase:
    """Return the library's holidays; the language is named, for otherwise it follows the machine's."""
    kind = type(holidays.country_holidays(country))
    return holidays.country_holidays(country, subdiv=subdivision, years=sorted(years), language=kind.default_language)


def _unknown(expected: str, got: str) -> Refused:
    return Refused("invalid_calendar", expected=expected, got=repr(got), remedy="Correct the calendar.")
