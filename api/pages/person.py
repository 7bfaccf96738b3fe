"""One person: what they can and may do, certificates, absences, plan and calendar, with a form for each (SPEC X1, X6).

A form calls the API's own route; what was typed into a refused one is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from psycopg import Connection

from api.calendar_schemas import PersonCalendar
from api.dependencies import ChangePeople, Database, Now, PlanShifts, ReadPeople
from api.dispatch_schemas import NewAbsence, NewCertificate, NewShift, QualificationsBody
from api.identity import Caller, permitted
from api.pages import people_words
from api.pages.access import may
from api.pages.devices import places_of
from api.pages.forms import FRESH, PostedForm, Typed, body_of, typed
from api.pages.people import KEY_MAX, TEAMS_MAX, roles_seen, zone_of
from api.pages.person_forms import (
    LEVELS,
    QualificationsForm,
    WhoForm,
    absence_body,
    certificate_body,
    shift_body,
)
from api.pages.rendering import frame, page, refused_status, shown
from api.people_schemas import NewPassword, PersonChange
from api.permissions import Action
from api.problems import unknown
from api.routes import calendars as calendar_routes
from api.routes import people as people_routes
from api.routes import qualifications as routes
from api.routes import shifts as shift_routes
from domain.refusals import Refused
from storage import audit, calendar_book, console, crew, qualifications, shifts
from storage.audit import Change
from storage.crew import PersonNow
from storage.qualifications import Qualifications, Team
from ticketing.actors import Role

router = APIRouter()

PersonId = Annotated[int, Path(ge=1, le=KEY_MAX)]
RecordId = Annotated[int, Path(ge=1, le=KEY_MAX)]

SHOWN_FOR = timedelta(days=14)
ABSENCES_MAX = 50
SHIFTS_MAX = 100
CALENDARS_MAX = 200
CHANGES_MAX = 20
# What the audit keeps of a person, by its nouns.
_AUDITED = ("person", "role", "password")


@router.get("/people/{person_id}")
def show_person(
    person_id: PersonId, request: Request, caller: ReadPeople, database: Database, now: Now
) -> HTMLResponse:
    """Show one person."""
    return _person_page(request, caller, database, now, person_id)


@router.post("/people/{person_id}/change")
def change_who(
    person_id: PersonId, form: PostedForm, request: Request, caller: ChangePeople, database: Database, now: Now
) -> Response:
    """Change who somebody is, and the roles held."""
    filled = typed("change", form)

    def change() -> None:
        body = body_of(PersonChange, WhoForm.of_typed(filled).body())
        people_routes.change_person(person_id, caller, body, database, now)

    return _answer(request, caller, database, now, person_id, filled, change, "who")


@router.post("/people/{person_id}/active")
def change_active(
    person_id: PersonId, form: PostedForm, request: Request, caller: ChangePeople, database: Database, now: Now
) -> Response:
    """Deactivate a person, or activate them again."""
    filled = typed("active", form)

    def change() -> None:
        body = body_of(PersonChange, {"version": filled.version, "active": filled.values.get("active") == "yes"})
        people_routes.change_person(person_id, caller, body, database, now)

    return _answer(request, caller, database, now, person_id, filled, change, "who")


@router.post("/people/{person_id}/password")
def change_password(
    person_id: PersonId, form: PostedForm, request: Request, caller: ChangePeople, database: Database, now: Now
) -> Response:
    """Give a person a new password."""
    filled = typed("password", form)

    def change() -> None:
        body = body_of(NewPassword, {"password": filled.values.get("password", "")})
        people_routes.write_password(person_id, caller, body, database, now)

    return _answer(request, caller, database, now, person_id, filled, change, "who")


@router.post("/people/{person_id}/qualifications")
def change_qualifications(
    person_id: PersonId, form: PostedForm, request: Request, caller: ChangePeople, database: Database, now: Now
) -> Response:
    """Replace the person's skills, brands and site passes by what the form says."""
    filled = typed("qualifications", form)

    def change() -> None:
        with database.connection() as connection:
            sites = _sites_of(connection, caller.site_list())
        body = body_of(QualificationsBody, QualificationsForm.of_typed(filled, sites).body())
        routes.write_qualifications(person_id, caller, body, database)

    return _answer(request, caller, database, now, person_id, filled, change, "skills")


@router.post("/people/{person_id}/certificates")
def add_certificate(
    person_id: PersonId, form: PostedForm, request: Request, caller: ChangePeople, database: Database, now: Now
) -> Response:
    """Note a certificate; one of the same name and first day is given its last day anew."""
    filled = typed("certificate", form)

    def change() -> None:
        routes.add_certificate(person_id, caller, body_of(NewCertificate, certificate_body(filled)), database)

    return _answer(request, caller, database, now, person_id, filled, change, "certificates")


