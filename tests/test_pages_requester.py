"""The requester's page: two questions behind a link, without sign-in and without scripts (SPEC C2)."""

from __future__ import annotations

from tests.console_builders import Console
from tests.ticket_builders import DAY, a_report, carry, resolve
from ticketing.ticket import State


def a_link(console: Console) -> tuple[str, str]:
    with console.pool.connection() as connection:
        code = a_report(connection, console.house)
        carry(connection, console.house, code, State.EXECUTING)
        secret = resolve(connection, console.house, code).confirmation_url_secret
    assert secret is not None
    return code, f"/c/{secret}"


def answers(console: Console, code: str) -> list[tuple[bool, bool, str | None]]:
    with console.pool.connection() as connection:
        return connection.execute(
            """select solved, satisfied, cause from survey_answer
               where ticket_id = (select id from ticket where code = %s)""",
            (code,),
        ).fetchall()


def test_opening_the_link_changes_nothing_and_tells_what_was_done(console):
    code, address = a_link(console)
    with console.reader(None, "zh-CN") as browser:
        for _ in range(3):
            page = browser.get(address)
            assert page.status_code == 200
        assert page.headers["referrer-policy"] == "no-referrer"
    for told in ("Motor howls", "Lubricant lost", "Bearing replaced", "问题解决了吗？", "UTC+8"):
        assert told in page.text
    assert answers(console, code) == []


def test_two_yeses_confirm_the_ticket_and_the_link_is_used_up(console):
    code, address = a_link(console)
    with console.reader(None) as browser:
        answered = browser.post(address, data={"solved": "yes", "satisfied": "yes"})
        assert (answered.status_code, answered.headers["location"]) == (303, address)
        assert "Thank you" in browser.get(address).text
        assert "Thank you" in browser.post(address, data={"solved": "no", "satisfied": "no", "cause": "x"}).text
    assert answers(console, code) == [(True, True, None)]
    with console.reader(console.house.supervisor) as browser:
        assert "by the requester" in browser.get(f"/tickets/{code}").text


def test_a_no_needs_its_cause_keeps_what_was_typed_and_sends_the_ticket_back(console):
    code, address = a_link(console)
    with console.reader(None) as browser:
        given = {"solved": "no", "satisfied": "no", "comment": "Came back at noon"}
        refused = browser.post(address, data=given)
        assert refused.status_code == 422
        assert "Came back at noon</textarea>" in refused.text
        assert refused.text.count("checked") == 2
        assert answers(console, code) == []
        assert browser.post(address, data={**given, "cause": "It still howls"}).status_code == 303
    assert answers(console, code) == [(False, False, "It still howls")]
    with console.reader(console.house.near) as browser:
        page = browser.get(f"/tickets/{code}").text
    assert "not solved" in page
    assert "It still howls" in page
    assert "Next step: Submit resolution" in page


def test_both_questions_must_be_answered(console):
    code, address = a_link(console)
    with console.reader(None) as browser:
        assert browser.post(address, data={"solved": "yes"}).status_code == 422
    assert answers(console, code) == []


def test_unknown_and_expired_links_say_so(console):
    _, address = a_link(console)
    with console.reader(None) as browser:
        assert browser.get("/c/nonsense").status_code == 404
        console.clock.move(60 * DAY)
        expired = browser.get(address)
        assert expired.status_code == 410
        assert "This link cannot be used" in expired.text
        assert "Lubricant lost" not in expired.text
