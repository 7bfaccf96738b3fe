"""Feeds in the console: from a preset to a feed, and the editor that tries a mapping before it is saved (SPEC E3)."""

from __future__ import annotations

import json
from html import unescape
from re import findall

from api.dialects import shipped_presets
from storage import feeds
from tests.console_builders import NOW
from tests.operations_builders import HOSTILE, a_gateway_feed, a_planner_elsewhere, an_unknown_device

MS = int(NOW.timestamp() * 1000)
SAMPLE = json.dumps({"ts": MS, "force_kn": 8.1, "note": "ok"})
MAPPING = {
    "topics": ["line/{device}"],
    "time": {"field": "ts", "format": "ms"},
}
FORM = {
    "name": "line",
    "site": "plant-1",
    "topic": "line/#",
    "decoder": "mapped_json",
    "settings": json.dumps(MAPPING),
    "silent_after_s": "600",
    "sample_topic": "line/press-7",
    "sample": SAMPLE,
    "encoding": "text",
}


def test_every_preset_opens_in_the_editor_and_its_examples_can_be_tried(console, admin):
    with console.reader(admin) as browser:
        for preset in shipped_presets():
            page = browser.get(f"/feeds/new?preset={preset.name}")
            assert page.status_code == 200
            (written,) = findall(r'(?s)<textarea id="settings"[^>]*>(.*?)</textarea>', page.text)
            assert json.loads(unescape(written)) == preset.settings
            for example in preset.examples:
                typed = {
                    **FORM, "topic": preset.topic, "decoder": preset.decoder, "settings": unescape(written),
                    "sample_topic": example.topic, "sample": example.payload, "encoding": example.encoding,
                }  # fmt: skip
                tried = browser.post("/feeds/new", data={**typed, "step": "try"})
                assert tried.status_code == 200
                assert 'id="tried"' in tried.text


def test_a_mapping_is_tried_before_the_feed_is_added(console, admin):
    with console.reader(admin, "zh") as browser:
        tried = browser.post("/feeds/new", data={**FORM, "step": "try"})
        for told in ("将会入库", "press-7", "force_kn", "8.1", "以下内容被略去", "note"):
            assert told in tried.text
        assert "尚无接入源" in browser.get("/feeds").text
        added = browser.post("/feeds/new", data={**FORM, "step": "save"})
        assert added.status_code == 303
        assert "已保存" in browser.get(added.headers["location"]).text
        assert "line/#" in browser.get("/feeds").text


def test_what_cannot_be_used_is_said_with_the_remedy(console, admin):
    with console.reader(admin) as browser:
        page = browser.post("/feeds/new", data={**FORM, "sample": "{", "step": "try"}).text
        assert "It would go to quarantine" in page
        assert "Not valid JSON" in page
        page = browser.post("/feeds/new", data={**FORM, "sample_topic": "elsewhere/x", "step": "try"})
        assert page.status_code == 200
        for settings in ("{", "[1]", '{"nonsense": 1}'):
            refused = browser.post("/feeds/new", data={**FORM, "settings": settings, "step": "save"})
            assert refused.status_code == 422
            assert unescape(refused.text).count(settings) >= 1
        assert browser.post("/feeds/new", data={**FORM, "topic": "wearsight/#", "step": "save"}).status_code == 422


def test_a_feed_is_changed_switched_off_and_removed(console, admin):
    with console.pool.connection() as connection:
        feed = a_gateway_feed(connection)
        an_unknown_device(connection, "press-7", 1, feed)
    address = f"/feeds/{feed.id}"
    with console.reader(admin) as browser:
        page = browser.get(address).text
        assert 'value="line/press-7"' in page
        assert "force_kn" in page
        assert browser.post(address, data={**FORM, "silent_after_s": "", "step": "save"}).status_code == 303
        assert browser.post(address, data={**FORM, "silent_after_s": "soon", "step": "save"}).status_code == 422
        assert browser.post(f"{address}/switch", data={"enabled": "no"}).status_code == 303
        assert "Turn on" in browser.get("/feeds").text
    with console.pool.connection() as connection:
        (kept,) = feeds.all_feeds(connection)
    assert (kept.enabled, kept.silent_after_s, kept.settings) == (False, None, MAPPING)
    with console.reader(admin) as browser:
        assert browser.post(f"{address}/remove").status_code == 303
        assert browser.get(address).status_code == 404


def test_only_who_plans_for_every_site_may_change_feeds(console, admin):
    with console.pool.connection() as connection:
        feed = a_gateway_feed(connection)
        stranger = a_planner_elsewhere(connection)
    for actor, status in ((console.house.near, 403), (console.house.planner, 403), (console.house.requester, 403)):
        with console.reader(actor) as browser:
            assert browser.post("/feeds/new", data={**FORM, "name": "b", "topic": "b/#"}).status_code == status
            assert browser.post(f"/feeds/{feed.id}/switch", data={"enabled": "no"}).status_code == status
            assert browser.post(f"/feeds/{feed.id}/remove").status_code == status
    with console.reader(console.house.near) as browser:
        page = browser.get("/feeds").text
        assert "line/#" in page
        assert "Turn off" not in page
        assert "Add the feed" not in browser.get("/feeds/new").text
    with console.reader(console.house.requester) as browser:
        assert browser.get("/feeds").status_code == 403
    with console.reader(stranger) as browser:
        assert "line/#" not in browser.get("/feeds").text
        assert browser.get(f"/feeds/{feed.id}").status_code == 404
        assert browser.post(f"/feeds/{feed.id}", data={**FORM, "step": "save"}).status_code == 404
    with console.pool.connection() as connection:
        assert feeds.all_feeds(connection)[0].enabled


def test_hostile_samples_and_names_are_only_text(console, admin):
    by_field = json.dumps({"topics": ["line/#"], "device_field": "d", "time": {"field": "ts", "format": "ms"}})
    sample = json.dumps({"d": HOSTILE, "ts": MS, "x": 1, "<img src=x>": "text"}, ensure_ascii=False)
    with console.reader(admin) as browser:
        page = browser.post("/feeds/new", data={**FORM, "settings": by_field, "sample": sample, "step": "try"}).text
    tried = page[page.index('id="tried"') :]
    assert "&lt;script&gt;alert" in tried
    assert "\u202e" not in tried
    assert "<script>alert" not in page
    assert "<img src=x" not in page


def test_who_may_not_add_a_feed_is_not_shown_the_form_for_it(console):
    with console.reader(console.house.near) as browser:
        sent_on = browser.get("/feeds/new")
        assert (sent_on.status_code, sent_on.headers["location"]) == (303, "/feeds")
