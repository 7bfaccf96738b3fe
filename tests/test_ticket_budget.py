"""The daily ticket budget of a site: never one ticket too many, nothing forgotten, the gravest pass (SPEC P5)."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from psycopg_pool import ConnectionPool

from detectors.library import RuleMode
from runtime.assessing import assess_due
from storage import reviews
from storage.detection_policy import publish_detection_policy
from storage.floods import FloodOfTicket, flood_of_ticket, floods_now
from storage.policies import shipped_body
from storage.reviews import list_predictions
from storage.rules import publish_rule, rule_versions
from storage.ticket_budget import may_open
from tests.api_builders import TestClock, an_api
from tests.test_assessing import Press, a_press, drift, fitted, raised, told
from ticketing.actors import Role

MINUTE = timedelta(minutes=1)
# Ten in the evening at plant-1 (Asia/Shanghai): two hours of its day are left.
EVENING = datetime(2026, 4, 1, 14, 0, tzinfo=UTC)
MIDNIGHT = datetime(2026, 4, 1, 16, 0, tzinfo=UTC)


def a_budget(pool: ConnectionPool, most: int, passes: int = 11, sites: Mapping[str, int] | None = None) -> None:
    body = shipped_body("detection")
    body["budget"] = {"tickets_per_site_per_day": most, "passes_from_severity": passes, "sites": dict(sites or {})}
    body["flood"] = {"assets": 1_000, "within_minutes": 10}  # machines that are worn at once are no flood here
    with pool.connection() as connection:
        publish_detection_policy(connection, body, person_id=None, now=EVENING)


def presses(pool: ConnectionPool, count: int, policy: str = "live") -> list[Press]:
    with pool.connection() as connection:
        made = [a_press(connection, f"PR-{number}") for number in range(count)]
        connection.execute("update device set time_policy = %s", (policy,))
    return made


def worn(pool: ConnectionPool, press: Press, number: int) -> None:
    """Everything that opens a ticket for comp1_failure of a press."""
    fitted(pool, press, "comp1", days_before=60)
    raised(pool, drift(press, number=number))
    told(pool, press, "error1", hours=1)


def held(pool: ConnectionPool) -> list[datetime | None]:
    with pool.connection() as connection:
        return [one.held_by_budget_at for one in list_predictions(connection, sites=None) if one.ticket_code is None]


def opened(pool: ConnectionPool) -> int:
    with pool.connection() as connection:
        row = connection.execute("select count(*) from ticket").fetchone()
        return int(row[0]) if row else 0


def test_over_the_budget_a_prediction_stays_at_stage_ticket_and_says_since_when(seeded, pool):
    a_budget(pool, 2)
    for number, press in enumerate(presses(pool, 5), start=1):
        worn(pool, press, number)
    assess_due(pool, TestClock(EVENING))
    assert opened(pool) == 2
    assert held(pool) == [EVENING] * 3
    with pool.connection() as connection:
        assert {(one.stage, one.status) for one in list_predictions(connection, sites=None)} == {("ticket", "open")}


def test_what_waits_is_tried_on_the_sites_next_day_and_not_before(seeded, pool):
    a_budget(pool, 2)
    for number, press in enumerate(presses(pool, 5), start=1):
        worn(pool, press, number)
    assess_due(pool, TestClock(EVENING))
    assess_due(pool, TestClock(MIDNIGHT - timedelta(seconds=1)))
    assert opened(pool) == 2
    assert held(pool) == [EVENING] * 3, "nothing is tried in vain"
    assess_due(pool, TestClock(MIDNIGHT))
    assert opened(pool) == 4
    assert held(pool) == [MIDNIGHT]
    assess_due(pool, TestClock(MIDNIGHT + timedelta(hours=23)))
    assert opened(pool) == 4
    assess_due(pool, TestClock(MIDNIGHT + timedelta(hours=24)))
    assert opened(pool) == 5
    assert held(pool) == []


def test_the_day_is_the_sites_own_west_of_greenwich_too(seeded, pool):
    """Six in the evening in Los Angeles is the next day in Greenwich; six hours of the site's day are left."""
    a_budget(pool, 1)
    first, second = presses(pool, 2)
    with pool.connection() as connection:
        connection.execute("update calendar set time_zone = 'America/Los_Angeles'")
    evening = datetime(2026, 4, 2, 1, 0, tzinfo=UTC)
    worn(pool, first, 1)
    assess_due(pool, TestClock(evening))
    worn(pool, second, 2)
    assess_due(pool, TestClock(evening + timedelta(hours=1)))
    assert opened(pool) == 1
    assess_due(pool, TestClock(evening + timedelta(hours=5, minutes=59)))
    assert opened(pool) == 1
    assess_due(pool, TestClock(evening + timedelta(hours=6)))
    assert opened(pool) == 2


