"""Asking for work in three steps: drafts that survive, what is known before, and what is refused (SPEC T8, T10, Q3)."""

from __future__ import annotations

import json
import re
from datetime import date

import pytest

from domain.checklists import Task
from storage.articles import ArticleText, add_article
from storage.drafts import list_drafts
from storage.intaking.refusals import list_refusals
from storage.schedules import Work, add_schedule
from storage.tickets import list_tickets, ticket_detail
from tests.console_builders import NOW, Console
from tests.operations_builders import a_planner_elsewhere
from tests.ticket_builders import DAY, SITE, a_report
from ticketing.actors import Actor
from ticketing.scheduling import CalendarPlan, Unit

WHERE = {"kind": "corrective", "tag": "M-1", "serial_number": "", "go": "next"}


@pytest.fixture
def plated(console: Console) -> Console:
    """The console over a motor with a nameplate, out of warranty."""
    with console.pool.connection() as connection:
        connection.execute(
            "update asset set serial_number = 'SN-88', warranty_until = '2026-03-01', brand = 'Acme', firmware = '2.4'"
        )
    return console


def version_in(page: str) -> str:
    found = re.search(r'name="version" value="(\d*)"', page)
    assert found is not None, page
    return found[1]


def draft_of(console: Console, actor: Actor, form: str = "report") -> dict[str, object]:
    assert actor.person_id is not None
    with console.pool.connection() as connection:
        found = list_drafts(connection, actor.person_id, NOW, form=form)
    return found[0].body if found else {}


def codes(console: Console) -> list[str]:
    with console.pool.connection() as connection:
        return [one.code for one in list_tickets(connection, limit=10).items]


def refusals(console: Console) -> list[tuple[str, str | None, str]]:
    with console.pool.connection() as connection:
        return [(one.reason, one.site_id, one.body) for one in list_refusals(connection, sites=None)]


def test_a_fault_is_reported_in_three_steps_and_the_answer_is_its_ticket(plated):
    """SPEC T10: the warranty is shown before anything is opened; afterwards the draft is gone."""
    house = plated.house
    with plated.reader(house.requester) as browser:
        first = browser.get("/report").text
        assert "Report a fault" in first
        assert 'value="production"' not in first, "requesters report faults"
        assert browser.post("/report/where", data=WHERE).headers["location"] == "/report?step=what"
        second = browser.get("/report?step=what").text
        assert "Main motor" in second
        told = {"title": "Motor howls", "description": "Since noon", "line_stopped": "yes", "go": "next"}
        answer = browser.post("/report/what", data={**told, "version": version_in(second)})
        assert answer.headers["location"] == "/report?step=send", answer.text
        third = browser.get("/report?step=send").text
        for one in ("Motor howls", "Since noon", "P0 line stop", "out of warranty", "the work is charged", "Acme"):
            assert one in third, one
        assert codes(plated) == []
        sent = browser.post("/report/send", data={"version": version_in(third)})
        assert (sent.status_code, sent.headers["location"]) == (303, "/tickets/P000001")
        assert browser.get("/tickets/P000001").status_code == 200
    with plated.pool.connection() as connection:
        ticket = ticket_detail(connection, "P000001", actor=house.supervisor, now=NOW).ticket
    assert (ticket.channel, ticket.priority, ticket.requester_name) == ("console", 0, "Requester")
    assert draft_of(plated, house.requester) == {}


def test_who_leaves_after_a_step_comes_back_to_what_was_typed(plated):
    """SPEC T10: long forms keep drafts, each person's own."""
    house = plated.house
    with plated.reader(house.near) as browser:
        browser.post("/report/where", data={**WHERE, "kind": "inspection"})
        told = {"title": "Look at the belt", "shown": "tasks", "tasks:0:text_en": "Tension", "tasks:0:unit": "N"}
        page = browser.get("/report?step=what").text
        kept = browser.post("/report/what", data={**told, "version": version_in(page), "go": "later"})
        assert kept.headers["location"] == "/report?kept=1"
        assert "nobody is told of it" in browser.get(kept.headers["location"]).text
    with plated.reader(house.near) as later:
        page = later.get("/report?step=what").text
        assert 'value="Look at the belt"' in page
        assert 'value="Tension"' in page
    with plated.reader(house.supervisor) as other:
        assert "Look at the belt" not in other.get("/report").text
        assert other.get("/report?step=what").headers["location"] == "/report"
    with plated.reader(house.near) as later:
        assert later.post("/report/discard", data={}).status_code == 303
    assert draft_of(plated, house.near) == {}


