"""The assets, and one asset with its live plots, predictions, tickets and findings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from psycopg import Connection

from api.dependencies import Database, Now, ReadRegister, ReadSignals, ReportFault
from api.identity import Caller
from api.languages import Language
from api.pages.access import may
from api.pages.forms import PostedForm, text
from api.pages.rendering import frame, page, refused_status, shown
from api.pages.times import milliseconds
from api.permissions import Action
from api.problems import unknown
from domain.refusals import Refused
from storage import assets, audit, casework, charts, console, register_files
from storage.assets import Asset, DeviceRow
from storage.components import list_components
from storage.console import PAGE_SIZE, TicketFilter
from storage.intaking.refusals import is_kept, keep_refusal
from storage.vibration import MOST_SERIES, is_measured, without_features
from ticketing.intake import Channel

router = APIRouter()

KEY_MAX = 2**63 - 1
SERIES_MAX = 24
FINDINGS_MAX = 30
TICKETS_MAX = 20
CHANGES_MAX = 20

AssetId = Annotated[int, Path(ge=1, le=KEY_MAX)]


@dataclass(frozen=True, slots=True)
class AssetRow:
    """An asset in the list; ``online`` is None when none of its devices has said whether it is."""

    asset: Asset
    type_name: str
    online: bool | None
    is_heard: bool
    last_reading_at: datetime | None


@dataclass(frozen=True, slots=True)
class TypedReport:
    """What was typed into the form that reports a fault."""

    title: str = ""
    description: str = ""


@router.get("/assets")
def list_assets(
    request: Request, caller: ReadRegister, database: Database, after: Annotated[int, Query(ge=0, le=KEY_MAX)] = 0
) -> HTMLResponse:
    """Show the assets at the reader's sites."""
    framed = frame(request, caller.person, "assets")
    with database.connection() as connection:
        found = assets.list_assets(connection, sites=caller.site_list(), after=after, limit=PAGE_SIZE + 1)
        shown_assets = found[:PAGE_SIZE]
        keys = [asset.id for asset in shown_assets]
        devices = assets.list_devices(connection, sites=None, assets=keys, limit=PAGE_SIZE * SERIES_MAX)
        types = _type_names(connection, framed.language)
        zones = console.site_zones(connection)
    rows = [_row(asset, [one for one in devices if one.asset_id == asset.id], types) for asset in shown_assets]
    sites = caller.site_list()
    context = {
        "rows": rows,
        "zones": zones,
        "sites": sorted(zones) if sites is None else sites,
        "more": f"/assets?after={keys[-1]}" if len(found) > PAGE_SIZE else None,
        "reads_files": may(caller.person, Action.READ_REGISTER_FILES),
    }
    return page(request, framed, "assets.html", context)


@router.get("/assets/{asset_id}")
def show_asset(asset_id: AssetId, request: Request, caller: ReadRegister, database: Database) -> HTMLResponse:
    """Show one asset."""
    return asset_page(request, caller, database, asset_id)


@router.post("/assets/{asset_id}/reports")
def report_fault(
    asset_id: AssetId, form: PostedForm, request: Request, caller: ReportFault, database: Database, now: Now
) -> Response:
    """Open a corrective ticket for a fault that somebody noticed."""
    typed = TypedReport(text(form, "title"), text(form, "description"))
    try:
        with database.connection() as connection:
            _visible(connection, caller, asset_id)
            code = casework.create_report(
                connection,
                asset_id=asset_id,
                title=typed.title,
                description=typed.description,
                reporter=caller.actor(),
                now=now,
            )
    except Refused as refusal:
        if is_kept(refusal):
            _keep(database, caller, asset_id, typed, refusal, now)
        return asset_page(request, caller, database, asset_id, refusal=refusal, typed=typed)
    return RedirectResponse(f"/tickets/{code}", status_code=303)


def _keep(
    database: Database, caller: Caller, asset_id: int, typed: TypedReport, refusal: Refused, now: datetime
) -> None:
    """Keep a refused report, so that what was typed is not lost with the window."""
    told = {"asset_id": asset_id, "title": typed.title, "description": typed.description}
    with database.connection() as connection:
        site_id = assets.site_of_asset(connection, asset_id)
        keep_refusal(
            connection,
            refusal,
            channel=Channel.CONSOLE,
            body=json.dumps(told, ensure_ascii=False),
            person_id=caller.person.id,
            site_id=site_id if site_id is not None and caller.sees(site_id) else None,
            now=now,
        )


