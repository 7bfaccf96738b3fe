"""The pages of operations in a real browser: devices, quarantine, feeds, imports and the service's own health."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from storage import feeds
from tests.browser.conftest import DESK, EACH_LANGUAGE_AND_WIDTH, PHONE, Site
from tests.browser.test_console import judge, judge_all
from tests.operations_builders import (
    HOSTILE,
    a_bad_message,
    a_lossy_device,
    a_silent_feed,
    an_administrator,
    an_unknown_device,
    some_gateways,
)
from tests.test_pages_alarms import an_alarm
from tests.test_pages_feeds import FORM
from tests.test_pages_parts import short_by
from tests.test_pages_register import BAD, GOOD
from ticketing.actors import Actor

pytestmark = pytest.mark.chromium


def a_busy_house(site: Site) -> tuple[Actor, list[str]]:
    """Furnish every page of operations; return an administrator and the pages' addresses."""
    with site.console.pool.connection() as connection:
        admin = an_administrator(connection)
        a_silent_feed(connection)
        (feed,) = feeds.all_feeds(connection)
        an_unknown_device(connection)
        an_unknown_device(connection, HOSTILE, 2, feed)
        a_lossy_device(connection)
        text = a_bad_message(connection)
        binary = a_bad_message(connection, bytes(range(200)), "bad_json")
        some_gateways(connection, admin)
    finding_id = an_alarm(site.console)
    short_by(site.console, 3)
    pages = ["/devices", "/devices/1", "/devices/adopt?site=plant-1&name=press-7", "/service", "/register/import"]
    pages += ["/parts", "/alarms", f"/findings/{finding_id}"]
    pages += ["/gateways", "/gateways/1", "/gateways/2"]
    pages += ["/quarantine", "/quarantine?reason=unknown_device", f"/quarantine/{text}", f"/quarantine/{binary}"]
    return admin, [*pages, "/feeds", "/feeds/new?preset=zigbee2mqtt", f"/feeds/{feed.id}", "/assets", "/assets/1"]


@EACH_LANGUAGE_AND_WIDTH
def test_every_page_of_operations_is_accessible_and_fits(site, language, size):
    admin, pages = a_busy_house(site)
    with site.visitor(admin, language, size) as visitor:
        judge_all(visitor, pages, language)


def test_dark_pages_of_operations_keep_their_contrast(site):
    admin, pages = a_busy_house(site)
    with site.visitor(admin, color_scheme="dark") as visitor:
        for path in pages:
            judge(visitor.visit(path))


def test_a_device_is_adopted_and_given_a_credential_without_scripts(site):
    with site.console.pool.connection() as connection:
        an_unknown_device(connection)
    with site.visitor(site.console.house.planner, size=PHONE, java_script_enabled=False) as visitor:
        page = visitor.visit("/devices")
        page.get_by_role("link", name="Adopt press-7").click()
        page.get_by_label("Asset tag").fill("P-7")
        page.get_by_label("Name").fill("Press")
        page.get_by_role("button", name="Adopt").click()
        expect(page.get_by_role("status")).to_contain_text("The device is registered")
        page.get_by_role("button", name="Issue a credential").click()
        expect(page.locator("#issued")).to_contain_text("mosquitto_pub")
        page.get_by_text("Revoke", exact=False).first.click()
        page.get_by_role("button", name="Revoke it for good").click()
        expect(page.locator("#access")).to_contain_text("revoked")


def test_a_gateway_is_added_rotated_and_removed_without_scripts(site):
    with site.console.pool.connection() as connection:
        a_silent_feed(connection)
    with site.visitor(site.console.house.planner, size=PHONE, java_script_enabled=False) as visitor:
        page = visitor.visit("/gateways")
        page.get_by_label("Name").fill("hall-1")
        page.get_by_label("May publish").fill("line/+\nline/extra")
        page.get_by_role("button", name="Add and issue a credential").click()
        expect(page.locator("#issued")).to_contain_text("plant-1.hall-1.gateway.1")
        page.get_by_role("button", name="Issue the next one").click()
        expect(page.locator("#issued")).to_contain_text("plant-1.hall-1.gateway.2")
        page.get_by_text("Revoke plant-1.hall-1.gateway.1", exact=True).click()
        page.get_by_role("button", name="Revoke it for good plant-1.hall-1.gateway.1").click()
        expect(page.locator("#access")).to_contain_text("revoked by")
        expect(page.locator("#issued")).to_have_count(0)
        page.get_by_text("Remove", exact=True).click()
        page.get_by_role("button", name="Remove it for good").click()
        expect(page.get_by_text("No gateway yet")).to_be_visible()


