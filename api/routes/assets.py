"""Assets: the equipment, with its components, its devices, its series and who changed what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Annotated

from fastapi import APIRouter, Path, Query
from psycopg import Connection

from api.boundary import BASE_PATH
from api.dependencies import ChangeRegister, Database, Now, ReadChanges, ReadRegister, ReadSignals
from api.identity import Caller
from api.problems import unknown
from api.register_schemas import (
    AssetChange,
    AssetDetail,
    Assets,
    AssetShape,
    AssetTypes,
    Changes,
    ChangeShape,
    ComponentBody,
    Components,
    DeviceState,
    NewAssetShape,
)
from api.routes.answers import CHANGE_ANSWERS, RECORD_ANSWERS, SIGNED_IN_ANSWERS
from api.routes.paging import LIMIT_DEFAULT, Cursor, Limit, cut
from api.schemas import Key, LowWord, SeriesPage, SeriesShape
from storage import assets, audit, charts
from storage.assets import Asset, AssetFacts, AssetStatus
from storage.components import Component, list_components, put_component

router = APIRouter(prefix=BASE_PATH, tags=["register"])

AssetKey = Annotated[Key, Path(description="The asset's id")]
# An asset has a handful of devices; the bound keeps a page of assets a page.
DEVICES_PER_PAGE = 2_000


@router.get("/asset-types", responses=SIGNED_IN_ANSWERS)
def list_asset_types(caller: ReadRegister, database: Database) -> AssetTypes:
    """Return every class of equipment."""
    with database.connection() as connection:
        rows = assets.list_asset_types(connection)
    return AssetTypes(items=rows)


@router.get("/assets", responses=SIGNED_IN_ANSWERS)
def list_assets(
    caller: ReadRegister,
    database: Database,
    site: Annotated[str | None, Query(max_length=64)] = None,
    tag: Annotated[str | None, Query(max_length=64)] = None,
    name: Annotated[str | None, Query(max_length=200)] = None,
    asset_type: Annotated[str | None, Query(max_length=64)] = None,
    status: AssetStatus | None = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Assets:
    """Return the assets at the caller's sites that match every filter given."""
    with database.connection() as connection:
        rows = assets.list_assets(
            connection,
            sites=caller.site_list(),
            site=site,
            tag=tag,
            name=name,
            asset_type=asset_type,
            status=status,
            after=cursor or 0,
            limit=limit + 1,
        )
        page, next_cursor = cut(rows, limit, lambda asset: asset.id)
        devices = _devices_of(connection, [asset.id for asset in page])
    items = [AssetShape.model_validate(_shown(asset, devices[asset.id])) for asset in page]
    return Assets(items=items, next_cursor=next_cursor)


@router.post("/assets", status_code=201, responses=CHANGE_ANSWERS)
def register_asset(caller: ChangeRegister, body: NewAssetShape, database: Database, now: Now) -> AssetDetail:
    """Register an asset; a tag that is taken at the site is refused."""
    if not caller.sees(body.site):
        raise unknown("site", body.site)
    with database.connection() as connection:
        audit.act_as(connection, caller.person.id, now)
        asset_id = assets.create_asset(connection, asset_facts(body), now, body.installed)
        return _detail(connection, caller, asset_id)


@router.get("/assets/{asset_id}", responses=RECORD_ANSWERS)
def read_asset(asset_id: AssetKey, caller: ReadRegister, database: Database) -> AssetDetail:
    """Return one asset with its devices and when its components were fitted."""
    with database.connection() as connection:
        return _detail(connection, caller, asset_id)


@router.patch("/assets/{asset_id}", responses=CHANGE_ANSWERS)
def change_asset(
    asset_id: AssetKey, caller: ChangeRegister, body: AssetChange, database: Database, now: Now
) -> AssetDetail:
    """Change what is sent of an asset, unless somebody else has changed it since it was read."""
    sent = body.sent()
    if "asset_type" in sent:
        sent["asset_type_id"] = sent.pop("asset_type")
    with database.connection() as connection:
        visible_asset(connection, caller, asset_id)
        audit.act_as(connection, caller.person.id, now)
        assets.hold_asset(connection, asset_id)
        (present,) = assets.list_assets(connection, sites=None, asset_id=asset_id, limit=1)
        facts = replace(present.facts(), **sent)  # type: ignore[arg-type]  # the shape's fields are the record's
        if facts != present.facts() or body.version != present.version:
            assets.change_asset(connection, present, facts, body.version)
        return _detail(connection, caller, asset_id)