def test_an_asset_that_nobody_knows_is_refused_with_what_was_typed_kept(plated):
    house = plated.house
    for given, status in (
        ({"tag": "M-9"}, 404),
        ({"tag": "", "serial_number": "SN-0"}, 404),
        ({"tag": "M-1", "serial_number": "SN-88"}, 422),
        ({"tag": ""}, 422),
    ):
        with plated.reader(house.near) as browser:
            browser.post("/report/discard", data={})
            answer = browser.post("/report/where", data={**WHERE, **given})
            assert answer.status_code == status, given
            assert 'id="refusal"' in answer.text
            for value in given.values():
                assert f'value="{value}"' in answer.text
        kept = draft_of(plated, house.near)
        assert (kept["tag"], kept["serial_number"]) == (given["tag"], given.get("serial_number", ""))
    with plated.reader(house.near) as browser:
        browser.post("/report/discard", data={})
        found = browser.post("/report/where", data={**WHERE, "tag": "", "serial_number": "sn-88"})
        assert found.headers["location"] == "/report?step=what"


def test_a_tag_that_two_sites_have_asks_for_the_site(plated, admin):
    with plated.pool.connection() as connection:
        a_planner_elsewhere(connection)
        connection.execute(
            "insert into asset (site_id, asset_type_id, tag, name, criticality, created_at)"
            " values ('plant-2', 'motor', 'M-1', 'Far motor', 3, %s)",
            (NOW,),
        )
    with plated.reader(admin) as browser:
        refused = browser.post("/report/where", data=WHERE)
        assert refused.status_code == 422
        assert "Choose the site too." in refused.text
        assert browser.post("/report/where", data={**WHERE, "site": "plant-2", "version": "1"}).status_code == 303
        assert "Far motor" in browser.get("/report?step=what").text
    with plated.reader(plated.house.near) as browser:
        assert browser.post("/report/where", data=WHERE).status_code == 303, "at their own site there is one"


def test_the_last_step_shows_history_duplicates_and_articles_to_the_staff(plated):
    """SPEC T10: the last 30 days, likely duplicates and three articles, before a second ticket is opened."""
    house = plated.house
    with plated.pool.connection() as connection:
        code = a_report(connection, house, NOW - DAY, "Motor howls")
        for title in ("Howling motors", "Motor noises", "Why a motor howls", "A motor that howls at night"):
            text = ArticleText(title, title, "", "", None, None)
            add_article(connection, text, person_id=house.planner.person_id or 0, now=NOW)
    for actor, sees in ((house.near, True), (house.requester, False)):
        with plated.reader(actor) as browser:
            browser.post("/report/where", data=WHERE)
            browser.post("/report/what", data={"title": "Motor howls again", "go": "next", "version": "1"})
            page = browser.get("/report?step=send").text
        assert ("Perhaps reported already" in page) is sees
        assert ("The last 30 days of this asset" in page) is sees
        assert (code in page) is sees
        assert page.count('href="/articles/') == 3


