"""Calendars that change under running clocks, on the real database: holidays, hours, zones, owners (SPEC S3)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from psycopg import Connection
from psycopg.errors import LockNotAvailable
from psycopg_pool import ConnectionPool

from domain.official_days import check_place, known_places, official_days, official_until
from domain.refusals import Refused
from domain.working_time import Segment
from runtime.jobs import PERIODIC
from runtime.rounds import replan_round
from runtime.timekeeping import keep_time
from storage.calendar_book import (
    CalendarWanted,
    add_calendar,
    calendar_row,
    change_calendar,
    enter_day,
    fill_official_days,
    remove_day,
    set_calendar_of_person,
    special_days,
    wanted_with,
)
from storage.calendars import read_calendar
from storage.casework import create_report, replan
from storage.eta import learn_expectations
from storage.policies import DEFAULT_POLICY, publish_policy, shipped_body
from storage.sweeping import notice_overdue
from storage.ticket_views import TicketDetail
from storage.tickets import ticket_detail
from tests.api_builders import TestClock
from tests.ticket_builders import (
    DAY,
    HOUR,
    NOW,
    House,
    a_device_ticket,
    a_house,
    a_report,
    carry,
    command,
    finish_work,
    resolve,
)
from ticketing.ticket import State

HOUR_S = 3600
WEEK = (((Segment(8 * HOUR_S, 16 * HOUR_S)),),) * 7


@pytest.fixture
def connection(pool: ConnectionPool) -> Iterator[Connection]:
    with pool.connection() as opened:
        yield opened


@pytest.fixture
def house(connection: Connection) -> House:
    return a_house(connection)


def seen(connection: Connection, house: House, code: str, now: datetime = NOW) -> TicketDetail:
    return ticket_detail(connection, code, actor=house.supervisor, now=now)


def due(connection: Connection, house: House, code: str, clock: str = "resolve") -> datetime:
    return next(each.due_at for each in seen(connection, house, code).clocks if each.clock == clock)


def events(connection: Connection, house: House, code: str, name: str = "replan") -> list[dict[str, object]]:
    return [event.facts for event in seen(connection, house, code).timeline if event.command == name]


def closed_on(connection: Connection, day: date, *, working: bool = False, now: datetime = NOW) -> None:
    row = calendar_row(connection, "weekdays", hold=True)
    assert row is not None
    enter_day(connection, row, day, working=working, name="Works meeting", now=now)


def changed(connection: Connection, now: datetime = NOW, **changes: object) -> None:
    row = calendar_row(connection, "weekdays", hold=True)
    assert row is not None
    change_calendar(connection, row, wanted_with(connection, row, changes), now)


def test_a_day_that_is_closed_later_moves_the_due_date_and_keeps_the_time_used(
    connection: Connection, house: House
) -> None:
    """SPEC S3: Monday 10:00 to 12:00 was worked; Tuesday is closed on Monday noon."""
    code = a_report(connection, house)
    before = due(connection, house, code)
    noon = NOW + 2 * HOUR
    closed_on(connection, date(2026, 3, 3), now=noon)
    assert replan(connection, code, noon)
    after = due(connection, house, code)
    calendar = read_calendar(connection, "weekdays")
    # Of 40 h two are used; the closed Tuesday counts as nothing.
    assert calendar.worked(noon, after) == 38 * HOUR_S
    assert after > before
    detail = seen(connection, house, code)
    assert detail.ticket.due_at == after
    (told,) = events(connection, house, code)
    assert told["resolve_due_at"] == after.isoformat()
    assert told["before"]["resolve_due_at"] == before.isoformat()  # type: ignore[index]
    assert detail.timeline_is_whole


def test_replanning_keeps_the_version_that_a_person_has_before_them(connection: Connection, house: House) -> None:
    code = a_report(connection, house)
    version = seen(connection, house, code).ticket.version
    closed_on(connection, date(2026, 3, 3))
    detail = command(
        connection, code, "dispatch", house.supervisor, {"assignee_id": house.near.person_id}, version=version
    )
    assert detail.ticket.state == "dispatched"
    assert [event.command for event in detail.timeline] == ["open", "replan", "dispatch"]


def test_replanning_twice_moves_nothing_twice(connection: Connection, house: House) -> None:
    code = a_report(connection, house)
    closed_on(connection, date(2026, 3, 3))
    assert replan(connection, code, NOW)
    after = due(connection, house, code)
    assert not replan(connection, code, NOW + HOUR)
    assert (due(connection, house, code), len(events(connection, house, code))) == (after, 1)


def test_changes_that_follow_each_other_are_read_off_with_the_version_they_were_planned_on(
    connection: Connection, house: House
) -> None:
    """Two hours on the first version, one on the second: three are used whenever it is followed up."""
    code = a_report(connection, house)
    target_s = next(each.target_s for each in seen(connection, house, code).clocks if each.clock == "resolve")
    changed(connection, NOW + 2 * HOUR, week=(((Segment(0, 24 * HOUR_S)),),) * 7)
    changed(connection, NOW + 3 * HOUR, week=WEEK, time_zone="UTC")
    assert replan(connection, code, NOW + 30 * HOUR)
    calendar = read_calendar(connection, "weekdays")
    assert calendar.worked(NOW + 3 * HOUR, due(connection, house, code)) == target_s - 3 * HOUR_S


def test_it_matters_not_when_a_change_is_followed_up(connection: Connection, house: House) -> None:
    """A desk that was down for two days comes to the same due date as one that was there."""
    at_once, late = a_report(connection, house), a_report(connection, house)
    closed_on(connection, date(2026, 3, 3), now=NOW + HOUR)
    assert replan(connection, at_once, NOW + HOUR)
    assert replan(connection, late, NOW + 2 * DAY)
    assert due(connection, house, at_once) == due(connection, house, late)


def test_a_hold_keeps_what_it_gave_when_the_calendar_changes_meanwhile(connection: Connection, house: House) -> None:
    """Trap found in a peer: the pause was lost when the agreement changed."""
    code = a_report(connection, house)
    carry(connection, house, code, State.ACCEPTED)
    review = (NOW + 2 * DAY).isoformat()
    command(connection, code, "hold", house.near, {"reason": "parts", "review_at": review}, now=NOW + HOUR)
    changed(connection, NOW + DAY, week=WEEK, time_zone="UTC")
    resumed = command(connection, code, "resume", house.near, now=NOW + 7 * DAY)
    resolve = next(each for each in resumed.clocks if each.clock == "resolve")
    calendar = read_calendar(connection, "weekdays")
    assert calendar.worked(NOW + 7 * DAY, resolve.due_at) == resolve.target_s - HOUR_S
    assert len(events(connection, house, code)) == 1


def test_a_clock_that_a_new_holiday_saves_is_not_told_as_overdue(connection: Connection, house: House) -> None:
    code = a_report(connection, house)
    closed_on(connection, NOW.date())
    late = due(connection, house, code, "accept") + timedelta(minutes=1)
    assert not notice_overdue(connection, code, "accept", late)
    assert events(connection, house, code, "overdue") == []


def test_a_clock_that_was_told_as_overdue_and_is_given_time_is_told_again_when_that_is_over(
    connection: Connection, house: House
) -> None:
    code = a_report(connection, house)
    late = due(connection, house, code, "accept") + timedelta(minutes=1)
    assert notice_overdue(connection, code, "accept", late)
    # The plant was evacuated at 11:00; it is entered when everybody is back.
    closed_on(connection, NOW.date(), now=NOW + HOUR)
    assert replan(connection, code, late)
    again = due(connection, house, code, "accept")
    assert again > late
    assert not notice_overdue(connection, code, "accept", again)
    assert notice_overdue(connection, code, "accept", again + timedelta(minutes=1))


def test_a_resolution_that_is_disputed_after_a_change_runs_on_the_calendar_of_today(
    connection: Connection, house: House
) -> None:
    """Its clock stood when the calendar changed; it goes on with the time it had used on the calendar before."""
    code = a_report(connection, house)
    carry(connection, house, code, State.EXECUTING)
    finish_work(connection, house, code)
    resolve(connection, house, code, now=NOW + HOUR)
    closed_on(connection, date(2026, 3, 3))
    facts = {"cause": "still howls"}
    command(connection, code, "dispute", house.supervisor, facts, now=NOW + 2 * HOUR)
    assert replan(connection, code, NOW + 2 * HOUR)
    resolve_clock = next(each for each in seen(connection, house, code).clocks if each.clock == "resolve")
    left_s = read_calendar(connection, "weekdays").worked(NOW + 2 * HOUR, resolve_clock.due_at)
    assert left_s == resolve_clock.target_s - 2 * HOUR_S


def test_round_the_clock_no_calendar_moves_anything(connection: Connection, house: House) -> None:
    code = create_report(
        connection,
        asset_id=house.asset_id,
        title="Line stands",
        description="",
        reporter=house.requester,
        now=NOW,
        line_stopped=True,
    )
    before = seen(connection, house, code).clocks
    closed_on(connection, NOW.date())
    assert not replan(connection, code, NOW + HOUR)
    assert [each.due_at for each in seen(connection, house, code).clocks] == [each.due_at for each in before]


def test_the_desk_brings_every_open_ticket_up_to_date(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        codes = [a_report(connection, house, title=f"Report {number}") for number in range(3)]
        closed_on(connection, date(2026, 3, 3))
    assert replan_round(pool, NOW) == 3
    assert replan_round(pool, NOW) == 0
    with pool.connection() as connection:
        assert [len(events(connection, house, code)) for code in codes] == [1, 1, 1]


def test_a_site_that_takes_another_calendar_takes_its_open_tickets_along(connection: Connection, house: House) -> None:
    code = a_report(connection, house)
    add_calendar(connection, "berlin", CalendarWanted("Berlin", "Europe/Berlin", WEEK), NOW)
    connection.execute("update site set calendar_id = 'berlin'")
    assert replan(connection, code, NOW + 2 * HOUR)
    detail = seen(connection, house, code)
    assert detail.ticket.calendar_id == "berlin"
    left_s = read_calendar(connection, "berlin").worked(NOW + 2 * HOUR, due(connection, house, code))
    assert left_s == 38 * HOUR_S


def requesters_zone(connection: Connection, house: House) -> None:
    body = shipped_body(DEFAULT_POLICY)
    body["sla_calendar"] = {"follows": "requester"}
    publish_policy(connection, body, person_id=None, now=NOW)
    add_calendar(connection, "lisbon", CalendarWanted("Lisbon", "Europe/Lisbon", WEEK), NOW)
    assert house.requester.person_id is not None
    set_calendar_of_person(connection, house.requester.person_id, "lisbon")


def test_clocks_follow_the_requesters_calendar_where_the_policy_says_so(connection: Connection, house: House) -> None:
    """SPEC S3: the customer's day has not begun at 02:00 UTC; the two hours to accept end at 10:00 in Lisbon."""
    requesters_zone(connection, house)
    code = a_report(connection, house)
    assert due(connection, house, code, "accept") == datetime(2026, 3, 2, 10, tzinfo=UTC)


