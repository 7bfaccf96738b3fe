"""Builders for the simulators' tests: the API served on a port over a real database, and a whole house that runs."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvicorn
from psycopg_pool import ConnectionPool

from runtime.clock import SystemClock
from simulators.recordings import RecordedDevice, RecordedRow, Recording
from storage.people import create_person, issue_token
from tests.app_builders import an_app
from tests.services_builders import REPOSITORY, eventually
from ticketing.actors import Role, RoleHeld

CLOCK = SystemClock()
_plants = itertools.count(1)
LONG_AGO = datetime(2015, 1, 1, 6, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Service:
    """Where the API answers, and a token that may do everything."""

    api: str
    token: str


@contextmanager
def a_service(pool: ConnectionPool) -> Iterator[Service]:
    """Serve the API over the pool's database until the end of the block."""
    with pool.connection() as connection:
        now = CLOCK.now()
        admin = create_person(connection, login="root", name="Root", now=now, roles=[RoleHeld(Role.ADMIN, None)])
        token = issue_token(connection, admin, "tests", now, now + timedelta(days=1))
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(an_app(pool, CLOCK), log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield Service(f"http://127.0.0.1:{listening.getsockname()[1]}", token)
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()


def a_recording(rows: int = 120, devices: int = 2, **more: object) -> Recording:
    """Two presses that send the same level every hour, with nothing else unless asked for.

    Their names are new each time: what a test leaves in the broker must not become another test's data.
    """
    plant = next(_plants)
    named = tuple(
        RecordedDevice(f"PR-{plant}-{number}", f"Press {number}", "press", 3600.0) for number in range(1, devices + 1)
    )
    sent = tuple(
        RecordedRow(LONG_AGO + timedelta(hours=hour), device.name, {"volt": 170.0 + hour % 3, "rotate": 450.0})
        for hour in range(rows)
        for device in named
    )
    content: dict[str, object] = {"errors": (), "replacements": (), "failures": (), **more}
    return Recording("a-recording", named, sent, **content)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class House:
    """A whole house that runs: where it answers, and the folder for what simulators keep."""

    api: str
    token: str
    broker: str
    database: str
    folder: Path

    def addresses(self) -> dict[str, str]:
        """The addresses as the simulators' arguments."""
        return {"api": self.api, "token": self.token, "broker": self.broker}


@contextmanager
def a_house(folder: Path, start_within_s: float = 120.0) -> Iterator[House]:
    """Run `wearsight up` in ``folder`` as a process of its own; its output is shown when it fails."""
    ready, output = folder / "ready.json", folder / "output.txt"
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "runtime.commands", "up"],
            cwd=REPOSITORY,
            env={**os.environ, "WEARSIGHT_DATA_DIR": str(folder / "data"), "WEARSIGHT_READY_FILE": str(ready)},
            stdout=stream,
            stderr=stream,
        )
    try:
        if not eventually(lambda: ready.exists() or process.poll() is not None, within_s=start_within_s):
            raise AssertionError(f"the house did not answer in {start_within_s} s:\n{output.read_text()}")
        if not ready.exists():
            raise AssertionError(f"the house ended with {process.returncode}:\n{output.read_text()}")
        told = json.loads(ready.read_text())
        yield House(told["api"], told["admin_token"], told["broker"], told["database"], folder)
    except BaseException:
        sys.stderr.write(output.read_text(errors="replace")[-20_000:])
        raise
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
