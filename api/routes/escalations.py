"""Escalations: the ladders of a ticket, what was recorded instead of called, and who the directors are."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query

from api.boundary import BASE_PATH
from api.dependencies import ChangePeople, Database, ReadPeople, ReadRecordedNotices, ReadTickets
from api.escalation_schemas import Directors, DirectorsChange, Escalations, RecordedNotices
from api.identity import Caller
from api.problems import unknown
from api.routes.answers import CHANGE_ANSWERS, RECORD_ANSWERS, SIGNED_IN_ANSWERS
from api.routes.paging import LIMIT_DEFAULT, Cursor, Limit, cut
from api.routes.tickets import CodeInPath, visible_ticket
from storage import escalation_views as views
from storage.sites import list_sites

router = APIRouter(prefix=BASE_PATH, tags=["escalation"])

SiteInPath = Annotated[str, Path(max_length=64, description="The site's id")]


@router.get("/tickets/{code}/escalations", responses=RECORD_ANSWERS)
def list_escalations(code: CodeInPath, caller: ReadTickets, database: Database) -> Escalations:
    """Return the ladders of a ticket: steps, whom each told, and every attempt on every channel."""
    with database.connection() as connection:
        row = visible_ticket(connection, caller, code)
        if not caller.is_staff_at(row.site_id):
            raise unknown("ticket", code)
        return Escalations(items=views.escalations_of(connection, row.id), next_cursor=None)


@router.get("/recorded-notices", responses=SIGNED_IN_ANSWERS)
def list_recorded_notices(
    caller: ReadRecordedNotices,
    database: Database,
    channel: Annotated[Literal["phone", "sms"] | None, Query(description="Only of this one")] = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> RecordedNotices:
    """Return what phone calls and text messages would have told about tickets of the caller's sites, newest first."""
    with database.connection() as connection:
        rows = views.recorded_notices(
            connection, sites=caller.site_list(), channel=channel, before=cursor, limit=limit + 1
        )
    page, next_cursor = cut(rows, limit, lambda notice: notice.id)
    return RecordedNotices(items=page, next_cursor=next_cursor)


@router.get("/sites/{site_id}/directors", responses=RECORD_ANSWERS)
def list_directors(site_id: SiteInPath, caller: ReadPeople, database: Database) -> Directors:
    """Return who is told of red tickets of a site."""
    return _directors(site_id, caller, database)


@router.put("/sites/{site_id}/directors", responses=CHANGE_ANSWERS)
def change_directors(site_id: SiteInPath, caller: ChangePeople, body: DirectorsChange, database: Database) -> Directors:
    """Say who is told of red tickets of a site."""
    return _directors(site_id, caller, database, body.person_ids)


def _directors(site_id: str, caller: Caller, database: Database, wanted: list[int] | None = None) -> Directors:
    with database.connection() as connection:
        if not caller.sees(site_id) or not any(site.id == site_id for site in list_sites(connection, sites=[site_id])):
            raise unknown("site", site_id)
        if wanted is not None:
            views.set_directors(connection, site_id, wanted)
        return Directors(items=views.directors(connection, site_id), next_cursor=None)
