"""The register: sites, assets with their components, the devices that speak for them, and what operators count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.sql import SQL

from domain.refusals import Refused
from storage.queries import load

QUERIES = load("assets")


@dataclass(frozen=True, slots=True)
class Site:
    """A place with one calendar; latitude and longitude in degrees (WGS84)."""

    id: str
    name: str
    calendar_id: str
    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class AssetType:
    """A class of equipment: what failure modes and rules are written for."""

    id: str
    name_en: str
    name_zh: str


@dataclass(frozen=True, slots=True)
class NewAsset:
    """What registering an asset needs. ``installed`` maps a component to when it was fitted (equipment time)."""

    site_id: str
    asset_type_id: str
    tag: str
    name: str
    area: str | None
    serial_number: str | None
    criticality: int
    latitude: float | None
    longitude: float | None
    requester_id: int | None
    commissioned_at: datetime | None
    installed: Mapping[str, datetime]


@dataclass(frozen=True, slots=True)
class Asset:
    """A registered asset. ``assessed`` is true when neither readings nor evidence of it wait to be judged."""

    id: int
    site_id: str
    tag: str
    name: str
    asset_type_id: str
    area: str | None
    serial_number: str | None
    criticality: int
    latitude: float | None
    longitude: float | None
    requester_id: int | None
    commissioned_at: datetime | None
    created_at: datetime
    open_tickets: int
    assessed: bool


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A registered device and what was last heard of it; ``last_reading_at`` is equipment time."""

    id: int
    site_id: str
    name: str
    asset_id: int
    time_policy: str
    expected_interval_s: float | None
    online: bool | None
    last_seen_at: datetime | None
    last_reading_at: datetime | None
    last_sequence: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages of a device that never came: the counter jumped from ``after_sequence`` to ``before_sequence``."""

    id: int
    after_sequence: int
    before_sequence: int
    missing: int
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class LiveCounts:
    """What operators watch. ``newest_message_at`` is wall time, None before the first message."""

    open_tickets: Mapping[str, int]
    quarantine_open: int
    newest_message_at: datetime | None
    evidence_waiting: int
    outbox_waiting: int
    outbox_given_up: int
    devices_online: int
    devices: int


def list_sites(
    connection: Connection, *, sites: Sequence[str] | None, name: str | None = None, after: str = "", limit: int = 50
) -> list[Site]:
    """Return sites with ids above ``after``, only those in ``sites`` unless None."""
    asked = {"sites": _array(sites), "name": name, "after": after, "limit": limit}
    return [Site(*row) for row in connection.execute(QUERIES["sites"], asked)]


def create_site(connection: Connection, site: Site) -> None:
    """Add a site; an id that is taken is refused as ``duplicate_record``."""
    values = {"id": site.id, "name": site.name, "calendar_id": site.calendar_id}
    place = {"latitude": site.latitude, "longitude": site.longitude}
    if connection.execute(QUERIES["insert_site"], {**values, **place}).fetchone() is None:
        raise _duplicate("a site id that is free", site.id)


def list_asset_types(connection: Connection) -> list[AssetType]:
    """Return every asset type."""
    return [AssetType(*row) for row in connection.execute(QUERIES["asset_types"])]


def list_assets(
    connection: Connection,
    *,
    sites: Sequence[str] | None,
    asset_id: int | None = None,
    site: str | None = None,
    tag: str | None = None,
    name: str | None = None,
    asset_type: str | None = None,
    after: int = 0,
    limit: int = 50,
) -> list[Asset]:
    """Return assets with ids above ``after`` that match every filter given."""
    asked = {
        "sites": _array(sites),
        "id": asset_id,
        "site": site,
        "tag": tag,
        "name": name,
        "asset_type": asset_type,
        "after": after,
        "limit": limit,
    }
    return [Asset(*row) for row in connection.execute(QUERIES["assets"], asked)]


def site_of_asset(connection: Connection, asset_id: int) -> str | None:
    """Return the site of an asset, None when there is no such asset."""
    row = connection.execute(QUERIES["site_of_asset"], {"id": asset_id}).fetchone()
    return None if row is None else row[0]


def create_asset(connection: Connection, asset: NewAsset, now: datetime) -> int:
    """Register an asset and return its id; a tag that is taken at the site is refused as ``duplicate_record``."""
    area_id = None
    if asset.area is not None:
        area_id = _id_of(connection, QUERIES["ensure_area"], {"site_id": asset.site_id, "name": asset.area})
    values = {
        "site_id": asset.site_id,
        "area_id": area_id,
        "asset_type_id": asset.asset_type_id,
        "tag": asset.tag,
        "name": asset.name,
        "serial_number": asset.serial_number,
        "criticality": asset.criticality,
        "latitude": asset.latitude,
        "longitude": asset.longitude,
        "requester_id": asset.requester_id,
        "commissioned_at": asset.commissioned_at,
        "now": now,
    }
    asset_id = _id_of(connection, QUERIES["insert_asset"], values)
    if asset_id is None:
        raise _duplicate("a tag that is free at the site", f"{asset.site_id}/{asset.tag}")
    for component, installed_at in asset.installed.items():
        fitted = {"asset_id": asset_id, "component": component, "installed_at": installed_at}
        connection.execute(QUERIES["insert_installation"], fitted)
    return asset_id


def installations(connection: Connection, asset_id: int) -> dict[str, datetime]:
    """Return when each component of an asset was last fitted (equipment time)."""
    return dict(connection.execute(QUERIES["installations"], {"asset_id": asset_id}).fetchall())


def list_devices(
    connection: Connection,
    *,
    sites: Sequence[str] | None,
    device_id: int | None = None,
    site: str | None = None,
    name: str | None = None,
    assets: Sequence[int] | None = None,
    after: int = 0,
    limit: int = 50,
) -> list[DeviceRow]:
    """Return devices with ids above ``after`` that match every filter given."""
    asked = {
        "sites": _array(sites),
        "id": device_id,
        "site": site,
        "name": name,
        "assets": None if assets is None else list(assets),
        "after": after,
        "limit": limit,
    }
    return [DeviceRow(*row) for row in connection.execute(QUERIES["devices"], asked)]


def register_device(
    connection: Connection,
    *,
    site_id: str,
    name: str,
    asset_id: int,
    time_policy: str,
    expected_interval_s: float | None,
    now: datetime,
) -> int:
    """Register a device and return its id; a name that is taken at the site is refused as ``duplicate_record``."""
    values = {
        "site_id": site_id,
        "name": name,
        "asset_id": asset_id,
        "time_policy": time_policy,
        "expected_interval_s": expected_interval_s,
        "now": now,
    }
    device_id = _id_of(connection, QUERIES["insert_device"], values)
    if device_id is None:
        raise _duplicate("a device name that is free at the site", f"{site_id}/{name}")
    return device_id


def list_gaps(connection: Connection, device_id: int, *, before: int | None = None, limit: int = 50) -> list[Gap]:
    """Return sequence gaps of a device with ids below ``before``, newest first."""
    asked = {"device_id": device_id, "before": before, "limit": limit}
    return [Gap(*row) for row in connection.execute(QUERIES["gaps"], asked)]


def live_counts(connection: Connection) -> LiveCounts:
    """Return what operators watch, in one query."""
    row = connection.execute(QUERIES["live_counts"]).fetchone()
    if row is None:
        raise LookupError("a query of scalar subqueries always returns a row")
    return LiveCounts(row[0] or {}, *row[1:])


def _array(values: Sequence[str] | None) -> list[str] | None:
    return None if values is None else list(values)


def _id_of(connection: Connection, query: SQL, values: Mapping[str, object]) -> int | None:
    row = connection.execute(query, values).fetchone()
    return None if row is None else row[0]


def _duplicate(expected: str, got: str) -> Refused:
    return Refused(
        "duplicate_record", expected=expected, got=f"'{got}'", remedy="Use the record that exists, or another name."
    )
