"""Knowledge in the console: found in both languages, written and changed by who leads, read by everybody (SPEC T10)."""

from __future__ import annotations

import pytest

from storage.articles import Article, ArticleText, add_article, list_articles
from tests.console_builders import NOW, Console
from tests.operations_builders import HOSTILE

NEW = {
    "title_en": "Howling motors",
    "title_zh": "电机异响",
    "body_en": "Grease first.\n\nThen measure.",
    "body_zh": "先加脂，再测量。",
    "about": "motor/bearing_wear",
}


def articles(console: Console) -> list[Article]:
    with console.pool.connection() as connection:
        return list_articles(connection)


@pytest.fixture
def written(console: Console) -> tuple[Console, int]:
    """The console over one article."""
    text = ArticleText("Howling motors", "电机异响", NEW["body_en"], NEW["body_zh"], "motor", "bearing_wear")
    with console.pool.connection() as connection:
        return console, add_article(connection, text, person_id=console.house.planner.person_id or 0, now=NOW)


def test_an_article_is_found_by_words_of_either_language_and_read_in_the_readers(written):
    console, key = written
    for actor in (console.house.requester, console.house.near):
        with console.reader(actor) as browser:
            for wanted, is_found in (("howling", True), ("异响", True), ("gearbox", False), ("", True)):
                page = browser.get("/articles", params={"text": wanted}).text
                assert (f'href="/articles/{key}"' in page) is is_found, wanted
            page = browser.get(f"/articles/{key}").text
            assert "<h1>Howling motors</h1>" in page
            assert '<p lang="en">Then measure.</p>' in page
            assert "Change the article" not in page
    with console.reader(console.house.requester, "zh") as browser:
        page = browser.get(f"/articles/{key}").text
    assert "<h1>电机异响</h1>" in page
    assert "轴承磨损" in page
    assert "/failure-modes/" not in page, "requesters do not read the library"


def test_a_supervisor_writes_one_and_its_failure_mode_is_kept(console):
    with console.reader(console.house.supervisor) as browser:
        made = browser.post("/articles/new", data=NEW)
        assert made.status_code == 303, made.text
    (one,) = articles(console)
    assert (one.title_en, one.title_zh, one.asset_type_id, one.failure_mode) == (
        "Howling motors", "电机异响", "motor", "bearing_wear",
    )  # fmt: skip
    assert one.body_en == NEW["body_en"]


def test_a_title_in_chinese_alone_is_enough(console):
    with console.reader(console.house.planner) as browser:
        assert browser.post("/articles/new", data={"title_zh": "异响"}).status_code == 303
        assert browser.post("/articles/new", data={"title_zh": " ", "body_zh": "先加脂"}).status_code == 422
    (one,) = articles(console)
    assert (one.title_en, one.title_zh) == ("异响", "异响")


def test_what_is_refused_stays_in_the_form(written):
    console, key = written
    for address in ("/articles/new", f"/articles/{key}"):
        with console.reader(console.house.planner) as browser:
            refused = browser.post(address, data={**NEW, "about": "motor/gremlins", "version": "1"})
        assert refused.status_code == 422
        assert "Then measure." in refused.text
        assert "a failure mode of the article&#39;s asset type" in refused.text
    assert [one.version for one in articles(console)] == [1]


def test_an_article_is_changed_once_for_each_version_that_was_read(written):
    console, key = written
    with console.reader(console.house.supervisor) as browser:
        assert browser.post(f"/articles/{key}", data={**NEW, "title_en": "Loud", "version": "1"}).status_code == 303
        stale = browser.post(f"/articles/{key}", data={**NEW, "title_en": "Louder", "version": "1"})
        assert stale.status_code == 409
        assert 'value="Louder"' in stale.text
    assert [(one.title_en, one.version) for one in articles(console)] == [("Loud", 2)]


def test_an_article_out_of_use_is_found_no_more_and_changed_no_more(written):
    console, key = written
    with console.reader(console.house.planner) as browser:
        assert browser.post(f"/articles/{key}/retire").headers["location"] == "/articles"
        assert f"/articles/{key}" not in browser.get("/articles?text=howling").text
        page = browser.get(f"/articles/{key}").text
        assert "out of use" in page
        assert 'name="title_en"' not in page
        assert browser.post(f"/articles/{key}", data={**NEW, "version": "2"}).status_code == 409


def test_a_page_holds_fifty_and_leads_to_the_older_ones(console):
    with console.pool.connection() as connection:
        keys = [
            add_article(connection, ArticleText(f"A{one}", "甲", "", "", "motor", None), person_id=1, now=NOW)
            for one in range(51)
        ]
    with console.reader(console.house.requester) as browser:
        page = browser.get("/articles?asset_type=motor").text
        assert page.count('class="link"') == 50
        address = f"/articles?before={keys[1]}&amp;asset_type=motor"
        assert f'href="{address}"' in page
        assert f'href="/articles/{keys[0]}"' in browser.get(address.replace("&amp;", "&")).text


def test_engineers_and_requesters_write_nothing(written):
    console, key = written
    for actor in (console.house.near, console.house.requester):
        with console.reader(actor) as browser:
            assert "New article" not in browser.get("/articles").text
            assert browser.get("/articles/new").headers["location"] == "/articles"
            for address in ("/articles/new", f"/articles/{key}", f"/articles/{key}/retire"):
                assert browser.post(address, data={**NEW, "version": "1"}).status_code == 403, address
    assert [(one.title_en, one.version) for one in articles(console)] == [("Howling motors", 1)]


def test_an_article_is_text_whatever_it_says(console):
    with console.reader(console.house.planner) as browser:
        made = browser.post("/articles/new", data={"title_en": "x", "body_en": HOSTILE})
        page = browser.get(made.headers["location"]).text
    assert "<script>alert" not in page
    assert '<p lang="en">&lt;script&gt;alert(1)' in page
