"""Below feeds and gateways: who changed what and when, newest first, a stretch at a time (SPEC E1, E2)."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest

from api.pages.history import HISTORY_MAX
from storage import audit, device_credentials, feeds
from tests.console_builders import NOW, Console
from tests.operations_builders import a_gateway_feed, a_planner_elsewhere
from tests.test_pages_feeds import FORM as FEED
from tests.test_pages_gateways import FORM as GATEWAY
from tests.ticket_builders import SITE
from ticketing.actors import Actor

MINUTE = timedelta(minutes=1)


def told(page: str) -> list[str]:
    """The changes of a page, a line each, without markup."""
    lines = re.findall(r"(?s)<li>(.*?)</li>", page.partition('id="changes"')[2].partition("</section>")[0])
    return [" ".join(unescape(re.sub(r"<[^>]*>", " ", line)).split()) for line in lines]


def test_the_feeds_page_tells_who_changed_what_and_when(console: Console, admin: Actor):
    with console.reader(admin) as browser:
        assert "No change yet." in browser.get("/feeds").text
        made = browser.post("/feeds/new", data={**FEED, "step": "save"}).headers["location"].partition("?")[0]
        console.clock.move(MINUTE)
        browser.post(f"{made}/switch", data={"enabled": "no"})
        browser.post(made, data={**FEED, "silent_after_s": "60", "name": "mill", "step": "save"})
        newest, off, added = told(browser.get("/feeds").text)
    assert newest.startswith("Feed mill changed · admin 2026-03-02 10:01")
    assert "Name line → mill" in newest
    assert "Silence alarm (s) 600 → 60" in newest
    assert off.startswith("Feed line changed · admin")
    assert off.endswith("State on → off")
    assert added.startswith("Feed line added · admin 2026-03-02 10:00")


def test_of_settings_what_differs_is_shown_as_json_and_markup_as_text(console: Console, admin: Actor):
    with console.pool.connection() as connection:
        feed = a_gateway_feed(connection)
        audit.act_as(connection, admin.person_id, NOW)
        settings = {
            "units": {"温度": "<b>°C</b>"},
            "time": {"field": "at", "format": "ms"},
            "topics": ["line/{device}"],
        }
        draft = feeds.FeedDraft(feed.name, feed.site, feed.topic, feed.decoder, settings, True, 600.0)
        feeds.update_feed(connection, feed.id, draft)
    with console.reader(admin, "zh") as browser:
        page = browser.get("/feeds").text
    assert "<b>°C" not in page
    (line, _) = told(page)
    assert line.startswith("接入源 line 已更改 · admin")
    assert line.endswith(
        '设置 time: {"field": "ts", "format": "ms"} → {"field": "at", "format": "ms"} units: – → {"温度": "<b>°C</b>"}'
    )


def test_a_removed_feed_is_still_told_by_its_name(console: Console, admin: Actor):
    with console.pool.connection() as connection:
        feed = a_gateway_feed(connection)
    with console.reader(admin) as browser:
        browser.post(f"/feeds/{feed.id}/remove")
        assert told(browser.get("/feeds").text)[0].startswith("Feed line removed · admin")


def test_the_gateways_page_tells_of_gateways_and_their_credentials_and_not_of_devices(console: Console, admin: Actor):
    with console.pool.connection() as connection:
        a_gateway_feed(connection)
        owner = device_credentials.owner_of_device(1, SITE, "dev-M-1")
        device_credentials.issue(connection, owner, admin.person_id, NOW)
    with console.reader(admin) as browser:
        browser.post("/gateways", data=GATEWAY)
        browser.post("/gateways/1/credentials")
        browser.post("/gateways/1/credentials/2/revoke")
        browser.post("/gateways/1/remove")
        lines = [line.partition(" · ")[0] for line in told(browser.get("/gateways").text)]
        assert "line added" not in " ".join(lines)
    assert lines == [
        "Gateway hall-1 removed",
        "Credential plant-1.hall-1.gateway.2 revoked",
        "Credential plant-1.hall-1.gateway.1 revoked",
        "Credential plant-1.hall-1.gateway.2 added",
        "Credential plant-1.hall-1.gateway.1 added",
        "Gateway hall-1 added",
    ]


@pytest.mark.parametrize(("count", "pages"), [(HISTORY_MAX, 1), (HISTORY_MAX + 1, 2), (2 * HISTORY_MAX + 1, 3)])
def test_changes_come_a_stretch_at_a_time_and_none_is_left_out(console: Console, admin: Actor, count: int, pages: int):
    with console.pool.connection() as connection:
        for number in range(count):
            a_gateway_feed(connection, f"line-{number}", f"line-{number}/#")
    seen, page = [], "/feeds"
    with console.reader(admin) as browser:
        for number in range(1, pages + 1):
            text = browser.get(page).text
            assert len(told(text)) <= HISTORY_MAX
            seen += told(text)
            assert ("Newest changes" in text) == (number > 1)
            older = re.findall(r'href="(/feeds\?before=\d+)#changes"', text)
            assert len(older) == (number < pages)
            page = older[0] if older else page
    assert [line.split()[1] for line in seen] == [f"line-{number}" for number in reversed(range(count))]


def test_who_may_not_read_changes_sees_none_and_each_site_its_own(console: Console, admin: Actor):
    with console.pool.connection() as connection:
        a_gateway_feed(connection)
        far = a_planner_elsewhere(connection)
    with console.reader(console.house.planner) as browser:
        assert len(told(browser.get("/feeds").text)) == 1
    with console.reader(far) as browser:
        page = browser.get("/feeds").text
        assert "No change yet." in page
    with console.reader(console.house.near) as browser:
        page = browser.get("/feeds")
        assert (page.status_code, 'id="changes"' in page.text) == (200, False)


def test_a_nonsensical_place_to_look_before_is_refused(console: Console, admin: Actor):
    with console.reader(admin) as browser:
        assert [browser.get(f"/feeds?before={one}").status_code for one in ("0", "x", str(2**63))] == [422] * 3
