"""The book of calendars: adding and changing them, their special days, and the official holidays of their country.

Every change makes the next version and keeps the one before: clocks that were planned on it are read off with it
(storage/replanning.py). Callers own the transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

from psycopg import Connection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from domain.official_days import check_place, official_days, official_until
from domain.refusals import Refused
from domain.working_time import Segment, WorkingCalendar
from storage.calendars import calendar_body, read_version
from storage.queries import load
from storage.sites import duplicate

QUERIES = load("calendars")


@dataclass(frozen=True, slots=True)
class CalendarRow:
    """A calendar without its hours. ``official_until``: up to when its country's holidays are known, None without."""

    id: str
    name: str
    time_zone: str
    country: str | None
    subdivision: str | None
    official_until: date | None
    version: int
    sites: list[str]


@dataclass(frozen=True, slots=True)
class SpecialDay:
    """A day that differs from its weekday; ``source`` is entered (by a person, and kept) or official."""

    day: date
    working: bool
    name: str
    source: str


@dataclass(frozen=True, slots=True)
class CalendarWanted:
    """What a calendar is to be: its week as segments of each weekday, Monday first."""

    name: str
    time_zone: str
    week: tuple[tuple[Segment, ...], ...]
    country: str | None = None
    subdivision: str | None = None

    def check(self) -> None:
        """Refuse, as ``invalid_calendar``, a zone, week or country that is none."""
        WorkingCalendar(self.time_zone, self.week)
        if self.country is not None:
            check_place(self.country, self.subdivision)
        elif self.subdivision is not None:
            raise Refused(
                "invalid_calendar",
                expected="a country with its part",
                got=f"{self.subdivision!r} of no country",
                remedy="Correct the calendar.",
            )


def list_calendars(connection: Connection, *, after: str = "", limit: int = 50) -> list[CalendarRow]:
    """Return calendars with ids above ``after``."""
    with connection.cursor(row_factory=class_row(CalendarRow)) as cursor:
        return cursor.execute(QUERIES["calendars"], {"after": after, "limit": limit}).fetchall()


def calendar_row(connection: Connection, calendar_id: str, *, hold: bool = False) -> CalendarRow | None:
    """Return a calendar, with ``hold`` so that nobody plans on it before the transaction ends."""
    if hold:
        connection.execute(QUERIES["hold_calendar"], {"id": calendar_id})
    with connection.cursor(row_factory=class_row(CalendarRow)) as cursor:
        return cursor.execute(QUERIES["calendar_row"], {"id": calendar_id}).fetchone()


def special_days(connection: Connection, calendar_id: str, first: date, last: date) -> list[SpecialDay]:
    """Return the special days of a stretch of time, in order."""
    asked = {"id": calendar_id, "first": first, "last": last}
    with connection.cursor(row_factory=class_row(SpecialDay)) as cursor:
        return cursor.execute(QUERIES["days_between"], asked).fetchall()


def add_calendar(connection: Connection, calendar_id: str, wanted: CalendarWanted, now: datetime) -> None:
    """Add a calendar with its official days; a taken id is refused as ``duplicate_record``."""
    wanted.check()
    added = {"id": calendar_id, **_columns(wanted)}
    if connection.execute(QUERIES["insert_calendar"], added).fetchone() is None:
        raise duplicate("a calendar id that is free", calendar_id)
    _write_week(connection, calendar_id, wanted.week)
    _fill(connection, calendar_id, wanted, now)


def change_calendar(connection: Connection, present: CalendarRow, wanted: CalendarWanted, now: datetime) -> None:
    """Change a calendar, held with ``calendar_row``, into its next version; its entered days stay."""
    wanted.check()
    _next_version(connection, present, wanted, now)
    connection.execute(QUERIES["clear_segments"], {"id": present.id})
    _write_week(connection, present.id, wanted.week)
    _fill(connection, present.id, wanted, now)


def enter_day(
    connection: Connection, present: CalendarRow, day: date, *, working: bool, name: str, now: datetime
) -> None:
    """Enter a special day into a calendar held with ``calendar_row``: it counts for more than an official one."""
    standing = special_days(connection, present.id, day, day)
    if standing == [SpecialDay(day, working, name, "entered")]:
        return
    _next_version(connection, present, _present(connection, present), now)
    connection.execute(QUERIES["enter_day"], {"id": present.id, "day": day, "working": working, "name": name})


def remove_day(connection: Connection, present: CalendarRow, day: date, now: datetime) -> bool:
    """Take an entered day away, so that the official one counts again; say whether there was one."""
    if not any(standing.source == "entered" for standing in special_days(connection, present.id, day, day)):
        return False
    wanted = _present(connection, present)
    _next_version(connection, present, wanted, now)
    connection.execute(QUERIES["remove_day"], {"id": present.id, "day": day})
    _fill(connection, present.id, wanted, now)
    return True


