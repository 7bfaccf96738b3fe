"""Unknown devices: who sends without being registered, and one call that registers it, its data included (SPEC E2)."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from psycopg import Connection

from api.adoption_schemas import AdoptBody, AdoptedShape, FeedAddress, NativeAddress, UnknownDevices, stored_address
from api.boundary import BASE_PATH
from api.dependencies import AdoptDevice, Database, Now, ReadQuarantine
from api.identity import Caller
from api.problems import unknown
from api.routes.answers import CHANGE_ANSWERS, SIGNED_IN_ANSWERS
from api.routes.assets import asset_facts, visible_asset
from api.routes.devices import device_shape
from api.routes.paging import LIMIT_DEFAULT, Cursor, Limit, cut
from domain.refusals import Refused
from storage import adoption, assets, audit
from storage.assets import DeviceFacts, DeviceRow

router = APIRouter(prefix=BASE_PATH, tags=["register"])

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_NAME_LENGTH_MAX = 64


@router.get("/unknown-devices", responses=SIGNED_IN_ANSWERS)
def list_unknown_devices(
    caller: ReadQuarantine,
    database: Database,
    site: Annotated[str | None, Query(max_length=64)] = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> UnknownDevices:
    """Return who sends at the caller's sites without being registered, whoever came last first."""
    with database.connection() as connection:
        rows = adoption.unknown_devices(connection, sites=caller.site_list(), site=site, before=cursor, limit=limit + 1)
    page, next_cursor = cut(rows, limit, lambda row: row.id)
    return UnknownDevices(items=page, next_cursor=next_cursor)


@router.post(
    "/devices/adopt",
    status_code=201,
    responses={200: {"model": AdoptedShape, "description": "It was registered before"}, **CHANGE_ANSWERS},
)
def adopt_device(
    caller: AdoptDevice, body: AdoptBody, database: Database, now: Now, response: Response
) -> AdoptedShape:
    """Register a device for an asset there is, or for a new one, and have what it sent before stored.

    Sent again it changes nothing, and asks again for messages that still wait.
    """
    address = stored_address(body.address)
    feed_id, key = (None, None) if isinstance(body.address, NativeAddress) else (body.address.feed_id, body.address.key)
    with database.connection() as connection:
        adoption.begin(connection)
        audit.act_as(connection, caller.person.id, now)
        site_id = _site_of(connection, caller, body.address)
        present = adoption.device_at(connection, address)
        asset_id = _asset_for(connection, caller, body, site_id, present, now)
        name = body.name or _name_from(address[1])
        facts = DeviceFacts(site_id, name, asset_id, body.time_policy, body.expected_interval_s, feed_id, key)
        adopted = adoption.adopt(connection, address, facts, now)
    response.status_code = 201 if adopted.is_new else 200
    return AdoptedShape(device=device_shape(adopted.device), messages=adopted.messages)


def _site_of(connection: Connection, caller: Caller, address: NativeAddress | FeedAddress) -> str:
    """Return the site of an address; one at other sites does not exist for the caller."""
    if isinstance(address, NativeAddress):
        site_id, refusal = address.site, unknown("site", address.site)
    else:
        found = assets.site_of_feed(connection, address.feed_id)
        site_id, refusal = found or "", unknown("feed", address.feed_id)
    if not site_id or not caller.sees(site_id):
        raise refusal
    return site_id


def _asset_for(
    connection: Connection, caller: Caller, body: AdoptBody, site_id: str, present: DeviceRow | None, now: datetime
) -> int:
    """Return the asset that the device is to speak for: the one named, or the one given inline, made when it is new."""
    if body.asset is None:
        asset_id = body.asset_id or 0
        visible_asset(connection, caller, asset_id)
        return asset_id
    if body.asset.site != site_id:
        raise Refused(
            "wrong_site",
            expected=f"an asset at the device's site, '{site_id}'",
            got=f"one at '{body.asset.site}'",
            remedy="Register the asset at the site that the device sends from.",
        )
    if present is not None:
        (known,) = assets.list_assets(connection, sites=None, asset_id=present.asset_id, limit=1)
        if known.tag == body.asset.tag:
            return known.id
    return assets.create_asset(connection, asset_facts(body.asset), now, body.asset.installed)


def _name_from(key: str) -> str:
    """Return a device name made of how a dialect calls the device: "line 1/edge" becomes "line-1-edge"."""
    return _NOT_IN_A_NAME.sub("-", key).strip("-")[:_NAME_LENGTH_MAX] or "device"