def test_a_requester_without_a_calendar_has_the_sites(connection: Connection, house: House) -> None:
    requesters_zone(connection, house)
    assert house.requester.person_id is not None
    set_calendar_of_person(connection, house.requester.person_id, None)
    code = a_report(connection, house)
    assert due(connection, house, code, "accept") == NOW + 2 * HOUR


def test_by_the_default_policy_the_requesters_calendar_counts_for_nothing(connection: Connection, house: House) -> None:
    code = a_report(connection, house)
    add_calendar(connection, "lisbon", CalendarWanted("Lisbon", "Europe/Lisbon", WEEK), NOW)
    assert house.requester.person_id is not None
    set_calendar_of_person(connection, house.requester.person_id, "lisbon")
    assert not replan(connection, code, NOW)


def chinese(connection: Connection, now: datetime = NOW) -> None:
    changed(connection, now, country="CN")


def test_china_has_its_holidays_and_the_saturdays_worked_in_exchange(connection: Connection, house: House) -> None:
    """SPEC S3: the golden week of 2026, with 20 September and 10 October worked."""
    chinese(connection)
    days = {
        each.day: each.working for each in special_days(connection, "weekdays", date(2026, 9, 1), date(2026, 10, 31))
    }
    assert days[date(2026, 10, 7)] is False
    assert (days[date(2026, 9, 20)], days[date(2026, 10, 10)]) == (True, True)
    calendar = read_calendar(connection, "weekdays")
    saturday = datetime(2026, 10, 9, 16, tzinfo=UTC)  # midnight in Shanghai
    assert calendar.worked(saturday, saturday + DAY) == 8.5 * HOUR_S
    row = calendar_row(connection, "weekdays")
    assert row is not None
    assert row.official_until == date(2026, 12, 31)


