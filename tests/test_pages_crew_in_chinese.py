"""Pages about people, plans, calendars and dispatch read as Chinese, and so do the refusals of their forms."""

from __future__ import annotations

from storage import calendar_book
from tests.console_builders import NOW, Console
from tests.test_pages_calendars import FORM as CALENDAR
from tests.test_pages_dispatch import FORM as RULES
from tests.test_pages_in_chinese import english_of, told_in_chinese
from tests.test_pages_people import BAD, a_crew, a_table

ABSENCE = {"starts_at": "2026-03-05T08:00", "ends_at": "2026-03-06T08:00", "delegate_id": "", "reason": "病假"}


def test_the_pages_read_as_chinese(console: Console, admin) -> None:
    a_crew(console)
    with console.pool.connection() as connection:
        connection.execute("delete from person_skill where skill = 'mechanical'")  # the lint has much to say
        row = calendar_book.calendar_row(connection, "weekdays", hold=True)
        assert row is not None
        calendar_book.change_calendar(
            connection, row, calendar_book.wanted_with(connection, row, {"country": "CN"}), NOW
        )
        connection.execute("update calendar set official_until = '2026-04-01'")
    with console.reader(admin, "zh") as browser:
        for path in (
            "/people", "/people/1", "/people/import", "/teams", "/shifts", "/dispatch", "/calendars",
            "/calendars/weekdays",
        ):  # fmt: skip
            assert english_of(browser.get(path).text) == [], path
        tried = browser.post("/dispatch", data={**RULES, "after": "1", "step": "look"}).text
        assert english_of(tried) == []


def test_refused_forms_about_people_read_as_chinese(console: Console, admin) -> None:
    a_crew(console)
    with console.reader(admin, "zh") as browser:
        told_in_chinese(browser.get("/people/999"), "999", "人员")
        new = {"login": "near", "name": "x", "language": "en", "role": "engineer", "site": "plant-1"}
        told_in_chinese(browser.post("/people", data=new), "'near'")
        told_in_chinese(browser.post("/people", data={**new, "login": "li", "latitude": "99"}), "latitude", "90")
        address = "/people/1/absences"
        told_in_chinese(browser.post(address, data={**ABSENCE, "ends_at": "2026-03-04T08:00"}), "2026-03-05")
        told_in_chinese(browser.post(address, data={**ABSENCE, "ends_at": ""}), "ends_at")
        told_in_chinese(browser.post(address, data={**ABSENCE, "delegate_id": "1"}), "缺勤者本人")
        browser.post(address, data=ABSENCE)
        told_in_chinese(browser.post(address, data=ABSENCE), "缺勤", "2026-03-05")
        shift = {"starts_at": "2026-03-05T08:00", "ends_at": "2026-03-25T08:00"}
        told_in_chinese(browser.post("/people/1/shifts", data=shift), "7", "20")
        certificate = {"name": "gas", "valid_from": "2026-05-01", "valid_to": "2026-01-01"}
        told_in_chinese(browser.post("/people/1/certificates", data=certificate), "2026-05-01", "2026-01-01")
        told_in_chinese(browser.post("/people/1/certificates", data={**certificate, "valid_from": ""}), "valid_from")
        told_in_chinese(browser.post("/teams/1", data={"backup": "1"}), "班组本身")
        told_in_chinese(browser.post("/sites/plant-1/directors", data={"person_id": "999"}), "999")
        rota = {
            "team_id": "1", "name": "Nights", "time_zone": "UTC", "first_day": "2026-03-02", "cycle_days": "2",
            "days-0": "0", "starts-0": "08:00", "ends-0": "16:00", "member-0": "1",
        }  # fmt: skip
        told_in_chinese(browser.post("/rotas", data=rota), "'Nights'")
        told_in_chinese(browser.post("/rotas", data={**rota, "days-0": "0-5"}), "0", "1")
        told_in_chinese(browser.post("/rotas", data={**rota, "time_zone": "Moon"}), "Moon")
        told_in_chinese(browser.post("/rotas", data={**rota, "starts-0": ""}), "starts")
        told_in_chinese(browser.post("/people/import", data={"kind": "engineers"}, files=a_table(BAD)))


def test_refused_forms_of_calendars_and_rules_read_as_chinese(console: Console, admin) -> None:
    with console.reader(admin, "zh") as browser:
        form = {**CALENDAR, "version": "1"}
        for changes, named in (
            ({"day-1": "25:00-26:00"}, "starts"), ({"day-1": "10:00-09:00"}, "36000"), ({"country": "ZZ"}, "'ZZ'"),
            ({"country": "DE", "subdivision": "XX"}, "'XX'"), ({"subdivision": "BY"}, "'BY'"), ({"version": "9"}, "9"),
            ({"time_zone": "Moon/Sea"}, "'Moon/Sea'"), ({"day-1": "08:00-12:00, 11:00-13:00"}, "28800"),
        ):  # fmt: skip
            told_in_chinese(browser.post("/calendars/weekdays", data={**form, **changes}), named)
        told_in_chinese(browser.post("/calendars", data={**CALENDAR, "id": "weekdays"}), "'weekdays'")
        told_in_chinese(browser.post("/calendars/weekdays/days", data={"day": "2026-05-01", "step": "remove"}), "2026")
        told_in_chinese(browser.post("/calendars/weekdays/days", data={"day": "soon", "name": "x"}), "day")
        weightless = {name: "0" for name in RULES if name.startswith("field:weights.")}
        told_in_chinese(browser.post("/dispatch", data={**RULES, **weightless, "step": "look"}), "dispatch.weights")
        asked = {"certificate": "gas", "site": "", "work": ""}
        told_in_chinese(browser.post("/dispatch/certificates", data=asked), "设备类型")
        asked = {**asked, "site": "plant-1"}
        browser.post("/dispatch/certificates", data=asked)
        told_in_chinese(browser.post("/dispatch/certificates", data=asked), "'gas'")
    with console.reader(console.house.planner, "zh") as browser:
        told_in_chinese(browser.post("/dispatch", data={**RULES, "step": "look"}), "plant-1")
        told_in_chinese(browser.post("/dispatch/certificates", data={"certificate": "x", "site": ""}), "plant-1")
