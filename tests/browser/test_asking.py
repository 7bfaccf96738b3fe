"""Asking for work and what runs beside it in a real browser: accessible, fitting, and without scripts."""

from __future__ import annotations

import json
from datetime import date

import pytest
from playwright.sync_api import expect

from domain.checklists import Task
from storage.articles import ArticleText, add_article
from storage.critical_windows import WindowFields, create_window
from storage.drafts import save_draft
from storage.intaking.refusals import keep_refusal, settle_refusal
from storage.schedules import MeterPlan, Work, add_schedule, look_at_next_schedule
from tests.browser.conftest import EACH_LANGUAGE_AND_WIDTH, PHONE, Site
from tests.browser.test_console import judge, judge_all
from tests.console_builders import NOW
from tests.operations_builders import an_administrator
from tests.test_pages_windows import a_notice
from tests.ticket_builders import DAY, HOUR, SITE, a_report, command
from ticketing.actors import Actor
from ticketing.intake import Channel, invalid
from ticketing.scheduling import CalendarPlan, Unit

pytestmark = pytest.mark.chromium

WORK = Work(
    "Grease the bearings", "轴承加脂", "Both ends\nof the shaft", None,
    (Task("Grease", "加脂", "g", 5.0, 20.0, True), Task("Look at the seal", "检查油封")),
)  # fmt: skip
ORDER = {
    "site": SITE, "tag": "M-1", "kind": "production", "title": "Ten gearboxes",
    "description": "For the line\nin hall 2",
    "operations": [{"name": "Turn", "quality_check": "35 h6", "engineer_id": ""}],
    "bill": [{"part_number": "6204-2RS", "quantity": "4"}],
    "tasks": [{"text_en": "Play", "unit": "mm", "low_limit": "0.1", "opens_ticket": "yes"}],
}  # fmt: skip


def some_work(site: Site, admin: Actor) -> list[str]:
    """Furnish schedules, articles, refused requests, windows, a frozen site, notices and drafts; return the pages."""
    console = site.console
    house, person = console.house, admin.person_id or 0
    with console.pool.connection() as connection:
        connection.execute("update asset set serial_number = 'SN-88', brand = 'Acme', warranty_until = '2026-03-01'")
        connection.execute("insert into team (name, site_id) values ('Mechanics', %s)", (SITE,))
        weekly = CalendarPlan(Unit.WEEK, 2, date(2026, 3, 2), 3)
        first = add_schedule(connection, house.asset_id, WORK, weekly, person_id=person, now=NOW)
        meter = MeterPlan(house.series_id, 500.0, 120.0)
        second = add_schedule(connection, house.asset_id, WORK, meter, person_id=person, now=NOW)
        while look_at_next_schedule(connection, NOW):
            pass
        text = ArticleText(
            "Howling motors", "电机异响", "Grease first.\n\nThen measure.", "先加脂，再测量。", "motor", None
        )
        article = add_article(connection, text, person_id=person, now=NOW)
        fields = WindowFields("motor", "Launch", 2.0, NOW - HOUR, NOW + DAY, None, None, None)
        window = create_window(connection, SITE, fields, person_id=person, now=NOW)
        night = WindowFields(None, "Night shift", 1.5, None, None, [1, 2, 3, 4, 5], 22 * 3600, 6 * 3600)
        create_window(connection, SITE, night, person_id=person, now=NOW)
        for number in range(4):
            code = a_report(connection, house, NOW - HOUR, f"Ten gearboxes {number}")
            stop = {"level": "P0", "reason": "the line stands"}
            command(connection, code, "override_priority", house.supervisor, stop)
        connection.execute(
            "insert into priority_control select id, policy_id, opened_at, priority, 1, 3, 1, '{}' from ticket"
            " on conflict (ticket_id) do nothing"
        )
        refused = [
            keep_refusal(
                connection, invalid("a failure mode of the asset's type", "'gremlins'"), channel=Channel.API,
                body=json.dumps({"asset_id": house.asset_id, "title": f"It glows {number}"}),
                person_id=house.requester.person_id, site_id=SITE, now=NOW,
            )
            for number in range(2)
        ]  # fmt: skip
        settle_refusal(connection, refused[1], person_id=person, note="Rang them up", now=NOW)
        save_draft(connection, person, "report", ORDER, NOW, None)
        save_draft(connection, person, "report.asset-1", {**ORDER, "kind": "corrective"}, NOW, None)
    a_notice(console, code, "phone", "Ten gearboxes: nobody has accepted it")
    a_notice(console, code, "sms", "Ten gearboxes: nobody has accepted it")
    pages = ["/", "/report", "/report?step=what", "/report?step=send", "/report?draft=report.asset-1&step=what"]
    pages += ["/schedules", f"/schedules/{first}", f"/schedules/{second}", "/schedules/new", "/schedules/new?tag=M-1"]
    pages += ["/articles", "/articles?text=gearbox", f"/articles/{article}", "/articles/new"]
    pages += ["/intake", "/intake?settled=1", *(f"/intake/{key}" for key in refused)]
    pages += ["/windows", "/windows/new", f"/windows/{window.id}", "/priority-control?month=2026-03", "/notices"]
    return pages