def test_an_entered_day_counts_for_more_than_an_official_one_and_gives_way_when_removed(
    connection: Connection, house: House
) -> None:
    chinese(connection)
    holiday = date(2026, 10, 1)
    closed_on(connection, holiday, working=True)
    fill_official_days(connection, NOW)
    assert [each.working for each in special_days(connection, "weekdays", holiday, holiday)] == [True]
    row = calendar_row(connection, "weekdays", hold=True)
    assert row is not None
    assert remove_day(connection, row, holiday, NOW)
    assert [each.source for each in special_days(connection, "weekdays", holiday, holiday)] == ["official"]
    assert not remove_day(connection, row, holiday, NOW)


def test_filling_again_changes_nothing_and_a_new_year_adds_its_days(connection: Connection, house: House) -> None:
    chinese(connection)
    assert fill_official_days(connection, NOW) == 0
    row = calendar_row(connection, "weekdays")
    assert row is not None
    assert fill_official_days(connection, datetime(2027, 1, 1, tzinfo=UTC)) == 1
    later = calendar_row(connection, "weekdays")
    assert later is not None
    assert later.version == row.version + 1
    # 2027 has not been announced in China yet, and that is not hidden.
    assert later.official_until == date(2026, 12, 31)


def test_a_day_that_is_no_longer_official_goes(connection: Connection, house: House) -> None:
    chinese(connection)
    changed(connection, country="DE", subdivision="BY")
    days = {each.day for each in special_days(connection, "weekdays", date(2026, 1, 1), date(2027, 12, 31))}
    assert date(2026, 10, 7) not in days
    assert {date(2026, 10, 3), date(2026, 1, 6)} <= days
    changed(connection, country=None, subdivision=None)
    assert special_days(connection, "weekdays", date(2026, 1, 1), date(2027, 12, 31)) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"week": ((),) * 7},
        {"time_zone": "Middle/Earth"},
        {"country": "XX"},
        {"country": "DE", "subdivision": "ZZ"},
        {"subdivision": "BY"},
    ],
)
def test_a_calendar_that_could_not_work_is_refused(
    connection: Connection, house: House, changes: dict[str, object]
) -> None:
    """One with no working time would have due dates nowhere."""
    with pytest.raises(Refused) as refused:
        changed(connection, **changes)  # type: ignore[arg-type]
    assert refused.value.name == "invalid_calendar"


