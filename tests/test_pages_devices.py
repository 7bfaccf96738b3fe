"""Devices in the console: who sends, who may adopt, and the secret that is shown once (SPEC E2)."""

from __future__ import annotations

import re
import shlex
from html import unescape

from api.measures import House
from storage import device_credentials, feeds
from tests.operations_builders import (
    HOSTILE,
    a_bad_message,
    a_gateway_feed,
    a_lossy_device,
    a_planner_elsewhere,
    an_administrator,
    an_unknown_device,
)

ADOPT = {"device": "press-7", "site": "plant-1"}


def test_unknown_devices_stand_above_the_registered_ones_in_both_languages(console):
    with console.pool.connection() as connection:
        an_unknown_device(connection)
        a_lossy_device(connection)
    with console.reader(console.house.planner) as browser:
        page = browser.get("/devices").text
        assert page.index("press-7") < page.index("dev-M-1")
        for told in ("wearsight/v1/plant-1/press-7/telemetry", "clock 1 min 35 s ahead", "#gaps", "Adopt"):
            assert told in page
    with console.reader(console.house.planner, "zh") as browser:
        page = browser.get("/devices").text
        for told in ("正在发送但未登记", "接纳", "时钟快 1 分 35 秒", "缺失消息"):
            assert told in page


def test_devices_are_filtered_by_site_and_text(console):
    with console.reader(console.house.planner) as browser:
        assert "dev-M-1" in browser.get("/devices?text=main+motor&site=plant-1").text
        assert "dev-M-1" not in browser.get("/devices?text=100%25").text
        assert "dev-M-1" not in browser.get("/devices?site=elsewhere").text


def test_an_engineer_sees_devices_but_neither_senders_nor_credentials_and_a_requester_sees_none(console):
    with console.pool.connection() as connection:
        an_unknown_device(connection)
        a_bad_message(connection)
    with console.reader(console.house.near) as browser:
        page = browser.get("/devices").text
        assert "dev-M-1" in page
        assert "press-7" not in page
        page = browser.get("/devices/1").text
        assert "Credentials" not in page
        assert "Set aside recently" not in page
        assert browser.get("/devices/adopt?site=plant-1&name=press-7").status_code == 403
        assert browser.post("/devices/adopt", data={**ADOPT, "tag": "M-1"}).status_code == 403
        assert browser.post("/devices/1/credentials").status_code == 403
        assert 'href="/quarantine"' not in page
    with console.reader(console.house.requester) as browser:
        assert browser.get("/devices").status_code == 403
        assert 'href="/devices"' not in browser.get("/").text


def test_what_speaks_at_another_site_does_not_exist(console):
    with console.pool.connection() as connection:
        an_unknown_device(connection)
        stranger = a_planner_elsewhere(connection)
    with console.reader(stranger) as browser:
        page = browser.get("/devices").text
        assert "press-7" not in page
        assert "dev-M-1" not in page
        assert browser.get("/devices/1").status_code == 404
        assert browser.post("/devices/1/credentials").status_code == 404
        assert browser.get("/devices/adopt?site=plant-1&name=press-7").status_code == 404
        assert browser.post("/devices/adopt", data={**ADOPT, "tag": "M-1"}).status_code == 404


def test_one_submit_adopts_a_device_for_an_asset_there_is(console):
    with console.pool.connection() as connection:
        an_unknown_device(connection)
    with console.reader(console.house.planner) as browser:
        form = browser.get("/devices/adopt?site=plant-1&name=press-7").text
        assert 'name="device" value="press-7"' in form
        done = browser.post("/devices/adopt", data={**ADOPT, "tag": "M-1", "expected_interval_s": "5"})
        assert done.status_code == 303
        assert "Messages of it that will be stored within seconds: 3." in browser.get(done.headers["location"]).text
        assert "/devices/2" in browser.get("/devices?text=press-7").text


def test_a_new_asset_needs_a_name_and_what_was_typed_is_kept(console):
    with console.pool.connection() as connection:
        an_unknown_device(connection)
    with console.reader(console.house.planner) as browser:
        refused = browser.post("/devices/adopt", data={**ADOPT, "tag": "P-7", "expected_interval_s": "5"})
        assert refused.status_code == 404
        assert 'value="P-7"' in refused.text
        wrong = browser.post("/devices/adopt", data={**ADOPT, "tag": "M-1", "expected_interval_s": "soon"})
        assert wrong.status_code == 422
        assert 'value="soon"' in wrong.text
        asset = {"tag": "P-7", "name": "Press", "asset_type": "motor"}
        assert browser.post("/devices/adopt", data={**ADOPT, **asset}).status_code == 303
        assert "Press" in browser.get("/devices?text=P-7").text


def test_a_hostile_name_from_a_feed_is_text_on_every_page_and_can_be_adopted(console):
    with console.pool.connection() as connection:
        feed = a_gateway_feed(connection)
        an_unknown_device(connection, HOSTILE, 1, feed)
    with console.reader(console.house.planner) as browser:
        page = browser.get("/devices").text
        assert "<script>alert" not in page
        assert "\u202e" not in page
        (link,) = re.findall(r'href="(/devices/adopt\?[^"]+)"', page)
        form = browser.get(link.replace("&amp;", "&")).text
        assert "<script>alert" not in form
        assert (
            browser.post("/devices/adopt", data={"device": HOSTILE, "feed": str(feed.id), "tag": "M-1"})
            .headers["location"]
            .startswith("/devices/2?")
        )
        page = browser.get("/devices/2").text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page
    with console.pool.connection() as connection:
        assert feeds.page(connection, sites=None, feed_id=feed.id)[0].name in page


def test_a_device_shows_metrics_gaps_clock_and_what_was_set_aside(console):
    with console.pool.connection() as connection:
        a_lossy_device(connection)
        message_id = a_bad_message(connection)
    with console.reader(console.house.planner) as browser:
        page = browser.get("/devices/1").text
    for told in (
        "vibration",
        "Messages that never came: 3.",
        "100 – 104",
        "1 min 35 s ahead",
        f"/quarantine/{message_id}",
    ):
        assert told in page


def test_a_secret_is_shown_once_and_never_kept(console):
    with console.pool.connection() as connection:
        admin = an_administrator(connection)
    with console.reader(admin) as browser:
        console.app.state.house = House(broker=("127.0.0.1", 41883))
        issued = browser.post("/devices/1/credentials")
        assert issued.headers["cache-control"] == "no-store"
        command = shlex.split(unescape(re.findall(r'(?s)<pre class="raw"[^>]*>(.*?)</pre>', issued.text)[0]))
        assert command[:7] == ["mosquitto_pub", "-h", "testserver", "-p", "41883", "-u", "plant-1.dev-M-1.1"]
        assert command[-4:-1] == ["-t", "wearsight/v1/plant-1/dev-M-1/telemetry", "-m"]
        secret = command[command.index("-P") + 1]
        assert len(secret) == 32
        later = browser.get("/devices/1")
        assert "plant-1.dev-M-1.1" in later.text
        assert secret not in later.text
        assert browser.post("/devices/1/credentials/1/revoke").status_code == 303
        assert "revoked" in browser.get("/devices/1").text
        assert browser.post("/devices/1/credentials/99/revoke").status_code == 404
        changes = browser.get("/assets/1").text.partition('aria-labelledby="changes"')[2]
        assert changes.count('Credential <bdi class="address">plant-1.dev-M-1.1</bdi>') == 2, "issued and revoked"
    with console.pool.connection() as connection:
        assert device_credentials.live_logins(connection) == []