def test_the_gravest_that_waits_is_opened_first(seeded, pool):
    a_budget(pool, 0)
    first, second = presses(pool, 2)
    worn(pool, first, 1)
    assess_due(pool, TestClock(EVENING))
    with pool.connection() as connection:
        connection.execute("update failure_mode set severity = 3 where code = 'comp1_failure'")
        connection.execute("update failure_mode set severity = 8 where code = 'comp2_failure'")
        connection.execute(
            "update prediction set failure_mode_id = (select id from failure_mode where code = 'comp2_failure')"
        )
    worn(pool, second, 2)
    assess_due(pool, TestClock(EVENING))
    a_budget(pool, 1)
    assess_due(pool, TestClock(MIDNIGHT))
    with pool.connection() as connection:
        assert connection.execute("select asset_id from ticket").fetchall() == [(first.asset_id,)]


def test_a_grave_failure_mode_passes_over_the_budget(seeded, pool):
    a_budget(pool, 0, passes=9)
    grave, mild = presses(pool, 2)
    with pool.connection() as connection:
        connection.execute("update failure_mode set severity = 8 where code = 'comp1_failure'")
    worn(pool, mild, 1)
    assess_due(pool, TestClock(EVENING))
    assert opened(pool) == 0
    with pool.connection() as connection:
        connection.execute("update failure_mode set severity = 9 where code = 'comp1_failure'")
    worn(pool, grave, 2)
    assess_due(pool, TestClock(EVENING))
    assert opened(pool) == 1


def test_recorded_equipment_neither_needs_nor_uses_up_the_budget(seeded, pool):
    """A replay plays months in a minute."""
    a_budget(pool, 1)
    for number, press in enumerate(presses(pool, 3, "recorded"), start=1):
        worn(pool, press, number)
    assess_due(pool, TestClock(EVENING))
    assert (opened(pool), held(pool)) == (3, [])
    with pool.connection() as connection:
        live = a_press(connection, "PR-9")
        connection.execute("update device set time_policy = 'live' where asset_id = %s", (live.asset_id,))
    worn(pool, live, 9)
    assess_due(pool, TestClock(EVENING))
    assert (opened(pool), held(pool)) == (4, [])


def test_a_site_may_have_a_budget_of_its_own(seeded, pool):
    a_budget(pool, 5, sites={"plant-1": 1})
    for number, press in enumerate(presses(pool, 3), start=1):
        worn(pool, press, number)
    assess_due(pool, TestClock(EVENING))
    assert opened(pool) == 1


def test_a_person_may_confirm_what_the_budget_holds(seeded, pool):
    a_budget(pool, 0)
    (press,) = presses(pool, 1)
    worn(pool, press, 1)
    assess_due(pool, TestClock(EVENING))
    with pool.connection() as connection:
        (waiting,) = list_predictions(connection, sites=None)
        planner = connection.execute("select id from person where login = 'planner'").fetchone()
        reviews.confirm(connection, waiting.id, planner[0], "it rattles", EVENING)
        (after,) = list_predictions(connection, sites=None)
    assert (after.ticket_code, after.held_by_budget_at) == ("D000001", None)
    assess_due(pool, TestClock(MIDNIGHT))
    assert opened(pool) == 1


def test_a_rule_that_went_under_review_meanwhile_opens_nothing_after_the_wait(seeded, pool):
    a_budget(pool, 0)
    (press,) = presses(pool, 1)
    worn(pool, press, 1)
    assess_due(pool, TestClock(EVENING))
    with pool.connection() as connection:
        connection.execute("update rule set mode = 'review'")
    a_budget(pool, 5)
    assess_due(pool, TestClock(MIDNIGHT))
    assert (opened(pool), held(pool)) == (0, [None])


def test_new_evidence_on_the_same_day_opens_once_the_budget_was_raised(seeded, pool):
    a_budget(pool, 0)
    (press,) = presses(pool, 1)
    worn(pool, press, 1)
    assess_due(pool, TestClock(EVENING))
    a_budget(pool, 1)
    told(pool, press, "error1", hours=2)
    assess_due(pool, TestClock(EVENING + timedelta(minutes=5)))
    assert (opened(pool), held(pool)) == (1, [])


