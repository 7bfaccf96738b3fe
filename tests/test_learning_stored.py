"""What closures teach reaches the modes that the desk judges by, however often it is learnt (SPEC P4)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from domain.refusals import Refused
from runtime.jobs import make_app
from runtime.learning import learn_from_closures, learn_what_is_due
from storage.alarms import shelve
from storage.closures import close_case
from storage.database import connect
from storage.detection_policy import detection_in_force, publish_detection_policy, read_detection_policy
from storage.learning import learnt_mode, lessons_of
from storage.library import failure_modes, stored_modes
from storage.policies import shipped_body
from tests.api_builders import Api, TestClock, an_api
from tests.lesson_builders import a_lesson, a_teaching_house, another_mode, lessons
from tests.ticket_builders import HOUR, NOW, House, a_finding, a_report, a_ticket
from ticketing.actors import Role
from ticketing.ticket import Outcome

CLOCK = TestClock(NOW)


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with connect(database) as opened:
        yield opened


@pytest.fixture
def house(connection: Connection) -> House:
    house = a_teaching_house(connection)
    connection.commit()
    return house


def test_a_lesson_says_what_learning_needs(connection, house):
    """SPEC P4: rules with versions, signs, probability, mode found, parts expected and used, lead in hours."""
    a_lesson(connection, house, used=1)
    row = connection.execute(
        "select asset_id, probability, lead_h, rules, findings, events, parts, found_at from closure_lesson"
    ).fetchone()
    assert row is not None
    asset_id, probability, lead_h, rules, findings, events, parts, found_at = row
    assert (asset_id, probability, lead_h, found_at) == (house.asset_id, 0.8, 48.0, NOW)
    assert [(rule["name"], rule["version"], rule["lead_h"]) for rule in rules] == [("drift-m-1", 1, 48.0)]
    assert [(one["metric"], one["detector"], one["direction"]) for one in findings] == [
        ("vibration_mm_s", "cusum", "up")
    ]
    assert events == []
    assert [(part["number"], part["predicted"], part["used"], part["name_zh"]) for part in parts] == [
        ("6204-2RS", 2, 1, "轴承")
    ]


def test_the_events_that_spoke_are_signs_too(connection, house):
    a_lesson(connection, house, events="E7")
    a_lesson(connection, house, events="E8+E9", at=NOW + HOUR)
    assert [lesson.events for lesson in lessons_of(connection, "motor")] == [("E8", "E9"), ("E7",)]
    learn_what_is_due(connection, CLOCK)
    record = learnt_mode(connection, house.mode_id)
    assert record is not None
    assert {sign.subject: sign.closures for sign in record.mode.signs} == {"vibration_*": 2, "E7": 1}


def a_report_is_closed(connection, house):
    """Close a person's report for the mode it names, as found, and learn from it."""
    code = a_report(connection, house)
    (ticket_id,) = connection.execute(
        "update ticket set state = 'closed', outcome = 'repaired', found_failure_mode_id = %s, closed_at = %s,"
        " work_finished_at = %s where code = %s returning id",
        (house.mode_id, NOW, NOW, code),
    ).fetchone()
    close_case(connection, ticket_id, a_ticket(outcome=Outcome.DEFERRED), NOW)


def test_a_persons_report_teaches_from_what_detectors_said_shortly_before(connection, house):
    a_finding(connection, house, NOW - HOUR)
    a_report_is_closed(connection, house)
    (lesson,) = lessons_of(connection, "motor")
    assert (lesson.predicted, lesson.found) == (None, "bearing_wear")
    assert [finding.metric for finding in lesson.findings] == ["vibration_mm_s"]


