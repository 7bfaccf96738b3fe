"""Checks of the checklist: results, readings with limits, and the ticket that a failure opens (SPEC T8)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import psycopg
import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from domain.checklists import Task
from domain.refusals import Refused
from storage.intake import open_ticket
from storage.library import columns_of
from storage.schedules import Work, add_schedule
from storage.ticket_views import TicketDetail
from storage.tickets import ticket_detail
from tests.detection_builders import a_mode
from tests.ticket_builders import NOW, House, a_device_ticket, a_house, a_report, carry, command
from ticketing.actors import SYSTEM
from ticketing.checks import Check, CheckResult, result_of
from ticketing.intake import Channel, IntakeRequest
from ticketing.scheduling import CalendarPlan, Unit
from ticketing.ticket import Kind, State

PLAIN = Check(1)
VIBRATION = Check(2, "mm/s", None, 4.5)
OIL = Check(3, "bar", 2.0, 4.0)


@pytest.mark.parametrize(
    ("check", "said", "reading", "remark", "result"),
    [
        (PLAIN, None, None, None, "ok"),
        (PLAIN, "ok", None, None, "ok"),
        (PLAIN, "failed", None, "Guard is missing", "failed"),
        (PLAIN, "not_applicable", None, "No guard on this type", "not_applicable"),
        (VIBRATION, None, 4.5, None, "ok"),
        (VIBRATION, None, -1e9, None, "ok"),
        (VIBRATION, None, 4.500001, None, "failed"),
        (VIBRATION, "ok", 7.1, None, "failed"),
        (VIBRATION, "failed", 1.0, None, "failed"),
        (OIL, None, 2.0, None, "ok"),
        (OIL, None, 1.9, None, "failed"),
        (OIL, "not_applicable", None, "Pump is drained", "not_applicable"),
        (Check(4, "A"), None, 12.0, None, "ok"),
    ],
)
def test_the_reading_decides_what_a_check_came_to(
    check: Check, said: str | None, reading: float | None, remark: str | None, result: str
) -> None:
    assert result_of(check, said, reading, remark) == CheckResult(result)


@pytest.mark.parametrize(
    ("check", "said", "reading", "remark", "name", "told"),
    [
        (VIBRATION, "ok", None, None, "missing_fact", "'reading' for task 2: at most 4.5 mm/s"),
        (OIL, "failed", None, "Gauge is broken", "missing_fact", "'reading' for task 3: 2.0 to 4.0 bar"),
        (Check(4, None, 1.0), None, None, None, "missing_fact", "'reading' for task 4: at least 1.0"),
        (PLAIN, "failed", None, None, "missing_fact", "'remark' for task 1, which is failed"),
        (PLAIN, "not_applicable", None, None, "missing_fact", "'remark' for task 1, which is not applicable"),
        (PLAIN, None, 3.0, None, "invalid_fact", "no 'reading' for task 1"),
        (OIL, "not_applicable", 3.0, "Drained", "invalid_fact", "no 'reading' for task 3 when it does not apply"),
    ],
)
def test_a_check_without_what_it_asks_for_is_refused(
    check: Check, said: str | None, reading: float | None, remark: str | None, name: str, told: str
) -> None:
    with pytest.raises(Refused) as caught:
        result_of(check, said, reading, remark)
    assert (caught.value.name, caught.value.expected) == (name, told)


def with_limits(connection: Connection, code: str, *, mode_id: int | None = None, opens: bool = True) -> None:
    """Make the second task of a ticket a check of vibration that opens a ticket when it fails."""
    connection.execute(
        """update ticket_task set unit = 'mm/s', high_limit = 4.5, opens_ticket = %s, failure_mode_id = %s
           where number = 2 and ticket_id = (select id from ticket where code = %s)""",
        (opens, mode_id, code),
    )


def at_work(connection: Connection, house: House) -> str:
    code = a_device_ticket(connection, house)
    carry(connection, house, code, State.EXECUTING)
    return code


def check(connection: Connection, house: House, code: str, number: int = 2, **facts: object) -> TicketDetail:
    return command(connection, code, "complete_task", house.near, {"number": number, **facts})


def test_a_check_is_kept_with_reading_result_and_remark(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        code = at_work(connection, house)
        with_limits(connection, code)
        detail = check(connection, house, code, reading=4.5, remark="At the drive end")
        task = detail.tasks[1]
        assert (task.result, task.reading, task.unit, task.remark) == ("ok", 4.5, "mm/s", "At the drive end")
        assert (task.done_by, task.opened_code) == ("Near", None)
        assert detail.timeline[-1].facts == {
            "number": 2,
            "reading": 4.5,
            "unit": "mm/s",
            "remark": "At the drive end",
            "result": "ok",
        }
        assert connection.execute("select count(*) from ticket").fetchone() == (1,)
        assert detail.timeline_is_whole


def test_the_readings_that_a_failure_mode_asks_for_stand_on_its_tickets(pool: ConnectionPool) -> None:
    """SPEC T8. Fails when only the words of the library reach the checklist."""
    asked = Task("Measure vibration", "测量振动", "mm/s", 0.5, 4.5, opens_ticket=True, failure_mode="bearing_wear")
    with pool.connection() as connection:
        house = a_house(connection)
        columns = columns_of(replace(a_mode(), tasks=(Task("Look", "检查"), asked)))
        connection.execute("update failure_mode set tasks = %s where id = %s", (columns["tasks"], house.mode_id))
        code = at_work(connection, house)
        plain, measured = ticket_detail(connection, code, actor=house.near, now=NOW).tasks
        found = (measured.text_zh, measured.unit, measured.low_limit, measured.high_limit, measured.opens_ticket)
        assert found == ("测量振动", "mm/s", 0.5, 4.5, True)
        assert (measured.failure_mode, plain.failure_mode) == ("bearing_wear", None)
        assert (plain.unit, plain.high_limit, plain.opens_ticket) == (None, None, False)


def an_inspection(connection: Connection, house: House, *tasks: Task) -> str:
    request = IntakeRequest(
        channel=Channel.CONSOLE,
        kind=Kind.INSPECTION,
        actor=house.planner,
        title="Round",
        asset_id=house.asset_id,
        tasks=tasks,
    )
    return open_ticket(connection, request, NOW).code


def test_a_check_names_the_failure_mode_whose_ticket_its_failure_opens_or_joins(pool: ConnectionPool) -> None:
    """SPEC T8. Fails when the mode is kept by the request alone: the ticket would need no skill and join nothing."""
    listen = Task("Listen", "听音", opens_ticket=True, failure_mode="bearing_wear")
    with pool.connection() as connection:
        house = a_house(connection)
        code = an_inspection(connection, house, listen, replace(listen, text_en="Listen again"))
        carry(connection, house, code, State.EXECUTING)
        found = ticket_detail(connection, code, actor=house.near, now=NOW).tasks[0]
        assert (found.failure_mode, found.failure_mode_zh) == ("bearing_wear", "轴承磨损")
        opened = check(connection, house, code, 1, result="failed", remark="Growls").tasks[0].opened_code or ""
        other = ticket_detail(connection, opened, actor=house.near, now=NOW)
        assert other.ticket.failure_mode == "bearing_wear"
        assert [task.text_en for task in other.tasks] == ["Replace bearing", "Align"], "the mode's work comes along"
        again = check(connection, house, code, 2, result="failed", remark="Still growls").tasks[1]
        assert again.opened_code == opened


@pytest.mark.parametrize(
    ("task", "told"),
    [
        (Task("Listen", "听音", opens_ticket=True, failure_mode="rust"), "a failure mode of the asset's type"),
        (Task("Listen", "听音", failure_mode="bearing_wear"), "a failure mode only where a failure opens a ticket"),
    ],
)
def test_a_check_that_names_no_mode_of_the_type_or_one_for_nothing_is_refused(
    pool: ConnectionPool, task: Task, told: str
) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        plan = CalendarPlan(Unit.WEEK, 1, date(2026, 3, 2), 0)
        work = Work("Round", "巡检", "", None, (task,))
        for refused in (
            lambda: an_inspection(connection, house, task),
            lambda: add_schedule(connection, house.asset_id, work, plan, person_id=None, now=NOW),
        ):
            with pytest.raises(Refused) as caught:
                refused()
            assert (caught.value.name, caught.value.expected) == ("invalid_request", told)


def test_a_failed_check_opens_a_ticket_that_both_timelines_tell_of(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        code = at_work(connection, house)
        with_limits(connection, code)
        detail = check(connection, house, code, result="ok", reading=7.1, remark="Loud")
        opened = detail.tasks[1].opened_code or ""
        assert (detail.tasks[1].result, detail.timeline[-1].facts["opened_code"]) == ("failed", opened)
        assert [(link.code, link.kind, link.is_from_here) for link in detail.links] == [(opened, "causes", True)]
        other = ticket_detail(connection, opened, actor=SYSTEM, now=NOW)
        assert (other.ticket.title_en, other.ticket.title_zh) == ("M-1: Align", "M-1：对中")
        assert (other.ticket.description, other.ticket.parent_code) == ("7.1 mm/s\nLoud", None)
        assert other.ticket.asset_id == house.asset_id
        assert [event.command for event in other.timeline] == ["open", "linked"]
        assert other.timeline[1].facts == {"code": code, "kind": "causes", "by": "Near"}


def test_a_failure_that_has_an_open_ticket_joins_it(pool: ConnectionPool) -> None:
    """A peer opens another order at every breaching reading."""
    with pool.connection() as connection:
        house = a_house(connection)
        code = at_work(connection, house)
        report = a_report(connection, house)
        carry(connection, house, report, State.EXECUTING)
        connection.execute(
            """insert into ticket_task (ticket_id, number, text_en, text_zh)
               select id, 2, 'Listen', '听音' from ticket where code = %s""",
            (report,),
        )
        with_limits(connection, report, mode_id=house.mode_id)
        with_limits(connection, code, mode_id=house.mode_id)
        joined = check(connection, house, report, reading=9.0)
        assert joined.tasks[0].opened_code == code
        assert [(link.code, link.kind) for link in joined.links] == [(code, "causes")]
        own = check(connection, house, code, reading=9.0)
        assert own.tasks[1].opened_code == code
        assert [(link.code, link.is_from_here) for link in own.links] == [(report, False)]
        assert connection.execute("select count(*) from ticket").fetchone() == (2,)


def test_a_failed_check_without_the_flag_opens_nothing(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        code = at_work(connection, house)
        with_limits(connection, code, opens=False)
        assert check(connection, house, code, reading=9.0).tasks[1].result == "failed"
        assert connection.execute("select count(*) from ticket").fetchone() == (1,)


def test_a_refused_check_leaves_the_task_open(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        code = at_work(connection, house)
        with_limits(connection, code)
        bad: list[dict[str, object]] = [
            {},
            {"result": "failed"},
            {"reading": "7"},
            {"reading": float("nan")},
            {"reading": float("inf")},
            {"reading": True},
            {"reading": 1e13},
            {"result": "maybe", "reading": 1.0},
        ]
        for facts in bad:
            with pytest.raises(Refused), connection.transaction():
                check(connection, house, code, **facts)
        detail = ticket_detail(connection, code, actor=house.near, now=NOW)
        assert [task.done_at for task in detail.tasks] == [None, None]
        assert "tasks" in detail.gates


@pytest.mark.parametrize(
    "change",
    [
        "result = 'ok'",
        "done_at = opened_at_of(ticket_id)",
        "low_limit = 5, high_limit = 4",
        "high_limit = 'NaN'",
        "low_limit = '-Infinity'",
        "reading = 'Infinity'",
        "result = 'maybe', done_at = now()",
    ],
)
def test_the_database_keeps_no_check_that_cannot_be(pool: ConnectionPool, change: str) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        a_device_ticket(connection, house)
        changed = change.replace("opened_at_of(ticket_id)", "(select opened_at from ticket where id = ticket_id)")
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(f"update ticket_task set {changed} where number = 1")
        connection.rollback()
