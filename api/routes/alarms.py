"""Alarms: findings as people watch them, acknowledged, and shelved for a time with a reason (ISA-18.2)."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query

from api.boundary import BASE_PATH
from api.dependencies import AcknowledgeAlarm, Database, Now, ReadDetection, ShelveAlarm
from api.detection_schemas import Acknowledged, Acknowledgement, Alarms, Floods, NewShelving, Shelvings
from api.problems import unknown
from api.routes.answers import CHANGE_ANSWERS, SIGNED_IN_ANSWERS
from api.routes.assets import visible_asset
from api.routes.paging import LIMIT_DEFAULT, Cursor, Limit, cut
from api.schemas import Key
from storage import alarms
from storage.alarms import AlarmFilter, Shelving
from storage.floods import floods_now

router = APIRouter(prefix=BASE_PATH, tags=["detection"])

Asset = Annotated[Key | None, Query(description="Only of this asset")]


@router.get("/alarms", responses=SIGNED_IN_ANSWERS)
def list_alarms(
    caller: ReadDetection,
    database: Database,
    now: Now,
    asset: Asset = None,
    shelved: Annotated[bool | None, Query(description="Only shelved ones, or only others")] = None,
    cursor: Annotated[UUID | None, Query(description="The next_cursor of the page before")] = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Alarms:
    """Return the alarms of the caller's sites, newest first."""
    wanted = AlarmFilter(sites=caller.site_list(), asset_id=asset, shelved=shelved)
    with database.connection() as connection:
        rows = alarms.alarms(connection, wanted, now, before=cursor, limit=limit + 1)
    page, next_cursor = cut(rows, limit, lambda alarm: alarm.finding_id)
    return Alarms(items=page, next_cursor=next_cursor)


@router.post("/alarms/acknowledge", responses=CHANGE_ANSWERS)
def acknowledge(caller: AcknowledgeAlarm, body: Acknowledgement, database: Database, now: Now) -> Acknowledged:
    """Say that one knows of these findings; those known already, or of other sites, are passed over."""
    with database.connection() as connection:
        done = alarms.acknowledge(connection, body.findings, caller.site_list(), caller.person.id, now)
    return Acknowledged(findings=done)


@router.get("/floods", responses=SIGNED_IN_ANSWERS)
def list_floods(caller: ReadDetection, database: Database, now: Now) -> Floods:
    """Return the floods of alarms that go on at the caller's sites, the oldest first."""
    with database.connection() as connection:
        return Floods(items=floods_now(connection, caller.site_list(), now), next_cursor=None)


@router.get("/shelvings", responses=SIGNED_IN_ANSWERS)
def list_shelvings(
    caller: ReadDetection,
    database: Database,
    asset: Asset = None,
    in_force: Annotated[bool | None, Query(description="Only those in force, or only those that ended")] = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Shelvings:
    """Return what is set aside at the caller's sites, or was, newest first."""
    wanted = AlarmFilter(sites=caller.site_list(), asset_id=asset)
    with database.connection() as connection:
        rows = alarms.shelvings(connection, wanted, in_force=in_force, before=cursor, limit=limit + 1)
    page, next_cursor = cut(rows, limit, lambda shelving: shelving.id)
    return Shelvings(items=page, next_cursor=next_cursor)


@router.post("/shelvings", status_code=201, responses=CHANGE_ANSWERS)
def shelve(caller: ShelveAlarm, body: NewShelving, database: Database, now: Now) -> Shelving:
    """Set aside what an asset's detectors say for a time: it is recorded, and opens nothing."""
    with database.connection() as connection:
        visible_asset(connection, caller, body.asset_id)
        shelving_id = alarms.shelve(
            connection,
            asset_id=body.asset_id,
            metric=body.metric,
            rule=body.rule,
            reason=body.reason,
            until=body.until,
            person_id=caller.person.id,
            now=now,
        )
        return alarms.shelvings(connection, AlarmFilter(), shelving_id=shelving_id, limit=1)[0]


@router.post("/shelvings/{shelving_id}/end", responses=CHANGE_ANSWERS)
def unshelve(
    shelving_id: Annotated[Key, Path(description="The shelving's id")],
    caller: ShelveAlarm,
    database: Database,
    now: Now,
) -> Shelving:
    """End a shelving before its time; what still holds counts again at once."""
    with database.connection() as connection:
        wanted = AlarmFilter(sites=caller.site_list())
        if not alarms.shelvings(connection, wanted, shelving_id=shelving_id, limit=1):
            raise unknown("shelving", shelving_id)
        alarms.unshelve(connection, shelving_id, caller.person.id, now)
        return alarms.shelvings(connection, wanted, shelving_id=shelving_id, limit=1)[0]
