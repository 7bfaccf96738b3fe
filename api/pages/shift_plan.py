"""The plan of a week: who works when, by shifts and rotas, who is away; shifts and rotas are changed here (SPEC X6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.dependencies import Database, Now, PlanShifts, ReadPeople
from api.dispatch_schemas import NewRotaBody, NewShift
from api.identity import Caller
from api.pages import people_words
from api.pages.access import may
from api.pages.devices import KEY_MAX, places_of
from api.pages.forms import FRESH, PostedForm, Typed, body_of, typed, whole_number
from api.pages.people import TEAMS_MAX
from api.pages.person_forms import shift_body
from api.pages.rendering import frame, page, refused_status, shown
from api.pages.rota_forms import DAY_ROWS, MEMBER_ROWS, rota_body
from api.pages.times import common_zone
from api.permissions import Action
from api.routes import shifts as routes
from domain.refusals import Refused
from storage import console, crew, shifts
from storage.crew import SPANS_MAX, PlannedSpan
from storage.qualifications import list_teams
from storage.shifts import Absence

router = APIRouter()

RecordId = Annotated[int, Path(ge=1, le=KEY_MAX)]
WEEK = timedelta(days=7)
ABSENCES_MAX = 200
SHIFTS_MAX = 200
ROTAS_MAX = 100


@dataclass(frozen=True, slots=True)
class Seen:
    """What of the plan is looked at: the week from its Monday in a zone, and a site or a team."""

    monday: date
    zone: str
    site: str
    team_id: int | None

    @property
    def start(self) -> datetime:
        """Return when the week begins."""
        return datetime(self.monday.year, self.monday.month, self.monday.day, tzinfo=ZoneInfo(self.zone))

    @property
    def until(self) -> datetime:
        """Return when it ends: a week by the wall clock, whatever the clock change makes of it."""
        return self.start + WEEK

    def address(self, weeks: int) -> str:
        """Return the address of the plan so many weeks on."""
        given = {"week": (self.monday + weeks * WEEK).isoformat(), "site": self.site, "team": str(self.team_id or "")}
        return "/shifts?" + urlencode({name: value for name, value in given.items() if value})


@dataclass(frozen=True, slots=True)
class Cell:
    """A day of somebody's week: what begins on it, and whether they are away."""

    spans: Sequence[PlannedSpan]
    absence: Absence | None


@dataclass(frozen=True, slots=True)
class PersonWeek:
    """Somebody's week, Monday first."""

    person_id: int
    name: str
    cells: Sequence[Cell]


@router.get("/shifts")
def show_plan(
    request: Request,
    caller: ReadPeople,
    database: Database,
    now: Now,
    week: Annotated[str, Query(max_length=10)] = "",
    site: Annotated[str, Query(max_length=64)] = "",
    team: Annotated[str, Query(max_length=20)] = "",
) -> HTMLResponse:
    """Show the plan of a week: this one, or that of the day asked for."""
    return _plan_page(request, caller, database, now, week=week, site=site.replace("\0", ""), team=team)


@router.post("/shifts")
def add_shift(form: PostedForm, request: Request, caller: PlanShifts, database: Database, now: Now) -> Response:
    """Plan a shift of somebody."""
    filled = typed("shift", form)
    try:
        with database.connection() as connection:
            zone = common_zone(console.site_zones(connection))
        routes.add_shift(caller, body_of(NewShift, shift_body(filled, filled.values.get("person_id"), zone)), database)
    except Refused as refusal:
        return _plan_page(request, caller, database, now, refusal=refusal, filled=filled)
    return RedirectResponse("/shifts", status_code=303)


@router.post("/shifts/{shift_id}/remove")
def remove_shift(shift_id: RecordId, request: Request, caller: PlanShifts, database: Database, now: Now) -> Response:
    """Take a shift out of the plan."""
    try:
        routes.delete_shift(shift_id, caller, database)
    except Refused as refusal:
        return _plan_page(request, caller, database, now, refusal=refusal)
    return RedirectResponse("/shifts#single", status_code=303)


@router.post("/rotas")
def add_rota(form: PostedForm, request: Request, caller: PlanShifts, database: Database, now: Now) -> Response:
    """Add a rota of a team."""
    filled = typed("rota", form)
    try:
        routes.add_rota(caller, body_of(NewRotaBody, rota_body(filled)), database)
    except Refused as refusal:
        return _plan_page(request, caller, database, now, refusal=refusal, filled=filled)
    return RedirectResponse("/shifts#rotas", status_code=303)


