"""What is looked up about a new ticket: warranty at once, the rest soon, nothing of other assets (SPEC T10, Q1)."""

from __future__ import annotations

import threading
from datetime import date, datetime, timedelta

import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from storage.articles import ArticleText, add_article, find_articles, retire_article
from storage.database import open_pool
from storage.intake import open_ticket
from storage.lookups import ATTEMPTS_LIMIT, fill_next_lookup, warranty_on
from storage.tickets import ticket_detail
from tests.ticket_builders import DAY, HOUR, MINUTE, NOW, House, a_device_ticket, a_house, an_asset, command
from ticketing.actors import Actor
from ticketing.intake import Channel, IntakeRequest
from ticketing.ticket import Kind


def a_report(connection: Connection, house: House, title: str, now: datetime = NOW, **changes: object) -> str:
    request = {
        "channel": Channel.CONSOLE,
        "kind": Kind.CORRECTIVE,
        "actor": house.requester,
        "title": title,
        "asset_id": house.asset_id,
        **changes,
    }
    return open_ticket(connection, IntakeRequest(**request), now).code  # type: ignore[arg-type]


def fill(connection: Connection, now: datetime = NOW) -> int:
    filled = 0
    while fill_next_lookup(connection, now):
        filled += 1
    return filled


def looked_up(connection: Connection, code: str, actor: Actor) -> dict[str, tuple[str, dict[str, object] | None]]:
    detail = ticket_detail(connection, code, actor=actor, now=NOW)
    return {
        lookup.name: (lookup.state, None if lookup.body is None else dict(lookup.body)) for lookup in detail.lookups
    }


def items(connection: Connection, house: House, code: str, name: str) -> list[dict[str, object]]:
    state, body = looked_up(connection, code, house.supervisor)[name]
    assert (state, body is not None) == ("done", True)
    return body["items"]  # type: ignore[index,return-value]


def an_article(connection: Connection, house: House, title_en: str, title_zh: str, **changes: object) -> int:
    text = {"body_en": "", "body_zh": "", "asset_type_id": None, "failure_mode": None, **changes}
    return add_article(
        connection,
        ArticleText(title_en=title_en, title_zh=title_zh, **text),  # type: ignore[arg-type]
        person_id=house.planner.person_id or 0,
        now=NOW,
    )


def test_opening_answers_at_once_and_what_takes_longer_is_shown_as_pending(pool: ConnectionPool) -> None:
    """SPEC T10."""
    with pool.connection() as connection:
        house = a_house(connection)
        connection.execute("update asset set warranty_until = '2026-03-12'")
        code = a_report(connection, house, "Motor howls")
        before = looked_up(connection, code, house.supervisor)
        assert {name: state for name, (state, _) in before.items()} == {
            "warranty": "done",
            "history": "pending",
            "duplicates": "pending",
            "knowledge": "pending",
        }
        assert before["warranty"][1] == {"state": "in", "until": "2026-03-12", "days_left": 10, "charge": False}
        assert fill(connection) == 3
        assert {state for state, _ in looked_up(connection, code, house.supervisor).values()} == {"done"}
        assert fill(connection) == 0


@pytest.mark.parametrize(
    ("until", "state", "days_left", "charge"),
    [
        (date(2026, 3, 2), "in", 0, False),
        (date(2026, 3, 1), "out", -1, True),
        (None, "unknown", None, False),
    ],
)
def test_the_last_day_of_a_warranty_is_in_it_and_the_day_after_is_charged(
    until: date | None, state: str, days_left: int | None, charge: bool
) -> None:
    found = warranty_on(until, date(2026, 3, 2))
    assert (found["state"], found["days_left"], found["charge"]) == (state, days_left, charge)


def test_a_ticket_out_of_warranty_is_charged_by_the_sites_own_date(pool: ConnectionPool) -> None:
    """SPEC T10: it is past midnight in Shanghai while Greenwich still has the warranty's last day."""
    with pool.connection() as connection:
        house = a_house(connection)
        connection.execute("update asset set warranty_until = '2026-03-02'")
        midnight = datetime.fromisoformat("2026-03-02T16:00:00+00:00")
        codes = [a_report(connection, house, "Noise", now) for now in (midnight - MINUTE, midnight)]
        details = [ticket_detail(connection, code, actor=house.near, now=midnight) for code in codes]
        assert [detail.is_charged for detail in details] == [False, True]


def test_the_history_is_of_the_asset_the_same_mode_first_and_not_older_than_the_policy_says(
    pool: ConnectionPool,
) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        foreign, _, _ = an_asset(connection, "M-2", None, NOW)
        a_report(connection, house, "Elsewhere", NOW - DAY, asset_id=foreign)
        a_report(connection, house, "Too long ago", NOW - 30 * DAY - MINUTE)
        old = a_report(connection, house, "Worn", NOW - 30 * DAY, failure_mode="bearing_wear")
        command(connection, old, "cancel", house.supervisor, {"reason": "Was another machine"}, now=NOW - 29 * DAY)
        recent = a_report(connection, house, "Leaks", NOW - DAY)
        code = a_report(connection, house, "Howls", failure_mode="bearing_wear")
        fill(connection)
        found = items(connection, house, code, "history")
        assert [(one["code"], one["same_mode"], one["outcome"]) for one in found] == [
            (old, True, "cancelled"),
            (recent, False, None),
        ]


