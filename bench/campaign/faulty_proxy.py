"""A TCP proxy that treats connections badly: it refuses, resets, stalls, and passes bytes in slices of seven."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

SLICE_BYTES = 7
_READ_BYTES = 65_536


@dataclass(slots=True)
class Faults:
    """What happens and how often; set by the campaign while the proxy runs. Counts say what did happen."""

    refuse: bool = False
    stall: bool = False
    slices: bool = False
    # Chance that one read ends in a reset of both sides.
    reset_chance: float = 0.0
    happened: dict[str, int] = field(default_factory=lambda: {"refused": 0, "reset": 0, "stalled": 0, "sliced": 0})


class Heard(Protocol):
    """Is told what passes, before it is passed on."""

    def __call__(self, connection: int, data: bytes, *, is_from_broker: bool) -> None:
        """Take note of these bytes; each connection has a number of its own."""


class FaultyProxy:
    """Listens on loopback and passes connections on to ``target`` (a port, or the path of a Unix socket)."""

    def __init__(self, target: int | str, seed: int, heard: Heard | None = None) -> None:
        self.faults = Faults()
        self._heard = heard
        self._connections = 0
        self._target = target
        self._random = random.Random(seed)
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        self.port = int(self._server.sockets[0].getsockname()[1])

    def reset_all(self) -> None:
        """Cut every connection now, by RST."""
        self._call(self._cut_all)

    def close(self) -> None:
        """Stop listening and cut what is left."""
        self._call(self._server.close)
        self.reset_all()
        asyncio.run_coroutine_threadsafe(self._last_words(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _last_words(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _call(self, work: Callable[[], object]) -> None:
        async def inside() -> None:
            work()

        asyncio.run_coroutine_threadsafe(inside(), self._loop).result(10)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._connected, "127.0.0.1", 0)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.faults.refuse:
            self.faults.happened["refused"] += 1
            _reset(writer)
            return
        try:
            if isinstance(self._target, str):
                far_reader, far_writer = await asyncio.open_unix_connection(self._target)
            else:
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            _reset(writer)
            return
        both = (writer, far_writer)
        self._writers.update(both)
        self._connections += 1
        near, far = ((self._connections, side) for side in (False, True))
        try:
            await asyncio.gather(self._pump(reader, far_writer, both, near), self._pump(far_reader, writer, both, far))
        except (OSError, asyncio.CancelledError):
            pass  # cancelled when the proxy closes: the end of this connection, and nobody waits for it
        finally:
            for one in both:
                self._writers.discard(one)
                one.close()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        both: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
        place: tuple[int, bool],
    ) -> None:
        happened = self.faults.happened
        while data := await reader.read(_READ_BYTES):
            if self._heard is not None:
                self._heard(place[0], data, is_from_broker=place[1])
            if self.faults.stall:
                happened["stalled"] += 1
            while self.faults.stall:
                await asyncio.sleep(0.05)
            if self.faults.reset_chance and self._random.random() < self.faults.reset_chance:
                happened["reset"] += 1
                for one in both:
                    _reset(one)
                return
            if self.faults.slices:
                happened["sliced"] += 1
                for start in range(0, len(data), SLICE_BYTES):
                    writer.write(data[start : start + SLICE_BYTES])
                    await writer.drain()
            else:
                writer.write(data)
                await writer.drain()
        for one in both:
            one.close()

    def _cut_all(self) -> None:
        for writer in tuple(self._writers):
            self.faults.happened["reset"] += 1
            _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN: what was on its way is gone."""
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.family != socket.AF_UNIX:
        with contextlib.suppress(OSError):  # closed already, while what it read waits in a stall
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport = writer.transport
    transport.abort()
