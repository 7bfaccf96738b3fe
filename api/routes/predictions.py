"""Predictions: which failure mode is coming, on which evidence, and what a planner decides about it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from psycopg import Connection

from api.boundary import BASE_PATH
from api.dependencies import Database, DecidePrediction, LanguageAsked, Now, ReadDetection
from api.detection_schemas import (
    Decision,
    Merge,
    PredictionDetail,
    PredictionEdit,
    Predictions,
    PredictionShape,
    PredictionStatus,
    Snooze,
)
from api.identity import Caller
from api.problems import unknown
from api.routes.answers import CHANGE_ANSWERS, RECORD_ANSWERS, SIGNED_IN_ANSWERS
from api.routes.paging import LIMIT_DEFAULT, Limit, cut
from api.schemas import Key
from api.ticket_schemas import TicketAnswer
from storage import console, prediction_decisions, reviews, tickets
from storage.prediction_decisions import Correction
from storage.reviews import ReviewedPrediction
from storage.supply import expected_parts

router = APIRouter(prefix=BASE_PATH, tags=["detection"])

UuidCursor = Annotated[UUID | None, Query(description="The next_cursor of the page before")]


@router.get("/predictions", responses=SIGNED_IN_ANSWERS)
def list_predictions(
    caller: ReadDetection,
    database: Database,
    asset: Annotated[Key | None, Query(description="Only of this asset")] = None,
    status: PredictionStatus | None = None,
    cursor: UuidCursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Predictions:
    """Return predictions at the caller's sites, newest first."""
    with database.connection() as connection:
        rows = reviews.list_predictions(
            connection,
            sites=caller.site_list(),
            asset_id=asset,
            status=status,
            before=cursor,
            limit=limit + 1,
        )
    page, next_cursor = cut(rows, limit, lambda row: row.id)
    return Predictions(items=[PredictionShape.model_validate(row) for row in page], next_cursor=next_cursor)


@router.get("/predictions/{prediction_id}", responses=RECORD_ANSWERS)
def read_prediction(prediction_id: UUID, caller: ReadDetection, database: Database, now: Now) -> PredictionDetail:
    """Return one prediction with what moved it and the parts it expects to be needed."""
    with database.connection() as connection:
        return _detail(connection, _visible(connection, caller, prediction_id), now)


@router.post("/predictions/{prediction_id}/reject", responses=CHANGE_ANSWERS)
def reject(
    prediction_id: UUID, caller: DecidePrediction, body: Decision, database: Database, now: Now
) -> PredictionDetail:
    """Reject a prediction with a reason; the same evidence does not open it again."""
    with database.connection() as connection:
        _visible(connection, caller, prediction_id)
        reviews.reject(connection, prediction_id, caller.person.id, body.reason, now)
        return _detail(connection, _visible(connection, caller, prediction_id), now)


@router.post("/predictions/{prediction_id}/confirm", status_code=201, responses=CHANGE_ANSWERS)
def confirm(
    prediction_id: UUID, caller: DecidePrediction, body: Decision, database: Database, language: LanguageAsked, now: Now
) -> TicketAnswer:
    """Open a preventive ticket for a prediction on a person's word, before or without the rules doing so."""
    with database.connection() as connection:
        _visible(connection, caller, prediction_id)
        code = reviews.confirm(connection, prediction_id, caller.person.id, body.reason, now)
        detail = tickets.ticket_detail(connection, code, actor=caller.actor(), now=now, language=language)
    return TicketAnswer.model_validate(detail)


@router.post("/predictions/{prediction_id}/merge", responses=CHANGE_ANSWERS)
def merge(prediction_id: UUID, caller: DecidePrediction, body: Merge, database: Database, now: Now) -> PredictionDetail:
    """Fold a prediction into another of the same asset and return that one; further evidence goes there too."""
    with database.connection() as connection:
        _visible(connection, caller, prediction_id)
        _visible(connection, caller, body.into)
        prediction_decisions.merge(connection, prediction_id, body.into, caller.person.id, body.reason, now)
        return _detail(connection, _visible(connection, caller, body.into), now)


@router.post("/predictions/{prediction_id}/snooze", responses=CHANGE_ANSWERS)
def snooze(
    prediction_id: UUID, caller: DecidePrediction, body: Snooze, database: Database, now: Now
) -> PredictionDetail:
    """Let a prediction open no ticket by itself until a time, unless graver or critical evidence comes."""
    with database.connection() as connection:
        _visible(connection, caller, prediction_id)
        prediction_decisions.snooze(connection, prediction_id, body.until, caller.person.id, body.reason, now)
        return _detail(connection, _visible(connection, caller, prediction_id), now)


@router.post("/predictions/{prediction_id}/edit", responses=CHANGE_ANSWERS)
def edit(
    prediction_id: UUID, caller: DecidePrediction, body: PredictionEdit, database: Database, now: Now
) -> PredictionDetail:
    """Correct the failure mode or the window of a prediction; a corrected window stays whatever comes in."""
    wanted = Correction(body.failure_mode, body.window_from, body.window_to)
    with database.connection() as connection:
        _visible(connection, caller, prediction_id)
        prediction_decisions.edit(connection, prediction_id, wanted, caller.person.id, body.reason, now)
        return _detail(connection, _visible(connection, caller, prediction_id), now)


def _visible(connection: Connection, caller: Caller, prediction_id: UUID) -> ReviewedPrediction:
    rows = reviews.list_predictions(connection, sites=caller.site_list(), prediction_id=prediction_id, limit=1)
    if not rows:
        raise unknown("prediction", prediction_id)
    return rows[0]


def _detail(connection: Connection, row: ReviewedPrediction, now: datetime) -> PredictionDetail:
    return PredictionDetail(
        **PredictionShape.model_validate(row).model_dump(),
        evidence=console.contributions(connection, row.id),
        findings=console.finding_rows(connection, prediction_id=row.id),
        parts=expected_parts(connection, row.id, now),
        decisions=prediction_decisions.decisions_about(connection, row.id),
    )
