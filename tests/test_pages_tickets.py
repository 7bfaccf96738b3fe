"""The ticket list and the ticket: what they show, steps as forms, refusals in the page (SPEC T1, T2, C2)."""

from __future__ import annotations

import re
from datetime import timedelta

from storage.casework import create_report, open_from_prediction
from storage.eta import learn_expectations
from tests.console_builders import NOW, Console, a_dispatch_decision, a_picture, a_worn_motor, soon
from tests.ticket_builders import DAY, HOUR, a_report, carry, command, finish_work, resolve
from ticketing.ticket import State


def a_ticket(console: Console, state: State | None = None) -> str:
    with console.pool.connection() as connection:
        code = open_from_prediction(connection, a_worn_motor(connection, console.house), NOW)
        assert code is not None
        a_dispatch_decision(connection, code)
        if state is not None:
            carry(connection, console.house, code, state)
    return code


def version_in(page: str) -> str:
    found = re.search(r'name="version" value="(\d+)"', page)
    assert found is not None
    return found[1]


def the_form(page: str, step: str) -> str:
    """The text of one step's form."""
    found = re.search(rf'<form[^>]*action="/tickets/\w+/steps/{step}(/attachments)?".*?</form>', page, re.DOTALL)
    assert found is not None, f"no form for {step}"
    return found[0]


def test_home_counts_what_is_mine_soon_and_breached(console):
    code = a_ticket(console, State.DISPATCHED)
    with console.reader(console.house.near) as browser:
        home = browser.get("/").text
        assert re.search(r"<b>1</b> mine", home)
        assert code in browser.get("/?work=mine").text
        assert code in browser.get("/?work=soon").text
        assert code not in browser.get("/?work=breached").text
        console.clock.move(3 * HOUR)
        assert re.search(r"<b>1</b> breached", browser.get("/").text)
        assert code in browser.get("/?work=breached").text
        assert "overdue" in browser.get("/").text
    with console.reader(console.house.far) as browser:
        assert code not in browser.get("/?work=mine").text


def test_the_list_is_filtered_by_state_and_text_and_wildcards_are_taken_literally(console):
    code = a_ticket(console)
    with console.pool.connection() as connection:
        report = a_report(connection, console.house, title="Grinding 100% of the time")
    with console.reader(console.house.supervisor) as browser:
        assert code in browser.get("/?state=new").text
        assert code not in browser.get("/?state=closed").text
        found = browser.get("/", params={"text": "100%"}).text
        assert report in found
        assert code not in found
        assert "No ticket fits this filter" in browser.get("/", params={"text": "1_0"}).text
        assert browser.get("/?state=nonsense").status_code == 200


def test_the_list_pages_by_keys_and_drops_nothing(console):
    with console.pool.connection() as connection:
        made = {
            a_report(connection, console.house, NOW + timedelta(seconds=second), title=f"Rattle {second}")
            for second in range(53)
        }
    with console.reader(console.house.supervisor) as browser:
        first = browser.get("/").text
        older = re.search(r'href="(/\?before=[^"]+)"', first)
        assert older is not None
        both = first + browser.get(older[1]).text
    assert {code for code in made if code in both} == made


def test_a_requester_sees_own_reports_only(console):
    code = a_ticket(console)
    with console.pool.connection() as connection:
        connection.execute("update ticket set requester_id = null where code = %s", (code,))
        own = a_report(connection, console.house)
    with console.reader(console.house.requester) as browser:
        listed = browser.get("/").text
        assert own in listed
        assert code not in listed
        assert browser.get(f"/tickets/{own}").status_code == 200
        assert browser.get(f"/tickets/{code}").status_code == 404
        assert "data-stream" not in listed


def test_a_ticket_tells_what_why_when_and_with_which_parts_in_the_sites_time(console):
    code = a_ticket(console, State.DISPATCHED)
    with console.reader(console.house.near) as browser:
        page = browser.get(f"/tickets/{code}").text
    for told in ("Bearing wear", "M-1", "Vibration drifts", "6204-2RS", "Error E204, overload", "+2.40", "-3.89"):
        assert told in page
    assert "Near was chosen" in page
    assert "lacks a skill" in page
    assert '2026-03-02 10:00</time> <span class="zone">UTC+8' in page
    assert '<ws-chart series="1"' in page
    assert 'limit="5.0"' in page