@router.post("/people/{person_id}/certificates/{certificate_id}/remove")
def remove_certificate(
    person_id: PersonId, certificate_id: RecordId, request: Request, caller: ChangePeople, database: Database, now: Now
) -> Response:
    """Take a certificate away."""

    def change() -> None:
        routes.delete_certificate(person_id, certificate_id, caller, database)

    return _answer(request, caller, database, now, person_id, FRESH, change, "certificates")


@router.post("/people/{person_id}/absences")
def add_absence(
    person_id: PersonId, form: PostedForm, request: Request, caller: PlanShifts, database: Database, now: Now
) -> Response:
    """Note an absence and who stands in."""
    filled = typed("absence", form)

    def change() -> None:
        body = absence_body(filled, person_id, _zone(database, caller, now, person_id))
        shift_routes.add_absence(caller, body_of(NewAbsence, body), database)

    return _answer(request, caller, database, now, person_id, filled, change, "absences")


@router.post("/people/{person_id}/absences/{absence_id}/remove")
def remove_absence(
    person_id: PersonId, absence_id: RecordId, request: Request, caller: PlanShifts, database: Database, now: Now
) -> Response:
    """Take an absence back."""

    def change() -> None:
        shift_routes.delete_absence(absence_id, caller, database)

    return _answer(request, caller, database, now, person_id, FRESH, change, "absences")


@router.post("/people/{person_id}/shifts")
def add_shift(
    person_id: PersonId, form: PostedForm, request: Request, caller: PlanShifts, database: Database, now: Now
) -> Response:
    """Plan a shift of the person."""
    filled = typed("shift", form)

    def change() -> None:
        body = shift_body(filled, person_id, _zone(database, caller, now, person_id))
        shift_routes.add_shift(caller, body_of(NewShift, body), database)

    return _answer(request, caller, database, now, person_id, filled, change, "plan")


@router.post("/people/{person_id}/shifts/{shift_id}/remove")
def remove_shift(
    person_id: PersonId, shift_id: RecordId, request: Request, caller: PlanShifts, database: Database, now: Now
) -> Response:
    """Take a shift out of the plan."""

    def change() -> None:
        shift_routes.delete_shift(shift_id, caller, database)

    return _answer(request, caller, database, now, person_id, FRESH, change, "plan")


@router.post("/people/{person_id}/calendar")
def change_calendar(
    person_id: PersonId, form: PostedForm, request: Request, caller: ChangePeople, database: Database, now: Now
) -> Response:
    """Give the person a calendar of their own, or their site's."""
    filled = typed("calendar", form)

    def change() -> None:
        body = body_of(PersonCalendar, {"calendar_id": filled.values.get("calendar_id") or None})
        calendar_routes.set_calendar_of_person(person_id, caller, body, database)

    return _answer(request, caller, database, now, person_id, filled, change, "calendar")


def _answer(
    request: Request,
    caller: Caller,
    database: Database,
    now: Now,
    person_id: int,
    filled: Typed,
    change: Callable[[], None],
    place: str,
) -> Response:
    """Make a change and lead back to its place of the page; a refusal comes back with what was typed."""
    try:
        change()
    except Refused as refusal:
        return _person_page(request, caller, database, now, person_id, refusal=refusal, filled=filled)
    return RedirectResponse(f"/people/{person_id}#{place}", status_code=303)


def _person_page(
    request: Request,
    caller: Caller,
    database: Database,
    now: Now,
    person_id: int,
    *,
    refusal: Refused | None = None,
    filled: Typed = FRESH,
) -> HTMLResponse:
    framed = frame(request, caller.person, "people", here=f"/people/{person_id}")
    reader = permitted(caller.person, Action.READ_PEOPLE, caller.channel)
    with database.connection() as connection:
        person = _visible(connection, reader, now, person_id)
        zone = zone_of(person, console.site_zones(connection))
        stored = qualifications.qualifications_of(connection, person_id)
        context = {
            **_plan(connection, reader, person, now),
            **_what_they_can(connection, reader, person, stored, filled),
            **_who(connection, reader, person, filled),
        }
    today = now.astimezone(ZoneInfo(zone)).date()
    told = {
        "person": person,
        "held": roles_seen(person, reader),
        "people_words": people_words,
        "zone": zone,
        "certificates": [(one, people_words.certificate_state(one, today)) for one in stored.certificates],
        "today": today,
        "levels": LEVELS,
        "typed": filled,
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
    }
    return page(request, framed, "person.html", {**context, **told}, status=refused_status(refusal))