def test_tickets_of_people_are_not_counted(seeded, pool):
    a_budget(pool, 1)
    (press,) = presses(pool, 1)
    with pool.connection() as connection:
        assert may_open(connection, press.asset_id, EVENING)
        connection.execute(
            "insert into ticket (id, code, kind, state, site_id, asset_id, title_en, title_zh, priority,"
            " priority_reason, policy_id, opened_at, due_at, evidence_at, last_effective_at, timeline_head)"
            " values (gen_random_uuid(), 'P000001', 'corrective', 'new', 'plant-1', %(a)s, 'x', 'x', 2, '{}',"
            " (select min(id) from policy), %(t)s, %(t)s, %(t)s, %(t)s, '')",
            {"a": press.asset_id, "t": EVENING},
        )
        assert may_open(connection, press.asset_id, EVENING)


@pytest.mark.parametrize("most", [3, 7])
def test_desks_at_once_never_open_one_ticket_too_many(seeded, pool, most):
    a_budget(pool, most)
    for number, press in enumerate(presses(pool, 12), start=1):
        worn(pool, press, number)
    start = threading.Barrier(3)

    def desk() -> None:
        start.wait()
        assess_due(pool, TestClock(EVENING))

    desks = [threading.Thread(target=desk) for _ in range(3)]
    for one in desks:
        one.start()
    for one in desks:
        one.join(60)
    assert opened(pool) == most
    assert held(pool) == [EVENING] * (12 - most)


def test_the_last_place_is_given_once(seeded, pool):
    """The second desk waits for the first: what that opened counts."""
    a_budget(pool, 1)
    one, other = presses(pool, 2)
    worn(pool, one, 1)
    worn(pool, other, 2)
    asked: list[bool] = []
    with pool.connection() as connection:
        assert may_open(connection, one.asset_id, EVENING)

        def second() -> None:
            with pool.connection() as own:
                asked.append(may_open(own, other.asset_id, EVENING))

        waiting = threading.Thread(target=second)
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive(), "the site's budget is held"
        connection.execute(
            "insert into prediction (id, asset_id, failure_mode_id, stage, status, probability, evidence_at,"
            " first_evidence_at, window_from, window_to, opened_at, updated_at) select gen_random_uuid(), %(a)s,"
            " min(id), 'ticket', 'open', 0.9, %(t)s, %(t)s, %(t)s, %(t)s + interval '1 day', %(t)s, %(t)s"
            " from failure_mode where code = 'comp1_failure'",
            {"a": one.asset_id, "t": EVENING},
        )
        (waiting_prediction,) = list_predictions(connection, sites=None, asset_id=one.asset_id)
        planner = connection.execute("select id from person where login = 'planner'").fetchone()
        reviews.confirm(connection, waiting_prediction.id, planner[0], "yes", EVENING)
    waiting.join(10)
    assert asked == [False]


def test_a_rule_in_review_is_not_held_by_the_budget(seeded, pool):
    a_budget(pool, 0)
    (press,) = presses(pool, 1)
    with pool.connection() as connection:
        draft = rule_versions(connection, "press.volt_drift")[0].draft
        reviewed = publish_rule(connection, replace(draft, mode=RuleMode.REVIEW), EVENING)
    fitted(pool, press, "comp1", days_before=60)
    raised(pool, replace(drift(press), rule_id=reviewed.id))
    told(pool, press, "error1", hours=1)
    assess_due(pool, TestClock(EVENING))
    assert held(pool) == [None]


def all_at_once(pool: ConnectionPool, count: int) -> list[Press]:
    """So many live presses with everything that opens a ticket, within the same minutes."""
    made = presses(pool, count)
    for number, press in enumerate(made, start=1):
        worn(pool, press, number)
    return made


def evidence_at(pool: ConnectionPool) -> datetime:
    with pool.connection() as connection:
        (at,) = connection.execute("select max(opened_at) from finding").fetchone()
    return at


def waiting_for_the_flood(pool: ConnectionPool) -> int:
    with pool.connection() as connection:
        return sum(one.held_by_flood_at is not None for one in list_predictions(connection, sites=None))


def test_a_flood_of_alarms_opens_no_tickets_until_it_is_over(seeded, pool):
    """SPEC D1, ISA-18.2: five machines at once have a common cause."""
    all_at_once(pool, 5)
    now = evidence_at(pool) + timedelta(minutes=1)
    assess_due(pool, TestClock(now))
    assert opened(pool) == 0
    assert waiting_for_the_flood(pool) == 5
    assess_due(pool, TestClock(now + timedelta(minutes=8)))
    assert opened(pool) == 0, "nothing is tried in vain"
    assess_due(pool, TestClock(now + timedelta(minutes=11)))
    assert (opened(pool), waiting_for_the_flood(pool)) == (5, 0)


