"""Builders for the console's tests: a house with readings worth looking at, and readers who are signed in."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from struct import pack
from uuid import UUID

import numpy as np
from fastapi import FastAPI
from psycopg import Connection
from psycopg_pool import ConnectionPool
from starlette.testclient import TestClient

from api.identity import SESSION_COOKIE
from domain.readings import Readings
from ingest.quarantine_reasons import EXPLANATIONS
from storage import people, readings, rollups
from storage.database import detect_server
from storage.dispatching import How, engineers, open_jobs, record_choice
from storage.partitions import ensure_partitions, needs_partitions
from tests.api_builders import TestClock
from tests.app_builders import an_app
from tests.ticket_builders import DAY, HOUR, MINUTE, NOW, House, a_finding, a_house, a_prediction
from ticketing.actors import Actor
from ticketing.dispatching.assignment import choose

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
READING_DAYS = 1


@dataclass(frozen=True, slots=True)
class Console:
    """The application over a house in a real database."""

    app: FastAPI
    pool: ConnectionPool
    clock: TestClock
    house: House

    @contextmanager
    def reader(self, actor: Actor | None, language: str = "en") -> Iterator[TestClient]:
        """Yield a browser without scripts, signed in as ``actor``."""
        client = TestClient(self.app, headers={**SAME_ORIGIN, "Accept": "text/html", "Accept-Language": language})
        client.follow_redirects = False
        if actor is not None:
            client.cookies.set(SESSION_COOKIE, self.session_of(actor))
        # Not entered: the live stream, which no test of this client listens to, takes half a second to stop.
        yield client
        client.close()

    def session_of(self, actor: Actor) -> str:
        assert actor.person_id is not None
        with self.pool.connection() as connection:
            return people.issue_session(connection, actor.person_id, self.clock.now(), self.clock.now() + 30 * DAY)


def a_console(pool: ConnectionPool, now: datetime = NOW) -> Console:
    """Furnish the house, let its motor wear, and put the application on top."""
    clock = TestClock(now)
    with pool.connection() as connection:
        house = a_house(connection, now)
        some_readings(connection, house, now)
    reasons = {reason.value: explanation for reason, explanation in EXPLANATIONS.items()}
    return Console(an_app(pool, clock, reasons), pool, clock, house)


def some_readings(connection: Connection, house: House, now: datetime) -> None:
    """Store a day of vibration and temperature, one a minute; the vibration climbs over the last half day."""
    minutes = READING_DAYS * 24 * 60
    start = now - READING_DAYS * DAY
    if needs_partitions(detect_server(connection)):
        first = (start - datetime(1970, 1, 1, tzinfo=UTC)) // DAY
        ensure_partitions(connection, range(first, first + READING_DAYS + 2))
    random = np.random.default_rng(7)
    ts = np.int64(start.timestamp() * 1e6) + np.arange(minutes, dtype=np.int64) * 60_000_000
    wear = np.clip(np.arange(minutes) - (minutes - 720), 0, None) / 720
    daily = np.sin(np.arange(minutes) * 2 * np.pi / 1440)
    for series_id, values in (
        (house.series_id, 2.6 + 0.12 * random.standard_normal(minutes) + 5.2 * wear**1.6),
        (house.series_id + 1, 61 + 3 * daily + 0.4 * random.standard_normal(minutes) + 4 * wear),
    ):
        ids = np.full(minutes, series_id, dtype=np.int32)
        stored = Readings(ids, ts, values.astype(np.float64))
        readings.insert(connection, stored)
        rollups.mark_due(connection, [stored])
    connection.execute("update series set unit = 'mm/s' where id = %s", (house.series_id,))
    connection.execute("update series set unit = '°C' where id = %s", (house.series_id + 1,))
    connection.execute(
        "update device set online = true, last_seen_at = %s, last_reading_at = %s where asset_id = %s",
        (now, now - MINUTE, house.asset_id),
    )


def a_worn_motor(connection: Connection, house: House, now: datetime = NOW) -> UUID:
    """Store a prediction with everything that can speak for one: prior, findings, an event, the part's age."""
    prediction_id = a_prediction(connection, house, now=now, evidence_at=now - 2 * HOUR)
    level = a_finding(connection, house, now - 5 * HOUR)
    for kind, reference, log_odds, english, chinese in (
        ("prior", "bearing_wear", -3.89, "Bearing wear is rare in motors", "电机轴承磨损并不常见"),
        ("finding", str(level), 2.4, "Vibration above its limit", "振动超过限值"),
        ("event", "E204", 1.1, "Error E204, overload", "错误 E204，过载"),
        ("part_age", "bearing", -0.4, "The bearing is young", "轴承较新"),
    ):
        connection.execute(
            "insert into prediction_evidence values (%s, %s, %s, %s, %s, %s, %s)",
            (prediction_id, kind, reference, now - 2 * HOUR, log_odds, english, chinese),
        )
    return prediction_id


def a_dispatch_decision(connection: Connection, code: str, now: datetime = NOW) -> None:
    """Weigh the engineers for a new ticket, as a dispatch round does, and keep why."""
    (open_job,) = [one for one in open_jobs(connection, now) if one.job.code == code]
    choice = choose(open_job.job, engineers(connection, now), open_job.policy)
    record_choice(connection, open_job.ticket_id, choice, How.ROUND, now)


def a_picture(width: int = 64, height: int = 48) -> bytes:
    """A PNG, made by hand: signature, header, one block of grey-orange pixels, end."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return pack(">I", len(content)) + name + content + pack(">I", zlib.crc32(name + content))

    rows = b"".join(bytes(1) + bytes((150 + 90 * y // height, 110, 60)) * width for y in range(height))
    header = pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def soon(now: datetime = NOW, by: timedelta = HOUR) -> str:
    """A time as a datetime-local field at the house's site would hold it."""
    return (now + by + 8 * HOUR).strftime("%Y-%m-%dT%H:%M")


__all__ = ["NOW", "Console", "a_console", "a_dispatch_decision", "a_picture", "a_worn_motor", "soon"]
