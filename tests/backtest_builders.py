"""Builders for the tests of backtests: motors with a year that wears out, stored and not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg

from detectors.library import RuleDraft, RuleMode, parse_library
from domain.findings import Severity
from domain.readings import Readings
from storage.library import install_library
from storage.partitions import ensure_partitions
from storage.readings import insert
from tests.api_builders import NORTH, a_device, a_series, an_asset

BEGIN = datetime(2025, 11, 1, tzinfo=UTC)
DAYS = 60
FAILED = BEGIN + timedelta(days=40)
END = BEGIN + timedelta(days=DAYS)

LIBRARY = """
[asset_type]
id = "motor"
name_en = "Motor"
name_zh = "电机"

[[mode]]
code = "wear"
name_en = "Wear"
name_zh = "磨损"
effect_en = "It stops"
effect_zh = "停机"
severity = 7
component = "bearing"
prior = 0.01
watch_probability = 0.05
ticket_probability = 0.6
window_h = [24, 240]
skills = []
tasks = []
parts = []

[[mode.finding]]
metric = "vibration_mm_s"
detector = "*"
direction = "up"
within_h = 72
log_odds = 7.0

[[rule]]
name = "motor.limit"
metric = "vibration_mm_s"
detector = "threshold"
severity = "high"
mode = "auto"

[rule.parameters]
high = 16.0
dead_band = 1.0
"""


def a_candidate(**parameters: float) -> RuleDraft:
    """The motor's limit with other parameters."""
    given = {"high": 12.5, "dead_band": 0.5, **parameters}
    return RuleDraft("motor.limit", "motor", "vibration_mm_s", "threshold", given, Severity.HIGH, RuleMode.AUTO)


def vibration(seed: int, *, wears: bool = True) -> np.ndarray:
    """Sixty days by the ten minutes: noise about 10, and before the failure nine days of rising from 10 to 16.5."""
    steps = DAYS * 144
    value = 10 + 0.5 * np.random.default_rng(seed).standard_normal(steps)
    failed = (FAILED - BEGIN) // timedelta(minutes=10)
    if wears:
        value[failed - 9 * 144 : failed] += np.linspace(0, 6.5, 9 * 144)
    return value


def a_worn_motor(connection: psycopg.Connection, tag: str = "M-1", *, wears: bool = True, site: str = NORTH) -> int:
    """A stored motor whose bearing was replaced, told by an event, at ``FAILED``; return its asset id."""
    asset_id = an_asset(connection, site, tag)
    series_id = a_series(connection, a_device(connection, asset_id, f"dev-{tag}"))
    value = vibration(series_id, wears=wears)
    ts_us = int(BEGIN.timestamp() * 1e6) + np.arange(len(value), dtype=np.int64) * 600_000_000
    first = int(BEGIN.timestamp()) // 86_400
    ensure_partitions(connection, range(first, first + DAYS + 1))
    insert(connection, Readings(np.full(len(value), series_id, np.int32), ts_us, value))
    if wears:
        connection.execute("insert into component_installation values (%s, 'bearing', %s, 'event')", (asset_id, FAILED))
    return asset_id


def install_motors(connection: psycopg.Connection) -> None:
    """The motor's failure mode and the rule in force: a limit that the wear reaches on its last day."""
    install_library(connection, parse_library(LIBRARY), BEGIN)
