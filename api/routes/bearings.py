"""Bearings of an asset: what is known of their inside names the damaged part in a waveform (SPEC D4)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from psycopg import Connection

from api.bearing_schemas import BearingBody, Bearings
from api.boundary import BASE_PATH
from api.dependencies import ChangeRegister, Database, Now, ReadRegister
from api.problems import unknown
from api.routes.answers import CHANGE_ANSWERS, RECORD_ANSWERS
from api.routes.assets import AssetKey, visible_asset
from api.schemas import LowWord
from detectors.bearings import FaultOrders
from storage import audit
from storage.bearings import Bearing, list_bearings, put_bearing, remove_bearing

router = APIRouter(prefix=BASE_PATH, tags=["register"])

ComponentInPath = Annotated[LowWord, Path(description="The component that the bearing is")]


@router.get("/assets/{asset_id}/bearings", responses=RECORD_ANSWERS)
def read_bearings(asset_id: AssetKey, caller: ReadRegister, database: Database) -> Bearings:
    """Return the bearings of an asset that are known from inside."""
    with database.connection() as connection:
        visible_asset(connection, caller, asset_id)
        return _shown(connection, asset_id)


@router.put("/assets/{asset_id}/bearings/{component}", responses=CHANGE_ANSWERS)
def change_bearing(
    asset_id: AssetKey,
    component: ComponentInPath,
    caller: ChangeRegister,
    body: BearingBody,
    database: Database,
    now: Now,
) -> Bearings:
    """Add a bearing or replace what is known of it; ingest follows within seconds."""
    geometry = None if body.geometry is None else body.geometry.as_geometry()
    with database.connection() as connection:
        visible_asset(connection, caller, asset_id)
        audit.act_as(connection, caller.person.id, now)
        known = Bearing(component, body.metric, _orders(body), body.speed_rpm, geometry, body.designation)
        put_bearing(connection, asset_id, known, now)
        return _shown(connection, asset_id)


@router.delete("/assets/{asset_id}/bearings/{component}", responses=CHANGE_ANSWERS)
def forget_bearing(
    asset_id: AssetKey, component: ComponentInPath, caller: ChangeRegister, database: Database, now: Now
) -> Bearings:
    """Forget the inside of a bearing; the component and its history stay."""
    with database.connection() as connection:
        visible_asset(connection, caller, asset_id)
        audit.act_as(connection, caller.person.id, now)
        if not remove_bearing(connection, asset_id, component):
            raise unknown("bearing", component)
        return _shown(connection, asset_id)


def _orders(body: BearingBody) -> FaultOrders:
    if body.geometry is not None:
        return body.geometry.as_geometry().orders()
    assert body.orders is not None  # the body has one of the two
    return body.orders.as_orders()


def _shown(connection: Connection, asset_id: int) -> Bearings:
    return Bearings.model_validate({"items": list_bearings(connection, asset_id)})
