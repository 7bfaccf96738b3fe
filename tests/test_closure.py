"""Closure: gates by outcome, confirmation by link, and what a closed ticket teaches (SPEC C1, C2, P4)."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from domain.refusals import Refused
from storage.casework import answer_link, open_link
from tests.ticket_builders import (
    DAY,
    HOUR,
    NOW,
    House,
    a_device_ticket,
    a_house,
    a_report,
    a_ticket,
    carry,
    command,
    finish_work,
    resolve,
)
from ticketing.closure import GATES, unpassed_gates
from ticketing.ticket import Kind, Operation, Outcome, Phase, State


def a_resolved(connection: Connection, resolution: str = "repaired", **facts: object) -> tuple[House, str, str]:
    """Carry a device's ticket to a resolution; return house, code and the link's secret."""
    house = a_house(connection)
    code = a_device_ticket(connection, house)
    carry(connection, house, code, State.EXECUTING)
    finish_work(connection, house, code)
    secret = resolve(connection, house, code, resolution=resolution, **facts).confirmation_url_secret
    assert secret is not None
    return house, code, secret


def answer(connection: Connection, secret: str, solved: bool = True, cause: str | None = None, now=NOW + HOUR) -> str:
    return answer_link(connection, secret, solved, solved, cause, None, now)


def refusal(connection: Connection, call, *arguments, **more) -> str:
    with pytest.raises(Refused) as caught, connection.transaction():
        call(connection, *arguments, **more)
    return caught.value.name


READY = {
    "state": State.EXECUTING,
    "resolved_at": NOW,
    "resolution_code": Outcome.REPAIRED,
    "confirmed_at": NOW,
    "attachments": 1,
}


@pytest.mark.parametrize(
    ("gate", "changes"),
    [
        ("resolution", {"resolved_at": None}),
        ("bill", {"unreconciled_parts": ("6204-2RS",)}),
        ("tasks", {"open_tasks": 1}),
        ("operations", {"operations": (Operation(1, Phase.PASSED), Operation(2, Phase.CHECK))}),
        ("evidence", {"attachments": 0}),
        ("confirmation", {"confirmed_at": None}),
    ],
)
def test_each_gate_of_a_repair_holds_by_itself(gate: str, changes: dict[str, object]) -> None:
    assert unpassed_gates(a_ticket(**READY)) == []
    assert [found.value for found in unpassed_gates(a_ticket(**{**READY, **changes}))] == [gate]
    assert {found.value for found in GATES} == {"resolution", "bill", "tasks", "operations", "evidence", "confirmation"}


@pytest.mark.parametrize(
    ("outcome", "kind", "gates"),
    [
        (Outcome.REPAIRED, Kind.PREVENTIVE, ["bill", "tasks", "evidence", "confirmation"]),
        (Outcome.NO_FAULT_FOUND, Kind.PREVENTIVE, ["bill", "evidence", "confirmation"]),
        (Outcome.DEFERRED, Kind.PREVENTIVE, ["bill", "evidence", "confirmation"]),
        (Outcome.FALSE_ALARM, Kind.PREVENTIVE, ["bill", "evidence"]),
        (Outcome.FALSE_ALARM, Kind.CORRECTIVE, ["bill", "evidence", "confirmation"]),
    ],
)
def test_which_gates_stand_depends_on_the_outcome(outcome: Outcome, kind: Kind, gates: list[str]) -> None:
    nothing_done = {"unreconciled_parts": ("6204-2RS",), "open_tasks": 1, "attachments": 0, "confirmed_at": None}
    ticket = a_ticket(**{**READY, **nothing_done, "resolution_code": outcome, "kind": kind})
    assert [gate.value for gate in unpassed_gates(ticket)] == gates


def test_without_the_requesters_confirmation_nothing_closes(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house, code, secret = a_resolved(connection)
        assert refusal(connection, command, code, "close", house.near) == "gate_not_passed"
        assert refusal(connection, command, code, "close", house.supervisor) == "gate_not_passed"
        assert refusal(connection, command, code, "confirm", house.near) == "not_permitted"
        assert answer(connection, secret) == code
        assert command(connection, code, "close", house.near, now=NOW + HOUR).ticket.state == "closed"


def test_only_the_hash_of_a_link_is_kept_and_its_secret_has_192_bits(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        _, _, secret = a_resolved(connection)
        row = connection.execute("select secret_hash, expires_at - created_at from confirmation_link").fetchone()
        assert row == (hashlib.sha256(secret.encode()).digest(), timedelta(days=14))
        assert len(secret) == 32
        for table in ("outbox", "ticket_event", "ticket"):
            assert connection.execute(
                f"select count(*) from {table} t where t::text like %s", (f"%{secret}%",)
            ).fetchone() == (0,)


def test_looking_at_a_link_is_harmless_and_answering_uses_it_up(pool: ConnectionPool) -> None:
    """Mail scanners open links before people do."""
    with pool.connection() as connection:
        _, code, secret = a_resolved(connection)
        for _ in range(3):
            page = open_link(connection, secret, NOW + HOUR)
        assert (page.code, page.action_taken, page.engineer_name) == (code, "Bearing replaced", "Near")
        answer(connection, secret)
        assert refusal(connection, answer, secret) == "link_used"
        assert refusal(connection, open_link, secret, NOW + HOUR) == "link_used"


@pytest.mark.parametrize("secret", ["", "x", "x" * 200, "\ud800", "' or 1=1 --", "\0"])
def test_a_guessed_link_is_unknown(pool: ConnectionPool, secret: str) -> None:
    with pool.connection() as connection:
        a_house(connection)
        assert refusal(connection, open_link, secret, NOW) == "link_unknown"


def test_a_link_is_good_for_14_days_to_the_instant(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        _, _, secret = a_resolved(connection)
        assert open_link(connection, secret, NOW + 14 * DAY - timedelta(microseconds=1)).used_at is None
        assert refusal(connection, answer, secret, now=NOW + 14 * DAY) == "link_expired"


def test_not_solved_sends_the_ticket_back_and_a_new_resolution_makes_a_new_link(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house, code, secret = a_resolved(connection)
        due = connection.execute("select due_at from ticket_clock where clock = 'resolve'").fetchone()
        assert refusal(connection, answer, secret, False) == "missing_fact"
        answer(connection, secret, False, "still howls at 1480 rpm")
        detail = command(connection, code, "view", house.near, now=NOW + HOUR)
        assert (detail.ticket.state, detail.ticket.resolved_at) == ("executing", None)
        assert detail.timeline[-2].facts["cause"] == "still howls at 1480 rpm"
        assert (detail.answers[0].solved, detail.answers[0].cause) == (False, "still howls at 1480 rpm")
        again = connection.execute("select due_at, stopped_at from ticket_clock where clock = 'resolve'").fetchone()
        assert again == (*due, None)
        assert connection.execute("select count(*) from outbox where kind = 'confirmation.disputed'").fetchone() == (1,)
        assert refusal(connection, command, code, "close", house.near) == "gate_not_passed"
        second = resolve(connection, house, code, now=NOW + 2 * HOUR).confirmation_url_secret
        assert second not in (None, secret)
        answer(connection, second or "", now=NOW + 3 * HOUR)
        assert command(connection, code, "close", house.near, now=NOW + 3 * HOUR).ticket.outcome == "repaired"


def test_asking_again_makes_a_new_link_and_retires_the_old_one(pool: ConnectionPool) -> None:
    """The requester, signed in, can have a new link too: what was sent is not kept anywhere."""
    with pool.connection() as connection:
        house, code, first = a_resolved(connection)
        asked = command(connection, code, "request_confirmation", house.requester, now=NOW + HOUR)
        assert refusal(connection, answer, first) == "link_expired"
        answer(connection, asked.confirmation_url_secret or "")
        assert refusal(connection, command, code, "request_confirmation", house.near) == "not_a_legal_step"


def test_an_old_link_cannot_answer_for_a_later_resolution(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house, code, secret = a_resolved(connection)
        command(connection, code, "dispute", house.supervisor, {"cause": "He phoned: still howls"})
        assert refusal(connection, answer, secret) == "not_a_legal_step"
        resolve(connection, house, code)
        assert refusal(connection, answer, secret) == "link_expired"


def test_a_confirmation_in_the_requesters_name_is_counted_apart(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house, code, _ = a_resolved(connection)
        detail = command(connection, code, "confirm", house.supervisor, {"comment": "ok"})
        assert (detail.ticket.confirmed_by_name, detail.answers) == ("Supervisor", [])
        assert detail.timeline[-1].actor_kind == "person"


def test_a_repair_teaches_and_resets_the_machine(pool: ConnectionPool) -> None:
    """SPEC P4, D2: lesson, prediction closed, new baseline and new component from when the work was finished."""
    with pool.connection() as connection:
        finished = NOW - timedelta(minutes=30)
        house, code, secret = a_resolved(connection, work_finished_at=finished.isoformat())
        assert connection.execute("select count(*) from closure_lesson").fetchone() == (0,)
        answer(connection, secret)
        command(connection, code, "close", house.near, now=NOW + HOUR)
        lesson = connection.execute(
            "select predicted_mode_id, found_mode_id, outcome, rules, parts from closure_lesson"
        )
        predicted, found, outcome, rules, parts = lesson.fetchone() or ()
        assert (predicted, found, outcome) == (house.mode_id, house.mode_id, "repaired")
        spoke = {"rule_id": house.rule_id, "name": "drift-m-1", "version": 1, "findings": 1, "lead_h": 0.5}
        assert rules == [spoke]
        assert [(part["number"], part["predicted"], part["used"]) for part in parts] == [("6204-2RS", 2, 1)]
        assert connection.execute("select status from prediction").fetchone() == ("closed",)
        anchors = connection.execute("select asset_id, metric, anchored_at from anchor").fetchall()
        assert anchors == [(house.asset_id, "vibration_mm_s", finished)]
        installed = connection.execute("select component, installed_at, source from component_installation").fetchall()
        assert installed == [("bearing", finished, "ticket")]


@pytest.mark.parametrize("resolution", ["false_alarm", "no_fault_found", "deferred"])
def test_what_was_not_repaired_keeps_its_baseline_and_its_component(pool: ConnectionPool, resolution: str) -> None:
    with pool.connection() as connection:
        house, code, secret = a_resolved(connection, resolution)
        answer(connection, secret)
        closed = command(connection, code, "close", house.near, now=NOW + HOUR)
        assert closed.ticket.outcome == resolution
        assert connection.execute("select count(*) from anchor").fetchone() == (0,)
        assert connection.execute("select count(*) from component_installation").fetchone() == (0,)
        assert connection.execute("select outcome, found_mode_id from closure_lesson").fetchone() == (resolution, None)
        assert connection.execute("select status from prediction").fetchone() == ("closed",)


def test_a_repair_without_new_parts_renews_no_component(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house, code, secret = a_resolved(connection)
        lines = {"lines": [{"part_number": "6204-2RS", "issued": 2, "used": 0, "returned": 2}]}
        command(connection, code, "use_parts", house.near, lines)
        answer(connection, secret)
        command(connection, code, "close", house.near, now=NOW + HOUR)
        assert connection.execute("select count(*) from component_installation").fetchone() == (0,)
        assert connection.execute("select count(*) from anchor").fetchone() == (1,)


def test_an_older_repair_never_moves_a_baseline_back(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house, code, secret = a_resolved(connection)
        connection.execute("insert into anchor values (%s, 'vibration_mm_s', %s)", (house.asset_id, NOW + DAY))
        answer(connection, secret)
        command(connection, code, "close", house.near, now=NOW + HOUR)
        assert connection.execute("select anchored_at from anchor").fetchone() == (NOW + DAY,)


def test_a_false_alarm_of_a_device_closes_without_asking_anybody(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        carry(connection, house, code, State.EXECUTING)
        resolve(connection, house, code, resolution="false_alarm")
        assert command(connection, code, "close", house.near).ticket.outcome == "false_alarm"


def test_a_false_alarm_of_a_person_is_confirmed_by_that_person(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_report(connection, house)
        carry(connection, house, code, State.EXECUTING)
        secret = resolve(connection, house, code, resolution="false_alarm").confirmation_url_secret
        assert refusal(connection, command, code, "close", house.near) == "gate_not_passed"
        answer(connection, secret or "")
        assert command(connection, code, "close", house.near).ticket.outcome == "false_alarm"
