"""Builders for the tests of learning: tickets of a house that were closed one way or the other, by the real path."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from psycopg import Connection
from psycopg.types.json import Jsonb

from domain.ids import uuid7
from storage.closures import close_case
from storage.intake import open_from_prediction
from tests.ticket_builders import DAY, HOUR, NOW, House, a_house, a_prediction, a_ticket
from ticketing.ticket import Outcome, State

SIGNATURE = {
    "findings": [
        {"metric": "vibration_*", "detector": "cusum", "direction": "up", "within_h": 72.0, "log_odds": 3.0},
    ],
    "events": [{"code": "E7", "within_h": 24.0, "log_odds": 2.0}],
    "part_age": None,
}


def a_teaching_house(connection: Connection, now: datetime = NOW) -> House:
    """A house whose mode has a whole signature."""
    house = a_house(connection, now)
    connection.execute("update failure_mode set signature = %s", (Jsonb(SIGNATURE),))
    return house


def another_mode(connection: Connection, code: str = "imbalance", *, severity: int = 5) -> int:
    """A second mode of motors with the same signature; returns its id."""
    row = connection.execute(
        """insert into failure_mode (asset_type_id, code, name_en, name_zh, effect_en, effect_zh, severity, component,
             prior, watch_probability, ticket_probability, window_from_h, window_to_h, skills, tasks, signature)
           select asset_type_id, %s, 'Other', '其他', effect_en, effect_zh, %s, 'rotor', prior, watch_probability,
             ticket_probability, window_from_h, window_to_h, skills, tasks, signature
           from failure_mode where code = 'bearing_wear' returning id""",
        (code, severity),
    ).fetchone()
    assert row is not None
    return int(row[0])


def a_lesson(
    connection: Connection,
    house: House,
    outcome: Outcome = Outcome.REPAIRED,
    *,
    found: int | None = None,
    used: int = 2,
    at: datetime = NOW,
    lead_h: float = 48.0,
    events: str = "",
) -> UUID:
    """A ticket for bearing wear that was closed at ``at``, with its lesson; returns the ticket's id.

    A repair found the mode predicted unless ``found`` names another. ``events`` are codes joined by "+".
    """
    evidence_at = at - HOUR * lead_h
    prediction_id = a_prediction(connection, house, now=at, evidence_at=evidence_at)
    if events:
        connection.execute(
            "insert into prediction_evidence values (%s, 'event', %s, %s, 2, 'Error', '错误')",
            (prediction_id, f"{events}@{evidence_at.isoformat()}", evidence_at),
        )
    code = open_from_prediction(connection, prediction_id, at)
    mode = (found or house.mode_id) if outcome is Outcome.REPAIRED else None
    row = connection.execute(
        """update ticket set state = 'closed', outcome = %s, found_failure_mode_id = %s, closed_at = %s,
             work_finished_at = %s where code = %s returning id""",
        (outcome.value, mode, at, at, code),
    ).fetchone()
    assert row is not None
    connection.execute("update bill_line set issued = %s, used = %s where ticket_id = %s", (used, used, row[0]))
    closed = a_ticket(asset_id=house.asset_id, state=State.CLOSED, outcome=outcome, work_finished_at=at)
    close_case(connection, row[0], replace(closed, id=row[0]), at)
    return UUID(str(row[0]))


def lessons(connection: Connection, house: House, *, right: int = 0, wrong: int = 0, at: datetime = NOW) -> None:
    """So many closures that confirmed the mode, and so many that found no fault, one a day up to ``at``."""
    for number in range(right + wrong):
        outcome = Outcome.REPAIRED if number < right else Outcome.NO_FAULT_FOUND
        a_lesson(connection, house, outcome, at=at - DAY * number)


def a_shadow_finding(connection: Connection, house: House, rule_id: int, opened_at: datetime) -> None:
    """A finding of a shadow rule on the house's vibration."""
    connection.execute(
        """insert into finding (id, rule_id, series_id, asset_id, metric, detector, direction, severity, shadow,
             opened_at, value, score, limit_value, evidence, recorded_at)
           values (%s, %s, %s, %s, 'vibration_mm_s', 'step', 'up', 'high', true, %s, 7.1, 9, 5, '{}', %s)""",
        (uuid7(opened_at), rule_id, house.series_id, house.asset_id, opened_at, opened_at),
    )