@EACH_LANGUAGE_AND_WIDTH
def test_a_secret_and_a_refusal_are_accessible_and_the_technical_detail_unfolds(site, language, size):
    with site.console.pool.connection() as connection:
        admin = an_administrator(connection)
        a_silent_feed(connection)
        some_gateways(connection, admin)
    with site.visitor(admin, language, size) as visitor:
        page = visitor.visit("/gateways/1")
        page.locator("#access button.main").click()
        expect(page.locator("#issued")).to_contain_text("mosquitto_sub")
        judge(page)
        page = visitor.visit("/gateways")
        page.locator("#name").fill("hall-3")
        page.locator("#publish").fill("wearsight/v1/plant-9/+/telemetry")
        page.locator("form.step button.main").click()
        expect(page.locator("#refusal")).to_contain_text("wearsight/v1/plant-9/+/telemetry")
        judge(page)
        if language == "zh":
            page.locator("#refusal summary").click()
            expect(page.locator("#refusal")).to_contain_text("of the native topics only")
            judge(page)
        # A refused form answers 422, which a browser notes as an error of the page.
        visitor.troubles[:] = [one for one in visitor.troubles if "422" not in one]


def test_messages_are_tried_again_by_reason_and_dismissed_with_one(site):
    with site.console.pool.connection() as connection:
        an_unknown_device(connection)
        message_id = a_bad_message(connection)
    with site.visitor(site.console.house.planner) as visitor:
        page = visitor.visit("/quarantine")
        page.get_by_role("link", name="Unknown device").first.click()
        page.get_by_role("button", name="Try all of these again").click()
        expect(page.get_by_role("status").first).to_contain_text("Messages being tried again: 3")
        page = visitor.visit(f"/quarantine/{message_id}")
        with page.expect_download() as saved:
            page.get_by_role("link", name="Save the bytes").click()
        assert saved.value.suggested_filename == f"message-{message_id}.bin"
        page.locator("summary", has_text="Dismiss").click()
        page.get_by_label("Why nobody needs it").fill("a test of the fitter's")
        page.get_by_role("button", name="Dismiss for good").click()
        expect(page.get_by_role("status").first).to_contain_text("Messages dismissed: 1")


def test_a_table_is_corrected_looked_at_and_imported(site, tmp_path: Path):
    with site.visitor(site.console.house.planner, size=PHONE) as visitor:
        page = visitor.visit("/register/import")
        for name, table in (("bad.csv", BAD), ("good.csv", GOOD)):
            (tmp_path / name).write_text(table, encoding="utf-8")
            page.get_by_label("File").set_input_files(tmp_path / name)
            page.get_by_role("button", name="Look what it would do").click()
            expect(page.locator("#errors" if table is BAD else "#outcome")).to_be_visible()
            judge(page)
        page.get_by_role("button", name="Import it").click()
        expect(page.get_by_role("status").first).to_contain_text("The table is in the register")
        # A refused form answers 422, which a browser notes as an error of the page.
        visitor.troubles[:] = [one for one in visitor.troubles if "422" not in one]


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_a_mapping_is_tried_in_the_editor_and_saved(site, size):
    with site.console.pool.connection() as connection:
        admin = an_administrator(connection)
    with site.visitor(admin, size=size) as visitor:
        page = visitor.visit("/feeds")
        page.get_by_label("What speaks there").select_option("flat_json")
        page.get_by_role("button", name="New feed").click()
        page.get_by_label("Name").fill("line")
        page.locator("#topic").fill(FORM["topic"])
        page.get_by_label("Settings").fill(FORM["settings"])
        page.locator("#sample_topic").fill(FORM["sample_topic"])
        page.get_by_label("Message", exact=True).fill(FORM["sample"])
        page.get_by_role("button", name="Try").click()
        expect(page.locator("#tried")).to_contain_text("This would be stored")
        expect(page.locator("#tried")).to_contain_text("force_kn")
        expect(page.locator("#tried")).to_be_in_viewport()
        judge(page)
        page.get_by_role("button", name="Add the feed").click()
        expect(page.get_by_role("status").first).to_contain_text("Saved")


def test_the_menu_marks_trouble_of_the_service(site):
    with site.console.pool.connection() as connection:
        a_silent_feed(connection)
    with site.visitor(site.console.house.supervisor) as visitor:
        page = visitor.visit("/")
        page.locator(".fold > summary").click()
        page.get_by_role("link", name="Service problems stand").click()
        expect(page.get_by_role("heading", name="Feed silent")).to_be_visible()
