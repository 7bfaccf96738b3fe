"""The register over the wire: sites, assets, devices, and messages that never came."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from api.schemas import Asked, Key, Latitude, Line, Longitude, LowWord, Moment, Tag, Told, Word


class SiteShape(Told):
    """A site."""

    id: str
    name: str
    calendar_id: str
    latitude: float
    longitude: float


class Sites(Told):
    """A page of sites."""

    items: list[SiteShape]
    next_cursor: str | None


class NewSite(Asked):
    """A site to add; the calendar must exist."""

    id: Word
    name: Line
    calendar_id: LowWord
    latitude: Latitude
    longitude: Longitude


class AssetTypeShape(Told):
    """A class of equipment."""

    id: str
    name_en: str
    name_zh: str


class AssetTypes(Told):
    """All classes of equipment."""

    items: list[AssetTypeShape]


class DeviceState(Told):
    """A device as its asset shows it. ``last_reading_at`` is equipment time: how far ingest has come."""

    id: int
    name: str
    online: bool | None
    last_seen_at: datetime | None
    last_reading_at: datetime | None
    last_sequence: int | None


class AssetShape(Told):
    """An asset. ``assessed``: no evidence of it waits to be judged."""

    id: int
    site: str
    tag: str
    name: str
    asset_type: str
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
    devices: list[DeviceState]


class AssetDetail(AssetShape):
    """An asset with when its components were last fitted (equipment time)."""

    installed: dict[str, datetime]


class Assets(Told):
    """A page of assets."""

    items: list[AssetShape]
    next_cursor: str | None


class NewAssetShape(Asked):
    """An asset to register. ``installed`` maps a component to when it was fitted (equipment time)."""

    site: Word
    asset_type: LowWord
    tag: Tag
    name: Line
    area: Line | None = None
    serial_number: Line | None = None
    criticality: Annotated[int, Field(ge=1, le=5)] = 3
    latitude: Latitude | None = None
    longitude: Longitude | None = None
    requester_id: Key | None = None
    commissioned_at: Moment | None = None
    installed: Annotated[dict[LowWord, Moment], Field(max_length=50, default_factory=dict)]


class DeviceShape(Told):
    """A registered device and what was last heard of it."""

    id: int
    site: str
    name: str
    asset_id: int
    time_policy: str
    expected_interval_s: float | None
    online: bool | None
    last_seen_at: datetime | None
    last_reading_at: datetime | None
    last_sequence: int | None
    created_at: datetime


class Devices(Told):
    """A page of devices."""

    items: list[DeviceShape]
    next_cursor: str | None


class NewDevice(Asked):
    """A device to register. ``recorded`` accepts any past time: for replays and imports."""

    site: Word
    name: Word
    asset_id: Key
    time_policy: Literal["live", "recorded"] = "live"
    expected_interval_s: Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)] | None = None


class GapShape(Told):
    """Messages that never came."""

    id: int
    after_sequence: int
    before_sequence: int
    missing: int
    seen_at: datetime


class Gaps(Told):
    """A page of gaps, newest first."""

    items: list[GapShape]
    next_cursor: str | None
