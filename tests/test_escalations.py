"""Escalations in a real database: on time, once, until somebody acknowledges, whatever dies (SPEC N1, N2, N4)."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files

import psycopg
import pytest
from psycopg import Connection
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

from domain.refusals import Refused
from runtime.rounds import dispatch_round, escalation_round
from storage import escalations, service_alarms
from storage.calendar_book import calendar_row, enter_day
from storage.casework import perform, replan
from storage.database import open_pool
from storage.escalations import adopt, due_steps, take_step
from storage.intake import create_report
from storage.policies import publish_policy, shipped_body
from storage.tickets import list_tickets, ticket_detail, verify_timeline
from tests.escalation_builders import Teams, messages, pass_time, teams
from tests.ticket_builders import DAY, HOUR, MINUTE, NOW, a_device_ticket, a_photo, a_report, carry, command, resolve
from ticketing.actors import SYSTEM
from ticketing.lifecycle import Command
from ticketing.ticket import State

SECOND = timedelta(seconds=1)


@pytest.fixture
def house(pool: ConnectionPool) -> Teams:
    with pool.connection() as connection:
        return teams(connection)


def dispatched(pool: ConnectionPool, house: Teams, now: datetime = NOW) -> str:
    with pool.connection() as connection:
        code = a_report(connection, house.house, now)
        carry(connection, house.house, code, State.DISPATCHED, now)
    return code


def accept(connection: Connection, house: Teams, code: str, now: datetime) -> None:
    promise = {"expected_response_at": (now + HOUR).isoformat()}
    command(connection, code, "accept", house.house.near, promise, now=now)


def a_line_stop(connection: Connection, house: Teams, now: datetime) -> str:
    return create_report(
        connection,
        asset_id=house.house.asset_id,
        title="Line stands",
        description="",
        reporter=house.house.requester,
        now=now,
        line_stopped=True,
    )


def test_nobody_accepts_the_lead_is_told_then_called_then_the_backup_team_has_it(
    pool: ConnectionPool, house: Teams
) -> None:
    """SPEC N1: 15 min lead, 10 min later phone and text message, then the backup team."""
    code = dispatched(pool, house)
    told = pass_time(pool, NOW, NOW + 40 * MINUTE)
    assert [(minutes, name, facts.get("channels")) for minutes, _, name, facts in told] == [
        (15, "escalate", ["inbox"]),
        (25, "escalate", ["phone", "sms"]),
        (35, "escalate", ["inbox", "sms"]),
        (35, "pass_to_backup", None),
    ]
    assert told[3][3] == {
        "team_id": house.night, "from_team_id": house.day, "previous_assignee_id": house.house.near.person_id
    }  # fmt: skip
    with pool.connection() as connection:
        lead, kind = messages(connection, "lead"), "escalation.not_accepted"
        assert lead[:3] == [(kind, "inbox"), (kind, "phone"), (kind, "sms")]
        assert ("escalation.passed", "inbox") in messages(connection, "night_lead")
        assert ("escalation.passed", "inbox") in messages(connection, "near")
        ticket = ticket_detail(connection, code, actor=house.lead, now=NOW).ticket
        assert (ticket.state, ticket.team_name, ticket.assignee_id) == ("new", "Night", None)
        clock = connection.execute("select started_at from ticket_clock where clock = 'accept'").fetchone()
        assert clock == (NOW + 35 * MINUTE,)
        assert verify_timeline(connection, code) is None


def test_to_accept_ends_the_ladder(pool: ConnectionPool, house: Teams) -> None:
    code = dispatched(pool, house)
    assert len(pass_time(pool, NOW, NOW + 20 * MINUTE)) == 1
    with pool.connection() as connection:
        accept(connection, house, code, NOW + 20 * MINUTE)
    assert pass_time(pool, NOW + 21 * MINUTE, NOW + 5 * HOUR) == []


def test_another_engineer_gets_the_whole_time(pool: ConnectionPool, house: Teams) -> None:
    code = dispatched(pool, house)
    with pool.connection() as connection:
        facts = {"assignee_id": house.house.far.person_id}
        command(connection, code, "dispatch", house.house.supervisor, facts, now=NOW + 14 * MINUTE)
    assert [minutes for minutes, *_ in pass_time(pool, NOW, NOW + 30 * MINUTE)] == [29]


def test_the_backup_of_a_backup_does_not_get_it_back(pool: ConnectionPool, house: Teams) -> None:
    """Two teams that back each other up would pass a ticket on for ever: the supervisors are told instead."""
    with pool.connection() as connection:
        connection.execute("update team set backup_team_id = %s where id = %s", (house.day, house.night))
    code = dispatched(pool, house)
    pass_time(pool, NOW, NOW + 36 * MINUTE)
    later = NOW + 40 * MINUTE
    with pool.connection() as connection:
        night = {"assignee_id": house.night_engineer.person_id}
        command(connection, code, "dispatch", house.house.supervisor, night, now=later)
    told = pass_time(pool, later, later + 40 * MINUTE)
    assert [name for _, _, name, _ in told] == ["escalate"] * 3
    assert told[2][3]["nobody"] == ["backup_team"]
    with pool.connection() as connection:
        assert ("escalation.no_backup", "sms") in messages(connection, "supervisor")


@pytest.mark.parametrize("missing", ["no lead", "inactive lead", "no team"])
def test_a_rung_that_finds_nobody_goes_to_the_next_at_once_and_says_so(
    pool: ConnectionPool, house: Teams, missing: str
) -> None:
    with pool.connection() as connection:
        connection.execute("update team set backup_team_id = null")
        if missing == "no lead":
            connection.execute("update team set lead_id = null")
        elif missing == "inactive lead":
            connection.execute("update person set active = false where login = 'lead'")
        else:
            connection.execute("update person set team_id = null")
    dispatched(pool, house)
    told = pass_time(pool, NOW, NOW + 40 * MINUTE)
    supervisor = house.house.supervisor.person_id
    assert [(minutes, facts["nobody"]) for minutes, _, _, facts in told] == [
        (15, ["lead"]), (25, ["lead", "on_call"]), (35, ["backup_team", "lead"])
    ]  # fmt: skip
    assert all(supervisor in facts["told"] for *_, facts in told)


def test_where_there_is_nobody_at_all_the_operators_see_it(pool: ConnectionPool, house: Teams) -> None:
    with pool.connection() as connection:
        connection.execute("update team set lead_id = null, backup_team_id = null")
        connection.execute("delete from person_role where role in ('supervisor', 'admin')")
        connection.execute("delete from site_director")
    code = dispatched_by_hand(pool, house)
    assert [facts["told"] for *_, facts in pass_time(pool, NOW, NOW + 16 * MINUTE)] == [[]]
    with pool.connection() as connection:
        (body,) = connection.execute("select body from outbox where kind = 'escalation.not_accepted'").fetchone() or ()
        assert (body["code"], body["person_ids"], body["admins"]) == (code, [], True)


def dispatched_by_hand(pool: ConnectionPool, house: Teams) -> str:
    with pool.connection() as connection:
        code = a_report(connection, house.house)
        facts = {"assignee_id": house.house.near.person_id}
        perform(connection, code, Command.DISPATCH, None, "", facts, SYSTEM, NOW)
    return code


def test_a_chain_goes_on_until_somebody_acknowledges_and_then_is_silent(pool: ConnectionPool, house: Teams) -> None:
    """SPEC N2. That a message was sent acknowledges nothing."""
    with pool.connection() as connection:
        connection.execute("update team set backup_team_id = null")
    code = dispatched(pool, house)
    later = NOW + 40 * MINUTE + HOUR
    assert [minutes for minutes, *_ in pass_time(pool, NOW, later)] == [15, 25, 35, 65, 95]
    with pool.connection() as connection:
        detail = ticket_detail(connection, code, actor=house.lead, now=later)
        assert "acknowledge" in [step.command for step in detail.next_steps]
        version = detail.ticket.version
        after = command(connection, code, "acknowledge", house.lead, {"comment": "I call him"}, now=later)
        assert after.ticket.version == version
        assert after.timeline[-1].facts == {"comment": "I call him"}
        assert "acknowledge" not in [step.command for step in after.next_steps]
    assert pass_time(pool, later, later + 5 * HOUR) == []
    # The next ladder speaks again.
    assert {facts["ladder"] for *_, facts in pass_time(pool, later, NOW + 25 * HOUR, HOUR)} == {"nudge"}


def test_only_one_whom_it_reached_or_a_supervisor_acknowledges(pool: ConnectionPool, house: Teams) -> None:
    code = dispatched(pool, house)
    with pool.connection() as connection, pytest.raises(Refused, match="There is nothing to acknowledge"):
        command(connection, code, "acknowledge", house.house.supervisor, now=NOW)
    pass_time(pool, NOW, NOW + 16 * MINUTE)
    for stranger in (house.house.far, house.house.planner, house.house.requester, house.night_lead):
        with pool.connection() as connection, pytest.raises(Refused) as refused:
            command(connection, code, "acknowledge", stranger, now=NOW + 16 * MINUTE)
        assert refused.value.name == "not_permitted"
    with pool.connection() as connection:
        command(connection, code, "acknowledge", house.house.supervisor, now=NOW + 17 * MINUTE)
    with pool.connection() as connection, pytest.raises(Refused, match="There is nothing to acknowledge"):
        command(connection, code, "acknowledge", house.house.supervisor, now=NOW + 18 * MINUTE)


def test_acknowledging_is_no_work(pool: ConnectionPool, house: Teams) -> None:
    """SPEC T4: who acknowledges the nudge every day does not keep the ticket from turning red."""
    code = dispatched(pool, house)
    with pool.connection() as connection:
        accept(connection, house, code, NOW)
    for day in range(1, 6):
        pass_time(pool, NOW + (day - 1) * DAY, NOW + day * DAY, HOUR)
        with pool.connection() as connection:
            flag = ticket_detail(connection, code, actor=house.lead, now=NOW).ticket.flag
            assert flag == {1: None, 2: None, 3: "yellow", 4: "yellow", 5: "red"}[day]
            detail = ticket_detail(connection, code, actor=house.house.supervisor, now=NOW)
            if "acknowledge" in [step.command for step in detail.next_steps]:
                command(connection, code, "acknowledge", house.house.supervisor, now=NOW + day * DAY)


def test_no_effective_action_nudges_then_turns_yellow_then_red(pool: ConnectionPool, house: Teams) -> None:
    """SPEC N1: 24 h engineer and supervisor on two channels, 72 h yellow on the board, 120 h red: director and SMS."""
    code = dispatched(pool, house)
    with pool.connection() as connection:
        accept(connection, house, code, NOW)
    told = pass_time(pool, NOW, NOW + 122 * HOUR, HOUR)
    assert [(minutes / 60, facts["ladder"]) for minutes, _, _, facts in told] == [
        (24, "nudge"), (48, "nudge"), (72, "yellow"), (96, "yellow"), (120, "red")
    ]  # fmt: skip
    with pool.connection() as connection:
        for login in ("near", "supervisor"):
            assert messages(connection, login)[:2] == [("escalation.inactive", "inbox"), ("escalation.inactive", "sms")]
        assert ("escalation.red", "sms") in messages(connection, "director")
        page = list_tickets(connection, flags=["red"])
        assert [(item.code, item.flag) for item in page.items] == [(code, "red")]
        assert list_tickets(connection, flags=["yellow"]).items == []
        later = NOW + 122 * HOUR
        command(connection, code, "note", house.house.requester, {"content": "still howls in the morning"}, now=later)
        assert list_tickets(connection, flags=["red"]).items != [], "a requester who asks again is no work"
        facts = {"content": "outer race pitted, bearing ordered"}
        command(connection, code, "note", house.house.near, facts, summary="race pitted", now=later)
        assert list_tickets(connection, flags=["red", "yellow"]).items == []
    assert [minutes / 60 for minutes, *_ in pass_time(pool, later, later + 25 * HOUR, HOUR)] == [24]


def test_a_ladder_of_a_calm_ticket_runs_in_working_hours(pool: ConnectionPool, house: Teams) -> None:
    """Given out on Friday 17:20, ten minutes before the end: the lead is told on Monday at 8:05, not at night."""
    friday = datetime(2026, 3, 6, 9, 20, tzinfo=UTC)
    dispatched(pool, house, friday)
    told = pass_time(pool, friday, friday + 3 * DAY, 5 * MINUTE)
    monday = datetime(2026, 3, 9, 0, 5, tzinfo=UTC)
    first = next(minutes for minutes, _, _, facts in told if facts.get("ladder") == "not_accepted")
    assert first == (monday - friday).total_seconds() / 60
    assert [minutes / 60 for minutes, _, _, facts in told if facts.get("ladder") == "nudge"] == [24, 48]


def test_out_of_hours_an_urgent_ticket_is_told_by_phone(pool: ConnectionPool, house: Teams) -> None:
    """SPEC N2: a line stop at night; in working hours the first rung is the inbox alone."""
    night = datetime(2026, 3, 2, 18, 0, tzinfo=UTC)
    with pool.connection() as connection:
        code = a_line_stop(connection, house, night)
        carry(connection, house.house, code, State.DISPATCHED, night)
    told = pass_time(pool, night, night + 20 * MINUTE)
    assert [(minutes, facts["channels"]) for minutes, _, _, facts in told] == [(15, ["phone", "inbox"])]
    with pool.connection() as connection:
        row = connection.execute("select body -> 'channels' from outbox where kind like 'escalation%'").fetchall()
        assert row == [(["phone", "sms", "inbox"],), (["inbox", "sms", "phone"],)]


def test_an_unassigned_ticket_is_never_a_silent_pile(pool: ConnectionPool, house: Teams) -> None:
    """SPEC X3."""
    with pool.connection() as connection:
        a_device_ticket(connection, house.house)
    told = pass_time(pool, NOW, NOW + 90 * MINUTE)
    assert [(minutes, facts["ladder"]) for minutes, _, _, facts in told] == [
        (15, "unassigned"), (25, "unassigned"), (85, "unassigned")
    ]  # fmt: skip


def test_after_an_outage_people_keep_the_time_between_two_rungs(pool: ConnectionPool, house: Teams) -> None:
    """Peers send every missed level in one burst."""
    dispatched(pool, house)
    back = NOW + 3 * HOUR
    told = pass_time(pool, back, back + 30 * MINUTE)
    assert [(minutes, facts["step"]) for minutes, _, name, facts in told if name == "escalate"] == [
        (0, 1), (10, 2), (20, 3)
    ]  # fmt: skip


def test_after_an_outage_of_days_only_the_gravest_speaks(pool: ConnectionPool, house: Teams) -> None:
    code = dispatched(pool, house)
    with pool.connection() as connection:
        accept(connection, house, code, NOW)
    back = NOW + 6 * DAY
    assert [facts["ladder"] for *_, facts in pass_time(pool, back, back + HOUR)] == ["red"]
    assert {facts["ladder"] for *_, facts in pass_time(pool, back + HOUR, back + 2 * DAY, HOUR)} == {"red"}


def test_a_hold_makes_a_ladder_stand_still_and_gives_back_what_was_left(pool: ConnectionPool, house: Teams) -> None:
    """SPEC T5; peers credit too much or lose the pause."""
    code = dispatched(pool, house)
    with pool.connection() as connection:
        accept(connection, house, code, NOW)
        facts = {"reason": "parts", "review_at": (NOW + 20 * DAY).isoformat()}
        command(connection, code, "hold", house.house.near, facts, now=NOW + 20 * HOUR)
    assert pass_time(pool, NOW, NOW + 10 * DAY, 6 * HOUR) == []
    with pool.connection() as connection:
        assert service_alarms.troubles(connection, NOW + 10 * DAY, {}) == []
        command(connection, code, "resume", house.house.near, now=NOW + 10 * DAY)
    told = pass_time(pool, NOW + 10 * DAY, NOW + 11 * DAY, HOUR)
    assert [(minutes / 60, facts["ladder"]) for minutes, _, _, facts in told] == [(4, "nudge")]
    later = [(m / 60, f["ladder"]) for m, _, _, f in pass_time(pool, NOW + 10 * DAY, NOW + 13 * DAY, HOUR)]
    assert (52, "yellow") in later


def test_closing_and_cancelling_end_every_ladder(pool: ConnectionPool, house: Teams) -> None:
    code = dispatched(pool, house)
    with pool.connection() as connection:
        command(connection, code, "cancel", house.house.supervisor, {"reason": "Machine is scrapped"}, now=NOW)
        standing = "select count(*) from escalation where ended_at is null"
        assert connection.execute(standing).fetchone() == (0,)
        open_steps = "select count(*) from escalation_step where done_at is null and dropped_at is null"
        assert connection.execute(open_steps).fetchone() == (0,)
    assert pass_time(pool, NOW, NOW + 10 * DAY, 6 * HOUR) == []


def test_a_resolution_that_nobody_confirms_is_a_stall_too(pool: ConnectionPool, house: Teams) -> None:
    code = dispatched(pool, house)
    with pool.connection() as connection:
        accept(connection, house, code, NOW)
        connection.execute("update ticket set state = 'executing'")
        resolve(connection, house.house, code, now=NOW + HOUR)
    told = pass_time(pool, NOW, NOW + 26 * HOUR, HOUR)
    assert [(minutes / 60, facts["ladder"]) for minutes, _, _, facts in told] == [(25, "nudge")]


def test_an_edited_policy_leaves_the_ladders_of_open_tickets_as_they_are(pool: ConnectionPool, house: Teams) -> None:
    """ADR 0012."""
    with pool.connection() as connection:
        old = a_report(connection, house.house)
    body = shipped_body("repair")
    ladder = next(one for one in body["escalation"]["ladder"] if one["name"] == "not_accepted")
    ladder["rung"] = [{**ladder["rung"][0], "after_s": 300}]
    with pool.connection() as connection:
        publish_policy(connection, body, person_id=None, now=NOW)
        carry(connection, house.house, old, State.DISPATCHED)
    new = dispatched(pool, house)
    told = pass_time(pool, NOW, NOW + 16 * MINUTE)
    assert [(minutes, code) for minutes, code, _, _ in told] == [(5, new), (15, old)]


def test_sweeps_at_once_take_each_step_once(database: str) -> None:
    """SPEC N4. Fails when the claim does not name the step as open."""
    with open_pool(database, size=9) as pool:
        with pool.connection() as connection:
            house = teams(connection)
            connection.execute("update person set load_limit = 50")
        codes = [dispatched(pool, house) for _ in range(12)]
        with pool.connection() as connection:
            steps = due_steps(connection, NOW + 16 * MINUTE)
        assert len(steps) == 12
        barrier, taken = threading.Barrier(8), list[int]()

        def sweep() -> None:
            for step_id, code in steps:
                barrier.wait()
                with pool.connection() as connection:
                    if take_step(connection, step_id, code, NOW + 16 * MINUTE):
                        taken.append(step_id)

        threads = [threading.Thread(target=sweep) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with pool.connection() as connection:
            assert not any(take_step(connection, *step, NOW + 16 * MINUTE) for step in steps), "they are done"
        assert Counter(taken) == Counter({step_id: 1 for step_id, _ in steps})
        with pool.connection() as connection:
            sent = connection.execute("select count(*) from outbox where kind = 'escalation.not_accepted'").fetchone()
            assert sent == (12,)
            assert all(verify_timeline(connection, code) is None for code in codes)


def test_a_sweep_that_dies_leaves_the_whole_step_to_the_next(
    pool: ConnectionPool, house: Teams, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SPEC N4: claimed, told on the timeline, and dead before the message is written."""
    dispatched(pool, house)

    class Killed(BaseException):
        pass

    def dies(*_: object) -> int:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(escalations, "enqueue", dies)
        with pool.connection() as connection:
            ((step_id, code),) = due_steps(connection, NOW + 15 * MINUTE)
        with pytest.raises(Killed), pool.connection() as connection:
            take_step(connection, step_id, code, NOW + 15 * MINUTE)
    with pool.connection() as connection:
        assert connection.execute("select count(*) from ticket_event where command = 'escalate'").fetchone() == (0,)
    assert len(pass_time(pool, NOW + 15 * MINUTE, NOW + 15 * MINUTE)) == 1


