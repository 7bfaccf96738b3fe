"""Critical windows, breakers, the control policy and recorded notices in the console (SPEC S1, S6, S7, N2)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from storage.critical_windows import CriticalWindow, WindowFields, create_window, list_windows
from tests.console_builders import NOW, Console
from tests.operations_builders import a_planner_elsewhere
from tests.ticket_builders import HOUR, SITE, a_device_ticket, a_report, command

WEEKLY = {
    "site": SITE,
    "name": "Night shift",
    "factor": "1.5",
    "when": "weekly",
    "weekdays": ["5", "6"],
    "starts": "22:00",
    "ends": "06:00",
}
ONCE = {**WEEKLY, "name": "Launch", "when": "once", "starts_at": "2026-03-02T08:00", "ends_at": "2026-03-03T08:00"}


def windows(console: Console) -> list[CriticalWindow]:
    with console.pool.connection() as connection:
        return list_windows(connection, sites=None, after=0, limit=10)


@pytest.fixture
def opened(console: Console) -> tuple[Console, int]:
    """The console over a window of motors that is open now."""
    fields = WindowFields("motor", "Launch", 2.0, NOW - HOUR, NOW + HOUR, None, None, None)
    with console.pool.connection() as connection:
        made = create_window(connection, SITE, fields, person_id=console.house.planner.person_id, now=NOW)
    return console, made.id


def test_the_list_tells_each_window_at_the_clock_of_its_site_and_whether_it_is_open(opened):
    console, key = opened
    fields = WindowFields(None, "Night shift", 1.5, None, None, [5], 22 * 3600, 6 * 3600)
    with console.pool.connection() as connection:
        create_window(connection, SITE, fields, person_id=None, now=NOW)
    with console.reader(console.house.near) as browser:
        page = browser.get("/windows").text
    for told in ("Launch", "2026-03-02 09:00", "× 2", "open now", "Friday", "22:00–06:00", "of the next day", "Motor"):
        assert told in page, told
    assert "not open now" in page
    assert f'href="/windows/{key}"' in page
    assert "New window" not in page
    with console.reader(console.house.requester) as browser:
        assert browser.get("/windows").status_code == 403


def test_a_planner_adds_a_weekly_window_and_one_that_is_once_by_the_clock_of_the_site(console):
    """SPEC S1, S3: 08:00 in Shanghai is midnight UTC."""
    with console.reader(console.house.planner) as browser:
        for told in (WEEKLY, ONCE, {**WEEKLY, "name": "Evening", "starts": "18:00", "ends": "00:00"}):
            answer = browser.post("/windows/new", data=told)
            assert answer.status_code == 303, answer.text
    weekly, once, evening = windows(console)
    assert (weekly.weekdays, weekly.starts_s, weekly.ends_s, weekly.starts_at) == ([5, 6], 79_200, 21_600, None)
    assert (once.starts_at, once.weekdays) == (datetime(2026, 3, 2, tzinfo=UTC), None)
    assert (evening.starts_s, evening.ends_s) == (64_800, 86_400)


def test_what_is_refused_stays_in_the_form(console):
    wrong = (
        {"factor": "99"},
        {"starts": ""},
        {"weekdays": []},
        {"starts": "06:00"},
        {"when": "once"},
        {"site": "plant-9"},
        {"asset_type": "gremlin"},
        {"name": ""},
    )
    for change in wrong:
        with console.reader(console.house.planner) as browser:
            refused = browser.post("/windows/new", data={**WEEKLY, **change})
        assert refused.status_code in (404, 422), change
        assert 'id="refusal"' in refused.text
        assert f'value="{change.get("factor", "1.5")}"' in refused.text
        if "weekdays" not in change:
            assert 'name="weekdays" value="6" checked' in refused.text
    assert windows(console) == []


def test_a_window_is_changed_and_ended_once_for_each_version_that_was_read(opened):
    console, key = opened
    told = {**WEEKLY, "version": "1"}
    with console.reader(console.house.planner) as browser:
        page = browser.get(f"/windows/{key}").text
        assert 'value="2026-03-02T09:00"' in page
        assert browser.post(f"/windows/{key}", data=told).status_code == 303
        stale = browser.post(f"/windows/{key}", data={**told, "name": "Other"})
        assert stale.status_code == 409
        assert 'value="Other"' in stale.text
        assert browser.post(f"/windows/{key}/end", data={"version": "1"}).status_code == 409
        assert [(one.name, one.starts_s, one.version) for one in windows(console)] == [("Night shift", 79_200, 2)]
        assert browser.post(f"/windows/{key}/end", data={"version": "2"}).status_code == 303
    assert windows(console) == []


def test_engineers_change_no_window_and_other_sites_see_none(opened):
    console, key = opened
    with console.pool.connection() as connection:
        stranger = a_planner_elsewhere(connection)
    posts = (
        ("/windows/new", WEEKLY),
        (f"/windows/{key}", {**WEEKLY, "version": "1"}),
        (f"/windows/{key}/end", {"version": "1"}),
    )
    for actor, status in ((console.house.near, 403), (console.house.supervisor, 403), (stranger, 404)):
        with console.reader(actor) as browser:
            for address, told in posts:
                assert browser.post(address, data=told).status_code == status, address
    with console.reader(console.house.near) as browser:
        assert browser.get("/windows/new").headers["location"] == "/windows"
        assert 'name="version"' not in browser.get(f"/windows/{key}").text
    with console.reader(stranger) as browser:
        assert browser.get(f"/windows/{key}").status_code == 404
        assert "Launch" not in browser.get("/windows").text
    assert [(one.name, one.version) for one in windows(console)] == [("Launch", 1)]


def test_a_frozen_site_is_told_with_the_p0_that_hold_it(console):
    """SPEC S6: more than three open P0 freeze P3 and P4."""
    with console.reader(console.house.near) as browser:
        assert "freezes above 3" in browser.get("/windows").text
        assert "frozen from" not in browser.get("/windows").text
    with console.pool.connection() as connection:
        codes = [a_report(connection, console.house, title=f"Motor {number}") for number in range(4)]
        for code in codes:
            stop = {"level": "P0", "reason": "line stands"}
            command(connection, code, "override_priority", console.house.supervisor, stop)
    with console.reader(console.house.near) as browser:
        page = browser.get("/windows").text
    assert "frozen from P3 on" in page
    for code in codes:
        assert f'href="/tickets/{code}"' in page


def test_a_month_is_compared_with_the_control_policy(console):
    """SPEC S7: the tickets that both policies scored, level by level."""
    with console.pool.connection() as connection:
        code = a_device_ticket(connection, console.house)
        connection.execute(
            "insert into priority_control select id, policy_id, opened_at, priority, 1, 4, 1, '{}' from ticket"
            " where code = %s on conflict (ticket_id) do update set control_level = 4",
            (code,),
        )
        (level,) = connection.execute("select level from priority_control").fetchone() or ()
    assert level != 4
    with console.reader(console.house.near) as browser:
        page = browser.get("/priority-control?month=2026-03").text
        assert browser.get("/priority-control").status_code == 200
        assert "No ticket of this month" in browser.get("/priority-control?month=2026-01").text
        assert browser.get("/priority-control?month=2026-13").status_code == 422
    assert 'href="/priority-control?month=2026-02"' in page
    assert 'href="/priority-control?month=2026-04"' in page
    assert f"P{level} " in page
    assert "P4 low" in page


def a_notice(console: Console, code: str, channel: str, text: str) -> None:
    with console.pool.connection() as connection:
        (outbox_id,) = connection.execute(
            "select id from outbox where ticket_id = (select id from ticket where code = %s) limit 1", (code,)
        ).fetchone() or (None,)
        connection.execute(
            "insert into recorded_notice (outbox_id, channel, person_id, text, at) values (%s, %s, %s, %s, %s)",
            (outbox_id, channel, console.house.near.person_id, text, NOW),
        )


def test_recorded_notices_are_listed_by_channel_for_who_leads_at_the_site(console):
    """SPEC N2: phone and text message are recorded, not sent."""
    with console.pool.connection() as connection:
        code = a_report(connection, console.house)
        stranger = a_planner_elsewhere(connection)
    a_notice(console, code, "phone", "Motor howls: nobody has accepted it")
    a_notice(console, code, "sms", "Motor howls:\nstill nobody")
    with console.reader(console.house.supervisor) as browser:
        page = browser.get("/notices").text
        for told in ("Phone call", "nobody has accepted it", "still nobody", f'href="/tickets/{code}"', "Near"):
            assert told in page, told
        only = browser.get("/notices?channel=sms").text
        assert "still nobody" in only
        assert "nobody has accepted it" not in only
        assert browser.get("/notices?channel=fax").status_code == 422
    with console.reader(stranger) as browser:
        assert "Motor howls" not in browser.get("/notices").text
    for actor in (console.house.near, console.house.requester):
        with console.reader(actor) as browser:
            assert browser.get("/notices").status_code == 403
