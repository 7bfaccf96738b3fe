"""Builders for the tests of remaining life: parts that wear out faster or slower, as arrays and as stored readings."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection
from psycopg.types.json import Jsonb

from detectors.conditions import Run
from storage.casework import answer_link, open_from_prediction
from tests.rollup_builders import Row, store
from tests.ticket_builders import HOUR, House, a_house, a_prediction, an_asset, carry, command, finish_work, resolve
from ticketing.ticket import State

METRICS = ("vibration_mm_s", "temperature_c")
# How much each metric has changed at the end, in noises.
LAST = np.array([10.0, -6.0])


def wear_of(steps: int, sign: float = 1.0) -> NDArray[np.float64]:
    """The wear at each step: slow, then ever faster, as crack and friction feed each other; 1 at the failure."""
    return sign * np.linspace(0.0, 1.0, steps) ** 3


def a_run(
    steps: int, seed: int, *, known: float = 1.0, sign: float = 1.0, settings: NDArray[np.float64] | None = None
) -> Run:
    """A run to failure of so many steps, of which the first share is ``known``; ``sign`` -1 wears the other way."""
    noise = np.random.default_rng(seed).standard_normal((steps, len(LAST)))
    metrics = 20.0 + wear_of(steps)[:, None] * LAST * np.array([1.0, sign]) + noise
    shown = max(1, round(known * steps))
    kept = np.empty((steps, 0)) if settings is None else settings
    return Run(metrics[:shown], kept[:shown])


def lengths(count: int, seed: int = 0, *, shortest: int = 40, longest: int = 90) -> list[int]:
    """The lengths of so many lives."""
    drawn = np.random.default_rng(seed).integers(shortest, longest, count)
    return [int(one) for one in drawn]


def a_plant(connection: Connection) -> House:
    """A house whose motors' bearing wear shows in a vibration that rises."""
    house = a_house(connection)
    sign = {"metric": "vibration_*", "detector": "*", "direction": "up", "within_h": 24, "log_odds": 2.0}
    connection.execute(
        "update failure_mode set signature = %s", (Jsonb({"findings": [sign], "events": [], "part_age": None}),)
    )
    return house


def a_life(connection: Connection, house: House, tag: str, began_at: datetime, run: Run) -> House:
    """Register a motor whose bearing was fitted at ``began_at`` and store a reading an hour of each metric."""
    asset_id, series_id, rule_id = an_asset(connection, tag, house.requester.person_id, began_at)
    connection.execute("insert into component_installation values (%s, 'bearing', %s, 'import')", (asset_id, began_at))
    ids = dict(
        connection.execute(
            "select metric, series.id from series join device on device.id = device_id where asset_id = %s", (asset_id,)
        ).fetchall()
    )
    rows: list[Row] = [
        (ids[metric], began_at + HOUR * step, float(run.metrics[step, column]))
        for column, metric in enumerate(METRICS)
        for step in range(len(run.metrics))
    ]
    store(connection, rows)
    connection.execute(
        "update device set last_reading_at = %s where asset_id = %s",
        (began_at + HOUR * len(run.metrics), asset_id),
    )
    return replace(house, asset_id=asset_id, series_id=series_id, rule_id=rule_id)


def repaired(
    connection: Connection, house: House, failed_at: datetime, resolution: str = "repaired", **facts: object
) -> None:
    """Carry a ticket of the house's asset from its evidence, an hour before the failure, to its closure."""
    prediction = a_prediction(connection, house, now=failed_at, evidence_at=failed_at - HOUR)
    code = open_from_prediction(connection, prediction, failed_at)
    assert code is not None
    carry(connection, house, code, State.EXECUTING, failed_at)
    finish_work(connection, house, code, failed_at)
    secret = resolve(connection, house, code, now=failed_at, resolution=resolution, **facts).confirmation_url_secret
    assert secret is not None
    answer_link(connection, secret, True, True, None, None, failed_at)
    command(connection, code, "close", house.near, now=failed_at + timedelta(minutes=5))
