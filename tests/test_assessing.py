"""The desk's first step against a real database: evidence becomes predictions and tickets, once (SPEC P2, Q1)."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from detectors.bank import Cleared, Opened
from detectors.library import RuleMode
from domain.events import COMPONENT_REPLACED, Event, EventKind, EventSeverity
from domain.findings import Finding
from domain.refusals import Refused
from runtime.assessing import assess_due
from storage.events import DeviceEvent
from storage.events import insert as insert_events
from storage.evidence import last_closed
from storage.findings import findings_of_asset, recent_findings, save_changes
from storage.library import failure_modes, install_library, shipped_libraries
from storage.rules import newest_rules, publish_rule, rules_in_force, rules_version
from tests.detection_builders import a_finding

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
# Recorded evidence lies in the past of the wall clock.
THEN = NOW - timedelta(days=30)


class StoppedClock:
    """Stands still."""

    def now(self) -> datetime:
        return NOW

    def monotonic_s(self) -> float:
        return 0.0


@dataclass(frozen=True, slots=True)
class Press:
    """A press in a database: ids of its asset, device, series by metric, and rule by metric."""

    asset_id: int
    device_id: int
    series: Mapping[str, int]
    rules: Mapping[str, int]


@pytest.fixture
def press(seeded: str, pool: ConnectionPool) -> Press:
    with pool.connection() as connection:
        return a_press(connection)


def a_press(connection: Connection, tag: str = "PR-1") -> Press:
    asset_id = one(
        connection,
        "insert into asset (site_id, asset_type_id, tag, name, created_at) values ('plant-1', 'press', %s, 'Press', %s)"
        " returning id",
        tag,
        NOW,
    )
    device_id = one(
        connection,
        "insert into device (site_id, name, asset_id, time_policy, created_at)"
        " values ('plant-1', %s, %s, 'recorded', %s) returning id",
        tag,
        asset_id,
        NOW,
    )
    series = {
        metric: one(
            connection,
            "insert into series (device_id, metric, created_at) values (%s, %s, %s) returning id",
            device_id,
            metric,
            NOW,
        )
        for metric in ("volt", "rotate")
    }
    rules = {rule.metric: rule.rule_id for rule in rules_in_force(connection, "press")}
    return Press(asset_id, device_id, series, rules)


def one(connection: Connection, query: str, *values: object) -> int:
    row = connection.execute(query, values).fetchone()
    assert row is not None
    return int(row[0])


def count(pool: ConnectionPool, query: str, *values: object) -> int:
    with pool.connection() as connection:
        return one(connection, query, *values)


def drift(press: Press, *, hours: float = 0.0, metric: str = "volt", number: int = 1) -> Finding:
    finding = a_finding(metric, detector="cusum", number=number, rule_id=press.rules[metric])
    return replace(
        finding,
        asset_id=press.asset_id,
        series_id=press.series[metric],
        opened_at=THEN + timedelta(hours=hours),
    )


def raised(pool: ConnectionPool, *findings: Finding) -> None:
    with pool.connection() as connection:
        save_changes(connection, [Opened(finding) for finding in findings], NOW)


def told(pool: ConnectionPool, press: Press, code: str, *, hours: float, **attributes: str) -> None:
    kind = EventKind.OPERATOR if attributes else EventKind.ERROR
    event = Event(THEN + timedelta(hours=hours), kind, code, EventSeverity.ERROR, attributes=attributes)
    with pool.connection() as connection:
        insert_events(connection, [DeviceEvent(press.device_id, press.asset_id, event)], NOW)


def fitted(pool: ConnectionPool, press: Press, component: str, *, days_before: float) -> None:
    with pool.connection() as connection:
        connection.execute(
            "insert into component_installation values (%s, %s, %s, 'import')",
            (press.asset_id, component, THEN - timedelta(days=days_before)),
        )


def predictions(pool: ConnectionPool) -> list[tuple[str, str, str]]:
    with pool.connection() as connection:
        return connection.execute(
            "select m.code, p.stage, p.status from prediction p join failure_mode m on m.id = p.failure_mode_id"
            " order by p.opened_at, p.id"
        ).fetchall()


def tickets(pool: ConnectionPool) -> list[tuple[str, datetime]]:
    with pool.connection() as connection:
        return connection.execute(
            "select m.code, t.evidence_at from ticket t join failure_mode m on m.id = t.failure_mode_id"
            " order by t.opened_at, t.code"
        ).fetchall()


def test_drift_alone_opens_a_watch_and_no_ticket(pool: ConnectionPool, press: Press) -> None:
    raised(pool, drift(press))
    assert assess_due(pool, StoppedClock()) == 1
    assert predictions(pool) == [("comp1_failure", "watch", "open")]
    assert tickets(pool) == []
    assert assess_due(pool, StoppedClock()) == 0


def all_that_speaks(pool: ConnectionPool, press: Press, hours: int) -> None:
    """Assess a press whose worn component drifts, and reports an error ``hours`` after."""
    fitted(pool, press, "comp1", days_before=60)
    raised(pool, drift(press))
    told(pool, press, "error1", hours=hours)
    assess_due(pool, StoppedClock())


def test_drift_error_and_age_together_open_one_ticket_that_names_the_component(
    pool: ConnectionPool, press: Press
) -> None:
    all_that_speaks(pool, press, hours=5)
    assert predictions(pool) == [("comp1_failure", "ticket", "open")]
    assert tickets(pool) == [("comp1_failure", THEN + timedelta(hours=5))]
    assert count(pool, "select count(*) from predicted_part") == 1
    assert count(pool, "select count(*) from prediction_evidence") == 4
    assert count(pool, "select count(*) from ticket_finding") == 1
    with pool.connection() as connection:
        assert last_closed(connection, press.asset_id) == {}, "an open ticket spends nothing that it stands on"


def test_a_closed_ticket_spends_the_evidence_of_the_mode_predicted_and_of_the_one_found(
    pool: ConnectionPool, press: Press
) -> None:
    all_that_speaks(pool, press, hours=5)
    finished = THEN + timedelta(hours=9)
    with pool.connection() as connection:
        connection.execute(
            "update ticket set state = 'closed', outcome = 'repaired', closed_at = %(t)s, work_finished_at = %(t)s,"
            " found_failure_mode_id = (select id from failure_mode where code = 'comp2_failure')",
            {"t": finished},
        )
        assert last_closed(connection, press.asset_id) == {"comp1_failure": finished, "comp2_failure": finished}


def test_evidence_is_judged_in_the_order_of_its_time_even_when_it_all_waited(
    pool: ConnectionPool, press: Press
) -> None:
    """The error came before the drift and was a day old by then: no ticket, whenever the desk looks."""
    fitted(pool, press, "comp1", days_before=60)
    told(pool, press, "error1", hours=0)
    raised(pool, drift(press, hours=30))
    assess_due(pool, StoppedClock())
    assert tickets(pool) == []
    assert predictions(pool) == [("comp1_failure", "watch", "open")]


def test_later_findings_join_the_open_ticket(pool: ConnectionPool, press: Press) -> None:
    """SPEC Q1."""
    all_that_speaks(pool, press, hours=1)
    raised(pool, drift(press, hours=2, number=2))
    assess_due(pool, StoppedClock())
    assert len(tickets(pool)) == 1
    assert count(pool, "select count(*) from ticket_finding") == 2
    assert count(pool, "select count(*) from ticket_event where command = 'join'") == 1


def test_a_prediction_never_goes_back_while_it_is_open(pool: ConnectionPool, press: Press) -> None:
    """SPEC D8: no flapping."""
    all_that_speaks(pool, press, hours=1)
    best = count(pool, "select round(probability * 1000) from prediction")
    raised(pool, drift(press, hours=40, number=2))
    assess_due(pool, StoppedClock())
    assert predictions(pool) == [("comp1_failure", "ticket", "open")]
    assert count(pool, "select round(probability * 1000) from prediction") == best


def test_a_rule_under_review_opens_no_ticket_by_itself(pool: ConnectionPool, press: Press) -> None:
    """SPEC P5."""
    with pool.connection() as connection:
        (draft,) = [rule.draft for rule in newest_rules(connection) if rule.draft.name == "press.volt_drift"]
        reviewed = publish_rule(connection, replace(draft, mode=RuleMode.REVIEW), NOW)
    fitted(pool, press, "comp1", days_before=60)
    raised(pool, replace(drift(press), rule_id=reviewed.id))
    told(pool, press, "error1", hours=1)
    assess_due(pool, StoppedClock())
    assert predictions(pool) == [("comp1_failure", "ticket", "open")]
    assert tickets(pool) == []


def test_a_shadow_finding_is_stored_and_puts_nothing_before_the_desk(pool: ConnectionPool, press: Press) -> None:
    raised(pool, replace(drift(press), shadow=True))
    assert count(pool, "select count(*) from finding") == 1
    assert assess_due(pool, StoppedClock()) == 0


def test_a_replaced_component_starts_a_new_life_and_closes_its_watch(pool: ConnectionPool, press: Press) -> None:
    """ADR 7: baselines are anchored after each repair."""
    raised(pool, drift(press))
    assess_due(pool, StoppedClock())
    told(pool, press, COMPONENT_REPLACED, hours=3, component="comp1")
    assess_due(pool, StoppedClock())
    assert predictions(pool) == [("comp1_failure", "watch", "closed")]
    with pool.connection() as connection:
        anchors = connection.execute("select asset_id, metric, anchored_at from anchor").fetchall()
        fitted_at = connection.execute("select component, installed_at, source from component_installation").fetchall()
    assert anchors == [(press.asset_id, "volt", THEN + timedelta(hours=3))]
    assert fitted_at == [("comp1", THEN + timedelta(hours=3), "event")]
    told(pool, press, "error1", hours=4)
    assess_due(pool, StoppedClock())
    assert [status for _, _, status in predictions(pool)] == ["closed"], "old drift must not count for the new part"


def test_a_watch_lapses_when_its_window_has_passed_on_the_equipments_clock(pool: ConnectionPool, press: Press) -> None:
    finding = drift(press)
    raised(pool, finding)
    assess_due(pool, StoppedClock())
    with pool.connection() as connection:
        connection.execute("update device set last_reading_at = %s", (THEN + timedelta(hours=100),))
    assess_due(pool, StoppedClock())
    assert [status for _, _, status in predictions(pool)] == ["open"], "the drift is still there"
    with pool.connection() as connection:
        end = finding.opened_at + timedelta(hours=9)
        save_changes(connection, [Cleared(finding.series_id, finding.rule_id, finding.opened_at, end)], NOW)
    assess_due(pool, StoppedClock())
    assert [status for _, _, status in predictions(pool)] == ["lapsed"]


def test_two_desks_never_judge_the_same_evidence(pool: ConnectionPool, press: Press) -> None:
    presses = [press]
    with pool.connection() as connection:
        presses += [a_press(connection, f"PR-{number}") for number in range(2, 13)]
    for number, each in enumerate(presses, start=100):
        fitted(pool, each, "comp1", days_before=60)
        raised(pool, drift(each, number=number))
        told(pool, each, "error1", hours=1)
    judged: list[int] = []
    start = threading.Barrier(3)

    def desk() -> None:
        start.wait()
        judged.append(assess_due(pool, StoppedClock()))

    desks = [threading.Thread(target=desk) for _ in range(3)]
    for each_desk in desks:
        each_desk.start()
    for each_desk in desks:
        each_desk.join()
    assert sum(judged) >= len(presses)
    assert len(tickets(pool)) == len(presses)
    assert len(predictions(pool)) == len(presses)
    assert count(pool, "select count(*) from evidence_due") == 0


def test_evidence_answered_by_a_closure_that_commits_meanwhile_opens_nothing(
    pool: ConnectionPool, press: Press
) -> None:
    all_that_speaks(pool, press, hours=1)
    told(pool, press, "error1", hours=2)
    desk = threading.Thread(target=assess_due, args=(pool, StoppedClock()))
    with pool.connection() as connection:
        connection.execute(
            "update ticket set state = 'closed', outcome = 'no_fault_found', closed_at = %s, work_finished_at = %s",
            (NOW, THEN + timedelta(hours=3)),
        )
        connection.execute("update prediction set status = 'closed'")
        desk.start()
        desk.join(timeout=0.5)
        assert desk.is_alive(), "the desk waits for the closure"
    desk.join()
    assert len(tickets(pool)) == 1
    assert [status for _, _, status in predictions(pool)] == ["closed"]


def test_an_asset_that_cannot_be_judged_does_not_hold_up_the_others(pool: ConnectionPool, press: Press) -> None:
    with pool.connection() as connection:
        other = a_press(connection, "PR-2")
        sick = one(
            connection,
            "insert into asset (site_id, asset_type_id, tag, name, created_at) values"
            " ('plant-1', 'motor', 'M-9', 'Motor', %s) returning id",
            NOW,
        )
        connection.execute("update failure_mode set signature = '{}' where asset_type_id = 'motor'")
        connection.execute("insert into evidence_due (asset_id, ts) values (%s, %s)", (sick, THEN))
    raised(pool, drift(press), drift(other, number=2))
    assert assess_due(pool, StoppedClock()) == 2
    assert len(predictions(pool)) == 2
    assert count(pool, "select count(*) from evidence_due") == 1, "its evidence stays due"


def test_findings_told_twice_are_stored_and_judged_once(pool: ConnectionPool, press: Press) -> None:
    """SPEC E4."""
    finding = drift(press)
    end = finding.opened_at + timedelta(hours=1)
    changes = [Opened(finding), Cleared(finding.series_id, finding.rule_id, finding.opened_at, end)]
    with pool.connection() as connection:
        save_changes(connection, changes, NOW)
        save_changes(connection, changes, NOW + timedelta(seconds=5))
        stored = recent_findings(connection, asset_id=press.asset_id, limit=10)
        assert stored == [replace(finding, cleared_at=end)]
        since = finding.opened_at + timedelta(minutes=30)
        assert findings_of_asset(connection, press.asset_id, since=since, until=NOW) == stored
        assert findings_of_asset(connection, press.asset_id, since=end + timedelta(seconds=1), until=NOW) == []
    assert count(pool, "select count(*) from evidence_due") == 1


def test_a_new_version_of_a_rule_is_in_force_and_noticed(pool: ConnectionPool, press: Press) -> None:
    with pool.connection() as connection:
        before = rules_version(connection)
        (old,) = [rule for rule in newest_rules(connection) if rule.draft.name == "press.volt_drift"]
        new = publish_rule(connection, replace(old.draft, parameters={"k": 1.0, "h": 9.0}), NOW)
        assert new.version == old.version + 1
        assert rules_version(connection) != before
        (in_force,) = [rule for rule in rules_in_force(connection, "press", "volt") if rule.name == old.draft.name]
        assert (in_force.rule_id, in_force.parameters) == (new.id, {"k": 1.0, "h": 9.0})
        publish_rule(connection, replace(old.draft, mode=RuleMode.OFF), NOW)
        assert not [rule for rule in rules_in_force(connection, "press", "volt") if rule.name == old.draft.name]


def test_a_rule_that_could_not_work_is_not_published(pool: ConnectionPool, press: Press) -> None:
    with pool.connection() as connection:
        draft = newest_rules(connection)[0].draft
        with pytest.raises(Refused, match="no parameter"):
            publish_rule(connection, replace(draft, parameters={"magic": 1.0}), NOW)
        with pytest.raises(Refused, match="asset type"):
            publish_rule(connection, replace(draft, asset_type="unknown"), NOW)


def test_a_library_installed_comes_back_whole_and_installing_again_changes_nothing(
    pool: ConnectionPool, press: Press
) -> None:
    with pool.connection() as connection:
        for library in shipped_libraries():
            install_library(connection, library, NOW)
            stored = failure_modes(connection, library.asset_type)
            assert sorted(stored.values(), key=lambda mode: mode.code) == sorted(
                (
                    replace(mode, parts=tuple(sorted(mode.parts, key=lambda p: (-p.probability, p.number))))
                    for mode in library.modes
                ),
                key=lambda mode: mode.code,
            )
    assert count(pool, "select max(version) from rule") == 1