def test_a_ticket_that_somebody_has_at_this_moment_is_left_for_the_next_sweep(
    pool: ConnectionPool, house: Teams
) -> None:
    code = dispatched(pool, house)
    with pool.connection() as connection:
        accept(connection, house, code, NOW + 15 * MINUTE)
        assert escalation_round(pool, NOW + 15 * MINUTE) == 0
    assert pass_time(pool, NOW + 15 * MINUTE, NOW + HOUR) == []


def test_a_step_that_fails_holds_up_none_behind_it(pool: ConnectionPool, house: Teams) -> None:
    bad = dispatched(pool, house)
    good = dispatched(pool, house, NOW + SECOND)
    with pool.connection() as connection:
        connection.execute("alter table ticket_event disable trigger user")
        connection.execute("update ticket set timeline_length = 1 where code = %s", (bad,))
    with pytest.raises(ExceptionGroup):
        escalation_round(pool, NOW + 16 * MINUTE)
    with pool.connection() as connection:
        rows = connection.execute(
            "select t.code from ticket_event e join ticket t on t.id = e.ticket_id where e.command = 'escalate'"
        ).fetchall()
        assert rows == [(good,)]
        late = service_alarms.troubles(connection, NOW + 17 * MINUTE, {})
        assert [(one.kind, one.detail["code"]) for one in late] == [("escalation_late", bad)]


