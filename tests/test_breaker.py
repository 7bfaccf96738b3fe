"""The breaker (SPEC S6): too many open P0 at a site freeze what can wait, told once, until they are cleared."""

from __future__ import annotations

import json
import re
import threading
from importlib.resources import files

import pytest
from psycopg import Connection

from notify.channels.inbox import InboxChannel
from storage.breaker import is_frozen, judge_sites, read_breakers
from storage.casework import create_report
from storage.database import connect
from storage.outbox import lease
from storage.policies import publish_body, publish_policy, read_policy_version, shipped_body
from tests.ingest_builders import until
from tests.ticket_builders import DAY, HOUR, MINUTE, NOW, SITE, House, a_house, command
from ticketing.breaker import is_frozen_at
from ticketing.policy.breaker import BreakerPolicy

RULES = BreakerPolicy(freeze_above_p0=3, thaw_at_p0=0, freezes_from=3)


def a_line_stop(connection: Connection, house: House, now=NOW) -> str:
    return create_report(
        connection, asset_id=house.asset_id, title="Line stands", description="", reporter=house.requester, now=now,
        line_stopped=True,
    )  # fmt: skip


def line_stops(connection: Connection, house: House, count: int) -> list[str]:
    return [a_line_stop(connection, house, NOW + number * MINUTE) for number in range(count)]


def cancel(connection: Connection, house: House, code: str) -> None:
    command(connection, code, "cancel", house.supervisor, {"reason": "Reported twice by the shift"}, now=NOW + HOUR)


def told(connection: Connection) -> list[str]:
    return [kind for (kind,) in connection.execute("select kind from outbox where kind ~ '^breaker' order by id")]


@pytest.mark.parametrize(
    ("was_frozen", "frozen_at"),
    [(False, [False, False, False, False, True, True]), (True, [False, True, True, True, True, True])],
)
def test_the_breaker_freezes_above_its_count_and_lets_go_only_when_they_are_cleared(was_frozen, frozen_at) -> None:
    assert [is_frozen_at(RULES, open_p0=count, was_frozen=was_frozen) for count in range(6)] == frozen_at


def test_three_open_p0_freeze_nothing_and_the_fourth_freezes_p3_and_p4(database: str) -> None:
    """SPEC S6: more than 3."""
    with connect(database) as connection:
        house = a_house(connection)
        line_stops(connection, house, 3)
        assert not is_frozen(connection, SITE, 4)
        a_line_stop(connection, house)
        assert [is_frozen(connection, SITE, priority) for priority in range(5)] == [False, False, False, True, True]


def test_a_frozen_breaker_stays_so_until_every_p0_is_cleared(database: str) -> None:
    """One that closes and one that opens must not switch the dispatch on and off."""
    with connect(database) as connection:
        house = a_house(connection)
        codes = line_stops(connection, house, 4)
        for code in codes[:3]:
            cancel(connection, house, code)
            assert is_frozen(connection, SITE, 3)
        cancel(connection, house, codes[3])
        assert not is_frozen(connection, SITE, 3)


def test_supervisors_are_told_once_that_it_froze_and_once_that_it_let_go(database: str) -> None:
    with connect(database) as connection:
        house = a_house(connection)
        codes = line_stops(connection, house, 6)
        judge_sites(connection, NOW + HOUR)
        assert told(connection) == ["breaker.frozen"]
        for code in codes:
            cancel(connection, house, code)
        assert told(connection) == ["breaker.frozen", "breaker.thawed"]


def test_the_notice_names_the_p0_in_both_languages(database: str) -> None:
    with connect(database) as connection:
        house = a_house(connection)
        codes = line_stops(connection, house, 4)
        messages = lease(connection, now=NOW + HOUR, lease_s=60, limit=50)
        message = next(message for message in messages if message.kind == "breaker.frozen")
        InboxChannel().send(connection, message, NOW + HOUR)
        (english, chinese) = connection.execute(
            "select text_en, text_zh from notification where person_id = %s", (house.supervisor.person_id,)
        ).fetchone()
        assert all(code in english and code in chinese for code in codes)
        assert "P3" in english
        assert "暂停派工" in chinese


def test_every_site_has_its_own_breaker(database: str) -> None:
    with connect(database) as connection:
        house = a_house(connection)
        connection.execute("insert into site values ('plant-2', 'Plant 2', 'weekdays', 31.3, 120.7)")
        line_stops(connection, house, 4)
        assert is_frozen(connection, SITE, 4)
        assert not is_frozen(connection, "plant-2", 4)
        assert {one.site_id: len(one.p0_codes) for one in read_breakers(connection)} == {SITE: 4, "plant-2": 0}


def test_two_p0_that_open_at_once_are_both_counted(database: str) -> None:
    """Planted: counted before the lock, each sees three, and nothing freezes."""
    with connect(database) as connection:
        house = a_house(connection)
        line_stops(connection, house, 2)

    def open_another() -> None:
        with connect(database) as other:
            a_line_stop(other, house)

    with connect(database) as first:
        a_line_stop(first, house)
        thread = threading.Thread(target=open_another)
        thread.start()
        until(lambda: waits_for_a_lock(database), "the second waits for the first")
    thread.join(20)
    with connect(database) as connection:
        assert is_frozen(connection, SITE, 3)


def waits_for_a_lock(database: str) -> bool:
    """Asked on a connection of its own each time: a transaction sees one snapshot of who waits."""
    asked = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    with connect(database) as watcher:
        return watcher.execute(asked).fetchone() is not None


def test_a_policy_that_freezes_sooner_is_followed_by_the_next_look(database: str) -> None:
    with connect(database) as connection:
        house = a_house(connection)
        line_stops(connection, house, 4)
        body = shipped_body("repair")
        body["breaker"] = {"freeze_above_p0": 10, "thaw_at_p0": 5, "freezes_from": 4}
        publish_policy(connection, body, person_id=None, now=NOW + DAY)
        assert judge_sites(connection, NOW + DAY) == [SITE]
        assert not is_frozen(connection, SITE, 4)


def test_the_migration_gives_every_published_policy_the_sections_it_lacks(database: str) -> None:
    """Policies are frozen on tickets: those from before must stay readable, and what they say stays."""
    sql = (files("storage") / "migrations" / "0032_priority.sql").read_text(encoding="utf-8")
    update = sql[sql.index("update policy") :]
    added = json.loads(re.search(r"set body = '(.*)'::jsonb", update, re.DOTALL)[1])
    shipped = shipped_body("repair")
    assert added == {section: shipped[section] for section in added}
    old = {name: value for name, value in shipped.items() if name not in added}
    with connect(database) as connection:
        for body in (old, {**old, "breaker": {"freeze_above_p0": 9, "thaw_at_p0": 1, "freezes_from": 4}}):
            publish_body(connection, "repair", body, person_id=None, now=NOW)
        connection.execute(update)
        stored = connection.execute("select id from policy order by id").fetchall()
        found = [read_policy_version(connection, policy_id).breaker.freeze_above_p0 for (policy_id,) in stored]
        assert found == [3, 9]
