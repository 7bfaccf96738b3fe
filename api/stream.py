"""Live events: one listening connection per process, fanned out to bounded queues, one for each open page.

The database announces a change when, and only when, its transaction commits (migration 0007). An announcement is a
hint to read again, so a page that falls behind is told to reload everything instead of being fed late.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import psycopg
from psycopg import Connection
from psycopg_pool import ConnectionPool

log = logging.getLogger(__name__)

CHANNEL = "wearsight"
QUEUE_LIMIT = 256
SUBSCRIBERS_LIMIT = 500
# A stream ends after this time and the browser opens it anew, showing its credential again.
LIFETIME_S = 600.0
WAIT_S = 0.5
RECONNECT_WAIT_S = 1.0
RESYNC = "resync"
# Put into a subscriber's queue in the place of an announcement: the stream ends.
END = None


@dataclass(frozen=True, slots=True)
class Announcement:
    """One change: the noun is the event's name, the body its JSON, the site where it happened (None: everywhere)."""

    noun: str
    body: str
    site_id: str | None


@dataclass(eq=False, slots=True)
class Subscriber:
    """One open stream: its event loop's bounded queue and the sites it may hear of (None: all)."""

    loop: asyncio.AbstractEventLoop
    sites: frozenset[str] | None
    queue: asyncio.Queue[Announcement | None] = field(default_factory=lambda: asyncio.Queue(QUEUE_LIMIT))

    def offer(self, announcement: Announcement) -> None:
        """Queue an announcement, on the subscriber's own loop. A full queue becomes a single resync."""
        try:
            self.queue.put_nowait(announcement)
        except asyncio.QueueFull:
            self._empty()
            self.queue.put_nowait(Announcement(RESYNC, "{}", None))

    def end(self) -> None:
        """End the stream, on the subscriber's own loop: what still waits is not worth waiting for."""
        self._empty()
        self.queue.put_nowait(END)

    def _empty(self) -> None:
        while not self.queue.empty():
            self.queue.get_nowait()


def listening_connection(pool: ConnectionPool) -> Connection:
    """Open a connection like the pool's, but not one of the pool's: it is never given back."""
    conninfo = pool.conninfo() if callable(pool.conninfo) else pool.conninfo
    kwargs = pool.kwargs() if callable(pool.kwargs) else (pool.kwargs or {})
    return psycopg.connect(conninfo, **kwargs)


class Broadcast:
    """Listens to the database and hands every announcement to the subscribers that may hear of it."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._subscribers: set[Subscriber] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._site_of_asset: dict[int, str] = {}

    def end_streams(self) -> None:
        """End every open stream, accept no other, and have the listening end. Returns at once."""
        self._stop.set()
        with self._lock:
            following = list(self._subscribers)
        for subscriber in following:
            self._tell(subscriber, subscriber.end)

    def stop(self) -> None:
        """End every stream and wait until nothing listens any more."""
        self.end_streams()
        if self._thread is not None:
            self._thread.join(timeout=5)

    async def follow(self, sites: frozenset[str] | None) -> AsyncIterator[Announcement]:
        """Yield what happens at ``sites`` from now on, for at most ten minutes. Starts with a resync."""
        subscriber = Subscriber(asyncio.get_running_loop(), sites)
        with self._lock:
            if self._stop.is_set() or len(self._subscribers) >= SUBSCRIBERS_LIMIT:
                return
            self._subscribers.add(subscriber)
            if self._thread is None:
                # The first one to listen has the process listen; a process nobody follows holds no connection.
                self._thread = threading.Thread(target=self._run, name="broadcast", daemon=True)
                self._thread.start()
        try:
            yield Announcement(RESYNC, "{}", None)
            ends_at = subscriber.loop.time() + LIFETIME_S
            while (left_s := ends_at - subscriber.loop.time()) > 0:
                try:
                    announcement = await asyncio.wait_for(subscriber.queue.get(), left_s)
                except TimeoutError:
                    return
                if announcement is END:
                    return
                yield announcement
        finally:
            with self._lock:
                self._subscribers.discard(subscriber)

    def subscribers(self) -> int:
        """Return how many streams are open."""
        with self._lock:
            return len(self._subscribers)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self._connect() as connection:
                    self._listen(connection)
            except psycopg.Error as error:
                log.warning("live events interrupted, listening again in %s s: %s", RECONNECT_WAIT_S, error)
                self._stop.wait(RECONNECT_WAIT_S)
            except Exception:
                # The top of the loop: a mistake here must not silence every page for good.
                log.exception("live events failed, listening again in %s s", RECONNECT_WAIT_S)
                self._stop.wait(RECONNECT_WAIT_S)

    def _listen(self, connection: Connection) -> None:
        connection.autocommit = True
        connection.execute(f"listen {CHANNEL}")
        # What happened while nobody listened is not announced again.
        self._hand_out(Announcement(RESYNC, "{}", None))
        while not self._stop.is_set():
            # Taken out of the generator first: it holds the connection's lock while it runs, and reading asks again.
            for notice in list(connection.notifies(timeout=WAIT_S, stop_after=1)):
                announcement = self._read(connection, notice.payload)
                if announcement is not None:
                    self._hand_out(announcement)

    def _read(self, connection: Connection, payload: str) -> Announcement | None:
        try:
            told = json.loads(payload)
            noun, asset_id = str(told["noun"]), told.get("asset")
        except (ValueError, KeyError, TypeError, AttributeError):
            log.warning("an announcement without a noun: %s", payload[:200])
            return None
        if not isinstance(asset_id, int):
            return Announcement(noun, payload, None)
        if asset_id not in self._site_of_asset:
            row = connection.execute("select site_id from asset where id = %s", (asset_id,)).fetchone()
            if row is None:
                return None
            self._site_of_asset[asset_id] = row[0]
        return Announcement(noun, payload, self._site_of_asset[asset_id])

    def _hand_out(self, announcement: Announcement) -> None:
        with self._lock:
            hearing = list(self._subscribers)
        for subscriber in hearing:
            everywhere = subscriber.sites is None or announcement.noun == RESYNC
            if everywhere or (announcement.site_id is not None and announcement.site_id in (subscriber.sites or ())):
                self._tell(subscriber, partial(subscriber.offer, announcement))

    @staticmethod
    def _tell(subscriber: Subscriber, told: Callable[[], None]) -> None:
        # Its loop may have closed with the process; the stream's own ending unsubscribes it.
        with suppress(RuntimeError):
            subscriber.loop.call_soon_threadsafe(told)
