"""Builders for the API's tests: a house with two sites, people of every role, a client for each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg
from fastapi import FastAPI
from httpx2 import Response
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool
from starlette.testclient import TestClient

from domain.readings import Readings
from storage.database import detect_server, open_pool
from storage.partitions import ensure_partitions, needs_partitions
from storage.people import create_person, issue_token
from storage.rollups import mark_due
from tests.app_builders import an_app
from ticketing.actors import Role, RoleHeld

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
BASE = "/api/v1"
NORTH, SOUTH = "north", "south"


class TestClock:
    """A clock that stands until it is told to move."""

    __test__ = False

    def __init__(self, at: datetime = NOW) -> None:
        self.at = at
        self.elapsed_s = 0.0

    def now(self) -> datetime:
        return self.at

    def monotonic_s(self) -> float:
        return self.elapsed_s

    def move(self, by: timedelta) -> None:
        self.at += by
        self.elapsed_s += by.total_seconds()


@dataclass
class Api:
    """The application over a real database, and tokens for whom the tests speak as."""

    app: FastAPI
    client: TestClient
    pool: ConnectionPool
    clock: TestClock
    tokens: dict[tuple[str, str | None], str] = field(default_factory=dict)

    def token(self, role: Role | str, site: str | None = None) -> str:
        key = (str(role), site)
        if key not in self.tokens:
            with self.pool.connection() as connection:
                person_id = a_person(connection, f"{role}.{site or 'everywhere'}", RoleHeld(Role(role), site))
                self.tokens[key] = issue_token(connection, person_id, "tests", NOW, NOW + timedelta(days=365))
        return self.tokens[key]

    def headers(self, role: Role | str | None, site: str | None = None) -> dict[str, str]:
        return {} if role is None else {"Authorization": f"Bearer {self.token(role, site)}"}

    def token_of(self, person_id: int) -> str:
        with self.pool.connection() as connection:
            return issue_token(connection, person_id, "tests", NOW, NOW + timedelta(days=365))

    def get(
        self, path: str, role: Role | str | None = Role.ADMIN, site: str | None = None, **params: object
    ) -> Response:
        asked = {name.rstrip("_"): str(value) for name, value in params.items()}
        return self.client.get(BASE + path, params=asked, headers=self.headers(role, site))

    def post(
        self,
        path: str,
        body: object,
        role: Role | str | None = Role.ADMIN,
        site: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        return self.client.post(BASE + path, json=body, headers={**self.headers(role, site), **(headers or {})})


@contextmanager
def an_api(
    pool: ConnectionPool, furnish: Callable[[psycopg.Connection], object] | None = None, at: datetime = NOW
) -> Iterator[Api]:
    """Yield the API over a house of two sites, or over what ``furnish`` puts into the database."""
    clock = TestClock(at)
    with pool.connection() as connection:
        (furnish or a_house)(connection)
    app = an_app(pool, clock)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Api(app, client, pool, clock)


@contextmanager
def a_shared_api(postgres: str, template: str, name: str) -> Iterator[Api]:
    """Yield the API over a database for a whole module of tests that leave nothing behind."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template))
        )
    with open_pool(make_conninfo(postgres, dbname=name), size=4) as pool, an_api(pool) as opened:
        yield opened


def a_house(connection: psycopg.Connection) -> None:
    connection.execute("insert into calendar (id, name, time_zone) values ('day', 'Day shift', 'UTC')")
    connection.execute(
        "insert into calendar_segment (calendar_id, weekday, starts, ends)"
        " select 'day', weekday, '08:00', '17:00' from generate_series(1, 5) as weekday"
    )
    for site in (NORTH, SOUTH):
        connection.execute("insert into site values (%s, %s, 'day', 31.3, 120.7)", (site, site.title()))
    connection.execute("insert into asset_type values ('motor', 'Motor', '电动机'), ('generic', 'Other', '其他')")


def a_person(connection: psycopg.Connection, login: str, *roles: RoleHeld, password_hash: str | None = None) -> int:
    return create_person(connection, login=login, name=login.title(), now=NOW, roles=roles, password_hash=password_hash)


def an_asset(connection: psycopg.Connection, site: str = NORTH, tag: str = "M-1", asset_type: str = "motor") -> int:
    row = connection.execute(
        "insert into asset (site_id, asset_type_id, tag, name, created_at) values (%s, %s, %s, %s, %s) returning id",
        (site, asset_type, tag, f"Asset {tag}", NOW),
    ).fetchone()
    assert row is not None
    return row[0]


def a_feed(connection: psycopg.Connection, site: str = NORTH, name: str = "line") -> int:
    row = connection.execute(
        "insert into feed (name, site_id, topic, decoder, created_at) values (%s, %s, %s, 'senml', %s) returning id",
        (name, site, f"{name}/#", NOW),
    ).fetchone()
    assert row is not None
    return row[0]


def a_device(connection: psycopg.Connection, asset_id: int, name: str = "dev-1") -> int:
    row = connection.execute(
        "insert into device (site_id, name, asset_id, time_policy, expected_interval_s, created_at)"
        " select site_id, %s, id, 'recorded', 1, %s from asset where id = %s returning id",
        (name, NOW, asset_id),
    ).fetchone()
    assert row is not None
    return row[0]


def a_series(connection: psycopg.Connection, device_id: int, metric: str = "vibration_mm_s") -> int:
    row = connection.execute(
        "insert into series (device_id, metric, unit, created_at) values (%s, %s, 'mm/s', %s) returning id",
        (device_id, metric, NOW),
    ).fetchone()
    assert row is not None
    return row[0]


def readings(connection: psycopg.Connection, series_id: int, rows: list[tuple[datetime, float]]) -> None:
    days = {int(at.timestamp() // 86_400) for at, _ in rows}
    if needs_partitions(detect_server(connection)):
        ensure_partitions(connection, days)
    connection.execute(
        "insert into reading (series_id, ts, value) select %s, * from unnest(%s::timestamptz[], %s::float8[])",
        (series_id, [at for at, _ in rows], [value for _, value in rows]),
    )
    ts_us = np.array([round(at.timestamp() * 1_000_000) for at, _ in rows], np.int64)
    mark_due(
        connection, [Readings(np.full(len(rows), series_id, np.int32), ts_us, np.array([value for _, value in rows]))]
    )
