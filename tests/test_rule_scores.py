"""Rules are scored by what closures said, and proposed for another mode when that is credible (SPEC P4, P5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from detectors.library import RuleDraft, RuleMode
from domain.findings import Severity
from domain.refusals import Refused
from storage.database import connect
from storage.detection_policy import detection_in_force
from storage.rule_proposals import Proposal, accept, decline, list_proposals, propose
from storage.rule_scores import RuleScore, rule_scores
from storage.rules import newest_rules, publish_rule, rule_versions
from tests.api_builders import Api, an_api
from tests.lesson_builders import a_lesson, a_shadow_finding, a_teaching_house, another_mode, lessons
from tests.ticket_builders import DAY, HOUR, NOW, House
from ticketing.actors import Role
from ticketing.ticket import Outcome

RULE = "drift-m-1"


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with connect(database) as opened:
        yield opened


@pytest.fixture
def house(connection: Connection) -> House:
    house = a_teaching_house(connection)
    connection.execute('update rule set parameters = \'{"k": 0.5, "h": 8.0}\'')
    return house


def scored(connection: Connection, version: int | None = None) -> RuleScore:
    (found,) = [one for one in rule_scores(connection, NOW, 0.8, RULE) if one.version == version]
    return found


def proposed(connection: Connection) -> list[Proposal]:
    return propose(connection, detection_in_force(connection)[1].trust, NOW)


def test_a_rule_is_right_when_the_mode_predicted_was_found_and_wrong_when_there_was_no_fault(connection, house):
    other = another_mode(connection)
    for number, outcome in enumerate([Outcome.REPAIRED] * 3 + [Outcome.NO_FAULT_FOUND, Outcome.FALSE_ALARM]):
        a_lesson(connection, house, outcome, at=NOW - DAY * number, lead_h=24.0 * (number + 1))
    a_lesson(connection, house, found=other, at=NOW - 9 * DAY)
    a_lesson(connection, house, Outcome.DEFERRED, at=NOW - 10 * DAY)
    figures = scored(connection).ever
    assert (figures.findings, figures.tickets) == (7, 7)
    assert (figures.right, figures.wrong, figures.other_mode) == (3, 2, 1)
    assert figures.precision.value == pytest.approx(0.6)
    assert figures.precision.low < 0.6 < figures.precision.high
    assert figures.lead_h == 48.0
    assert figures.part_hit_rate == 1.0


def test_parts_that_nobody_predicted_lower_the_hit_rate(connection, house):
    ticket_id = a_lesson(connection, house)
    connection.execute(
        'update closure_lesson set parts = parts || \'[{"number": "X", "predicted": 0, "used": 1}]\''
        " where ticket_id = %s",
        (ticket_id,),
    )
    assert scored(connection).ever.part_hit_rate == 0.5


def test_the_last_90_days_are_told_apart_from_ever(connection, house):
    a_lesson(connection, house, at=NOW - 100 * DAY)
    a_lesson(connection, house, Outcome.FALSE_ALARM, at=NOW - 10 * DAY)
    score = scored(connection)
    assert (score.ever.right, score.ever.wrong) == (1, 1)
    assert (score.recent.right, score.recent.wrong, score.recent.findings) == (0, 1, 1)


def test_each_version_has_its_own_score(connection, house):
    a_lesson(connection, house, at=NOW - DAY)
    newer = publish_rule(connection, replace(rule_versions(connection, RULE)[0].draft, severity=Severity.LOW), NOW)
    a_lesson(connection, replace(house, rule_id=newer.id), Outcome.FALSE_ALARM)
    assert [(one.version, one.ever.right, one.ever.wrong) for one in rule_scores(connection, NOW, 0.8, RULE)] == [
        (None, 1, 1),
        (2, 0, 1),
        (1, 1, 0),
    ]


def test_a_rule_nobody_judged_is_told_as_such(connection, house):
    figures = scored(connection).ever
    assert (figures.tickets, figures.precision.value, figures.lead_h, figures.part_hit_rate) == (0, None, None, None)


def test_few_closures_propose_nothing_and_many_bad_ones_a_demotion_with_its_figures(connection, house):
    lessons(connection, house, wrong=7)
    assert proposed(connection) == []
    a_lesson(connection, house, Outcome.FALSE_ALARM, at=NOW + HOUR)
    (one,) = proposed(connection)
    assert (one.rule, one.rule_version, one.from_mode, one.to_mode) == (RULE, 1, RuleMode.AUTO, RuleMode.SHADOW)
    assert (one.record.right, one.record.wrong, one.status) == (0, 8, "open")
    assert one.record.high < 0.5
    assert proposed(connection) == [], "one is open for each rule"


def test_a_rule_that_is_mostly_right_is_left_alone(connection, house):
    lessons(connection, house, right=6, wrong=4)
    assert proposed(connection) == []


def test_a_rule_that_was_good_long_ago_is_judged_by_its_recent_closures(connection, house):
    lessons(connection, house, right=20, at=NOW - 100 * DAY)
    lessons(connection, house, wrong=9)
    (one,) = proposed(connection)
    assert (one.record.right, one.record.wrong) == (0, 9)


def test_closures_under_other_limits_do_not_count(connection, house):
    lessons(connection, house, wrong=9)
    draft = rule_versions(connection, RULE)[0].draft
    publish_rule(connection, replace(draft, parameters={"k": 1.0, "h": 9.0}), NOW)
    assert proposed(connection) == []
    publish_rule(connection, draft, NOW)
    assert proposed(connection) == [], "nor those of before the limits were tried otherwise"


def test_accepting_publishes_the_next_version_in_the_mode_proposed(connection, house):
    lessons(connection, house, wrong=9)
    (one,) = proposed(connection)
    planner = house.planner.person_id
    rule = accept(connection, one.id, planner, "it cries wolf", NOW)
    assert (rule.version, rule.draft.mode, rule.published_by) == (2, RuleMode.SHADOW, "planner")
    (decided,) = list_proposals(connection, proposal_id=one.id)
    assert (decided.status, decided.decided_by, decided.decision_reason) == ("accepted", planner, "it cries wolf")
    with pytest.raises(Refused) as caught:
        accept(connection, one.id, planner, "again", NOW)
    assert caught.value.name == "not_a_legal_step"
    assert proposed(connection) == [], "a rule in shadow cannot fall further"


def test_a_declined_proposal_comes_again_only_with_more_evidence(connection, house):
    lessons(connection, house, wrong=9)
    (one,) = proposed(connection)
    decline(connection, one.id, house.planner.person_id, "the sensor was loose", NOW)
    assert proposed(connection) == []
    lessons(connection, house, wrong=4, at=NOW + 4 * DAY)
    assert proposed(connection) == []
    a_lesson(connection, house, Outcome.FALSE_ALARM, at=NOW + 9 * DAY)
    (again,) = proposed(connection)
    assert again.record.wrong == 14


def test_a_proposal_overtaken_by_a_new_version_is_refused_and_withdrawn(connection, house):
    lessons(connection, house, wrong=9)
    (one,) = proposed(connection)
    publish_rule(connection, replace(rule_versions(connection, RULE)[0].draft, mode=RuleMode.REVIEW), NOW)
    with pytest.raises(Refused) as caught, connection.transaction():
        accept(connection, one.id, house.planner.person_id, "yes", NOW)
    assert caught.value.name == "stale_record"
    (again,) = proposed(connection)
    assert (again.rule_version, again.from_mode) == (2, RuleMode.REVIEW)
    assert list_proposals(connection, proposal_id=one.id)[0].status == "withdrawn"


def a_shadow_rule(connection: Connection) -> int:
    draft = RuleDraft("step-m-1", "motor", "vibration_*", "step", {}, Severity.HIGH, RuleMode.SHADOW)
    return publish_rule(connection, draft, NOW).id


def test_a_shadow_rule_that_would_have_been_right_is_proposed_for_review(connection, house):
    rule_id = a_shadow_rule(connection)
    for week in range(9):
        at = NOW - 15 * DAY * week
        a_lesson(connection, house, at=at)
        a_shadow_finding(connection, house, rule_id, at - 2 * DAY)
    promoted = [one for one in proposed(connection) if one.rule == "step-m-1"]
    assert [(one.from_mode, one.to_mode, one.record.right) for one in promoted] == [
        (RuleMode.SHADOW, RuleMode.REVIEW, 9)
    ]


def test_one_repair_counts_once_and_findings_that_nothing_followed_count_against_a_shadow_rule(connection, house):
    rule_id = a_shadow_rule(connection)
    a_lesson(connection, house, at=NOW)
    for hour in range(20):
        a_shadow_finding(connection, house, rule_id, NOW - timedelta(hours=30 + hour))
    assert proposed(connection) == [], "twenty findings of one fault are one"
    for week in range(9):
        a_lesson(connection, house, at=NOW - 15 * DAY * (week + 1))
        a_shadow_finding(connection, house, rule_id, NOW - 15 * DAY * (week + 1) - DAY)
    for week in range(12):
        a_shadow_finding(connection, house, rule_id, NOW - 300 * DAY - DAY * week)
    assert proposed(connection) == []


@pytest.fixture
def api(pool: ConnectionPool) -> Iterator[Api]:
    with an_api(pool, furnish_with_a_bad_rule, at=NOW) as opened:
        yield opened


def furnish_with_a_bad_rule(connection: Connection) -> None:
    house = a_teaching_house(connection)
    connection.execute('update rule set parameters = \'{"k": 0.5, "h": 8.0}\'')
    lessons(connection, house, right=1, wrong=9)
    proposed(connection)


def test_scores_and_proposals_are_told_and_decided_over_the_api(api):
    scores = api.get("/rule-scores", Role.ENGINEER, rule=RULE).json()["items"]
    assert [(one["version"], one["ever"]["right"], one["ever"]["wrong"]) for one in scores] == [(None, 1, 9), (1, 1, 9)]
    (one,) = api.get("/rule-proposals", Role.ENGINEER, status="open").json()["items"]
    path = f"/rule-proposals/{one['id']}"
    assert api.post(f"{path}/accept", {"reason": "yes"}, Role.ENGINEER).status_code == 403
    assert api.post(f"{path}/accept", {"reason": "yes"}, Role.PLANNER, "plant-1").status_code == 403
    accepted = api.post(f"{path}/accept", {"reason": "it cries wolf"}, Role.PLANNER)
    assert (accepted.status_code, accepted.json()["mode"]) == (201, "shadow")
    assert api.post(f"{path}/decline", {"reason": "no"}, Role.PLANNER).status_code == 409
    assert api.post("/rule-proposals/999/decline", {"reason": "no"}, Role.PLANNER).status_code == 404
    versions = api.get(f"/rules/{RULE}/versions", Role.ENGINEER).json()["items"]
    assert [(one["version"], one["mode"]) for one in versions] == [(2, "shadow"), (1, "auto")]
    assert versions[0]["published_by"] == "planner.everywhere"
    assert api.get("/rules/nobody/versions").status_code == 404


def test_the_policy_is_read_and_published_over_the_api(api):
    shipped = api.get("/detection-policy", Role.ENGINEER).json()
    assert (shipped["id"], shipped["policy"]["trust"]["least_closures"]) == (None, 8)
    body = {key: dict(value) for key, value in shipped["policy"].items()}
    body["budget"]["sites"] = {"plant-1": 3}
    assert api.post("/detection-policy", body, Role.ENGINEER).status_code == 403
    assert api.post("/detection-policy", body, Role.PLANNER, "plant-1").status_code == 403
    published = api.post("/detection-policy", body, Role.PLANNER)
    assert published.status_code == 201, published.text
    assert published.json()["policy"]["budget"]["sites"] == {"plant-1": 3}
    body["budget"]["sites"] = {"plant-9": 3}
    assert api.post("/detection-policy", body, Role.PLANNER).status_code == 422
    body["budget"]["sites"] = {}
    body["trust"]["credibility"] = 2
    assert api.post("/detection-policy", body, Role.PLANNER).status_code == 422


def test_every_shipped_rule_has_a_score(seeded, pool):
    with pool.connection() as connection:
        names = {rule.draft.name for rule in newest_rules(connection)}
        assert {score.name for score in rule_scores(connection, NOW, 0.8)} == names
