"""The ways in which dispatch fails elsewhere, and that none of them ends in a silent pile (SPEC X1-X4, X6)."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from domain.refusals import Refused
from runtime import rounds
from runtime.rounds import dispatch_round
from storage.casework import create_report, open_from_prediction
from storage.dispatch_views import DispatchView
from storage.dispatching import How, count_first_time_fixes, engineer_for, open_jobs
from storage.policies import publish_policy, shipped_body
from storage.shifts import add_absence, add_shift
from storage.tickets import ticket_detail
from tests.test_shifts import a_team
from tests.ticket_builders import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    House,
    a_device_ticket,
    a_house,
    a_prediction,
    a_report,
    an_asset,
    carry,
    command,
    finish_work,
    resolve,
)
from ticketing.actors import Actor
from ticketing.dispatching.shapes import Presence


def another_device_ticket(connection: Connection, house: House, now: datetime) -> str:
    """A ticket of the same fault, on evidence of its own."""
    code = open_from_prediction(connection, a_prediction(connection, house, now=now, evidence_at=now - HOUR), now)
    assert code is not None
    return code


def an_urgent_report(connection: Connection, house: House, title: str = "line is down") -> str:
    return create_report(
        connection,
        asset_id=house.asset_id,
        title=title,
        description="",
        reporter=house.requester,
        now=NOW,
        line_stopped=True,
    )


def decision(connection: Connection, code: str, actor: Actor) -> DispatchView:
    found = ticket_detail(connection, code, actor=actor, now=NOW).dispatch
    assert found is not None
    return found


def notices(connection: Connection, kind: str = "ticket.unassigned") -> int:
    row = connection.execute("select count(*) from outbox where kind = %s", (kind,)).fetchone()
    assert row is not None
    return int(row[0])


def everybody_off(connection: Connection) -> None:
    """Plan a night shift that has not begun for every engineer, so that nobody is on shift now."""
    for (person_id,) in connection.execute("select person_id from person_role where role = 'engineer'").fetchall():
        add_shift(connection, person_id, NOW + 12 * HOUR, NOW + 20 * HOUR, False)


def test_nobody_on_shift_is_told_again_and_again_and_ends_with_the_teams_lead(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        everybody_off(connection)
        team_id = a_team(connection, house.near.person_id or 0)
        connection.execute("update team set lead_id = %s where id = %s", (house.supervisor.person_id, team_id))
    assert dispatch_round(pool, NOW + MINUTE).unassigned == [code]
    assert dispatch_round(pool, NOW + 14 * MINUTE).unassigned == [code]
    with pool.connection() as connection:
        assert notices(connection) == 1
        excluded = decision(connection, code, house.supervisor).excluded
        assert excluded["on_shift"] == 3
    assert dispatch_round(pool, NOW + 15 * MINUTE).dispatched == [code]
    with pool.connection() as connection:
        found = decision(connection, code, house.supervisor)
        assert (found.chosen_name, found.how, found.fitting) == ("Supervisor", "fallback", 0)
        assert notices(connection) == 2
        assert notices(connection, "ticket.dispatched") == 1
        said = ticket_detail(connection, code, actor=house.supervisor, now=NOW).timeline[-2].facts
        assert said["fallback_id"] == house.supervisor.person_id


def without_the_unassigned_ladder() -> Mapping[str, object]:
    body = shipped_body("repair")
    ladders = [one for one in body["escalation"]["ladder"] if one["starts_on"] != "unassigned"]
    return {**body, "escalation": {**body["escalation"], "ladder": ladders}}


@pytest.mark.parametrize(
    ("body", "told"), [(shipped_body("repair"), 1), (without_the_unassigned_ladder(), 4)], ids=["ladder", "no ladder"]
)
def test_nobody_on_shift_and_no_lead_is_an_alarm_that_repeats(
    pool: ConnectionPool, body: Mapping[str, object], told: int
) -> None:
    """SPEC X3: never a silent pile, nor two voices: the ladder repeats (test_escalations.py), else the round does."""
    with pool.connection() as connection:
        house = a_house(connection)
        publish_policy(connection, body, person_id=None, now=NOW)
        codes = [a_report(connection, house, title=f"noise {n}") for n in range(3)]
        everybody_off(connection)
    for half_minute in range(0, 4 * 60):
        if half_minute % 20 == 0:
            assert dispatch_round(pool, NOW + half_minute * timedelta(seconds=30)).unassigned == codes
    with pool.connection() as connection:
        # In two hours: at once, and every half hour after it where no ladder reminds.
        assert notices(connection) == 3 * told
    # The shift begins: they go.
    assert dispatch_round(pool, NOW + 12 * HOUR).dispatched == codes


def test_the_last_engineer_who_closed_the_same_kind_goes_where_nobody_fits(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        old = a_device_ticket(connection, house)
        carry_to_the_end(connection, house, old)
        a_lead(connection, house)
        code = another_device_ticket(connection, house, NOW + DAY)
        connection.execute("update person set on_duty = false")
    assert dispatch_round(pool, NOW + DAY + 16 * MINUTE).dispatched == [code]
    with pool.connection() as connection:
        assert decision(connection, code, house.near).chosen_name == "Near"
        assert decision(connection, code, house.near).how == "fallback"


@pytest.mark.parametrize(
    "trouble",
    [
        "insert into absence (person_id, starts_at, ends_at, reason) values (%(id)s, %(now)s, %(later)s, 'ill')",
        "insert into certificate_needed (certificate, site_id) values ('height', 'plant-1')",
        "insert into person_site_access values (%(id)s, 'plant-1', '2026-01-01')",
        "update person set active = false where id = %(id)s",
        "update person set load_limit = 0 where id = %(id)s",
    ],
)
def test_the_fallback_never_sends_somebody_who_may_not_go(pool: ConnectionPool, trouble: str) -> None:
    """Shift and skill give way; a certificate, a way in, absence and twice the load do not: then the lead goes."""
    with pool.connection() as connection:
        house = a_house(connection)
        carry_to_the_end(connection, house, a_device_ticket(connection, house))
        a_lead(connection, house)
        code = another_device_ticket(connection, house, NOW + DAY)
        connection.execute("update person set on_duty = false")
        connection.execute(trouble, {"id": house.near.person_id, "now": NOW, "later": NOW + 9 * DAY})
    assert dispatch_round(pool, NOW + DAY + 16 * MINUTE).dispatched == [code]
    with pool.connection() as connection:
        assert decision(connection, code, house.supervisor).chosen_name == "Supervisor"


def carry_to_the_end(connection: Connection, house: House, code: str) -> None:
    from ticketing.ticket import State

    carry(connection, house, code, State.EXECUTING)
    finish_work(connection, house, code)
    resolve(connection, house, code)
    command(connection, code, "confirm", house.supervisor, {"satisfied": True})
    command(connection, code, "close", house.near)


def a_lead(connection: Connection, house: House) -> None:
    team_id = a_team(connection, house.far.person_id or 0)
    connection.execute("update team set lead_id = %s where id = %s", (house.supervisor.person_id, team_id))


def test_what_cannot_wait_falls_back_at_once_and_has_a_round_of_its_own(pool: ConnectionPool) -> None:
    """SPEC X2: P0 is assigned at once where possible."""
    with pool.connection() as connection:
        house = a_house(connection)
        a_lead(connection, house)
        connection.execute("update person set on_duty = false")
        ordinary, urgent = a_report(connection, house), an_urgent_report(connection, house)
    assert dispatch_round(pool, NOW, How.URGENT).dispatched == [urgent]
    with pool.connection() as connection:
        found = decision(connection, urgent, house.supervisor)
        assert (found.how, found.chosen_name) == ("fallback", "Supervisor")
        assert ticket_detail(connection, ordinary, actor=house.supervisor, now=NOW).dispatch is None


def test_an_urgent_ticket_reaches_who_is_on_call_and_an_ordinary_one_waits(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        everybody_off(connection)
        add_shift(connection, house.far.person_id or 0, NOW, NOW + HOUR, True)
        ordinary, urgent = a_report(connection, house), an_urgent_report(connection, house)
    result = dispatch_round(pool, NOW)
    assert (result.dispatched, result.unassigned) == ([urgent], [ordinary])
    with pool.connection() as connection:
        assert decision(connection, urgent, house.far).chosen_name == "Far"
        assert dict(decision(connection, ordinary, house.far).excluded) == {"on_shift": 3}


def test_an_empty_skill_list_is_no_skill_asked(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        connection.execute("update failure_mode set skills = '{}'")
        connection.execute("delete from person_skill")
        code = a_device_ticket(connection, house)
    assert dispatch_round(pool, NOW).dispatched == [code]


def test_any_flipped_to_all_is_seen_in_each_decision_and_never_silent(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        connection.execute("update failure_mode set skills = '{mechanical,electrical}'")
        code = a_device_ticket(connection, house)
    assert dispatch_round(pool, NOW).unassigned == [code]
    with pool.connection() as connection:
        found = decision(connection, code, house.supervisor)
        assert dict(found.excluded) == {"skills": 3}
        told = {one["name"]: one["excluded_by"][0]["found"] for one in found.candidates}  # type: ignore[index]
        assert told["Near"] == "all of mechanical, electrical; lacks electrical"
        assert notices(connection) == 1
        # The policy is frozen on the ticket: a corrected one serves the next, not this one.
        body = shipped_body("repair")
        body["dispatch"] = {**body["dispatch"], "skills": "any"}  # type: ignore[dict-item]
        publish_policy(connection, body, person_id=None, now=NOW)
        asset_id, series_id, rule_id = an_asset(connection, "M-2", house.requester.person_id, NOW)
        following = a_device_ticket(connection, replace(house, asset_id=asset_id, series_id=series_id, rule_id=rule_id))
    result = dispatch_round(pool, NOW + MINUTE)
    assert (result.dispatched, result.unassigned) == ([following], [code])


def test_three_engineers_on_one_ticket_cannot_be(pool: ConnectionPool) -> None:
    """Three who claim, a supervisor who dispatches and two rounds at once: one of them wins, whoever it is."""
    with pool.connection() as connection:
        house = a_house(connection)
        connection.execute("update person set load_limit = 10")
        codes = [a_report(connection, house, title=f"noise {n}") for n in range(6)]
    promise = {"expected_response_at": (NOW + HOUR).isoformat()}
    who = [house.near, house.far, house.unskilled]

    def claim(actor: Actor) -> None:
        for code in codes:
            try:
                with pool.connection() as own:
                    command(own, code, "accept", actor, promise)
            except Refused:
                continue

    work = [threading.Thread(target=claim, args=(actor,)) for actor in who]
    work += [threading.Thread(target=dispatch_round, args=(pool, NOW)) for _ in range(2)]
    for one in work:
        one.start()
    for one in work:
        one.join()
    with pool.connection() as connection:
        winners = connection.execute(
            """select count(*) from ticket_event where command in ('dispatch', 'accept') and from_state = 'new'
               group by ticket_id"""
        ).fetchall()
        assert winners == [(1,)] * 6
        assert connection.execute("select count(*) from ticket where assignee_id is null").fetchone() == (0,)


def test_a_delegate_is_offered_in_an_absent_ones_place(pool: ConnectionPool) -> None:
    """SPEC X6: the delegate is at work when the absent one would be, and counts as one of their team."""
    with pool.connection() as connection:
        house = a_house(connection)
        near, far = house.near.person_id or 0, house.far.person_id or 0
        team_id = a_team(connection, near)
        add_shift(connection, near, NOW, NOW + 8 * HOUR, False)
        add_shift(connection, far, NOW + DAY, NOW + 2 * DAY, False)
        code = a_device_ticket(connection, house)
        connection.execute("update ticket set team_id = %s where code = %s", (team_id, code))
        found = engineer_for(connection, far, NOW)
        assert found is not None
        assert (found.presence, found.team_ids) == (Presence.OFF, frozenset())
        add_absence(connection, near, NOW - HOUR, NOW + 4 * HOUR, reason="ill", delegate_id=far)
    assert dispatch_round(pool, NOW).dispatched == [code]
    with pool.connection() as connection:
        found_now = decision(connection, code, house.far)
        assert found_now.chosen_name == "Far"
        told = {one["name"]: one["excluded_by"] for one in found_now.candidates}
        assert told["Near"][0]["found"] == "absent until 2026-03-02 06:00 UTC; Far stands in"  # type: ignore[index]
        assert [one["rule"] for one in told["Unskilled"]] == ["team", "skills"]  # type: ignore[index,attr-defined]


def test_a_person_without_any_plan_follows_on_duty(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        far = house.far.person_id or 0
        presences = []
        for plan in ((), (NOW - HOUR, NOW + HOUR), (NOW + HOUR, NOW + 2 * HOUR)):
            connection.execute("delete from shift")
            if plan:
                add_shift(connection, far, *plan, False)
            found = engineer_for(connection, far, NOW)
            assert found is not None
            presences.append(found.presence)
        assert presences == [Presence.AT_WORK, Presence.AT_WORK, Presence.OFF]


def test_a_job_reads_what_its_place_and_its_failure_mode_ask_for(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        a_report(connection, house)
        connection.execute(
            """insert into certificate_needed (certificate, site_id, asset_type_id, failure_mode_id)
               values ('site_pass', 'plant-1', null, null), ('high_voltage', null, 'motor', %s),
                      ('unrelated', 'plant-1', null, %s)""",
            (house.mode_id, None),
        )
        connection.execute("update asset set brand = 'ABB'")
        jobs = {one.job.code: one.job for one in open_jobs(connection, NOW.replace(hour=17))}
        needed = {one: set(job.certificates) for one, job in jobs.items()}
        assert needed[code] == {"site_pass", "high_voltage", "unrelated"}
        assert {frozenset(names) for names in needed.values()} >= {frozenset({"site_pass", "unrelated"})}
        assert jobs[code].brand == "ABB"
        # 17:00 UTC is the next day in Shanghai: certificates are valid by the site's date.
        assert jobs[code].day == date(2026, 3, 3)


def test_repairs_that_held_are_counted_by_engineer_and_type(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        carry_to_the_end(connection, house, a_device_ticket(connection, house))
        assert count_first_time_fixes(connection, NOW + DAY) == 1
        found = engineer_for(connection, house.near.person_id or 0, NOW + DAY)
        assert found is not None
        assert found.repairs == {"motor": (1, 1)}
        assert found.handled_h == {house.mode_id: pytest.approx(24.0)}
        # The same fault again within thirty days: it did not hold (SPEC C5).
        another_device_ticket(connection, house, NOW + 5 * DAY)
        count_first_time_fixes(connection, NOW + 6 * DAY)
        again = engineer_for(connection, house.near.person_id or 0, NOW + 6 * DAY)
        assert again is not None
        assert again.repairs == {"motor": (1, 0)}
        assert count_first_time_fixes(connection, NOW + 400 * DAY) == 0


def test_one_round_goes_on_at_a_time(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_report(connection, house)
    with pool.connection() as other:
        assert other.execute("select pg_try_advisory_lock(hashtext('wearsight dispatch round'))").fetchone() == (True,)
        other.commit()
        result = dispatch_round(pool, NOW)
        assert (result.dispatched, result.unassigned) == ([], [])
        other.execute("select pg_advisory_unlock_all()")
    assert dispatch_round(pool, NOW).dispatched == [code]
    assert dispatch_round(pool, NOW).dispatched == []


def test_a_frozen_ticket_is_left_and_it_is_said_why(pool: ConnectionPool) -> None:
    """SPEC S6: more than three open P0 keep P3 and P4 back, from rounds and from claims."""
    with pool.connection() as connection:
        house = a_house(connection)
        urgent = [an_urgent_report(connection, house, f"line {n} is down") for n in range(4)]
        code = a_report(connection, house)
        connection.execute("update ticket set priority = 4 where code = %s", (code,))
    result = dispatch_round(pool, NOW)
    assert (result.dispatched, result.unassigned) == (urgent, [])
    with pool.connection() as connection:
        found = decision(connection, code, house.supervisor)
        assert (found.how, found.chosen_id, found.considered) == ("frozen", None, 0)
        promise = {"expected_response_at": (NOW + HOUR).isoformat()}
        with pytest.raises(Refused) as caught:
            command(connection, code, "accept", house.near, promise)
        assert caught.value.name == "dispatch_frozen"
    with pool.connection() as connection:
        for one in urgent:
            command(connection, one, "cancel", house.supervisor, {"reason": "Line runs again"})
    assert dispatch_round(pool, NOW + MINUTE).dispatched == [code]


def test_a_plan_that_was_overtaken_is_not_carried_out(pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between plan and giving out the engineer fell ill or the ticket changed: both wait for the next round."""
    with pool.connection() as connection:
        house = a_house(connection)
        connection.execute("update person set active = false where login in ('far', 'unskilled')")
        codes = [a_report(connection, house, title=f"noise {n}") for n in range(2)]
    planned = rounds._planned

    def overtaken(*arguments: object) -> list[object]:
        found = list(planned(*arguments))  # type: ignore[arg-type]
        with pool.connection() as connection:
            command(connection, codes[0], "note", house.supervisor, {"content": "seen at the pump"}, summary="seen")
            add_absence(connection, house.near.person_id or 0, NOW - HOUR, NOW + HOUR, reason="ill")
        return found  # type: ignore[return-value]

    monkeypatch.setattr(rounds, "_planned", overtaken)
    result = dispatch_round(pool, NOW)
    assert (result.dispatched, result.unassigned) == ([], [])
    monkeypatch.undo()
    assert dispatch_round(pool, NOW + MINUTE).unassigned == codes
    assert dispatch_round(pool, NOW + 2 * HOUR).dispatched == codes