@router.get("/assets/{asset_id}/series/{series_id}/span")
def newest_span(
    asset_id: AssetId,
    series_id: Annotated[int, Path(ge=1, le=2**31 - 1)],
    caller: ReadSignals,
    database: Database,
) -> dict[str, int]:
    """Return the stretch of the series' newest readings, for live plots; one millisecond of 1970 before the first."""
    with database.connection() as connection:
        _visible(connection, caller, asset_id)
        series = charts.list_series(connection, series_id=series_id, limit=1)
        if not series or series[0].asset_id != asset_id:
            raise unknown("series", series_id)
        span = console.newest_span(connection, series_id)
    if span is None:
        return {"from": 0, "to": 1}
    return {"from": milliseconds(span[0]), "to": milliseconds(span[1]) + 1}


def _visible(connection: Connection, caller: Caller, asset_id: int) -> Asset:
    found = assets.list_assets(connection, sites=caller.site_list(), asset_id=asset_id, limit=1)
    if not found:
        raise unknown("asset", asset_id)
    return found[0]


def asset_page(
    request: Request,
    caller: Caller,
    database: Database,
    asset_id: int,
    *,
    refusal: Refused | None = None,
    typed: TypedReport | None = None,
) -> HTMLResponse:
    """Return the page of an asset, with a refusal and what was typed."""
    framed = frame(request, caller.person, "assets", here=f"/assets/{asset_id}")
    with database.connection() as connection:
        context = _context(connection, caller, asset_id, framed.language)
    told = {
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
        "typed": typed or TypedReport(),
    }
    return page(request, framed, "asset.html", {**context, **told}, status=refused_status(refusal))


def _context(connection: Connection, caller: Caller, asset_id: int, language: Language) -> dict[str, object]:
    asset = _visible(connection, caller, asset_id)
    detects = may(caller.person, Action.READ_DETECTION, asset.site_id)
    signals = may(caller.person, Action.READ_SIGNALS, asset.site_id)
    reads_files = may(caller.person, Action.READ_REGISTER_FILES, asset.site_id)
    reads_changes = may(caller.person, Action.READ_CHANGES, asset.site_id)
    own = TicketFilter(asset_id=asset_id, requester_id=None if caller.is_staff_at(asset.site_id) else caller.person.id)
    series = charts.list_series(connection, asset_id=asset_id, limit=MOST_SERIES) if signals else []
    return {
        "asset": asset,
        "has_vibration": is_measured(series),
        "zone": console.site_zones(connection)[asset.site_id],
        "type_name": _type_names(connection, language).get(asset.asset_type_id, asset.asset_type_id),
        "devices": assets.list_devices(connection, sites=None, assets=[asset_id], limit=SERIES_MAX),
        "series": without_features(series)[:SERIES_MAX],
        "components": list_components(connection, asset_id),
        "reads_files": reads_files,
        "files": register_files.files_of_asset(connection, asset_id) if reads_files else [],
        "reads_changes": reads_changes,
        "changes": _changes(connection, asset_id) if reads_changes else [],
        "may_change": may(caller.person, Action.CHANGE_REGISTER, asset.site_id),
        "signals": signals,
        "detects": detects,
        "predictions": console.prediction_rows(connection, sites=None, asset_id=asset_id) if detects else [],
        "findings": console.finding_rows(connection, asset_id=asset_id, limit=FINDINGS_MAX) if detects else [],
        "tickets": console.ticket_rows(connection, own, limit=TICKETS_MAX),
        "may_report": may(caller.person, Action.REPORT_FAULT, asset.site_id),
    }


def _changes(connection: Connection, asset_id: int) -> list[audit.Change]:
    return audit.changes_of_asset(connection, asset_id, before=None, limit=CHANGES_MAX)


def _type_names(connection: Connection, language: Language) -> dict[str, str]:
    chinese = language is Language.ZH
    return {one.id: one.name_zh if chinese else one.name_en for one in assets.list_asset_types(connection)}


def _row(asset: Asset, devices: Sequence[DeviceRow], types: Mapping[str, str]) -> AssetRow:
    told = [device.online for device in devices if device.online is not None]
    newest = max((device.last_reading_at for device in devices if device.last_reading_at is not None), default=None)
    return AssetRow(
        asset=asset,
        type_name=types.get(asset.asset_type_id, asset.asset_type_id),
        online=any(told) if told else None,
        is_heard=any(device.last_seen_at is not None for device in devices),
        last_reading_at=newest,
    )
