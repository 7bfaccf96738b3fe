"""Sites: the places whose calendars and roles everything else follows."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.boundary import BASE_PATH
from api.dependencies import ChangeRegister, Database, ReadRegister
from api.register_schemas import NewSite, Sites, SiteShape
from api.routes.answers import CHANGE_ANSWERS, SIGNED_IN_ANSWERS
from api.routes.paging import LIMIT_DEFAULT, Limit, TextCursor, cut
from domain.refusals import Refused
from storage import assets

router = APIRouter(prefix=BASE_PATH, tags=["register"])


@router.get("/sites", responses=SIGNED_IN_ANSWERS)
def list_sites(
    caller: ReadRegister,
    database: Database,
    name: Annotated[str | None, Query(max_length=200)] = None,
    cursor: TextCursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Sites:
    """Return the caller's sites."""
    with database.connection() as connection:
        rows = assets.list_sites(connection, sites=caller.site_list(), name=name, after=cursor or "", limit=limit + 1)
    page, next_cursor = cut(rows, limit, lambda site: site.id)
    return Sites(items=[SiteShape.model_validate(site) for site in page], next_cursor=next_cursor)


@router.post("/sites", status_code=201, responses=CHANGE_ANSWERS)
def add_site(caller: ChangeRegister, body: NewSite, database: Database) -> SiteShape:
    """Add a site; only for those whose role holds at every site."""
    if caller.sites is not None:
        raise Refused(
            "not_permitted",
            expected="a role held at every site",
            got="a role at " + ", ".join(sorted(caller.sites)),
            remedy="Ask an administrator of every site.",
        )
    site = assets.Site(body.id, body.name, body.calendar_id, body.latitude, body.longitude)
    with database.connection() as connection:
        assets.create_site(connection, site)
    return SiteShape.model_validate(site)
