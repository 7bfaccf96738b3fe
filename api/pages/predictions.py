"""The planner's inbox: what is predicted, on which evidence, and the decision: a ticket, no, or something between."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from psycopg import Connection

from api.dependencies import Database, DecidePrediction, Now, ReadDetection
from api.identity import Caller
from api.pages import prediction_words
from api.pages.forms import FRESH, PostedForm, Typed, text, typed
from api.pages.prediction_view import edit_body, merge_body, prediction_context, snooze_body
from api.pages.rendering import frame, page, refused_status, shown
from api.problems import unknown
from api.routes import predictions as routes
from domain.refusals import Refused
from storage import console, reviews
from storage.console import PredictionRow
from storage.floods import floods_now
from storage.prediction_decisions import asleep

router = APIRouter()

STATUSES = ("open", "rejected", "lapsed", "closed", "merged")
PAGE_SIZE = 100
PAGES_MAX = 1_000
REASON_MAX = 1_000


@router.get("/predictions")
def list_predictions(
    request: Request,
    caller: ReadDetection,
    database: Database,
    now: Now,
    status: Annotated[str, Query(max_length=20)] = "open",
    number: Annotated[int, Query(alias="page", ge=1, le=PAGES_MAX)] = 1,
) -> HTMLResponse:
    """Show predictions, the likeliest open ones first, a page at a time."""
    wanted = status if status in STATUSES else ""
    with database.connection() as connection:
        rows = console.prediction_rows(
            connection,
            sites=caller.site_list(),
            status=wanted or None,
            limit=PAGE_SIZE + 1,
            skip=(number - 1) * PAGE_SIZE,
        )
        zones = console.site_zones(connection)
        floods = floods_now(connection, caller.site_list(), now)
        sleeping = asleep(connection, [one.id for one in rows if one.snoozed_until is not None], now)
    framed = frame(request, caller.person, "predictions")
    context = {
        "predictions": rows[:PAGE_SIZE],
        "zones": zones,
        "status": wanted,
        "more": f"/predictions?status={wanted or 'all'}&page={number + 1}" if len(rows) > PAGE_SIZE else None,
        "asleep": sleeping,
        "floods": floods,
        "prediction_words": prediction_words,
    }
    return page(request, framed, "predictions.html", context)


@router.get("/predictions/{prediction_id}")
def show_prediction(
    prediction_id: UUID, request: Request, caller: ReadDetection, database: Database, now: Now
) -> HTMLResponse:
    """Show one prediction with its evidence."""
    return _prediction_page(request, caller, database, prediction_id, now)


@router.post("/predictions/{prediction_id}/confirm")
def confirm(
    prediction_id: UUID, form: PostedForm, request: Request, caller: DecidePrediction, database: Database, now: Now
) -> Response:
    """Open a ticket on the planner's word and go to it."""
    reason = text(form, "reason")[:REASON_MAX]
    try:
        with database.connection() as connection:
            _visible(connection, caller, prediction_id)
            code = reviews.confirm(connection, prediction_id, caller.person.id, reason, now)
    except Refused as refusal:
        return _prediction_page(request, caller, database, prediction_id, now, refusal, typed("confirm", form))
    return RedirectResponse(f"/tickets/{code}", status_code=303)


@router.post("/predictions/{prediction_id}/reject")
def reject(
    prediction_id: UUID, form: PostedForm, request: Request, caller: DecidePrediction, database: Database, now: Now
) -> Response:
    """Reject the prediction; the reason is part of the decision."""
    reason = text(form, "reason")
    try:
        if not 0 < len(reason) <= REASON_MAX:
            raise Refused(
                "missing_fact" if not reason else "invalid_fact",
                expected=f"a reason of 1 to {REASON_MAX} characters",
                got=f"{len(reason)} characters",
                remedy="Say in a sentence why the prediction is wrong: the rules learn from it.",
            )
        with database.connection() as connection:
            _visible(connection, caller, prediction_id)
            reviews.reject(connection, prediction_id, caller.person.id, reason, now)
    except Refused as refusal:
        return _prediction_page(request, caller, database, prediction_id, now, refusal, typed("reject", form))
    return RedirectResponse(f"/predictions/{prediction_id}", status_code=303)


@router.post("/predictions/{prediction_id}/snooze")
def snooze(
    prediction_id: UUID, form: PostedForm, request: Request, caller: DecidePrediction, database: Database, now: Now
) -> Response:
    """Let the prediction open no ticket by itself for a while."""
    posted = typed("snooze", form)
    try:
        body = snooze_body(posted, _zone(database, caller, prediction_id), now)
        routes.snooze(prediction_id, caller, body, database, now)
    except Refused as refusal:
        return _prediction_page(request, caller, database, prediction_id, now, refusal, posted)
    return RedirectResponse(f"/predictions/{prediction_id}", status_code=303)


@router.post("/predictions/{prediction_id}/merge")
def merge(
    prediction_id: UUID, form: PostedForm, request: Request, caller: DecidePrediction, database: Database, now: Now
) -> Response:
    """Fold the prediction into another one of the asset and go there."""
    posted = typed("merge", form)
    try:
        body = merge_body(posted)
        routes.merge(prediction_id, caller, body, database, now)
    except Refused as refusal:
        return _prediction_page(request, caller, database, prediction_id, now, refusal, posted)
    return RedirectResponse(f"/predictions/{body.into}", status_code=303)


@router.post("/predictions/{prediction_id}/edit")
def edit(
    prediction_id: UUID, form: PostedForm, request: Request, caller: DecidePrediction, database: Database, now: Now
) -> Response:
    """Correct the failure mode or the window."""
    posted = typed("edit", form)
    try:
        body = edit_body(posted, _zone(database, caller, prediction_id))
        routes.edit(prediction_id, caller, body, database, now)
    except Refused as refusal:
        return _prediction_page(request, caller, database, prediction_id, now, refusal, posted)
    return RedirectResponse(f"/predictions/{prediction_id}", status_code=303)


def _prediction_page(
    request: Request,
    caller: Caller,
    database: Database,
    prediction_id: UUID,
    now: datetime,
    refusal: Refused | None = None,
    posted: Typed = FRESH,
) -> HTMLResponse:
    framed = frame(request, caller.person, "predictions", here=f"/predictions/{prediction_id}")
    with database.connection() as connection:
        row = _visible(connection, caller, prediction_id)
        context = prediction_context(connection, caller, row, framed.language, now)
    told = {"refusal": shown(refusal, framed.language) if refusal is not None else None, "typed": posted}
    return page(request, framed, "prediction.html", {**context, **told}, status=refused_status(refusal))


def _zone(database: Database, caller: Caller, prediction_id: UUID) -> str:
    """Return the zone in which the times of the prediction's forms are typed."""
    with database.connection() as connection:
        return console.site_zones(connection)[_visible(connection, caller, prediction_id).site_id]


def _visible(connection: Connection, caller: Caller, prediction_id: UUID) -> PredictionRow:
    row = console.prediction_row(connection, prediction_id)
    if row is None or not caller.sees(row.site_id):
        raise unknown("prediction", prediction_id)
    return row
