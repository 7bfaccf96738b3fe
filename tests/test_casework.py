"""Commands on tickets against a real database: one transaction each, refused by name, never half done."""

from __future__ import annotations

import threading
from uuid import uuid4

import psycopg
import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from domain.refusals import Refused
from runtime.rounds import sweep_round
from storage.casework import (
    answer_link,
    next_steps,
)
from storage.tickets import list_tickets, ticket_detail, verify_timeline
from tests.ticket_builders import (
    DAY,
    HOUR,
    NOW,
    a_device_ticket,
    a_house,
    a_photo,
    a_report,
    carry,
    command,
    finish_work,
    resolve,
)
from ticketing.ticket import State


def outbox(connection: Connection) -> list[str]:
    return [row[0] for row in connection.execute("select kind from outbox order by id")]


def refused(connection: Connection, *arguments: object, **more: object) -> str:
    """Run a command that must be refused, in a transaction of its own, and return the refusal's name."""
    with pytest.raises(Refused) as caught, connection.transaction():
        command(connection, *arguments, **more)  # type: ignore[arg-type]
    return caught.value.name


def everything(connection: Connection) -> list[object]:
    tables = ("ticket", "ticket_event", "ticket_clock", "outbox", "hold", "bill_line", "stock_movement", "ticket_task")
    tables += ("confirmation_link", "survey_answer", "closure_lesson", "anchor", "component_installation")
    return [connection.execute(f"select * from {table} order by 1, 2, 3").fetchall() for table in tables]