def test_the_auditor_sees_a_step_that_nothing_takes_and_a_chain_that_broke(pool: ConnectionPool, house: Teams) -> None:
    """SPEC N4: overdue by more than 60 s, or a ladder that stands without a next step, or a ticket without ladders."""
    dispatched(pool, house)

    def late(now: datetime) -> list[tuple[str, object]]:
        with pool.connection() as connection:
            found = service_alarms.troubles(connection, now, {})
            return [(one.subject, one.detail["steps"]) for one in found if one.kind == "escalation_late"]

    assert late(NOW + 16 * MINUTE) == []
    assert late(NOW + 16 * MINUTE + SECOND) == [("plant-1", 1)]
    with pool.connection() as connection:
        connection.execute("delete from escalation_step where due_at < %s", (NOW + HOUR,))
    assert late(NOW) == [("plant-1", 1)]
    with pool.connection() as connection:
        connection.execute("delete from escalation_step")
        connection.execute("delete from escalation")
    assert late(NOW + MINUTE) == []
    assert late(NOW + MINUTE + SECOND) == [("plant-1", 1)]


def test_tickets_from_before_an_upgrade_get_their_ladders(pool: ConnectionPool, house: Teams) -> None:
    dispatched(pool, house)
    with pool.connection() as connection:
        connection.execute("delete from escalation_step")
        connection.execute("delete from escalation")
        assert adopt(connection, NOW + HOUR) == 1
        assert adopt(connection, NOW + HOUR) == 0
    assert [m for m, *_ in pass_time(pool, NOW + HOUR, NOW + 80 * MINUTE)] == [15]


