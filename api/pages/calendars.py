"""Calendars in the console: the week, special days, how far official holidays are known, who uses them (SPEC S3)."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from psycopg import Connection

from api.calendar_schemas import CalendarChange, CalendarShape, EnteredDay, NewCalendar
from api.dependencies import ChangeRegister, Database, Now, ReadRegister
from api.identity import Caller, permitted
from api.pages import people_words
from api.pages.access import may
from api.pages.calendar_forms import WEEKDAYS, CalendarForm
from api.pages.devices import places_of
from api.pages.forms import FRESH, PostedForm, Typed, body_of, text, typed
from api.pages.rendering import frame, page, refused_status, shown
from api.permissions import Action
from api.register_schemas import Day
from api.routes import calendars as routes
from api.routes.calendars import CalendarId
from api.schemas import Asked
from domain.refusals import Refused
from storage import calendar_book, crew
from storage.calendar_book import CalendarRow
from storage.policies import DEFAULT_POLICY, newest_body
from ticketing.policy.calendar import Follows

router = APIRouter()

CALENDARS_MAX = 200
PEOPLE_MAX = 50


class _OfDay(Asked):
    """The day of a form, which the API takes from the path."""

    day: Day


@router.get("/calendars")
def list_calendars(request: Request, caller: ReadRegister, database: Database, now: Now) -> HTMLResponse:
    """Show the calendars, with the sites of each and how far its holidays are known."""
    return _calendars_page(request, caller, database, now)


@router.post("/calendars")
def add_calendar(form: PostedForm, request: Request, caller: ChangeRegister, database: Database, now: Now) -> Response:
    """Add a calendar; sites are given it afterwards."""
    filled = CalendarForm.of_posted(form)
    try:
        body = body_of(NewCalendar, {"id": text(form, "id"), **filled.body()})
        routes.add_calendar(caller, body, database, now)
    except Refused as refusal:
        return _calendars_page(request, caller, database, now, refusal=refusal, filled=typed("calendar", form))
    return RedirectResponse(f"/calendars/{body.id}", status_code=303)


@router.get("/calendars/{calendar_id}")
def show_calendar(
    calendar_id: CalendarId,
    request: Request,
    caller: ReadRegister,
    database: Database,
    now: Now,
    year: Annotated[int | None, Query(ge=1900, le=2199)] = None,
) -> HTMLResponse:
    """Show a calendar with its week and the special days of a year."""
    return _calendar_page(request, caller, database, now, calendar_id, year=year)


@router.post("/calendars/{calendar_id}")
def change_calendar(
    calendar_id: CalendarId, form: PostedForm, request: Request, caller: ChangeRegister, database: Database, now: Now
) -> Response:
    """Change name, zone, country or week; clocks that run on the calendar are planned anew."""
    filled = CalendarForm.of_posted(form)
    try:
        body = body_of(CalendarChange, {"version": text(form, "version"), **filled.body()})
        routes.change_calendar(calendar_id, caller, body, database, now)
    except Refused as refusal:
        return _calendar_page(
            request, caller, database, now, calendar_id, refusal=refusal, filled=typed("calendar", form)
        )
    return RedirectResponse(f"/calendars/{calendar_id}", status_code=303)


@router.post("/calendars/{calendar_id}/days")
def change_day(
    calendar_id: CalendarId, form: PostedForm, request: Request, caller: ChangeRegister, database: Database, now: Now
) -> Response:
    """Enter a special day, or take an entered one away."""
    filled = typed("day", form)
    year = None
    try:
        day = body_of(_OfDay, {"day": text(form, "day")}).day
        year = day.year
        if text(form, "step") == "remove":
            routes.remove_day(calendar_id, day, caller, database, now)
        else:
            body = body_of(EnteredDay, {"working": text(form, "working") == "true", "name": text(form, "name")})
            routes.enter_day(calendar_id, day, caller, body, database, now)
    except Refused as refusal:
        return _calendar_page(request, caller, database, now, calendar_id, year=year, refusal=refusal, filled=filled)
    return RedirectResponse(f"/calendars/{calendar_id}?year={year}#days", status_code=303)


def _calendars_page(
    request: Request,
    caller: Caller,
    database: Database,
    now: Now,
    *,
    refusal: Refused | None = None,
    filled: Typed = FRESH,
) -> HTMLResponse:
    framed = frame(request, caller.person, "calendars", here="/calendars")
    reader = permitted(caller.person, Action.READ_REGISTER, caller.channel)
    found = routes.list_calendars(reader, database, now, limit=CALENDARS_MAX)
    context = {
        "calendars": found.items,
        "coverage": {one.id: _unannounced(one.official_until, one.time_zone, now) for one in found.items},
        "form": CalendarForm.of_typed(filled) if filled.command else CalendarForm(),
        "weekdays": WEEKDAYS,
        "places": routes.list_holidays(reader).places,
        "typed": filled,
        "people_words": people_words,
        "may_add": may(caller.person, Action.CHANGE_REGISTER),
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
    }
    return page(request, framed, "calendars.html", context, status=refused_status(refusal))


def _calendar_page(
    request: Request,
    caller: Caller,
    database: Database,
    now: Now,
    calendar_id: str,
    *,
    year: int | None = None,
    refusal: Refused | None = None,
    filled: Typed = FRESH,
) -> HTMLResponse:
    framed = frame(request, caller.person, "calendars", here=f"/calendars/{calendar_id}")
    reader = permitted(caller.person, Action.READ_REGISTER, caller.channel)
    calendar = routes.read_one(calendar_id, reader, database, now, year)
    is_typed = filled.command == "calendar"
    with database.connection() as connection:
        used = _used_by(connection, reader, calendar.id)
    context = {
        "calendar": calendar,
        "year": year if year is not None else now.year,
        "unannounced": _unannounced(calendar.official_until, calendar.time_zone, now),
        "form": CalendarForm.of_typed(filled) if is_typed else CalendarForm.of_stored(calendar),
        "version": filled.version if is_typed and filled.version else calendar.version,
        "weekdays": WEEKDAYS,
        "week": _week(calendar),
        "places": routes.list_holidays(reader).places,
        "people_words": people_words,
        "typed": filled,
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
        **used,
    }
    return page(request, framed, "calendar.html", context, status=refused_status(refusal))


def _used_by(connection: Connection, reader: Caller, calendar_id: str) -> dict[str, object]:
    """Return who keeps the calendar, whether requesters' own count, and whether the reader may change it."""
    row = calendar_book.calendar_row(connection, calendar_id)
    reads_people = may(reader.person, Action.READ_PEOPLE)
    sites = places_of(reader, Action.READ_PEOPLE) if reads_people else []
    people = crew.people_on_calendar(connection, calendar_id, sites=sites, limit=PEOPLE_MAX + 1)
    policy = newest_body(connection, DEFAULT_POLICY)
    followed = policy[1].get("sla_calendar") if policy is not None else None
    return {
        "reads_people": reads_people,
        "people": people[:PEOPLE_MAX],
        "more_people": len(people) > PEOPLE_MAX,
        "follows_requester": isinstance(followed, dict) and followed.get("follows") == Follows.REQUESTER,
        "may_change": row is not None and _may_change(reader, row),
    }


def _may_change(reader: Caller, row: CalendarRow) -> bool:
    """Tell whether the reader changes the register at every site that keeps the calendar."""
    if not may(reader.person, Action.CHANGE_REGISTER):
        return False
    places = places_of(reader, Action.CHANGE_REGISTER)
    return places is None or all(site in places for site in row.sites)


def _unannounced(official_until: date | None, zone: str, now: Now) -> list[int]:
    """Return the years, of this one and the next, whose official holidays are not known to the end."""
    if official_until is None:
        return []
    year = now.astimezone(ZoneInfo(zone)).year
    return [one for one in (year, year + 1) if official_until < date(one, 12, 31)]


def _week(calendar: CalendarShape) -> list[list[tuple[str, str]]]:
    """Return the segments of each weekday, Monday first."""
    return [[(one.starts, one.ends) for one in calendar.segments if one.weekday == weekday] for weekday in range(1, 8)]