def test_a_wanted_calendar_may_last_until_midnight(connection: Connection) -> None:
    night = CalendarWanted("Night", "UTC", ((Segment(22 * HOUR_S, 24 * HOUR_S),),) * 7)
    add_calendar(connection, "night", night, NOW)
    assert read_calendar(connection, "night").week == night.week
    with pytest.raises(Refused, match="free"):
        add_calendar(connection, "night", replace(night, name="Again"), NOW)


def test_a_calendar_does_not_change_while_a_clock_is_planned_on_it(pool: ConnectionPool) -> None:
    """Else a clock would be saved as planned on a version that it never saw, and never be planned anew."""
    with pool.connection() as setting_up:
        house = a_house(setting_up)
    with pool.connection() as planning:
        code = a_report(planning, house)
        with pool.connection() as changing:
            changing.execute("set local lock_timeout = '200ms'")
            with pytest.raises(LockNotAvailable):
                closed_on(changing, date(2026, 3, 3))
            changing.rollback()
    with pool.connection() as later:
        closed_on(later, date(2026, 3, 3))
        assert replan(later, code, NOW)


def test_commands_and_changes_at_once_leave_no_clock_on_an_old_calendar(pool: ConnectionPool) -> None:
    """Two who change the calendar, three who report faults: in the end every clock is planned on what is true."""
    with pool.connection() as connection:
        house = a_house(connection)
    first = date(2026, 3, 9)

    def report(number: int) -> None:
        with pool.connection() as connection:
            a_report(connection, house, title=f"Report {number}")

    def close_a_day(number: int) -> None:
        with pool.connection() as connection:
            closed_on(connection, first + timedelta(days=number))

    with ThreadPoolExecutor(5) as workers:
        for done in [workers.submit(report if n % 5 < 3 else close_a_day, n) for n in range(40)]:
            done.result()
    while replan_round(pool, NOW):
        continue
    with pool.connection() as connection:
        calendar = read_calendar(connection, "weekdays")
        clocks = connection.execute(
            "select started_at, target_s, due_at, calendar_version from ticket_clock"
        ).fetchall()
        row = calendar_row(connection, "weekdays")
    assert row is not None
    assert (row.version, len(clocks)) == (17, 96)
    assert {version for *_, version in clocks} == {17}
    assert [due_at for started_at, target_s, due_at, _ in clocks if calendar.due(started_at, target_s) != due_at] == []