def test_the_database_keeps_a_ladder_from_standing_twice(pool: ConnectionPool, house: Teams) -> None:
    dispatched(pool, house)
    with pool.connection() as connection:
        for query in (
            """insert into escalation (ticket_id, ladder, starts_on, round, subject, began_at)
               select ticket_id, ladder, starts_on, 9, subject, began_at from escalation""",
            """insert into escalation_step (escalation_id, number, due_at)
               select escalation_id, 9, due_at from escalation_step""",
        ):
            with pytest.raises(psycopg.errors.UniqueViolation), connection.transaction():
                connection.execute(query)


def test_a_frozen_policy_without_ladders_gets_those_that_are_shipped(pool: ConnectionPool) -> None:
    """The migration's text is the shipped file's."""
    with pool.connection() as connection:
        body = shipped_body("repair")
        ladders = body.pop("escalation")
        connection.execute("insert into policy (name, version, body, published_at) values ('repair', 1, %s, %s)",
                           (Jsonb(body), NOW))  # fmt: skip
        migration = (files("storage") / "migrations" / "0035_escalation.sql").read_text(encoding="utf-8")
        connection.execute("update policy" + migration.split("update policy")[1])  # type: ignore[call-overload]
        assert connection.execute("select body -> 'escalation' from policy").fetchone() == (ladders,)


