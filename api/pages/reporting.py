"""Asking for work: three steps with a draft that survives leaving, and what is known before anything is sent (T10).

A step is kept before anything in it is judged, so that nothing typed is lost with the window. The last one sends the
draft as it was shown, through the API's own route; a request that is refused there is kept as every refused one is.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from psycopg import Connection

from api.dependencies import Database, LanguageAsked, Now, ReadTickets, ReportFault
from api.identity import Caller, permitted
from api.intake_schemas import DraftBody, DraftShape, NewReport
from api.pages.access import may
from api.pages.forms import PostedForm, body_of, text, whole_number
from api.pages.rendering import frame, page, refused_status, shown
from api.pages.report_forms import Source, TypedReport
from api.pages.report_view import asset_named, choices_for, preview_of, report_started
from api.permissions import Action
from api.routes import drafts as draft_routes
from api.routes import intake as routes
from api.schemas import Key
from domain.refusals import Refused
from storage import console
from storage.assets import Asset
from storage.drafts import list_drafts
from storage.intaking.refusals import is_kept, keep_refusal
from ticketing.intake import Channel

router = APIRouter()

WHERE, WHAT, SEND = "where", "what", "send"
KEPT = "/report?kept=1"


@router.get("/report")
def show_report(
    request: Request,
    reader: ReadTickets,
    database: Database,
    now: Now,
    draft: Annotated[str, Query(max_length=64)] = "",
    step: Annotated[str, Query(max_length=8)] = WHERE,
    asset: Key | None = None,
    kept: Annotated[int, Query(ge=0, le=1)] = 0,
) -> Response:
    """Show a step of a report, filled in as far as its draft goes."""
    caller = permitted(reader.person, Action.REPORT_FAULT, reader.channel)
    source = Source.of(draft if asset is None else f"report.asset-{asset}")
    if step in (WHAT, SEND) and _draft_of(database, caller, source, now) is None:
        return RedirectResponse(source.address(), status_code=303)
    return _report_page(request, caller, database, now, source, step, is_kept_now=bool(kept))


@router.post("/report/where")
def say_where(form: PostedForm, request: Request, caller: ReportFault, database: Database, now: Now) -> Response:
    """Keep which asset it is about and what kind of work it is."""
    source = Source.of(text(form, "draft"))
    typed = _typed(database, caller, source, now).with_where(form)
    try:
        _keep_draft(database, caller, source, typed, text(form, "version"), now)
        if text(form, "go") == "later":
            return RedirectResponse(KEPT, status_code=303)
        with database.connection() as connection:
            asset_named(connection, caller, typed)
    except Refused as refusal:
        return _report_page(request, caller, database, now, source, WHERE, refusal=refusal, typed=typed)
    return RedirectResponse(source.address(WHAT), status_code=303)


@router.post("/report/what")
def say_what(form: PostedForm, request: Request, caller: ReportFault, database: Database, now: Now) -> Response:
    """Keep what is the matter, how urgent it is and what is to be done."""
    source = Source.of(text(form, "draft"))
    typed = _typed(database, caller, source, now).with_what(form)
    go = text(form, "go")
    try:
        _keep_draft(database, caller, source, typed, text(form, "version"), now)
        if go == "later":
            return RedirectResponse(KEPT, status_code=303)
        if go in (WHERE, WHAT):
            return RedirectResponse(source.address(go), status_code=303)
        with database.connection() as connection:
            asset = asset_named(connection, caller, typed)
        body_of(NewReport, typed.report(asset.id))
    except Refused as refusal:
        return _report_page(request, caller, database, now, source, WHAT, refusal=refusal, typed=typed)
    return RedirectResponse(source.address(SEND), status_code=303)


@router.post("/report/send")
def send(
    form: PostedForm, request: Request, caller: ReportFault, database: Database, language: LanguageAsked, now: Now
) -> Response:
    """Open the ticket that was shown; sent twice, it is one ticket."""
    source = Source.of(text(form, "draft"))
    draft = _draft_of(database, caller, source, now)
    if draft is None:
        # Sent already, by a second click or in another window: the newest ticket of the list is it.
        return RedirectResponse("/", status_code=303)
    typed = TypedReport.of_kept(draft.body)
    told: dict[str, object] = typed.draft()
    site_id = None
    try:
        _refuse_unseen(draft, text(form, "version"))
        with database.connection() as connection:
            asset = asset_named(connection, caller, typed)
        site_id, told = asset.site_id, typed.report(asset.id)
        key = f"draft {draft.form} {draft.version} {draft.saved_at.isoformat()}"
        body = body_of(NewReport, told)
        answer = routes.report_fault(caller, body, request, Response(), database, language, now, key)
    except Refused as refusal:
        _keep_refused(database, caller, refusal, told, site_id, now)
        return _report_page(request, caller, database, now, source, SEND, refusal=refusal)
    _forget_draft(database, caller, source)
    if isinstance(answer, JSONResponse):
        return RedirectResponse(f"/tickets/{json.loads(bytes(answer.body))['ticket']['code']}", status_code=303)
    return RedirectResponse(f"/tickets/{answer.ticket.code}", status_code=303)


@router.post("/report/discard")
def discard(form: PostedForm, caller: ReportFault, database: Database) -> Response:
    """Throw the draft away and begin anew."""
    _forget_draft(database, caller, Source.of(text(form, "draft")))
    return RedirectResponse("/report", status_code=303)


def _draft_of(database: Database, caller: Caller, source: Source, now: datetime) -> DraftShape | None:
    with database.connection() as connection:
        found = list_drafts(connection, caller.person.id, now, form=source.form)
    return DraftShape.model_validate(found[0]) if found else None


def _typed(database: Database, caller: Caller, source: Source, now: datetime) -> TypedReport:
    """Return the report as its draft has it, or as what it is started from says."""
    draft = _draft_of(database, caller, source, now)
    if draft is not None:
        return TypedReport.of_kept(draft.body)
    with database.connection() as connection:
        return report_started(connection, caller, source)


def _keep_draft(
    database: Database, caller: Caller, source: Source, typed: TypedReport, version: str, now: datetime
) -> None:
    body = body_of(DraftBody, {"body": typed.draft(), "version": whole_number(version)})
    draft_routes.save_draft(source.form, caller, body, database, now)


def _forget_draft(database: Database, caller: Caller, source: Source) -> None:
    try:
        draft_routes.delete_draft(source.form, caller, database)
    except Refused as refusal:
        # Sent or thrown away in another window meanwhile: what was wanted is so.
        if refusal.name != "unknown_record":
            raise


def _refuse_unseen(draft: DraftShape, version: str) -> None:
    """Refuse to send what another window has changed since it was shown."""
    if version != str(draft.version):
        raise Refused(
            "stale_record",
            expected=f"version {draft.version} of the draft",
            got=f"version {version[:20]}",
            remedy="Look at it as it is now and send it again.",
        )


def _keep_refused(
    database: Database, caller: Caller, refusal: Refused, told: object, site_id: str | None, now: datetime
) -> None:
    """Keep a refused report as the API keeps it, where those see it who deal with refused requests."""
    if refusal.name == "stale_record" or not is_kept(refusal):
        return
    with database.connection() as connection:
        keep_refusal(
            connection,
            refusal,
            channel=Channel.CONSOLE,
            body=json.dumps(told, ensure_ascii=False),
            person_id=caller.person.id,
            site_id=site_id,
            now=now,
        )


def _report_page(
    request: Request,
    caller: Caller,
    database: Database,
    now: datetime,
    source: Source,
    step: str,
    *,
    refusal: Refused | None = None,
    typed: TypedReport | None = None,
    is_kept_now: bool = False,
) -> HTMLResponse:
    framed = frame(request, caller.person, "tickets", here=source.address(step))
    draft = _draft_of(database, caller, source, now)
    typed = typed or _typed(database, caller, source, now)
    with database.connection() as connection:
        asset = _asset_or_none(connection, caller, typed)
        zones = console.site_zones(connection)
        others = list_drafts(connection, caller.person.id, now)
        choices = choices_for(connection, caller, asset, framed.language)
    # Without its asset there is nothing to go on with.
    at = step if step in (WHAT, SEND) and asset is not None else WHERE
    sites = caller.site_list()
    context = {
        "source": source,
        "step": at,
        "typed": typed,
        # A stale step is judged against what is kept now, not against what was typed over.
        "version": "" if draft is None else draft.version,
        "draft": draft,
        "others": [
            (Source.of(one.form), TypedReport.of_kept(one.body), one.saved_at)
            for one in others
            if one.form.startswith("report") and Source.of(one.form).form == one.form != source.form
        ],
        "is_kept_now": is_kept_now,
        "sites": sorted(zones) if sites is None else sites,
        "zone": zones.get("" if asset is None else asset.site_id, "UTC"),
        "zones": zones,
        "asset": asset,
        "choices": choices,
        "reads_schedules": may(caller.person, Action.READ_SCHEDULES),
        "preview": preview_of(caller, database, asset, typed, now) if at == SEND and asset is not None else None,
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
    }
    return page(request, framed, "report.html", context, status=refused_status(refusal))


def _asset_or_none(connection: Connection, caller: Caller, typed: TypedReport) -> Asset | None:
    try:
        return asset_named(connection, caller, typed)
    except Refused:
        return None
