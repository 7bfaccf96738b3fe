"""Live events: announced changes reach the pages that may hear of them, and nobody waits for a slow one."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
import uvicorn
from psycopg_pool import ConnectionPool

from api import stream
from api.stream import QUEUE_LIMIT, RESYNC, Announcement, Broadcast, Subscriber, listening_connection
from tests.api_builders import BASE, NORTH, SOUTH, Api, an_api, an_asset
from ticketing.actors import Role

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


def test_the_stream_arrives_over_http_as_server_sent_events(house: Api) -> None:
    token = house.headers(Role.ENGINEER)
    server = uvicorn.Server(
        uvicorn.Config(house.app, port=0, log_level="warning", timeout_graceful_shutdown=1, lifespan="off")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        lines: list[str] = []
        with (
            httpx2.Client(timeout=TOLD_WITHIN_S) as client,
            client.stream("GET", f"http://127.0.0.1:{port}{BASE}/stream", headers=token) as answer,
        ):
            assert answer.headers["content-type"].startswith("text/event-stream")
            for line in answer.iter_lines():
                lines.append(line)
                if lines.count(f"event: {RESYNC}") == 2 and not lines[-1]:
                    announce(house.pool, "rule")
                if line == 'data: {"noun": "rule"}':
                    break
        assert lines[-2:] == ["event: rule", 'data: {"noun": "rule"}']
    finally:
        server.should_exit = True
        thread.join(10)