def test_the_next_step_is_a_form_with_exactly_its_required_facts(console):
    code = a_ticket(console, State.DISPATCHED)
    with console.reader(console.house.near) as browser:
        form = the_form(browser.get(f"/tickets/{code}").text, "accept")
    assert re.findall(r'name="(\w+)"', form) == ["version", "expected_response_at"]
    assert 'value="2026-03-02T10:30"' in form
    with console.reader(console.house.far) as browser:
        page = browser.get(f"/tickets/{code}").text
    assert "The assigned engineer accepts it next." in page
    assert "steps/accept" not in page


def test_a_step_is_carried_out_and_the_time_typed_is_the_sites(console):
    code = a_ticket(console, State.DISPATCHED)
    with console.reader(console.house.near) as browser:
        version = version_in(browser.get(f"/tickets/{code}").text)
        done = browser.post(f"/tickets/{code}/steps/accept", data={"version": version, "expected_response_at": soon()})
        assert done.status_code == 303
        assert done.headers["location"] == f"/tickets/{code}"
    with console.pool.connection() as connection:
        row = connection.execute("select state, expected_response_at from ticket where code = %s", (code,)).fetchone()
    assert row == ("accepted", NOW + HOUR)


def test_a_refused_step_says_what_was_expected_and_keeps_what_was_typed(console):
    code = a_ticket(console, State.EXECUTING)
    with console.reader(console.house.near) as browser:
        version = version_in(browser.get(f"/tickets/{code}").text)
        typed = {"version": version, "resolution_code": "repaired", "cause": "Dry & hot", "summary": "ok"}
        refused = browser.post(f"/tickets/{code}/steps/resolve", data={**typed, "action_taken": "Bearing replaced"})
    assert refused.status_code == 422
    assert "The summary says nothing" in refused.text
    for sentence in ("Expected", "Got", "What to do", "Name the action or the finding"):
        assert sentence in refused.text
    form = the_form(refused.text, "resolve")
    assert "Dry &amp; hot</textarea>" in form
    assert "Bearing replaced</textarea>" in form
    assert '<option value="repaired" selected>' in form
    assert 'value="ok"' in form


def test_a_stale_form_is_refused_once_and_can_then_be_sent_as_it_is(console):
    code = a_ticket(console, State.DISPATCHED)
    with console.reader(console.house.near) as browser:
        version = version_in(browser.get(f"/tickets/{code}").text)
        with console.pool.connection() as connection:
            command(
                connection, code, "note", console.house.supervisor, {"content": "Use gate 4"}, summary="gate 4 open"
            )
        typed = {"version": version, "expected_response_at": soon()}
        refused = browser.post(f"/tickets/{code}/steps/accept", data=typed)
        assert refused.status_code == 409
        assert "changed since you read it" in refused.text
        again = {**typed, "version": version_in(the_form(refused.text, "accept"))}
        assert browser.post(f"/tickets/{code}/steps/accept", data=again).status_code == 303


def test_starting_work_uploads_the_photo_in_the_same_form(console):
    code = a_ticket(console, State.ACCEPTED)
    with console.reader(console.house.near) as browser:
        page = browser.get(f"/tickets/{code}").text
        address = f"/tickets/{code}/steps/execute/attachments"
        assert 'enctype="multipart/form-data"' in the_form(page, "execute")
        photo = {"file": ("bearing.png", a_picture(), "image/png")}
        typed = {"version": version_in(page)}
        refused = browser.post(address, data={**typed, "summary": ""}, files=photo)
        assert refused.status_code == 422
        # The picture is kept: the form now offers it, because a browser cannot be given a file back.
        kept = re.search(r'<option value="([0-9a-f-]{36})" selected>bearing.png', the_form(refused.text, "execute"))
        assert kept is not None
        done = browser.post(address, data={**typed, "summary": "cover removed", "attachment_id": kept[1]})
        assert done.status_code == 303
        assert "Executing" in browser.get(f"/tickets/{code}").text


