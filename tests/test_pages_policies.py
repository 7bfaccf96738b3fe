"""Policies in the console: in force, edited field by field, looked at as a difference, published with a reason (P5)."""

from __future__ import annotations

import re

import pytest

from api.pages import policy_words
from storage.detection_policy import detection_in_force, ensure_detection_policy
from storage.parts_policy import ensure_parts_policy, parts_policy
from storage.policy_book import KINDS, kind_of, publish_version, versions
from tests.console_builders import NOW, Console
from tests.operations_builders import a_planner_elsewhere
from tests.ticket_builders import SITE
from ticketing.actors import Actor

TICKETS = "field:budget.tickets_per_site_per_day"


@pytest.fixture
def house(console: Console) -> Console:
    """The console over a house in which both policies are published."""
    with console.pool.connection() as connection:
        ensure_detection_policy(connection, NOW)
        ensure_parts_policy(connection, NOW)
    return console


def fields_of(page: str) -> dict[str, str]:
    """The form as it is filled in."""
    found = re.findall(r'<input id="(field:[^"]+)" name="\1" value="([^"]*)"', page)
    hidden = re.findall(r'<input type="hidden" name="(after|seen)" value="([^"]*)"', page)
    return dict(found) | dict(hidden)


def planned(page: str) -> list[str]:
    found = re.search(r'(?s)<div id="planned">(.*?)</div>', page)
    return [] if found is None else re.findall(r'<span class="soft">([^<]*)', found[1])


def look(console: Console, actor: Actor, name: str, **typed: str) -> str:
    with console.reader(actor) as browser:
        form = fields_of(browser.get(f"/policy/{name}").text) | typed
        return browser.post(f"/policy/{name}", data=form | {"step": "look"}).text


def test_every_field_of_every_policy_has_its_words():
    for kind in KINDS.values():
        assert kind.name in policy_words.POLICIES
        for field in kind.fields:
            assert field.path in policy_words.FIELDS, field.path
            section = field.path if field.by_site else field.path.rpartition(".")[0]
            assert section in policy_words.SECTIONS, field.path


def test_the_list_tells_the_version_in_force_to_the_staff(house):
    with house.reader(house.house.near) as browser:
        page = browser.get("/policy").text
        assert 'href="/policy/detection"' in page
        assert "How many tickets predictions open by themselves" in page
        assert 'href="/policy"' in page.split("<main")[0], "the menu leads here"
    with house.reader(house.house.requester, "zh") as browser:
        refused = browser.get("/policy")
    assert refused.status_code == 403


def test_what_would_change_is_shown_before_anything_does(house, admin):
    page = look(house, admin, "detection", **{TICKETS: "5", "field:trust.demote_below": "0.4"})
    assert planned(page) == ["Tickets per site and day", "Propose shadow below a precision of"]
    assert "20 tickets → <strong>5 tickets</strong>" in page
    with house.pool.connection() as connection:
        assert detection_in_force(connection)[1].budget.tickets_per_site_per_day == 20


def test_a_version_is_published_with_a_reason_and_stands_in_the_history(house, admin):
    with house.reader(admin) as browser:
        form = fields_of(browser.get("/policy/detection").text) | {TICKETS: "5", f"field:budget.sites.{SITE}": "3"}
        seen = fields_of(browser.post("/policy/detection", data=form | {"step": "look"}).text)
        unexplained = browser.post("/policy/detection", data=seen | {"step": "publish", "reason": " "})
        assert unexplained.status_code == 422
        told = {"step": "publish", "reason": "the crew is small in summer"}
        assert browser.post("/policy/detection", data=seen | told).status_code == 303
        page = browser.get("/policy/detection").text
    assert "the crew is small in summer" in page
    assert "version 2 · Admin" in page
    with house.pool.connection() as connection:
        budget = detection_in_force(connection)[1].budget
    assert (budget.of_site("elsewhere"), budget.of_site(SITE)) == (5, 3)


def test_what_was_typed_after_the_look_is_shown_once_more_instead_of_published(house, admin):
    with house.reader(admin) as browser:
        form = fields_of(browser.get("/policy/detection").text) | {TICKETS: "5"}
        seen = fields_of(browser.post("/policy/detection", data=form | {"step": "look"}).text)
        changed = seen | {TICKETS: "500", "step": "publish", "reason": "slip of the hand"}
        answer = browser.post("/policy/detection", data=changed)
    assert answer.status_code == 200
    assert "<strong>500 tickets</strong>" in answer.text
    with house.pool.connection() as connection:
        assert len(versions(connection, kind_of("detection"))) == 1


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        (TICKETS, "many", "Expected a whole number from 0 to 10000; got &#39;many&#39;."),
        (TICKETS, "-1", "Expected a whole number from 0 to 10000; got &#39;-1&#39;."),
        (TICKETS, "2.5", "Expected a whole number from 0 to 10000; got &#39;2.5&#39;."),
        (TICKETS, "", "Expected a whole number from 0 to 10000; got nothing."),
        ("field:trust.credibility", "nan", "Expected a number from 0.5 to 0.999; got &#39;nan&#39;."),
        (f"field:budget.sites.{SITE}", "x", "Expected a whole number from 0 to 10000; got &#39;x&#39;."),
    ],
)
def test_what_is_wrong_is_said_at_its_field(house, admin, field, typed, said):
    with house.reader(admin) as browser:
        form = fields_of(browser.get("/policy/detection").text) | {field: typed}
        for step in ("look", "publish"):
            refused = browser.post("/policy/detection", data=form | {"step": step, "reason": "try"})
            assert refused.status_code == 422
            path = field.removeprefix("field:")
            (told,) = re.findall(rf'(?s)id="told:{path}">(.*?)</p>', refused.text)
            assert said in told
            assert refused.text.count("aria-invalid") == 1
            assert fields_of(refused.text)[field] == typed, "what was typed stays"


