"""Gateways in the console: what they may, their credentials shown once, rotated and revoked (SPEC E2)."""

from __future__ import annotations

import re
import shlex
from html import unescape

import pytest
from httpx2 import Response

from api.measures import House
from storage import device_credentials
from storage.feeds import Feed
from tests.console_builders import Console
from tests.operations_builders import a_gateway_feed, a_planner_elsewhere

FORM = {"site": "plant-1", "name": "hall-1", "publish": "line/+\r\n\r\n line/extra \r\n", "subscribe": "line/commands"}


@pytest.fixture(autouse=True)
def feed(console: Console) -> Feed:
    """What gateways may publish to: ``line/#``."""
    with console.pool.connection() as connection:
        return a_gateway_feed(connection)


def live(console: Console) -> list[str]:
    with console.pool.connection() as connection:
        return [login.grant.user for login in device_credentials.live_logins(connection)]


def command_of(page: Response) -> list[str]:
    return shlex.split(unescape(re.findall(r'(?s)<pre class="raw"[^>]*>(.*?)</pre>', page.text)[0]))


def test_a_gateway_is_added_with_a_credential_whose_secret_is_shown_once(console, admin):
    console.app.state.house = House(broker=("127.0.0.1", 41883))
    with console.reader(admin) as browser:
        made = browser.post("/gateways", data=FORM)
        assert made.status_code == 200
        assert made.headers["cache-control"] == "no-store"
        command = command_of(made)
        assert command[:7] == ["mosquitto_sub", "-h", "testserver", "-p", "41883", "-u", "plant-1.hall-1.gateway.1"]
        assert command[-5:] == ["-t", "line/commands", "-W", "10", "-v"]
        secret = command[command.index("-P") + 1]
        for path in ("/gateways/1", "/gateways"):
            later = browser.get(path).text
            for told in ("hall-1", "line/+", "line/extra", "line/commands", "credentials in force: 1"):
                assert told in later, path
            assert secret not in later
    with console.pool.connection() as connection:
        (gateway,) = device_credentials.gateways(connection, sites=None)
    assert (gateway.publish, gateway.subscribe) == (["line/+", "line/extra"], ["line/commands"])


def test_a_gateway_that_may_not_listen_is_tried_by_publishing(console, admin):
    with console.reader(admin) as browser:
        command = command_of(browser.post("/gateways", data={**FORM, "publish": "line/+/#", "subscribe": ""}))
    assert command[0] == "mosquitto_pub"
    assert command[-4:] == ["-t", "line/test/test", "-m", "{}"]


def test_a_credential_is_rotated_and_the_gateway_removed(console, admin):
    with console.reader(admin) as browser:
        browser.post("/gateways", data=FORM)
        assert "Issue the next one" in browser.get("/gateways/1").text
        second = browser.post("/gateways/1/credentials")
        assert "plant-1.hall-1.gateway.2" in second.text
        assert second.headers["cache-control"] == "no-store"
        assert live(console) == ["plant-1.hall-1.gateway.1", "plant-1.hall-1.gateway.2"]
        assert browser.post("/gateways/1/credentials/1/revoke").headers["location"] == "/gateways/1#access"
        assert live(console) == ["plant-1.hall-1.gateway.2"]
        assert "revoked by admin" in browser.get("/gateways/1").text
        browser.post("/gateways/1/credentials/2/revoke")
        page = browser.get("/gateways/1").text
        assert "no credential" in page
        assert "Issue a credential" in page
        assert browser.post("/gateways/1/credentials/9/revoke").status_code == 404
        for _ in range(device_credentials.LIVE_LIMIT):
            browser.post("/gateways/1/credentials")
        refused = browser.post("/gateways/1/credentials")
        assert refused.status_code == 409
        assert "Revoke those that nothing uses." in refused.text
        assert browser.post("/gateways/1/remove").headers["location"] == "/gateways"
        assert browser.get("/gateways/1").status_code == 404
        assert 'href="/gateways/1"' not in browser.get("/gateways").text
    assert live(console) == []


def test_gateways_are_filtered_by_site_and_by_whether_they_may_connect(console, admin):
    with console.pool.connection() as connection:
        a_planner_elsewhere(connection)
    with console.reader(admin) as browser:
        browser.post("/gateways", data=FORM)
        browser.post("/gateways", data={**FORM, "name": "hall-2"})
        browser.post(
            "/gateways", data={**FORM, "site": "plant-2", "name": "yard", "publish": "yard/#", "subscribe": ""}
        )
        browser.post("/gateways/2/credentials/2/revoke")

        def shown(query: str) -> set[str]:
            return set(re.findall(r'<a href="/gateways/\d+">([\w-]+)</a>', browser.get(f"/gateways?{query}").text))

        assert shown("") == {"hall-1", "hall-2", "yard"}
        assert shown("site=plant-1") == {"hall-1", "hall-2"}
        assert shown("state=in_force") == {"hall-1", "yard"}
        assert shown("state=none") == {"hall-2"}
        assert shown("state=none&site=plant-2") == set()
        assert shown("state=%00&site=%00") == {"hall-1", "hall-2", "yard"}
        assert "No gateway fits this filter" in browser.get("/gateways?site=nowhere").text


def test_a_refused_gateway_keeps_what_was_typed_and_is_told_in_chinese(console, admin):
    with console.reader(admin, "zh") as browser:
        refused = browser.post("/gateways", data={**FORM, "publish": "wearsight/v1/plant-9/+/telemetry"})
        assert refused.status_code == 422
        for told in (
            "网关主题不被允许",
            "原生主题中仅限",
            "wearsight/v1/plant-9/+/telemetry",
            'value="hall-1"',
            "技术细节",
        ):
            assert told in refused.text
        page = browser.post("/gateways", data={**FORM, "name": "no name", "publish": "a/#/b"}).text
        for told in ("name：应符合格式", "publish.0：收到 ", "# 只能作为最后一级且单独成级"):
            assert told in unescape(page)
        browser.post("/gateways", data=FORM)
        assert "为已有网关再签发凭据" in browser.post("/gateways", data=FORM).text


def test_gateways_are_for_those_who_plan_and_at_their_own_sites(console, admin):
    with console.pool.connection() as connection:
        stranger = a_planner_elsewhere(connection)
    with console.reader(admin) as browser:
        browser.post("/gateways", data=FORM)
    for actor in (console.house.near, console.house.supervisor, console.house.requester):
        with console.reader(actor) as browser:
            assert browser.get("/gateways").status_code == 403
            assert browser.post("/gateways/1/credentials").status_code == 403
            assert 'href="/gateways"' not in browser.get("/").text
    with console.reader(stranger) as browser:
        assert "hall-1" not in browser.get("/gateways").text
        assert browser.get("/gateways/1").status_code == 404
        for path in ("credentials", "credentials/1/revoke", "remove"):
            assert browser.post(f"/gateways/1/{path}").status_code == 404
        assert browser.post("/gateways", data=FORM).status_code == 404
    assert live(console) == ["plant-1.hall-1.gateway.1"]
