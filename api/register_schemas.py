"""The register over the wire: sites, areas, assets, devices, and messages that never came."""

from __future__ import annotations

import unicodedata
from datetime import date, datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, StringConstraints, model_validator

from api.schemas import Asked, Key, Latitude, Line, Longitude, LowWord, Moment, Tag, Told, Word
from storage.assets import AssetStatus, AssetType, Gap
from storage.components import Component
from storage.register_files import RegisterFileRow
from storage.register_import import ImportKind, RowChange

_CONTROL_OR_SURROGATE = ("Cc", "Cs")


def shown_text(value: str) -> str:
    """Return ``value``; raises ValueError when it has a character that neither a spreadsheet nor a label can show."""
    if any(unicodedata.category(letter) in _CONTROL_OR_SURROGATE or letter in "\ufffe\uffff" for letter in value):
        raise ValueError("expected text without control characters")
    return value


Text = Annotated[Line, AfterValidator(shown_text)]
FeedKey = Annotated[str, StringConstraints(min_length=1, max_length=256), AfterValidator(shown_text)]
FeedId = Annotated[int, Field(ge=1, le=2**31 - 1)]
Version = Annotated[int, Field(ge=1, le=2**31 - 1, description="The version that was read; another one is refused")]
Criticality = Annotated[int, Field(ge=1, le=5)]
Day = Annotated[date, Field(ge=date(1900, 1, 1), le=date(2199, 12, 31))]
Interval = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]
TimePolicyName = Literal["live", "recorded"]


class Changed(Asked):
    """A change: only the fields that are sent. ``version`` is the one that was read."""

    version: Version

    def sent(self) -> dict[str, object]:
        """Return the fields that were sent."""
        return {name: getattr(self, name) for name in self.model_fields_set - {"version"}}

    def _refuse_null(self, *names: str) -> None:
        empty = sorted(name for name in names if name in self.model_fields_set and getattr(self, name) is None)
        if empty:
            raise ValueError("expected a value, not null: " + ", ".join(empty))


class SiteShape(Told):
    """A site."""

    id: str
    name: str
    calendar_id: str
    latitude: float
    longitude: float
    version: int


class Sites(Told):
    """A page of sites."""

    items: list[SiteShape]
    next_cursor: str | None


class NewSite(Asked):
    """A site to add; the calendar must exist."""

    id: Word
    name: Text
    calendar_id: LowWord
    latitude: Latitude
    longitude: Longitude


class SiteChange(Changed):
    """What to change of a site."""

    name: Text | None = None
    calendar_id: LowWord | None = None
    latitude: Latitude | None = None
    longitude: Longitude | None = None

    @model_validator(mode="after")
    def _keeps_what_it_needs(self) -> Self:
        self._refuse_null("name", "calendar_id", "latitude", "longitude")
        return self


class AreaShape(Told):
    """A part of a site."""

    id: int
    site: str
    name: str
    version: int


class Areas(Told):
    """A page of areas."""

    items: list[AreaShape]
    next_cursor: str | None


class NewArea(Asked):
    """An area to add."""

    site: Word
    name: Text


class AreaChange(Changed):
    """Another name for an area."""

    name: Text


class AssetTypes(Told):
    """All classes of equipment."""

    items: list[AssetType]


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
    version: int
    site: str
    tag: str
    name: str
    asset_type: str
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
    created_at: datetime
    open_tickets: int
    assessed: bool
    devices: list[DeviceState]


class AssetDetail(AssetShape):
    """An asset with its components and when each was last fitted (equipment time)."""

    installed: dict[str, datetime]
    components: list[Component]


class Assets(Told):
    """A page of assets."""

    items: list[AssetShape]
    next_cursor: str | None


class NewAssetShape(Asked):
    """An asset to register. ``installed`` maps a component to when it was fitted (equipment time)."""

    site: Word
    asset_type: LowWord
    tag: Tag
    name: Text
    area: Text | None = None
    status: AssetStatus = AssetStatus.IN_SERVICE
    criticality: Criticality = 3
    serial_number: Text | None = None
    brand: Text | None = None
    model: Text | None = None
    batch: Text | None = None
    purchase_date: Day | None = None
    warranty_until: Day | None = None
    firmware: Text | None = None
    contract_number: Text | None = None
    location: Text | None = None
    latitude: Latitude | None = None
    longitude: Longitude | None = None
    requester_id: Key | None = None
    commissioned_at: Moment | None = None
    installed: Annotated[dict[LowWord, Moment], Field(max_length=50, default_factory=dict)]


