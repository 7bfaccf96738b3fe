"""People, teams, shifts, calendars and dispatch rules in a real browser: accessible, fitting, and without scripts."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from storage import calendar_book, qualifications
from tests.browser.conftest import EACH_LANGUAGE_AND_WIDTH, PHONE, Site
from tests.browser.test_console import judge, judge_all
from tests.console_builders import NOW
from tests.operations_builders import an_administrator
from tests.test_pages_people import BAD as BAD_TABLE
from tests.test_pages_people import a_crew, a_table
from tests.ticket_builders import DAY, a_device_ticket
from ticketing.actors import Actor

pytestmark = pytest.mark.chromium

PAGES = (
    "/people", "/people/1", "/people/3", "/people/import", "/teams", "/shifts", "/shifts?week=2026-04-01",
    "/dispatch", "/calendars", "/calendars/weekdays", "/calendars/weekdays?year=2027",
)  # fmt: skip


def a_staffed_house(site: Site) -> Actor:
    """A crew with a rota, somebody away, certificates of every kind, a country's holidays; return an administrator."""
    a_crew(site.console)
    today = NOW.date()
    with site.console.pool.connection() as connection:
        for name, first, last in (
            ("height", today - 90 * DAY, today - DAY),
            ("gas", today - 90 * DAY, today + 10 * DAY),
            ("high_voltage", today + DAY, None),
        ):
            qualifications.add_certificate(connection, 1, name, first, last)
        qualifications.set_site_access(connection, 1, {"plant-1": today - DAY})
        qualifications.ask_for_certificate(connection, "height", "plant-1", "motor", "bearing_wear")
        row = calendar_book.calendar_row(connection, "weekdays", hold=True)
        assert row is not None
        calendar_book.change_calendar(
            connection, row, calendar_book.wanted_with(connection, row, {"country": "CN"}), NOW
        )
        row = calendar_book.calendar_row(connection, "weekdays", hold=True)
        assert row is not None
        calendar_book.enter_day(connection, row, today + 5 * DAY, working=False, name="Stocktaking", now=NOW)
        connection.execute("update calendar set official_until = '2026-04-01'")
        connection.execute("insert into site_director values ('plant-1', 4)")
        a_device_ticket(connection, site.console.house)
        return an_administrator(connection)


@EACH_LANGUAGE_AND_WIDTH
def test_every_page_is_accessible_and_fits(site, language, size):
    admin = a_staffed_house(site)
    with site.visitor(admin, language, size) as visitor:
        judge_all(visitor, PAGES, language)
        page = visitor.visit("/dispatch")
        page.locator("[id='field:soft.near_km']").fill("near")
        page.locator("button[value=look]").click()
        expect(page.locator("[id='told:soft.near_km']")).to_contain_text("near")
        judge(page)
        page.locator("[id='field:soft.near_km']").fill("30")
        page.locator("button[value=look]").click()
        expect(page.locator("#planned")).to_contain_text("30")
        judge(page)
        page = visitor.visit("/people/import")
        page.locator("#file").set_input_files(
            {"name": "people.csv", "mimeType": "text/csv", "buffer": a_table(BAD_TABLE)["file"][1]}
        )
        page.locator("form.step button").click()
        expect(page.locator("#errors")).to_be_visible()
        judge(page)
        # A refused form answers 422, which a browser notes as an error of the page.
        visitor.troubles[:] = [one for one in visitor.troubles if "422" not in one]


def test_dark_pages_keep_their_contrast(site):
    admin = a_staffed_house(site)
    with site.visitor(admin, color_scheme="dark") as visitor:
        for path in PAGES:
            judge(visitor.visit(path))


def test_an_absence_a_shift_and_a_rule_are_changed_by_clicking_without_scripts(site):
    admin = a_staffed_house(site)
    with site.visitor(admin, size=PHONE, java_script_enabled=False) as visitor:
        page = visitor.visit("/people/1")
        page.get_by_text("Note an absence", exact=True).click()
        form = page.locator("#absences form.step")
        form.get_by_label("From").fill("2026-03-05T08:00")
        form.get_by_label("To", exact=True).fill("2026-03-06T08:00")
        form.get_by_label("Who stands in").select_option(label="Far (far)")
        form.get_by_label("Reason").fill("leave")
        form.get_by_role("button", name="Note it").click()
        expect(page.locator("#absences")).to_contain_text("Far stands in")
        page = visitor.visit("/shifts")
        expect(page.get_by_text("Absent").first).to_be_visible()
        page.locator("#single button").first.click()
        expect(page.locator("#single")).to_contain_text("None: who is planned is so by a rota")
        page = visitor.visit("/dispatch")
        page.get_by_label("Near", exact=False).first.fill("30")
        page.locator("button[value=look]").click()
        page.get_by_label("Reason").fill("far sites")
        page.get_by_role("button", name="Publish these rules").click()
        expect(page.locator("[id='field:soft.near_km']")).to_have_value("30")