def test_a_production_order_brings_operations_parts_and_checks(plated):
    """SPEC T8: operations in order with their checks, and a bill of materials."""
    house = plated.house
    lines = {
        "shown": "operations bill tasks",
        "operations:0:name": "Turn",
        "operations:0:quality_check": "35 h6",
        "operations:0:engineer_id": str(house.near.person_id),
        "operations:4:name": "Fit",
        "operations:4:quality_check": "Turns freely",
        "bill:0:part_number": "6204-2RS",
        "bill:0:quantity": "4",
        "tasks:1:text_en": "Play",
        "tasks:1:unit": "mm",
        "tasks:1:low_limit": "0.1",
        "tasks:1:high_limit": "0.3",
        "tasks:1:opens_ticket": "yes",
        "tasks:1:failure_mode": "bearing_wear",
    }
    with plated.reader(house.planner) as browser:
        browser.post("/report/where", data={**WHERE, "kind": "production"})
        incomplete = {**lines, "title": "Ten gearboxes", "version": "1", "go": "next", "operations:4:quality_check": ""}
        refused = browser.post("/report/what", data=incomplete)
        assert refused.status_code == 422
        assert 'value="Fit"' in refused.text
        complete = {**lines, "title": "Ten gearboxes", "go": "next", "version": version_in(refused.text)}
        assert browser.post("/report/what", data=complete).headers["location"] == "/report?step=send"
        page = browser.get("/report?step=send").text
        for told in ("1. Turn", "2. Fit", "6204-2RS", "1. Play"):
            assert told in page, told
        assert (
            browser.post("/report/send", data={"version": version_in(page)})
            .headers["location"]
            .startswith("/tickets/P")
        )
    with plated.pool.connection() as connection:
        detail = ticket_detail(connection, "P000001", actor=house.supervisor, now=NOW)
    assert [(one.name, one.engineer) for one in detail.operations] == [("Turn", "Near"), ("Fit", None)]
    assert [(one.part_number, one.predicted) for one in detail.bill] == [("6204-2RS", 4)]
    assert [(one.text_en, one.low_limit, one.opens_ticket, one.failure_mode) for one in detail.tasks] == [
        ("Play", 0.1, True, "bearing_wear")
    ]


def test_more_lines_are_shown_without_losing_those_there_are(plated):
    with plated.reader(plated.house.planner) as browser:
        browser.post("/report/where", data={**WHERE, "kind": "inspection"})
        told = {f"tasks:{number}:text_en": f"Check {number}" for number in range(3)}
        answer = browser.post("/report/what", data={**told, "shown": "tasks", "version": "1", "go": "what"})
        page = browser.get(answer.headers["location"]).text
    assert page.count('name="tasks:') == 6 * 6
    assert [f'value="Check {number}"' in page for number in range(3)] == [True] * 3


def test_what_is_refused_at_the_end_is_kept_and_the_draft_stays(plated):
    """SPEC Q3: a refused request is kept with its reason; nothing typed is lost either."""
    house = plated.house
    with plated.pool.connection() as connection:
        a_report(connection, house)
        connection.execute("update ticket set failure_mode_id = %s", (house.mode_id,))
    with plated.reader(house.near) as browser:
        browser.post("/report/where", data=WHERE)
        told = {"title": "Bearing rattles", "failure_mode": "bearing_wear", "version": "1", "go": "next"}
        assert browser.post("/report/what", data=told).status_code == 303
        page = browser.get("/report?step=send").text
        refused = browser.post("/report/send", data={"version": version_in(page)})
        assert refused.status_code == 409
        assert "P000001" in refused.text
        assert "Bearing rattles" in refused.text
    ((reason, site_id, body),) = refusals(plated)
    assert (reason, site_id, json.loads(body)["title"]) == ("already_open", SITE, "Bearing rattles")
    assert draft_of(plated, house.near)["title"] == "Bearing rattles"
    assert len(codes(plated)) == 1


def test_sent_twice_it_is_one_ticket(plated):
    with plated.reader(plated.house.near) as browser:
        browser.post("/report/where", data=WHERE)
        browser.post("/report/what", data={"title": "Motor howls", "version": "1", "go": "next"})
        page = browser.get("/report?step=send").text
        answers = [browser.post("/report/send", data={"version": version_in(page)}) for _ in range(2)]
        assert [one.headers["location"] for one in answers] == ["/tickets/P000001", "/"]
        # Two clicks at once: the second still finds the draft, as it was.
        browser.post("/report/where", data=WHERE)
        browser.post("/report/what", data={"title": "Motor howls", "version": "1", "go": "next"})
        assert browser.post("/report/send", data={"version": "2"}).headers["location"] == "/tickets/P000001"
    assert codes(plated) == ["P000001"]


def test_what_another_window_changed_is_neither_overwritten_nor_sent_unseen(plated):
    with plated.reader(plated.house.near) as one, plated.reader(plated.house.near) as other:
        one.post("/report/where", data=WHERE)
        for browser, title, status in ((one, "First", 303), (other, "Second", 409)):
            told = {"title": title, "version": "1", "go": "next"}
            answer = browser.post("/report/what", data=told)
            assert answer.status_code == status
        assert 'value="Second"' in answer.text, "what was typed stays in the form"
        assert draft_of(plated, plated.house.near)["title"] == "First"
        assert one.post("/report/send", data={"version": "1"}).status_code == 409
        assert codes(plated) == []
        assert refusals(plated) == [], "a look that was too old is no refused request"
        again = {"title": "Second", "version": version_in(answer.text), "go": "next"}
        assert other.post("/report/what", data=again).status_code == 303


