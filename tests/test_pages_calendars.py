"""Calendars in the console: weeks, special days, how far holidays are known, who may change them (SPEC S3)."""

from __future__ import annotations

from datetime import date

import pytest

from api.pages.calendar_forms import CalendarForm, _stretches
from storage import calendar_book
from storage.calendars import read_calendar
from tests.console_builders import NOW, Console
from tests.operations_builders import a_planner_elsewhere

WEEK = {f"day-{weekday}": "8:00-12:00, 13:00-17:30" for weekday in range(1, 6)} | {"day-6": "", "day-7": ""}
FORM = {"name": "Weekdays", "time_zone": "Asia/Shanghai", "country": "", "subdivision": "", **WEEK}


def version(console: Console, calendar_id: str = "weekdays") -> int:
    with console.pool.connection() as connection:
        row = calendar_book.calendar_row(connection, calendar_id)
    assert row is not None
    return row.version


def special(console: Console, year: int = 2026) -> dict[date, tuple[bool, str, str]]:
    with console.pool.connection() as connection:
        found = calendar_book.special_days(connection, "weekdays", date(year, 1, 1), date(year, 12, 31))
    return {one.day: (one.working, one.name, one.source) for one in found}


def test_the_list_and_the_page_tell_the_week_the_sites_and_the_people(console, admin):
    with console.pool.connection() as connection:
        calendar_book.set_calendar_of_person(connection, console.house.near.person_id, "weekdays")
    with console.reader(console.house.supervisor) as browser:
        page = browser.get("/calendars").text
        for told in ("Weekdays", "plant-1", "Asia/Shanghai", "no official holidays"):
            assert told in page, told
        page = browser.get("/calendars/weekdays").text
        for told in ("08:00–12:00, 13:00–17:30", "Saturday", "not worked", "plant-1", "Near", "Clocks follow the site"):
            assert told in page, told
        assert browser.get("/calendars/moon").status_code == 404
    with console.reader(console.house.requester) as browser:
        assert "Near" not in browser.get("/calendars/weekdays").text, "requesters do not see who else there is"


def test_a_calendar_with_a_country_says_which_year_is_not_announced(console, admin):
    with console.pool.connection() as connection:
        row = calendar_book.calendar_row(connection, "weekdays", hold=True)
        wanted = calendar_book.wanted_with(connection, row, {"country": "CN"})
        calendar_book.change_calendar(connection, row, wanted, NOW)
        connection.execute("update calendar set official_until = '2026-12-31'")
    with console.reader(console.house.planner) as browser:
        page = browser.get("/calendars/weekdays").text
        assert "2027 not announced" in page
        assert "The official holidays of 2027 are not announced yet" in page
        assert "That day is near" not in page
        assert "2026-10-01" in page
        assert "worked in exchange" in page
        assert "official" in page
        assert "2027 not announced" in browser.get("/calendars").text
    with console.pool.connection() as connection:
        connection.execute("update calendar set official_until = '2026-04-30'")
    with console.reader(console.house.planner) as browser:
        page = browser.get("/calendars/weekdays").text
        assert "2026, 2027 not announced" in page
        assert "That day is near" in page
    with console.pool.connection() as connection:
        connection.execute("update calendar set official_until = '2027-12-31'")
    with console.reader(console.house.planner) as browser:
        assert "known until 2027-12-31" in browser.get("/calendars/weekdays").text


def test_the_week_is_changed_by_a_line_a_day(console):
    with console.reader(console.house.planner) as browser:
        form = {**FORM, "version": "1", "day-6": "22:00–24:00", "day-7": "0:00-6:00，9：00~10:00"}
        wrong = browser.post("/calendars/weekdays", data={**form, "day-6": "10:00-9:00"})
        assert wrong.status_code == 422
        assert 'value="10:00-9:00"' in wrong.text
        assert version(console) == 1
        assert browser.post("/calendars/weekdays", data={**form, "day-6": "25:00-26:00"}).status_code == 422
        assert browser.post("/calendars/weekdays", data=form).status_code == 303
        assert "22:00–24:00" in browser.get("/calendars/weekdays").text
        stale = browser.post("/calendars/weekdays", data={**form, "name": "Mine"})
        assert stale.status_code == 409
        assert 'value="Mine"' in stale.text
    with console.pool.connection() as connection:
        week = read_calendar(connection, "weekdays", hold=False).week
    assert [(one.starts_s, one.ends_s) for one in week[6]] == [(0, 21_600), (32_400, 36_000)]
    assert [(one.starts_s, one.ends_s) for one in week[0]] == [(28_800, 43_200), (46_800, 63_000)]


