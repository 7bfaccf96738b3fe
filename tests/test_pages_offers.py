"""Offers in the console: the three best tickets of an engineer, and claiming one (SPEC X5, S6)."""

from __future__ import annotations

import re

from storage.casework import create_report
from tests.console_builders import NOW, Console, soon
from tests.ticket_builders import DAY, HOUR, MINUTE, a_device_ticket, a_report, command

MENU_ENTRY = 'href="/offers"'


def some_tickets(console: Console, count: int = 4) -> list[str]:
    with console.pool.connection() as connection:
        return [
            a_report(connection, console.house, NOW + number * MINUTE, title=f"Rattle {number}")
            for number in range(count)
        ]


def offered(page: str) -> list[str]:
    return re.findall(r'action="/offers/(\w+)/claim"', page)


def the_offer(page: str, code: str) -> str:
    found = re.search(rf'<section class="[\w ]+" aria-labelledby="offer-{code}".*?</section>', page, re.DOTALL)
    assert found is not None
    return found[0]


def test_an_engineer_sees_the_three_best_with_reasons_distance_and_clock(console: Console) -> None:
    codes = some_tickets(console)
    with console.pool.connection() as connection:
        urgent = a_device_ticket(connection, console.house)
        connection.execute("update ticket set priority = 3")
        connection.execute("update ticket set priority = 1 where code = %s", (urgent,))
    with console.reader(console.house.near) as browser:
        page = browser.get("/offers").text
        assert offered(page) == [urgent, *codes[:2]]
        assert "Of 5 open tickets 5 fit you" in page
        best = the_offer(page, urgent)
    for told in ("P1 urgent", "1.1 km away", "M-1", "Accept by", "Plant 1", "skill", "free capacity", "UTC+8"):
        assert told in best, told
    assert 'value="2026-03-02T10:30"' in best


def test_a_claim_leads_to_the_ticket_and_the_time_typed_is_the_sites(console: Console) -> None:
    (code, *_) = some_tickets(console)
    with console.reader(console.house.near) as browser:
        claimed = browser.post(f"/offers/{code}/claim", data={"expected_response_at": soon()})
        assert (claimed.status_code, claimed.headers["location"]) == (303, f"/tickets/{code}")
        assert code not in offered(browser.get("/offers").text)
    with console.pool.connection() as connection:
        row = connection.execute(
            "select state, assignee_id, expected_response_at from ticket where code = %s", (code,)
        ).fetchone()
    assert row == ("accepted", console.house.near.person_id, NOW + HOUR)


def test_who_comes_second_is_told_who_won_and_shown_what_is_left(console: Console) -> None:
    """SPEC X5: one winner."""
    (code, *others) = some_tickets(console)
    with console.reader(console.house.near) as browser:
        assert browser.post(f"/offers/{code}/claim", data={"expected_response_at": soon()}).status_code == 303
    for language, told in (("en", "Near has it"), ("zh", "已由 Near 领取")):
        with console.reader(console.house.far, language) as browser:
            second = browser.post(f"/offers/{code}/claim", data={"expected_response_at": soon()})
            assert second.status_code == 409
            assert told in second.text
            assert offered(second.text) == others
    with console.pool.connection() as connection:
        (holder,) = connection.execute("select assignee_id from ticket where code = %s", (code,)).fetchone() or ()
    assert holder == console.house.near.person_id


def test_a_claim_without_a_time_or_with_one_in_the_past_keeps_what_was_typed(console: Console) -> None:
    (code, *_) = some_tickets(console)
    with console.reader(console.house.near) as browser:
        for typed in ("soon", soon(by=-DAY)):
            refused = browser.post(f"/offers/{code}/claim", data={"expected_response_at": typed})
            assert refused.status_code == 422
            assert f'value="{typed}"' in the_offer(refused.text, code)
    with console.pool.connection() as connection:
        assert connection.execute("select state from ticket where code = %s", (code,)).fetchone() == ("new",)


def test_who_has_none_is_told_which_rules_keep_the_tickets_away(console: Console) -> None:
    """SPEC X4, S6: the breaker is among the reasons."""
    house = console.house
    with console.pool.connection() as connection:
        waiting = a_device_ticket(connection, house)
        facts = {"level": "P3", "reason": "The spare motor runs"}
        command(connection, waiting, "override_priority", house.planner, facts)
        for _ in range(4):
            create_report(
                connection, asset_id=house.asset_id, title="Line stands", description="", reporter=house.requester,
                now=NOW, line_stopped=True,
            )  # fmt: skip
        connection.execute("update person set on_duty = false where id = %s", (house.near.person_id,))
    with console.reader(house.near) as browser:
        page = browser.get("/offers").text
        assert offered(page) == []
        for told in ("No open ticket fits you now", "is off duty: 4", "waits until the open P0 are cleared: 1"):
            assert told in page, told


def test_offers_are_in_the_menu_of_engineers_alone(console: Console) -> None:
    (code, *_) = some_tickets(console, 1)
    house = console.house
    with console.reader(house.near) as browser:
        assert MENU_ENTRY in browser.get("/").text.split("</nav>", 1)[0]
    for actor in (house.supervisor, house.planner, house.requester):
        with console.reader(actor) as browser:
            assert MENU_ENTRY not in browser.get("/").text
            page = browser.get("/offers").text
            assert offered(page) == []
            assert "Offers are made to engineers." in page
            refused = browser.post(f"/offers/{code}/claim", data={"expected_response_at": soon()})
            assert refused.status_code == 403, "only an engineer takes a new ticket"
    with console.pool.connection() as connection:
        assert connection.execute("select state from ticket where code = %s", (code,)).fetchone() == ("new",)
    with console.reader(None) as stranger:
        assert stranger.get("/offers").status_code == 303
