"""What planners decide about predictions: merge, snooze, edit; told for good, refused where illegal (SPEC P5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from domain.findings import Direction, Severity
from domain.refusals import Refused
from runtime.assessing import assess_due
from storage import reviews
from storage.evidence import last_closed
from storage.prediction_decisions import Correction, decisions_about, edit, is_snoozed, merge, snooze
from storage.reviews import ReviewedPrediction, list_predictions
from tests.api_builders import Api, TestClock, an_api
from tests.lesson_builders import a_teaching_house, another_mode
from tests.test_assessing import THEN, Press, a_press, drift, fitted, raised, told
from tests.ticket_builders import DAY, HOUR, NOW, a_prediction
from ticketing.actors import Role

CLOCK = TestClock(NOW)


@pytest.fixture
def press(seeded: str, pool: ConnectionPool) -> Press:
    with pool.connection() as connection:
        return a_press(connection)


@pytest.fixture
def planner(press: Press, pool: ConnectionPool) -> int:
    with pool.connection() as connection:
        row = connection.execute("select id from person where login = 'planner'").fetchone()
        assert row is not None
        return int(row[0])


def known(pool: ConnectionPool) -> dict[str, ReviewedPrediction]:
    """Predictions by the code of their mode; of several the newest."""
    with pool.connection() as connection:
        return {one.failure_mode: one for one in reversed(list_predictions(connection, sites=None))}


def two_watches(pool: ConnectionPool, press: Press) -> tuple[ReviewedPrediction, ReviewedPrediction]:
    slower = replace(drift(press, metric="rotate", number=2), direction=Direction.DOWN)
    raised(pool, drift(press, number=1), slower)
    assess_due(pool, CLOCK)
    found = known(pool)
    return found["comp1_failure"], found["comp2_failure"]


def refusal(connection: Connection, call, *arguments: object) -> str:
    with pytest.raises(Refused) as caught, connection.transaction():
        call(connection, *arguments)
    return caught.value.name


def evidence_of(pool: ConnectionPool, prediction_id: UUID) -> list[str]:
    with pool.connection() as connection:
        rows = connection.execute(
            "select reference from prediction_evidence where prediction_id = %s and kind = 'finding' order by 1",
            (prediction_id,),
        )
        return [reference for (reference,) in rows]


def test_what_a_rejected_prediction_stood_on_adds_to_no_later_one(pool, press, planner):
    """Drift, error and age together would open a ticket; the drift was looked at and found to be nothing."""
    fitted(pool, press, "comp1", days_before=60)
    raised(pool, drift(press))
    assess_due(pool, CLOCK)
    with pool.connection() as connection:
        reviews.reject(connection, known(pool)["comp1_failure"].id, planner, "the belt was changed", NOW)
    told(pool, press, "error1", hours=5)
    assess_due(pool, CLOCK)
    with pool.connection() as connection:
        assert connection.execute("select count(*) from ticket").fetchone() == (0,)
        assert list(last_closed(connection, press.asset_id).values()) == [THEN]


def test_a_merged_prediction_gives_its_evidence_and_keeps_its_own_story(pool, press, planner):
    source, target = two_watches(pool, press)
    with pool.connection() as connection:
        merge(connection, source.id, target.id, planner, "one bearing drives both", NOW)
        told_of = decisions_about(connection, source.id), decisions_about(connection, target.id)
    found = known(pool)
    assert (found["comp1_failure"].status, found["comp1_failure"].merged_into) == ("merged", target.id)
    assert found["comp2_failure"].status == "open"
    assert evidence_of(pool, target.id) == [str(UUID(int=1)), str(UUID(int=2))]
    assert evidence_of(pool, source.id) == [str(UUID(int=1))]
    (left,), (taken,) = told_of
    assert (left.kind, left.person, left.reason, left.at) == ("merge", "planner", "one bearing drives both", NOW)
    assert left.after["merged_into"] == str(target.id)
    assert taken.after == {"merged_from": str(source.id), "failure_mode": "comp1_failure"}


def test_further_evidence_about_a_merged_mode_goes_to_the_prediction_it_was_merged_into(pool, press, planner):
    source, target = two_watches(pool, press)
    with pool.connection() as connection:
        merge(connection, source.id, target.id, planner, "same fault", NOW)
    raised(pool, drift(press, hours=2, number=3))
    assess_due(pool, CLOCK)
    assert {code: one.status for code, one in known(pool).items()} == {
        "comp1_failure": "merged",
        "comp2_failure": "open",
    }
    assert str(UUID(int=3)) in evidence_of(pool, target.id)


def test_evidence_that_reaches_the_ticket_stage_through_a_merge_opens_the_targets_ticket(pool, press, planner):
    fitted(pool, press, "comp1", days_before=60)
    source, target = two_watches(pool, press)
    with pool.connection() as connection:
        merge(connection, source.id, target.id, planner, "same fault", NOW)
    told(pool, press, "error1", hours=1)
    assess_due(pool, CLOCK)
    found = known(pool)
    assert (found["comp2_failure"].stage, found["comp2_failure"].ticket_code) == ("ticket", "D000001")
    assert found["comp1_failure"].ticket_code is None


def test_a_merge_into_a_prediction_with_a_ticket_joins_the_findings_to_it(pool, press, planner):
    source, target = two_watches(pool, press)
    with pool.connection() as connection:
        reviews.confirm(connection, target.id, planner, "yes", NOW)
        merge(connection, source.id, target.id, planner, "same fault", NOW)
        joined = connection.execute("select finding_id::text from ticket_finding order by 1").fetchall()
        assert joined == [(str(UUID(int=1)),), (str(UUID(int=2)),)]


def test_illegal_merges_are_refused_by_name(pool, press, planner):
    source, target = two_watches(pool, press)
    with pool.connection() as connection:
        other = a_press(connection, "PR-2")
    raised(pool, drift(other, number=9))
    assess_due(pool, CLOCK)
    with pool.connection() as connection:
        (elsewhere,) = list_predictions(connection, sites=None, asset_id=other.asset_id)
        assert refusal(connection, merge, source.id, source.id, planner, "x", NOW) == "invalid_request"
        assert refusal(connection, merge, source.id, elsewhere.id, planner, "x", NOW) == "invalid_request"
        assert refusal(connection, merge, source.id, UUID(int=5), planner, "x", NOW) == "unknown_record"
        reviews.confirm(connection, source.id, planner, "yes", NOW)
        assert refusal(connection, merge, source.id, target.id, planner, "x", NOW) == "not_a_legal_step"
        reviews.reject(connection, target.id, planner, "no", NOW)
        assert refusal(connection, merge, source.id, target.id, planner, "x", NOW) == "not_a_legal_step"
        assert len(decisions_about(connection, source.id)) == 1, "only the confirmation"


def test_a_snoozed_prediction_opens_no_ticket_until_its_time_and_then_does(pool, press, planner):
    fitted(pool, press, "comp1", days_before=60)
    source, _ = two_watches(pool, press)
    until = NOW + 3 * DAY
    with pool.connection() as connection:
        snooze(connection, source.id, until, planner, "the line stops on Friday", NOW)
        assert is_snoozed(connection, source.id, until - HOUR)
        assert not is_snoozed(connection, source.id, until)
    told(pool, press, "error1", hours=1)
    assess_due(pool, CLOCK)
    found = known(pool)["comp1_failure"]
    assert (found.stage, found.ticket_code, found.snoozed_until) == ("ticket", None, until)
    assess_due(pool, TestClock(until - timedelta(seconds=1)))
    assert known(pool)["comp1_failure"].ticket_code is None
    assess_due(pool, TestClock(until))
    woken = known(pool)["comp1_failure"]
    assert (woken.ticket_code, woken.snoozed_until) == ("D000001", None)


def test_graver_evidence_wakes_a_snoozed_prediction(pool, press, planner):
    fitted(pool, press, "comp1", days_before=60)
    raised(pool, replace(drift(press, number=1), severity=Severity.MEDIUM))
    assess_due(pool, CLOCK)
    snoozed = known(pool)["comp1_failure"]
    with pool.connection() as connection:
        snooze(connection, snoozed.id, NOW + 3 * DAY, planner, "later", NOW - HOUR)
    raised(pool, replace(drift(press, hours=1, number=2), severity=Severity.MEDIUM))
    told(pool, press, "error1", hours=1)
    assess_due(pool, CLOCK)
    assert known(pool)["comp1_failure"].ticket_code is None, "more of the same does not wake it"
    raised(pool, replace(drift(press, hours=2, number=3), severity=Severity.HIGH))
    assess_due(pool, CLOCK)
    assert known(pool)["comp1_failure"].ticket_code == "D000001"


def test_a_critical_event_wakes_a_snoozed_prediction(pool, press, planner):
    fitted(pool, press, "comp1", days_before=60)
    source, _ = two_watches(pool, press)
    with pool.connection() as connection:
        snooze(connection, source.id, NOW + 3 * DAY, planner, "later", NOW - HOUR)
    told(pool, press, "error1", hours=1)
    with pool.connection() as connection:
        connection.execute("update event set severity = 'critical'")
    assess_due(pool, CLOCK)
    assert known(pool)["comp1_failure"].ticket_code == "D000001"


def test_a_snooze_ends_in_the_future_and_within_a_year(pool, press, planner):
    source, _ = two_watches(pool, press)
    with pool.connection() as connection:
        for until in (NOW, NOW - DAY, NOW + 366 * DAY):
            assert refusal(connection, snooze, source.id, until, planner, "x", NOW) == "invalid_request"
        reviews.confirm(connection, source.id, planner, "yes", NOW)
        assert refusal(connection, snooze, source.id, NOW + DAY, planner, "x", NOW) == "not_a_legal_step"


def test_a_corrected_window_stays_whatever_comes_in(pool, press, planner):
    source, _ = two_watches(pool, press)
    start, end = source.window_from + DAY, source.window_to + 9 * DAY
    with pool.connection() as connection:
        edit(connection, source.id, Correction(window_from=start, window_to=end), planner, "it runs slowly", NOW)
    raised(pool, drift(press, hours=5, number=3))
    assess_due(pool, CLOCK)
    found = known(pool)["comp1_failure"]
    assert (found.window_from, found.window_to) == (start, end)
    assert found.evidence_at == THEN + timedelta(hours=5)


def test_a_corrected_mode_takes_its_parts_and_the_further_evidence_of_the_old_one(pool, press, planner):
    raised(pool, drift(press, number=1))
    assess_due(pool, CLOCK)
    wrong = known(pool)["comp1_failure"]
    with pool.connection() as connection:
        edit(connection, wrong.id, Correction(failure_mode="comp3_failure"), planner, "it is the pressure side", NOW)
        parts = connection.execute(
            "select array_agg(p.number), (select array_agg(q.number) from failure_mode_part n join part q"
            " on q.id = n.part_id join failure_mode m on m.id = n.failure_mode_id and m.code = 'comp3_failure')"
            " from predicted_part e join part p on p.id = e.part_id"
        ).fetchone()
        (decision,) = decisions_about(connection, wrong.id)
    assert parts is not None
    assert parts[0] == parts[1]
    assert decision.before["failure_mode"] == "comp1_failure"
    assert decision.after["failure_mode"] == "comp3_failure"
    raised(pool, drift(press, hours=1, number=2))
    assess_due(pool, CLOCK)
    assert {code: one.status for code, one in known(pool).items()} == {"comp3_failure": "open"}
    assert evidence_of(pool, wrong.id) == [str(UUID(int=1)), str(UUID(int=2))]


def test_evidence_of_a_merged_mode_is_spent_when_the_targets_ticket_is_closed(pool, press, planner):
    source, target = two_watches(pool, press)
    with pool.connection() as connection:
        merge(connection, source.id, target.id, planner, "same fault", NOW)
        reviews.confirm(connection, target.id, planner, "yes", NOW)
        connection.execute(
            "update ticket set state = 'closed', outcome = 'repaired', closed_at = %s, work_finished_at = %s",
            (NOW, THEN + timedelta(hours=5)),
        )
        connection.execute("update prediction set status = 'closed' where status = 'open'")
        connection.execute("insert into evidence_due (asset_id, ts) values (%s, %s)", (press.asset_id, THEN + 6 * HOUR))
    assess_due(pool, CLOCK)
    with pool.connection() as connection:
        # All of them: of two predictions of one moment nobody can say which is the newer.
        assert sorted(one.status for one in list_predictions(connection, sites=None)) == ["closed", "merged"]


def test_illegal_corrections_are_refused_by_name(pool, press, planner):
    source, target = two_watches(pool, press)
    wrong = {
        Correction(): "invalid_request",
        Correction(failure_mode="comp1_failure"): "invalid_request",
        Correction(failure_mode="no_such_mode"): "invalid_fact",
        Correction(failure_mode="comp2_failure"): "not_a_legal_step",
        Correction(window_from=source.window_to, window_to=source.window_from): "invalid_request",
        Correction(window_from=THEN - 9 * DAY, window_to=THEN - 8 * DAY): "invalid_request",
    }
    with pool.connection() as connection:
        for wanted, name in wrong.items():
            assert refusal(connection, edit, source.id, wanted, planner, "x", NOW) == name, wanted
        reviews.confirm(connection, target.id, planner, "yes", NOW)
        late = Correction(window_to=target.window_to + DAY)
        assert refusal(connection, edit, target.id, late, planner, "x", NOW) == "not_a_legal_step"
        assert decisions_about(connection, source.id) == []


def test_decisions_are_kept_for_good(pool, press, planner):
    source, _ = two_watches(pool, press)
    with pool.connection() as connection:
        snooze(connection, source.id, NOW + DAY, planner, "later", NOW)
        for change in ("update prediction_decision set reason = 'x'", "delete from prediction_decision"):
            with pytest.raises(psycopg.errors.RestrictViolation), connection.transaction():
                connection.execute(change)


@pytest.fixture
def api(pool: ConnectionPool) -> Iterator[Api]:
    with an_api(pool, two_predictions, at=NOW) as opened:
        yield opened


def two_predictions(connection: Connection) -> None:
    house = a_teaching_house(connection)
    a_prediction(connection, house)
    other = another_mode(connection)
    a_prediction(connection, replace(house, mode_id=other), evidence_at=NOW - 2 * HOUR)


def test_planners_decide_over_the_api_and_nobody_else(api):
    newest, oldest = api.get("/predictions", Role.ENGINEER).json()["items"]
    path = f"/predictions/{newest['id']}"
    until = (NOW + DAY).isoformat()
    assert api.post(f"{path}/snooze", {"until": until, "reason": "x"}, Role.ENGINEER).status_code == 403
    snoozed = api.post(f"{path}/snooze", {"until": until, "reason": "Friday"}, Role.PLANNER)
    assert snoozed.status_code == 200, snoozed.text
    assert snoozed.json()["decisions"][0]["person"] == "planner.everywhere"
    edited = api.post(f"{path}/edit", {"window_to": (NOW + 9 * DAY).isoformat(), "reason": "slow"}, Role.PLANNER)
    assert [one["kind"] for one in edited.json()["decisions"]] == ["snooze", "edit"]
    merged = api.post(f"{path}/merge", {"into": oldest["id"], "reason": "same"}, Role.SUPERVISOR, "plant-1")
    assert (merged.status_code, merged.json()["id"]) == (200, oldest["id"])
    assert api.get(path, Role.ENGINEER).json()["merged_into"] == oldest["id"]
    assert len(api.get("/predictions", status="merged").json()["items"]) == 1
    again = api.post(f"{path}/merge", {"into": oldest["id"], "reason": "same"}, Role.PLANNER)
    assert (again.status_code, again.json()["type"]) == (409, "urn:wearsight:refusal:not_a_legal_step")
    nowhere = {"into": "00000000-0000-7000-8000-000000000001", "reason": "x"}
    assert api.post(f"{path}/merge", nowhere, Role.PLANNER).status_code == 404
    assert api.post(f"{path}/snooze", {"until": until}, Role.PLANNER).status_code == 422
