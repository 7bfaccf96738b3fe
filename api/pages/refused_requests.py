"""Refused requests for tickets: kept whole with the reason, until somebody says how each was dealt with (T10, Q3)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.dependencies import Database, Now, ReadRefusedIntake, SettleRefusedIntake
from api.identity import Caller
from api.intake_schemas import Settlement
from api.languages import Language
from api.pages.access import may
from api.pages.forms import PostedForm, body_of, text
from api.pages.payloads import shown_payload
from api.pages.rendering import ShownRefusal, frame, page, refused_status, shown
from api.pages.times import common_zone
from api.permissions import Action
from api.problems import unknown
from api.routes import intake as routes
from api.schemas import Key
from domain.refusals import REFUSALS, Refused
from storage import console
from storage.intaking.refusals import IntakeRefusal, list_refusals

router = APIRouter()

LIST_MAX = 50
KEY_MAX = 2**63 - 1
NOTE_MAX = 1_000


@dataclass(frozen=True, slots=True)
class KeptRequest:
    """A refused request with its reason in the reader's words."""

    row: IntakeRefusal
    title: str
    why: ShownRefusal


@router.get("/intake")
def list_refused(
    request: Request,
    caller: ReadRefusedIntake,
    database: Database,
    settled: Annotated[int, Query(ge=0, le=1)] = 0,
    before: Annotated[int | None, Query(ge=1, le=KEY_MAX)] = None,
) -> HTMLResponse:
    """Show the refused requests that wait, or those that were dealt with, newest first."""
    framed = frame(request, caller.person, "intake")
    with database.connection() as connection:
        rows = list_refusals(
            connection, sites=caller.site_list(), is_open=not settled, before=before, limit=LIST_MAX + 1
        )
        zones = console.site_zones(connection)
    requests = rows[:LIST_MAX]
    more = "" if len(rows) <= LIST_MAX else f"/intake?before={requests[-1].id}" + ("&settled=1" if settled else "")
    context = {
        "requests": [_told(one, framed.language) for one in requests],
        "settled": bool(settled),
        "zones": zones,
        "zone": common_zone(zones),
        "more": more,
    }
    return page(request, framed, "intake.html", context)


@router.get("/intake/{refusal_id}")
def show_refused(refusal_id: Key, request: Request, caller: ReadRefusedIntake, database: Database) -> HTMLResponse:
    """Show one refused request as it came."""
    return _request_page(request, caller, database, refusal_id)


@router.post("/intake/{refusal_id}/settlement")
def settle(
    refusal_id: Key, form: PostedForm, request: Request, caller: SettleRefusedIntake, database: Database, now: Now
) -> Response:
    """Note how a refused request was dealt with, and go back to those that wait."""
    note = text(form, "note")[: 2 * NOTE_MAX]
    try:
        routes.settle_refused_intake(refusal_id, caller, body_of(Settlement, {"note": note}), database, now)
    except Refused as refusal:
        return _request_page(request, caller, database, refusal_id, refusal=refusal, note=note)
    return RedirectResponse("/intake", status_code=303)


def _request_page(
    request: Request,
    caller: Caller,
    database: Database,
    refusal_id: int,
    *,
    refusal: Refused | None = None,
    note: str = "",
) -> HTMLResponse:
    framed = frame(request, caller.person, "intake", here=f"/intake/{refusal_id}")
    with database.connection() as connection:
        found = list_refusals(connection, sites=caller.site_list(), refusal_id=refusal_id, limit=1)
        zones = console.site_zones(connection)
    if not found:
        raise unknown("refused request", refusal_id)
    (row,) = found
    context = {
        "one": _told(row, framed.language),
        "body": _laid_out(row.body),
        "zone": zones.get(row.site_id or "", common_zone(zones)),
        "note": note,
        "may_settle": row.settled_at is None and may(caller.person, Action.SETTLE_REFUSED_INTAKE),
        "may_report": may(caller.person, Action.REPORT_FAULT),
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
    }
    return page(request, framed, "intake_request.html", context, status=refused_status(refusal))


def _told(row: IntakeRefusal, language: Language) -> KeptRequest:
    meant = REFUSALS.get(row.reason)
    # A reason that this version no longer knows is still a request that somebody made.
    name = row.reason if meant is not None else "invalid_request"
    why = shown(Refused(name, expected=row.expected, got=row.got, remedy=row.remedy), language)
    return KeptRequest(row, why.title if meant is not None else row.reason, why)


def _laid_out(body: str) -> str:
    """Return a request with a line for each of its fields where it is JSON, as it came otherwise."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return shown_payload(body.encode("utf-8", "replace"), is_whole=True).text
    written = json.dumps(told, ensure_ascii=False, indent=2).encode("utf-8", "replace")
    return shown_payload(written, is_whole=True).text
