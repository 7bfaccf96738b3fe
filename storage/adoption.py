"""Unknown devices: who sends without being registered, and their adoption with the data that waits (SPEC E2)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection

from storage import assets, quarantine
from storage.assets import DeviceFacts, DeviceRow
from storage.quarantine import Address
from storage.queries import load
from storage.sites import duplicate

QUERIES = load("adoption")


@dataclass(frozen=True, slots=True)
class UnknownDevice:
    """Somebody who sends and is not registered. ``id`` is that of the first message; ``topic`` that of the newest.

    On our own topics the address is (site, name), on a feed (feed_id, name).
    """

    id: int
    site: str | None
    feed_id: int | None
    feed: str | None
    name: str
    messages: int
    first_at: datetime
    last_at: datetime
    topic: str


@dataclass(frozen=True, slots=True)
class Adopted:
    """A device that speaks for an asset now, and how many of its messages will be tried again."""

    device: DeviceRow
    is_new: bool
    messages: int


def unknown_devices(
    connection: Connection,
    *,
    sites: Collection[str] | None,
    site: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[UnknownDevice]:
    """Return who sends unregistered, whoever came last first, with ids below ``before``."""
    asked = {"sites": None if sites is None else list(sites), "site": site, "before": before, "limit": limit}
    return [UnknownDevice(*row) for row in connection.execute(QUERIES["unknown_devices"], asked)]


def begin(connection: Connection) -> None:
    """Wait until no message is being set aside, and keep new ones waiting until this transaction ends.

    Call it before anything else of an adoption: a message set aside meanwhile would belong to neither side.
    """
    connection.execute(QUERIES["begin_adoption"])


def device_at(connection: Connection, address: Address) -> DeviceRow | None:
    """Return the device that is registered at an address."""
    place, name = address
    if isinstance(place, int):
        found = assets.list_devices(connection, sites=None, feed_id=place, feed_key=name, limit=1)
    else:
        found = assets.list_devices(connection, sites=None, site=place, name=name, limit=1)
        # What speaks on a feed is not heard on our own topics, whatever its name.
        found = [device for device in found if device.feed_id is None]
    return found[0] if found else None


def adopt(connection: Connection, address: Address, facts: DeviceFacts, now: datetime) -> Adopted:
    """Register the device of an address, unless it is, and have the messages that wait for it tried again.

    A device that speaks for another asset already is refused as ``duplicate_record``.
    """
    present = device_at(connection, address)
    if present is not None and present.asset_id != facts.asset_id:
        raise duplicate(f"a device of asset {facts.asset_id}, or none yet", f"{present.name} of {present.asset_id}")
    if present is None:
        assets.register_device(connection, facts, now)
    messages = quarantine.request_replay(connection, now, reason=quarantine.UNKNOWN_DEVICE, address=address)
    device = present or device_at(connection, address)
    if device is None:
        raise LookupError("a device that was just registered is there")
    return Adopted(device, present is None, messages)
