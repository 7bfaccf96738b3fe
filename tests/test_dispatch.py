"""Dispatch: hard rules, soft weights, every candidate explained, and no silent pile (SPEC X1, X3, X4)."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from psycopg_pool import ConnectionPool

from runtime.rounds import dispatch_round
from storage.casework import create_report
from storage.tickets import ticket_detail
from tests.ticket_builders import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    a_device_ticket,
    a_house,
    a_report,
    an_asset,
    command,
    the_policy,
)
from ticketing.dispatch import Engineer, Job, Place, choose, distance_km, exclusions
from ticketing.policy.dispatch import SkillRule

POLICY = the_policy().dispatch
PLANT = Place(31.3, 120.7)
JOB = Job(("mechanical",), PLANT)
FIT = Engineer(1, "Fit", True, True, True, {"mechanical": 4}, 0, 3, PLANT)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"is_engineer_at_site": False}, "engineer_at_site"),
        ({"is_active": False}, "active"),
        ({"is_on_duty": False}, "on_duty"),
        ({"skills": {"electrical": 5}}, "skills"),
        ({"skills": {}}, "skills"),
        ({"open_tickets": 3}, "load"),
        ({"open_tickets": 1, "load_limit": 1}, "load"),
        ({"load_limit": 0}, "load"),
    ],
)
def test_each_hard_rule_excludes_and_says_so(changes: dict[str, object], rule: str) -> None:
    """SPEC X1, X4."""
    choice = choose(JOB, [replace(FIT, **changes)], POLICY)  # type: ignore[arg-type]
    assert choice.chosen_id is None
    assert [exclusion.rule for exclusion in choice.candidates[0].excluded_by] == [rule]


def test_every_broken_rule_is_told_not_only_the_first() -> None:
    broken = replace(FIT, is_on_duty=False, skills={}, open_tickets=9)
    assert [exclusion.rule for exclusion in exclusions(JOB, broken, POLICY)] == ["on_duty", "skills", "load"]


def test_a_person_may_lower_the_load_limit_but_not_raise_it() -> None:
    assert choose(JOB, [replace(FIT, load_limit=50, open_tickets=3)], POLICY).chosen_id is None
    assert choose(JOB, [replace(FIT, load_limit=50, open_tickets=2)], POLICY).chosen_id == 1


def test_all_skills_and_any_skill_are_different_rules() -> None:
    """Seed failure: a rule flipped from one to the other. Here it is a word of the policy."""
    both = Job(("mechanical", "hydraulic"), PLANT)
    assert choose(both, [FIT], POLICY).chosen_id is None
    assert choose(both, [FIT], replace(POLICY, skills=SkillRule.ANY)).chosen_id == 1
    neither = replace(FIT, skills={"electrical": 1})
    assert choose(both, [neither], replace(POLICY, skills=SkillRule.ANY)).chosen_id is None


@pytest.mark.parametrize("rule", list(SkillRule))
def test_a_job_that_asks_no_skill_excludes_nobody_by_skill(rule: SkillRule) -> None:
    """Seed failure: an empty skill list matched nobody."""
    assert choose(Job((), PLANT), [replace(FIT, skills={})], replace(POLICY, skills=rule)).chosen_id == 1


def test_the_nearer_the_freer_and_the_more_skilled_is_preferred() -> None:
    far = replace(FIT, person_id=2, place=Place(32.3, 120.7))
    busy = replace(FIT, person_id=3, open_tickets=2)
    junior = replace(FIT, person_id=4, skills={"mechanical": 1})
    lost = replace(FIT, person_id=5, place=None)
    choice = choose(JOB, [far, busy, junior, lost, FIT], POLICY)
    assert choice.chosen_id == 1
    parts = {part.name: part for part in choice.candidates[0].parts}
    assert (parts["distance"].value, parts["load"].value, parts["skill"].value) == (1.0, 1.0, 0.8)
    assert choice.candidates[0].score == pytest.approx(0.4 + 0.3 + 0.3 * 0.8)
    assert {candidate.person_id for candidate in choice.candidates} == {1, 2, 3, 4, 5}


def test_at_the_near_distance_half_of_the_distance_counts() -> None:
    near = Place(PLANT.latitude + POLICY.near_km / 111.195, PLANT.longitude)
    assert choose(JOB, [replace(FIT, place=near)], POLICY).candidates[0].parts[0].value == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize(
    ("one", "other", "km"),
    [
        (Place(31.2304, 121.4737), Place(39.9042, 116.4074), 1067.3),
        (Place(0, 179.9), Place(0, -179.9), 22.24),
        (Place(90, 0), Place(-90, 0), 20015.1),
        (PLANT, PLANT, 0.0),
    ],
)
def test_distance_is_the_great_circle(one: Place, other: Place, km: float) -> None:
    assert distance_km(one, other) == pytest.approx(km, rel=1e-3, abs=1e-9)


def test_the_order_in_which_engineers_are_read_does_not_decide() -> None:
    rng = random.Random(5)
    crew = [replace(FIT, person_id=n, open_tickets=rng.randrange(3)) for n in range(1, 20)]
    chosen = set()
    for _ in range(20):
        rng.shuffle(crew)
        chosen.add(choose(JOB, crew, POLICY).chosen_id)
    assert len(chosen) == 1


def test_nobody_at_all_is_an_answer() -> None:
    assert choose(JOB, [], POLICY).chosen_id is None


def test_a_round_sends_the_best_engineer_and_stores_why(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
    assert dispatch_round(pool, NOW).dispatched == [code]
    with pool.connection() as connection:
        detail = ticket_detail(connection, code, actor=house.near, now=NOW)
        assert (detail.ticket.state, detail.ticket.assignee_name) == ("dispatched", "Near")
        assert detail.dispatch is not None
        assert (detail.dispatch.chosen_name, len(detail.dispatch.candidates)) == ("Near", 3)
        excluded = {c["name"]: [rule["rule"] for rule in c["excluded_by"]] for c in detail.dispatch.candidates}  # type: ignore[index,attr-defined]
        assert excluded == {"Near": [], "Far": [], "Unskilled": ["skills"]}
        row = connection.execute("select body from outbox where kind = 'ticket.dispatched'").fetchone()
        assert row is not None
        assert row[0]["person_ids"] == [house.near.person_id]
    assert dispatch_round(pool, NOW).dispatched == []


def test_nobody_fits_is_visible_told_once_and_tried_again_every_round(pool: ConnectionPool) -> None:
    """SPEC X3: never a silent pile."""
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        connection.execute("update person set on_duty = false")
    for minute in range(5):
        assert dispatch_round(pool, NOW + minute * MINUTE).unassigned == [code]
    with pool.connection() as connection:
        detail = ticket_detail(connection, code, actor=house.supervisor, now=NOW)
        assert (detail.ticket.state, detail.ticket.version) == ("new", 1)
        assert [event.command for event in detail.timeline] == ["open", "unassigned"]
        assert detail.dispatch is not None
        assert detail.dispatch.chosen_id is None
        assert all(candidate["excluded_by"] for candidate in detail.dispatch.candidates)
        kinds = [row[0] for row in connection.execute("select kind from outbox order by id")]
        assert kinds == ["ticket.state", "ticket.unassigned"]
        # The same answer five times is one decision.
        assert connection.execute("select count(*) from dispatch_decision").fetchone() == (1,)
        connection.execute("update person set on_duty = true where login = 'far'")
    assert dispatch_round(pool, NOW + HOUR).dispatched == [code]
    with pool.connection() as connection:
        assert ticket_detail(connection, code, actor=house.far, now=NOW).ticket.assignee_name == "Far"


def test_a_round_fills_nobody_beyond_the_load_limit_and_serves_the_urgent_first(pool: ConnectionPool) -> None:
    """SPEC X1: load below the limit of 3."""
    with pool.connection() as connection:
        house = a_house(connection)
        connection.execute("update person set active = false where login in ('far', 'unskilled')")
        ordinary = [a_report(connection, house, NOW, title=f"noise {n}") for n in range(4)]
        urgent = create_report(
            connection,
            asset_id=house.asset_id,
            title="line is down",
            description="",
            reporter=house.requester,
            now=NOW + MINUTE,
            line_stopped=True,
        )
    result = dispatch_round(pool, NOW + MINUTE)
    assert result.dispatched == [urgent, *ordinary[:2]]
    assert result.unassigned == ordinary[2:]


def test_a_supervisor_may_override_the_rules_but_not_send_somebody_who_is_no_engineer(pool: ConnectionPool) -> None:
    """SPEC X2."""
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        to_unskilled = {"assignee_id": house.unskilled.person_id}
        assert command(connection, code, "dispatch", house.supervisor, to_unskilled).ticket.assignee_name == "Unskilled"


def test_an_engineer_of_another_site_is_not_sent(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        connection.execute("insert into site values ('plant-2', 'Plant 2', 'weekdays', 30, 120)")
        asset_id, _, _ = an_asset(connection, "M-9", None, NOW)
        connection.execute("update asset set site_id = 'plant-2' where id = %s", (asset_id,))
        report = {"title": "noise", "description": "", "reporter": house.requester, "now": NOW}
        code = create_report(connection, asset_id=asset_id, **report)  # type: ignore[arg-type]
    assert dispatch_round(pool, NOW).unassigned == [code]
    with pool.connection() as connection:
        connection.execute("update person_role set site_id = null where person_id = %s", (house.far.person_id,))
    assert dispatch_round(pool, NOW + DAY).dispatched == [code]


def test_two_rounds_at_once_dispatch_each_ticket_once(pool: ConnectionPool) -> None:
    import threading

    with pool.connection() as connection:
        house = a_house(connection)
        connection.execute("update person set load_limit = 3")
        for n in range(9):
            a_report(connection, house, NOW, title=f"noise {n}")
    rounds = [threading.Thread(target=dispatch_round, args=(pool, NOW)) for _ in range(3)]
    for one in rounds:
        one.start()
    for one in rounds:
        one.join()
    with pool.connection() as connection:
        sent = "select count(*), count(distinct ticket_id) from ticket_event where command = 'dispatch'"
        assert connection.execute(sent).fetchone() == (9, 9)
        loads = "select count(*) from ticket group by assignee_id order by 1"
        assert [row[0] for row in connection.execute(loads)] == [3, 3, 3]
