"""Schedules: work that comes round by the calendar or by a meter, with its last ticket and what comes next (T8)."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from psycopg import Connection

from api.dependencies import ChangeSchedules, Database, Now, ReadSchedules
from api.identity import Caller, permitted
from api.pages.access import may
from api.pages.forms import PostedForm, body_of, text, whole_number
from api.pages.metric_words import unit_of
from api.pages.rendering import frame, page, refused_status, shown
from api.pages.report_forms import TypedReport
from api.pages.report_view import asset_named
from api.pages.schedule_forms import TypedSchedule
from api.permissions import Action
from api.problems import unknown
from api.routes import schedules as routes
from api.schedule_schemas import ChangedWork, NewSchedule
from api.schemas import Key
from domain.refusals import Refused
from storage import assets, charts, console, qualifications, schedules
from storage.assets import Asset
from storage.schedule_views import last_tickets, next_days
from storage.schedules import Schedule

router = APIRouter()

LIST_MAX = 50
SERIES_MAX = 200
TEAMS_MAX = 200
KEY_MAX = 2**63 - 1


@router.get("/schedules")
def list_schedules(
    request: Request,
    caller: ReadSchedules,
    database: Database,
    asset: Key | None = None,
    ended: Annotated[int, Query(ge=0, le=1)] = 0,
    before: Annotated[int | None, Query(ge=1, le=KEY_MAX)] = None,
) -> HTMLResponse:
    """Show the schedules at the reader's sites: when each comes round next, its last and its open ticket."""
    with database.connection() as connection:
        rows = schedules.list_schedules(
            connection,
            sites=caller.site_list(),
            asset_id=asset,
            with_ended=bool(ended),
            before=before,
            limit=LIST_MAX + 1,
        )
        found = rows[:LIST_MAX]
        context = {
            "schedules": found,
            "last": last_tickets(connection, [one.id for one in found]),
            "next": next_days(connection, found),
            "meters": _units(connection, found),
            "zones": console.site_zones(connection),
        }
    more = {"asset": asset, "ended": ended or "", "before": found[-1].id if found else ""}
    told = {
        "asset": asset,
        "ended": bool(ended),
        "more": "/schedules?" + urlencode({name: value for name, value in more.items() if value}),
        "has_more": len(rows) > LIST_MAX,
        "may_change": may(caller.person, Action.CHANGE_SCHEDULES),
    }
    return page(request, frame(request, caller.person, "schedules"), "schedules.html", {**context, **told})


