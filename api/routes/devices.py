"""Devices: the sources of telemetry, and what of it never came."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.boundary import BASE_PATH
from api.dependencies import ChangeRegister, Database, Now, ReadRegister, ReadSignals
from api.problems import unknown
from api.register_schemas import DeviceChange, Devices, DeviceShape, Gaps, NewDevice
from api.routes.answers import CHANGE_ANSWERS, RECORD_ANSWERS, SIGNED_IN_ANSWERS
from api.routes.assets import visible_asset
from api.routes.paging import LIMIT_DEFAULT, Cursor, Limit, cut
from api.schemas import Key
from storage import assets, audit
from storage.assets import DeviceFacts, DeviceRow

router = APIRouter(prefix=BASE_PATH, tags=["register"])

DeviceKey = Annotated[Key, Path(description="The device's id")]


@router.get("/devices", responses=SIGNED_IN_ANSWERS)
def list_devices(
    caller: ReadRegister,
    database: Database,
    site: Annotated[str | None, Query(max_length=64)] = None,
    name: Annotated[str | None, Query(max_length=64)] = None,
    asset: Annotated[Key | None, Query(description="Only the devices of this asset")] = None,
    feed: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Only the devices of this feed")] = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Devices:
    """Return the devices at the caller's sites that match every filter given."""
    with database.connection() as connection:
        rows = assets.list_devices(
            connection,
            sites=caller.site_list(),
            site=site,
            name=name,
            assets=None if asset is None else [asset],
            feed_id=feed,
            after=cursor or 0,
            limit=limit + 1,
        )
    page, next_cursor = cut(rows, limit, lambda device: device.id)
    return Devices(items=[device_shape(device) for device in page], next_cursor=next_cursor)


@router.post("/devices", status_code=201, responses=CHANGE_ANSWERS)
def register_device(caller: ChangeRegister, body: NewDevice, database: Database, now: Now) -> DeviceShape:
    """Register a device for an asset. What it sent before is in quarantine and can be replayed from there."""
    facts = DeviceFacts(
        body.site,
        body.name,
        body.asset_id,
        body.time_policy,
        body.expected_interval_s,
        body.feed_id,
        body.feed_key,
    )
    with database.connection() as connection:
        visible_asset(connection, caller, body.asset_id)
        audit.act_as(connection, caller.person.id, now)
        device_id = assets.register_device(connection, facts, now)
        rows = assets.list_devices(connection, sites=None, device_id=device_id, limit=1)
    return device_shape(rows[0])


@router.get("/devices/{device_id}", responses=RECORD_ANSWERS)
def read_device(device_id: DeviceKey, caller: ReadRegister, database: Database) -> DeviceShape:
    """Return one device."""
    with database.connection() as connection:
        rows = assets.list_devices(connection, sites=caller.site_list(), device_id=device_id, limit=1)
    if not rows:
        raise unknown("device", device_id)
    return device_shape(rows[0])


@router.patch("/devices/{device_id}", responses=CHANGE_ANSWERS)
def change_device(
    device_id: DeviceKey, caller: ChangeRegister, body: DeviceChange, database: Database, now: Now
) -> DeviceShape:
    """Change what is sent of a device, unless somebody else has changed it since it was read."""
    with database.connection() as connection:
        audit.act_as(connection, caller.person.id, now)
        assets.hold_device(connection, device_id)
        rows = assets.list_devices(connection, sites=caller.site_list(), device_id=device_id, limit=1)
        if not rows:
            raise unknown("device", device_id)
        if body.asset_id is not None:
            visible_asset(connection, caller, body.asset_id)
        present = rows[0].facts()
        facts = replace(present, **body.sent())  # type: ignore[arg-type]  # the shape's fields are the record's
        if facts != present or body.version != rows[0].version:
            assets.change_device(connection, rows[0], facts, body.version)
        return device_shape(assets.list_devices(connection, sites=None, device_id=device_id, limit=1)[0])


@router.get("/devices/{device_id}/gaps", responses=RECORD_ANSWERS)
def list_gaps(
    device_id: DeviceKey, caller: ReadSignals, database: Database, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
) -> Gaps:
    """Return the messages of a device that never came, by the jumps of its counter, newest first."""
    with database.connection() as connection:
        if not assets.list_devices(connection, sites=caller.site_list(), device_id=device_id, limit=1):
            raise unknown("device", device_id)
        rows = assets.list_gaps(connection, device_id, before=cursor, limit=limit + 1)
    page, next_cursor = cut(rows, limit, lambda gap: gap.id)
    return Gaps(items=page, next_cursor=next_cursor)


def device_shape(device: DeviceRow) -> DeviceShape:
    """Return a device as the API shows it."""
    return DeviceShape(
        id=device.id,
        site=device.site_id,
        name=device.name,
        asset_id=device.asset_id,
        time_policy=device.time_policy,
        expected_interval_s=device.expected_interval_s,
        online=device.online,
        last_seen_at=device.last_seen_at,
        last_reading_at=device.last_reading_at,
        last_sequence=device.last_sequence,
        created_at=device.created_at,
        feed_id=device.feed_id,
        feed_key=device.feed_key,
        clock_ahead_s=device.clock_ahead_s,
        clock_seen_at=device.clock_seen_at,
        missing_messages=device.missing_messages,
        version=device.version,
    )