def test_a_ticket_that_becomes_urgent_climbs_round_the_clock(pool: ConnectionPool, house: Teams) -> None:
    """A calm ticket of Friday evening becomes P0: its lead is told in minutes, not on Monday (SPEC S1)."""
    friday = datetime(2026, 3, 6, 9, 20, tzinfo=UTC)
    code = dispatched(pool, house, friday)
    with pool.connection() as connection:
        facts = {"level": "P0", "reason": "The line stands"}
        command(connection, code, "override_priority", house.house.supervisor, facts, now=friday + 11 * MINUTE)
    told = pass_time(pool, friday, friday + 16 * MINUTE)
    assert [(minutes, facts["ladder"]) for minutes, _, _, facts in told] == [(15, "not_accepted")]


def test_a_calendar_that_changes_takes_the_ladders_on_it_along(pool: ConnectionPool, house: Teams) -> None:
    """SPEC S3: the Monday on which the lead would have been told becomes a holiday."""
    friday = datetime(2026, 3, 6, 9, 20, tzinfo=UTC)
    code = dispatched(pool, house, friday)
    with pool.connection() as connection:
        calendar = calendar_row(connection, "weekdays", hold=True)
        assert calendar is not None
        enter_day(connection, calendar, date(2026, 3, 9), working=False, name="Founding day", now=friday + MINUTE)
        assert replan(connection, code, friday + MINUTE)
        (due_at,) = (
            connection.execute(
                """select s.due_at from escalation_step s join escalation e on e.id = s.escalation_id
               where e.ladder = 'not_accepted'"""
            ).fetchone()
            or ()
        )
    assert due_at == datetime(2026, 3, 10, 0, 5, tzinfo=UTC)