@router.get("/assets/{asset_id}/components", responses=RECORD_ANSWERS)
def read_components(asset_id: AssetKey, caller: ReadRegister, database: Database) -> Components:
    """Return an asset's components."""
    with database.connection() as connection:
        visible_asset(connection, caller, asset_id)
        return Components(items=list_components(connection, asset_id))


@router.put("/assets/{asset_id}/components/{component}", responses=CHANGE_ANSWERS)
def change_component(
    asset_id: AssetKey,
    component: Annotated[LowWord, Path(description="What the component is called in rules and failure modes")],
    caller: ChangeRegister,
    body: ComponentBody,
    database: Database,
    now: Now,
) -> Components:
    """Add or replace a component's nameplate, and note when it was fitted."""
    plate = Component(component, body.name, body.serial_number, body.brand, body.model, body.installed_at)
    with database.connection() as connection:
        visible_asset(connection, caller, asset_id)
        audit.act_as(connection, caller.person.id, now)
        put_component(connection, asset_id, plate)
        return Components(items=list_components(connection, asset_id))


@router.get("/assets/{asset_id}/changes", responses=RECORD_ANSWERS)
def list_changes(
    asset_id: AssetKey, caller: ReadChanges, database: Database, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
) -> Changes:
    """Return who changed what of an asset, its components, devices, credentials and files, newest first."""
    with database.connection() as connection:
        visible_asset(connection, caller, asset_id)
        rows = audit.changes_of_asset(connection, asset_id, before=cursor, limit=limit + 1)
    page, next_cursor = cut(rows, limit, lambda change: change.id)
    return Changes(items=[ChangeShape.model_validate(change) for change in page], next_cursor=next_cursor)


@router.get("/assets/{asset_id}/series", responses=RECORD_ANSWERS)
def list_series(
    asset_id: AssetKey, caller: ReadSignals, database: Database, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
) -> SeriesPage:
    """Return the metrics that the asset's devices send, each with its newest reading."""
    with database.connection() as connection:
        visible_asset(connection, caller, asset_id)
        rows = charts.list_series(connection, asset_id=asset_id, after=cursor or 0, limit=limit + 1)
    page, next_cursor = cut(rows, limit, lambda row: row.id)
    return SeriesPage(items=[SeriesShape.model_validate(row) for row in page], next_cursor=next_cursor)


def visible_asset(connection: Connection, caller: Caller, asset_id: int) -> str:
    """Return the site of an asset; refused as unknown when it is not there or not at the caller's sites."""
    site_id = assets.site_of_asset(connection, asset_id)
    if site_id is None or not caller.sees(site_id):
        raise unknown("asset", asset_id)
    return site_id


def asset_facts(body: NewAssetShape) -> AssetFacts:
    """Return what the body says of an asset, as the repository takes it."""
    said = {field.name: getattr(body, field.name) for field in fields(AssetFacts) if hasattr(body, field.name)}
    return AssetFacts(**said, site_id=body.site, asset_type_id=body.asset_type)


def _detail(connection: Connection, caller: Caller, asset_id: int) -> AssetDetail:
    rows = assets.list_assets(connection, sites=caller.site_list(), asset_id=asset_id, limit=1)
    if not rows:
        raise unknown("asset", asset_id)
    shown = _shown(rows[0], _devices_of(connection, [asset_id])[asset_id])
    parts = list_components(connection, asset_id)
    installed = {part.code: part.installed_at for part in parts if part.installed_at is not None}
    return AssetDetail.model_validate({**shown, "installed": installed, "components": parts})


def _devices_of(connection: Connection, asset_ids: Sequence[int]) -> defaultdict[int, list[DeviceState]]:
    found: defaultdict[int, list[DeviceState]] = defaultdict(list)
    for device in assets.list_devices(connection, sites=None, assets=asset_ids, limit=DEVICES_PER_PAGE):
        found[device.asset_id].append(DeviceState.model_validate(device))
    return found


def _shown(asset: Asset, devices: list[DeviceState]) -> dict[str, object]:
    known = {field.name: getattr(asset, field.name) for field in fields(Asset)}
    return {**known, "site": asset.site_id, "asset_type": asset.asset_type_id, "devices": devices}
