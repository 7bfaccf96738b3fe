"""Who works when: shifts, rotas, absences, and who is on call (SPEC X1, X6)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query
from psycopg import Connection

from api.boundary import BASE_PATH
from api.dependencies import Database, Now, PlanShifts, ReadPeople
from api.dispatch_schemas import (
    Absences,
    Added,
    NewAbsence,
    NewRotaBody,
    NewShift,
    OnCall,
    Rotas,
    Shifts,
)
from api.identity import Caller
from api.problems import unknown
from api.routes.answers import CHANGE_ANSWERS, RECORD_ANSWERS, SIGNED_IN_ANSWERS
from api.routes.paging import LIMIT_DEFAULT, Cursor, Limit, cut
from api.schemas import Key, Moment
from storage import people, shifts
from storage.people import PersonRow

router = APIRouter(prefix=BASE_PATH, tags=["people"])

RecordKey = Annotated[Key, Path(description="The record's id")]
SPAN_DEFAULT = timedelta(days=14)


@router.get("/shifts", responses=SIGNED_IN_ANSWERS)
def list_shifts(
    caller: ReadPeople,
    database: Database,
    now: Now,
    start: Annotated[Moment | None, Query(alias="from", description="Now when not given")] = None,
    until: Annotated[Moment | None, Query(description="Two weeks later when not given")] = None,
    person: Key | None = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Shifts:
    """Return the shifts that touch a span."""
    begins: datetime = start or now
    with database.connection() as connection:
        rows = shifts.list_shifts(
            connection,
            sites=caller.site_list(),
            start=begins,
            until=until or begins + SPAN_DEFAULT,
            person_id=person,
            after=cursor or 0,
            limit=limit + 1,
        )
    page, next_cursor = cut(rows, limit, lambda row: row.id)
    return Shifts(items=page, next_cursor=next_cursor)


@router.post("/shifts", status_code=201, responses=CHANGE_ANSWERS)
def add_shift(caller: PlanShifts, body: NewShift, database: Database) -> Added:
    """Plan a shift of somebody who has a role at the caller's sites."""
    with database.connection() as connection:
        visible_person(connection, caller, body.person_id)
        return Added(id=shifts.add_shift(connection, body.person_id, body.starts_at, body.ends_at, body.on_call))


@router.delete("/shifts/{shift_id}", status_code=204, responses=CHANGE_ANSWERS)
def delete_shift(shift_id: RecordKey, caller: PlanShifts, database: Database) -> None:
    """Take a shift out of the plan."""
    with database.connection() as connection:
        person_id = shifts.person_of_shift(connection, shift_id)
        if person_id is None:
            raise unknown("shift", shift_id)
        visible_person(connection, caller, person_id)
        shifts.delete_shift(connection, shift_id)


@router.get("/rotas", responses=SIGNED_IN_ANSWERS)
def list_rotas(caller: ReadPeople, database: Database, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT) -> Rotas:
    """Return the rotas of teams that work at the caller's sites."""
    with database.connection() as connection:
        rows = shifts.list_rotas(connection, sites=caller.site_list(), after=cursor or 0, limit=limit + 1)
    page, next_cursor = cut(rows, limit, lambda row: row.id)
    return Rotas(items=page, next_cursor=next_cursor)


@router.post("/rotas", status_code=201, responses=CHANGE_ANSWERS)
def add_rota(caller: PlanShifts, body: NewRotaBody, database: Database) -> Added:
    """Add a rota of a team; its members have a role at the caller's sites."""
    rota = shifts.NewRota(
        team_id=body.team_id,
        name=body.name,
        time_zone=body.time_zone,
        first_day=body.first_day,
        last_day=body.last_day,
        cycle_days=body.cycle_days,
        on_call=body.on_call,
        days=[shifts.RotaDay(day.number, day.starts, day.ends) for day in body.days],
        members=[shifts.RotaMember(member.person_id, member.offset_days) for member in body.members],
    )
    with database.connection() as connection:
        visible_team(connection, caller, body.team_id)
        for member in body.members:
            visible_person(connection, caller, member.person_id)
        return Added(id=shifts.add_rota(connection, rota))


@router.delete("/rotas/{rota_id}", status_code=204, responses=CHANGE_ANSWERS)
def delete_rota(rota_id: RecordKey, caller: PlanShifts, database: Database) -> None:
    """Take a rota away with its days and members."""
    with database.connection() as connection:
        seen = shifts.list_rotas(connection, sites=caller.site_list(), after=rota_id - 1, limit=1)
        if not seen or seen[0].id != rota_id:
            raise unknown("rota", rota_id)
        shifts.delete_rota(connection, rota_id)


@router.get("/absences", responses=SIGNED_IN_ANSWERS)
def list_absences(
    caller: ReadPeople,
    database: Database,
    now: Now,
    start: Annotated[Moment | None, Query(alias="from", description="Now when not given")] = None,
    person: Key | None = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Absences:
    """Return the absences that end after a moment."""
    with database.connection() as connection:
        rows = shifts.list_absences(
            connection,
            sites=caller.site_list(),
            start=start or now,
            person_id=person,
            after=cursor or 0,
            limit=limit + 1,
        )
    page, next_cursor = cut(rows, limit, lambda row: row.id)
    return Absences(items=page, next_cursor=next_cursor)


@router.post("/absences", status_code=201, responses=CHANGE_ANSWERS)
def add_absence(caller: PlanShifts, body: NewAbsence, database: Database) -> Added:
    """Note an absence and who stands in."""
    with database.connection() as connection:
        visible_person(connection, caller, body.person_id)
        if body.delegate_id is not None:
            visible_person(connection, caller, body.delegate_id)
        added = shifts.add_absence(
            connection,
            body.person_id,
            body.starts_at,
            body.ends_at,
            reason=body.reason,
            delegate_id=body.delegate_id,
        )
    return Added(id=added)


@router.delete("/absences/{absence_id}", status_code=204, responses=CHANGE_ANSWERS)
def delete_absence(absence_id: RecordKey, caller: PlanShifts, database: Database) -> None:
    """Take an absence back."""
    with database.connection() as connection:
        person_id = shifts.person_of_absence(connection, absence_id)
        if person_id is None:
            raise unknown("absence", absence_id)
        visible_person(connection, caller, person_id)
        shifts.delete_absence(connection, absence_id)


@router.get("/teams/{team_id}/on-call", responses=RECORD_ANSWERS)
def read_on_call(team_id: RecordKey, caller: ReadPeople, database: Database, now: Now) -> OnCall:
    """Return who of a team is on call now, delegates in the place of who is absent."""
    with database.connection() as connection:
        visible_team(connection, caller, team_id)
        return OnCall(team_id=team_id, at=now, person_ids=shifts.on_call(connection, team_id, now))


def visible_person(connection: Connection, caller: Caller, person_id: int) -> PersonRow:
    """Return a person; one who holds no role at the caller's sites is refused as unknown."""
    found = people.list_people(connection, sites=caller.site_list(), after=person_id - 1, limit=1)
    if not found or found[0].person.id != person_id:
        raise unknown("person", person_id)
    return found[0]


def visible_team(connection: Connection, caller: Caller, team_id: int) -> None:
    """Refuse as unknown a team that is not there or works at another site."""
    site = shifts.site_of_team(connection, team_id)
    if site is None or (site[0] is not None and not caller.sees(site[0])):
        raise unknown("team", team_id)
