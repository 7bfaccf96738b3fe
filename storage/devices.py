"""Devices as ingest sees them: who they are, their series, their presence and the gaps in what they sent."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from psycopg import Connection

from storage.queries import load

QUERIES = load("devices")

# (site, device name) on the native topics; (feed id, the dialect's own name of the device) on a feed.
Address = tuple[str, str] | tuple[int, str]


class TimePolicy(StrEnum):
    """Which times a device may send: near now, or any past time (a replay or an import)."""

    LIVE = "live"
    RECORDED = "recorded"


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """A registered device. ``expected_interval_s`` is None where silence means nothing.

    ``feed_id`` and ``feed_key`` are its address on a feed, both None for a device of the native topics.
    ``sequences_ahead`` are numbers that came by the alarms' lane before the telemetry in front of them.
    """

    id: int
    site: str
    name: str
    asset_id: int
    asset_type: str
    time_policy: TimePolicy
    expected_interval_s: float | None
    last_sequence: int | None
    last_reading_at: datetime | None
    feed_id: int | None
    feed_key: str | None
    sequences_ahead: tuple[int, ...]

    @property
    def address(self) -> Address:
        """Where this device speaks: on its feed if it has one, else on the native topics."""
        return (
            (self.site, self.name) if self.feed_id is None or self.feed_key is None else (self.feed_id, self.feed_key)
        )


@dataclass(frozen=True, slots=True)
class Heard:
    """What one batch told about a device; None where it told nothing. ``held``: its readings wait to be judged.

    ``clock_ahead_s`` is a new estimate of how many seconds its clock is ahead of ours.
    """

    device_id: int
    seen_at: datetime | None
    reading_at: datetime | None
    last_sequence: int | None
    online: bool | None
    held: bool
    sequences_ahead: Collection[int] | None = None
    clock_ahead_s: float | None = None


@dataclass(frozen=True, slots=True, order=True)
class SequenceGap:
    """The sequence numbers strictly between ``after`` and ``before`` did not arrive."""

    device_id: int
    after: int
    before: int


def all_devices(connection: Connection) -> list[DeviceRecord]:
    """Return every registered device."""
    return _devices(connection, None)


def find_devices(connection: Connection, addresses: Collection[Address]) -> list[DeviceRecord]:
    """Return the devices at those of these addresses that are registered, native and on feeds."""
    native = [(site, name) for site, name in addresses if isinstance(site, str)]
    on_feeds = [(feed, key) for feed, key in addresses if isinstance(feed, int)]
    asked = {
        "site_ids": [site for site, _ in native],
        "names": [name for _, name in native],
        "feed_ids": [feed for feed, _ in on_feeds],
        "feed_keys": [_text(key) for _, key in on_feeds],
    }
    found = [int(row[0]) for row in connection.execute(QUERIES["devices_at"], asked).fetchall()]
    return _devices(connection, found) if found else []


def read_devices(connection: Connection, device_ids: Collection[int]) -> list[DeviceRecord]:
    """Return these devices as they are stored now."""
    return _devices(connection, list(device_ids))


def newest_events_of(connection: Connection, device_ids: Collection[int]) -> dict[int, datetime]:
    """Return the time of the newest event of each of these devices that has any."""
    rows = connection.execute(QUERIES["newest_events_of_devices"], {"device_ids": list(device_ids)}).fetchall()
    return {int(device_id): at for device_id, at in rows if at is not None}


def series_of(connection: Connection, device_ids: Collection[int]) -> list[tuple[int, str, int]]:
    """Return (device id, metric, series id) for every series of these devices."""
    return connection.execute(QUERIES["series_of_devices"], {"device_ids": list(device_ids)}).fetchall()


def create_series(connection: Connection, wanted: Collection[tuple[int, str]], now: datetime) -> None:
    """Make the series of these (device id, metric) where they are missing."""
    values = {"device_ids": [device for device, _ in wanted], "metrics": [metric for _, metric in wanted], "now": now}
    connection.execute(QUERIES["create_series"], values)


def anchors_of(connection: Connection, asset_ids: Collection[int]) -> list[tuple[int, str, int]]:
    """Return (asset id, metric, microseconds since 1970) of the newest anchors of these assets."""
    return connection.execute(QUERIES["anchors_of_assets"], {"asset_ids": list(asset_ids)}).fetchall()


def record_presence(connection: Connection, heard: Sequence[Heard]) -> None:
    """Note what a batch told about its devices. Times only grow; what is None stays as it was."""
    if not heard:
        return
    ordered = sorted(heard, key=lambda one: one.device_id)
    connection.execute(
        QUERIES["record_presence"],
        {
            "device_ids": [one.device_id for one in ordered],
            "seen_at": [one.seen_at for one in ordered],
            "reading_at": [one.reading_at for one in ordered],
            "last_sequences": [one.last_sequence for one in ordered],
            "online": [one.online for one in ordered],
            "held": [one.held for one in ordered],
            # Arrays of arrays must be of equal length, so each of these goes as text.
            "sequences_ahead": [
                None if one.sequences_ahead is None else f"{{{','.join(map(str, sorted(one.sequences_ahead)))}}}"
                for one in ordered
            ],
            "clock_ahead_s": [one.clock_ahead_s for one in ordered],
        },
    )


def release_devices(connection: Connection, device_ids: Collection[int]) -> None:
    """Note that the detectors have seen all that is stored of these devices."""
    if device_ids:
        connection.execute(QUERIES["release_devices"], {"device_ids": list(device_ids)})


def gaps_of(connection: Connection, device_ids: Collection[int], limit: int) -> list[SequenceGap]:
    """Return the newest ``limit`` gaps of each of these devices, oldest first."""
    rows = connection.execute(QUERIES["gaps_of_devices"], {"device_ids": list(device_ids), "limit": limit})
    return [SequenceGap(*row) for row in rows.fetchall()]


def change_gaps(
    connection: Connection, removed: Collection[SequenceGap], added: Collection[SequenceGap], now: datetime
) -> None:
    """Forget gaps that were filled and report those that were seen; a gap filled in part is one removed, two added."""
    if removed:
        connection.execute(QUERIES["remove_gaps"], _columns(removed))
    if added:
        connection.execute(QUERIES["insert_gaps"], {**_columns(added), "now": now})


def listen_for_registration(connection: Connection) -> None:
    """Have this connection told when devices, assets or rules change."""
    connection.execute(QUERIES["listen"])


def _devices(connection: Connection, ids: list[int] | None) -> list[DeviceRecord]:
    rows = connection.execute(QUERIES["devices"], {"ids": ids}).fetchall()
    return [
        DeviceRecord(
            id_, site, name, asset, kind, TimePolicy(policy), interval, sequence, reading, feed, key, tuple(ahead)
        )
        for id_, site, name, asset, kind, policy, interval, sequence, reading, feed, key, ahead in rows
    ]


def _text(key: str) -> str:
    # A key is the sender's own word; PostgreSQL's text takes no NUL and no lone surrogate, and no device is called so.
    return key.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _columns(gaps: Collection[SequenceGap]) -> dict[str, object]:
    ordered = sorted(gaps)
    return {
        "device_ids": [gap.device_id for gap in ordered],
        "after": [gap.after for gap in ordered],
        "before": [gap.before for gap in ordered],
    }