@router.get("/schedules/new")
def start(
    request: Request,
    caller: ReadSchedules,
    database: Database,
    site: Annotated[str, Query(max_length=64)] = "",
    tag: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    """Ask for which asset, then for the schedule; who may add none is shown those that there are."""
    if not may(caller.person, Action.CHANGE_SCHEDULES):
        return RedirectResponse("/schedules", status_code=303)
    planner = permitted(caller.person, Action.CHANGE_SCHEDULES, caller.channel)
    named = TypedReport(site=site.replace("\0", ""), tag=(tag or "").strip().replace("\0", ""))
    try:
        with database.connection() as connection:
            asset = None if tag is None else asset_named(connection, planner, named)
    except Refused as refusal:
        return _new_page(request, planner, database, None, TypedSchedule(), named=named, refusal=refusal)
    return _new_page(request, planner, database, asset, TypedSchedule(), named=named)


@router.post("/schedules/new")
def add(form: PostedForm, request: Request, caller: ChangeSchedules, database: Database, now: Now) -> Response:
    """Add the schedule, or show the form again with more lines."""
    typed = TypedSchedule.of_posted(form)
    with database.connection() as connection:
        asset = _asset(connection, caller, whole_number(text(form, "asset_id")))
    if text(form, "go") == "what":
        return _new_page(request, caller, database, asset, typed)
    try:
        made = routes.add_schedule(caller, body_of(NewSchedule, typed.schedule(asset.id)), database, now)
    except Refused as refusal:
        return _new_page(request, caller, database, asset, typed, refusal=refusal)
    return RedirectResponse(f"/schedules/{made.id}", status_code=303)


@router.get("/schedules/{schedule_id}")
def show_schedule(schedule_id: Key, request: Request, caller: ReadSchedules, database: Database) -> HTMLResponse:
    """Show one schedule, also one that has ended."""
    return _schedule_page(request, caller, database, schedule_id)


@router.post("/schedules/{schedule_id}/work")
def change_work(
    schedule_id: Key, form: PostedForm, request: Request, caller: ChangeSchedules, database: Database
) -> Response:
    """Change what is to be done from now on, or show the form again with more lines."""
    typed, version = TypedSchedule.of_posted(form), text(form, "version")
    if text(form, "go") == "what":
        return _schedule_page(request, caller, database, schedule_id, typed=typed, version=version)
    try:
        routes.change_work(
            schedule_id, caller, body_of(ChangedWork, {**typed.work(), "version": version or None}), database
        )
    except Refused as refusal:
        return _schedule_page(request, caller, database, schedule_id, typed=typed, refusal=refusal)
    return RedirectResponse(f"/schedules/{schedule_id}", status_code=303)


@router.post("/schedules/{schedule_id}/end")
def end(schedule_id: Key, request: Request, caller: ChangeSchedules, database: Database, now: Now) -> Response:
    """Switch a schedule off; the ticket that it has open stays."""
    try:
        routes.end_schedule(schedule_id, caller, database, now)
    except Refused as refusal:
        return _schedule_page(request, caller, database, schedule_id, refusal=refusal)
    return RedirectResponse(f"/schedules/{schedule_id}", status_code=303)


def _new_page(
    request: Request,
    caller: Caller,
    database: Database,
    asset: Asset | None,
    typed: TypedSchedule,
    *,
    named: TypedReport | None = None,
    refusal: Refused | None = None,
) -> HTMLResponse:
    here = None if request.method == "GET" else "/schedules/new"
    framed = frame(request, caller.person, "schedules", here=here)
    with database.connection() as connection:
        zones = console.site_zones(connection)
        series = [] if asset is None else charts.list_series(connection, asset_id=asset.id, limit=SERIES_MAX)
        teams = [] if asset is None else _teams(connection, asset.site_id)
        modes = [] if asset is None else console.mode_names(connection, asset.asset_type_id)
    sites = caller.site_list()
    context = {
        "asset": asset,
        "named": named or TypedReport(),
        "typed": typed,
        "series": series,
        "teams": teams,
        "modes": modes,
        "sites": sorted(zones) if sites is None else sites,
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
    }
    return page(request, framed, "schedule_new.html", context, status=refused_status(refusal))


def _schedule_page(
    request: Request,
    caller: Caller,
    database: Database,
    schedule_id: int,
    *,
    typed: TypedSchedule | None = None,
    version: str = "",
    refusal: Refused | None = None,
) -> HTMLResponse:
    framed = frame(request, caller.person, "schedules", here=f"/schedules/{schedule_id}")
    schedule = routes.read_schedule(schedule_id, caller, database)
    with database.connection() as connection:
        asset = _asset(connection, caller, schedule.asset_id)
        last = last_tickets(connection, [schedule.id])
        days = next_days(connection, [schedule])
        teams = _teams(connection, schedule.site_id)
        modes = console.mode_names(connection, asset.asset_type_id)
        series = charts.list_series(connection, series_id=schedule.series_id) if schedule.series_id else []
        zone = console.site_zones(connection)[schedule.site_id]
    context = {
        "schedule": schedule,
        "asset": asset,
        "last": last.get(schedule.id),
        "next_day": days.get(schedule.id),
        "meter": series[0] if series else None,
        "teams": teams,
        "modes": modes,
        "team": next((one.name for one in teams if one.id == schedule.team_id), None),
        "zone": zone,
        "typed": typed or TypedSchedule.of_stored(schedule),
        "is_typed": typed is not None,
        "version": version or schedule.version,
        "may_change": may(caller.person, Action.CHANGE_SCHEDULES, schedule.site_id),
        "may_report": may(caller.person, Action.REPORT_FAULT, schedule.site_id),
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
    }
    return page(request, framed, "schedule.html", context, status=refused_status(refusal))


def _asset(connection: Connection, caller: Caller, asset_id: int | None) -> Asset:
    found = assets.list_assets(connection, sites=caller.site_list(), asset_id=asset_id or 0, limit=1)
    if not found:
        raise unknown("asset", asset_id)
    return found[0]


def _teams(connection: Connection, site_id: str) -> list[qualifications.Team]:
    return qualifications.list_teams(connection, sites=[site_id], limit=TEAMS_MAX)


def _units(connection: Connection, found: list[Schedule]) -> dict[int, str]:
    """Return the unit of each meter, by the series' id."""
    keys = sorted({one.series_id for one in found if one.series_id is not None})
    series = [row for key in keys for row in charts.list_series(connection, series_id=key, limit=1)]
    return {one.id: unit_of(one.metric, one.unit) for one in series}