@router.post("/rotas/{rota_id}/remove")
def remove_rota(rota_id: RecordId, request: Request, caller: PlanShifts, database: Database, now: Now) -> Response:
    """Take a rota away with its days and members."""
    try:
        routes.delete_rota(rota_id, caller, database)
    except Refused as refusal:
        return _plan_page(request, caller, database, now, refusal=refusal)
    return RedirectResponse("/shifts#rotas", status_code=303)


def _plan_page(
    request: Request,
    caller: Caller,
    database: Database,
    now: Now,
    *,
    week: str = "",
    site: str = "",
    team: str = "",
    refusal: Refused | None = None,
    filled: Typed = FRESH,
) -> HTMLResponse:
    framed = frame(request, caller.person, "people", here="/shifts" if refusal is not None else None)
    sites = places_of(caller, Action.READ_PEOPLE)
    may_plan = may(caller.person, Action.PLAN_SHIFTS)
    with database.connection() as connection:
        zones = console.site_zones(connection)
        seen = _seen(week, site, whole_number(team), zones, now)
        start, until = seen.start, seen.until
        spans = crew.plan_between(connection, start, until, sites=sites, site=site or None, team_id=seen.team_id)
        absences = shifts.list_absences(connection, sites=sites, start=start, limit=ABSENCES_MAX)
        single = shifts.list_shifts(connection, sites=sites, start=start, until=until, limit=SHIFTS_MAX)
        rotas = shifts.list_rotas(connection, sites=sites, limit=ROTAS_MAX)
        teams = list_teams(connection, sites=sites, limit=TEAMS_MAX)
        names = crew.names_of(connection, {one.person_id for rota in rotas for one in rota.members})
        planners = places_of(caller, Action.PLAN_SHIFTS) if may_plan else []
        people = crew.names(connection, sites=planners) if may_plan else []
    context = {
        "people_words": people_words,
        "seen": seen,
        "days": [seen.monday + timedelta(days=number) for number in range(7)],
        "weeks": _weeks(seen, spans, absences),
        "is_cut": len(spans) == SPANS_MAX,
        "single": single,
        "rotas": rotas,
        "names": names,
        "teams": teams,
        "sites": sorted(zones) if sites is None else sites,
        "form_zone": common_zone(zones),
        "people": people,
        "day_rows": DAY_ROWS,
        "member_rows": MEMBER_ROWS,
        "may_plan": may_plan,
        "typed": filled,
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
    }
    return page(request, framed, "shifts.html", context, status=refused_status(refusal))


def _seen(week: str, site: str, team_id: int | None, zones: dict[str, str], now: datetime) -> Seen:
    zone = zones.get(site, common_zone(zones))
    try:
        day = date.fromisoformat(week)
    except ValueError:
        day = now.astimezone(ZoneInfo(zone)).date()
    if not 2000 <= day.year <= 2199:
        day = now.astimezone(ZoneInfo(zone)).date()
    return Seen(day - timedelta(days=day.weekday()), zone, site, team_id)


def _weeks(seen: Seen, spans: Sequence[PlannedSpan], absences: Sequence[Absence]) -> list[PersonWeek]:
    """Return a row for everybody who is planned or away; what began before the week stands on its Monday."""
    zone = ZoneInfo(seen.zone)
    names = {one.person_id: one.name for one in spans}
    if not seen.site and seen.team_id is None:
        # An absence tells neither team nor site: with a filter, only who is planned is shown.
        names |= {one.person_id: one.person_name for one in absences if one.starts_at < seen.until}
    by_day: dict[tuple[int, date], list[PlannedSpan]] = {}
    for one in spans:
        day = max(one.starts_at.astimezone(zone).date(), seen.monday)
        by_day.setdefault((one.person_id, day), []).append(one)

    def away(person_id: int, day: date) -> Absence | None:
        begins = datetime(day.year, day.month, day.day, tzinfo=zone)
        ends = begins + timedelta(days=1)
        mine = (one for one in absences if one.person_id == person_id)
        return next((one for one in mine if one.starts_at < ends and one.ends_at > begins), None)

    days = [seen.monday + timedelta(days=number) for number in range(7)]
    return [
        PersonWeek(person_id, name, [Cell(by_day.get((person_id, day), ()), away(person_id, day)) for day in days])
        for person_id, name in sorted(names.items(), key=lambda item: (item[1], item[0]))
    ]
