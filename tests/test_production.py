"""Production orders: operations in order, an engineer and a quality check each (SPEC T8)."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from domain.checklists import Task
from domain.refusals import Refused
from storage.casework import answer_link
from storage.intake import open_ticket
from storage.ticket_views import TicketDetail
from storage.tickets import ticket_detail
from tests.ticket_builders import HOUR, NOW, House, a_house, carry, command, resolve
from ticketing.actors import Actor
from ticketing.intake import Channel, IntakeRequest, PlannedOperation, PlannedPart
from ticketing.ticket import Kind, State


def an_order(connection: Connection, house: House, **changes: object) -> str:
    request = IntakeRequest(
        channel=Channel.CONSOLE,
        kind=Kind.PRODUCTION,
        actor=house.planner,
        title="Ten gearboxes",
        asset_id=house.asset_id,
        tasks=(Task("Clear the bench", "清理工作台"),),
        operations=(
            PlannedOperation("Turn the shaft", "Diameter 35 h6", house.near.person_id),
            PlannedOperation("Fit the bearing", "Turns freely"),
        ),
        bill=(PlannedPart("6204-2RS", 4), PlannedPart("SEAL-35", 1)),
    )
    return open_ticket(connection, replace(request, **changes), NOW).code  # type: ignore[arg-type]


def under_way(connection: Connection, house: House, **changes: object) -> str:
    code = an_order(connection, house, **changes)
    carry(connection, house, code, State.EXECUTING)
    return code


def refusal(connection: Connection, code: str, name: str, actor: Actor, **facts: object) -> Refused:
    with pytest.raises(Refused) as caught, connection.transaction():
        command(connection, code, name, actor, facts)
    return caught.value


def done(connection: Connection, code: str, number: int, worker: Actor, checker: Actor) -> TicketDetail:
    command(connection, code, "start_operation", worker, {"operation": number})
    command(connection, code, "finish_operation", worker, {"operation": number})
    return command(connection, code, "check_operation", checker, {"operation": number, "result": "passed"})


def phases(detail: TicketDetail) -> list[str]:
    return [operation.phase for operation in detail.operations]


def confirmed(connection: Connection, resolved: TicketDetail) -> None:
    answer_link(connection, resolved.confirmation_url_secret or "", True, True, None, None, NOW + HOUR)


def offered(connection: Connection, code: str, actor: Actor) -> set[str]:
    steps = ticket_detail(connection, code, actor=actor, now=NOW).next_steps
    return {step.command for step in steps if step.command.endswith("_operation")}


def test_an_order_brings_its_operations_its_bill_and_its_tasks(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        detail = ticket_detail(connection, an_order(connection, house), actor=house.near, now=NOW)
        assert [(one.number, one.name, one.engineer, one.quality_check) for one in detail.operations] == [
            (1, "Turn the shaft", "Near", "Diameter 35 h6"),
            (2, "Fit the bearing", None, "Turns freely"),
        ]
        assert [(line.part_number, line.predicted, line.probability) for line in detail.bill] == [
            ("6204-2RS", 4, None),
            ("SEAL-35", 1, None),
        ]
        assert [task.text_zh for task in detail.tasks] == ["清理工作台"]


def test_operations_go_in_order_and_each_waits_for_the_check_of_the_one_before(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        code = under_way(connection, house)
        assert refusal(connection, code, "start_operation", house.far, operation=2).name == "not_a_legal_step"
        assert refusal(connection, code, "finish_operation", house.near, operation=1).name == "not_a_legal_step"
        assert refusal(connection, code, "start_operation", house.near, operation=3).name == "invalid_fact"
        command(connection, code, "start_operation", house.near, {"operation": 1})
        assert refusal(connection, code, "start_operation", house.near, operation=1).name == "not_a_legal_step"
        assert (
            refusal(connection, code, "check_operation", house.far, operation=1, result="passed").name
            == "not_a_legal_step"
        )
        command(connection, code, "finish_operation", house.near, {"operation": 1})
        assert refusal(connection, code, "start_operation", house.far, operation=2).name == "not_a_legal_step"
        command(connection, code, "check_operation", house.far, {"operation": 1, "result": "passed"})
        assert phases(done(connection, code, 2, house.far, house.planner)) == ["passed", "passed"]
        assert refusal(connection, code, "start_operation", house.near, operation=1).name == "not_a_legal_step"


def test_nobody_checks_their_own_work_not_even_a_supervisor(pool: ConnectionPool) -> None:
    """The database says no too: the row itself takes no check by its worker."""
    with pool.connection() as connection:
        house = a_house(connection)
        code = under_way(connection, house)
        command(connection, code, "start_operation", house.supervisor, {"operation": 1})
        command(connection, code, "finish_operation", house.supervisor, {"operation": 1})
        own = refusal(connection, code, "check_operation", house.supervisor, operation=1, result="passed")
        assert own.name == "not_permitted"
        with pytest.raises(psycopg.errors.CheckViolation), connection.transaction():
            connection.execute(
                "update operation set check_result = 'passed', checked_at = finished_at, checked_by = finished_by"
                " where number = 1"
            )
        checked = command(connection, code, "check_operation", house.near, {"operation": 1, "result": "passed"})
        assert phases(checked) == ["passed", "start"]


def test_an_operation_is_its_engineers_and_who_started_it_finishes_it(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        code = under_way(connection, house)
        assert refusal(connection, code, "start_operation", house.far, operation=1).name == "not_permitted"
        done(connection, code, 1, house.near, house.far)
        command(connection, code, "start_operation", house.far, {"operation": 2})
        assert refusal(connection, code, "finish_operation", house.near, operation=2).name == "not_permitted"
        assert refusal(connection, code, "start_operation", house.requester, operation=2).name == "not_permitted"


def test_a_failed_check_says_why_and_starts_the_operation_again(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        code = under_way(connection, house)
        command(connection, code, "start_operation", house.near, {"operation": 1})
        command(connection, code, "finish_operation", house.near, {"operation": 1})
        silent = refusal(connection, code, "check_operation", house.far, operation=1, result="failed")
        assert silent.name == "missing_fact"
        failed = command(
            connection, code, "check_operation", house.far, {"operation": 1, "result": "failed", "remark": "35.4 mm"}
        )
        first = failed.operations[0]
        assert (first.phase, first.check_result, first.check_remark, first.failed_checks) == (
            "start",
            "failed",
            "35.4 mm",
            1,
        )
        assert refusal(connection, code, "start_operation", house.far, operation=2).name == "not_a_legal_step"
        again = done(connection, code, 1, house.near, house.far).operations[0]
        assert (again.phase, again.check_remark, again.failed_checks) == ("passed", None, 1)
        told = [event.facts for event in failed.timeline if event.command == "check_operation"]
        assert told == [{"operation": 1, "result": "failed", "remark": "35.4 mm"}]


def test_each_sees_the_step_that_is_theirs_to_take_with_the_operation_to_choose(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        code = under_way(connection, house)
        assert offered(connection, code, house.near) == {"start_operation"}
        assert offered(connection, code, house.far) == set()
        command(connection, code, "start_operation", house.near, {"operation": 1})
        command(connection, code, "finish_operation", house.near, {"operation": 1})
        assert (offered(connection, code, house.near), offered(connection, code, house.far)) == (
            set(),
            {"check_operation"},
        )
        steps = ticket_detail(connection, code, actor=house.far, now=NOW).next_steps
        check = next(step for step in steps if step.command == "check_operation")
        assert [(fact.name, [option.value for option in fact.options]) for fact in check.facts] == [
            ("operation", ["1"]),
            ("result", ["passed", "failed"]),
            ("remark", []),
        ]


def test_an_order_closes_only_when_every_operation_has_passed(pool: ConnectionPool) -> None:
    """A false alarm is no way round the gate; the other gates stand as for any repair."""
    with pool.connection() as connection:
        house = a_house(connection)
        code = under_way(connection, house)
        command(connection, code, "complete_task", house.near, {"number": 1})
        done(connection, code, 1, house.near, house.far)
        with connection.transaction(force_rollback=True):
            confirmed(connection, resolve(connection, house, code, resolution="false_alarm"))
            gate = refusal(connection, code, "close", house.near)
            assert (gate.name, gate.got) == ("gate_not_passed", "not passed: operations")
        done(connection, code, 2, house.far, house.near)
        confirmed(connection, resolve(connection, house, code))
        assert command(connection, code, "close", house.near).ticket.state == "closed"


def test_a_postponed_order_may_be_left_half_done(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        code = under_way(connection, house)
        assert resolve(connection, house, code, resolution="deferred").gates == ["confirmation"]


def test_an_order_without_operations_and_operations_without_an_order_are_refused(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        stranger = PlannedOperation("Turn", "Round", house.requester.person_id)
        wrong: list[tuple[dict[str, object], str]] = [
            ({"operations": ()}, "invalid_request"),
            ({"kind": Kind.CORRECTIVE}, "invalid_request"),
            ({"operations": (stranger,)}, "invalid_request"),
            ({"operations": (PlannedOperation("Turn", " "),)}, "invalid_request"),
            ({"bill": (PlannedPart("6204-2RS", 1), PlannedPart("6204-2RS", 2))}, "invalid_request"),
            ({"bill": (PlannedPart("NOPE-1", 1),)}, "invalid_fact"),
        ]
        for changes, name in wrong:
            with pytest.raises(Refused) as caught, connection.transaction():
                an_order(connection, house, **changes)
            assert caught.value.name == name, changes
        assert connection.execute("select count(*) from ticket").fetchone() == (0,)