def test_a_likely_duplicate_is_proposed_with_its_reckoning_and_never_one_of_another_asset(
    pool: ConnectionPool,
) -> None:
    """SPEC Q1: by asset, mode and time before the words, in both languages; a person decides."""
    with pool.connection() as connection:
        house = a_house(connection)
        foreign, _, _ = an_asset(connection, "M-2", None, NOW)
        a_report(connection, house, "轴承有异响，很响", NOW - HOUR, asset_id=foreign)
        first = a_report(connection, house, "电机轴承有异响", NOW - HOUR)
        a_report(connection, house, "Paint is coming off", NOW - HOUR)
        code = a_report(connection, house, "轴承有异响，很响")
        fill(connection)
        found = items(connection, house, code, "duplicates")
        assert [one["code"] for one in found] == [first]
        assert (found[0]["mode"], found[0]["time"]) == (0.5, 0.994)
        assert 0.5 < float(str(found[0]["text"])) < 1


def test_a_report_of_what_a_device_has_seen_is_a_likely_duplicate_whatever_its_words(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        device = a_device_ticket(connection, house, NOW - 2 * HOUR)
        command(connection, device, "cancel", house.supervisor, {"reason": "Sensor was loose"}, now=NOW - HOUR)
        code = a_report(connection, house, "异响", failure_mode="bearing_wear")
        fill(connection)
        assert [one["code"] for one in items(connection, house, code, "duplicates")] == [device]


def test_parent_child_and_scheduled_work_are_no_duplicates(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        parent = a_report(connection, house, "Motor howls")
        parent_id = ticket_detail(connection, parent, actor=house.near, now=NOW).ticket.id
        child = a_report(connection, house, "Motor howls", parent_id=parent_id)
        fill(connection)
        assert items(connection, house, parent, "duplicates") == []
        assert items(connection, house, child, "duplicates") == []


def test_the_best_three_articles_are_shown_whatever_the_language_of_the_report(pool: ConnectionPool) -> None:
    """SPEC T10."""
    with pool.connection() as connection:
        house = a_house(connection)
        about_mode = an_article(
            connection, house, "Bearing wear", "轴承磨损处理", asset_type_id="motor", failure_mode="bearing_wear"
        )
        noise = an_article(connection, house, "Noise of motors", "电机异响排查", body_zh="先听轴承，再看地脚螺栓")
        an_article(connection, house, "Painting a pump", "泵的涂装")
        for number in range(3):
            an_article(connection, house, f"Motor form {number}", "电机表格", body_en="motor motor")
        chinese = a_report(connection, house, "电机有异响", failure_mode="bearing_wear")
        english = a_report(connection, house, "Strange noises")
        fill(connection)
        found = items(connection, house, chinese, "knowledge")
        assert len(found) == 3
        assert [one["id"] for one in found[:2]] == [about_mode, noise]
        assert [one["id"] for one in items(connection, house, english, "knowledge")] == [noise]
        retire_article(connection, noise, NOW)
        assert noise not in [one.id for one in find_articles(connection, "异响 noise", limit=10)]


def test_an_article_for_another_kind_of_machine_is_not_shown(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        connection.execute("insert into asset_type values ('pump', 'Pump', '泵')")
        an_article(connection, house, "Howling pumps", "泵啸叫", asset_type_id="pump")
        code = a_report(connection, house, "It is howling")
        fill(connection)
        assert items(connection, house, code, "knowledge") == []


def test_a_requester_sees_no_tickets_of_others_in_the_look_ups(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        a_report(connection, house, "Somebody else's", actor=house.supervisor)
        code = a_report(connection, house, "Motor howls")
        fill(connection)
        assert set(looked_up(connection, code, house.requester)) == {"warranty", "knowledge"}
        assert set(looked_up(connection, code, house.near)) == {"warranty", "history", "duplicates", "knowledge"}


def test_eight_desks_fill_each_look_up_once(database: str) -> None:
    """Fails when a look-up is read without being claimed: more are done than there are."""
    with open_pool(database, size=8) as pool:
        with pool.connection() as connection:
            house = a_house(connection)
            for number in range(8):
                a_report(connection, house, f"Noise {number}")
        filled: list[int] = []
        barrier = threading.Barrier(8)

        def desk() -> None:
            barrier.wait()
            while True:
                with pool.connection() as connection:
                    if not fill_next_lookup(connection, NOW):
                        return
                filled.append(1)

        threads = [threading.Thread(target=desk) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(filled) == 24


def test_what_a_dying_desk_was_at_is_done_by_the_next(database: str) -> None:
    with open_pool(database, size=2) as pool:
        with pool.connection() as connection:
            house = a_house(connection)
            code = a_report(connection, house, "Motor howls")
        with pool.connection() as connection, connection.transaction(force_rollback=True):
            assert fill(connection) == 3
        with pool.connection() as connection:
            assert fill(connection) == 3
            assert {state for state, _ in looked_up(connection, code, house.near).values()} == {"done"}


def test_a_look_up_that_fails_stops_no_other_and_is_given_up_in_the_end(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_report(connection, house, "Motor howls")
        connection.execute("alter table article_word rename to article_words_away")
        now = NOW
        assert fill(connection, now) == 3
        assert looked_up(connection, code, house.near)["knowledge"] == ("pending", None)
        assert looked_up(connection, code, house.near)["history"][0] == "done"
        assert fill(connection, now + timedelta(seconds=4)) == 0
        for _ in range(ATTEMPTS_LIMIT - 1):
            now += HOUR
            assert fill(connection, now) == 1
        assert looked_up(connection, code, house.near)["knowledge"] == ("failed", None)
        assert fill(connection, now + DAY) == 0
