"""Builders for the tests of slices: two sites, real ingest processes that are killed, a stream with excursions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import psycopg

from tests.ingest_builders import NOW, SECOND, a_plant, a_rule, telemetry

REPOSITORY = Path(__file__).parent.parent
NORTH, SOUTH = "north", "south"


def a_site(connection: psycopg.Connection, site: str) -> None:
    connection.execute(
        "insert into site (id, name, calendar_id, latitude, longitude) values (%s, 'Site', 'day', 31, 121)", (site,)
    )


def a_device_at(connection: psycopg.Connection, site: str, name: str) -> int:
    """A registered device with its one series: its id."""
    asset_id = connection.execute(
        "insert into asset (site_id, asset_type_id, tag, name, created_at)"
        " values (%s, 'motor', %s, 'Motor', %s) returning id",
        (site, f"A-{site}-{name}", NOW),
    ).fetchone()[0]
    device_id = connection.execute(
        "insert into device (site_id, name, asset_id, created_at) values (%s, %s, %s, %s) returning id",
        (site, name, asset_id, NOW),
    ).fetchone()[0]
    connection.execute("insert into series (device_id, metric, created_at) values (%s, 't', %s)", (device_id, NOW))
    return device_id


def two_sites(dsn: str, devices: int) -> psycopg.Connection:
    """Two sites with so many devices each and a rule; ids are equal wherever it is done."""
    plant = a_plant(dsn)
    for site in (NORTH, SOUTH):
        a_site(plant, site)
        for number in range(devices):
            a_device_at(plant, site, f"d{number}")
    a_rule(plant, high=50.0, consecutive=3, dead_band=5.0)
    return plant


def topic_of(site: str, device: str) -> str:
    return f"wearsight/v1/{site}/{device}/telemetry"


def a_stream(site: str, devices: int, first: int, last: int, start: datetime) -> list[tuple[str, bytes]]:
    """Messages of the seconds first..last of each device, with an excursion in ten of every hundred seconds."""
    return [
        (
            topic_of(site, f"d{device}"),
            telemetry(start + n * SECOND, n, t=90.0 + n % 7 if n % 100 >= 90 else 20.0 + (n + device) % 9),
        )
        for n in range(first, last)
        for device in range(devices)
    ]


def outcome(connection: psycopg.Connection) -> tuple[list, list, list]:
    """What must be alike whoever was killed: readings, findings, detectors' state by device."""
    return (
        connection.execute("select series_id, ts, value from reading order by 1, 2").fetchall(),
        connection.execute("select id, opened_at, cleared_at, value, score from finding order by id").fetchall(),
        connection.execute("select device_id, state from checkpoint order by 1").fetchall(),
    )


def owners(connection: psycopg.Connection) -> list[tuple[int, str, bytes]]:
    """Whose each device is: (device id, partition, state)."""
    return connection.execute("select device_id, partition, state from checkpoint order by 1, 2").fetchall()


class IngestProcess:
    """The real process of one slice."""

    def __init__(self, dsn: str, broker: str, data_dir: Path, slices: Sequence[Sequence[str]], number: int) -> None:
        environment = {
            **os.environ,
            "WEARSIGHT_DATABASE_URL": dsn,
            "WEARSIGHT_BROKER_URL": broker,
            "WEARSIGHT_DATA_DIR": str(data_dir),
            "WEARSIGHT_INGEST_SLICES": json.dumps(slices),
            "WEARSIGHT_INGEST_SLICE": str(number),
        }
        self.log = data_dir / f"ingest-{number}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "runtime", "ingest"], cwd=REPOSITORY, env=environment, stdout=log, stderr=log
            )

    def kill(self, number: int = signal.SIGKILL) -> None:
        self.process.send_signal(number)
        self.process.wait(30)
