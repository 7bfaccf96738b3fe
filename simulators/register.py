"""Equipment in the service's register: looked up over HTTP, and added where it is absent (SPEC E1, E2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from simulators.console_client import ApiRefusal, ConsoleClient, Json, moment, objects, text, whole


@dataclass(frozen=True, slots=True)
class Equipment:
    """An asset and the one device that speaks for it. ``time_policy`` is live, or recorded for a replay."""

    tag: str
    name: str
    asset_type: str
    device: str
    expected_interval_s: float
    time_policy: str


@dataclass(frozen=True, slots=True)
class Registered:
    """What the service knows of the equipment. ``is_assessed`` says that no evidence waits to be judged.

    ``last_reading_at`` (equipment time) is None before the first reading.
    """

    asset_id: int
    device_id: int
    is_assessed: bool
    last_reading_at: datetime | None


def ensure_equipment(client: ConsoleClient, site: str, equipment: Sequence[Equipment]) -> dict[str, Registered]:
    """Register what is absent and return what the service knows, by device name. Raises ApiRefusal."""
    for each in equipment:
        asset = _asset_by_tag(client, site, each.tag)
        if asset is None:
            asset = _create(
                client,
                "/assets",
                {"site": site, "tag": each.tag, "name": each.name, "asset_type": each.asset_type},
            )
            asset = asset if asset is not None else _asset_by_tag(client, site, each.tag)
        if asset is None:
            raise LookupError(f"the service neither lists asset {each.tag} at {site} nor lets it be added")
        if not any(text(device, "name") == each.device for device in objects(asset, "devices")):
            _create(
                client,
                "/devices",
                {
                    "site": site,
                    "name": each.device,
                    "asset_id": whole(asset, "id"),
                    "time_policy": each.time_policy,
                    "expected_interval_s": each.expected_interval_s,
                },
            )
    return {each.device: _look_up(client, site, each) for each in equipment}


def last_sequence(client: ConsoleClient, device_id: int) -> int | None:
    """Return the newest sequence number that the service has from a device, None before the first."""
    sequence = client.get(f"/devices/{device_id}").get("last_sequence")
    return sequence if isinstance(sequence, int) else None


def registered(asset: Json, device_name: str) -> Registered:
    """Read an asset of the API. Raises LookupError if it has no such device."""
    for device in objects(asset, "devices"):
        if text(device, "name") == device_name:
            return Registered(
                whole(asset, "id"),
                whole(device, "id"),
                asset.get("assessed") is True,
                moment(device, "last_reading_at"),
            )
    raise LookupError(f"asset {asset.get('tag')} has no device {device_name}")


def _look_up(client: ConsoleClient, site: str, equipment: Equipment) -> Registered:
    asset = _asset_by_tag(client, site, equipment.tag)
    if asset is None:
        raise LookupError(f"asset {equipment.tag} is not registered at {site}")
    return registered(asset, equipment.device)


def _asset_by_tag(client: ConsoleClient, site: str, tag: str) -> Json | None:
    return next(iter(client.items("/assets", {"site": site, "tag": tag})), None)


def _create(client: ConsoleClient, path: str, body: Json) -> Json | None:
    """Add a record; None when another simulator was quicker."""
    try:
        return client.post(path, body)
    except ApiRefusal as refusal:
        if refusal.name == "duplicate_record":
            return None
        raise