def fill_official_days(connection: Connection, now: datetime) -> int:
    """Bring the official days of every calendar up to date; return how many calendars changed (SPEC S3)."""
    ids = [row[0] for row in connection.execute(QUERIES["calendars_with_country"])]
    return sum(_refresh(connection, calendar_id, now) for calendar_id in ids)


def _refresh(connection: Connection, calendar_id: str, now: datetime) -> bool:
    """Add what was announced since, as the next version; say whether anything was."""
    present = calendar_row(connection, calendar_id, hold=True)
    if present is None or present.country is None:
        return False
    wanted = _present(connection, present)
    stale, missing = _differences(connection, calendar_id, wanted, now)
    if stale or missing:
        _next_version(connection, present, wanted, now)
    _fill(connection, calendar_id, wanted, now)
    return bool(stale or missing)


def _fill(connection: Connection, calendar_id: str, wanted: CalendarWanted, now: datetime) -> None:
    """Write the official days of the years around now, and note until when they are known."""
    stale, missing = _differences(connection, calendar_id, wanted, now)
    connection.execute(QUERIES["clear_official_days"], {"id": calendar_id, "days": stale})
    written = {
        "id": calendar_id,
        "days": [day.day for day in missing],
        "working": [day.working for day in missing],
        "names": [day.name for day in missing],
    }
    connection.execute(QUERIES["insert_official_days"], written)
    until = (
        None if wanted.country is None else official_until(wanted.country, wanted.subdivision, _years(wanted, now)[-1])
    )
    connection.execute(QUERIES["mark_official"], {"id": calendar_id, "until": until})


def _differences(
    connection: Connection, calendar_id: str, wanted: CalendarWanted, now: datetime
) -> tuple[list[date], list[SpecialDay]]:
    """Return the official days that stand and should not, and those that should and do not."""
    years = _years(wanted, now)
    found = {} if wanted.country is None else official_days(wanted.country, wanted.subdivision, years)
    first = date(1, 1, 1) if wanted.country is None else date(years[0], 1, 1)
    standing = {each.day: each for each in special_days(connection, calendar_id, first, date(9999, 12, 31))}
    stale = [each.day for each in standing.values() if each.source == "official" and each.day not in found]
    missing = [
        wished
        for day, (working, name) in found.items()
        if (wished := SpecialDay(day, working, name, "official")) != standing.get(day)
        and (day not in standing or standing[day].source == "official")
    ]
    return stale, missing


def _years(wanted: CalendarWanted, now: datetime) -> Sequence[int]:
    """Return the years whose official days a calendar has: this one and the next, by its own clock."""
    year = now.astimezone(ZoneInfo(wanted.time_zone)).year
    return (year, year + 1)


def _next_version(connection: Connection, present: CalendarRow, wanted: CalendarWanted, now: datetime) -> None:
    version, was = read_version(connection, present.id, hold=False)
    kept = {"id": present.id, "version": version, "body": Jsonb(calendar_body(was)), "now": now}
    connection.execute(QUERIES["remember_calendar"], kept)
    connection.execute(QUERIES["update_calendar"], {"id": present.id, **_columns(wanted)})


def _present(connection: Connection, row: CalendarRow) -> CalendarWanted:
    """Return what a calendar is now, as what it is to be."""
    _, calendar = read_version(connection, row.id, hold=False)
    return CalendarWanted(row.name, row.time_zone, calendar.week, row.country, row.subdivision)


def wanted_with(connection: Connection, row: CalendarRow, changes: dict[str, object]) -> CalendarWanted:
    """Return what a calendar is to be after some of its fields change."""
    return replace(_present(connection, row), **changes)  # type: ignore[arg-type]  # the shape's fields are the record's


def calendar_of_person(connection: Connection, person_id: int) -> str | None:
    """Return a person's own calendar, None when they have their site's."""
    row = connection.execute(QUERIES["calendar_of_person"], {"person_id": person_id}).fetchone()
    return None if row is None else row[0]


def set_calendar_of_person(connection: Connection, person_id: int, calendar_id: str | None) -> None:
    """Give a person a calendar of their own, or with None take it away."""
    connection.execute(QUERIES["set_calendar_of_person"], {"person_id": person_id, "calendar_id": calendar_id})


def _write_week(connection: Connection, calendar_id: str, week: Sequence[Sequence[Segment]]) -> None:
    rows = [(weekday, segment) for weekday, segments in enumerate(week, start=1) for segment in segments]
    written = {
        "id": calendar_id,
        "weekdays": [weekday for weekday, _ in rows],
        "starts": [time_of_day(segment.starts_s) for _, segment in rows],
        "ends": [time_of_day(segment.ends_s) for _, segment in rows],
    }
    connection.execute(QUERIES["insert_segments"], written)


def time_of_day(seconds: int) -> str:
    """Return seconds after midnight as HH:MM:SS; the end of the day is 24:00:00."""
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _columns(wanted: CalendarWanted) -> dict[str, object]:
    return {
        "name": wanted.name,
        "time_zone": wanted.time_zone,
        "country": wanted.country,
        "subdivision": wanted.subdivision,
    }
