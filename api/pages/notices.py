"""Recorded notices: what phone calls and text messages would have told, until a real channel is set up (N2)."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from api.dependencies import Database, ReadRecordedNotices
from api.pages.rendering import frame, page
from api.pages.times import common_zone
from api.routes import escalations as routes
from storage import console

router = APIRouter()

LIST_MAX = 50
KEY_MAX = 2**63 - 1


@router.get("/notices")
def list_notices(
    request: Request,
    caller: ReadRecordedNotices,
    database: Database,
    channel: Literal["phone", "sms", ""] = "",
    before: Annotated[int | None, Query(ge=1, le=KEY_MAX)] = None,
) -> HTMLResponse:
    """Show what was recorded about tickets of the reader's sites, newest first."""
    found = routes.list_recorded_notices(caller, database, channel or None, before, LIST_MAX)
    with database.connection() as connection:
        zone = common_zone(console.site_zones(connection))
    filtered = f"&channel={channel}" if channel else ""
    context = {
        "notices": found.items,
        "channel": channel,
        "zone": zone,
        "more": f"/notices?before={found.next_cursor}{filtered}" if found.next_cursor else None,
    }
    return page(request, frame(request, caller.person, "notices"), "notices.html", context)
