"""Bearings of assets: fault orders by the accelerometer that hears them, and the geometry they came from (SPEC D4)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime

from psycopg import Connection, errors

from detectors.bearings import BearingGeometry, FaultOrders, FittedBearing
from storage.queries import load
from storage.sites import duplicate

QUERIES = load("bearings")


@dataclass(frozen=True, slots=True)
class Bearing:
    """A component that is a rolling bearing, heard in the waveforms of ``metric``.

    ``speed_rpm`` is the shaft's usual speed, for blocks that do not tell it; ``geometry`` is None where the orders
    were given as such. ``designation`` is the maker's name for it, as 6308.
    """

    component: str
    metric: str
    orders: FaultOrders
    speed_rpm: float | None
    geometry: BearingGeometry | None
    designation: str | None = None


def list_bearings(connection: Connection, asset_id: int) -> list[Bearing]:
    """Return the bearings of an asset in the order of their components."""
    rows = connection.execute(QUERIES["bearings_of_asset"], {"asset_id": asset_id}).fetchall()
    return [
        Bearing(
            row[0],
            row[1],
            FaultOrders(*row[2:6]),
            row[6],
            None if row[7] is None else BearingGeometry(*row[7:11]),
            designation=row[11],
        )
        for row in rows
    ]


def put_bearing(connection: Connection, asset_id: int, bearing: Bearing, now: datetime) -> None:
    """Add a bearing or replace what is known of it; its component is made if it is missing.

    With other orders or another usual speed, ratios from before ``now`` say nothing of it any more.

    Raises Refused("duplicate_record") when another bearing of the asset is heard in the same metric.
    """
    geometry = bearing.geometry
    values = {
        "asset_id": asset_id,
        "component": bearing.component,
        "metric": bearing.metric,
        "speed_rpm": bearing.speed_rpm,
        "designation": bearing.designation,
        "now": now,
        **asdict(bearing.orders),
        "elements": None if geometry is None else geometry.elements,
        "ball_diameter_mm": None if geometry is None else geometry.ball_diameter_mm,
        "pitch_diameter_mm": None if geometry is None else geometry.pitch_diameter_mm,
        "contact_angle_deg": None if geometry is None else geometry.contact_angle_deg,
    }
    connection.execute(QUERIES["ensure_component"], values)
    try:
        connection.execute(QUERIES["put_bearing"], values)
    except errors.UniqueViolation as clash:
        raise duplicate("one bearing for each accelerometer", f"a second one heard in '{bearing.metric}'") from clash


def remove_bearing(connection: Connection, asset_id: int, component: str) -> bool:
    """Forget the inside of a bearing and return whether it was known; its component stays."""
    values = {"asset_id": asset_id, "component": component}
    return connection.execute(QUERIES["remove_bearing"], values).rowcount > 0


def fitted_bearings(connection: Connection, asset_ids: Collection[int]) -> dict[int, dict[str, FittedBearing]]:
    """Return by asset and waveform metric the bearing that is heard there; assets without one are left out."""
    found: dict[int, dict[str, FittedBearing]] = {}
    for row in connection.execute(QUERIES["fitted_bearings"], {"asset_ids": list(asset_ids)}):
        found.setdefault(row[0], {})[row[1]] = FittedBearing(FaultOrders(*row[2:6]), row[6])
    return found