def test_a_requester_cannot_have_staff_kinds_by_a_made_up_form(plated):
    with plated.reader(plated.house.requester) as browser:
        browser.post("/report/where", data={**WHERE, "kind": "inspection"})
        browser.post("/report/what", data={"title": "Look", "version": "1", "go": "next"})
        page = browser.get("/report?step=send").text
        assert browser.post("/report/send", data={"version": version_in(page)}).status_code == 403
    assert codes(plated) == []


def test_an_asset_of_another_site_does_not_exist_for_the_reporter(plated):
    with plated.pool.connection() as connection:
        stranger = a_planner_elsewhere(connection)
    with plated.reader(stranger) as browser:
        for given in ({}, {"tag": "", "serial_number": "SN-88"}):
            browser.post("/report/discard", data={})
            assert browser.post("/report/where", data={**WHERE, **given}).status_code == 404
        page = browser.get(f"/report?asset={plated.house.asset_id}").text
    assert "M-1" not in page
    assert "Main motor" not in page


def test_a_report_starts_from_an_asset_or_a_schedule_beside_other_drafts(plated):
    house = plated.house
    work = Work("Grease", "加脂", "Both ends", None, (Task("Grease", "加脂", "g", 5.0, 20.0, True),))
    with plated.pool.connection() as connection:
        plan = CalendarPlan(Unit.WEEK, 1, date(2026, 3, 2), 0)
        schedule = add_schedule(connection, house.asset_id, work, plan, person_id=house.planner.person_id, now=NOW)
    name = f"report.schedule-{schedule}"
    with plated.reader(house.near) as browser:
        browser.post("/report/where", data={**WHERE, "go": "later", "tag": "M-77"})
        assert 'value="M-1"' in browser.get(f"/report?asset={house.asset_id}").text
        page = browser.get(f"/report?draft={name}").text
        assert 'value="M-1"' in page
        assert "M-77" in page, "the other draft is there to go on with"
        browser.post("/report/where", data={**WHERE, "kind": "inspection", "draft": name})
        page = browser.get(f"/report?draft={name}&step=what").text
        for value in ("Grease", "g", "5", "20"):
            assert f'value="{value}"' in page
    with plated.reader(house.requester) as browser:
        assert 'value="M-1"' not in browser.get(f"/report?draft={name}").text, "schedules are for the staff"
    assert draft_of(plated, house.near)["tag"] == "M-77"


def test_the_list_of_tickets_leads_to_it_in_both_languages(console):
    for language, told in (("en", "Report a fault or ask for work"), ("zh", "报修或申请工作")):
        with console.reader(console.house.requester, language) as browser:
            page = browser.get("/").text
            assert told in page
            assert 'href="/report"' in page
            assert browser.get("/report").status_code == 200


def test_characters_that_no_database_holds_break_no_step(plated):
    with plated.reader(plated.house.near) as browser:
        assert browser.post("/report/where", data={**WHERE, "tag": "M-1\0"}).status_code == 303
        told = {"title": "Howls\0", "description": "a\r\nb\0", "shown": "tasks", "tasks:0:text_en": "x\0"}
        assert browser.post("/report/what", data={**told, "version": "1", "go": "next"}).status_code == 303
        page = browser.get("/report?step=send").text
        assert (
            browser.post("/report/send", data={"version": version_in(page)}).headers["location"] == "/tickets/P000001"
        )
    with plated.pool.connection() as connection:
        ticket = ticket_detail(connection, "P000001", actor=plated.house.supervisor, now=NOW).ticket
    assert (ticket.title_en, ticket.description) == ("Howls", "a\nb")


def test_a_draft_under_a_made_up_name_is_the_menus_own(plated):
    with plated.reader(plated.house.near) as browser:
        for name in ("report.other-1", "x", "report.asset-0", "<script>"):
            assert 'name="draft" value="report"' in browser.get("/report", params={"draft": name}).text
