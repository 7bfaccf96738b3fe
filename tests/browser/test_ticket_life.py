"""A ticket's life and the engineer's offers in a real browser: accessible, fitting, worked by hand (SPEC T8, X5)."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from runtime.rounds import escalation_round
from storage.casework import open_from_prediction
from storage.lookups import fill_next_lookup
from tests.browser.conftest import EACH_LANGUAGE_AND_WIDTH, PHONE, Site
from tests.browser.test_console import judge, judge_all
from tests.console_builders import NOW, a_worn_motor
from tests.test_checks import with_limits
from tests.test_handing_over import a_member, a_team, with_serial_number
from tests.test_joined_tickets import a_second_mode
from tests.test_lookups import an_article
from tests.test_production import under_way
from tests.ticket_builders import DAY, HOUR, MINUTE, a_photo, a_report, carry, command
from ticketing.actors import Actor
from ticketing.ticket import State

pytestmark = pytest.mark.chromium


def a_long_life(site: Site) -> tuple[str, str, str, Actor]:
    """A ticket that was linked, split, merged into, held and handed over; one at work; an order; who got the first."""
    house, pool = site.console.house, site.console.pool
    with pool.connection() as connection:
        a_second_mode(connection)
        with_serial_number(connection, house)
        an_article(connection, house, "Motor howls: what to look at", "电机啸叫：检查要点")
        team_id = a_team(connection, "Electrical")
        receiver = a_member(connection, team_id, "sparks")
        code = open_from_prediction(connection, a_worn_motor(connection, house), NOW)
        assert code is not None
        carry(connection, house, code, State.EXECUTING)
        others = [a_report(connection, house, title=title) for title in ("Motor howls", "Motor smells")]
        command(connection, code, "link", house.near, {"other": others[0], "kind": "causes"})
        command(connection, others[1], "merge", house.supervisor, {"merged_into": code})
        split = {"title": "Coupling is loose", "failure_mode": "misalignment"}
        command(connection, code, "split", house.near, split)
        held = {"reason": "parts", "review_at": (NOW + DAY).isoformat()}
        command(connection, code, "hold", house.near, held)
        command(connection, code, "resume", house.near)
        told = {"team_id": team_id, "asked": "Check the winding", "history": "Bearing is sound, the current is not"}
        command(connection, code, "hand_over", house.near, told)
        while fill_next_lookup(connection, NOW):
            pass
        carry(connection, house, others[0], State.ACCEPTED)
        command(connection, others[0], "hold", house.near, {**held, "reason": "access"})
        order = under_way(connection, house)
    for minutes in (0, 20, 40):
        escalation_round(pool, NOW + minutes * MINUTE)
    return code, others[0], order, receiver


@EACH_LANGUAGE_AND_WIDTH
def test_every_page_of_a_ticket_s_life_is_accessible_and_fits(site, language, size):
    code, held, order, receiver = a_long_life(site)
    house = site.console.house
    with site.console.pool.connection() as connection:
        for number in range(4):
            a_report(connection, house, NOW + number * MINUTE, title=f"Rattle {number}")
        connection.execute("update ticket set flag = 'red' where code = %s", (held,))
    everything = [f"/tickets/{code}", f"/tickets/{held}", f"/tickets/{order}", "/offers", "/?flag=hold"]
    # Others have other steps on the ticket that is theirs to act on.
    for actor, pages in (
        (receiver, everything),
        (house.near, [f"/tickets/{order}"]),
        (house.supervisor, [f"/tickets/{held}"]),
    ):
        with site.visitor(actor, language, size) as visitor:
            judge_all(visitor, pages, language)


def test_dark_pages_of_a_ticket_s_life_keep_their_contrast(site):
    code, held, order, receiver = a_long_life(site)
    with site.visitor(receiver, color_scheme="dark") as visitor:
        for path in (f"/tickets/{code}", f"/tickets/{held}", f"/tickets/{order}", "/offers"):
            page = visitor.visit(path)
            page.locator("main details").evaluate_all("(all) => all.forEach((one) => (one.open = true))")
            judge(page)


def test_an_engineer_claims_an_offer_and_reads_a_gauge_on_a_phone_without_scripts(site):
    house = site.console.house
    with site.console.pool.connection() as connection:
        code = open_from_prediction(connection, a_worn_motor(connection, house), NOW)
        assert code is not None
        with_limits(connection, code)
    with site.visitor(house.near, size=PHONE, java_script_enabled=False) as visitor:
        page = visitor.visit("/")
        page.get_by_role("link", name="Offers").click()
        page.get_by_role("button", name="Take it").click()
        expect(page.locator("#what")).to_contain_text("Accepted")
        with site.console.pool.connection() as connection:
            photo = {"attachment_id": str(a_photo(connection, code))}
            command(connection, code, "execute", house.near, photo, summary="cover removed")
        page.reload()
        page.get_by_role("button", name="Done: task 1").click()
        page.locator("#checklist").get_by_label("Reading (mm/s)").fill("7.1")
        page.get_by_role("button", name="Done: task 2").click()
        expect(page.locator("#checklist")).to_contain_text("Check failed")
        page.locator("#checklist").get_by_role("link", name=re.compile("^P0")).click()
        expect(page.locator("#links")).to_contain_text(code)


def test_offers_follow_when_somebody_else_is_quicker(site):
    house = site.console.house
    with site.console.pool.connection() as connection:
        code = a_report(connection, house)
    with site.visitor(house.near) as visitor:
        page = visitor.visit("/offers")
        expect(page.locator("#offers")).to_contain_text(code)
        page.wait_for_timeout(300)  # the stream connects; nothing on the page says when
        with site.console.pool.connection() as connection:
            promise = {"expected_response_at": (NOW + HOUR).isoformat()}
            command(connection, code, "accept", house.far, promise)
        expect(page.locator("#offers")).to_contain_text("No open ticket fits you now")
