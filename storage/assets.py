"""The register: assets with their components, the devices that speak for them, and what operators count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from enum import StrEnum
from types import MappingProxyType

from psycopg import Connection
from psycopg.sql import SQL

from domain.refusals import Refused
from storage.queries import load
from storage.sites import check_version, duplicate

QUERIES = load("assets")

NOTHING_FITTED: Mapping[str, datetime] = MappingProxyType({})


class AssetStatus(StrEnum):
    """Whether an asset is worked with."""

    IN_SERVICE = "in_service"
    DECOMMISSIONED = "decommissioned"


@dataclass(frozen=True, slots=True)
class AssetType:
    """A class of equipment: what failure modes and rules are written for."""

    id: str
    name_en: str
    name_zh: str


@dataclass(frozen=True, slots=True)
class AssetFacts:
    """What people say of an asset. Position in degrees (WGS84); ``commissioned_at`` is equipment time."""

    site_id: str
    tag: str
    name: str
    asset_type_id: str
    area: str | None
    status: AssetStatus
    criticality: int
    serial_number: str | None
    brand: str | None
    model: str | None
    batch: str | None
    purchase_date: date | None
    warranty_until: date | None
    firmware: str | None
    contract_number: str | None
    location: str | None
    latitude: float | None
    longitude: float | None
    requester_id: int | None
    commissioned_at: datetime | None


@dataclass(frozen=True, slots=True)
class Asset(AssetFacts):
    """A registered asset. ``assessed`` is true when neither readings nor evidence of it wait to be judged."""

    id: int
    version: int
    created_at: datetime
    open_tickets: int
    assessed: bool

    def facts(self) -> AssetFacts:
        """Return what people said of it."""
        return AssetFacts(**{field.name: getattr(self, field.name) for field in fields(AssetFacts)})


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What people say of a device. Its address is (site, name), or where it has them (feed, key)."""

    site_id: str
    name: str
    asset_id: int
    time_policy: str
    expected_interval_s: float | None
    feed_id: int | None = None
    feed_key: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A registered device and what was last heard of it; ``last_reading_at`` is equipment time.

    ``clock_ahead_s``: how far its clock is ahead of ours. ``missing_messages`` never came, by the jumps of its counter.
    """

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
    feed_id: int | None
    feed_key: str | None
    clock_ahead_s: float | None
    clock_seen_at: datetime | None
    missing_messages: int
    version: int

    def facts(self) -> DeviceFacts:
        """Return what people said of it."""
        return DeviceFacts(**{field.name: getattr(self, field.name) for field in fields(DeviceFacts)})


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


def list_asset_types(connection: Connection) -> list[AssetType]:
    """Return every asset type."""
    return [AssetType(*row) for row in connection.execute(QUERIES["asset_types"])]


def list_assets(
    connection: Connection,
    *,
    sites: Sequence[str] | None,
    asset_id: int | None = None,
    asset_ids: Sequence[int] | None = None,
    site: str | None = None,
    tag: str | None = None,
    name: str | None = None,
    asset_type: str | None = None,
    status: AssetStatus | None = None,
    after: int = 0,
    limit: int = 50,
) -> list[Asset]:
    """Return assets with ids above ``after`` that match every filter given."""
    asked = {
        "sites": _array(sites),
        "id": asset_id,
        "ids": None if asset_ids is None else list(asset_ids),
        "site": site,
        "tag": tag,
        "name": name,
        "asset_type": asset_type,
        "status": None if status is None else status.value,
        "after": after,
        "limit": limit,
    }
    return [Asset(*row) for row in connection.execute(QUERIES["assets"], asked)]


def site_of_asset(connection: Connection, asset_id: int) -> str | None:
    """Return the site of an asset, None when there is no such asset."""
    row = connection.execute(QUERIES["site_of_asset"], {"id": asset_id}).fetchone()
    return None if row is None else row[0]


def site_of_feed(connection: Connection, feed_id: int) -> str | None:
    """Return the site of a feed, None when there is no such feed."""
    row = connection.execute(QUERIES["site_of_feed"], {"id": feed_id}).fetchone()
    return None if row is None else row[0]


def create_asset(
    connection: Connection, facts: AssetFacts, now: datetime, installed: Mapping[str, datetime] = NOTHING_FITTED
) -> int:
    """Register an asset and return its id; a tag that is taken at the site is refused as ``duplicate_record``.

    ``installed`` maps a component to when it was fitted (equipment time).
    """
    asset_id = _id_of(connection, QUERIES["insert_asset"], {**asset_values(connection, facts), "now": now})
    if asset_id is None:
        raise duplicate("a tag that is free at the site", f"{facts.site_id}/{facts.tag}")
    for component, installed_at in installed.items():
        fitted = {"asset_id": asset_id, "component": component, "installed_at": installed_at}
        connection.execute(QUERIES["insert_installation"], fitted)
    return asset_id


def hold_asset(connection: Connection, asset_id: int) -> None:
    """Keep others from changing an asset until the transaction ends."""
    connection.execute(QUERIES["hold_asset"], {"id": asset_id})


def change_asset(connection: Connection, asset: Asset, facts: AssetFacts, version: int) -> None:
    """Store ``facts`` as the next version of an asset that was read after ``hold_asset``.

    Refused when the caller read another ``version``, and when the tag is taken.
    """
    check_version("asset", version, asset.version)
    values = {**asset_values(connection, facts), "id": asset.id, "version": version}
    connection.execute(QUERIES["update_asset"], values)


def asset_values(connection: Connection, facts: AssetFacts) -> dict[str, object]:
    """Return the columns of an asset; its area is made when it is new."""
    area_id = None
    if facts.area is not None:
        area_id = _id_of(connection, QUERIES["ensure_area"], {"site_id": facts.site_id, "name": facts.area})
    columns = {field.name: getattr(facts, field.name) for field in fields(AssetFacts) if field.name != "area"}
    return {**columns, "area_id": area_id}


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
    feed_id: int | None = None,
    feed_key: str | None = None,
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
        "feed_id": feed_id,
        "feed_key": feed_key,
        "after": after,
        "limit": limit,
    }
    return [DeviceRow(*row) for row in connection.execute(QUERIES["devices"], asked)]


def register_device(connection: Connection, facts: DeviceFacts, now: datetime) -> int:
    """Register a device and return its id; an address that is taken is refused as ``duplicate_record``.

    Refused as ``wrong_site`` when its asset or its feed belongs to another site.
    """
    _check_site(connection, facts)
    device_id = _id_of(connection, QUERIES["insert_device"], {**device_values(facts), "now": now})
    if device_id is None:
        taken = f"{facts.site_id}/{facts.name}" + ("" if facts.feed_id is None else f", {facts.feed_key} on its feed")
        raise duplicate("a device name that is free at the site, and an address that is free on its feed", taken)
    return device_id


def hold_device(connection: Connection, device_id: int) -> None:
    """Keep others from changing a device until the transaction ends; ingest waits for it too."""
    connection.execute(QUERIES["hold_device"], {"id": device_id})


def change_device(connection: Connection, device: DeviceRow, facts: DeviceFacts, version: int) -> None:
    """Store ``facts`` as the next version of a device that was read after ``hold_device``."""
    check_version("device", version, device.version)
    _check_site(connection, facts)
    connection.execute(QUERIES["update_device"], {**device_values(facts), "id": device.id, "version": version})


def device_values(facts: DeviceFacts) -> dict[str, object]:
    """Return the columns of a device."""
    return {field.name: getattr(facts, field.name) for field in fields(DeviceFacts)}


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


def _check_site(connection: Connection, facts: DeviceFacts) -> None:
    places = {"asset": site_of_asset(connection, facts.asset_id)}
    if facts.feed_id is not None:
        places["feed"] = site_of_feed(connection, facts.feed_id)
    for noun, site_id in places.items():
        if site_id is None:
            key = facts.asset_id if noun == "asset" else facts.feed_id
            raise Refused(
                "unknown_record", expected=f"a known {noun}", got=f"'{key}'", remedy="Look it up in its list."
            )
        if site_id != facts.site_id:
            raise Refused(
                "wrong_site",
                expected=f"an asset and a feed at the device's site, '{facts.site_id}'",
                got=f"the {noun} at '{site_id}'",
                remedy="A device, its asset and its feed are at one site: choose them there.",
            )
