"""Schedules in the console: when work comes round, and that planners alone add, change and end it (SPEC T8)."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from domain.checklists import Task
from storage.schedules import MeterPlan, Schedule, Work, add_schedule, list_schedules, look_at_next_schedule
from tests.console_builders import NOW, Console
from tests.operations_builders import a_planner_elsewhere
from tests.ticket_builders import DAY, command
from ticketing.scheduling import CalendarPlan, Unit

# The first Saturday after the house's Monday: the round moves to the next Monday.
SATURDAY = CalendarPlan(Unit.WEEK, 2, date(2026, 3, 7), 0)
WORK = Work("Grease", "加脂", "Both ends", None, (Task("Grease it", "加润滑脂", "g", 5.0, 20.0, True),))
NEW = {
    "title_en": "Oil change",
    "rhythm": "calendar",
    "every": "3",
    "unit": "month",
    "first_on": "2026-03-02",
    "lead_days": "5",
    "tasks:0:text_en": "Drain",
    "tasks:0:text_zh": "放油",
    "go": "save",
}


def a_schedule(console: Console, plan: CalendarPlan | MeterPlan = SATURDAY) -> int:
    with console.pool.connection() as connection:
        return add_schedule(
            connection, console.house.asset_id, WORK, plan, person_id=console.house.planner.person_id, now=NOW
        )


def the_schedules(console: Console) -> list[Schedule]:
    with console.pool.connection() as connection:
        return list_schedules(connection, sites=None, with_ended=True)


def look(console: Console, now: datetime = NOW) -> None:
    with console.pool.connection() as connection:
        while look_at_next_schedule(connection, now):
            pass


@pytest.fixture
def made(console: Console) -> tuple[Console, int]:
    """The console over a schedule every two weeks."""
    return console, a_schedule(console)


def test_the_list_tells_rhythm_next_working_day_and_the_last_ticket(made):
    console, _ = made
    due = a_schedule(console, CalendarPlan(Unit.DAY, 1, date(2026, 3, 2), 0))
    with console.pool.connection() as connection:
        connection.execute("update schedule set missed = 3 where id = %s", (due,))
    look(console)
    with console.reader(console.house.near) as browser:
        page = browser.get("/schedules").text
    for told in ("every 2 weeks", "2026-03-09", "waits for its day", "every day", "S000001", "under way", "M-1"):
        assert told in page, told
    assert "New schedule" not in page
    with console.reader(console.house.requester) as browser:
        assert browser.get("/schedules").status_code == 403


def test_the_last_ticket_is_the_newest_one_open_or_closed(made):
    console, other = made
    daily = a_schedule(console, CalendarPlan(Unit.DAY, 1, date(2026, 3, 2), 0))
    for number, day in enumerate((NOW, NOW + DAY), start=1):
        look(console, day)
        with console.pool.connection() as connection:
            told = {"reason": "Greased on the way"}
            command(connection, f"S00000{number}", "cancel", console.house.supervisor, told, now=day)
    with console.reader(console.house.near) as browser:
        page, beside = browser.get(f"/schedules/{daily}").text, browser.get(f"/schedules/{other}").text
    assert "S000002" in page
    assert "Cancelled" in page
    assert "S000001" not in page
    assert "Last ticket" not in beside, "it has opened none yet"


def test_one_schedule_tells_what_is_to_be_done_in_the_readers_language(made):
    console, schedule_id = made
    for language, told in (
        ("en", ("Grease it", "5 to 20 g", "a failure opens a ticket")),
        ("zh", ("加润滑脂", "每 2 周", "定期计划")),
    ):
        with console.reader(console.house.near, language) as browser:
            page = browser.get(f"/schedules/{schedule_id}").text
        for one in told:
            assert one in page, one
        assert "Switch it off for good" not in page
        assert 'name="version"' not in page, "engineers change nothing here"


def test_a_meter_tells_how_much_is_left(console):
    made = a_schedule(console, MeterPlan(console.house.series_id, 500.0, 120.0))
    with console.reader(console.house.near) as browser:
        listed, page = browser.get("/schedules").text, browser.get(f"/schedules/{made}").text
    assert "every 500 mm/s of a meter" in listed
    assert "in 380 mm/s" in listed
    assert "vibration_mm_s" in page


def test_a_planner_adds_one_by_the_calendar(console):
    with console.reader(console.house.planner) as browser:
        assert 'name="tag"' in browser.get("/schedules/new").text
        assert browser.get("/schedules/new", params={"tag": "M-9"}).status_code == 404
        assert "Main motor" in browser.get("/schedules/new", params={"tag": "M-1"}).text
        made = browser.post("/schedules/new", data={**NEW, "asset_id": console.house.asset_id})
        assert made.status_code == 303, made.text
        page = browser.get(made.headers["location"]).text
    (one,) = the_schedules(console)
    assert (one.unit, one.every, one.first_on, one.lead_days) == ("month", 3, date(2026, 3, 2), 5)
    assert [(task["text_en"], task["text_zh"]) for task in one.checklist] == [("Drain", "放油")]
    assert "every 3 months" in page
    assert "5 days before" in page


def test_a_planner_adds_one_by_a_meter(console):
    meter = {"rhythm": "meter", "series_id": str(console.house.series_id), "every_amount": "500", "counted": "20"}
    with console.reader(console.house.planner) as browser:
        made = browser.post("/schedules/new", data={**NEW, **meter, "asset_id": console.house.asset_id})
        assert made.status_code == 303, made.text
    (one,) = the_schedules(console)
    assert (one.series_id, one.every_amount, one.counted, one.unit) == (console.house.series_id, 500.0, 20.0, None)


def test_what_is_refused_stays_in_the_form(console):
    for change in ({"first_on": "soon"}, {"every": "0"}, {"title_en": ""}, {"rhythm": "meter", "series_id": "999999"}):
        told = {**NEW, **change, "description": "Mind the filter", "every_amount": "5"}
        with console.reader(console.house.planner) as browser:
            refused = browser.post("/schedules/new", data={**told, "asset_id": console.house.asset_id})
        assert refused.status_code == 422, change
        assert 'id="refusal"' in refused.text
        for kept in ("Mind the filter", 'value="Drain"', 'value="放油"'):
            assert kept in refused.text, kept
    assert the_schedules(console) == []


def test_more_lines_are_shown_and_nothing_is_saved(made):
    console, schedule_id = made
    lines = {f"tasks:{number}:text_en": f"Check {number}" for number in range(4)}
    with console.reader(console.house.planner) as browser:
        for address in ("/schedules/new", f"/schedules/{schedule_id}/work"):
            told = {"asset_id": console.house.asset_id, "version": "1", "go": "what", **lines}
            page = browser.post(address, data=told)
            assert page.status_code == 200
            assert page.text.count(':text_en"') == 7
            assert 'value="Check 3"' in page.text
    (one,) = the_schedules(console)
    assert one.version == 1


def test_a_checklist_of_a_hundred_whole_lines_fits_and_one_more_is_refused_with_nothing_lost(made):
    console, schedule_id = made

    def lines(count: int) -> dict[str, str]:
        columns = {"text_en": "Check", "text_zh": "检查", "unit": "g", "low_limit": "1", "high_limit": "2"}
        columns |= {"opens_ticket": "yes", "failure_mode": "bearing_wear"}
        return {f"tasks:{one}:{name}": value for one in range(count) for name, value in columns.items()}

    told = {"title_en": "Long", "version": "1", "go": "save"}
    with console.reader(console.house.planner) as browser:
        refused = browser.post(f"/schedules/{schedule_id}/work", data={**told, **lines(101)})
        assert refused.status_code == 422
        assert refused.text.count(':text_zh"') == 101
        assert browser.post(f"/schedules/{schedule_id}/work", data={**told, **lines(100)}).status_code == 303
        page = browser.get(f"/schedules/{schedule_id}").text
        assert page.count(':text_zh"') == 100
        assert page.count("a failure opens a ticket: Bearing wear") == 100
        assert page.count('<option value="bearing_wear" selected>') == 100
        strange = {**told, "version": "2", **lines(1), "tasks:0:failure_mode": "rust"}
        assert browser.post(f"/schedules/{schedule_id}/work", data=strange).status_code == 422
    assert len(the_schedules(console)[0].checklist) == 100


def test_what_is_to_be_done_is_changed_once_for_each_version_that_was_read(made):
    console, schedule_id = made
    told = {"title_en": "Grease well", "tasks:0:text_zh": "加足", "version": "1", "go": "save"}
    address = f"/schedules/{schedule_id}/work"
    with console.reader(console.house.planner) as browser:
        assert browser.post(address, data=told).status_code == 303
        stale = browser.post(address, data={**told, "title_en": "Grease better"})
        assert stale.status_code == 409
        assert 'value="Grease better"' in stale.text
    (one,) = the_schedules(console)
    assert (one.title_en, one.unit, one.every, one.version) == ("Grease well", "week", 2, 2)
    assert [(task["text_en"], task["text_zh"]) for task in one.checklist] == [("加足", "加足")]


def test_a_schedule_is_switched_off_once_and_its_open_ticket_stays(console):
    made = a_schedule(console, CalendarPlan(Unit.DAY, 1, date(2026, 3, 2), 0))
    look(console)
    with console.reader(console.house.planner) as browser:
        assert browser.post(f"/schedules/{made}/end").status_code == 303
        assert browser.post(f"/schedules/{made}/end").status_code == 409
        assert "Grease" not in browser.get("/schedules").text
        page = browser.get("/schedules?ended=1").text
        assert "switched off" in page
        assert browser.get("/tickets/S000001").status_code == 200
        assert "Switch it off for good" not in browser.get(f"/schedules/{made}").text


def test_a_page_holds_fifty_and_leads_to_the_older_ones(console):
    keys = [a_schedule(console) for _ in range(51)]
    address = f"/schedules?asset={console.house.asset_id}&before={keys[1]}"
    with console.reader(console.house.near) as browser:
        page = browser.get(f"/schedules?asset={console.house.asset_id}").text
        assert page.count('class="link"') == 50
        assert f'href="{address}"'.replace("&", "&amp;") in page
        assert f'href="/schedules/{keys[0]}"' in browser.get(address).text


def test_engineers_change_no_schedule_and_other_sites_see_none(made):
    console, schedule_id = made
    with console.pool.connection() as connection:
        stranger = a_planner_elsewhere(connection)
    posts = (
        ("/schedules/new", {**NEW, "asset_id": console.house.asset_id}),
        (f"/schedules/{schedule_id}/work", {"title_en": "Mine", "version": "1"}),
        (f"/schedules/{schedule_id}/end", {}),
    )
    for actor, status in ((console.house.near, 403), (console.house.supervisor, 403), (stranger, 404)):
        with console.reader(actor) as browser:
            for address, told in posts:
                assert browser.post(address, data=told).status_code == status, address
    with console.reader(console.house.near) as browser:
        assert browser.get("/schedules/new").headers["location"] == "/schedules"
    with console.reader(stranger) as browser:
        assert browser.get(f"/schedules/{schedule_id}").status_code == 404
        assert "Grease" not in browser.get("/schedules").text
    assert [(one.title_en, one.ended_at) for one in the_schedules(console)] == [("Grease", None)]
