"""Signing in through the console, languages, and what every page has in common."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from api.pages.signing_in import own_address
from storage import people
from storage.casework import open_from_prediction
from tests.console_builders import NOW, Console, a_worn_motor

PASSWORD = "correct horse battery"


def with_password(console: Console) -> Console:
    with console.pool.connection() as connection:
        people.set_password(connection, console.house.near.person_id, people.hash_password(PASSWORD), NOW)
    return console


def test_a_page_asks_strangers_to_sign_in_and_then_brings_them_where_they_wanted_to_be(console):
    with_password(console)
    with console.reader(None) as browser:
        asked = browser.get("/assets/1?lang=en")
        assert asked.status_code == 303
        assert asked.headers["location"] == "/login?next=/assets/1%3Flang%3Den"
        form = browser.get(asked.headers["location"]).text
        assert 'name="next" value="/assets/1?lang=en"' in form
        credentials = {"login": "near", "password": PASSWORD, "next": "/assets/1"}
        signed_in = browser.post("/login", data=credentials)
        assert signed_in.status_code == 303
        assert signed_in.headers["location"] == "/assets/1"
        assert browser.get("/assets/1").status_code == 200


def test_a_wrong_password_is_refused_in_the_page_with_the_login_kept(console):
    with_password(console)
    with console.reader(None) as browser:
        refused = browser.post("/login", data={"login": "near", "password": "wrong", "next": "/"})
    assert refused.status_code == 401
    assert "Login or password is wrong" in refused.text
    assert 'value="near"' in refused.text
    assert "wrong</" not in refused.text.replace("is wrong</", "")


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example", "data:x", "", "x"])
def test_signing_in_never_leads_to_another_site(elsewhere):
    assert own_address(elsewhere) == "/"
    assert own_address("/tickets/D000001?lang=zh") == "/tickets/D000001?lang=zh"


def test_signing_out_ends_the_session(console):
    with console.reader(console.house.near) as browser:
        assert browser.get("/").status_code == 200
        assert browser.post("/logout").headers["location"] == "/login"
        assert browser.get("/").status_code == 303


def test_a_form_sent_from_another_site_changes_nothing(console):
    with console.reader(console.house.near) as browser:
        refused = browser.post("/logout", headers={"Sec-Fetch-Site": "cross-site"})
        assert refused.status_code == 403
        assert browser.get("/").status_code == 200


def test_the_language_switch_is_remembered_and_keeps_the_filter(console):
    with console.reader(console.house.near) as browser:
        english = browser.get("/?state=closed")
        assert '<html lang="en">' in english.text
        assert 'href="/?state=closed&amp;lang=zh"' in english.text
        chinese = browser.get("/?state=closed&lang=zh")
        assert '<html lang="zh-CN">' in chinese.text
        assert chinese.headers["content-language"] == "zh-CN"
        assert "工单" in browser.get("/").text


def test_unknown_addresses_get_a_page_in_the_readers_language(console):
    with console.reader(console.house.near, "zh-CN,zh;q=0.9") as browser:
        missing = browser.get("/tickets/D999999")
        assert missing.status_code == 404
        assert "记录不存在" in missing.text
        assert browser.get("/nowhere").status_code == 404
        assert browser.get("/assets/999").status_code == 404


class Inline(HTMLParser):
    """Finds what a content security policy without 'unsafe-inline' would stop."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {name for name, _ in attrs}
        if tag == "style" or (tag == "script" and "src" not in names):
            self.found.append(tag)
        self.found += [f"{tag} {name}" for name in names if name == "style" or name.startswith("on")]


def test_no_page_carries_an_inline_script_or_style(console):
    with console.pool.connection() as connection:
        prediction_id = a_worn_motor(connection, console.house)
        code = open_from_prediction(connection, prediction_id, NOW)
    with console.reader(console.house.supervisor) as browser:
        for address in (
            "/",
            f"/tickets/{code}",
            "/assets",
            "/assets/1",
            "/predictions",
            f"/predictions/{prediction_id}",
        ):
            page = browser.get(address)
            assert page.status_code == 200, address
            found = Inline()
            found.feed(page.text)
            assert found.found == [], address
            assert "'unsafe" not in page.headers["content-security-policy"]
            assert page.headers["cache-control"] == "no-cache, private"
