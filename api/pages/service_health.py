"""The service's own health: what is wrong now, what was, and how each of its processes does (SPEC E8)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from api.dependencies import Database, Now, ReadHealth
from api.pages.access import may
from api.pages.rendering import frame, page
from api.pages.times import common_zone
from api.permissions import Action
from api.routes import health
from storage import console, service_alarms
from storage.retention import LevelUsage, usage
from storage.retention_policy import retention_in_force

router = APIRouter()

KEY_MAX = 2**63 - 1
ALARMS_SHOWN = 30
# A process finishes a round within seconds; one older than this is worth a look.
BEAT_OLD_S = 30.0


@router.get("/service")
def show_service(
    request: Request,
    caller: ReadHealth,
    database: Database,
    now: Now,
    before: Annotated[int | None, Query(ge=1, le=KEY_MAX)] = None,
) -> HTMLResponse:
    """Show how the service does."""
    framed = frame(request, caller.person, "service")
    detail = health.health_detail(caller, request, database, now)
    alarms = health.list_service_alarms(caller, database, cursor=before, limit=ALARMS_SHOWN)
    with database.connection() as connection:
        zones = console.site_zones(connection)
        open_alarms = service_alarms.page(connection, sites=caller.site_list(), open_only=True)
    context = {
        "detail": detail,
        "since": {(one.kind, one.subject): one.raised_at for one in open_alarms},
        "alarms": alarms.items,
        "more": f"/service?before={alarms.next_cursor}" if alarms.next_cursor else None,
        "beats": sorted(detail.beat_age_s.items()),
        "levels": _levels(database) if may(caller.person, Action.READ_RETENTION) else [],
        "zones": zones,
        "zone": common_zone(zones),
        "beat_old_s": BEAT_OLD_S,
        "sees_devices": may(caller.person, Action.READ_SIGNALS),
        "sees_quarantine": may(caller.person, Action.READ_QUARANTINE),
    }
    return page(request, framed, "service.html", context)


def _levels(database: Database) -> list[LevelUsage]:
    with database.connection() as connection:
        _, policy = retention_in_force(connection)
        return list(usage(connection, policy))