def a_planner(site: Site) -> Actor:
    with site.console.pool.connection() as connection:
        return an_administrator(connection)


@EACH_LANGUAGE_AND_WIDTH
def test_every_page_of_asking_is_accessible_and_fits(site, language, size):
    admin = a_planner(site)
    pages = some_work(site, admin)
    with site.visitor(admin, language, size) as visitor:
        judge_all(visitor, pages, language)


def test_dark_pages_of_asking_keep_their_contrast(site):
    admin = a_planner(site)
    with site.visitor(admin, color_scheme="dark") as visitor:
        for path in some_work(site, admin):
            judge(visitor.visit(path))


def test_a_person_asks_for_an_inspection_without_scripts_and_comes_back_to_it(site):
    """SPEC T10: what was begun on a phone is there at the desk."""
    near = site.console.house.near
    with site.visitor(near, size=PHONE, java_script_enabled=False) as visitor:
        page = visitor.visit("/")
        page.get_by_role("link", name="Report a fault or ask for work").click()
        page.get_by_label("Ask for an inspection").check()
        page.get_by_label("Asset tag").fill("M-9")
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_role("alert")).to_contain_text("which no asset has")
        page.get_by_label("Asset tag").fill("M-1")
        page.get_by_role("button", name="Go on").click()
        page.get_by_label("Title").fill("Look at the belt")
        page.get_by_label("Check 1").fill("Tension")
        page.get_by_role("button", name="Keep for later").click()
        expect(page.get_by_role("status")).to_contain_text("nobody is told of it")
        visitor.troubles[:] = [one for one in visitor.troubles if "404" not in one]
    with site.visitor(near, java_script_enabled=False) as visitor:
        page = visitor.visit("/report")
        page.get_by_role("link", name="Look and send").click()
        expect(page.locator("main")).to_contain_text("Tension")
        page.get_by_role("button", name="Open the ticket").click()
        expect(page.locator("#what")).to_contain_text("Look at the belt")
        expect(page.locator("#what")).to_contain_text("Inspection")


def test_a_planner_plans_work_that_comes_round_without_scripts(site):
    """SPEC T8."""
    with site.visitor(site.console.house.planner, java_script_enabled=False) as visitor:
        page = visitor.visit("/schedules")
        page.get_by_role("link", name="New schedule").click()
        page.get_by_label("Asset tag").fill("M-1")
        page.get_by_role("button", name="Go on").click()
        page.get_by_label("Title, in English").fill("Grease")
        page.get_by_label("For the first time on").fill("2026-03-09")
        page.get_by_role("button", name="Add the schedule").click()
        expect(page.get_by_role("heading", name="Grease")).to_be_visible()
        expect(page.locator("main")).to_contain_text("2026-03-09")
        page.get_by_text("Switch off", exact=True).click()
        page.get_by_role("button", name="Switch it off for good").click()
        expect(page.locator("main")).to_contain_text("switched off")
