"""Remaining life in the database: past runs to failure, what live assets have run, and what was told (SPEC D5)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection
from psycopg.types.json import Jsonb

from domain.remaining_life import LeftOut, LifeMethod, RemainingLife, RunsLearnt
from storage.queries import load

QUERIES = load("remaining_life")


@dataclass(frozen=True, slots=True)
class PartLife:
    """The life of a part of an asset, from when it was fitted to its failure, or so far (equipment time)."""

    asset_id: int
    began_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class LifeOfMode:
    """A failure mode that an asset may have, and the time left before it; ``life`` None where it is not known."""

    mode_id: int
    code: str
    name_en: str
    name_zh: str
    life: RemainingLife | None


def runs_to_failure(connection: Connection, failure_mode_id: int, limit: int) -> list[PartLife]:
    """Return the newest runs that ended in a repair of this mode, at most ``limit``, newest first.

    A run begins when the mode's component was fitted. It ends when it was replaced after the evidence of the ticket
    came, or else when the ticket's work was finished.
    """
    asked = {"failure_mode_id": failure_mode_id, "limit": limit}
    return [PartLife(*row) for row in connection.execute(QUERIES["runs_to_failure"], asked)]


def parts_in_service(connection: Connection, failure_mode_id: int) -> list[PartLife]:
    """Return the lives so far of the mode's component in every asset in service that has told when it was fitted."""
    return [
        PartLife(*row) for row in connection.execute(QUERIES["parts_in_service"], {"failure_mode_id": failure_mode_id})
    ]


def steps(connection: Connection, part: PartLife, step: timedelta) -> dict[str, NDArray[np.float64]]:
    """Return the means of the asset's metrics over a part's life in equal steps; NaN where nothing was measured.

    Read from whole hours, so ``step`` is a multiple of an hour. All arrays have as many steps as the life has begun.
    """
    count = -(-(part.ended_at - part.began_at) // step)
    told: defaultdict[str, NDArray[np.float64]] = defaultdict(lambda: np.full(count, np.nan))
    asked = {
        "asset_id": part.asset_id,
        "from": part.began_at,
        "to": part.ended_at,
        "step_s": step.total_seconds(),
    }
    for metric, place, mean in connection.execute(QUERIES["steps"], asked):
        told[metric][place] = mean
    return dict(told)


def replace_lives(
    connection: Connection, failure_mode_id: int, lives: Mapping[int, RemainingLife], now: datetime
) -> None:
    """Store the time left of each asset, by id, before a failure mode, in place of all that was told of it."""
    connection.execute(QUERIES["forget_lives"], {"failure_mode_id": failure_mode_id})
    with connection.cursor() as cursor:
        cursor.executemany(QUERIES["tell_life"], list(_rows(failure_mode_id, lives, now)))


def _rows(failure_mode_id: int, lives: Mapping[int, RemainingLife], now: datetime) -> Iterable[dict[str, object]]:
    for asset_id, life in lives.items():
        yield {
            "asset_id": asset_id,
            "failure_mode_id": failure_mode_id,
            "as_of": life.as_of,
            "low_h": life.low_h,
            "middle_h": life.middle_h,
            "high_h": life.high_h,
            "coverage": life.coverage,
            "method": life.method.value,
            "runs": life.runs,
            "now": now,
        }


def tell_learning(connection: Connection, failure_mode_id: int, learnt: RunsLearnt, now: datetime) -> None:
    """Store of how many runs to failure a mode was learnt, in place of what was told before."""
    left_out = {reason.value: count for reason, count in learnt.left_out.items()}
    told = {"failure_mode_id": failure_mode_id, "runs": learnt.runs, "used": learnt.used, "now": now}
    connection.execute(QUERIES["tell_learning"], {**told, "left_out": Jsonb(left_out)})


def learning_of_mode(connection: Connection, failure_mode_id: int) -> RunsLearnt | None:
    """Return of how many runs to failure a mode was learnt at its last telling, None before the first."""
    row = connection.execute(QUERIES["learning_of_mode"], {"failure_mode_id": failure_mode_id}).fetchone()
    if row is None:
        return None
    runs, used, left_out = row
    return RunsLearnt(runs, used, {LeftOut(reason): count for reason, count in left_out.items()})


def lives_of_asset(connection: Connection, asset_id: int) -> list[LifeOfMode]:
    """Return every failure mode of the asset's type, in the order of their codes, with the time left where known."""
    rows = connection.execute(QUERIES["lives_of_asset"], {"asset_id": asset_id})
    return [
        LifeOfMode(mode_id, code, name_en, name_zh, None if told[0] is None else _life(*told))
        for mode_id, code, name_en, name_zh, *told in rows
    ]


def of_asset(connection: Connection, asset_id: int) -> dict[str, RemainingLife]:
    """Return the time that an asset has left, by code of the failure mode; modes of which it is not known are absent.

    What was told of a part that has been replaced since is not returned.
    """
    return {one.code: one.life for one in lives_of_asset(connection, asset_id) if one.life is not None}


def _life(
    as_of: datetime, low_h: float, middle_h: float, high_h: float, coverage: float, method: str, runs: int
) -> RemainingLife:
    return RemainingLife(as_of, low_h, middle_h, high_h, coverage, LifeMethod(method), runs)
