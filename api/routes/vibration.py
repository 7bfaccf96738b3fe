"""Vibration of an asset: severity zones by measuring point, and the bearing part that the newest block names (D4)."""

from __future__ import annotations

from fastapi import APIRouter

from api.boundary import BASE_PATH
from api.dependencies import ChangeRegister, Database, Now, ReadSignals
from api.routes.answers import CHANGE_ANSWERS, RECORD_ANSWERS
from api.routes.assets import AssetKey, visible_asset
from api.vibration_schemas import PointShape, SeverityClassBody, VibrationShape
from detectors.severity_zones import BORDERS_MM_S
from storage import audit
from storage.severity_classes import ASSUMED, SeverityClass, put_severity_class, severity_class
from storage.vibration import MeasuringPoint, measuring_points

router = APIRouter(prefix=BASE_PATH, tags=["signals"])


@router.get("/assets/{asset_id}/vibration", responses=RECORD_ANSWERS)
def read_vibration(asset_id: AssetKey, caller: ReadSignals, database: Database, now: Now) -> VibrationShape:
    """Return each measuring point with its severity zone and what its bearing's envelope says."""
    with database.connection() as connection:
        visible_asset(connection, caller, asset_id)
        told = severity_class(connection, asset_id)
        judged_by = told or ASSUMED
        points = measuring_points(connection, asset_id, judged_by, now)
    return VibrationShape(
        group=judged_by.group,
        foundation=judged_by.foundation,
        is_assumed=told is None,
        borders_mm_s=BORDERS_MM_S[judged_by.group, judged_by.foundation],
        items=[_shape(point) for point in points],
    )


@router.put("/assets/{asset_id}/severity-class", responses=CHANGE_ANSWERS)
def change_severity_class(
    asset_id: AssetKey, caller: ChangeRegister, body: SeverityClassBody, database: Database, now: Now
) -> SeverityClassBody:
    """Say by which borders of ISO 20816-3 the asset's vibration velocity is judged."""
    with database.connection() as connection:
        visible_asset(connection, caller, asset_id)
        audit.act_as(connection, caller.person.id, now)
        put_severity_class(connection, asset_id, SeverityClass(body.group, body.foundation))
    return body


def _shape(point: MeasuringPoint) -> PointShape:
    velocity, severity = point.velocity, point.severity
    return PointShape(
        metric=point.metric,
        velocity_mm_s=None if velocity is None else velocity.last_value,
        measured_at=None if velocity is None else velocity.last_at,
        zone=None if severity is None else severity.zone,
        next_zone_from_mm_s=None if severity is None else severity.next_mm_s,
        highest_mm_s=point.highest_mm_s,
        highest_zone=None if point.highest_severity is None else point.highest_severity.zone,
        bearing=None if point.bearing is None else point.bearing.component,
        waveform_id=None if point.block is None else point.block.row.id,
        verdict=point.verdict,
    )
