"""The planner's inbox: what is predicted, on which evidence, and the decision: a ticket, or no with a reason."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from psycopg import Connection

from api.dependencies import Database, DecidePrediction, Now, ReadDetection
from api.identity import Caller
from api.pages.access import may
from api.pages.forms import PostedForm, text
from api.pages.rendering import frame, page, refused_status, shown
from api.pages.ticket_view import plots_of
from api.permissions import Action
from api.problems import unknown
from domain.refusals import Refused
from storage import console, reviews
from storage.console import PredictionRow
from storage.supply import expected_parts

router = APIRouter()

STATUSES = ("open", "rejected", "lapsed", "closed", "merged")
LIST_MAX = 200
REASON_MAX = 1_000


@router.get("/predictions")
def list_predictions(
    request: Request, caller: ReadDetection, database: Database, status: Annotated[str, Query(max_length=20)] = "open"
) -> HTMLResponse:
    """Show predictions, the likeliest open ones first."""
    wanted = status if status in STATUSES else ""
    with database.connection() as connection:
        rows = console.prediction_rows(connection, sites=caller.site_list(), status=wanted or None, limit=LIST_MAX)
        zones = console.site_zones(connection)
    framed = frame(request, caller.person, "predictions")
    context = {"predictions": rows, "zones": zones, "status": wanted, "limit": LIST_MAX}
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
        return _prediction_page(request, caller, database, prediction_id, now, refusal=refusal)
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
        return _prediction_page(request, caller, database, prediction_id, now, refusal=refusal, reason=reason)
    return RedirectResponse(f"/predictions/{prediction_id}", status_code=303)


def _prediction_page(
    request: Request,
    caller: Caller,
    database: Database,
    prediction_id: UUID,
    now: datetime,
    *,
    refusal: Refused | None = None,
    reason: str = "",
) -> HTMLResponse:
    framed = frame(request, caller.person, "predictions", here=f"/predictions/{prediction_id}")
    with database.connection() as connection:
        context = _context(connection, caller, prediction_id, now)
    told = {"refusal": shown(refusal, framed.language) if refusal is not None else None, "reason": reason}
    return page(request, framed, "prediction.html", {**context, **told}, status=refused_status(refusal))


def _context(connection: Connection, caller: Caller, prediction_id: UUID, now: datetime) -> dict[str, object]:
    row = _visible(connection, caller, prediction_id)
    findings = console.finding_rows(connection, prediction_id=prediction_id)
    return {
        "prediction": row,
        "zone": console.site_zones(connection)[row.site_id],
        "weights_list": console.contributions(connection, prediction_id),
        "parts": expected_parts(connection, prediction_id, now),
        "plots": plots_of(connection, findings),
        "may_decide": row.status == "open"
        and row.ticket_code is None
        and may(caller.person, Action.DECIDE_PREDICTION, row.site_id),
    }


def _visible(connection: Connection, caller: Caller, prediction_id: UUID) -> PredictionRow:
    row = console.prediction_row(connection, prediction_id)
    if row is None or not caller.sees(row.site_id):
        raise unknown("prediction", prediction_id)
    return row
