"""The console in a real browser: work done by clicking, accessibility, live updates, both languages, both sizes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from uuid import UUID

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from storage.casework import open_from_prediction
from tests.browser.conftest import DESK, EACH_LANGUAGE_AND_WIDTH, PHONE, Site, Visitor
from tests.console_builders import NOW, a_dispatch_decision, a_picture, a_worn_motor
from tests.ticket_builders import a_report, carry, command, finish_work, resolve
from ticketing.ticket import State

pytestmark = pytest.mark.chromium


def a_ticket(site: Site, state: State | None = None) -> tuple[str, UUID]:
    """A device's ticket with its prediction, carried to ``state``."""
    with site.console.pool.connection() as connection:
        prediction_id = a_worn_motor(connection, site.console.house)
        code = open_from_prediction(connection, prediction_id, NOW)
        assert code is not None
        a_dispatch_decision(connection, code)
        if state is not None:
            carry(connection, site.console.house, code, state)
    return code, prediction_id


def take(page: Page, step: str) -> None:
    """Press the button of the one next step, which must be this one."""
    expect(page.locator("#next-title")).to_have_text(f"Next step: {step}")
    page.locator("#next > form").get_by_role("button", name=step, exact=True).click()


def test_a_person_carries_a_ticket_to_closed_by_clicking(site):
    code, _ = a_ticket(site)
    house = site.console.house
    with site.visitor(house.supervisor) as supervisor, site.visitor(house.near, size=PHONE) as engineer:
        page = supervisor.visit("/")
        page.get_by_role("link", name=re.compile(code)).click()
        page.locator("#next > form").get_by_label("Engineer").select_option(label="Near")
        take(page, "Dispatch")
        expect(page.locator("#what")).to_contain_text("Dispatched")

        page = engineer.visit("/?work=mine")
        page.get_by_role("link", name=re.compile(code)).click()
        take(page, "Accept")
        take(page, "Depart")
        photo = {"name": "bearing.png", "mimeType": "image/png", "buffer": a_picture()}
        # As a person does, who is in the field while choosing: a live refresh leaves a part alone that is in use.
        page.locator("#next > form input[type=file]").focus()
        page.locator("#next > form input[type=file]").set_input_files(photo)
        page.locator("#next > form").get_by_label("Summary").fill("cover removed")
        take(page, "Start work")
        expect(page.get_by_role("img", name="bearing.png")).to_be_visible()
        for number in (1, 2):
            page.get_by_role("button", name=f"Done: task {number}").click()
        expect(page.locator("#checklist")).to_contain_text("2 / 2")
        form = page.locator("#next form[action$='/resolve']")
        form.get_by_label("Resolution").select_option(label="Repaired")
        form.get_by_label("Cause").fill("Grease dried out")
        form.get_by_label("Action taken").fill("Bearing replaced and greased")
        form.get_by_label("Summary").fill("bearing replaced")
        take(page, "Submit resolution")
        link = page.locator("a[href*='/c/']").get_attribute("href")
        expect(page.locator("svg.qr")).to_be_visible()
        judge(page)

        with site.visitor(None, size=PHONE, java_script_enabled=False) as requester:
            form = requester.page
            form.goto(link)
            form.get_by_role("group", name="Is the problem solved?").get_by_label("Yes").check()
            form.get_by_role("group", name="Are you satisfied").get_by_label("Yes").check()
            form.get_by_role("button", name="Send the answer").click()
            expect(form.get_by_role("heading", name="Thank you")).to_be_visible()

        page.goto(f"{engineer.address}/tickets/{code}")
        take(page, "Close")
        expect(page.locator("#what")).to_contain_text("Closed")
        expect(page.locator("#what")).to_contain_text("Repaired")
        # The supervisor's page has followed without a click.
        expect(supervisor.page.locator("#what")).to_contain_text("Repaired")
        expect(supervisor.page.locator("#timeline")).to_contain_text("Bearing replaced and greased")


@EACH_LANGUAGE_AND_WIDTH
def test_every_page_is_accessible_and_fits(site, language, size):
    code, prediction_id = a_ticket(site, State.EXECUTING)
    house = site.console.house
    with site.console.pool.connection() as connection:
        a_report(connection, house)
        secret = resolve(connection, house, code).confirmation_url_secret
    with site.visitor(house.supervisor, language, size) as visitor:
        lists = ("/", "/assets", "/predictions", "/nowhere")
        for path in (*lists, f"/tickets/{code}", "/assets/1", f"/predictions/{prediction_id}", f"/c/{secret}"):
            page = visitor.visit(path)
            expect(page.locator("html")).to_have_attribute("lang", {"en": "en", "zh": "zh-CN"}[language])
            for plot in page.locator("ws-chart").all():
                expect(plot.locator("canvas")).to_be_visible()
            judge(page)
        visitor.troubles[:] = [one for one in visitor.troubles if "/nowhere" not in one]
    with site.visitor(None, language, size) as stranger:
        judge(stranger.visit("/login"))