def test_a_form_that_is_only_opened_and_saved_changes_no_hours(console):
    with console.pool.connection() as connection:
        before = read_calendar(connection, "weekdays", hold=False)
    with console.reader(console.house.planner) as browser:
        assert browser.post("/calendars/weekdays", data={**FORM, "version": "1"}).status_code == 303
    with console.pool.connection() as connection:
        assert read_calendar(connection, "weekdays", hold=False) == before


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ("", []),
        ("8:00-12:00", [("08:00", "12:00")]),
        ("08:00 – 12:00；13:00—17:30", [("08:00", "12:00"), ("13:00", "17:30")]),
        ("8：00至12：00、13:00~14:00", [("08:00", "12:00"), ("13:00", "14:00")]),
        ("morning", [("morning", "")]),
    ],
)
def test_a_line_is_read_as_people_write_hours(line, read):
    assert _stretches(line) == read


def test_a_special_day_is_entered_and_taken_away(console):
    day = {"day": "2026-05-01", "working": "false", "name": "Labour day"}
    with console.reader(console.house.planner) as browser:
        unnamed = browser.post("/calendars/weekdays/days", data={**day, "name": ""})
        assert unnamed.status_code == 422
        assert 'value="2026-05-01"' in unnamed.text
        assert browser.post("/calendars/weekdays/days", data={**day, "day": "soon"}).status_code == 422
        entered = browser.post("/calendars/weekdays/days", data=day)
        assert entered.headers["location"] == "/calendars/weekdays?year=2026#days"
        worked = {"day": "2027-05-08", "working": "true", "name": "In exchange"}
        assert browser.post("/calendars/weekdays/days", data=worked).status_code == 303
        page = browser.get("/calendars/weekdays").text
        assert "Labour day" in page
        assert "In exchange" not in page
        assert "In exchange" in browser.get("/calendars/weekdays?year=2027").text
    assert special(console) == {date(2026, 5, 1): (False, "Labour day", "entered")}
    assert special(console, 2027) == {date(2027, 5, 8): (True, "In exchange", "entered")}
    with console.reader(console.house.planner) as browser:
        taken = {"day": "2026-05-01", "step": "remove"}
        assert browser.post("/calendars/weekdays/days", data=taken).status_code == 303
        assert browser.post("/calendars/weekdays/days", data=taken).status_code == 404
    assert special(console) == {}


def test_a_calendar_is_added(console):
    form = {**FORM, "id": "nights", "name": "Nights"}
    with console.reader(console.house.planner) as browser:
        refused = browser.post("/calendars", data={**form, "country": "ZZ", "id": "night s"})
        assert refused.status_code == 422
        assert 'value="night s"' in refused.text
        assert browser.post("/calendars", data={**form, "country": "zz"}).status_code == 422
        assert browser.post("/calendars", data={**form, "time_zone": "Moon/Sea"}).status_code == 422
        added = browser.post("/calendars", data={**form, "country": "de", "subdivision": "BY"})
        assert added.headers["location"] == "/calendars/nights"
        assert "DE · BY" in browser.get("/calendars").text
        assert browser.post("/calendars", data=form).status_code == 409


def test_who_may_not_change_a_calendar_is_offered_nothing_and_refused(console):
    with console.pool.connection() as connection:
        stranger = a_planner_elsewhere(connection)  # at another site that keeps the same calendar
    day = {"day": "2026-05-01", "working": "false", "name": "Labour day"}
    for actor in (console.house.supervisor, stranger, console.house.planner):
        with console.reader(actor) as browser:
            page = browser.get("/calendars/weekdays").text
            assert "Enter a special day" not in page
            assert "<form" not in page.split("<main", 1)[1]
            assert browser.post("/calendars/weekdays/days", data=day).status_code == 403
            assert browser.post("/calendars/weekdays", data={**FORM, "version": "1"}).status_code == 403
    with console.reader(console.house.supervisor) as browser:
        assert "Add a calendar" not in browser.get("/calendars").text
        assert browser.post("/calendars", data={**FORM, "id": "mine"}).status_code == 403
    assert version(console) == 1
    assert special(console) == {}


def test_a_supervisor_changes_no_calendar_of_the_own_site_either(console):
    with console.reader(console.house.supervisor) as browser:
        assert "Enter a special day" not in browser.get("/calendars/weekdays").text
        day = {"day": "2026-05-01", "working": "false", "name": "Labour day"}
        assert browser.post("/calendars/weekdays/days", data=day).status_code == 403
        assert browser.post("/calendars/weekdays", data={**FORM, "version": "1"}).status_code == 403
    assert (version(console), special(console)) == (1, {})


def test_the_form_keeps_what_is_no_time():
    form = CalendarForm(name="x", time_zone="UTC", week={1: "always"})
    assert form.body()["segments"] == [{"weekday": 1, "starts": "always", "ends": ""}]