def test_a_probability_of_nothing_reserves_everything_and_is_refused_at_its_field(house, admin):
    """SPEC P3."""
    page = look(house, admin, "parts", **{"field:reserve_from_probability": "0"})
    assert "Expected a number above 0, at most 1; got &#39;0&#39;." in page


def test_the_policy_of_parts_is_published_on_the_same_page(house, admin):
    """SPEC P3."""
    with house.reader(admin) as browser:
        form = fields_of(browser.get("/policy/parts").text) | {"field:lead_time_days": "30"}
        seen = fields_of(browser.post("/policy/parts", data=form | {"step": "look"}).text)
        assert (
            browser.post("/policy/parts", data=seen | {"step": "publish", "reason": "sea freight"}).status_code == 303
        )
    with house.pool.connection() as connection:
        assert parts_policy(connection).lead_time_days == 30


def test_who_read_an_older_version_overwrites_nothing(house, admin):
    with house.reader(admin) as browser:
        form = fields_of(browser.get("/policy/detection").text) | {TICKETS: "5"}
        seen = fields_of(browser.post("/policy/detection", data=form | {"step": "look"}).text)
        assert browser.post("/policy/detection", data=seen | {"step": "publish", "reason": "first"}).status_code == 303
        late = browser.post("/policy/detection", data=seen | {"step": "publish", "reason": "second"})
    assert late.status_code == 409
    with house.pool.connection() as connection:
        assert [one.reason for one in versions(connection, kind_of("detection"))] == ["first", None]


def test_the_values_in_force_are_no_new_version(house, admin):
    page = look(house, admin, "detection")
    assert "Nothing: the values are those in force." in page
    assert 'value="publish"' not in page


def test_an_older_version_fills_the_form_again(house, admin):
    with house.pool.connection() as connection:
        (first,) = versions(connection, kind_of("parts"))
        body = {**first.body, "dismissed_days": 30}
        publish_version(
            connection, kind_of("parts"), body, after=1, reason="quieter", person_id=admin.person_id, now=NOW
        )
    with house.reader(admin) as browser:
        page = browser.get("/policy/parts?like=1").text
        assert fields_of(page)["field:dismissed_days"] == "7"
        assert "The form has the values of version 1" in page
        assert fields_of(browser.get("/policy/parts").text)["field:dismissed_days"] == "30"


def test_who_plans_for_one_site_only_reads_and_changes_nothing(house):
    with house.pool.connection() as connection:
        stranger = a_planner_elsewhere(connection)
    for actor in (house.house.planner, stranger, house.house.near):
        with house.reader(actor) as browser:
            page = browser.get("/policy/detection").text
            assert "What is over it waits" in page
            assert 'name="step"' not in page
            assert browser.post("/policy/detection", data={"step": "look"}).status_code in (403, 422)
            body = {"after": 1, "reason": "mine", "body": {"lead_time_days": 1}}
            assert browser.post("/api/v1/policies/parts", json=body).status_code == 403
    with house.pool.connection() as connection:
        assert len(versions(connection, kind_of("parts"))) == 1


def test_a_policy_that_is_not_edited_here_is_unknown(house, admin):
    with house.reader(admin) as browser:
        for name in ("repair", "nobody", "%3Cscript%3E"):
            assert browser.get(f"/policy/{name}").status_code == 404
            assert browser.get(f"/api/v1/policies/{name}").status_code == 404
            assert browser.post(f"/policy/{name}", data={}).status_code == 404


def test_the_api_publishes_what_the_page_publishes(house, admin):
    with house.reader(admin) as browser:
        told = browser.get("/api/v1/policies/parts").json()
        assert [one["name"] for one in browser.get("/api/v1/policies").json()["items"]] == ["detection", "parts"]
        body = {name: value for name, value in told["in_force"]["body"].items() if name != "name"}
        asked = {"after": 1, "reason": "from outside", "body": body | {"lead_time_days": 3}}
        assert browser.post("/api/v1/policies/parts", json=asked | {"body": {}}).status_code == 422
        assert browser.post("/api/v1/policies/parts", json=asked).status_code == 201
        assert browser.post("/api/v1/policies/parts", json=asked).status_code == 409
        same = browser.post("/api/v1/policies/parts", json=asked | {"after": 2})
        assert same.json()["type"] == "urn:wearsight:refusal:invalid_policy"
        told = browser.get("/api/v1/policies/parts").json()
    assert [(one["version"], one["reason"]) for one in told["versions"]] == [(2, "from outside"), (1, None)]
    assert told["in_force"]["published_by"] == "Admin"


def test_before_the_first_seeding_the_shipped_policy_is_in_force(console, admin):
    with console.reader(admin, "zh") as browser:
        page = browser.get("/policy/parts").text
        assert fields_of(page)["after"] == "0"
        assert 'lang="zh-CN"' in page
