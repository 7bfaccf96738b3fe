"""Vibration, regimes, policies and the folded menu in a real browser: accessible, fitting, and without scripts."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from domain.regimes import OperatingRegimes
from storage.detection_policy import ensure_detection_policy
from storage.parts_policy import ensure_parts_policy
from storage.regimes import save_regimes
from tests.browser.conftest import DESK, EACH_LANGUAGE_AND_WIDTH, PHONE, Site
from tests.browser.test_console import judge, judge_all
from tests.console_builders import NOW
from tests.operations_builders import a_silent_feed, an_administrator
from tests.vibration_builders import a_known_bearing, some_blocks
from ticketing.actors import Actor

pytestmark = pytest.mark.chromium

PAGES = ("/assets/1/vibration", "/regimes", "/regimes/motor", "/policy", "/policy/detection", "/policy/parts")


def a_furnished_house(site: Site) -> Actor:
    """A spalled bearing, regimes and both policies; return an administrator."""
    with site.console.pool.connection() as connection:
        some_blocks(connection, site.console.house, bearing=a_known_bearing(connection, site.console.house))
        save_regimes(connection, "motor", OperatingRegimes("temperature_c", (40.0, 60.0), 120.0), NOW)
        ensure_detection_policy(connection, NOW)
        ensure_parts_policy(connection, NOW)
        return an_administrator(connection)


@EACH_LANGUAGE_AND_WIDTH
def test_every_page_is_accessible_and_fits(site, language, size):
    admin = a_furnished_house(site)
    with site.visitor(admin, language, size) as visitor:
        judge_all(visitor, PAGES, language)
        page = visitor.visit("/policy/detection")
        page.locator("[id='field:budget.tickets_per_site_per_day']").fill("many")
        page.locator("button[value=look]").click()
        expect(page.locator("[id='told:budget.tickets_per_site_per_day']")).to_contain_text("many")
        judge(page)
        page.locator("[id='field:budget.tickets_per_site_per_day']").fill("5")
        page.locator("button[value=look]").click()
        expect(page.locator("#planned")).to_contain_text("20")
        judge(page)
        # A refused form answers 422, which a browser notes as an error of the page.
        visitor.troubles[:] = [one for one in visitor.troubles if "422" not in one]


def test_dark_pages_keep_their_contrast(site):
    admin = a_furnished_house(site)
    with site.visitor(admin, color_scheme="dark") as visitor:
        for path in PAGES:
            judge(visitor.visit(path))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_menu_of_an_administrator_is_one_line_and_unfolds_without_scripts(site, language):
    with site.console.pool.connection() as connection:
        a_silent_feed(connection)
        admin = an_administrator(connection)
    with site.visitor(admin, language, java_script_enabled=False) as visitor:
        page = visitor.visit("/")
        height = page.locator("header.bar").evaluate("(bar) => bar.getBoundingClientRect().height")
        assert 0 < height < 60, "the bar has one line at 1280 px"
        assert not page.locator("a[href='/policy']").is_visible()
        page.locator(".fold > summary").click()
        page.locator("nav a[href='/policy']").click()
        expect(page).to_have_url(f"{visitor.address}/policy")


def test_the_unfolded_menu_is_accessible_and_fits(site):
    with site.console.pool.connection() as connection:
        a_silent_feed(connection)
        admin = an_administrator(connection)
    for size in (DESK, PHONE):
        with site.visitor(admin, size=size) as visitor:
            page = visitor.visit("/policy")
            page.locator(".fold > summary").click()
            expect(page.locator("nav a[href='/service']")).to_be_in_viewport()
            judge(page)


def test_a_planner_of_the_house_changes_a_policy_by_clicking_without_scripts(site):
    admin = a_furnished_house(site)
    with site.visitor(admin, size=PHONE, java_script_enabled=False) as visitor:
        page = visitor.visit("/policy/parts")
        page.get_by_label("Delivery time where none is known").fill("30")
        page.get_by_role("button", name="Show what would change").click()
        expect(page.locator("#planned")).to_contain_text("14 days → 30 days")
        page.get_by_label("Reason").fill("sea freight")
        page.get_by_role("button", name="Publish the next version").click()
        expect(page.locator("#versions")).to_contain_text("sea freight")