def test_the_predicted_failure_still_counts_when_it_is_the_earlier(connection: Connection, house: House) -> None:
    """SPEC S4: replanning moves the clock; the ticket is due when its machine will fail."""
    code = a_device_ticket(connection, house)
    before = seen(connection, house, code).ticket
    for day in range(3, 8):
        closed_on(connection, date(2026, 3, day))
    assert replan(connection, code, NOW)
    after = seen(connection, house, code).ticket
    assert after.failure_expected_at == before.failure_expected_at
    assert after.due_at == before.failure_expected_at
    assert due(connection, house, code) > after.due_at


def test_the_jobs_process_looks_for_holidays_and_learns_how_long_tickets_take(
    database: str, pool: ConnectionPool
) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        chinese(connection)
        code = a_report(connection, house)
        carry(connection, house, code, State.EXECUTING)
        finish_work(connection, house, code)
        resolve(connection, house, code)
        command(connection, code, "confirm", house.supervisor, {"satisfied": True})
        command(connection, code, "close", house.near)
    assert "timekeeping" in [name for name, _, _ in PERIODIC]
    keep_time(database, TestClock(datetime(2027, 1, 4, tzinfo=UTC)))
    with pool.connection() as connection:
        assert special_days(connection, "weekdays", date(2028, 1, 1), date(2028, 12, 31))
        assert connection.execute("select count(*) from resolution_estimate").fetchone() == (3,)


def test_a_requester_who_moves_takes_their_open_tickets_along(connection: Connection, house: House) -> None:
    requesters_zone(connection, house)
    code = a_report(connection, house)
    assert house.requester.person_id is not None
    set_calendar_of_person(connection, house.requester.person_id, None)
    assert replan(connection, code, NOW)
    # Nothing was worked in Lisbon before 08:00; in Shanghai it is 10:00.
    assert due(connection, house, code, "accept") == NOW + 2 * HOUR


def test_the_days_of_every_country_and_part_of_one_can_be_kept() -> None:
    asked = 0
    for country, parts in known_places().items():
        for part in (None, *parts):
            check_place(country, part)
            days = official_days(country, part, (2026, 2027))
            assert all(day.year in (2026, 2027) and name for day, (_, name) in days.items()), (country, part)
            assert official_until(country, part, 2027) <= date(2027, 12, 31)
            asked += 1
    assert asked > 500


def test_a_ticket_that_is_opened_again_begins_anew_on_the_calendar_of_today(
    connection: Connection, house: House
) -> None:
    """Trap: clocks of a reopened ticket that run from its first opening, or on the calendar of that time."""
    code = a_report(connection, house)
    carry(connection, house, code, State.EXECUTING)
    finish_work(connection, house, code)
    resolve(connection, house, code, now=NOW + HOUR)
    command(connection, code, "confirm", house.supervisor, {"satisfied": True}, now=NOW + HOUR)
    command(connection, code, "close", house.near, now=NOW + HOUR)
    learn_expectations(connection, NOW + DAY)
    closed_on(connection, date(2026, 3, 5), now=NOW + DAY)
    again = NOW + 2 * DAY  # Wednesday; Thursday is closed
    detail = command(connection, code, "reopen", house.supervisor, {"reason": "It howls again"}, now=again)
    calendar = read_calendar(connection, "weekdays")
    clocks = {clock.clock: clock for clock in detail.clocks}
    for name in ("accept", "resolve", "close"):
        assert clocks[name].due_at == calendar.due(again, clocks[name].target_s), name
    assert not replan(connection, code, again)
    assert detail.expected is not None
    assert detail.expected.low_at is not None
    assert detail.expected.low_at >= again


def test_another_priority_keeps_the_requesters_calendar_and_what_was_used_on_an_old_one(
    connection: Connection, house: House
) -> None:
    """SPEC S1 to S3 together: the calendar changes, then the level; and the clocks return from round the clock."""
    requesters_zone(connection, house)
    code = a_report(connection, house)
    row = calendar_row(connection, "lisbon", hold=True)
    assert row is not None
    ten_in_lisbon = datetime(2026, 3, 2, 10, tzinfo=UTC)
    enter_day(connection, row, date(2026, 3, 3), working=False, name="Entrudo", now=ten_in_lisbon)
    at = ten_in_lisbon + HOUR
    for level in ("P1", "P4"):
        facts = {"level": level, "reason": "The customer said so"}
        detail = command(connection, code, "override_priority", house.planner, facts, now=at)
    resolve_clock = next(clock for clock in detail.clocks if clock.clock == "resolve")
    calendar = read_calendar(connection, "lisbon")
    assert calendar.worked(at, resolve_clock.due_at) == resolve_clock.target_s - 3 * HOUR_S
    assert not replan(connection, code, at)