@pytest.mark.parametrize(
    "change",
    [
        "shadow = true",
        "opened_at = opened_at + interval '2 hours'",
        "opened_at = opened_at - interval '90 hours', cleared_at = opened_at - interval '72 hours'",
        "shelving_id = (select id from shelving)",
    ],
)
def test_what_detectors_said_aside_too_late_or_long_before_a_report_teaches_nothing(connection, house, change):
    """What people had shelved counts for nothing (SPEC D1): neither for its signs nor against its rule."""
    a_finding(connection, house, NOW - HOUR)
    terms = {"metric": "temperature_c", "rule": None, "reason": "the sensor is loose", "until": NOW + HOUR}
    shelve(connection, asset_id=house.asset_id, person_id=house.supervisor.person_id, now=NOW, **terms)
    connection.execute(f"update finding set {change}")
    a_report_is_closed(connection, house)
    assert [lesson.findings for lesson in lessons_of(connection, "motor")] == [()]
    assert connection.execute("select rules from closure_lesson").fetchall() == [([],)]


def test_closures_change_the_modes_that_the_desk_judges_by(connection, house):
    before = stored_modes(connection)[house.mode_id]
    lessons(connection, house, wrong=10)
    assert failure_modes(connection)[house.mode_id] == before
    assert learn_what_is_due(connection, CLOCK) == {"motor": 10}
    after = failure_modes(connection)[house.mode_id]
    assert after.signature.findings[0].log_odds < before.signature.findings[0].log_odds
    assert stored_modes(connection)[house.mode_id] == before, "the library's own figures stay"


def test_learning_again_without_new_lessons_changes_nothing(connection, house):
    lessons(connection, house, right=3, wrong=2)
    learn_what_is_due(connection, CLOCK)
    once = learnt_mode(connection, house.mode_id)
    assert learn_what_is_due(connection, TestClock(NOW + HOUR)) == {}
    a_lesson(connection, house, Outcome.DEFERRED, at=NOW + HOUR)
    assert learn_what_is_due(connection, TestClock(NOW + HOUR)) == {"motor": 5}
    assert once is not None
    assert learnt_mode(connection, house.mode_id) == once, "a deferred ticket says nothing about the fault"


def test_a_changed_library_and_a_changed_policy_are_learnt_anew(connection, house):
    lessons(connection, house, wrong=4)
    learn_what_is_due(connection, CLOCK)
    for change in ("failure_mode set prior = 0.03", "failure_mode_part set probability = 0.5"):
        connection.execute(f"update {change}")
        assert learn_what_is_due(connection, CLOCK) == {"motor": 4}, change
    body = shipped_body("detection")
    body["learning"] = {"prior_strength": 1, "quantity_strength": 5, "largest_step": 0.5}
    publish_detection_policy(connection, body, person_id=None, now=NOW)
    assert learn_what_is_due(connection, CLOCK) == {"motor": 4}
    record = learnt_mode(connection, house.mode_id)
    assert record is not None
    assert (record.mode.prior_strength, record.mode.signs[0].shift) == (1.0, pytest.approx(-0.5))


def test_two_jobs_at_once_learn_each_type_once(database, connection, house):
    lessons(connection, house, right=5)
    connection.commit()
    told: list[dict[str, int]] = []
    start = threading.Barrier(3)

    def job() -> None:
        with connect(database) as own:
            start.wait()
            told.append(learn_what_is_due(own, CLOCK))

    jobs = [threading.Thread(target=job) for _ in range(3)]
    for one in jobs:
        one.start()
    for one in jobs:
        one.join(30)
    assert sorted(told, key=len) == [{}, {}, {"motor": 5}]


def test_a_killed_learner_leaves_all_as_it_was(database, connection, house):
    lessons(connection, house, right=2)
    connection.commit()
    with connect(database) as dying:
        pid = dying.info.backend_pid
        dying.execute("insert into learnt_type values ('motor', 'half', 0, now())")
        connection.execute("select pg_terminate_backend(%s)", (pid,))
        with pytest.raises(psycopg.OperationalError):
            dying.execute("select 1")
    assert learn_what_is_due(connection, CLOCK) == {"motor": 2}


