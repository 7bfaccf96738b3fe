"""Assets: the equipment, with its devices, its series and how many tickets it has open."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Path, Query
from psycopg import Connection

from api.boundary import BASE_PATH
from api.dependencies import ChangeRegister, Database, Now, ReadRegister, ReadSignals
from api.identity import Caller
from api.problems import unknown
from api.register_schemas import AssetDetail, Assets, AssetShape, AssetTypes, AssetTypeShape, DeviceState, NewAssetShape
from api.routes.answers import CHANGE_ANSWERS, RECORD_ANSWERS, SIGNED_IN_ANSWERS
from api.routes.paging import LIMIT_DEFAULT, Cursor, Limit, cut
from api.schemas import Key, SeriesPage, SeriesShape
from storage import assets, charts
from storage.assets import Asset, NewAsset

router = APIRouter(prefix=BASE_PATH, tags=["register"])

AssetKey = Annotated[Key, Path(description="The asset's id")]
# An asset has a handful of devices; the bound keeps a page of assets a page.
DEVICES_PER_PAGE = 2_000


@router.get("/asset-types", responses=SIGNED_IN_ANSWERS)
def list_asset_types(caller: ReadRegister, database: Database) -> AssetTypes:
    """Return every class of equipment."""
    with database.connection() as connection:
        rows = assets.list_asset_types(connection)
    return AssetTypes(items=[AssetTypeShape.model_validate(row) for row in rows])


@router.get("/assets", responses=SIGNED_IN_ANSWERS)
def list_assets(
    caller: ReadRegister,
    database: Database,
    site: Annotated[str | None, Query(max_length=64)] = None,
    tag: Annotated[str | None, Query(max_length=64)] = None,
    name: Annotated[str | None, Query(max_length=200)] = None,
    asset_type: Annotated[str | None, Query(max_length=64)] = None,
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
            after=cursor or 0,
            limit=limit + 1,
        )
        page, next_cursor = cut(rows, limit, lambda asset: asset.id)
        devices = _devices_of(connection, [asset.id for asset in page])
    items = [AssetShape.model_validate(_fields(asset, devices[asset.id])) for asset in page]
    return Assets(items=items, next_cursor=next_cursor)


@router.post("/assets", status_code=201, responses=CHANGE_ANSWERS)
def register_asset(caller: ChangeRegister, body: NewAssetShape, database: Database, now: Now) -> AssetDetail:
    """Register an asset; a tag that is taken at the site is refused."""
    if not caller.sees(body.site):
        raise unknown("site", body.site)
    new = NewAsset(
        site_id=body.site,
        asset_type_id=body.asset_type,
        tag=body.tag,
        name=body.name,
        area=body.area,
        serial_number=body.serial_number,
        criticality=body.criticality,
        latitude=body.latitude,
        longitude=body.longitude,
        requester_id=body.requester_id,
        commissioned_at=body.commissioned_at,
        installed=body.installed,
    )
    with database.connection() as connection:
        asset_id = assets.create_asset(connection, new, now)
        return _detail(connection, caller, asset_id)


@router.get("/assets/{asset_id}", responses=RECORD_ANSWERS)
def read_asset(asset_id: AssetKey, caller: ReadRegister, database: Database) -> AssetDetail:
    """Return one asset with its devices and when its components were fitted."""
    with database.connection() as connection:
        return _detail(connection, caller, asset_id)


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


def _detail(connection: Connection, caller: Caller, asset_id: int) -> AssetDetail:
    rows = assets.list_assets(connection, sites=caller.site_list(), asset_id=asset_id, limit=1)
    if not rows:
        raise unknown("asset", asset_id)
    fields = _fields(rows[0], _devices_of(connection, [asset_id])[asset_id])
    return AssetDetail.model_validate({**fields, "installed": assets.installations(connection, asset_id)})


def _devices_of(connection: Connection, asset_ids: Sequence[int]) -> defaultdict[int, list[DeviceState]]:
    found: defaultdict[int, list[DeviceState]] = defaultdict(list)
    for device in assets.list_devices(connection, sites=None, assets=asset_ids, limit=DEVICES_PER_PAGE):
        found[device.asset_id].append(DeviceState.model_validate(device))
    return found


def _fields(asset: Asset, devices: list[DeviceState]) -> dict[str, object]:
    return {
        "id": asset.id,
        "site": asset.site_id,
        "tag": asset.tag,
        "name": asset.name,
        "asset_type": asset.asset_type_id,
        "area": asset.area,
        "serial_number": asset.serial_number,
        "criticality": asset.criticality,
        "latitude": asset.latitude,
        "longitude": asset.longitude,
        "requester_id": asset.requester_id,
        "commissioned_at": asset.commissioned_at,
        "created_at": asset.created_at,
        "open_tickets": asset.open_tickets,
        "assessed": asset.assessed,
        "devices": devices,
    }
