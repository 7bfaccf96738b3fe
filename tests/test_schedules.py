"""Schedules in a real database: one open inspection, missed rounds told, two desks open one (SPEC T8)."""

from __future__ import annotations

import threading
from datetime import date, datetime

import psycopg
import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from domain.checklists import Task
from domain.refusals import Refused
from storage.database import open_pool
from storage.intaking.refusals import list_refusals
from storage.schedules import (
    MeterPlan,
    Schedule,
    Work,
    add_schedule,
    change_schedule,
    end_schedule,
    list_schedules,
    look_at_next_schedule,
)
from storage.tickets import list_tickets, ticket_detail
from tests.api_builders import readings
from tests.ticket_builders import DAY, HOUR, MINUTE, NOW, House, a_house, an_asset, carry, command
from ticketing.scheduling import CalendarPlan, Unit
from ticketing.ticket import State

WEEKLY = CalendarPlan(Unit.WEEK, 1, date(2026, 3, 2), 0)
GREASE = Task("Grease", "加脂", "g", 5.0, 20.0, opens_ticket=True, failure_mode="bearing_wear")
WORK = Work("Grease the bearings", "轴承加脂", "Both ends", None, (GREASE,))


def a_schedule(connection: Connection, house: House, plan: CalendarPlan | MeterPlan = WEEKLY, work: Work = WORK) -> int:
    return add_schedule(connection, house.asset_id, work, plan, person_id=house.planner.person_id, now=NOW)


def look(connection: Connection, now: datetime) -> str | None:
    """Look at every schedule that is due to be looked at; return the code of the ticket opened at this time."""
    while look_at_next_schedule(connection, now):
        pass
    newest = list_tickets(connection, limit=1).items
    return newest[0].code if newest and newest[0].opened_at == now else None


def the_schedule(connection: Connection) -> Schedule:
    return list_schedules(connection, sites=None, with_ended=True)[0]


def reads(connection: Connection, house: House, at: datetime, value: float) -> None:
    readings(connection, house.series_id, [(at, value)])


def close(connection: Connection, house: House, code: str, now: datetime) -> None:
    command(connection, code, "cancel", house.supervisor, {"reason": "Greased on the way"}, now=now)


