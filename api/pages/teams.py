"""Teams in the console: lead, who takes over, who is on call now and next; the directors of each site (SPEC X6, N1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from psycopg import Connection
from starlette.datastructures import FormData

from api.dependencies import ChangePeople, Database, Now, ReadPeople
from api.dispatch_schemas import TeamBody
from api.escalation_schemas import DirectorsChange
from api.identity import Caller
from api.pages.access import may
from api.pages.devices import KEY_MAX, places_of
from api.pages.forms import FRESH, PostedForm, Typed, body_of, typed
from api.pages.people import TEAMS_MAX
from api.pages.rendering import frame, page, refused_status, shown
from api.pages.times import common_zone
from api.permissions import Action
from api.routes import escalations, qualifications
from api.routes.escalations import SiteInPath
from domain.refusals import Refused
from storage import console, crew, shifts
from storage import escalation_views as views
from storage.crew import PlannedSpan
from storage.qualifications import Team, list_teams

router = APIRouter()

TeamId = Annotated[int, Path(ge=1, le=KEY_MAX)]
LOOKS_AHEAD = timedelta(days=14)
DIRECTORS_MAX = 20


@dataclass(frozen=True, slots=True)
class TeamView:
    """A team with the names of who is on call now, the next stretch that begins, and the zone of its times."""

    team: Team
    on_call: Sequence[str]
    next: PlannedSpan | None
    zone: str
    may_change: bool


@dataclass(frozen=True, slots=True)
class SiteView:
    """A site with its directors; ``chosen`` are ids, as stored or as they were typed."""

    id: str
    directors: Sequence[views.Director]
    chosen: Sequence[int]
    may_change: bool


@router.get("/teams")
def show_teams(request: Request, caller: ReadPeople, database: Database, now: Now) -> HTMLResponse:
    """Show the teams that work at the reader's sites, and who is told of red tickets there."""
    return _teams_page(request, caller, database, now)


@router.post("/teams/{team_id}")
def change_team(
    team_id: TeamId, form: PostedForm, request: Request, caller: ChangePeople, database: Database, now: Now
) -> Response:
    """Give a team its site, its lead and the team that takes over."""
    filled = typed(f"team-{team_id}", form)
    try:
        names = {"site": "site", "lead_id": "lead", "backup_team_id": "backup"}
        body = body_of(TeamBody, {name: filled.values.get(typed_as) or None for name, typed_as in names.items()})
        qualifications.write_team(team_id, caller, body, database)
    except Refused as refusal:
        return _teams_page(request, caller, database, now, refusal=refusal, filled=filled)
    return RedirectResponse(f"/teams#team-{team_id}", status_code=303)


@router.post("/sites/{site_id}/directors")
def change_directors(
    site_id: SiteInPath, form: PostedForm, request: Request, caller: ChangePeople, database: Database, now: Now
) -> Response:
    """Say who is told of red tickets of a site."""
    try:
        body = body_of(DirectorsChange, {"person_ids": _ids(form)})
        escalations.change_directors(site_id, caller, body, database)
    except Refused as refusal:
        chosen = {site_id: [int(one) for one in _ids(form) if one.isascii() and one.isdigit() and len(one) < 16]}
        return _teams_page(request, caller, database, now, refusal=refusal, chosen=chosen)
    return RedirectResponse("/teams#directors", status_code=303)


def _ids(form: FormData) -> list[str]:
    return [one for one in form.getlist("person_id") if isinstance(one, str) and one]


def _teams_page(
    request: Request,
    caller: Caller,
    database: Database,
    now: Now,
    *,
    refusal: Refused | None = None,
    filled: Typed = FRESH,
    chosen: Mapping[str, Sequence[int]] | None = None,
) -> HTMLResponse:
    framed = frame(request, caller.person, "people", here="/teams")
    sites = places_of(caller, Action.READ_PEOPLE)
    own = places_of(caller, Action.CHANGE_PEOPLE) if may(caller.person, Action.CHANGE_PEOPLE) else []
    with database.connection() as connection:
        zones = console.site_zones(connection)
        teams = _teams(connection, sites, own, zones, now)
        people = crew.names(connection, sites=own) if own is None or own else []
        directors = [_site(connection, site, own, chosen) for site in sorted(zones) if sites is None or site in sites]
    context = {
        "teams": teams,
        "choices": [one.team for one in teams],
        "people": people,
        "sites": sorted(zones) if own is None else own,
        "directors": directors,
        "directors_max": DIRECTORS_MAX,
        "typed": filled,
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
    }
    return page(request, framed, "teams.html", context, status=refused_status(refusal))


def _teams(
    connection: Connection, sites: list[str] | None, own: list[str] | None, zones: Mapping[str, str], now: Now
) -> list[TeamView]:
    rows = list_teams(connection, sites=sites, limit=TEAMS_MAX)
    ahead = crew.plan_between(connection, now, now + LOOKS_AHEAD, sites=sites, only_on_call=True)
    on_call = {team.id: shifts.on_call(connection, team.id, now) for team in rows}
    names = crew.names_of(connection, {one for ids in on_call.values() for one in ids})
    return [
        TeamView(
            team,
            [names[one] for one in on_call[team.id]],
            next((one for one in ahead if one.starts_at > now and team.id in (one.team_id, one.own_team_id)), None),
            zones.get(team.site_id or "", common_zone(zones)),
            # As the route has it: a team of every site is there for whoever changes people anywhere.
            own is None or (bool(own) and (team.site_id is None or team.site_id in own)),
        )
        for team in rows
    ]


def _site(
    connection: Connection, site: str, own: list[str] | None, chosen: Mapping[str, Sequence[int]] | None
) -> SiteView:
    found = views.directors(connection, site)
    stored = [one.id for one in found if one.active]
    return SiteView(site, found, (chosen or {}).get(site, stored), own is None or site in own)
