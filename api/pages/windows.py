"""When faults weigh more, whose dispatch is frozen, and how the control policy compares (S1, S6, S7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.dependencies import ChangePolicies, Database, Now, ReadPolicies
from api.identity import Caller, permitted
from api.languages import Language
from api.pages.access import may
from api.pages.forms import PostedForm, body_of, text
from api.pages.rendering import frame, page, refused_status, shown
from api.pages.window_forms import TypedWindow, clock_of
from api.permissions import Action
from api.priority_schemas import NewWindow, WindowChange
from api.routes import priorities as routes
from api.routes.priorities import Month
from api.schemas import Key
from domain.refusals import Refused
from storage import assets, breaker, console, critical_windows
from storage.critical_windows import TIME_FIELDS, CriticalWindow
from ticketing.critical_windows import times_of

router = APIRouter()

LIST_MAX = 100
KEY_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ShownWindow:
    """A window with whether it is open now, and its times of the day as a clock shows them."""

    window: CriticalWindow
    is_open: bool
    starts: str
    ends: str


@router.get("/windows")
def list_windows(
    request: Request,
    caller: ReadPolicies,
    database: Database,
    now: Now,
    after: Annotated[int, Query(ge=0, le=KEY_MAX)] = 0,
) -> HTMLResponse:
    """Show the critical windows at the reader's sites, and which of the sites are frozen."""
    framed = frame(request, caller.person, "windows")
    with database.connection() as connection:
        rows = critical_windows.list_windows(connection, sites=caller.site_list(), after=after, limit=LIST_MAX + 1)
        breakers = breaker.read_breakers(connection, caller.staff_sites())
        zones = console.site_zones(connection)
        types = assets.list_asset_types(connection)
    context = {
        "windows": [_shown(one, now) for one in rows[:LIST_MAX]],
        "more": f"/windows?after={rows[LIST_MAX - 1].id}" if len(rows) > LIST_MAX else None,
        "breakers": breakers,
        "zones": zones,
        "names": {one.id: one.name_zh if framed.language is Language.ZH else one.name_en for one in types},
        "may_change": may(caller.person, Action.CHANGE_POLICIES),
        "month": now.strftime("%Y-%m"),
    }
    return page(request, framed, "windows.html", context)


@router.get("/windows/new")
def start(request: Request, caller: ReadPolicies, database: Database) -> Response:
    """Ask for a new window; who may add none is shown those that there are."""
    if not may(caller.person, Action.CHANGE_POLICIES):
        return RedirectResponse("/windows", status_code=303)
    return _window_page(request, caller, database, None, TypedWindow())


@router.post("/windows/new")
def add(form: PostedForm, request: Request, caller: ChangePolicies, database: Database, now: Now) -> Response:
    """Add a window."""
    typed = TypedWindow.of_posted(form)
    with database.connection() as connection:
        zone = console.site_zones(connection).get(typed.site, "UTC")
    try:
        routes.add_window(caller, body_of(NewWindow, {**typed.body(zone), "site": typed.site}), database, now)
    except Refused as refusal:
        return _window_page(request, caller, database, None, typed, refusal=refusal)
    return RedirectResponse("/windows", status_code=303)


@router.get("/windows/{window_id}")
def show_window(window_id: Key, request: Request, caller: ReadPolicies, database: Database, now: Now) -> HTMLResponse:
    """Show one window."""
    window = routes.read_window(window_id, caller, database)
    return _window_page(request, caller, database, _shown(window, now), TypedWindow.of_stored(window))


@router.post("/windows/{window_id}")
def change(
    window_id: Key, form: PostedForm, request: Request, caller: ChangePolicies, database: Database, now: Now
) -> Response:
    """Say anew what a window is, or end it for good."""
    known = routes.read_window(window_id, caller, database)
    typed = TypedWindow.of_posted(form)
    try:
        told = {**typed.body(known.time_zone), "version": text(form, "version")}
        routes.change_window(window_id, caller, body_of(WindowChange, told), database)
    except Refused as refusal:
        return _window_page(request, caller, database, _shown(known, now), typed, refusal=refusal)
    return RedirectResponse("/windows", status_code=303)


@router.post("/windows/{window_id}/end")
def end(
    window_id: Key, form: PostedForm, request: Request, caller: ChangePolicies, database: Database, now: Now
) -> Response:
    """End a window for good, if it is still the version that was read."""
    known = routes.read_window(window_id, caller, database)
    try:
        version = text(form, "version")
        body = body_of(WindowChange, {"name": known.name, "factor": known.factor, "version": version})
        routes.retire_window(window_id, body.version, caller, database, now)
    except Refused as refusal:
        typed = TypedWindow.of_stored(known)
        return _window_page(request, caller, database, _shown(known, now), typed, refusal=refusal)
    return RedirectResponse("/windows", status_code=303)


@router.get("/priority-control")
def compare(
    request: Request, caller: ReadPolicies, database: Database, now: Now, month: Month | None = None
) -> HTMLResponse:
    """Show, for a month, where the control policy would have put tickets that both policies scored."""
    wanted = month or now.strftime("%Y-%m")
    report = routes.compare_policies(caller, database, wanted)
    context = {
        "report": report,
        "month": wanted,
        "before": _month_beside(wanted, -1),
        "after": _month_beside(wanted, 1),
    }
    return page(request, frame(request, caller.person, "windows"), "priority_control.html", context)


def _window_page(
    request: Request,
    caller: Caller,
    database: Database,
    known: ShownWindow | None,
    typed: TypedWindow,
    *,
    refusal: Refused | None = None,
) -> HTMLResponse:
    address = "/windows/new" if known is None else f"/windows/{known.window.id}"
    framed = frame(request, caller.person, "windows", here=address)
    with database.connection() as connection:
        zones = console.site_zones(connection)
        types = assets.list_asset_types(connection)
    site = None if known is None else known.window.site_id
    context = {
        "known": known,
        "address": address,
        "typed": typed,
        "sites": _sites(caller, zones),
        "zones": zones,
        "types": [(one.id, one.name_zh if framed.language is Language.ZH else one.name_en) for one in types],
        "may_change": may(caller.person, Action.CHANGE_POLICIES, site),
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
    }
    return page(request, framed, "window.html", context, status=refused_status(refusal))


def _sites(caller: Caller, zones: dict[str, str]) -> Sequence[str]:
    """Return the sites where the caller may change windows."""
    if not may(caller.person, Action.CHANGE_POLICIES):
        return []
    places = permitted(caller.person, Action.CHANGE_POLICIES, caller.channel).site_list()
    return sorted(zones) if places is None else places


def _shown(window: CriticalWindow, now: datetime) -> ShownWindow:
    times = times_of({name: getattr(window, name) for name in TIME_FIELDS})
    is_open = times.is_open(now, ZoneInfo(window.time_zone))
    return ShownWindow(window, is_open, clock_of(window.starts_s), clock_of(window.ends_s))


def _month_beside(month: str, by: int) -> str | None:
    """Return the month before or after, as 2026-03; None outside this century."""
    years, number = divmod(int(month[:4]) * 12 + int(month[5:]) - 1 + by, 12)
    return f"{years:04d}-{number + 1:02d}" if 2000 <= years < 2100 else None
