"""What a ticket's life brings, on its page: facts in forms, checks, holds, hand-overs, links (SPEC T5, T8, T9)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from api.pages import life_words
from api.pages.forms import Typed, facts_of
from runtime.rounds import escalation_round, sweep_round
from storage.casework import open_from_prediction, reprioritise
from storage.lookups import fill_next_lookup
from tests.console_builders import NOW, Console, soon
from tests.test_checks import with_limits
from tests.test_handing_over import a_member, a_team, with_serial_number
from tests.test_joined_tickets import a_second_mode, close
from tests.test_lookups import an_article
from tests.test_pages_tickets import the_form, version_in
from tests.test_production import under_way
from tests.ticket_builders import (
    DAY,
    HOUR,
    MINUTE,
    a_device_ticket,
    a_prediction,
    a_report,
    carry,
    command,
)
from ticketing.facts import FactType, check_facts
from ticketing.lifecycle import TABLE, Command, Who
from ticketing.ticket import PartLine, State

PHOTO = "0197a0b0-0000-7000-8000-000000000001"
IN_AN_HOUR = NOW + HOUR
# Of each type: a command, its fact, what a browser sends, and the value that the rule gets.
TYPED: Mapping[FactType, tuple[str, str, dict[str, str], object]] = {
    FactType.TEXT: ("note", "content", {"content": " Gate 4 is open "}, "Gate 4 is open"),
    FactType.CHOICE: ("hold", "reason", {"reason": "parts"}, "parts"),
    FactType.FUTURE_TIME: ("accept", "expected_response_at", {"expected_response_at": soon()}, IN_AN_HOUR),
    FactType.TIME: ("resolve", "work_finished_at", {"work_finished_at": soon()}, IN_AN_HOUR),
    FactType.INTEGER: ("complete_task", "number", {"number": "2"}, 2),
    FactType.NUMBER: ("depart", "latitude", {"latitude": "-31.25"}, -31.25),
    FactType.BOOLEAN: ("confirm", "satisfied", {"satisfied": "false"}, False),
    FactType.PERSON: ("dispatch", "assignee_id", {"assignee_id": "7"}, 7),
    FactType.ATTACHMENT: ("execute", "attachment_id", {"attachment_id": PHOTO}, UUID(PHOTO)),
    FactType.FAILURE_MODE: ("resolve", "found_failure_mode", {"found_failure_mode": "bearing_wear"}, "bearing_wear"),
    FactType.LINES: (
        "use_parts",
        "lines",
        {"lines:6204-2RS:issued": "2", "lines:6204-2RS:used": "1", "lines:SEAL-35:issued": "0"},
        (PartLine("6204-2RS", 2, 1, 0),),
    ),
    FactType.OPERATION: ("start_operation", "operation", {"operation": "1"}, 1),
    FactType.TEAM: ("hand_over", "team_id", {"team_id": "3"}, 3),
    FactType.TICKET: ("merge", "merged_into", {"merged_into": " d000123 "}, "D000123"),
    FactType.AMOUNT: ("approval_request", "amount", {"amount": "1234.10"}, Decimal("1234.10")),
    FactType.RATING: ("rate_hand_over", "rating", {"rating": "5"}, 5),
    FactType.READING: ("complete_task", "reading", {"reading": "-0.25"}, -0.25),
}


def post(browser: TestClient, code: str, step: str, **typed: str) -> tuple[int, str]:
    """Send the form of a step as it stands on the page, filled in; return status and page of the answer."""
    form = the_form(browser.get(f"/tickets/{code}").text, step)
    answer = browser.post(f"/tickets/{code}/steps/{step}", data={"version": version_in(form), **typed})
    return answer.status_code, answer.text


def section(page: str, part: str) -> str:
    """The text of a live part of the page, empty when it shows nothing."""
    found = re.search(rf'<(\w+) id="{part}" .*?(?=<\w+ id="[\w-]+" class="[\w ]*" data-live=|</main>)', page, re.DOTALL)
    assert found is not None, f"no part {part}"
    return found[0]


def a_ticket(console: Console, state: State = State.EXECUTING) -> str:
    with console.pool.connection() as connection:
        code = open_from_prediction(connection, a_prediction(connection, console.house), NOW)
        assert code is not None
        carry(connection, console.house, code, state)
    return code


@pytest.mark.parametrize("kind", list(FactType))
def test_what_is_typed_reaches_the_rule_as_the_value_of_its_type(kind: FactType) -> None:
    name, fact, typed, value = TYPED[kind]
    (wanted, *_) = [one for step in TABLE if step.command == name for one in step.facts if one.name == fact]
    assert wanted.type is kind
    facts = facts_of(name, Typed(name, 1, typed), "Asia/Shanghai")
    assert check_facts([wanted], {fact: facts[fact]}, NOW) == {fact: value}


def test_every_command_of_people_stands_under_one_heading() -> None:
    of_people = {step.command for step in TABLE if set(step.who) - {Who.SYSTEM, Who.LINK}} - {Command.VIEW}
    grouped = Counter(one for commands in life_words.GROUPS.values() for one in commands)
    assert set(grouped) == of_people
    assert set(grouped.values()) == {1}


def test_steps_stand_in_groups_and_the_one_that_was_refused_lies_open(console: Console) -> None:
    code = a_ticket(console)
    with console.reader(console.house.near) as browser:
        page = section(browser.get(f"/tickets/{code}").text, "next")
        order = [page.index(text) for text in ("<h3>Work on it</h3>", "Hand it over", "Join it with others", "End it")]
        assert order == sorted(order)
        assert order[0] < page.index("steps/note") < order[1] < page.index("steps/transfer") < order[2]
        assert order[2] < page.index("steps/link") < order[3]
        assert not re.search(r"<details[^>]* open>", page)
        status, page = post(browser, code, "link", other="D999999", kind="related")
        assert status == 404
        opened = re.findall(r"<details[^>]* open><summary>([\w ]+)", section(page, "next"))
        assert [one.strip() for one in opened] == ["Join it with others", "Link to another ticket"]
        assert 'value="D999999"' in the_form(page, "link")


def test_a_reading_is_asked_for_with_its_unit_and_limits_and_a_failure_shows_its_ticket(console: Console) -> None:
    """SPEC T8."""
    code = a_ticket(console)
    with console.pool.connection() as connection:
        with_limits(connection, code)
    with console.reader(console.house.near) as browser:
        part = section(browser.get(f"/tickets/{code}").text, "checklist")
        form = re.findall(r'<form class="step task".*?</form>', part, re.DOTALL)[1]
        assert 'type="number"' in form
        assert "mm/s" in form
        assert "at most 4.5" in form
        done = {"version": version_in(form), "number": "2", "reading": "7.1", "remark": "Loud at the drive end"}
        assert browser.post(f"/tickets/{code}/steps/complete_task", data=done).status_code == 303
        part = section(browser.get(f"/tickets/{code}").text, "checklist")
    with console.pool.connection() as connection:
        (opened,) = connection.execute("select code from ticket where code <> %s", (code,)).fetchone() or ()
    for told in ("7.1 mm/s", "Check failed", "Loud at the drive end", f'href="/tickets/{opened}"'):
        assert told in part, told


def test_a_check_without_its_reading_is_refused_and_keeps_the_remark(console: Console) -> None:
    code = a_ticket(console)
    with console.pool.connection() as connection:
        with_limits(connection, code)
    with console.reader(console.house.near) as browser:
        page = browser.get(f"/tickets/{code}").text
        typed = {"version": version_in(page), "number": "2", "reading": "", "remark": "Gauge is broken"}
        refused = browser.post(f"/tickets/{code}/steps/complete_task", data={**typed, "result": "failed"})
        assert refused.status_code == 422
        part = section(refused.text, "checklist")
        first, second = re.findall(r'<form class="step task".*?</form>', part, re.DOTALL)
        assert "Gauge is broken</textarea>" in second
        assert "Gauge is broken" not in first
        done = {**typed, "version": version_in(second), "result": "not_applicable"}
        assert browser.post(f"/tickets/{code}/steps/complete_task", data=done).status_code == 303
        assert "Does not apply" in section(browser.get(f"/tickets/{code}").text, "checklist")


def test_who_does_not_do_the_work_sees_the_checklist_without_buttons(console: Console) -> None:
    code = a_ticket(console)
    with console.reader(console.house.far) as browser:
        part = section(browser.get(f"/tickets/{code}").text, "checklist")
        assert "Replace bearing" in part
        assert "<button" not in part
        assert browser.post(f"/tickets/{code}/steps/complete_task", data={"number": "1"}).status_code == 403


def test_a_hold_tells_its_reason_its_review_and_which_clocks_stand_still(console: Console) -> None:
    """SPEC T5."""
    code = a_ticket(console)
    with console.reader(console.house.near) as browser:
        assert post(browser, code, "hold", reason="parts", review_at=soon(by=DAY))[0] == 303
        told = section(browser.get(f"/tickets/{code}").text, "what")
        assert "Waiting for parts" in told
        assert "2026-03-03 10:00" in told
        assert re.findall(r"These clocks stand still: ([\w ,]+?) *</p>", told) == ["Resolve by, Close by"]
        console.clock.move(2 * DAY)
        sweep_round(console.pool, console.clock.now())
        assert "Review due" in section(browser.get(f"/tickets/{code}").text, "what")
        moved = soon(console.clock.now(), DAY)
        assert post(browser, code, "extend_hold", review_at=moved, reason="The parts come on Thursday")[0] == 303
        assert "Review due" not in section(browser.get(f"/tickets/{code}").text, "what")
        assert post(browser, code, "resume")[0] == 303
        page = browser.get(f"/tickets/{code}").text
        assert 'id="hold"' not in page
        assert "Earlier holds: 1" in page


def test_a_hand_over_is_read_and_rated_by_the_team_that_gets_it(console: Console) -> None:
    """SPEC T9: required fields are kept when refused; only who receives it rates it."""
    code = a_ticket(console)
    with console.pool.connection() as connection:
        with_serial_number(connection, console.house)
        team_id = a_team(connection, "Electrical")
        electrician = a_member(connection, team_id, "sparks")
    asked = {"team_id": str(team_id), "asked": "Check the winding", "requester_contact": "gate 4, ext. 12"}
    with console.reader(console.house.near) as browser:
        status, page = post(browser, code, "hand_over", **asked, history="ok")
        assert status == 422
        form = the_form(page, "hand_over")
        assert "Check the winding</textarea>" in form
        assert 'value="gate 4, ext. 12"' in form
        assert re.search(rf'<option value="{team_id}" selected>Electrical', form)
        assert post(browser, code, "hand_over", **asked, history="Bearing is sound, the current is not")[0] == 303
        part = section(browser.get(f"/tickets/{code}").text, "hand-overs")
        for told in ("Electrical", "Check the winding", "Bearing is sound", "SN-1", "not rated by the receiving team"):
            assert told in part, told
        assert "steps/rate_hand_over" not in part
    with console.reader(electrician) as browser:
        form = the_form(browser.get(f"/tickets/{code}").text, "rate_hand_over")
        assert re.findall(r'type="radio" name="rating" value="(\d)"', form) == list("12345")
        assert post(browser, code, "rate_hand_over", rating="4", comment="Name the fuse next time")[0] == 303
        page = browser.get(f"/tickets/{code}").text
        part = section(page, "hand-overs")
        assert "4 of 5" in part
        assert "Name the fuse next time" in part
        assert "steps/rate_hand_over" not in page


def test_tickets_are_linked_split_and_merged_by_forms_and_the_origin_is_shown(console: Console) -> None:
    """SPEC T9."""
    code = a_ticket(console)
    with console.pool.connection() as connection:
        a_second_mode(connection)
        other = a_report(connection, console.house, title="Motor howls")
    with console.reader(console.house.supervisor) as browser:
        form = the_form(browser.get(f"/tickets/{code}").text, "link")
        assert f'<option value="{other}">{other} Motor howls</option>' in form
        assert post(browser, code, "link", other=other.lower(), kind="causes")[0] == 303
        part = section(browser.get(f"/tickets/{code}").text, "links")
        assert f'href="/tickets/{other}"' in part
        assert "caused by this one" in part
        assert "causes this one" in section(browser.get(f"/tickets/{other}").text, "links")
        split = {"title": "Coupling is loose", "failure_mode": "misalignment", "description": "Seen at the cover"}
        assert post(browser, code, "split", **split)[0] == 303
        part = section(browser.get(f"/tickets/{code}").text, "links")
        assert "Coupling is loose" in part
        assert "split off from this one" in part
        assert post(browser, other, "merge", merged_into=code)[0] == 303
        assert f'<a class="code" href="/tickets/{code}">' in section(browser.get(f"/tickets/{other}").text, "what")
        part = section(browser.get(f"/tickets/{code}").text, "links")
        for told in ("Merged into this one:", "What differed", "Title", "Motor howls", "P2", "Since noon"):
            assert told in part, told


def test_the_timeline_leads_to_other_tickets_and_names_their_teams(console: Console) -> None:
    code = a_ticket(console)
    with console.pool.connection() as connection:
        other = a_report(connection, console.house)
        team_id = a_team(connection, "Electrical")
        command(connection, code, "link", console.house.near, {"other": other, "kind": "related"})
        command(connection, code, "split", console.house.near, {"title": "Winding is hot", "team_id": team_id})
    with console.reader(console.house.near) as browser:
        told = section(browser.get(f"/tickets/{code}").text, "timeline")
    assert f'<dd><a class="code" href="/tickets/{other}">{other}</a></dd>' in told
    assert "<dt>Team</dt><dd>Electrical</dd>" in told


def test_the_timeline_says_why_a_score_moved_in_words(console: Console) -> None:
    """SPEC S1. Fails when the stored arithmetic is shown as it is."""
    with console.pool.connection() as connection:
        code = a_device_ticket(connection, console.house)
        connection.execute("update asset set criticality = 5")
        assert reprioritise(connection, code, "daily", NOW + HOUR)
    for language, told in (
        ("en", ("Because of", "the daily look", "Priority", "P2 → P1", "Score", "criticality 1.5")),
        ("zh", ("原因", "每日复核", "优先级", "P2 → P1", "得分")),
    ):
        with console.reader(console.house.near, language) as browser:
            page = section(browser.get(f"/tickets/{code}").text, "timeline")
        for one in told:
            assert one in page, one
        assert "source" not in page


def test_a_ticket_that_came_back_says_so(console: Console) -> None:
    with console.pool.connection() as connection:
        code = a_device_ticket(connection, console.house)
        close(connection, console.house, code)
    with console.reader(console.house.supervisor) as browser:
        page = browser.get(f"/tickets/{code}").text
        assert 'id="reopened"' not in page
        assert post(browser, code, "reopen", reason="It howls again")[0] == 303
        page = browser.get(f"/tickets/{code}").text
        assert re.search(r'<dd id="reopened">1</dd>', page)


def test_operations_go_in_order_and_somebody_else_checks_them(console: Console) -> None:
    """SPEC T8."""
    house = console.house
    with console.pool.connection() as connection:
        code = under_way(connection, house)
    with console.reader(house.near) as browser:
        page = browser.get(f"/tickets/{code}").text
        assert "Next step: Start an operation" in page
        assert "1. Turn the shaft" in the_form(page, "start_operation")
        assert post(browser, code, "start_operation", operation="1")[0] == 303
        assert "Under way" in section(browser.get(f"/tickets/{code}").text, "operations")
        assert post(browser, code, "finish_operation", operation="1")[0] == 303
        page = browser.get(f"/tickets/{code}").text
        assert "steps/check_operation" not in page
        assert "Somebody who did not work on it checks it." in section(page, "operations")
        own = {"operation": "1", "result": "passed", "version": version_in(page)}
        assert browser.post(f"/tickets/{code}/steps/check_operation", data=own).status_code == 403
    with console.reader(house.far) as browser:
        checked = {"operation": "1", "result": "failed", "remark": "35.2 mm, too thick"}
        assert post(browser, code, "check_operation", **checked)[0] == 303
        part = section(browser.get(f"/tickets/{code}").text, "operations")
        for told in ("0 / 2", "To be started", "Checks that failed: 1"):
            assert told in part, told
    with console.reader(house.near) as browser:
        for step in ("start_operation", "finish_operation"):
            assert post(browser, code, step, operation="1")[0] == 303
    with console.reader(house.far) as browser:
        assert post(browser, code, "check_operation", operation="1", result="passed")[0] == 303
        assert "1 / 2" in section(browser.get(f"/tickets/{code}").text, "operations")


def test_what_is_looked_up_is_said_to_be_pending_until_it_is_there(console: Console) -> None:
    """SPEC T10; a requester sees no tickets of others."""
    house = console.house
    with console.pool.connection() as connection:
        connection.execute("update asset set warranty_until = '2026-02-01'")
        an_article(connection, house, "Motor howls: what to look at", "电机啸叫：检查要点")
        earlier = a_report(connection, house, NOW - 3 * DAY, title="Motor howls")
        code = a_report(connection, house, title="Motor howls again")
    with console.reader(house.near) as browser:
        part = section(browser.get(f"/tickets/{code}").text, "looked-up")
        assert part.count("being looked up") == 3
        assert "out of warranty" in part
        assert "Charged" in part
        with console.pool.connection() as connection:
            while fill_next_lookup(connection, NOW):
                pass
        part = section(browser.get(f"/tickets/{code}").text, "looked-up")
        assert "being looked up" not in part
        assert part.count(f'href="/tickets/{earlier}"') == 2, "in the history and as a likely duplicate"
        for told in ("of the last 30 days", "% alike", "Motor howls: what to look at"):
            assert told in part, told
    with console.reader(house.requester) as browser:
        part = section(browser.get(f"/tickets/{code}").text, "looked-up")
        assert "Motor howls: what to look at" in part
        assert "Likely duplicates" not in part
        assert earlier not in part


def test_an_escalation_tells_whom_it_told_and_is_acknowledged_there(console: Console) -> None:
    """SPEC N1, N2: what ran, who was told, who acknowledged; not for the requester."""
    house = console.house
    with console.pool.connection() as connection:
        code = a_report(connection, house)
        carry(connection, house, code, State.DISPATCHED)
    for minutes in (15, 25):
        escalation_round(console.pool, NOW + minutes * MINUTE)
    console.clock.move(25 * MINUTE)
    with console.reader(house.requester) as browser:
        page = browser.get(f"/tickets/{code}").text
        assert "Rung 1" not in page
        assert "Escalations to come" not in page
        assert browser.post(f"/tickets/{code}/steps/acknowledge", data={}).status_code == 403
    with console.reader(house.supervisor) as browser:
        part = section(browser.get(f"/tickets/{code}").text, "escalations")
        for told in ("Not accepted", "Rung 1", "Supervisor", "Goes on until somebody acknowledges"):
            assert told in part, told
        assert "Escalations to come: 3" in section(browser.get(f"/tickets/{code}").text, "clocks")
        assert post(browser, code, "acknowledge", comment="I call Near")[0] == 303
        page = browser.get(f"/tickets/{code}").text
        assert "acknowledged by Supervisor" in section(page, "escalations")
        assert "steps/acknowledge" not in page


@pytest.mark.parametrize("flag", ["yellow", "red"])
def test_a_ticket_that_stands_still_or_is_hot_says_so_beside_its_title(console: Console, flag: str) -> None:
    """SPEC N1, S5."""
    code = a_ticket(console)
    with console.pool.connection() as connection:
        connection.execute("update ticket set flag = %s where code = %s", (flag, code))
        facts = {"level": "P0", "reason": "The customer ships on Friday"}
        command(connection, code, "override_priority", console.house.planner, facts, now=NOW)
    console.clock.move(2 * DAY)
    with console.reader(console.house.near) as browser:
        head = section(browser.get(f"/tickets/{code}").text, "what")
        assert life_words.FLAGS[flag].message in head
        assert "hot, stays with its engineer" in head
        assert "steps/transfer" not in browser.get(f"/tickets/{code}").text


def test_the_list_is_narrowed_by_marks_kind_and_priority(console: Console) -> None:
    house = console.house
    held = a_ticket(console, State.ACCEPTED)
    with console.pool.connection() as connection:
        facts = {"reason": "access", "review_at": (NOW + HOUR).isoformat()}
        command(connection, held, "hold", house.near, facts)
        report = a_report(connection, house)
        flagged = a_report(connection, house, NOW + MINUTE, title="Motor smells")
        carry(connection, house, flagged, State.DISPATCHED, NOW + MINUTE)
        connection.execute("update ticket set flag = 'yellow' where code = %s", (flagged,))
        connection.execute("update ticket set priority = 4 where code = %s", (report,))
        connection.execute("update ticket set priority = 2 where code <> %s", (report,))
    codes = {held, report, flagged}
    narrowed: tuple[tuple[str, set[str]], ...] = (
        ("flag=unassigned", {report}),
        ("flag=hold", {held}),
        ("flag=review", set()),
        ("flag=yellow", {flagged}),
        ("flag=red", set()),
        ("kind=preventive", {held}),
        ("kind=corrective&priority=2", {flagged}),
        ("priority=4", {report}),
        ("flag=nonsense&kind=x&priority=9", codes),
        ("", codes),
    )
    with console.reader(house.supervisor) as browser:

        def listed(asked: str) -> set[str]:
            return {code for code in codes if f'href="/tickets/{code}"' in browser.get(f"/?{asked}").text}

        assert [(asked, listed(asked)) for asked, _ in narrowed] == list(narrowed)
        page = browser.get("/?flag=yellow&kind=corrective").text
        assert '<option value="yellow" selected>' in page
        assert "Yellow: stands still" in page.split("<tbody", 1)[1]
        console.clock.move(2 * HOUR)
        assert listed("flag=review") == {held}
        assert "Review due" in browser.get("/?flag=review").text


def test_the_next_page_of_a_narrowed_list_is_narrowed_too(console: Console) -> None:
    with console.pool.connection() as connection:
        for second in range(52):
            a_report(connection, console.house, NOW + timedelta(seconds=second), title=f"Rattle {second}")
    with console.reader(console.house.supervisor) as browser:
        page = browser.get("/?flag=unassigned&kind=corrective").text
        assert re.search(r'href="/\?flag=unassigned&amp;kind=corrective&amp;before=', page)


def test_a_chinese_page_says_it_all_in_chinese(console: Console) -> None:
    code = a_ticket(console)
    with console.reader(console.house.near, "zh") as browser:
        assert post(browser, code, "hold", reason="parts", review_at=soon(by=DAY))[0] == 303
        page = browser.get(f"/tickets/{code}").text
        for told in ("等待备件", "以下时钟暂停", "处理", "与其他工单合并或关联", "质保"):
            assert told in page, told
        for untold in ("Waiting for parts", "stand still", "Work on it", "Warranty"):
            assert untold not in page, untold


def test_a_step_that_is_no_longer_legal_is_refused_in_chinese_too(console: Console) -> None:
    code = a_ticket(console)
    with console.reader(console.house.near, "zh") as browser:
        refused = browser.post(f"/tickets/{code}/steps/resume", data={})
        assert refused.status_code == 409
        for told in ("已挂起的工单", f"{code}，状态为执行", "当前没有挂起。"):
            assert told in refused.text, told
        typed = {"number": "1", "result": "failed"}
        refused = browser.post(f"/tickets/{code}/steps/complete_task", data=typed)
        assert "任务 1 不合格，须填备注" in refused.text