def test_dark_pages_keep_their_contrast(site):
    code, _ = a_ticket(site, State.DISPATCHED)
    with site.visitor(site.console.house.near, color_scheme="dark") as visitor:
        for path in ("/", f"/tickets/{code}", "/assets/1"):
            judge(visitor.visit(path))


def judge(page: Page) -> None:
    """Hold a page to axe's rules, and at both widths to its own width."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    told = [f"{page.url} {one['id']}: {[node['html'][:150] for node in one['nodes'][:3]]}" for one in found]
    assert told == []
    here = page.viewport_size
    for size in (DESK, PHONE):
        page.set_viewport_size(size)
        assert fits_soon(page), f"{page.url} at {size['width']} px"
    page.set_viewport_size(here)


def fits_soon(page: Page) -> bool:
    """Tell whether nothing scrolls sideways; plots follow a new width a moment later."""
    for _ in range(20):
        # The viewport's own element is evaluated through the debugger, so the page's policy does not stop it.
        if page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0:
            return True
        page.wait_for_timeout(100)
    return False


def judge_all(visitor: Visitor, paths: Iterable[str], language: str) -> None:
    """Hold every page to ``judge`` and to its language, with what is folded away laid open."""
    for path in paths:
        page = visitor.visit(path)
        expect(page.locator("html")).to_have_attribute("lang", {"en": "en", "zh": "zh-CN"}[language])
        for plot in page.locator("ws-chart").all():
            expect(plot.locator("details")).to_be_attached()  # its readings came, and with them its fold
        page.locator("main details").evaluate_all("(all) => all.forEach((one) => (one.open = true))")
        judge(page)


def test_the_list_follows_changes_and_its_filters_work_without_a_reload(site):
    house = site.console.house
    with site.visitor(house.supervisor) as visitor:
        page = visitor.visit("/")
        expect(page.locator("#tickets")).to_contain_text("No ticket is open")
        page.wait_for_timeout(300)  # the stream connects; nothing on the page says when
        with site.console.pool.connection() as connection:
            code = a_report(connection, house)
        expect(page.locator("#tickets")).to_contain_text(code)
        page.get_by_label("Search").fill("no such thing")
        page.get_by_label("Search").press("Tab")
        expect(page.locator("#tickets")).to_contain_text("No ticket fits this filter")
        assert "text=no+such+thing" in page.url


def test_what_somebody_types_survives_a_change_of_the_ticket(site):
    code, _ = a_ticket(site, State.EXECUTING)
    house = site.console.house
    with site.visitor(house.near) as visitor:
        page = visitor.visit(f"/tickets/{code}")
        page.locator("#next summary", has_text="Submit resolution").click()
        page.locator("#resolve-cause").fill("Grease dried")
        page.wait_for_timeout(300)
        with site.console.pool.connection() as connection:
            command(connection, code, "note", house.supervisor, {"content": "Gate 4 is open"}, summary="use gate 4")
        expect(page.locator("#timeline")).to_contain_text("Gate 4 is open")
        expect(page.locator("#next [data-newer]")).to_be_visible()
        expect(page.locator("#resolve-cause")).to_have_value("Grease dried")


def test_a_refused_form_keeps_what_was_typed_while_the_page_is_live(site):
    code, _ = a_ticket(site, State.EXECUTING)
    house = site.console.house
    with site.visitor(house.near) as visitor:
        page = visitor.visit(f"/tickets/{code}")
        page.locator("#next summary", has_text="Add a note").click()
        page.locator("#note-content").fill("Gate 4 is open")
        page.locator("#note-summary").fill("ok")
        page.locator("form[action$='/note'] button").click()
        expect(page.get_by_role("alert")).to_contain_text("The summary says nothing")
        with site.console.pool.connection() as connection:
            command(connection, code, "note", house.supervisor, {"content": "Use gate 4"}, summary="gate 4 is open")
        expect(page.locator("#timeline")).to_contain_text("Use gate 4")
        expect(page.locator("#note-content")).to_have_value("Gate 4 is open")
        visitor.troubles.clear()  # Chromium counts the refusal's status 422 as an error


def test_countdowns_run_down_in_the_readers_language(site):
    code, _ = a_ticket(site, State.DISPATCHED)
    with site.visitor(site.console.house.near, "zh") as visitor:
        page = visitor.visit(f"/tickets/{code}")
        clock = page.locator("#clocks ws-countdown").first
        expect(clock).to_have_text(re.compile(r"^剩余 1 小时 59 分$"))


def test_a_page_works_without_scripts(site):
    code, _ = a_ticket(site, State.EXECUTING)
    house = site.console.house
    with site.console.pool.connection() as connection:
        finish_work(connection, house, code)
    with site.visitor(house.near, java_script_enabled=False) as visitor:
        page = visitor.visit("/")
        page.get_by_label("Search").fill(code)
        page.get_by_role("button", name="Show").click()
        page.get_by_role("link", name=re.compile(code)).click()
        page.locator("#next summary", has_text="Add a note").click()
        page.locator("#note-content").fill("Oil is clean")
        page.locator("#note-summary").fill("oil looked at")
        page.locator("form[action$='/note'] button").click()
        expect(page.locator("#timeline")).to_contain_text("Oil is clean")
