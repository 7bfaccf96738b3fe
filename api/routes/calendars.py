"""Calendars: working time, special days and holidays, and whose clocks run on them (SPEC S3)."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from psycopg import Connection

from api.boundary import BASE_PATH
from api.calendar_schemas import (
    CalendarChange,
    CalendarHead,
    Calendars,
    CalendarShape,
    EnteredDay,
    Holidays,
    NewCalendar,
    PersonCalendar,
    SpecialDayShape,
    WorkingSegment,
)
from api.dependencies import ChangePeople, ChangeRegister, Database, Now, ReadPeople, ReadRegister
from api.identity import Caller
from api.problems import unknown
from api.register_schemas import Day
from api.routes.answers import CHANGE_ANSWERS, RECORD_ANSWERS, SIGNED_IN_ANSWERS
from api.routes.paging import LIMIT_DEFAULT, Limit, TextCursor, cut
from api.schemas import Key
from domain.official_days import known_places
from domain.refusals import Refused
from storage import audit, calendar_book
from storage.calendar_book import CalendarRow, CalendarWanted
from storage.calendars import read_calendar, week_of
from storage.people import person_by_id
from storage.service_alarms import HOLIDAYS_END_WITHIN
from storage.sites import check_version

router = APIRouter(prefix=BASE_PATH, tags=["calendars"])

CalendarId = Annotated[str, Path(max_length=64, description="The calendar's id")]
SpecialDate = Annotated[Day, Path(description="The day, as 2026-10-01")]
PersonKey = Annotated[Key, Path(description="The person's id")]


@router.get("/calendars", responses=SIGNED_IN_ANSWERS)
def list_calendars(
    caller: ReadRegister, database: Database, now: Now, cursor: TextCursor = None, limit: Limit = LIMIT_DEFAULT
) -> Calendars:
    """Return the calendars, without their hours."""
    with database.connection() as connection:
        rows = calendar_book.list_calendars(connection, after=cursor or "", limit=limit + 1)
    page, next_cursor = cut(rows, limit, lambda row: row.id)
    return Calendars(items=[_head(caller, row, now) for row in page], next_cursor=next_cursor)


@router.get("/calendars/{calendar_id}", responses=RECORD_ANSWERS)
def read_one(
    calendar_id: CalendarId,
    caller: ReadRegister,
    database: Database,
    now: Now,
    year: Annotated[
        int | None, Query(ge=1900, le=2199, description="Whose special days; this year's if not given")
    ] = None,
) -> CalendarShape:
    """Return a calendar with its week and the special days of a year."""
    with database.connection() as connection:
        return _shape(caller, connection, _known(connection, calendar_id), now, year)


@router.get("/holidays", responses=SIGNED_IN_ANSWERS)
def list_holidays(caller: ReadRegister) -> Holidays:
    """Return the countries, and parts of countries, whose official holidays are known."""
    return Holidays(places={country: list(parts) for country, parts in sorted(known_places().items())})


@router.post("/calendars", status_code=201, responses=CHANGE_ANSWERS)
def add_calendar(caller: ChangeRegister, body: NewCalendar, database: Database, now: Now) -> CalendarShape:
    """Add a calendar; sites are given it afterwards."""
    week = week_of(segment.row() for segment in body.segments)
    wanted = CalendarWanted(body.name, body.time_zone, week, body.country, body.subdivision)
    with database.connection() as connection:
        audit.act_as(connection, caller.person.id, now)
        calendar_book.add_calendar(connection, body.id, wanted, now)
        return _shape(caller, connection, _known(connection, body.id), now)


@router.patch("/calendars/{calendar_id}", responses=CHANGE_ANSWERS)
def change_calendar(
    calendar_id: CalendarId, caller: ChangeRegister, body: CalendarChange, database: Database, now: Now
) -> CalendarShape:
    """Change a calendar. Clocks that run on it are planned anew, with the working time that they have used."""
    changes = body.sent()
    if body.segments is not None:
        changes["week"] = week_of(segment.row() for segment in body.segments)
        del changes["segments"]
    with database.connection() as connection:
        audit.act_as(connection, caller.person.id, now)
        present = _mine(caller, connection, calendar_id)
        check_version("calendar", body.version, present.version)
        wanted = calendar_book.wanted_with(connection, present, changes)
        calendar_book.change_calendar(connection, present, wanted, now)
        return _shape(caller, connection, _known(connection, calendar_id), now)


@router.put("/calendars/{calendar_id}/days/{day}", responses=CHANGE_ANSWERS)
def enter_day(
    calendar_id: CalendarId, day: SpecialDate, caller: ChangeRegister, body: EnteredDay, database: Database, now: Now
) -> CalendarShape:
    """Enter a special day; it counts for more than an official one."""
    with database.connection() as connection:
        audit.act_as(connection, caller.person.id, now)
        present = _mine(caller, connection, calendar_id)
        calendar_book.enter_day(connection, present, day, working=body.working, name=body.name, now=now)
        return _shape(caller, connection, _known(connection, calendar_id), now, day.year)


@router.delete("/calendars/{calendar_id}/days/{day}", responses=CHANGE_ANSWERS)
def remove_day(
    calendar_id: CalendarId, day: SpecialDate, caller: ChangeRegister, database: Database, now: Now
) -> CalendarShape:
    """Take an entered day away; the official one of that date counts again."""
    with database.connection() as connection:
        audit.act_as(connection, caller.person.id, now)
        present = _mine(caller, connection, calendar_id)
        if not calendar_book.remove_day(connection, present, day, now):
            raise unknown("entered day", day.isoformat())
        return _shape(caller, connection, _known(connection, calendar_id), now, day.year)


@router.get("/people/{person_id}/calendar", responses=RECORD_ANSWERS)
def read_calendar_of_person(person_id: PersonKey, caller: ReadPeople, database: Database) -> PersonCalendar:
    """Return the calendar of a person's own, null for their site's."""
    with database.connection() as connection:
        _visible_person(caller, connection, person_id)
        return PersonCalendar(calendar_id=calendar_book.calendar_of_person(connection, person_id))


@router.put("/people/{person_id}/calendar", responses=CHANGE_ANSWERS)
def set_calendar_of_person(
    person_id: PersonKey, caller: ChangePeople, body: PersonCalendar, database: Database
) -> PersonCalendar:
    """Give a person a calendar of their own: the clocks of their tickets run on it where the policy says so."""
    with database.connection() as connection:
        _visible_person(caller, connection, person_id)
        _refuse_beyond_own_sites(caller, connection, person_id)
        if body.calendar_id is not None:
            _known(connection, body.calendar_id)
        calendar_book.set_calendar_of_person(connection, person_id, body.calendar_id)
    return body


def _known(connection: Connection, calendar_id: str, *, hold: bool = False) -> CalendarRow:
    row = calendar_book.calendar_row(connection, calendar_id, hold=hold)
    if row is None:
        raise unknown("calendar", calendar_id)
    return row


def _mine(caller: Caller, connection: Connection, calendar_id: str) -> CalendarRow:
    """Return a calendar for a change: one that other sites keep too is not the caller's to change."""
    row = _known(connection, calendar_id, hold=True)
    others = [site for site in row.sites if not caller.sees(site)]
    if others:
        raise Refused(
            "not_permitted",
            expected="a calendar of the caller's own sites only",
            got="one that other sites keep too",
            remedy="Ask an administrator of every site.",
        )
    return row