def test_a_device_ticket_is_carried_to_closed(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        carry(connection, house, code, State.EXECUTING)
        finish_work(connection, house, code)
        resolved = resolve(connection, house, code)
        assert resolved.gates == ["confirmation"]
        answer_link(connection, resolved.confirmation_url_secret or "", True, True, None, None, NOW + HOUR)
        closed = command(connection, code, "close", house.near, now=NOW + HOUR)
        assert (closed.ticket.state, closed.ticket.outcome) == ("closed", "repaired")
        assert {clock.state for clock in closed.clocks} == {"met"}
        assert closed.timeline_is_whole
        assert [event.command for event in closed.timeline][-3:] == ["resolve", "confirm", "close"]
        assert closed.confirmation_url_secret is None
        assert outbox(connection).count("ticket.state") == 5


def test_a_task_that_somebody_has_done_is_not_done_again(pool: ConnectionPool) -> None:
    """A conflict, not bad input: an engineer's phone may send what a colleague has done meanwhile."""
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        carry(connection, house, code, State.EXECUTING)
        command(connection, code, "complete_task", house.near, {"number": 1})
        before = everything(connection)
        assert refused(connection, code, "complete_task", house.near, {"number": 1}) == "not_a_legal_step"
        assert everything(connection) == before


def test_a_refused_command_changes_nothing(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        carry(connection, house, code, State.EXECUTING)
        before = everything(connection)
        unknown_part = {"lines": [{"part_number": "NOPE-1", "issued": 1, "used": 1}]}
        wrong_mode = {"resolution_code": "repaired", "cause": "Worn", "action_taken": "Swapped"}
        wrong_mode["found_failure_mode"] = "gremlins"
        late = (NOW + HOUR).isoformat()
        names = [
            refused(connection, code, "use_parts", house.near, unknown_part),
            refused(connection, code, "complete_task", house.near, {"number": 99}),
            refused(connection, code, "resolve", house.near, wrong_mode, summary="swapped"),
            refused(
                connection, code, "resolve", house.near, {**wrong_mode, "work_finished_at": late}, summary="swapped"
            ),
            refused(connection, code, "close", house.near),
            refused(connection, code, "note", house.near, {"content": "race is pitted"}, summary="处理中"),
            refused(connection, code, "dispatch", house.supervisor, {"assignee_id": house.requester.person_id}),
            refused(connection, code, "dispatch", house.supervisor, {"assignee_id": house.near.person_id}),
            refused(connection, code, "accept", house.near, {"expected_response_at": late}),
            refused(connection, code, "cancel", house.near, {"reason": "no time for it"}),
            refused(connection, code, "overdue", house.supervisor),
            refused(connection, code, "explode", house.near),
            refused(connection, "D999999", "view", house.near),
            refused(connection, code, "view", house.near, version=1),
        ]
        assert names == [
            "invalid_fact",
            "invalid_fact",
            "invalid_fact",
            "invalid_fact",
            "gate_not_passed",
            "empty_phrase",
            "invalid_fact",
            "invalid_fact",
            "not_a_legal_step",
            "not_permitted",
            "invalid_request",
            "invalid_request",
            "unknown_record",
            "stale_version",
        ]
        assert everything(connection) == before


def test_a_photo_of_another_ticket_is_no_evidence(pool: ConnectionPool) -> None:
    """SPEC T2."""
    with pool.connection() as connection:
        house = a_house(connection)
        mine, other = a_device_ticket(connection, house), a_report(connection, house)
        carry(connection, house, mine, State.ACCEPTED)
        for photo in (a_photo(connection, other), uuid4()):
            facts = {"attachment_id": str(photo)}
            assert refused(connection, mine, "execute", house.near, facts, summary="cover off") == "invalid_fact"


def test_a_half_saved_command_is_rolled_back_whole(pool: ConnectionPool) -> None:
    """Ticket, timeline, clocks and outbox are one transaction: if the last of them fails, none happened."""
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        carry(connection, house, code, State.ACCEPTED)
        connection.execute("alter table outbox add constraint no_more check (kind <> 'ticket.state') not valid")
    with pool.connection() as connection:
        before = everything(connection)
        photo = {"attachment_id": str(a_photo(connection, code))}
        with pytest.raises(psycopg.errors.CheckViolation), connection.transaction():
            command(connection, code, "execute", house.near, photo, summary="cover removed")
        assert everything(connection) == before


def test_a_hold_pauses_and_its_end_gives_the_working_time_back(pool: ConnectionPool) -> None:
    """SPEC T5."""
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        before = carry(connection, house, code, State.ACCEPTED)
        review = {"reason": "parts", "review_at": (NOW + DAY).isoformat()}
        held = command(connection, code, "hold", house.near, review, now=NOW + HOUR)
        states = {clock.clock: clock.state for clock in held.clocks}
        assert (states["resolve"], states["respond"], held.is_on_hold) == ("paused", "running", True)
        resumed = command(connection, code, "resume", house.near, now=NOW + DAY + HOUR)
        due = {clock.clock: clock.due_at for clock in resumed.clocks}
        was = {clock.clock: clock.due_at for clock in before.clocks}
        # 24 h of hold contain one working day of 8.5 h; resolve moves on by a day, respond does not move.
        assert due["resolve"] == was["resolve"] + DAY
        assert due["respond"] == was["respond"]
        # 16 working hours are done before the failure is expected, so they decide when the ticket is due.
        assert resumed.ticket.due_at == due["resolve"]
        assert not resumed.is_on_hold


def test_cancelling_a_held_ticket_ends_hold_and_clocks_and_rejects_its_prediction(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        carry(connection, house, code, State.ACCEPTED)
        command(connection, code, "hold", house.near, {"reason": "access", "review_at": (NOW + DAY).isoformat()})
        cancelled = command(connection, code, "cancel", house.supervisor, {"reason": "Machine is scrapped"})
        assert (cancelled.ticket.outcome, cancelled.is_on_hold) == ("cancelled", False)
        assert all(clock.stopped_at is not None for clock in cancelled.clocks)
        status = connection.execute("select status, decision_reason from prediction").fetchone()
        assert status == ("rejected", "Machine is scrapped")
        assert connection.execute("select count(*) from closure_lesson").fetchone() == (0,)


def test_another_engineer_takes_over_with_an_accept_clock_of_their_own(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        carry(connection, house, code, State.ACCEPTED)
        to_far = {"assignee_id": house.far.person_id}
        moved = command(connection, code, "dispatch", house.supervisor, to_far, now=NOW + HOUR)
        accept = next(clock for clock in moved.clocks if clock.clock == "accept")
        assert (moved.ticket.state, accept.state, accept.started_at) == ("dispatched", "running", NOW + HOUR)
        assert moved.timeline[-1].facts["previous_assignee_id"] == house.near.person_id


def test_a_command_sent_twice_moves_stock_once(pool: ConnectionPool) -> None:
    """Lines carry totals."""
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        carry(connection, house, code, State.EXECUTING)
        for used, returned, on_hand in ((0, 0, 8), (0, 0, 8), (1, 1, 9), (1, 1, 9), (2, 0, 8)):
            lines = {"lines": [{"part_number": "6204-2RS", "issued": 2, "used": used, "returned": returned}]}
            detail = command(connection, code, "use_parts", house.near, lines)
            assert detail.bill[0].on_hand == on_hand
        extra = {"lines": [{"part_number": "SEAL-35", "issued": 1, "used": 1}]}
        detail = command(connection, code, "use_parts", house.near, extra)
        assert [(line.part_number, line.predicted, line.on_hand) for line in detail.bill][1] == ("SEAL-35", 0, -1)


def test_every_clock_that_runs_out_is_told_once(pool: ConnectionPool) -> None:
    """SPEC N4: sweeps repeat, restart and run twice at once; the timeline has one event per clock."""
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
    assert sweep_round(pool, NOW + HOUR) == 0
    threads = [threading.Thread(target=sweep_round, args=(pool, NOW + 3 * HOUR)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sweep_round(pool, NOW + 10 * DAY) == 3
    assert sweep_round(pool, NOW + 11 * DAY) == 0
    with pool.connection() as connection:
        detail = ticket_detail(connection, code, actor=house.near, now=NOW + 11 * DAY)
        told = [event.facts["clock"] for event in detail.timeline if event.command == "overdue"]
        assert sorted(told) == ["accept", "close", "resolve", "respond"]
        assert told[0] == "accept"
        assert detail.timeline_is_whole
        assert outbox(connection).count("ticket.overdue") == 4
        assert list_tickets(connection).items[0].is_breached


def test_a_paused_clock_is_not_overdue_but_its_review_is_told(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        carry(connection, house, code, State.EXECUTING)
        command(connection, code, "hold", house.near, {"reason": "parts", "review_at": (NOW + DAY).isoformat()})
    assert sweep_round(pool, NOW + 10 * DAY) == 1
    assert sweep_round(pool, NOW + 10 * DAY) == 0
    with pool.connection() as connection:
        detail = ticket_detail(connection, code, actor=house.near, now=NOW + 10 * DAY)
        assert detail.timeline[-1].command == "review"
        assert "ticket.review" in outbox(connection)


def test_the_timeline_cannot_be_changed_and_a_forged_one_is_seen(pool: ConnectionPool) -> None:
    """SPEC T7."""
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        carry(connection, house, code, State.EXECUTING)
        for attack in ("update ticket_event set summary = 'x'", "delete from ticket_event", "truncate ticket_event"):
            with pytest.raises(psycopg.errors.RestrictViolation), connection.transaction():
                connection.execute(attack)
        assert verify_timeline(connection, code) is None
        connection.execute("alter table ticket_event disable trigger user")
        connection.execute("update ticket_event set actor_name = 'Nobody' where number = 2")
        assert verify_timeline(connection, code) == 2
        connection.execute("update ticket_event set actor_name = 'Supervisor' where number = 2")
        assert verify_timeline(connection, code) is None
        connection.execute("delete from ticket_event where number = 4")
        assert verify_timeline(connection, code) == 4
        assert not ticket_detail(connection, code, actor=house.near, now=NOW).timeline_is_whole


def test_next_steps_carry_the_choices_that_only_the_database_knows(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        dispatch = next_steps(connection, code, house.supervisor, NOW, "zh")[0]
        assert (dispatch.command, dispatch.label, dispatch.primary) == ("dispatch", "分派", True)
        assert [option.label for option in dispatch.facts[0].options] == ["Far", "Near", "Unskilled"]
        carry(connection, house, code, State.EXECUTING)
        steps = {step.command: step for step in next_steps(connection, code, house.near, NOW, "zh")}
        assert [option.label for option in steps["complete_task"].facts[0].options] == ["更换轴承", "对中"]
        modes = next(fact for fact in steps["resolve"].facts if fact.name == "found_failure_mode")
        assert [(option.value, option.label) for option in modes.options] == [("bearing_wear", "轴承磨损")]


def test_what_the_timeline_records_comes_back_as_it_was_hashed(pool: ConnectionPool) -> None:
    """SPEC T7: numbers and text survive the way through the database to the last digit."""
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        carry(connection, house, code, State.ACCEPTED)
        for latitude in (-0.0, 31, 31.30000000000001, 1e-7, 5e-324, -89.99999999999999):
            command(connection, code, "arrive", house.near, {"latitude": latitude, "longitude": 120.7})
        content = 'Größe ≥ 3 µm 轴承 \u00e9 e\u0301 \ufffe 🔧 \\u0041 "quoted"\n2nd line'
        command(connection, code, "note", house.near, {"content": content}, summary="轴承 measured")
        detail = command(connection, code, "view", house.supervisor)
        assert detail.timeline[-2].facts["content"] == content
        assert detail.timeline_is_whole
