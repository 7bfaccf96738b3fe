"""Operating regimes of an asset type: under which loads its machines have another normal."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from psycopg import Connection

from api.boundary import BASE_PATH
from api.dependencies import ChangeRules, Database, Now, ReadDetection
from api.detection_schemas import NewRegimes, RegimesShape
from api.routes.answers import CHANGE_ANSWERS, RECORD_ANSWERS
from domain.refusals import Refused
from domain.regimes import OperatingRegimes
from storage import audit
from storage.regimes import read_regimes, save_regimes

router = APIRouter(prefix=BASE_PATH, tags=["detection"])
AssetType = Annotated[str, Path(max_length=64)]


@router.get("/asset-types/{asset_type}/operating-regimes", responses=RECORD_ANSWERS)
def show_regimes(caller: ReadDetection, database: Database, asset_type: AssetType) -> RegimesShape:
    """Return which metric tells the regime of these machines and where its range is cut."""
    with database.connection() as connection:
        return _shape(connection, asset_type)


@router.put("/asset-types/{asset_type}/operating-regimes", responses=CHANGE_ANSWERS)
def put_regimes(
    caller: ChangeRules, body: NewRegimes, database: Database, now: Now, asset_type: AssetType
) -> RegimesShape:
    """Tell regimes apart, or none; in force at once, at every site.

    With another metric or other edges, baselines by regime are learnt anew.
    """
    caller.require_every_site("an asset type is the same at every site", "Ask a planner of every site.")
    asked = body.regimes
    try:
        regimes = None if asked is None else OperatingRegimes(asked.metric, tuple(asked.edges), asked.settle_s)
    except ValueError as error:
        raise Refused(
            "invalid_regimes",
            expected="a metric, one to seven rising edges, and the seconds a change takes to settle",
            got=str(error),
            remedy="Correct the regimes.",
        ) from error
    with database.connection() as connection:
        audit.act_as(connection, caller.person.id, now, body.reason or "")
        save_regimes(connection, asset_type, regimes, now)
        return _shape(connection, asset_type)


def _shape(connection: Connection, asset_type: str) -> RegimesShape:
    stored = read_regimes(connection, asset_type)
    return RegimesShape(asset_type=asset_type, regimes=stored.regimes, updated_at=stored.updated_at)