def _visible_person(caller: Caller, connection: Connection, person_id: int) -> None:
    """Refuse a person who holds no role at the caller's sites as unknown."""
    person = person_by_id(connection, person_id)
    if person is None or not any(held.site_id is None or caller.sees(held.site_id) for held in person.roles):
        raise unknown("person", person_id)


def _refuse_beyond_own_sites(caller: Caller, connection: Connection, person_id: int) -> None:
    """An administrator of one site must not set the clocks of somebody who works at others too."""
    person = person_by_id(connection, person_id)
    if caller.sites is not None and person is not None:
        beyond = [held for held in person.roles if held.site_id is None or not caller.sees(held.site_id)]
        if beyond:
            raise Refused(
                "not_permitted",
                expected="a person of the caller's own sites only",
                got="one with roles at other sites",
                remedy="Ask an administrator of those sites.",
            )


def _head(caller: Caller, row: CalendarRow, now: datetime) -> CalendarHead:
    return CalendarHead(
        id=row.id,
        name=row.name,
        time_zone=row.time_zone,
        country=row.country,
        subdivision=row.subdivision,
        official_until=row.official_until,
        holidays_end_soon=row.official_until is not None and row.official_until < (now + HOLIDAYS_END_WITHIN).date(),
        version=row.version,
        sites=[site for site in row.sites if caller.sees(site)],
    )


def _shape(
    caller: Caller, connection: Connection, row: CalendarRow, now: datetime, year: int | None = None
) -> CalendarShape:
    week = read_calendar(connection, row.id, hold=False).week
    shown = year if year is not None else now.year
    days = calendar_book.special_days(connection, row.id, date(shown, 1, 1), date(shown, 12, 31))
    return CalendarShape(
        **_head(caller, row, now).model_dump(),
        segments=[
            WorkingSegment.of(weekday, segment)
            for weekday, segments in enumerate(week, start=1)
            for segment in segments
        ],
        days=[SpecialDayShape.model_validate(day) for day in days],
    )
