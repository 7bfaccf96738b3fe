"""Equipment in the service's register: looked up over HTTP, and added where it is absent (SPEC E1, E2)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

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


@dataclass(frozen=True, slots=True)
class Login:
    """A device's user and secret at the broker."""

    username: str
    secret: str


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


def ensure_logins(client: ConsoleClient, known: Mapping[str, Registered], path: Path) -> dict[str, Login]:
    """Return a live credential of each device, by device name; those that are missing are issued.

    Secrets are shown once, so they are kept in the file ``path`` for the next run. Raises ApiRefusal.
    """
    kept: dict[str, Login] = {}
    if path.is_file():
        kept = {name: Login(*entry) for name, entry in json.loads(path.read_text(encoding="utf-8")).items()}
    logins = {name: _ensure_login(client, device.device_id, kept.get(name)) for name, device in known.items()}
    if logins != kept:
        _keep_logins(path, {**kept, **logins})
    return logins


def _ensure_login(client: ConsoleClient, device_id: int, kept: Login | None) -> Login:
    path = f"/devices/{device_id}/credentials"
    live = [item for item in client.items(path) if item.get("revoked_at") is None]
    if kept is not None and any(text(item, "username") == kept.username for item in live):
        return kept
    try:
        issued = client.post(path, {})
    except ApiRefusal as refusal:
        if refusal.name != "too_many_credentials":
            raise
        # Nobody knows the secrets of simulators whose folders are gone: the oldest makes room.
        client.delete(f"{path}/{min(whole(item, 'id') for item in live)}")
        issued = client.post(path, {})
    return Login(text(issued, "username"), text(issued, "secret"))


def _keep_logins(path: Path, logins: Mapping[str, Login]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump({name: [login.username, login.secret] for name, login in logins.items()}, stream)
    partial.replace(path)


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