def test_a_file_of_an_unknown_kind_is_refused_in_the_page(console):
    code = a_ticket(console, State.ACCEPTED)
    with console.reader(console.house.near) as browser:
        wrong = {"file": ("x.png", b"\x00\x01\x02", "image/png")}
        refused = browser.post(f"/tickets/{code}/attachments", files=wrong)
        assert refused.status_code == 415
        assert "That kind of file is not taken" in refused.text
        assert browser.post(f"/tickets/{code}/attachments", data={"x": "y"}).status_code == 422
        good = {"file": ("log.txt", "旁通阀已关".encode(), "text/plain")}
        assert browser.post(f"/tickets/{code}/attachments", files=good).status_code == 303
        assert "log.txt" in browser.get(f"/tickets/{code}").text


def test_tasks_and_parts_are_recorded_through_forms(console):
    code = a_ticket(console, State.EXECUTING)
    with console.reader(console.house.near) as browser:
        page = browser.get(f"/tickets/{code}").text
        assert 'name="lines:6204-2RS:issued"' in the_form(page, "use_parts")
        done = browser.post(f"/tickets/{code}/steps/complete_task", data={"version": version_in(page), "number": "1"})
        assert done.status_code == 303
        page = browser.get(f"/tickets/{code}").text
        assert "1 / 2" in page
        lines = {"lines:6204-2RS:issued": "2", "lines:6204-2RS:used": "1", "lines:6204-2RS:returned": "1"}
        other = {"other_part": "SEAL-35", "other_part_issued": "0", "other_part_used": "0", "other_part_returned": "0"}
        sent = {**lines, **other, "version": version_in(page)}
        assert browser.post(f"/tickets/{code}/steps/use_parts", data=sent).status_code == 303
        assert "issued 2, used 1, returned 1" in browser.get(f"/tickets/{code}").text


def test_the_confirmation_link_is_shown_as_text_and_code_to_the_engineer_alone(console):
    code = a_ticket(console, State.EXECUTING)
    with console.reader(console.house.near) as browser:
        typed = {
            "version": version_in(browser.get(f"/tickets/{code}").text),
            "resolution_code": "repaired",
            "cause": "Lubricant lost",
            "action_taken": "Bearing replaced",
            "summary": "bearing replaced",
        }
        done = browser.post(f"/tickets/{code}/steps/resolve", data=typed)
        assert done.status_code == 303
        cookie = done.headers["set-cookie"]
        assert f"Path=/tickets/{code}" in cookie
        assert "HttpOnly" in cookie
        page = browser.get(f"/tickets/{code}").text
        link = re.search(r'href="http://testserver(/c/[\w-]+)"', page)
        assert link is not None
        assert '<svg xmlns="http://www.w3.org/2000/svg"' in page or 'class="qr"' in page
        assert "Next step: Complete a task" in page
        with console.reader(None) as requester:
            assert "Lubricant lost" in requester.get(link[1]).text
    with console.reader(console.house.supervisor) as browser:
        assert link[1] not in browser.get(f"/tickets/{code}").text


def test_closing_shows_its_open_gates_until_they_are_passed(console):
    code = a_ticket(console, State.EXECUTING)
    with console.pool.connection() as connection:
        resolve(connection, console.house, code)
    with console.reader(console.house.near) as browser:
        form = the_form(browser.get(f"/tickets/{code}").text, "close")
        assert "disabled" in form
        assert "Let the requester confirm" in form
    with console.pool.connection() as connection:
        finish_work(connection, console.house, code)
        command(connection, code, "confirm", console.house.supervisor, {"satisfied": True})
    with console.reader(console.house.near) as browser:
        page = browser.get(f"/tickets/{code}").text
        assert "Next step: Close" in page
        closed = browser.post(f"/tickets/{code}/steps/close", data={"version": version_in(the_form(page, "close"))})
        assert closed.status_code == 303
        page = browser.get(f"/tickets/{code}").text
        assert "Repaired" in page
        assert set(re.findall(r"steps/(\w+)", page)) == {"link", "reopen"}
        assert "by Supervisor in the requester" in page


def test_a_held_ticket_shows_its_review_date_instead_of_a_deadline(console):
    code = a_ticket(console, State.ACCEPTED)
    with console.reader(console.house.near) as browser:
        page = browser.get(f"/tickets/{code}").text
        held = {"version": version_in(page), "reason": "parts", "review_at": soon(by=DAY)}
        assert browser.post(f"/tickets/{code}/steps/hold", data=held).status_code == 303
        page = browser.get(f"/tickets/{code}").text
        assert "Next step: Resume" in page
        assert "paused by the hold" in page
        assert "2026-03-03 10:00" in browser.get("/").text


