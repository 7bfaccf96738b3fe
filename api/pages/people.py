"""People in the console: who there is, whether they are at work now or why not, and adding somebody (SPEC X1, X6)."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.dependencies import ChangePeople, Database, Now, ReadPeople
from api.identity import Caller
from api.pages import people_words
from api.pages.access import may
from api.pages.devices import places_of
from api.pages.forms import FRESH, PostedForm, Typed, body_of, typed, whole_number
from api.pages.rendering import frame, page, refused_status, shown
from api.pages.times import common_zone
from api.people_schemas import NewPerson
from api.permissions import Action
from api.routes import people as routes
from domain.refusals import Refused
from storage import console, crew, qualifications
from storage.console import PAGE_SIZE
from storage.crew import PersonNow
from ticketing.actors import Role

router = APIRouter()

KEY_MAX = 2**63 - 1
TEAMS_MAX = 200
# What a form may leave empty; the rule then takes its own default, or none.
_OPTIONAL = ("password", "team", "latitude", "longitude", "load_limit")


@router.get("/people")
def list_people(
    request: Request,
    caller: ReadPeople,
    database: Database,
    now: Now,
    site: Annotated[str, Query(max_length=64)] = "",
    team: Annotated[str, Query(max_length=20)] = "",
    after: Annotated[int, Query(ge=0, le=KEY_MAX)] = 0,
) -> HTMLResponse:
    """Show the people of the reader's sites with what holds of them now."""
    return _people_page(request, caller, database, now, site=site.replace("\0", ""), team=team, after=after)


@router.post("/people")
def add_person(form: PostedForm, request: Request, caller: ChangePeople, database: Database, now: Now) -> Response:
    """Add a person with one role."""
    filled = typed("person", form)
    try:
        added = routes.add_person(caller, body_of(NewPerson, _as_new_person(filled)), database, now)
    except Refused as refusal:
        return _people_page(request, caller, database, now, refusal=refusal, filled=filled)
    return RedirectResponse(f"/people/{added.id}", status_code=303)


def zone_of(person: PersonNow, zones: dict[str, str]) -> str:
    """Return the zone in which to tell a person's times: that of the first site they work at."""
    own = (zones[site] for site in person.role_sites if site in zones)
    return next(own, common_zone(zones))


def roles_seen(person: PersonNow, caller: Caller) -> list[tuple[str, str | None]]:
    """Return the roles of a person that are held at sites that exist for the caller."""
    return [(role, site) for role, site in person.held() if site is None or caller.sees(site)]


def _people_page(
    request: Request,
    caller: Caller,
    database: Database,
    now: Now,
    *,
    site: str = "",
    team: str = "",
    after: int = 0,
    refusal: Refused | None = None,
    filled: Typed = FRESH,
) -> HTMLResponse:
    framed = frame(request, caller.person, "people", here="/people" if refusal is not None else None)
    sites, team_id = places_of(caller, Action.READ_PEOPLE), whole_number(team)
    with database.connection() as connection:
        rows = crew.people_now(
            connection, now, sites=sites, site=site or None, team_id=team_id, after=after, limit=PAGE_SIZE + 1
        )
        teams = qualifications.list_teams(connection, sites=sites, limit=TEAMS_MAX)
        zones = console.site_zones(connection)
    people = rows[:PAGE_SIZE]
    own = places_of(caller, Action.CHANGE_PEOPLE) if may(caller.person, Action.CHANGE_PEOPLE) else []
    context = {
        "people_words": people_words,
        "people": [(one, roles_seen(one, caller), zone_of(one, zones)) for one in people],
        "teams": teams,
        "sites": sorted(zones) if sites is None else sites,
        "site": site,
        "team_id": team_id,
        "after": after,
        "more": _more(site, team, people[-1].id) if len(rows) > PAGE_SIZE else None,
        "roles": list(Role),
        "may_add": may(caller.person, Action.CHANGE_PEOPLE),
        "grantable": sorted(zones) if own is None else own,
        "grants_everywhere": own is None,
        "typed": filled,
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
    }
    return page(request, framed, "people.html", context, status=refused_status(refusal))


def _as_new_person(filled: Typed) -> dict[str, object]:
    """Return the form as the API takes a person; an empty field is one not given."""
    given = {name: value.strip() if name != "password" else value for name, value in filled.values.items()}
    role, site = given.pop("role", ""), given.pop("site", "")
    kept = {name: value for name, value in given.items() if value or name not in _OPTIONAL}
    return {**kept, "roles": [{"role": role, "site": site or None}]}


def _more(site: str, team: str, after: int) -> str:
    given = {"site": site, "team": team, "after": str(after)}
    return "/people?" + urlencode({name: value for name, value in given.items() if value})
