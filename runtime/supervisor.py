"""`wearsight up`: database, broker and processes, started in order, kept alive, and stopped in the opposite order.

One supervisor per data directory, by `flock`. Whatever a killed supervisor left behind is found and stopped first
(runtime/children.py). Processes meet only in the database, so a restart of any of them needs nobody's agreement.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from domain.clock import Clock
from ingest.slices import process_of
from runtime.admission import Admission, furnish_broker
from runtime.announcing import NOTIFY_SOCKET, Announcements, announce_ready
from runtime.answering import QUERIES, api_is_well, check_database, http_address, mint_token, process_is_connected
from runtime.broker_access import internal_address
from runtime.broker_probe import parse_broker_url, probe_broker
from runtime.children import AlreadyRunningError, Child, FileLock, ServiceError, signature
from runtime.compiling import PACKAGES, Compiling, where_code_is_kept
from runtime.embedded_broker import LoopbackBroker
from runtime.embedded_postgres import EmbeddedPostgres
from runtime.log_files import keep_short, last_line
from runtime.processes import BEATING, PROCESSES
from runtime.ready import Addresses, forget_addresses, write_addresses, write_ready_file
from runtime.screen import Screen
from runtime.seeding import ADMIN_LOGIN, first_admin_password, seed_house
from runtime.settings import PREFIX, Settings
from storage.database import connect, migrate
from storage.service_alarms import expect

SLICE_VARIABLE = f"{PREFIX}INGEST_SLICE"
TOKEN_NAME = "wearsight up"
APPLICATION_NAME = "wearsight-{}"
_LOCK_FILE = "wearsight.lock"
_PROCESS_ANSWERS_WITHIN_S = 90.0
_LOOK_EVERY_S = 0.25
_BACKOFF_FIRST_S, _BACKOFF_MOST_S = 1.0, 30.0
# A process that ran this long was well: its next end starts the backoff anew.
_WELL_AFTER_S = 60.0
# An embedded server that ends this often without running for a minute in between will not recover by itself.
_SERVER_TRIES = 5


@dataclass(slots=True)
class _Watched:
    """A process of ours and how it fares; times are on the monotonic clock."""

    child: Child
    log: Path
    command: Sequence[str]
    environment: dict[str, str]
    may_end: bool
    announcements: Announcements
    started_s: float = 0.0
    next_start_s: float | None = None
    backoff_s: float = _BACKOFF_FIRST_S


class Supervisor:
    """One run of the house. Use as a context manager: leaving it stops everything."""

    def __init__(
        self, settings: Settings, clock: Clock, screen: Screen, *, processes: Sequence[str] = tuple(PROCESSES)
    ) -> None:
        self._settings = settings
        self._processes = processes
        self._clock = clock
        self._screen = screen
        self._directory = settings.data_dir
        self._lock = FileLock(self._directory / _LOCK_FILE)
        self._postgres: EmbeddedPostgres | None = None
        self._broker: LoopbackBroker | None = None
        self._admission: Admission | None = None
        self._tries = {"database": 0, "broker": 0}
        self._server_started_s = {"database": 0.0, "broker": 0.0}
        self._compiling = Compiling(self._directory, clock, screen)
        self._watched: dict[str, _Watched] = {}
        self._addresses: Addresses | None = None
        self._api_port = 0
        self.admin_password: str | None = None
        self.admin_token = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- starting -----------------------------------------------------------------------------------------------

    def start(self) -> Addresses:
        """Start everything, wait until each part answers, and tell the ready file.

        :raises AlreadyRunningError: when another supervisor has the directory; the text says which.
        :raises ServiceError: when a part does not come up.
        """
        self._take_directory()
        if self._settings.ready_file is not None:
            self._settings.ready_file.unlink(missing_ok=True)
        self._compiling.start()
        database = self._start_database()
        self._furnish(database)
        broker = self._start_broker(database)
        port = self._api_port = self._settings.api_port or self._choose_api_port()
        self._addresses = Addresses(api=http_address(self._settings.api_host, port), broker=broker, database=database)
        environment = self._process_environment(port)
        self._compiling.wait()
        for name, process, own in self._planned():
            self._start_process(name, [sys.executable, "-m", "runtime", process], {**environment, **own})
        for name, _, _ in self._planned():
            with self._screen.step(f"waiting until {name} answers"):
                self._wait_for(name)
        (self._directory / "api-port").write_text(f"{port}\n")
        write_addresses(self._directory, self._addresses)
        if self._settings.ready_file is not None:
            write_ready_file(self._settings.ready_file, self._addresses, self.admin_token)
        announce_ready()
        return self._addresses

    def _planned(self) -> list[tuple[str, str, dict[str, str]]]:
        """Return each process to run: its name, what it runs, and its own variables. The ingester runs once a slice."""
        slices = range(len(self._settings.ingest_slices))
        planned = []
        for process in self._processes:
            if process == "ingest":
                planned += [(process_of(number), process, {SLICE_VARIABLE: str(number)}) for number in slices]
            else:
                planned.append((process, process, {}))
        return planned

    def _take_directory(self) -> None:
        try:
            # Root's services drop to another user, who must be able to pass.
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o711 if os.geteuid() == 0 else 0o700)
            taken = self._lock.acquire()
        except OSError as error:
            raise ServiceError(
                f"The data directory {self._directory} cannot be used: {error.strerror}. "
                "Choose one that this user may write with WEARSIGHT_DATA_DIR."
            ) from error
        if not taken:
            raise AlreadyRunningError(
                f"The data directory {self._directory} is in use by {self._lock.holder()}. "
                "Stop that one, or run a second house in another directory with WEARSIGHT_DATA_DIR."
            )
        self._lock.sign(signature(f"wearsight up, since {self._clock.now():%Y-%m-%d %H:%M:%S} UTC"))
        forget_addresses(self._directory)
        (self._directory / "log").mkdir(exist_ok=True, mode=0o700)

    def _start_database(self) -> str:
        if self._settings.database_url:
            with self._screen.step("reaching your database"):
                check_database(self._settings.database_url)
            return self._settings.database_url
        self._postgres = EmbeddedPostgres(
            self._directory / "postgres", extension_folder=self._settings.extension_folder
        )
        with self._screen.step("starting the embedded PostgreSQL"):
            dsn = self._postgres.start()
        self._server_started_s["database"] = self._clock.monotonic_s()
        if self._postgres.home != self._postgres.directory:
            self._screen.say(f"the database lives in {self._postgres.home}: running as root, it must be reachable")
        return dsn

    def _furnish(self, database: str) -> None:
        with self._screen.step("bringing the schema up to date"):
            migrate(database)
        now = self._clock.now()
        with connect(database) as connection:
            seed_house(connection, now)
            expect(connection, [heart for heart, process in BEATING.items() if process in self._processes], now)
        with connect(database) as connection:
            self.admin_password = first_admin_password(connection, now)
        with connect(database) as connection:
            self.admin_token = mint_token(connection, ADMIN_LOGIN, TOKEN_NAME, self._clock)

    def _start_broker(self, database: str) -> str:
        if self._settings.broker_url:
            with self._screen.step("reaching your broker"):
                refused = probe_broker(self._settings.broker_url)
            if refused is not None:
                shown = parse_broker_url(self._settings.broker_url).shown
                raise ServiceError(f"The broker {shown} does not let us in: {refused}. Look at WEARSIGHT_BROKER_URL.")
            return self._settings.broker_url
        self._broker, reader = furnish_broker(self._settings, database)
        self._admission = Admission(database, reader, self._broker.admit, self._clock, self._screen.trouble)
        with self._screen.step(f"starting the {self._broker.name}"):
            url = self._broker.start()
        self._server_started_s["broker"] = self._clock.monotonic_s()
        return url

    def _choose_api_port(self) -> int:
        """Return the port of the last run while it is free: people keep the console's address."""
        try:
            last = int((self._directory / "api-port").read_text())
        except (OSError, ValueError):
            last = 0
        for port in (last, 0):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((self._settings.api_host, port))
                except OSError:
                    continue
                return int(probe.getsockname()[1])
        raise ServiceError(f"No port can be bound on {self._settings.api_host}. Look at WEARSIGHT_API_HOST.")

    def _process_environment(self, api_port: int, *, is_ours: bool = True) -> dict[str, str]:
        addresses = self.addresses
        broker = internal_address(self._directory, addresses.broker) if is_ours and self._broker else addresses.broker
        settings = self._settings.model_copy(
            update={
                "database_url": addresses.database,
                "broker_url": broker,
                "api_port": api_port,
                # Where the default lies depends on the folder one stands in.
                "data": self._settings.recorded_data(),
            }
        )
        kept = where_code_is_kept(self._directory)
        return {**os.environ, **settings.to_environment(), **kept, "PYTHONUNBUFFERED": "1"}

    def add_helper(self, name: str, command: Sequence[str]) -> None:
        """Run one more command beside the processes: watched like them, but one that ends well is not started again."""
        self._start_process(name, command, self._process_environment(self._api_port, is_ours=False), may_end=True)

    def _start_process(
        self, name: str, command: Sequence[str], environment: dict[str, str], *, may_end: bool = False
    ) -> None:
        directory = self._directory / "processes" / name
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        child = Child(f"process {name}", directory, stop_signals=((signal.SIGTERM, 15.0),), clock=self._clock)
        child.claim()
        log = self._directory / "log" / f"{name}.log"
        keep_short(log)
        announcements = Announcements(directory)
        own = {"PGAPPNAME": APPLICATION_NAME.format(name), NOTIFY_SOCKET: announcements.address}
        self._watched[name] = _Watched(child, log, command, {**environment, **own}, may_end, announcements)
        self._spawn(name)

    def _spawn(self, name: str) -> None:
        watched = self._watched[name]
        watched.started_s, watched.next_start_s = self._clock.monotonic_s(), None
        watched.announcements.forget()
        watched.child.spawn(
            watched.command,
            environment=watched.environment,
            output=watched.log,
            cwd=PACKAGES,
        )

    def _wait_for(self, name: str) -> None:
        watched = self._watched[name]
        deadline = self._clock.monotonic_s() + _PROCESS_ANSWERS_WITHIN_S
        while not self._answers(name):
            if not watched.child.running():
                raise ServiceError(
                    f"The process {name} ended with code {watched.child.exit_code} instead of answering. "
                    f"Its log {watched.log} ends: {last_line(watched.log)}"
                )
            if self._clock.monotonic_s() > deadline:
                raise ServiceError(
                    f"The process {name} did not answer within {_PROCESS_ANSWERS_WITHIN_S:.0f} s. See {watched.log}."
                )
            time.sleep(0.1)

    def _answers(self, name: str) -> bool:
        """Whether the process does its work.

        The API is asked. The others hold a connection of their name to the database. The ingester needs its
        subscriptions at the broker too, for what devices sent before the very first ones would be lost: it says so
        itself.
        """
        if name == "api":
            return api_is_well(self.addresses.api)
        if name.partition("-")[0] == "ingest":
            return self._watched[name].announcements.heard()
        return process_is_connected(self.addresses.database, APPLICATION_NAME.format(name))

    @property
    def holds_directory(self) -> bool:
        """Whether this run got the directory, so that there may be something to stop."""
        return self._lock.held

    @property
    def addresses(self) -> Addresses:
        """Where everything answers.

        :raises RuntimeError: before the servers were started.
        """
        if self._addresses is None:
            raise RuntimeError("the house has not been started")
        return self._addresses

    # -- watching -----------------------------------------------------------------------------------------------

    def watch(self, stop: threading.Event, every_look: Callable[[], None] = lambda: None) -> None:
        """Keep everything alive until ``stop``.

        :raises ServiceError: when an embedded server keeps ending.
        """
        while not stop.wait(_LOOK_EVERY_S):
            self._look_at_servers()
            if self._admission is not None:
                self._admission.look()
            for name, watched in self._watched.items():
                self._look_at_process(name, watched)
            every_look()

    def _look_at_servers(self) -> None:
        for name, server in (("database", self._postgres), ("broker", self._broker)):
            if server is None:
                continue
            if isinstance(server, LoopbackBroker):
                keep_short(server.log)  # a client that is refused tries again and again, a line each time
            if server.exit_code is None:
                continue
            now_s = self._clock.monotonic_s()
            if now_s - self._server_started_s[name] > _WELL_AFTER_S:
                self._tries[name] = 0
            self._tries[name] += 1
            if self._tries[name] > _SERVER_TRIES:
                raise ServiceError(f"The {name} ended {_SERVER_TRIES} times in a row. Its files are in {server.home}.")
            self._screen.trouble(f"the {name} ended ({_how(server.exit_code)}); starting it again")
            server.start()
            self._server_started_s[name] = self._clock.monotonic_s()
            self._screen.say(f"the {name} answers again")

    def _look_at_process(self, name: str, watched: _Watched) -> None:
        now_s = self._clock.monotonic_s()
        keep_short(watched.log)
        if watched.child.running() or (watched.may_end and watched.child.exit_code == 0):
            return
        if watched.next_start_s is None:
            if now_s - watched.started_s > _WELL_AFTER_S:
                watched.backoff_s = _BACKOFF_FIRST_S
            watched.next_start_s = now_s + watched.backoff_s
            self._screen.trouble(
                f"{name} ended ({_how(watched.child.exit_code)}); starting it again in {watched.backoff_s:.0f} s. "
                f"Its log: {watched.log}"
            )
            watched.backoff_s = min(watched.backoff_s * 2, _BACKOFF_MOST_S)
        elif now_s >= watched.next_start_s:
            self._spawn(name)

    # -- stopping -----------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop processes, broker and database, in this order, and give the directory back. Twice is harmless."""
        if self._addresses is not None:
            forget_addresses(self._directory)
            if self._settings.ready_file is not None:
                self._settings.ready_file.unlink(missing_ok=True)
            self._revoke_token()
        self._compiling.stop()
        for watched in self._watched.values():
            watched.child.ask_to_stop()
        for watched in self._watched.values():
            watched.child.stop()
            watched.announcements.close()
        self._watched = {}
        if self._admission is not None:
            self._admission.close()
        for server in (self._broker, self._postgres):
            if server is not None:
                server.stop()
        self._broker = self._postgres = self._addresses = self._admission = None
        self._lock.release()

    def _revoke_token(self) -> None:
        """The token was minted for this run; a database that is gone already has its tokens revoked at the next."""
        try:
            with connect(self.addresses.database) as connection:
                connection.execute(QUERIES["revoke_tokens_of_name"], {"name": TOKEN_NAME, "now": self._clock.now()})
        except psycopg.Error as error:
            self._screen.trouble(f"this run's token could not be revoked ({error}); the next start does it")


def _how(exit_code: int | None) -> str:
    if exit_code is None:
        return "how is not known"
    return f"killed by {signal.Signals(-exit_code).name}" if exit_code < 0 else f"code {exit_code}"
