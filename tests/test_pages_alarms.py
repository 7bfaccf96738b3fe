"""Alarms in the console: what holds, what is known, what is set aside, and what a detector had seen (SPEC D1, D8)."""

from __future__ import annotations

import re
from datetime import timedelta

from storage.evidence_packs import freeze_next
from tests.console_builders import NOW, Console
from tests.operations_builders import HOSTILE, a_planner_elsewhere
from tests.ticket_builders import HOUR, a_finding


def an_alarm(console: Console) -> str:
    """Let a drift of the vibration be found an hour ago, and its evidence be frozen."""
    with console.pool.connection() as connection:
        finding_id = a_finding(connection, console.house, NOW - HOUR)
        connection.execute("insert into evidence_pack_due values (%s)", (finding_id,))
        while freeze_next(connection, NOW):
            pass
    return str(finding_id)


def test_an_alarm_is_listed_and_goes_from_active_to_known(console):
    finding_id = an_alarm(console)
    with console.reader(console.house.near) as browser:
        page = browser.get("/alarms").text
        assert f"/findings/{finding_id}" in page
        assert "Active" in page
        done = browser.post("/alarms/acknowledge", data={"finding": finding_id})
        assert (done.status_code, done.headers["location"]) == (303, "/alarms")
        page = browser.get("/alarms").text
        assert f"known to {console.house.near.name}" in page
        assert "I know" not in page
    with console.reader(console.house.near, "zh") as browser:
        assert "已知悉" in browser.get("/alarms").text


def test_a_finding_shows_what_its_detector_had_seen(console):
    finding_id = an_alarm(console)
    with console.reader(console.house.planner) as browser:
        page = browser.get(f"/findings/{finding_id}").text
    for told in ("slow drift", "drift-m-1", "version 1", "What it had seen", "ws-chart"):
        assert told in page
    assert re.search(rf'frozen="/api/v1/findings/{finding_id}/packs/\d+"', page)


def test_a_supervisor_sets_a_metric_aside_and_ends_it_again(console):
    finding_id = an_alarm(console)
    with console.reader(console.house.supervisor) as browser:
        asked = {"scope": "metric", "span": "8h", "reason": HOSTILE}
        done = browser.post(f"/findings/{finding_id}/shelve", data=asked)
        assert done.status_code == 303
        page = browser.get("/alarms").text
        assert "Set aside" in page
        assert HOSTILE not in page, "what people type is text, never markup"
        (end,) = re.findall(r'action="(/shelvings/\d+/end)"', page)
        assert browser.post(end).status_code == 303
        page = browser.get("/alarms").text
        assert "Active" in page
        assert "/shelvings/" not in page


def test_setting_aside_needs_a_reason_and_the_page_says_so(console):
    finding_id = an_alarm(console)
    with console.reader(console.house.supervisor) as browser:
        refused = browser.post(f"/findings/{finding_id}/shelve", data={"scope": "asset", "span": "1h", "reason": " "})
    assert refused.status_code == 422
    assert 'role="alert"' in refused.text


def test_an_engineer_may_say_that_they_know_and_not_set_aside(console):
    finding_id = an_alarm(console)
    with console.reader(console.house.near) as browser:
        page = browser.get(f"/findings/{finding_id}").text
        assert "I know" in page
        assert "Set aside for a while" not in page
        asked = {"scope": "metric", "span": "8h", "reason": "tired of it"}
        assert browser.post(f"/findings/{finding_id}/shelve", data=asked).status_code == 403


def test_alarms_of_another_site_do_not_exist(console):
    finding_id = an_alarm(console)
    with console.pool.connection() as connection:
        elsewhere = a_planner_elsewhere(connection)
    with console.reader(elsewhere) as browser:
        assert finding_id not in browser.get("/alarms").text
        assert browser.get(f"/findings/{finding_id}").status_code == 404


def test_the_list_goes_on_after_a_page(console):
    with console.pool.connection() as connection:
        for number in range(60):
            a_finding(connection, console.house, NOW - HOUR - timedelta(minutes=number))
    with console.reader(console.house.planner) as browser:
        first = browser.get("/alarms").text
        (address,) = re.findall(r'href="(/alarms\?after=[^"]+)"', first)
        rest = browser.get(address).text
    found = [set(re.findall(r"/findings/([0-9a-f-]{36})", page)) for page in (first, rest)]
    assert (len(found[0]), len(found[1])) == (50, 10)
    assert not found[0] & found[1]