def _what_they_can(
    connection: Connection, reader: Caller, person: PersonNow, stored: Qualifications, filled: Typed
) -> dict[str, object]:
    may_change = _may(reader, Action.CHANGE_PEOPLE, person)
    places = _sites_of(connection, places_of(reader, Action.CHANGE_PEOPLE)) if may_change else []
    is_typed = filled.command == "qualifications"
    return {
        "stored": stored,
        "passes": {site: day for site, day in sorted(stored.site_access.items()) if reader.sees(site)},
        "form": QualificationsForm.of_typed(filled, places)
        if is_typed
        else QualificationsForm.of_stored(stored, places),
        "is_typed": is_typed,
        "hides_passes": bool(set(stored.site_access) - set(places)),
        "may_change": may_change,
        "may_set_calendar": may_change and _is_all_theirs(reader, person),
        "calendars": calendar_book.list_calendars(connection, limit=CALENDARS_MAX),
    }


def _who(connection: Connection, reader: Caller, person: PersonNow, filled: Typed) -> dict[str, object]:
    own = places_of(reader, Action.CHANGE_PEOPLE) if may(reader.person, Action.CHANGE_PEOPLE) else []
    teams = qualifications.list_teams(connection, sites=reader.site_list(), limit=TEAMS_MAX)
    reads_changes = _may(reader, Action.READ_CHANGES, person)
    return {
        "may_change_who": _may(reader, Action.CHANGE_PEOPLE, person) and _is_all_theirs(reader, person),
        "who": WhoForm.of_typed(filled) if filled.command == "change" else WhoForm.of_stored(person),
        "teams": teams,
        "roles": list(Role),
        "grantable": _sites_of(connection, own),
        "grants_everywhere": own is None,
        "changes": _changes(connection, reader, person.id, teams) if reads_changes else [],
    }


def _changes(connection: Connection, reader: Caller, person_id: int, teams: Sequence[Team]) -> list[Change]:
    """Return the newest changes of a person, their password and their roles at the reader's sites."""
    names: dict[object, str] = {team.id: team.name for team in teams}
    found = audit.changes_of_record(connection, _AUDITED, str(person_id), limit=CHANGES_MAX)
    sites = [(one.after or one.before or {}).get("site_id") for one in found]
    seen = [one for one, site in zip(found, sites, strict=True) if site is None or reader.sees(str(site))]
    return [replace(one, before=_named(one.before, names), after=_named(one.after, names)) for one in seen]


def _named(facts: Mapping[str, object] | None, teams: Mapping[object, str]) -> dict[str, object] | None:
    if facts is None:
        return None
    told = {name: value for name, value in facts.items() if name not in ("team_id", "version")}
    return told if "team_id" not in facts else {**told, "team": teams.get(facts["team_id"], facts["team_id"])}


def _plan(connection: Connection, reader: Caller, person: PersonNow, now: Now) -> dict[str, object]:
    sites, until = reader.site_list(), now + SHOWN_FOR
    return {
        "absences": shifts.list_absences(connection, sites=sites, start=now, person_id=person.id, limit=ABSENCES_MAX),
        "plan": crew.plan_between(connection, now, until, sites=sites, person_id=person.id),
        "shifts": shifts.list_shifts(
            connection, sites=sites, start=now, until=until, person_id=person.id, limit=SHIFTS_MAX
        ),
        "others": [one for one in crew.names(connection, sites=sites) if one.id != person.id],
        "may_plan": _may(reader, Action.PLAN_SHIFTS, person),
    }


def _visible(connection: Connection, reader: Caller, now: Now, person_id: int) -> PersonNow:
    """Return a person; one without a role at the reader's sites does not exist for them."""
    rows = crew.people_now(connection, now, sites=reader.site_list(), person_id=person_id, limit=1)
    if not rows:
        raise unknown("person", person_id)
    return rows[0]


def _zone(database: Database, caller: Caller, now: Now, person_id: int) -> str:
    with database.connection() as connection:
        return zone_of(_visible(connection, caller, now, person_id), console.site_zones(connection))


def _sites_of(connection: Connection, own: list[str] | None) -> list[str]:
    """Return these sites, or with None all that there are."""
    return sorted(console.site_zones(connection)) if own is None else own


def _may(reader: Caller, action: Action, person: PersonNow) -> bool:
    """Tell whether the reader may do this to the person: with the role at one of the person's sites."""
    if not may(reader.person, action):
        return False
    places = places_of(reader, action)
    return places is None or any(site is None or site in places for site in person.role_sites)


def _is_all_theirs(reader: Caller, person: PersonNow) -> bool:
    """Tell whether the person has no role beyond the sites where the reader changes people."""
    places = places_of(reader, Action.CHANGE_PEOPLE)
    return places is None or all(site in places for site in person.role_sites)
