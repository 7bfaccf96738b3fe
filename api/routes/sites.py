"""Sites and areas: the places whose calendars and roles everything else follows."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.boundary import BASE_PATH
from api.dependencies import ChangeRegister, Database, Now, ReadRegister
from api.identity import Caller
from api.problems import unknown
from api.register_schemas import AreaChange, Areas, AreaShape, NewArea, NewSite, SiteChange, Sites, SiteShape
from api.routes.answers import CHANGE_ANSWERS, SIGNED_IN_ANSWERS
from api.routes.paging import LIMIT_DEFAULT, Cursor, Limit, TextCursor, cut
from api.schemas import Key
from storage import audit, sites
from storage.sites import Area, Site, check_version

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
        rows = sites.list_sites(connection, sites=caller.site_list(), name=name, after=cursor or "", limit=limit + 1)
    page, next_cursor = cut(rows, limit, lambda site: site.id)
    return Sites(items=[SiteShape.model_validate(site) for site in page], next_cursor=next_cursor)


@router.post("/sites", status_code=201, responses=CHANGE_ANSWERS)
def add_site(caller: ChangeRegister, body: NewSite, database: Database, now: Now) -> SiteShape:
    """Add a site; only for those whose role holds at every site."""
    caller.require_every_site("a new site is in none of theirs yet", "Ask an administrator of every site.")
    site = Site(body.id, body.name, body.calendar_id, body.latitude, body.longitude)
    with database.connection() as connection:
        audit.act_as(connection, caller.person.id, now)
        sites.create_site(connection, site)
    return SiteShape.model_validate(site)


@router.patch("/sites/{site_id}", responses=CHANGE_ANSWERS)
def change_site(
    site_id: Annotated[str, Path(max_length=64, description="The site's id")],
    caller: ChangeRegister,
    body: SiteChange,
    database: Database,
    now: Now,
) -> SiteShape:
    """Change a site's name, calendar or position."""
    with database.connection() as connection:
        audit.act_as(connection, caller.person.id, now)
        present = sites.site_for_change(connection, site_id)
        if present is None or not caller.sees(site_id):
            raise unknown("site", site_id)
        check_version("site", body.version, present.version)
        wanted = replace(present, **body.sent())  # type: ignore[arg-type]  # the shape's fields are the record's
        if wanted != present:
            wanted = sites.change_site(connection, wanted)
    return SiteShape.model_validate(wanted)


@router.get("/areas", responses=SIGNED_IN_ANSWERS)
def list_areas(
    caller: ReadRegister,
    database: Database,
    site: Annotated[str | None, Query(max_length=64)] = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Areas:
    """Return the areas of the caller's sites."""
    with database.connection() as connection:
        rows = sites.list_areas(connection, sites=caller.site_list(), site=site, after=cursor or 0, limit=limit + 1)
    page, next_cursor = cut(rows, limit, lambda area: area.id)
    return Areas(items=[_area(area) for area in page], next_cursor=next_cursor)


@router.post("/areas", status_code=201, responses=CHANGE_ANSWERS)
def add_area(caller: ChangeRegister, body: NewArea, database: Database, now: Now) -> AreaShape:
    """Add an area to a site; a name that is taken there is refused."""
    with database.connection() as connection:
        _visible_site(caller, body.site)
        audit.act_as(connection, caller.person.id, now)
        return _area(sites.create_area(connection, body.site, body.name))


@router.patch("/areas/{area_id}", responses=CHANGE_ANSWERS)
def change_area(
    area_id: Annotated[Key, Path(description="The area's id")],
    caller: ChangeRegister,
    body: AreaChange,
    database: Database,
    now: Now,
) -> AreaShape:
    """Give an area another name."""
    with database.connection() as connection:
        audit.act_as(connection, caller.person.id, now)
        present = sites.area_for_change(connection, area_id)
        if present is None or not caller.sees(present.site_id):
            raise unknown("area", area_id)
        check_version("area", body.version, present.version)
        if body.name == present.name:
            return _area(present)
        return _area(sites.rename_area(connection, present, body.name))


def _visible_site(caller: Caller, site_id: str) -> None:
    if not caller.sees(site_id):
        raise unknown("site", site_id)


def _area(area: Area) -> AreaShape:
    return AreaShape(id=area.id, site=area.site_id, name=area.name, version=area.version)
