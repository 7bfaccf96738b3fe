"""The service's own health in the console: in words, for those who run it, with a mark in the menu (SPEC E8)."""

from __future__ import annotations

from api.measures import House
from api.pages import words
from storage import service_alarms
from tests.console_builders import NOW
from tests.operations_builders import HOSTILE, a_planner_elsewhere, a_silent_feed, an_administrator
from tests.ticket_builders import HOUR

MARK = "problems stand"


def test_every_kind_of_trouble_has_words():
    assert set(words.TROUBLES) == {*service_alarms.KINDS, service_alarms.DISK_FILLING}


def test_what_is_wrong_is_said_in_both_languages_and_marked_in_the_menu(console):
    with console.reader(console.house.planner) as browser:
        page = browser.get("/service").text
        assert "All is well" in page
        assert MARK not in page
    with console.pool.connection() as connection:
        a_silent_feed(connection)
    with console.reader(console.house.planner) as browser:
        page = browser.get("/service").text
        for told in ("Nothing was heard of the feed line for more than 600", "See whether its gateway runs", "mqtt-0"):
            assert told in page
        for told in ("12", "4 s ago", "desk", "not over yet", "every reading"):
            assert told in page
        assert MARK in browser.get("/").text
    with console.reader(console.house.planner, "zh") as browser:
        page = browser.get("/service").text
        for told in ("接入源静默", "接入源 line 已超过 600", "尚未结束", "服务告警"):
            assert told in page


def test_a_cleared_alarm_stays_in_the_list_and_takes_the_mark_away(console):
    with console.pool.connection() as connection:
        a_silent_feed(connection)
        connection.execute("update feed set last_message_at = %s", (NOW,))
        service_alarms.sweep(connection, NOW, {})
    with console.reader(console.house.planner) as browser:
        page = browser.get("/service").text
    assert "All is well" in page
    assert MARK not in page
    assert "Nothing was heard of the feed line" in page


def test_only_those_who_lead_see_the_service_and_nobody_the_troubles_of_other_sites(console):
    with console.pool.connection() as connection:
        a_silent_feed(connection)
        stranger, admin = a_planner_elsewhere(connection), an_administrator(connection)
    for actor in (console.house.near, console.house.requester):
        with console.reader(actor) as browser:
            assert browser.get("/service").status_code == 403
            page = browser.get("/").text
            assert 'href="/service"' not in page
            assert MARK not in page
    with console.reader(stranger) as browser:
        page = browser.get("/service").text
        assert "feed line" not in page
        assert MARK not in page
    with console.reader(admin) as browser:
        assert "feed line" in browser.get("/service").text


def test_a_silent_process_is_shown_and_hostile_names_are_only_text(console):
    with console.pool.connection() as connection:
        service_alarms.beat(connection, HOSTILE, NOW - HOUR)
        service_alarms.sweep(connection, NOW, {"the readings": 0.97})
    console.app.state.house = House(disks=lambda: {"the readings": 0.97})
    with console.reader(console.house.supervisor) as browser:
        page = browser.get("/service").text
    for told in ("The disk of the readings is 97 % full.", "1 h ago", "&lt;script&gt;alert"):
        assert told in page
    assert "<script>alert" not in page
