"""Refused requests in the console: kept whole, the reason in words, settled once with a note (SPEC T10, Q3)."""

from __future__ import annotations

import json

import pytest

from domain.refusals import Refused
from storage.intaking.refusals import keep_refusal, list_refusals
from tests.console_builders import NOW, Console
from tests.operations_builders import HOSTILE, a_planner_elsewhere
from tests.ticket_builders import SITE
from ticketing.intake import Channel, invalid


def keep(console: Console, body: str, refusal: Refused | None = None, site: str | None = SITE) -> int:
    with console.pool.connection() as connection:
        return keep_refusal(
            connection,
            refusal or invalid("a failure mode of the asset's type", "'gremlins'"),
            channel=Channel.API,
            body=body,
            person_id=console.house.requester.person_id,
            site_id=site,
            now=NOW,
        )


@pytest.fixture
def refused(console: Console) -> tuple[Console, int]:
    """The console over one refused request."""
    told = {"title": "It glows", "asset_id": console.house.asset_id, "failure_mode": "gremlins", "line_stopped": True}
    return console, keep(console, json.dumps(told))


def test_a_refused_request_is_told_with_its_reason_in_both_languages(refused):
    console, key = refused
    for language, told in (
        ("en", ("Requester", "API", "a failure mode of the asset&#39;s type", "Correct the report and send it again.")),
        ("zh", ("该设备资产类型的失效模式", "请更正后重新提交。", "被拒请求")),
    ):
        with console.reader(console.house.supervisor, language) as browser:
            assert f'href="/intake/{key}"' in browser.get("/intake").text
            page = browser.get(f"/intake/{key}").text
        for one in (*told, "gremlins", "It glows"):
            assert one in page, one


def test_it_is_settled_once_with_a_note_and_then_stands_apart(refused):
    console, key = refused
    address = f"/intake/{key}/settlement"
    with console.reader(console.house.supervisor) as browser:
        empty = browser.post(address, data={"note": ""})
        assert empty.status_code == 422
        assert browser.post(address, data={"note": "Rang them up"}).headers["location"] == "/intake"
        twice = browser.post(address, data={"note": "Me too"})
        assert twice.status_code == 409
        assert f'href="/intake/{key}"' not in browser.get("/intake").text
        assert "Rang them up" in browser.get("/intake?settled=1").text
        page = browser.get(f"/intake/{key}").text
        assert "Supervisor" in page
        assert 'name="note"' not in page
    with console.pool.connection() as connection:
        (row,) = list_refusals(connection, sites=None)
    assert (row.settled_note, row.settled_by_name) == ("Rang them up", "Supervisor")


def test_who_deals_with_it_asks_in_their_stead_with_what_was_sent(refused):
    """SPEC Q3: rejected intake is never lost: it becomes a ticket with a few clicks."""
    console, key = refused
    name = f"report.refused-{key}"
    with console.reader(console.house.supervisor) as browser:
        assert f'href="/report?draft={name}"' in browser.get(f"/intake/{key}").text
        assert 'value="M-1"' in browser.get(f"/report?draft={name}").text
        where = {"draft": name, "kind": "corrective", "tag": "M-1", "go": "next"}
        assert browser.post("/report/where", data=where).status_code == 303
        page = browser.get(f"/report?draft={name}&step=what").text
        assert 'value="It glows"' in page
        assert 'name="line_stopped" value="yes" checked' in page
    with console.reader(console.house.near) as browser:
        page = browser.get(f"/report?draft={name}").text
        assert 'value="M-1"' not in page, "engineers do not read refused requests"


def test_a_request_that_is_no_json_is_shown_as_it_came_and_runs_nowhere(console):
    keys = [keep(console, body) for body in ('{"title": "cut of', HOSTILE, '"\\ud800"', "[1, 2]", "")]
    with console.reader(console.house.supervisor) as browser:
        for key in keys:
            page = browser.get(f"/intake/{key}")
            assert page.status_code == 200
            assert "<script>alert" not in page.text
            assert browser.get(f"/report?draft=report.refused-{key}").status_code == 200
        assert "cut of" in browser.get(f"/intake/{keys[0]}").text
        assert "\u202e" not in browser.get(f"/intake/{keys[1]}").text


def test_refused_requests_are_for_those_who_lead_at_the_site(refused):
    console, key = refused
    with console.pool.connection() as connection:
        stranger = a_planner_elsewhere(connection)
    for actor, listed, one in (
        (console.house.near, 403, 403),
        (console.house.requester, 403, 403),
        (stranger, 200, 404),
    ):
        with console.reader(actor) as browser:
            page = browser.get("/intake")
            assert (page.status_code, browser.get(f"/intake/{key}").status_code) == (listed, one)
            assert f"/intake/{key}" not in page.text
            assert browser.post(f"/intake/{key}/settlement", data={"note": "gone"}).status_code == one
    with console.pool.connection() as connection:
        (row,) = list_refusals(connection, sites=None)
    assert row.settled_at is None


def test_a_page_holds_fifty_and_leads_to_the_older_ones(console):
    keys = [keep(console, f"{{{number}") for number in range(51)]
    with console.reader(console.house.supervisor) as browser:
        page = browser.get("/intake").text
        assert page.count('class="link"') == 50
        assert f'href="/intake?before={keys[1]}"' in page
        older = browser.get(f"/intake?before={keys[1]}").text
    assert f'href="/intake/{keys[0]}"' in older
    assert "Older requests" not in older


def test_an_empty_list_says_so(console):
    with console.reader(console.house.supervisor) as browser:
        assert "No refused request waits" in browser.get("/intake").text
        assert "None was dealt with yet." in browser.get("/intake?settled=1").text