def test_a_round_opens_an_inspection_with_its_checklist_and_its_day(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        schedule_id = a_schedule(connection, house)
        code = look(connection, NOW)
        assert code == "S000001"
        detail = ticket_detail(connection, code, actor=house.near, now=NOW)
        ticket = detail.ticket
        assert (ticket.kind, ticket.channel, ticket.schedule_id) == ("inspection", "schedule", schedule_id)
        assert (ticket.title_en, ticket.title_zh, ticket.due_on) == (
            "Grease the bearings",
            "轴承加脂",
            date(2026, 3, 2),
        )
        (task,) = detail.tasks
        assert (task.text_en, task.text_zh, task.unit, task.low_limit, task.high_limit) == (
            "Grease",
            "加脂",
            "g",
            5,
            20,
        )
        assert (task.opens_ticket, task.failure_mode) == (True, "bearing_wear")
        assert ticket.requester_name == "Requester"
        assert carry(connection, house, code, State.EXECUTING).ticket.state == "executing"


def test_a_schedule_is_looked_at_once_a_minute_and_a_round_is_opened_once(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        a_schedule(connection, a_house(connection))
        assert look(connection, NOW) == "S000001"
        assert not look_at_next_schedule(connection, NOW + MINUTE / 2)
        assert look_at_next_schedule(connection, NOW + MINUTE)
        assert look(connection, NOW + HOUR) is None


def test_rounds_while_the_last_one_is_open_are_counted_and_open_nothing(pool: ConnectionPool) -> None:
    """SPEC T8: one open inspection; after it is closed the next round comes on its own day."""
    with pool.connection() as connection:
        house = a_house(connection)
        a_schedule(connection, house)
        code = look(connection, NOW)
        assert code is not None
        for week in (1, 2, 3):
            assert look(connection, NOW + 7 * week * DAY) is None
        assert (the_schedule(connection).missed, the_schedule(connection).open_code) == (3, code)
        close(connection, house, code, NOW + 22 * DAY)
        assert look(connection, NOW + 22 * DAY) is None
        assert look(connection, NOW + 28 * DAY) == "S000002"
        assert the_schedule(connection).missed == 3


def test_a_desk_that_was_away_for_twenty_rounds_opens_one(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        a_schedule(connection, house, CalendarPlan(Unit.DAY, 1, date(2026, 3, 3), 0))
        late = datetime.fromisoformat("2026-03-23T02:00:00+00:00")
        code = look(connection, late)
        assert code is not None
        assert ticket_detail(connection, code, actor=house.near, now=late).ticket.due_on == date(2026, 3, 23)
        assert the_schedule(connection).missed == 20
        assert connection.execute("select count(*) from ticket").fetchone() == (1,)


def test_the_day_is_the_sites_and_not_that_of_greenwich(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        a_schedule(connection, house, CalendarPlan(Unit.DAY, 1, date(2026, 3, 3), 0))
        assert look(connection, datetime.fromisoformat("2026-03-02T15:59:59+00:00")) is None
        assert look(connection, datetime.fromisoformat("2026-03-02T16:01:00+00:00")) == "S000001"


def test_a_holiday_moves_a_round_and_the_lead_is_counted_from_the_moved_day(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        connection.execute("insert into calendar_day values ('weekdays', '2026-03-05', false, 'Holiday')")
        a_schedule(connection, house, CalendarPlan(Unit.MONTH, 1, date(2026, 3, 5), 2))
        assert look(connection, NOW + DAY) is None
        code = look(connection, NOW + 2 * DAY)
        assert code is not None
        assert ticket_detail(connection, code, actor=house.near, now=NOW).ticket.due_on == date(2026, 3, 6)


def test_a_meter_opens_at_its_round_numbers_and_carries_the_rest_over(pool: ConnectionPool) -> None:
    """Every reading over the limit opens nothing more, and readings every minute are as good as one a week."""
    with pool.connection() as connection:
        house = a_house(connection)
        a_schedule(connection, house, MeterPlan(house.series_id, 500.0, counted=100.0))
        reads(connection, house, NOW - DAY, 8_000.0)
        assert look(connection, NOW) is None
        for minute in range(1, 60):
            reads(connection, house, NOW + minute * MINUTE, 8_000.0 + minute)
        assert look(connection, NOW + HOUR) is None
        assert the_schedule(connection).counted == pytest.approx(159.0)
        reads(connection, house, NOW + 2 * HOUR, 9_140.0)
        code = look(connection, NOW + 2 * HOUR)
        assert code is not None
        for minute in (1, 2, 3):
            reads(connection, house, NOW + 2 * HOUR + minute * MINUTE, 9_140.0 + minute)
            assert look(connection, NOW + 2 * HOUR + minute * MINUTE) is None
        found = the_schedule(connection)
        assert (found.counted, found.missed) == (pytest.approx(243.0), 1)
        close(connection, house, code, NOW + 3 * HOUR)
        reads(connection, house, NOW + 4 * HOUR, 9_399.0)
        assert look(connection, NOW + 4 * HOUR) is None
        reads(connection, house, NOW + 5 * HOUR, 9_400.5)
        assert look(connection, NOW + 5 * HOUR) == "S000002"
        assert the_schedule(connection).counted == pytest.approx(0.5)


def test_eight_desks_that_look_at_once_open_one_inspection_and_none_of_them_fails(database: str) -> None:
    """Fails when a schedule is read without being claimed: the index lets one through, and the others break on it."""
    looked: list[bool] = []
    with open_pool(database, size=8) as pool:
        with pool.connection() as connection:
            a_schedule(connection, a_house(connection))
        barrier = threading.Barrier(8)

        def desk() -> None:
            with pool.connection() as connection:
                barrier.wait()
                looked.append(look_at_next_schedule(connection, NOW))

        threads = [threading.Thread(target=desk) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(looked) == [False] * 7 + [True]
        with pool.connection() as connection:
            assert connection.execute("select count(*) from ticket").fetchone() == (1,)


def test_the_database_itself_keeps_one_open_inspection_of_a_schedule(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        a_schedule(connection, house)
        first = look(connection, NOW)
        assert first is not None
        close(connection, house, first, NOW)
        assert look(connection, NOW + 7 * DAY) == "S000002"
        with pytest.raises(psycopg.errors.UniqueViolation), connection.transaction():
            connection.execute(
                "update ticket set state = 'new', outcome = null, closed_at = null where code = %s", (first,)
            )


def test_a_scheduled_ticket_that_is_refused_is_kept_and_tried_again(pool: ConnectionPool) -> None:
    """SPEC Q3: the round is not lost, nor what the meter counted."""
    with pool.connection() as connection:
        house = a_house(connection)
        a_schedule(connection, house, MeterPlan(house.series_id, 10.0))
        reads(connection, house, NOW - DAY, 0.0)
        assert look(connection, NOW - 2 * MINUTE) is None
        reads(connection, house, NOW - HOUR, 25.0)
        connection.execute("select setval('tracking_code_s', 999999)")
        assert look(connection, NOW) is None
        assert look(connection, NOW + 2 * MINUTE) is None
        kept = list_refusals(connection, sites=None)
        assert [(one.reason, one.times, one.channel, one.site_id) for one in kept] == [
            ("codes_exhausted", 2, "schedule", "plant-1")
        ]
        assert (the_schedule(connection).counted, the_schedule(connection).missed) == (25.0, 0)
        connection.execute("select setval('tracking_code_s', 1, false)")
        assert look(connection, NOW + 4 * MINUTE) == "S000001"
        assert (the_schedule(connection).counted, the_schedule(connection).missed) == (5.0, 1)


def test_an_asset_out_of_service_and_an_ended_schedule_open_nothing(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        schedule_id = a_schedule(connection, house)
        connection.execute("update asset set status = 'decommissioned'")
        assert look(connection, NOW) is None
        connection.execute("update asset set status = 'in_service'")
        end_schedule(connection, schedule_id, NOW)
        assert look(connection, NOW + DAY) is None
        assert list_schedules(connection, sites=None) == []
        with pytest.raises(Refused) as caught:
            end_schedule(connection, schedule_id, NOW)
        assert caught.value.name == "stale_record"


def test_a_changed_schedule_does_the_new_work_next_time(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        a_schedule(connection, house)
        before = the_schedule(connection)
        work = Work("Check the belt", "检查皮带", "", None, ())
        change_schedule(connection, before, work, version=before.version)
        with pytest.raises(Refused) as caught:
            change_schedule(connection, before, WORK, version=before.version)
        assert caught.value.name == "stale_record"
        code = look(connection, NOW)
        assert code is not None
        detail = ticket_detail(connection, code, actor=house.near, now=NOW)
        assert (detail.ticket.title_zh, detail.tasks) == ("检查皮带", [])


def test_a_round_comes_though_the_asset_is_of_another_type_by_now(pool: ConnectionPool) -> None:
    """What a check's failure was a sign of does not hold the round back when the type has no such mode."""
    with pool.connection() as connection:
        house = a_house(connection)
        a_schedule(connection, house)
        connection.execute("insert into asset_type values ('pump', 'Pump', '泵')")
        connection.execute("update asset set asset_type_id = 'pump' where id = %s", (house.asset_id,))
        code = look(connection, NOW)
        assert code is not None
        (task,) = ticket_detail(connection, code, actor=house.near, now=NOW).tasks
        assert (task.opens_ticket, task.failure_mode) == (True, None)


def test_a_meter_or_a_team_of_somebody_else_is_refused(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        _, foreign, _ = an_asset(connection, "M-2", None, NOW)
        wrong: list[tuple[CalendarPlan | MeterPlan, Work]] = [
            (MeterPlan(foreign, 10.0), WORK),
            (WEEKLY, Work("Check", "检查", "", 999_999, ())),
            (WEEKLY, Work("Check", "检查", "", None, (Task("Read", "读数", "mm", 2.0, 1.0),))),
            (WEEKLY, Work("Check", "检查", "", None, (Task("Read", "读数", None, 2.0, None),))),
        ]
        for plan, work in wrong:
            with pytest.raises(Refused) as caught:
                a_schedule(connection, house, plan, work)
            assert caught.value.name == "invalid_request"
