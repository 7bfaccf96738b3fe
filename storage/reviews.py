"""Reviews: predictions as planners see them, and what they decide (SPEC P5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import Connection

from domain.predictions import WINDOW_SOURCE_EN, WINDOW_SOURCE_ZH, WindowSource
from domain.refusals import Refused
from storage.casework import open_from_prediction
from storage.closures import reject_prediction
from storage.prediction_decisions import Choice, note
from storage.queries import load
from storage.ticket_budget import let_go

QUERIES = load("reviews")


@dataclass(frozen=True, slots=True)
class ReviewedPrediction:
    """A prediction with its decision. Evidence and window are equipment time, the other times wall time.

    ``held_by_budget_at`` is when the site's ticket budget last kept it from opening a ticket, None when it does not;
    ``held_by_flood_at`` the same of a flood of alarms.
    """

    id: UUID
    asset_id: int
    site_id: str
    asset_tag: str
    asset_name: str
    failure_mode: str
    failure_mode_en: str
    failure_mode_zh: str
    stage: str
    status: str
    probability: float
    evidence_at: datetime
    first_evidence_at: datetime
    window_from: datetime
    window_to: datetime
    window_source: WindowSource
    opened_at: datetime
    updated_at: datetime
    decided_by: int | None
    decision_reason: str | None
    version: int
    ticket_code: str | None
    held_by_budget_at: datetime | None
    held_by_flood_at: datetime | None
    snoozed_until: datetime | None
    merged_into: UUID | None

    @property
    def window_source_en(self) -> str:
        """Where the interval comes from, in English."""
        return WINDOW_SOURCE_EN[WindowSource(self.window_source)]

    @property
    def window_source_zh(self) -> str:
        """Where the interval comes from, in Chinese."""
        return WINDOW_SOURCE_ZH[WindowSource(self.window_source)]


def list_predictions(
    connection: Connection,
    *,
    sites: Sequence[str] | None,
    prediction_id: UUID | None = None,
    asset_id: int | None = None,
    status: str | None = None,
    before: UUID | None = None,
    limit: int = 50,
) -> list[ReviewedPrediction]:
    """Return predictions with ids below ``before`` that match every filter given, newest first."""
    asked = {
        "id": prediction_id,
        "sites": None if sites is None else list(sites),
        "asset_id": asset_id,
        "status": status,
        "before": before,
        "limit": limit,
    }
    return [ReviewedPrediction(*row) for row in connection.execute(QUERIES["predictions"], asked)]


def confirm(connection: Connection, prediction_id: UUID, person_id: int, reason: str, now: datetime) -> str:
    """Open a ticket for a prediction on a person's word and return its code.

    Raises ``Refused``: unknown_record, not_a_legal_step (no longer open), already_open (the mode has a ticket).
    """
    _open_or_refuse(connection, prediction_id)
    code = open_from_prediction(connection, prediction_id, now)
    if code is None:
        raise Refused(
            "already_open",
            expected="a failure mode without an open ticket on this asset",
            got="one that has an open ticket",
            remedy="Work on that ticket: new findings join it by themselves.",
        )
    noted = {"id": prediction_id, "person_id": person_id, "reason": reason, "now": now}
    connection.execute(QUERIES["note_confirmation"], noted)
    let_go(connection, prediction_id, now)
    note(connection, prediction_id, Choice.CONFIRM, person_id, reason, now, {}, {"ticket": code})
    return code


def reject(connection: Connection, prediction_id: UUID, person_id: int, reason: str, now: datetime) -> None:
    """Reject a prediction with a reason, so that the same evidence does not open it again.

    Raises ``Refused``: unknown_record, not_a_legal_step (no longer open, or its ticket is).
    """
    code = _open_or_refuse(connection, prediction_id)
    if code is not None:
        raise Refused(
            "not_a_legal_step",
            expected="a prediction without an open ticket",
            got=f"one with ticket {code}",
            remedy="Cancel the ticket with the reason: that rejects the prediction too.",
        )
    reject_prediction(connection, prediction_id, person_id, reason, now)
    note(connection, prediction_id, Choice.REJECT, person_id, reason, now, {}, {"status": "rejected"})


def _open_or_refuse(connection: Connection, prediction_id: UUID) -> str | None:
    """Hold an open prediction until the transaction ends; return its open ticket's code."""
    row = connection.execute(QUERIES["lock_prediction"], {"id": prediction_id}).fetchone()
    if row is None:
        raise Refused(
            "unknown_record",
            expected="the id of a prediction",
            got=str(prediction_id),
            remedy="Look it up in the list.",
        )
    status, code = row
    if status != "open":
        raise Refused(
            "not_a_legal_step",
            expected="an open prediction",
            got=f"one that is {status}",
            remedy="Decisions are final; new evidence opens a new prediction.",
        )
    return None if code is None else str(code)
