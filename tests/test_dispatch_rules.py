"""Dispatch rules before they count: lint, dry run on past tickets, publishing (SPEC X4)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from domain.refusals import Refused
from runtime.rounds import dispatch_round
from storage.dispatch_rules import dry_run, lint_in_force, lint_section, publish_section, rules_in_force
from storage.policies import policy_in_force
from storage.qualifications import add_certificate, ask_for_certificate
from storage.shifts import add_absence, add_shift
from tests.ticket_builders import DAY, HOUR, NOW, a_house, a_report, command, the_policy
from ticketing.dispatching.lint import Grade, lint
from ticketing.dispatching.shapes import Certificate, Engineer, Job, Place, Presence
from ticketing.dispatching.trial import PastTicket, try_rules
from ticketing.policy.dispatch import SkillRule

POLICY = the_policy().dispatch
PLANT, TODAY = Place(31.3, 120.7), date(2026, 3, 2)
WORK = Job("motor/wear at plant-1", 0, "plant-1", PLANT, TODAY, ("mechanical", "electrical"))
MECHANIC = Engineer(1, "Mechanic", PLANT, frozenset({"plant-1"}), skills={"mechanical": 3})
ELECTRICIAN = Engineer(2, "Electrician", PLANT, frozenset({"plant-1"}), skills={"electrical": 3})
BOTH = Engineer(3, "Both", PLANT, frozenset({"plant-1"}), skills={"mechanical": 3, "electrical": 3})


@pytest.mark.parametrize(
    ("crew", "kind", "says"),
    [
        ([], "nobody_at_site", "no active engineer has a role at plant-1"),
        ([replace(BOTH, is_active=False)], "nobody_at_site", "no active engineer has a role at plant-1"),
        ([replace(BOTH, sites=frozenset({"plant-2"}))], "nobody_at_site", "no active engineer has a role at plant-1"),
        ([MECHANIC, ELECTRICIAN], "all_of_nobody", "nobody there has all of mechanical, electrical together"),
        ([MECHANIC], "skill_of_nobody", "nobody there has electrical"),
        ([replace(BOTH, access={"plant-2": None})], "nobody", "nobody there has the skills, the certificates"),
    ],
)
def test_work_that_nobody_can_do_is_an_error_that_says_why(crew: list[Engineer], kind: str, says: str) -> None:
    (found,) = lint([WORK], crew, POLICY)
    assert (found.grade, found.kind, found.what) == (Grade.ERROR, kind, WORK.code)
    assert says in found.told


def test_any_instead_of_all_is_one_word_and_the_lint_sees_the_difference() -> None:
    assert lint([WORK], [MECHANIC, ELECTRICIAN], replace(POLICY, skills=SkillRule.ANY)) == []
    assert lint([WORK], [BOTH], POLICY) == []


def test_a_certificate_that_nobody_holds_is_an_error_and_one_that_ran_out_is_too() -> None:
    work = replace(WORK, certificates=("height",))
    assert [one.kind for one in lint([work], [BOTH], POLICY)] == ["certificate_of_nobody"]
    old = replace(BOTH, certificates=(Certificate("height", TODAY - 9 * DAY, TODAY - DAY),))
    assert [one.kind for one in lint([work], [old], POLICY)] == ["certificate_of_nobody"]
    assert lint([work], [replace(old, certificates=(Certificate("height", TODAY, TODAY),))], POLICY) == []


def test_an_engineer_without_skills_is_a_warning() -> None:
    nobody = replace(BOTH, person_id=4, name="Novice", skills={})
    (found,) = lint([WORK], [BOTH, nobody], POLICY)
    assert (found.grade, found.kind, found.what) == (Grade.WARNING, "no_skills", "Novice")
    assert lint([replace(WORK, skills=())], [nobody], POLICY) == []


def test_an_absence_or_a_full_load_is_no_trouble_of_the_rules() -> None:
    away = replace(BOTH, absent_until=NOW, presence=Presence.OFF, open_tickets=9, is_on_duty=False)
    assert lint([WORK], [away], POLICY) == []


def test_the_work_of_a_house_is_linted_by_site_and_failure_mode(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        a_house(connection)
        assert lint_in_force(connection, NOW) == []
        ask_for_certificate(connection, "height", None, "motor", "bearing_wear")
        (found,) = lint_in_force(connection, NOW)
        assert (found.kind, found.what) == ("certificate_of_nobody", "motor/bearing_wear at plant-1")
        (near,) = connection.execute("select id from person where login = 'near'").fetchone()
        add_certificate(connection, near, "height", TODAY, None)
        assert lint_in_force(connection, NOW) == []


def test_rules_that_leave_work_undone_are_refused_and_the_others_are_published(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        a_house(connection)
        found = rules_in_force(connection)
        strict = {**found.section, "least_level": 5}
        asked = {"reason": "Experts only", "person_id": None, "now": NOW}
        with pytest.raises(Refused) as caught:
            publish_section(connection, strict, after=found.policy_id, **asked)  # type: ignore[arg-type]
        assert caught.value.name == "invalid_policy"
        assert "motor/bearing_wear at plant-1: nobody there has mechanical" in caught.value.got
        relaxed = {**found.section, "load_limit": 5}
        assert publish_section(connection, relaxed, after=found.policy_id, **asked) == []  # type: ignore[arg-type]
        assert policy_in_force(connection)[1].dispatch.load_limit == 5
        with pytest.raises(Refused) as stale:
            publish_section(connection, relaxed, after=found.policy_id, **asked)  # type: ignore[arg-type]
        assert stale.value.name == "stale_record"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"skills": "most"}, "dispatch.skills"),
        ({"load_limit": 0}, "dispatch.load_limit"),
        ({"shifts": True}, "dispatch"),
        ({"weights": {"distance": 1}}, "dispatch.weights.load"),
    ],
)
def test_a_section_that_cannot_be_is_refused_by_its_path(
    pool: ConnectionPool, change: dict[str, object], path: str
) -> None:
    with pool.connection() as connection:
        a_house(connection)
        with pytest.raises(Refused) as caught:
            lint_section(connection, {**rules_in_force(connection).section, **change}, NOW)
        assert caught.value.name == "invalid_policy"
        assert caught.value.expected.startswith(path)


def past(number: int, went: int | None, hours: float = 1.0) -> PastTicket:
    opened = NOW + number * timedelta(minutes=10)
    job = replace(WORK, code=f"P{number:06}", skills=("mechanical",), priority=2)
    return PastTicket(job, opened, opened + timedelta(hours=hours), went)


def test_a_trial_keeps_people_busy_as_long_as_the_tickets_really_lasted() -> None:
    crew = [MECHANIC]
    free = [[Presence.AT_WORK]] * 8
    # One ticket at a time: with one of an hour every ten minutes, every seventh finds the mechanic free.
    one_at_a_time = replace(POLICY, load_limit=1)
    outcome = try_rules([past(n, 1) for n in range(8)], crew, free, one_at_a_time)
    assert [number for number, who in enumerate(outcome.chosen) if who] == [0, 6]
    assert (outcome.dispatched, outcome.unassigned, outcome.mean_km) == (2, 6, 0.0)
    able = [replace(MECHANIC, load_limit=6)]
    at_six = try_rules([past(n, 1) for n in range(8)], able, free, replace(POLICY, load_limit=6))
    assert at_six.unassigned == 0


def test_a_trial_spreads_the_load_and_says_how_evenly() -> None:
    twin = replace(MECHANIC, person_id=2, name="Twin")
    outcome = try_rules([past(n, 1, 48) for n in range(4)], [MECHANIC, twin], [[Presence.AT_WORK] * 2] * 4, POLICY)
    assert (outcome.by_person, outcome.load_spread) == ({"Mechanic": 2, "Twin": 2}, 0.0)
    night = [[Presence.AT_WORK, Presence.OFF]] * 4
    alone = try_rules([past(n, 1, 48) for n in range(4)], [MECHANIC, twin], night, POLICY)
    assert (alone.dispatched, alone.unassigned, alone.load_spread) == (3, 1, 1.5)


def some_past(connection: Connection) -> list[str]:
    house = a_house(connection)
    codes = [a_report(connection, house, NOW + n * HOUR, title=f"noise {n}") for n in range(4)]
    for code in codes:
        command(connection, code, "dispatch", house.supervisor, {"assignee_id": house.far.person_id})
    return codes


def test_a_dry_run_tells_who_would_have_gone_beside_who_went(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        codes = some_past(connection)
        found = dry_run(connection, rules_in_force(connection).section, 30, NOW + 5 * DAY)
        assert (found.tickets, found.left_out, found.happened.by_person) == (4, 0, {"Far": 4})
        assert found.tried == found.in_force
        assert found.tried.unassigned == 0
        assert found.tried.mean_km is not None
        assert found.happened.mean_km is not None
        assert found.tried.mean_km < found.happened.mean_km
        assert {one.code for one in found.differing} <= set(codes)
        assert {one.went for one in found.differing} == {"Far"}
        assert dry_run(connection, rules_in_force(connection).section, 30, NOW + 40 * DAY).tickets == 0
        tight = dry_run(connection, {**rules_in_force(connection).section, "load_limit": 1}, 30, NOW + 5 * DAY)
        assert (tight.tried.unassigned, tight.in_force.unassigned) == (1, 0)


def test_a_dry_run_reads_the_plans_and_absences_of_the_day(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        some_past(connection)
        people = dict(connection.execute("select login, id from person").fetchall())
        add_absence(connection, people["near"], NOW - HOUR, NOW + 10 * HOUR, reason="ill")
        add_shift(connection, people["unskilled"], NOW + 90 * timedelta(minutes=1), NOW + 9 * HOUR, False)
        found = dry_run(connection, rules_in_force(connection).section, 30, NOW + 5 * DAY)
        # The first two come before the shift begins; the later two may go to both.
        assert found.tried.by_person["Far"] >= 2
        assert set(found.tried.by_person) == {"Far", "Unskilled"}


def test_a_round_after_publishing_goes_by_the_new_rules(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        found = rules_in_force(connection)
        nearer = {**found.section, "weights": {**found.section["weights"], "distance": 0.0, "skill": 1.0}}  # type: ignore[dict-item]
        publish_section(connection, nearer, after=found.policy_id, reason="Skill first", person_id=None, now=NOW)
        connection.execute("update person_skill set level = 5 where person_id = %s", (house.far.person_id,))
        connection.execute("update failure_mode set skills = '{mechanical}'")
        code = a_report(connection, house)
        connection.execute("update ticket set failure_mode_id = %s", (house.mode_id,))
    assert dispatch_round(pool, NOW).dispatched == [code]
    with pool.connection() as connection:
        assert connection.execute("select assignee_id from ticket").fetchone() == (house.far.person_id,)
