"""Findings: what the detectors claim about an asset, with their evidence."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.boundary import BASE_PATH
from api.dependencies import Database, ReadDetection
from api.detection_schemas import Findings
from api.routes.answers import RECORD_ANSWERS
from api.routes.assets import visible_asset
from api.routes.paging import LIMIT_DEFAULT, Limit
from api.schemas import Key
from storage.findings import recent_findings

router = APIRouter(prefix=BASE_PATH, tags=["detection"])


@router.get("/findings", responses=RECORD_ANSWERS)
def list_findings(
    asset: Annotated[Key, Query(description="The asset's id")],
    caller: ReadDetection,
    database: Database,
    limit: Limit = LIMIT_DEFAULT,
) -> Findings:
    """Return the newest findings of an asset; their times are on the equipment's clock."""
    with database.connection() as connection:
        visible_asset(connection, caller, asset)
        rows = recent_findings(connection, asset_id=asset, limit=limit)
    return Findings(items=rows, next_cursor=None)
