"""Priority: the calendar of critical windows, the breakers, and the comparison with the control policy (SPEC S1-S7)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from api.boundary import BASE_PATH
from api.dependencies import ChangePolicies, Database, Now, ReadPolicies, ReadTickets
from api.identity import Caller
from api.priority_schemas import Breakers, NewWindow, WindowBody, WindowChange, Windows
from api.problems import unknown
from api.routes.answers import CHANGE_ANSWERS, RECORD_ANSWERS, SIGNED_IN_ANSWERS
from api.routes.paging import LIMIT_DEFAULT, Cursor, Limit, cut
from api.schemas import Key
from storage import breaker, critical_windows
from storage.critical_windows import CriticalWindow, WindowFields
from storage.priority_control import ControlReport, compare_month

router = APIRouter(prefix=BASE_PATH, tags=["priority"])

WindowId = Annotated[Key, Path(description="The window's id")]
Version = Annotated[int, Query(ge=1, le=2**31 - 1, description="The version that was read")]
Month = Annotated[str, Query(pattern=r"^20\d\d-(0[1-9]|1[0-2])$", description="A month (UTC), as 2026-03")]


@router.get("/critical-windows", responses=SIGNED_IN_ANSWERS)
def list_windows(
    caller: ReadPolicies, database: Database, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
) -> Windows:
    """Return when faults weigh more at the caller's sites."""
    with database.connection() as connection:
        found = critical_windows.list_windows(connection, sites=caller.site_list(), after=cursor or 0, limit=limit + 1)
    page, next_cursor = cut(found, limit, lambda window: window.id)
    return Windows(items=page, next_cursor=next_cursor)


@router.get("/critical-windows/{window_id}", responses=RECORD_ANSWERS)
def read_window(window_id: WindowId, caller: ReadPolicies, database: Database) -> CriticalWindow:
    """Return one window."""
    with database.connection() as connection:
        window = critical_windows.read_window(connection, window_id)
    return _visible(caller, window)


@router.post("/critical-windows", status_code=201, responses=CHANGE_ANSWERS)
def add_window(caller: ChangePolicies, body: NewWindow, database: Database, now: Now) -> CriticalWindow:
    """Add a window to a site; the open tickets in its scope are scored again within seconds of its beginning."""
    if not caller.sees(body.site):
        raise unknown("site", body.site)
    with database.connection() as connection:
        return critical_windows.create_window(connection, body.site, _fields(body), person_id=caller.person.id, now=now)


@router.put("/critical-windows/{window_id}", responses=CHANGE_ANSWERS)
def change_window(
    window_id: WindowId, caller: ChangePolicies, body: WindowChange, database: Database
) -> CriticalWindow:
    """Say anew what a window is; refused as ``stale_record`` when somebody was quicker."""
    with database.connection() as connection:
        _visible(caller, critical_windows.read_window(connection, window_id))
        return critical_windows.change_window(connection, window_id, _fields(body), version=body.version)


@router.delete("/critical-windows/{window_id}", status_code=204, responses=CHANGE_ANSWERS)
def retire_window(
    window_id: WindowId, version: Version, caller: ChangePolicies, database: Database, now: Now
) -> Response:
    """End a window for good; what it raised is scored again."""
    with database.connection() as connection:
        _visible(caller, critical_windows.read_window(connection, window_id))
        critical_windows.retire_window(connection, window_id, version=version, now=now)
    return Response(status_code=204)


@router.get("/breakers", responses=SIGNED_IN_ANSWERS)
def list_breakers(caller: ReadTickets, database: Database) -> Breakers:
    """Return, for the board, which sites are frozen, since when, from which priority on, and by which open P0."""
    with database.connection() as connection:
        return Breakers(items=breaker.read_breakers(connection, caller.staff_sites()), next_cursor=None)


@router.get("/priority-control", responses=SIGNED_IN_ANSWERS)
def compare_policies(caller: ReadPolicies, database: Database, month: Month) -> ControlReport:
    """Compare, for the tickets of a month that both policies scored, their levels and what became of them."""
    with database.connection() as connection:
        return compare_month(connection, month, caller.site_list())


def _visible(caller: Caller, window: CriticalWindow) -> CriticalWindow:
    if not caller.sees(window.site_id):
        raise unknown("critical window", window.id)
    return window


def _fields(body: WindowBody) -> WindowFields:
    return WindowFields(
        body.asset_type,
        body.name,
        body.factor,
        body.starts_at,
        body.ends_at,
        body.weekdays,
        body.starts_s,
        body.ends_s,
    )