class AssetChange(Changed):
    """What to change of an asset. Its site stays: an asset that moves to another site is registered there."""

    asset_type: LowWord | None = None
    tag: Tag | None = None
    name: Text | None = None
    area: Text | None = None
    status: AssetStatus | None = None
    criticality: Criticality | None = None
    serial_number: Text | None = None
    brand: Text | None = None
    model: Text | None = None
    batch: Text | None = None
    purchase_date: Day | None = None
    warranty_until: Day | None = None
    firmware: Text | None = None
    contract_number: Text | None = None
    location: Text | None = None
    latitude: Latitude | None = None
    longitude: Longitude | None = None
    requester_id: Key | None = None
    commissioned_at: Moment | None = None

    @model_validator(mode="after")
    def _keeps_what_it_needs(self) -> Self:
        self._refuse_null("asset_type", "tag", "name", "status", "criticality")
        return self


class ComponentBody(Asked):
    """The nameplate of a component. ``installed_at`` is added to the times it was fitted (equipment time)."""

    name: Text | None = None
    serial_number: Text | None = None
    brand: Text | None = None
    model: Text | None = None
    installed_at: Moment | None = None


class Components(Told):
    """All components of an asset."""

    items: list[Component]


class RegisterFiles(Told):
    """All files of an asset, oldest first."""

    items: list[RegisterFileRow]


class ChangeShape(Told):
    """A change: who, when, of what. ``before`` and ``after`` have what differs; null: it was not there."""

    id: int
    at: datetime
    person: str | None
    noun: str
    record_id: str
    before: dict[str, JsonValue] | None
    after: dict[str, JsonValue] | None


class Changes(Told):
    """A page of changes, newest first."""

    items: list[ChangeShape]
    next_cursor: str | None


class DeviceShape(Told):
    """A registered device and what was last heard of it.

    With ``feed_id`` it is heard on that feed, where it is called ``feed_key``. ``clock_ahead_s``: how far its clock is
    ahead of ours, estimated. ``missing_messages`` never came, by the jumps of its counter.
    """

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
    feed_id: int | None
    feed_key: str | None
    clock_ahead_s: float | None
    clock_seen_at: datetime | None
    missing_messages: int
    version: int


class Devices(Told):
    """A page of devices."""

    items: list[DeviceShape]
    next_cursor: str | None


class NewDevice(Asked):
    """A device to register. ``recorded`` accepts any past time: for replays and imports.

    ``feed_id`` and ``feed_key`` bind it to a feed, where the dialect calls it ``feed_key``; without them it is heard on
    its own topics.
    """

    site: Word
    name: Word
    asset_id: Key
    time_policy: TimePolicyName = "live"
    expected_interval_s: Interval | None = None
    feed_id: FeedId | None = None
    feed_key: FeedKey | None = None

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.feed_id is None) != (self.feed_key is None):
            raise ValueError("expected both of 'feed_id' and 'feed_key', or neither")
        return self


class DeviceChange(Changed):
    """What to change of a device. Its site and name stay: they are its address."""

    asset_id: Key | None = None
    time_policy: TimePolicyName | None = None
    expected_interval_s: Interval | None = None
    feed_id: FeedId | None = None
    feed_key: FeedKey | None = None

    @model_validator(mode="after")
    def _keeps_what_it_needs(self) -> Self:
        self._refuse_null("asset_id", "time_policy")
        if (self.feed_id is None) != (self.feed_key is None):
            raise ValueError("expected both of 'feed_id' and 'feed_key', or neither")
        return self


class Gaps(Told):
    """A page of gaps, newest first."""

    items: list[Gap]
    next_cursor: str | None


class ImportReport(Told):
    """What an import did, or with ``dry_run`` would do; ``changes`` has the first hundred rows that do something."""

    kind: ImportKind
    dry_run: bool
    rows: int
    created: int
    changed: int
    unchanged: int
    changes: list[RowChange]
