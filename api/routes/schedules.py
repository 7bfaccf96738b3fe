"""Schedules of inspections, by the calendar or by a meter (SPEC T8)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from psycopg import Connection

from api.boundary import BASE_PATH
from api.dependencies import ChangeSchedules, Database, Now, ReadSchedules
from api.identity import Caller
from api.problems import unknown
from api.routes.answers import CHANGE_ANSWERS, RECORD_ANSWERS, SIGNED_IN_ANSWERS
from api.routes.assets import visible_asset
from api.routes.paging import LIMIT_DEFAULT, Cursor, Limit, cut
from api.schedule_schemas import ChangedWork, NewSchedule, Schedules, WorkShape
from api.schemas import Key
from storage import schedules
from storage.schedules import MeterPlan, Schedule, Work
from ticketing.intake import invalid
from ticketing.scheduling import CalendarPlan, Unit

router = APIRouter(prefix=BASE_PATH, tags=["schedules"])


@router.get("/schedules", responses=SIGNED_IN_ANSWERS)
def list_schedules(
    caller: ReadSchedules,
    database: Database,
    asset: Key | None = None,
    ended: Annotated[bool, Query(description="Those too that have ended")] = False,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Schedules:
    """Return schedules, newest first, with how far each has come."""
    with database.connection() as connection:
        rows = schedules.list_schedules(
            connection,
            sites=caller.site_list(),
            asset_id=asset,
            with_ended=ended,
            before=cursor,
            limit=limit + 1,
        )
    page, next_cursor = cut(rows, limit, lambda schedule: schedule.id)
    return Schedules(items=page, next_cursor=next_cursor)


@router.post("/schedules", status_code=201, responses=CHANGE_ANSWERS)
def add_schedule(caller: ChangeSchedules, body: NewSchedule, database: Database, now: Now) -> Schedule:
    """Add a schedule, by the calendar or by a meter of the asset."""
    if (body.by_calendar is None) == (body.by_meter is None):
        raise invalid("by_calendar or by_meter, one of them", "neither" if body.by_meter is None else "both")
    with database.connection() as connection:
        visible_asset(connection, caller, body.asset_id)
        schedule_id = schedules.add_schedule(
            connection, body.asset_id, _work(body), _plan(body), person_id=caller.person.id, now=now
        )
        return _visible(connection, caller, schedule_id)


@router.get("/schedules/{schedule_id}", responses=RECORD_ANSWERS)
def read_schedule(schedule_id: Key, caller: ReadSchedules, database: Database) -> Schedule:
    """Return a schedule, also one that has ended."""
    with database.connection() as connection:
        return _visible(connection, caller, schedule_id)


@router.put("/schedules/{schedule_id}/work", responses=CHANGE_ANSWERS)
def change_work(schedule_id: Key, caller: ChangeSchedules, body: ChangedWork, database: Database) -> Schedule:
    """Change what is to be done; when it comes round stays: for another rhythm end it and add another."""
    with database.connection() as connection:
        found = _visible(connection, caller, schedule_id)
        schedules.change_schedule(connection, found, _work(body), version=body.version)
        return _visible(connection, caller, schedule_id)


@router.delete("/schedules/{schedule_id}", status_code=204, responses=CHANGE_ANSWERS)
def end_schedule(schedule_id: Key, caller: ChangeSchedules, database: Database, now: Now) -> None:
    """End a schedule; its open ticket stays."""
    with database.connection() as connection:
        _visible(connection, caller, schedule_id)
        schedules.end_schedule(connection, schedule_id, now)


def _visible(connection: Connection, caller: Caller, schedule_id: int) -> Schedule:
    found = schedules.list_schedules(connection, sites=caller.site_list(), schedule_id=schedule_id, limit=1)
    if not found:
        raise unknown("schedule", schedule_id)
    return found[0]


def _work(body: WorkShape) -> Work:
    return Work(
        title_en=body.title_en,
        title_zh=body.title_zh or body.title_en,
        description=body.description,
        team_id=body.team_id,
        checklist=tuple(task.planned() for task in body.checklist),
    )


def _plan(body: NewSchedule) -> CalendarPlan | MeterPlan:
    if body.by_calendar is not None:
        by = body.by_calendar
        return CalendarPlan(Unit(by.unit), by.every, by.first_on, by.lead_days)
    assert body.by_meter is not None
    return MeterPlan(body.by_meter.series_id, body.by_meter.every_amount, body.by_meter.counted)
