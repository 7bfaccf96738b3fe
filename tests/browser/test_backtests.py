"""Rules tried on history, in a real browser: asked for by clicking, followed without a reload, accessible."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from detectors.backtest import MachineResult, Outcome, TicketTold, Verdict
from detectors.calibrate import HeldOut
from runtime.backtesting import run_waiting
from storage.rules import install_rule
from tests.browser.conftest import EACH_LANGUAGE_AND_WIDTH, PHONE, Site
from tests.browser.test_console import judge, judge_all
from tests.console_builders import NOW, Console
from tests.operations_builders import an_administrator
from tests.rules_builders import a_draft
from tests.test_pages_backtests import RULE, a_score, a_watched_motor, answered, asked, sought
from tests.ticket_builders import HOUR
from ticketing.actors import Actor

pytestmark = pytest.mark.chromium


def a_result(console: Console) -> MachineResult:
    """Four tickets of a machine beside five of the rules in force."""
    tickets = tuple(
        TicketTold("bearing_wear", NOW - hours * HOUR, 0.7, verdict, lead_h, (RULE,))
        for hours, verdict, lead_h in ((9, Verdict.RIGHT, 50.0), (7, Verdict.RIGHT, 30.0), (5, Verdict.FALSE, None))
    )
    candidate = Outcome(a_score(4, 2, 1, 30.0, 50.0), tickets, ())
    return MachineResult(console.house.asset_id, "M-1", 1440, candidate, Outcome(a_score(5, 1, 4, 10.0), (), ()))


def a_history(site: Site) -> tuple[Actor, list[str]]:
    """One run of each kind and state; return an administrator and the pages' addresses."""
    console = site.console
    with console.pool.connection() as connection:
        admin = an_administrator(connection)
    a_watched_motor(console)
    asked(console)
    answered(console, a_result(console))
    asked(console)
    answered(console, "no such event: 'unheard'")
    held_out = HeldOut(9.0, 9, 3.0, 1.5, 5.2, holds=False)
    doubtful, limit = sought(console, held_out=held_out), sought(console)
    none = sought(console, limit=None, rate=None, reached=False, held_out=None)
    asked(console)
    pages = ["/rules", f"/rules/{RULE}", "/backtests", f"/backtests?rule={RULE}"]
    return admin, [*pages, *(f"/backtests/{number}" for number in (1, 2, doubtful, limit, none, none + 1))]


def a_rule_of_warmth(site: Site, asset_type: str | None) -> None:
    a_watched_motor(site.console)
    with site.console.pool.connection() as connection:
        draft = replace(a_draft("warm", metric="temperature_c", detector="threshold", high=80.0), asset_type=asset_type)
        install_rule(connection, draft, NOW)


@EACH_LANGUAGE_AND_WIDTH
def test_every_page_of_backtests_is_accessible_and_fits(site, language, size):
    admin, pages = a_history(site)
    with site.visitor(admin, language, size) as visitor:
        judge_all(visitor, pages, language)
        page = visitor.visit(f"/backtests?rule={RULE}")
        page.locator("[id='p-h']").fill("much")
        page.locator("button[value=changed]").click()
        expect(page.locator("#refusal")).to_contain_text("'much'")
        expect(page.locator("[id='p-h']")).to_have_value("much")
        judge(page)
        # A refused form answers 422, which a browser notes as an error of the page.
        visitor.troubles[:] = [one for one in visitor.troubles if "422" not in one]


def test_dark_pages_of_backtests_keep_their_contrast(site):
    admin, pages = a_history(site)
    with site.visitor(admin, color_scheme="dark") as visitor:
        for path in pages:
            judge(visitor.visit(path))


def test_a_rule_is_tried_by_clicking_and_the_page_follows_until_it_has_ended(site):
    a_watched_motor(site.console)
    with site.visitor(site.console.house.planner) as visitor:
        page = visitor.visit("/rules")
        page.get_by_role("link", name=RULE).click()
        page.get_by_role("link", name="Try on history").click()
        page.get_by_label("h", exact=True).fill("5")
        page.get_by_role("button", name="Try with these values").click()
        expect(page.locator("#run")).to_contain_text("Waiting")
        run_waiting(site.console.pool.conninfo, site.console.clock, threading.Event(), workers=0)
        expect(page.locator("#run")).to_contain_text("Finished")
        expect(page.get_by_role("heading", name="Beside the rules in force")).to_be_visible()
        judge(page)


def test_a_rule_is_chosen_tried_and_removed_without_scripts(site):
    a_rule_of_warmth(site, None)
    with site.visitor(site.console.house.planner, size=PHONE, java_script_enabled=False) as visitor:
        page = visitor.visit("/backtests")
        page.get_by_label("Rule", exact=True).select_option("warm")
        page.get_by_role("button", name="Choose").click()
        expect(page.get_by_label("Asset type")).to_have_value("motor")
        page.locator("[id='p-high']").fill("70")
        page.get_by_role("button", name="Try with these values").click()
        expect(page.locator("#run")).to_contain_text("in force now: 80.0")
        page.get_by_role("button", name="Cancel it").click()
        expect(page.locator("#run")).to_contain_text("Cancelled")
        page.get_by_text("Remove", exact=True).click()
        page.get_by_role("button", name="Remove it for good").click()
        expect(page.get_by_text("No rule has been tried on history yet.")).to_be_visible()


def test_another_rule_is_chosen_without_a_reload(site):
    a_rule_of_warmth(site, "motor")
    with site.visitor(site.console.house.planner) as visitor:
        page = visitor.visit("/backtests")
        page.get_by_label("Rule", exact=True).select_option("warm")
        expect(page.locator("[id='p-high']")).to_have_value("80")
        assert page.url.endswith("/backtests?rule=warm")
        judge(page)
