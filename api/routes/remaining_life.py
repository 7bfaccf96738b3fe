"""Remaining life: how long an asset has left before each of its failure modes, as an interval (SPEC D5)."""

from __future__ import annotations

from fastapi import APIRouter
from psycopg import Connection

from api.boundary import BASE_PATH
from api.dependencies import Database, ReadDetection
from api.life_schemas import ModeLife, NotKnown, RemainingLives
from api.routes.answers import RECORD_ANSWERS
from api.routes.assets import AssetKey, visible_asset
from detectors.similarity import LEAST_RUNS
from storage.remaining_life import LifeOfMode, learning_of_mode, lives_of_asset, runs_to_failure

router = APIRouter(prefix=BASE_PATH, tags=["detection"])


@router.get("/assets/{asset_id}/remaining-life", responses=RECORD_ANSWERS)
def read_remaining_life(asset_id: AssetKey, caller: ReadDetection, database: Database) -> RemainingLives:
    """Return the time left before each failure mode of an asset; hours count from ``as_of``, the equipment's time."""
    with database.connection() as connection:
        visible_asset(connection, caller, asset_id)
        items = [_told(connection, mode) for mode in lives_of_asset(connection, asset_id)]
    return RemainingLives(items=items, next_cursor=None)


def _told(connection: Connection, mode: LifeOfMode) -> ModeLife:
    runs = len(runs_to_failure(connection, mode.mode_id, LEAST_RUNS))
    learnt = learning_of_mode(connection, mode.mode_id)
    if runs < LEAST_RUNS:
        reason = NotKnown.TOO_FEW_RUNS
    elif learnt is not None and learnt.left_out and learnt.used == 0:
        reason = NotKnown.TOO_FEW_USABLE
    else:
        reason = NotKnown.NOT_TOLD_YET
    return ModeLife(
        failure_mode=mode.code,
        failure_mode_en=mode.name_en,
        failure_mode_zh=mode.name_zh,
        life=mode.life,
        not_known=None if mode.life is not None else reason,
        runs=runs,
        runs_needed=LEAST_RUNS,
        learnt=learnt,
    )