def test_fewer_machines_at_once_are_no_flood(seeded, pool):
    all_at_once(pool, 4)
    assess_due(pool, TestClock(evidence_at(pool) + timedelta(minutes=1)))
    assert (opened(pool), waiting_for_the_flood(pool)) == (4, 0)


def test_what_is_shelved_or_only_watched_makes_no_flood(seeded, pool):
    all_at_once(pool, 5)
    with pool.connection() as connection:
        connection.execute("update finding set shadow = true where asset_id = (select max(asset_id) from finding)")
    assess_due(pool, TestClock(evidence_at(pool) + timedelta(minutes=1)))
    assert waiting_for_the_flood(pool) == 0


def test_a_person_may_open_what_the_flood_holds(seeded, pool):
    all_at_once(pool, 5)
    now = evidence_at(pool) + timedelta(minutes=1)
    assess_due(pool, TestClock(now))
    with pool.connection() as connection:
        (first, *_) = list_predictions(connection, sites=None)
        person_id = connection.execute("select min(id) from person").fetchone()[0]
        assert reviews.confirm(connection, first.id, person_id, "I have seen it", now)
    assert opened(pool) == 1


def one_after_another(pool: ConnectionPool, count: int) -> datetime:
    """So many machines turn within ten minutes, each judged before the next has; return the last one's time."""
    made = presses(pool, count)
    for number, press in enumerate(made):
        worn(pool, press, number)
        with pool.connection() as connection:
            connection.execute(
                "update finding set opened_at = opened_at + %s where asset_id = %s", (number * MINUTE, press.asset_id)
            )
        assess_due(pool, TestClock(evidence_at(pool) + MINUTE))
    return evidence_at(pool)


def test_tickets_of_a_floods_first_machines_are_put_under_its_one_notice(seeded, pool):
    """SPEC D1, ISA-18.2: four opened theirs before the fifth made it a flood; they stay, beside what waits."""
    at = one_after_another(pool, 6) + MINUTE
    assert (opened(pool), waiting_for_the_flood(pool)) == (4, 2)
    with pool.connection() as connection:
        (flood,) = floods_now(connection, None, at)
        codes = [code for (code,) in connection.execute("select code from ticket order by opened_at").fetchall()]
        assert (flood.tickets, flood.waiting) == (codes, 2)
        assert flood_of_ticket(connection, codes[0]) == FloodOfTicket(flood.began_at, 4)
        assert floods_now(connection, ["elsewhere"], at) == []
        assert floods_now(connection, None, at + timedelta(minutes=11)) == [], "it is over"


def test_a_ticket_opened_long_before_or_of_a_quiet_machine_is_none_of_the_floods(seeded, pool):
    """The first machine had its ticket an hour ago and alarms now; the second alarms an hour ago and its ticket now."""
    made = presses(pool, 7)
    for number in (0, 1):
        worn(pool, made[number], number)
    early = evidence_at(pool) + MINUTE
    assess_due(pool, TestClock(early - timedelta(hours=1)))
    with pool.connection() as connection:
        quiet = "update finding set opened_at = opened_at - interval '1 hour' where asset_id = %s"
        connection.execute(quiet, (made[1].asset_id,))
        connection.execute("update ticket set opened_at = %s where asset_id = %s", (early, made[1].asset_id))
    for number in range(2, 7):
        worn(pool, made[number], number)
    assess_due(pool, TestClock(evidence_at(pool) + MINUTE))
    assert (opened(pool), waiting_for_the_flood(pool)) == (2, 5)
    with pool.connection() as connection:
        (flood,) = floods_now(connection, None, evidence_at(pool) + MINUTE)
    assert list(flood.tickets) == []


def test_a_flood_is_told_by_the_api_to_who_reads_detection_at_its_site(seeded, pool):
    at = one_after_another(pool, 5) + MINUTE
    with pool.connection() as connection:
        connection.execute("insert into site select 'elsewhere', 'E', calendar_id, 1, 1 from site limit 1")
    with an_api(pool, furnish=lambda _: None, at=at) as api:
        (flood,) = api.get("/floods", Role.PLANNER).json()["items"]
        assert api.get("/floods", Role.PLANNER, "elsewhere").json()["items"] == []
        assert api.get("/floods", Role.REQUESTER).status_code == 403
    assert (len(flood["tickets"]), flood["waiting"]) == (4, 1)
