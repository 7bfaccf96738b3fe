"""The pages of detection in a real browser: predictions and what is decided, modes, rules, alarms, parts."""

from __future__ import annotations

from uuid import UUID

import pytest
from playwright.sync_api import expect

from runtime.learning import learn_what_is_due
from storage.detection_policy import detection_in_force
from storage.prediction_decisions import snooze
from storage.rule_proposals import propose
from storage.ticket_budget import hold_back
from tests.browser.conftest import DESK, EACH_LANGUAGE_AND_WIDTH, PHONE, Site
from tests.browser.test_console import judge, judge_all
from tests.console_builders import NOW, a_worn_motor
from tests.lesson_builders import another_mode, lessons
from tests.operations_builders import HOSTILE, an_administrator
from tests.test_pages_alarms import an_alarm
from tests.test_pages_parts import short_by
from tests.test_pages_predictions import a_prediction_of, with_signs
from tests.ticket_builders import DAY
from ticketing.actors import Actor

pytestmark = pytest.mark.chromium


def a_busy_motor(site: Site) -> tuple[Actor, UUID, UUID]:
    """Let a motor have a past, two predictions and decisions about one; return an administrator and both."""
    console = site.console
    with console.pool.connection() as connection:
        admin = an_administrator(connection)
        with_signs(connection)
        lessons(connection, console.house, right=3, wrong=9)
        learn_what_is_due(connection, console.clock)
        propose(connection, detection_in_force(connection)[1].trust, NOW)
        worn = a_worn_motor(connection, console.house)
        loose = a_prediction_of(connection, console, another_mode(connection))
        for days, reason in ((1, HOSTILE), (3, "The crane comes on Wednesday, nothing can be lifted before")):
            snooze(connection, worn, NOW + DAY * days, admin.person_id or 0, reason, NOW)
        hold_back(connection, worn, NOW)
    short_by(console, 3)
    return admin, worn, loose


@EACH_LANGUAGE_AND_WIDTH
def test_every_page_of_detection_is_accessible_and_fits(site, language, size):
    admin, worn, loose = a_busy_motor(site)
    finding_id = an_alarm(site.console)
    pages = ["/predictions", f"/predictions/{worn}", f"/predictions/{loose}", "/failure-modes/1", "/failure-modes/2"]
    pages += ["/rules", "/rules/drift-m-1", "/alarms", f"/findings/{finding_id}", "/parts"]
    with site.visitor(admin, language, size) as visitor:
        judge_all(visitor, pages, language)


def test_dark_pages_of_detection_keep_their_contrast(site):
    admin, worn, _ = a_busy_motor(site)
    with site.visitor(admin, color_scheme="dark") as visitor:
        for path in ("/predictions", f"/predictions/{worn}", "/failure-modes/1", "/rules/drift-m-1"):
            judge(visitor.visit(path))


@pytest.mark.parametrize(("language", "size"), [("en", DESK), ("zh", PHONE)])
def test_a_refused_decision_is_accessible_and_keeps_what_was_typed(site, language, size):
    _, worn, _ = a_busy_motor(site)
    with site.visitor(site.console.house.planner, language, size) as visitor:
        page = visitor.visit(f"/predictions/{worn}")
        form = page.locator("form[action$='/snooze']")
        page.locator("details:has(form[action$='/snooze']) > summary").click()
        form.locator("[name=until]").fill("2026-03-01T10:00")
        form.locator("[name=reason]").fill("nobody is there")
        form.locator("button").click()
        expect(page.locator("details[open]:has(form[action$='/snooze']) #refusal")).to_be_in_viewport()
        expect(form.locator("[name=until]")).to_have_value("2026-03-01T10:00")
        expect(form.locator("[name=reason]")).to_have_value("nobody is there")
        judge(page)
        # A refused form answers 422, which a browser notes as an error of the page.
        visitor.troubles[:] = [one for one in visitor.troubles if "422" not in one]


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_a_planner_snoozes_corrects_and_merges_without_scripts(site, size):
    _, worn, loose = a_busy_motor(site)
    with site.visitor(site.console.house.planner, size=size, java_script_enabled=False) as visitor:
        page = visitor.visit(f"/predictions/{loose}")
        page.locator("summary", has_text="Snooze").click()
        form = page.locator("form[action$='/snooze']")
        form.get_by_label("For").select_option(label="7 days")
        form.get_by_label("Reason").fill("the line stands still")
        form.get_by_role("button", name="Snooze").click()
        expect(page.locator(".head")).to_contain_text("until 2026-03-09 10:00")

        page.locator("summary", has_text="Correct the prediction").click()
        form = page.locator("form[action$='/edit']")
        form.get_by_label("Expected until").fill("2026-03-01T10:00")
        form.get_by_label("Reason").fill("it will not last")
        form.get_by_role("button", name="Correct the prediction").click()
        alert = page.locator("details[open]").get_by_role("alert")
        expect(alert).to_contain_text("a window that ends after it begins")
        expect(page.locator("form[action$='/edit']").get_by_label("Reason")).to_have_value("it will not last")
        page.locator("form[action$='/edit']").get_by_label("Expected until").fill("2026-03-05T10:00")
        page.locator("form[action$='/edit']").get_by_role("button", name="Correct the prediction").click()
        expect(page.locator("#decided-title + ol > li").first).to_contain_text("it will not last")

        page.locator("summary", has_text="Merge into another prediction").click()
        form = page.locator("form[action$='/merge']")
        form.get_by_label("Reason").fill("one bearing drives both")
        form.get_by_role("button", name="Merge into another prediction").click()
        expect(page).to_have_url(f"{visitor.address}/predictions/{worn}")
        page.get_by_role("link", name="Other", exact=True).click()
        expect(page.locator("p.notice", has_text="Merged into")).to_contain_text("Merged into Bearing wear")
        # A refused form answers 422, which a browser notes as an error of the page.
        visitor.troubles[:] = [one for one in visitor.troubles if "422" not in one]


def test_the_arithmetic_of_a_mode_is_two_clicks_from_a_prediction(site):
    a_busy_motor(site)
    with site.visitor(site.console.house.near) as visitor:
        page = visitor.visit("/predictions")
        page.locator("#predictions table").get_by_role("link", name="Bearing wear").click()
        page.locator("dt:text-is('Failure mode') + dd a").click()
        expect(page.locator("#signs-title ~ table")).to_contain_text("It spoke before 12 closures")
        expect(page.locator("#needs-title ~ table")).to_contain_text("Used in 3 of 3 repairs")
