"""Adoption over the wire: who sends unregistered, at which address, and for which asset it is to speak (SPEC E2)."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from api.register_schemas import DeviceShape, FeedId, FeedKey, Interval, NewAssetShape, TimePolicyName
from api.schemas import Asked, Key, Told, Word
from storage.adoption import UnknownDevice
from storage.quarantine import Address


class NativeAddress(Asked):
    """Where a device is heard on our own topics."""

    site: Word
    name: Word


class FeedAddress(Asked):
    """Where a device is heard on a feed."""

    feed_id: FeedId
    key: FeedKey


class AdoptBody(Asked):
    """Who is to be registered, and for which asset: one there is (``asset_id``) or a new one (``asset``).

    ``name`` is the device's name at the site; without it that of its address, or made of its key on the feed.
    """

    address: NativeAddress | FeedAddress
    asset_id: Key | None = None
    asset: NewAssetShape | None = None
    name: Word | None = None
    time_policy: TimePolicyName = "live"
    expected_interval_s: Interval | None = None

    @model_validator(mode="after")
    def _one_asset(self) -> Self:
        if (self.asset_id is None) == (self.asset is None):
            raise ValueError("expected either 'asset_id' or 'asset'")
        if isinstance(self.address, NativeAddress) and self.name not in (None, self.address.name):
            raise ValueError("expected no 'name' beside a native address, whose name it has to be")
        return self


class AdoptedShape(Told):
    """The device, and how many of the messages set aside will be tried again, within a second or two."""

    device: DeviceShape
    messages: int


class UnknownDevices(Told):
    """A page of devices that send and are not registered; the cursor is the id of the last."""

    items: list[UnknownDevice]
    next_cursor: str | None


def stored_address(address: NativeAddress | FeedAddress) -> Address:
    """Return the address as the repositories take it."""
    if isinstance(address, NativeAddress):
        return address.site, address.name
    return address.feed_id, address.key