def test_a_command_outside_the_table_is_refused(console):
    code = a_ticket(console)
    with console.reader(console.house.near) as browser:
        assert browser.post(f"/tickets/{code}/steps/overdue", data={}).status_code == 422
        assert browser.post(f"/tickets/{code}/steps/explode", data={}).status_code == 422
        assert browser.post(f"/tickets/{code}/steps/close", data={"version": "x"}).status_code == 409


def test_the_page_says_when_a_ticket_is_likely_to_be_resolved_and_from_what_that_is_learned(console):
    """SPEC S8: with an interval; one that outlasts the others is given no false hope."""
    house = console.house
    with console.pool.connection() as connection:
        for minutes in range(30, 90, 5):
            done = a_report(connection, house)
            carry(connection, house, done, State.EXECUTING)
            finish_work(connection, house, done)
            later = NOW + timedelta(minutes=minutes)
            resolve(connection, house, done, now=later)
            command(connection, done, "confirm", house.supervisor, {"satisfied": True}, now=later)
            command(connection, done, "close", house.near, now=later)
        learn_expectations(connection, NOW + DAY)
        code = a_report(connection, house)
    with console.reader(house.supervisor) as browser:
        page = browser.get(f"/tickets/{code}").text
        told = re.search(r'<dd id="expected">(.*?)</dd>', page, re.DOTALL)
        assert told is not None
        assert "8 of 10 such tickets:" in told[1]
        assert "tickets of this kind and priority · learned from 12" in told[1]
        console.clock.move(5 * HOUR)
        assert "It has taken longer than 19 of 20 such tickets." in browser.get(f"/tickets/{code}").text


def test_the_page_shows_how_the_priority_came_about_and_who_set_another(console):
    """SPEC S1: the arithmetic with its sources, the override with its reason, the heat."""
    code = a_ticket(console)
    with console.reader(console.house.planner) as browser:
        page = browser.get(f"/tickets/{code}").text
        assert "score 8.0 = severity 8" in page
        assert "criticality 3 of 5" in page
        with console.pool.connection() as connection:
            facts = {"level": "P0", "reason": "The customer ships on Friday"}
            command(connection, code, "override_priority", console.house.planner, facts, now=NOW)
        page = browser.get(f"/tickets/{code}").text
        assert "The customer ships on Friday" in page
        assert "By its score it would be P2." in page
        assert "heat" in page


def test_a_ticket_scored_before_the_four_parts_shows_its_arithmetic_still(console):
    code = a_ticket(console)
    old = (
        '{"level": 2, "score": 8.0, "line_stopped": false, "from_score": [20, 11, 6.5, 3], "factors": ['
        '{"name": "severity", "value": 8, "source": "bearing_wear"}, '
        '{"name": "criticality", "value": 1.0, "source": "3"}]}'
    )
    with console.pool.connection() as connection:
        connection.execute("update ticket set priority_reason = %s::jsonb where code = %s", (old, code))
    with console.reader(console.house.planner) as browser:
        page = browser.get(f"/tickets/{code}").text
        assert "score 8.0 = severity 8" in page
        assert "Where each factor comes from" not in page


def test_a_ticket_that_waits_for_the_open_p0_says_so_to_everyone(console):
    """SPEC S6: everyone sees why."""
    code = a_ticket(console)
    with console.pool.connection() as connection:
        facts = {"level": "P3", "reason": "The spare motor runs"}
        command(connection, code, "override_priority", console.house.planner, facts, now=NOW)
        stops = [
            create_report(
                connection, asset_id=console.house.asset_id, title="Line stands", description="",
                reporter=console.house.requester, now=NOW, line_stopped=True,
            )
            for _ in range(4)
        ]  # fmt: skip
    for actor in (console.house.near, console.house.planner, console.house.supervisor):
        with console.reader(actor) as browser:
            page = browser.get(f"/tickets/{code}").text
            assert "4 P0 are open at Plant 1: from P3 on, dispatch waits until they are cleared." in page
            assert all(f'href="/tickets/{stop}"' in page for stop in stops)
