"""Open predictions in a database: they merge, rise and narrow, and never flap (SPEC P2, D8)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from psycopg_pool import ConnectionPool

from domain.findings import Finding
from domain.predictions import Contribution, EvidenceKind, Prediction, Stage, WindowSource
from runtime.assessing import assess_due
from storage.predictions import upsert_prediction
from tests.test_assessing import NOW, THEN, Press, StoppedClock, count, drift, press, raised, tickets, told

__all__ = ["press"]


def window(pool: ConnectionPool) -> tuple[datetime, datetime, str]:
    with pool.connection() as connection:
        row = connection.execute("select window_from, window_to, window_source from prediction").fetchone()
    assert row is not None
    return row


def heading(press: Press, *, hours: float = 0.0, number: int = 1, low_h: float, high_h: float) -> Finding:
    told_s = {"time_to_limit_low_s": low_h, "time_to_limit_s": (low_h + high_h) / 2, "time_to_limit_high_s": high_h}
    evidence = {name: told_h * 3600 for name, told_h in told_s.items()}
    return replace(drift(press, hours=hours, number=number), evidence={"baseline": 1.0, **evidence})


def after(hours: float) -> datetime:
    return THEN + timedelta(hours=hours)


def test_the_window_moves_with_new_evidence_and_says_where_it_comes_from(pool: ConnectionPool, press: Press) -> None:
    raised(pool, drift(press))
    assess_due(pool, StoppedClock())
    assert window(pool) == (after(0), after(48), "mode")
    raised(pool, heading(press, hours=2, number=2, low_h=10, high_h=30))
    assess_due(pool, StoppedClock())
    assert window(pool) == (after(12), after(32), "trend")


def a_prediction(press: Press, *, begin_h: float, end_h: float, source: WindowSource, probability: float) -> Prediction:
    told = Contribution(EvidenceKind.FINDING, str(drift(press).id), THEN, 3.0, "drift", "漂移")
    age = Contribution(EvidenceKind.PART_AGE, "comp1", THEN, probability, "age", "龄期")
    return Prediction(
        press.asset_id,
        "comp1_failure",
        Stage.WATCH,
        probability,
        THEN,
        after(begin_h),
        after(end_h),
        (told, age),
        (),
        source,
    )


def test_of_the_same_evidence_a_window_only_narrows_and_a_better_source_replaces_it(
    pool: ConnectionPool, press: Press
) -> None:
    """SPEC D8: no flapping."""
    raised(pool, drift(press))
    mode_id = count(pool, "select id from failure_mode where code = 'comp1_failure'")

    def stored(begin_h: float, end_h: float, source: WindowSource) -> tuple[float, float, str]:
        with pool.connection() as connection:
            prediction = a_prediction(press, begin_h=begin_h, end_h=end_h, source=source, probability=0.3)
            upsert_prediction(connection, prediction, mode_id, NOW)
        begin, end, told_source = window(pool)
        return (begin - THEN) / timedelta(hours=1), (end - THEN) / timedelta(hours=1), told_source

    assert stored(0, 48, WindowSource.MODE) == (0, 48, "mode")
    assert stored(10, 60, WindowSource.TREND) == (10, 60, "trend")
    assert stored(5, 90, WindowSource.TREND) == (10, 60, "trend"), "it does not widen"
    assert stored(20, 90, WindowSource.TREND) == (20, 60, "trend"), "it narrows"
    assert stored(70, 90, WindowSource.TREND) == (20, 60, "trend"), "it does not jump"
    assert stored(0, 48, WindowSource.MODE) == (20, 60, "trend"), "what is less well known changes nothing"
    assert stored(70, 90, WindowSource.REMAINING_LIFE) == (70, 90, "remaining_life")


def test_what_is_told_beside_the_evidence_is_about_the_highest_probability(pool: ConnectionPool, press: Press) -> None:
    raised(pool, drift(press))
    mode_id = count(pool, "select id from failure_mode where code = 'comp1_failure'")
    weights = []
    for probability in (0.3, 0.5, 0.2):
        with pool.connection() as connection:
            prediction = a_prediction(press, begin_h=0, end_h=9, source=WindowSource.MODE, probability=probability)
            upsert_prediction(connection, prediction, mode_id, NOW)
            row = connection.execute("select log_odds from prediction_evidence where kind = 'part_age'").fetchone()
            assert row is not None
            weights.append(row[0])
    assert weights == [0.3, 0.5, 0.5]


def test_a_closure_that_found_nothing_speaks_against_the_next_alarm_of_its_kind(
    pool: ConnectionPool, press: Press
) -> None:
    """SPEC P4."""
    raised(pool, drift(press))
    told(pool, press, "error1", hours=1)
    assess_due(pool, StoppedClock())
    assert len(tickets(pool)) == 1
    with pool.connection() as connection:
        connection.execute(
            "update ticket set state = 'closed', outcome = 'no_fault_found', closed_at = %s, work_finished_at = %s",
            (NOW, after(3)),
        )
        connection.execute("update prediction set status = 'closed'")
    raised(pool, drift(press, hours=50, number=2))
    assess_due(pool, StoppedClock())
    with pool.connection() as connection:
        row = connection.execute(
            "select e.log_odds, e.summary_en from prediction_evidence e join prediction p on p.id = e.prediction_id"
            " where p.status = 'open' and e.kind = 'history'"
        ).fetchone()
    assert row == (-0.7, "No such fault was found by 1 closures of the last 90 days")
