"""Live events: announced changes reach the pages that may hear of them, and nobody waits for a slow one."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
import uvicorn
from psycopg_pool import ConnectionPool

from api import stream
from api.server import Server
from api.stream import QUEUE_LIMIT, RESYNC, Announcement, Broadcast, Subscriber, listening_connection
from runtime.clock import SystemClock
from storage.people import issue_token
from tests.api_builders import BASE, NORTH, SOUTH, Api, a_person, an_api, an_asset
from tests.services_builders import eventually
from ticketing.actors import Role, RoleHeld

TOLD_WITHIN_S = 10.0


@pytest.fixture
def house(pool: ConnectionPool) -> Iterator[Api]:
    with an_api(pool) as opened:
        yield opened


@pytest.fixture
def broadcast(house: Api) -> Iterator[Broadcast]:
    opened = Broadcast(lambda: listening_connection(house.pool))
    yield opened
    opened.stop()


def announce(pool: ConnectionPool, noun: str, asset_id: int | None = None) -> None:
    told = {"noun": noun} if asset_id is None else {"noun": noun, "asset": asset_id}
    with pool.connection() as connection:
        connection.execute("select pg_notify('wearsight', %s)", (json.dumps(told),))


async def heard_until(
    broadcast: Broadcast, sites: frozenset[str] | None, last: str, when_open: Callable[[], None]
) -> list[str]:
    """Follow at ``sites``; call ``when_open`` once the process listens; return the nouns up to ``last``."""
    nouns: list[str] = []
    async for announcement in broadcast.follow(sites):
        nouns.append(announcement.noun)
        # The first resync greets the subscriber, the second says that the process is listening now.
        if nouns == [RESYNC, RESYNC]:
            await asyncio.to_thread(when_open)
        if announcement.noun == last:
            break
    return [noun for noun in nouns if noun != RESYNC]


def run(work: Coroutine[object, object, list[str]]) -> list[str]:
    async def bounded() -> list[str]:
        return await asyncio.wait_for(work, TOLD_WITHIN_S)

    # On a thread of its own: a browser test in the same process keeps an event loop running on this one.
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(lambda: asyncio.run(bounded())).result()


def test_a_page_hears_of_its_own_sites_only(house: Api, broadcast: Broadcast) -> None:
    with house.pool.connection() as connection:
        ours, theirs = an_asset(connection, NORTH, "N"), an_asset(connection, SOUTH, "S")

    def happen() -> None:
        announce(house.pool, "theirs", theirs)
        announce(house.pool, "everywhere")
        announce(house.pool, "ours", ours)

    assert run(heard_until(broadcast, frozenset({NORTH}), "ours", happen)) == ["ours"]


def test_a_planner_of_every_site_hears_everything_and_garbage_disturbs_nobody(house: Api, broadcast: Broadcast) -> None:
    with house.pool.connection() as connection:
        theirs = an_asset(connection, SOUTH, "S")

    def happen() -> None:
        with house.pool.connection() as connection:
            for garbage in ("not json", "[]", '"x"', "{}", '{"noun": "ghost", "asset": 987654}'):
                connection.execute("select pg_notify('wearsight', %s)", (garbage,))
        announce(house.pool, "theirs", theirs)
        announce(house.pool, "last")

    assert run(heard_until(broadcast, None, "last", happen)) == ["theirs", "last"]


def test_a_change_that_is_rolled_back_is_not_announced(house: Api, broadcast: Broadcast) -> None:
    def happen() -> None:
        with house.pool.connection() as connection, connection.transaction(force_rollback=True):
            connection.execute("select pg_notify('wearsight', '{\"noun\": \"never\"}')")
        announce(house.pool, "after")

    assert run(heard_until(broadcast, None, "after", happen)) == ["after"]


def test_listening_goes_on_after_the_database_dropped_the_connection(
    house: Api, broadcast: Broadcast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "RECONNECT_WAIT_S", 0.05)

    async def follow() -> list[str]:
        nouns: list[str] = []
        async for announcement in broadcast.follow(None):
            nouns.append(announcement.noun)
            if nouns == [RESYNC, RESYNC]:
                await asyncio.to_thread(drop)
            elif nouns == [RESYNC, RESYNC, RESYNC]:
                await asyncio.to_thread(announce, house.pool, "again")
            if announcement.noun == "again":
                break
        return nouns

    def drop() -> None:
        with house.pool.connection() as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where query ilike 'listen%' and datname = current_database()"
            )

    assert run(follow()) == [RESYNC, RESYNC, RESYNC, "again"]


def test_a_page_that_falls_behind_is_told_to_read_again_instead_of_being_fed_late() -> None:
    async def fill() -> list[str]:
        slow = Subscriber(asyncio.get_running_loop(), None)
        for number in range(QUEUE_LIMIT):
            slow.offer(Announcement(f"n{number}", "{}", None))
        assert slow.queue.full()
        slow.offer(Announcement("one too many", "{}", None))
        slow.offer(Announcement("next", "{}", None))
        return [slow.queue.get_nowait().noun for _ in range(slow.queue.qsize())]

    assert run(fill()) == [RESYNC, "next"]


def test_streams_are_bounded_in_number_and_in_time(
    house: Api, broadcast: Broadcast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "LIFETIME_S", 0.1)

    async def follow() -> list[str]:
        nouns = [announcement.noun async for announcement in broadcast.follow(None)]
        assert broadcast.subscribers() == 0
        monkeypatch.setattr(stream, "SUBSCRIBERS_LIMIT", 0)
        return nouns + [announcement.noun async for announcement in broadcast.follow(None)]

    assert set(run(follow())) == {RESYNC}


@contextmanager
def serving(house: Api, grace_s: int) -> Iterator[tuple[Server, str]]:
    """Serve the application; yield the server and the stream's address; at the end it has stopped."""
    server = Server(house.app, uvicorn.Config(house.app, port=0, timeout_graceful_shutdown=grace_s, lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield server, f"http://127.0.0.1:{port}{BASE}/stream"
    finally:
        server.should_exit = True
        thread.join(60)
    assert not thread.is_alive()


def test_the_stream_arrives_over_http_as_server_sent_events(house: Api) -> None:
    token = house.headers(Role.ENGINEER)
    lines: list[str] = []
    with (
        serving(house, grace_s=10) as (_, address),
        httpx2.Client(timeout=TOLD_WITHIN_S) as client,
        client.stream("GET", address, headers=token) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            lines.append(line)
            if lines.count(f"event: {RESYNC}") == 2 and not lines[-1]:
                announce(house.pool, "rule")
            if line == 'data: {"noun": "rule"}':
                break
    assert lines[-2:] == ["event: rule", 'data: {"noun": "rule"}']


def test_a_server_that_stops_ends_its_open_streams_and_logs_no_error(
    house: Api, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = house.headers(Role.ENGINEER)
    lines: list[str] = []
    with (
        serving(house, grace_s=5) as (server, address),
        httpx2.Client(timeout=TOLD_WITHIN_S) as client,
        client.stream("GET", address, headers=token) as answer,
    ):
        # Straight at the logger: uvicorn's own settings keep its lines from those above it.
        monkeypatch.setattr(logging.getLogger("uvicorn.error"), "handlers", [caplog.handler])
        for line in answer.iter_lines():  # which raises when the stream is cut off instead of ended
            lines.append(line)
            server.should_exit = True
    assert f"event: {RESYNC}" in lines
    logged = {one.getMessage(): one.levelno for one in caplog.records}
    assert "Shutting down" in logged
    assert [message for message, level in logged.items() if level >= logging.WARNING] == []


def told_port(log: Path) -> int | None:
    """The port that a process has said it listens at."""
    lines = [json.loads(line) for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return next((line["port"] for line in lines if line["event"] == "listens"), None)


def answers(address: str) -> bool:
    try:
        return httpx2.get(address, timeout=TOLD_WITHIN_S).status_code == 200
    except httpx2.TransportError:
        return False


def test_the_process_ends_quietly_with_an_open_stream(house: Api, database: str, tmp_path: Path) -> None:
    person = a_person_of_today(house)
    log = tmp_path / "api.log"
    settings = {
        "DATABASE_URL": database,
        "BROKER_URL": "mqtt://127.0.0.1:1",
        "DATA_DIR": str(tmp_path),
        "LOG_FORMAT": "json",
    }
    environment = {**os.environ, **{f"WEARSIGHT_{name}": value for name, value in settings.items()}}
    with log.open("wb") as said:
        process = subprocess.Popen([sys.executable, "-m", "runtime", "api"], env=environment, stderr=said)
    try:
        assert eventually(lambda: told_port(log) is not None, within_s=60)
        address = f"http://127.0.0.1:{told_port(log)}{BASE}"
        assert eventually(lambda: answers(f"{address}/health"), within_s=60)
        with (
            httpx2.Client(timeout=TOLD_WITHIN_S) as client,
            client.stream("GET", f"{address}/stream", headers=person) as answer,
        ):
            for line in answer.iter_lines():
                if line == f"event: {RESYNC}":
                    process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait(10)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert lines[-1]["event"] == "stopped"
    assert {line["level"] for line in lines} == {"info"}, lines


def a_person_of_today(house: Api) -> dict[str, str]:
    """Headers of somebody whose token holds on the clock of the machine, which a process goes by."""
    now = SystemClock().now()
    with house.pool.connection() as connection:
        person_id = a_person(connection, "today", RoleHeld(Role.ENGINEER, None))
        token = issue_token(connection, person_id, "tests", now, now + timedelta(days=1))
    return {"Authorization": f"Bearer {token}"}


def test_a_stream_asked_for_while_the_server_stops_ends_at_once(house: Api, broadcast: Broadcast) -> None:
    async def follow() -> list[str]:
        broadcast.end_streams()
        return [announcement.noun async for announcement in broadcast.follow(None)]

    assert run(follow()) == []