def test_the_job_learns_and_proposes_in_one_run(database, connection, house):
    lessons(connection, house, right=1, wrong=9)
    connection.commit()
    learn_from_closures(database, CLOCK)
    learn_from_closures(database, CLOCK)
    assert connection.execute("select count(*) from learnt_mode").fetchone() == (1,)
    assert connection.execute("select rule_name, to_mode, status from rule_proposal").fetchall() == [
        ("drift-m-1", "shadow", "open")
    ]
    assert "learning" in make_app(database, CLOCK).tasks


@pytest.fixture
def api(pool: ConnectionPool) -> Iterator[Api]:
    with an_api(pool, a_teaching_house, at=NOW) as opened:
        yield opened


def test_the_arithmetic_is_shown(api, pool):
    with pool.connection() as connection:
        (mode_id, asset_id, series_id, rule_id) = connection.execute(
            "select f.id, a.id, s.id, r.id from failure_mode f, asset a, series s, rule r order by s.id limit 1"
        ).fetchone()
    untold = api.get(f"/failure-modes/{mode_id}/learning", Role.ENGINEER).json()
    assert (untold["learnt"], untold["mode"]) == (None, untold["library"])
    other_house = House(asset_id, mode_id, series_id, rule_id, *([None] * 6))  # type: ignore[arg-type]
    with pool.connection() as connection:
        lessons(connection, other_house, right=2, wrong=6)
        learn_what_is_due(connection, api.clock)
    shown = api.get(f"/failure-modes/{mode_id}/learning", Role.ENGINEER)
    assert shown.status_code == 200, shown.text
    told = shown.json()
    (sign,) = told["learnt"]["signs"]
    assert (sign["closures"], sign["right"], sign["library"]) == (8, 2.0, 3.0)
    assert sign["learnt"] == pytest.approx(sign["library"] + sign["shift"])
    assert told["mode"]["signature"]["findings"][0]["log_odds"] == sign["learnt"]
    assert told["library"]["signature"]["findings"][0]["log_odds"] == 3.0
    assert told["learnt"]["parts"][0]["used"] == 2
    assert api.get("/failure-modes/999999/learning").status_code == 404


def test_a_fault_of_another_mode_teaches_about_both(connection, house):
    other = another_mode(connection)
    for day in range(12):
        a_lesson(connection, house, found=other, at=NOW + timedelta(days=day))
    learn_what_is_due(connection, CLOCK)
    modes = failure_modes(connection)
    assert modes[house.mode_id].signature.findings[0].log_odds < 3.0 < modes[other].signature.findings[0].log_odds
    assert modes[other].prior > 0.02
    assert modes[house.mode_id].prior == 0.02


SHIPPED = shipped_body("detection")


@pytest.mark.parametrize(
    ("section", "field", "wrong"),
    [
        ("budget", "tickets_per_site_per_day", -1),
        ("budget", "tickets_per_site_per_day", 2.5),
        ("budget", "passes_from_severity", 12),
        ("budget", "sites", {"plant-1": -1}),
        ("budget", "sites", []),
        ("learning", "prior_strength", 0),
        ("learning", "largest_step", float("nan")),
        ("trust", "credibility", 1),
        ("trust", "least_closures", True),
        ("trust", "nonsense", 1),
    ],
)
def test_a_policy_that_could_not_work_is_refused_by_the_name_of_its_field(section, field, wrong):
    body = {**SHIPPED, section: {**SHIPPED[section], field: wrong}}  # type: ignore[dict-item]
    with pytest.raises(Refused, match=field) as caught:
        read_detection_policy(body)
    assert caught.value.name == "invalid_policy"


def test_the_shipped_policy_is_in_force_before_the_first_seeding(connection):
    number, policy = detection_in_force(connection)
    assert number is None
    assert policy.budget.of_site("anywhere") == 20
    assert replace(policy.budget, sites={"plant-1": 3}).of_site("plant-1") == 3
