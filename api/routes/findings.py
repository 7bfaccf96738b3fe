"""Findings: what the detectors claim about an asset, with their evidence."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query
from psycopg import Connection

from api.boundary import BASE_PATH
from api.dependencies import Database, ReadDetection
from api.detection_schemas import EvidencePackShape, FindingDetail, Findings
from api.identity import Caller
from api.problems import unknown
from api.routes.answers import RECORD_ANSWERS
from api.routes.assets import visible_asset
from api.routes.paging import LIMIT_DEFAULT, Limit
from api.schemas import Key, SeriesKey
from storage.bearing_verdicts import verdicts_of
from storage.evidence_packs import EvidencePack, packs_of
from storage.findings import FindingOfRule, finding_of_id, recent_findings

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


@router.get("/findings/{finding_id}", responses=RECORD_ANSWERS)
def read_finding(finding_id: UUID, caller: ReadDetection, database: Database) -> FindingDetail:
    """Return a finding with its rule's version and parameters, and the evidence that was frozen with it."""
    with database.connection() as connection:
        found = _visible(connection, caller, finding_id)
        packs = packs_of(connection, finding_id)
        bearings = verdicts_of(connection, finding_id)
    return FindingDetail(
        finding=found.finding,
        rule=found.rule,
        rule_version=found.rule_version,
        rule_metric=found.rule_metric,
        rule_parameters=found.rule_parameters,
        rule_mode=found.rule_mode,
        packs=[_shape(pack) for pack in packs],
        bearings=bearings,
    )


@router.get("/findings/{finding_id}/packs/{series_id}", responses=RECORD_ANSWERS)
def read_evidence_pack(
    finding_id: UUID,
    series_id: Annotated[SeriesKey, Path(description="The series' id")],
    caller: ReadDetection,
    database: Database,
) -> EvidencePackShape:
    """Return one series as it was frozen with a finding, in the columns of a chart."""
    with database.connection() as connection:
        _visible(connection, caller, finding_id)
        packs = [pack for pack in packs_of(connection, finding_id) if pack.series_id == series_id]
    if not packs:
        raise unknown("evidence pack", series_id)
    return _shape(packs[0])


def _visible(connection: Connection, caller: Caller, finding_id: UUID) -> FindingOfRule:
    found = finding_of_id(connection, finding_id)
    if found is None or not caller.sees(found.site_id):
        raise unknown("finding", finding_id)
    return found


def _shape(pack: EvidencePack) -> EvidencePackShape:
    columns = pack.columns
    return EvidencePackShape(
        series_id=pack.series_id,
        metric=pack.metric,
        unit=pack.unit,
        start=pack.start,
        end=pack.end,
        ts=columns.ts,
        first=columns.first,
        min=columns.lowest,
        max=columns.highest,
        last=columns.last,
        raw=columns.raw,
        level=columns.level,
        frozen_at=pack.frozen_at,
        gaps=pack.gaps(),
    )