def test_the_backup_teams_engineer_gets_what_was_passed(pool: ConnectionPool, house: Teams) -> None:
    """SPEC N1, X1: passed on, the ticket is given to somebody of the other team, not to who did not answer."""
    code = dispatched(pool, house)
    pass_time(pool, NOW, NOW + 36 * MINUTE)
    assert dispatch_round(pool, NOW + 36 * MINUTE).dispatched == [code]
    with pool.connection() as connection:
        ticket = ticket_detail(connection, code, actor=house.lead, now=NOW).ticket
        assert ticket.assignee_name == "Night Engineer"


def test_a_reopened_ticket_is_not_red_for_the_time_it_was_closed(pool: ConnectionPool, house: Teams) -> None:
    """SPEC T9."""
    code = dispatched(pool, house)
    with pool.connection() as connection:
        accept(connection, house, code, NOW)
        photo = str(a_photo(connection, code))
        command(connection, code, "execute", house.house.near, {"attachment_id": photo}, summary="cover removed")
        resolve(connection, house.house, code, resolution="no_fault_found")
        connection.execute("update ticket set state = 'closed', closed_at = %s, outcome = 'no_fault_found'", (NOW,))
        command(connection, code, "reopen", house.house.supervisor, {"reason": "It howls again"}, now=NOW + 9 * DAY)
        command(connection, code, "view", house.house.supervisor, now=NOW + 9 * DAY)
        facts = {"content": "it howls louder than before"}
        command(connection, code, "note", house.house.requester, facts, now=NOW + 9 * DAY + MINUTE)
    told = pass_time(pool, NOW + 9 * DAY, NOW + 10 * DAY, 10 * MINUTE)
    assert {facts["ladder"] for *_, facts in told} == {"unassigned", "nudge"}
