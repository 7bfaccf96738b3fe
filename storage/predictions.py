"""Predictions in the database: they merge and rise while they are open, and never flap (SPEC P2, D8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import Connection

from domain.failure_modes import PartNeed
from domain.ids import uuid7
from domain.predictions import Contribution, EvidenceKind, Prediction, Stage, WindowSource
from storage.queries import load

QUERIES = load("predictions")
_EVIDENCE = (EvidenceKind.FINDING, EvidenceKind.EVENT)


@dataclass(frozen=True, slots=True)
class StoredPrediction:
    """An open prediction with the stage it has reached, and the findings behind it with their rules."""

    id: UUID
    stage: Stage
    finding_ids: tuple[UUID, ...]
    rule_ids: tuple[int, ...]


def upsert_prediction(
    connection: Connection, prediction: Prediction, failure_mode_id: int, now: datetime
) -> StoredPrediction:
    """Open the prediction, or take its evidence into the open one of that mode.

    Stage and probability only rise. The window moves with new evidence or a better source, and narrows otherwise. What
    is told beside the evidence (prior, age, history, rivals) is always about the highest probability.
    """
    told = [one for one in prediction.contributions if one.kind in _EVIDENCE]
    row = connection.execute(
        QUERIES["upsert_prediction"],
        {
            "id": uuid7(now),
            "asset_id": prediction.asset_id,
            "failure_mode_id": failure_mode_id,
            "stage": prediction.stage.value,
            "probability": prediction.probability,
            "evidence_at": prediction.evidence_at,
            "first_evidence_at": min(one.ts for one in told),
            "window_from": prediction.window_from,
            "window_to": prediction.window_to,
            "window_source": prediction.window_source.value,
            "sources": [source.value for source in WindowSource],
            "now": now,
        },
    ).fetchone()
    assert row is not None  # an upsert that returns
    prediction_id = row[0]
    is_likeliest = prediction.probability >= row[2]
    if is_likeliest:
        connection.execute(QUERIES["drop_context"], {"prediction_id": prediction_id})
    _save_reasons(connection, prediction_id, prediction.contributions if is_likeliest else told)
    _save_parts(connection, prediction_id, prediction.parts)
    behind = connection.execute(QUERIES["findings_behind"], {"prediction_id": prediction_id}).fetchall()
    return StoredPrediction(
        prediction_id,
        Stage(row[1]),
        tuple(finding_id for finding_id, _ in behind),
        tuple(sorted({rule_id for _, rule_id in behind})),
    )


def _save_reasons(connection: Connection, prediction_id: UUID, contributions: Sequence[Contribution]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            QUERIES["save_contribution"],
            [
                {
                    "prediction_id": prediction_id,
                    "kind": one.kind.value,
                    "reference": one.reference,
                    "ts": one.ts,
                    "log_odds": one.log_odds,
                    "summary_en": one.summary_en,
                    "summary_zh": one.summary_zh,
                }
                for one in contributions
            ],
        )


def _save_parts(connection: Connection, prediction_id: UUID, parts: Sequence[PartNeed]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            QUERIES["save_predicted_part"],
            [
                {
                    "prediction_id": prediction_id,
                    "number": part.number,
                    "quantity": part.quantity,
                    "probability": part.probability,
                }
                for part in parts
            ],
        )


def open_ticket_of(connection: Connection, asset_id: int, failure_mode_id: int) -> UUID | None:
    """Return the id of the mode's open ticket, if there is one."""
    row = connection.execute(
        QUERIES["open_ticket"], {"asset_id": asset_id, "failure_mode_id": failure_mode_id}
    ).fetchone()
    return None if row is None else row[0]


def close_answered(
    connection: Connection, asset_id: int, failure_mode_ids: Sequence[int], *, until: datetime, now: datetime
) -> None:
    """Close these modes' open predictions with no evidence after ``until``, when the component was replaced.

    What a ticket is working on stays open.
    """
    connection.execute(
        QUERIES["close_answered"],
        {"asset_id": asset_id, "failure_mode_ids": list(failure_mode_ids), "until": until, "now": now},
    )


def lapse_watches(connection: Connection, now: datetime) -> int:
    """End watches whose window has passed on the equipment's own clock; return how many."""
    return connection.execute(QUERIES["lapse_watches"], {"now": now}).rowcount
