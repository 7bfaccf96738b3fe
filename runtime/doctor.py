"""`wearsight doctor`: what is there and what is wrong, in words, each with what to do about it.

A check looks and never changes anything; each is a function in `CHECKS` that returns its lines. One that fails in
an unforeseen way is reported as a problem of its own, so that the others still speak.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psycopg

from domain.clock import Clock
from ingest.slices import partition_of, unheard
from runtime.broker_access import internal_address
from runtime.broker_probe import parse_broker_url, probe_broker
from runtime.broker_traps import broker_traps
from runtime.children import FileLock, ServiceError
from runtime.embedded_broker import find_mosquitto, find_nats
from runtime.embedded_postgres import find_binaries
from runtime.ready import read_addresses
from runtime.settings import Settings
from storage import checkpoints
from storage.database import Server, connect, detect_server, pending_migrations

_OLDEST_PYTHON = (3, 11)
_LITTLE_DISK_BYTES, _NO_DISK_BYTES = 5 * 1024**3, 500 * 1024**2
_CLOCK_SKEW_S = 2.0
# pg_settings.server_version_num: numeric major * 10000.
_OLDEST_POSTGRES, _OLDEST_POSTGRES_NAME = 160000, "16"
_CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")


class State(StrEnum):
    """How a thing stands. Only a problem makes the doctor's exit code 1."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the doctor: how it stands, a sentence, and what to do (empty when nothing is to be done)."""

    state: State
    sentence: str
    remedy: str = ""


def _ok(sentence: str) -> Line:
    return Line(State.OK, sentence)


def _note(sentence: str, remedy: str = "") -> Line:
    return Line(State.NOTE, sentence, remedy)


def _problem(sentence: str, remedy: str) -> Line:
    return Line(State.PROBLEM, sentence, remedy)


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined: the settings, the clock, and where the services answer (None: nothing is running)."""

    settings: Settings
    clock: Clock
    database: str | None
    broker: str | None


def examine(settings: Settings, clock: Clock) -> list[Line]:
    """Run every check and return its lines."""
    running = read_addresses(settings.data_dir)
    patient = Patient(
        settings,
        clock,
        settings.database_url or (running.database if running else None),
        settings.broker_url or (internal_address(settings.data_dir, running.broker) if running else None),
    )
    lines: list[Line] = []
    for name, check in CHECKS.items():
        try:
            lines += check(patient)
        except Exception as error:  # noqa: BLE001 (the top of a check: what it could not do is itself a finding)
            lines.append(
                _problem(f"The check of {name} failed: {type(error).__name__}: {error}.", "Please report this.")
            )
    return lines


def _check_python(_patient: Patient) -> list[Line]:
    found = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < _OLDEST_PYTHON:
        return [_problem(f"{found}; 3.11 or later is needed.", "Install a newer Python.")]
    lines = [_ok(f"{found}.")]
    if sys.platform != "linux":
        lines.append(_note("Developed and tested on Linux; elsewhere a killed supervisor is cleaned up at next start."))
    try:
        lines.append(_ok(f"Wearsight {version('wearsight')} is installed."))
    except PackageNotFoundError:
        lines.append(_note("Wearsight runs from its source folder.", "Install it with 'pip install -e .'."))
    return lines


def _check_programs(patient: Patient) -> list[Line]:
    lines = []
    finders: list[tuple[str, Callable[[], Path], bool]] = [
        ("The embedded PostgreSQL", lambda: find_binaries() / "postgres", patient.settings.database_url is None),
        (
            "The embedded broker (NATS)",
            find_nats,
            patient.settings.broker_url is None and patient.settings.broker == "nats",
        ),
        ("Mosquitto", find_mosquitto, patient.settings.broker_url is None and patient.settings.broker == "mosquitto"),
    ]
    for name, find, needed in finders:
        try:
            lines.append(_ok(f"{name} is {find()}."))
        except ServiceError as error:
            sentence, _, remedy = str(error).partition(". ")
            lines.append(
                _problem(f"{sentence}.", remedy) if needed else _note(f"{name} is not here, and not needed as set.")
            )
    return lines


def _check_browser(_patient: Patient) -> list[Line]:
    found = next(filter(None, map(shutil.which, _CHROMIUM_NAMES)), None)
    if found is None:
        return [_note("Chromium is not here: browser tests are left out; the service does not need it.")]
    return [_ok(f"Chromium for the browser tests is {found}.")]


def _check_directory(patient: Patient) -> list[Line]:
    folder = patient.settings.data_dir
    remedy = "Name a folder that this user may write with WEARSIGHT_DATA_DIR."
    if not folder.exists():
        parent = next(parent for parent in folder.parents if parent.exists())
        if not os.access(parent, os.W_OK | os.X_OK):
            return [_problem(f"The data directory {folder} cannot be made: {parent} is not writable.", remedy)]
        return [_note(f"The data directory {folder} is not there yet; 'wearsight up' makes it."), _disk(parent)]
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        return [_problem(f"The data directory {folder} cannot be written.", remedy)]
    lines = [_ok(f"The data directory is {folder}."), _disk(folder)]
    lock = FileLock(folder / "wearsight.lock")
    if lock.path.exists():
        if lock.acquire():
            lock.release()
        else:
            return [*lines, _ok(f"It is in use by {lock.holder()}.")]
    if read_addresses(folder) is not None:
        lines.append(_note("The last run did not end cleanly.", "Nothing to do: the next 'wearsight up' recovers."))
    else:
        lines.append(_note("No house runs in it.", "Start one with 'wearsight up'."))
    return lines


def _disk(folder: Path) -> Line:
    free = shutil.disk_usage(folder).free
    sentence = f"{free / 1024**3:.1f} GiB are free where the data lies."
    if free < _NO_DISK_BYTES:
        return _problem(sentence, "Free some: a full disk stops the database.")
    return (
        _note(sentence, "A plant with 1,000 values a second stores about 8 GB a day.")
        if (free < _LITTLE_DISK_BYTES)
        else _ok(sentence)
    )


def _check_extension(patient: Patient) -> list[Line]:
    folder = patient.settings.extension_folder
    if folder is None:
        return []
    control = folder / "share" / "extension" / "timescaledb.control"
    if not control.exists():
        return [
            _problem(
                f"WEARSIGHT_EXTENSION_FOLDER is {folder}, but there is no {control.relative_to(folder)} in it.",
                "It must hold share/extension/*.control, *.sql and lib/*.so for the embedded server's version.",
            )
        ]
    return [_ok(f"TimescaleDB files for the embedded server are in {folder}.")]


def _check_database(patient: Patient) -> list[Line]:
    if patient.database is None:
        return [_note("The database was not looked at: none is set and none runs.")]
    try:
        with connect(patient.database) as connection:
            return _look_into_database(connection, patient)
    except psycopg.Error as error:
        return [
            _problem(
                f"The database does not answer: {str(error).strip().splitlines()[-1]}.",
                "Look at WEARSIGHT_DATABASE_URL, and whether the server runs.",
            )
        ]


def _look_into_database(connection: psycopg.Connection, patient: Patient) -> list[Line]:
    number = connection.info.server_version
    name = f"PostgreSQL {number // 10000}.{number % 10000}"
    lines = [_ok(f"The database answers: {name}.")]
    if number < _OLDEST_POSTGRES:
        lines = [_problem(f"The database is {name}.", f"PostgreSQL {_OLDEST_POSTGRES_NAME} or later is needed.")]
    lines.append(_SERVERS[detect_server(connection)])
    pending = pending_migrations(str(patient.database))
    if pending:
        lines.append(
            _problem(
                f"The schema lacks {len(pending)} migrations ({pending[0]} to {pending[-1]}).",
                "Run 'wearsight migrate', or 'wearsight up', which does it too.",
            )
        )
    else:
        lines.append(_ok("The schema is up to date."))
    # Half of the way there and back is the best guess of when the server looked at its clock.
    before = patient.clock.now()
    row = connection.execute("select clock_timestamp()").fetchone()
    after = patient.clock.now()
    skew_s = abs((row[0] - (before + (after - before) / 2)).total_seconds()) if row else 0.0
    if skew_s > _CLOCK_SKEW_S:
        lines.append(
            _problem(f"The clocks here and at the database differ by {skew_s:.1f} s.", "Synchronise both with NTP.")
        )
    else:
        lines.append(_ok("The clocks here and at the database agree."))
    return lines


def _check_slices(patient: Patient) -> list[Line]:
    if patient.database is None:
        return []
    slices = patient.settings.ingest_slices
    try:
        with connect(patient.database) as connection:
            sites, beats = checkpoints.registered_sites(connection), checkpoints.beats(connection)
    except psycopg.Error:
        return []  # the check of the database says what is wrong
    deaf = unheard(slices, sites)
    known = {partition_of(number) for number in range(len(slices))}
    left = [beat.partition for beat in beats if beat.partition.startswith("mqtt-") and beat.partition not in known]
    lines = []
    if deaf:
        lines.append(
            _problem(
                f"No slice hears {', '.join(deaf)}: what their devices send is not taken from the broker.",
                'Name them in WEARSIGHT_INGEST_SLICES, or have one slice hear the rest with "*".',
            )
        )
    if left:
        lines.append(
            _note(
                f"There was a slice for {', '.join(left)}; its session at the broker may hold messages.",
                "If it was not run with an empty list in its place once, do so: docs/operations.md, Several ingesters.",
            )
        )
    by = "the one slice" if len(slices) == 1 else f"one of {len(slices)} slices"
    return lines or [_ok(f"Every site is heard by {by}.")]


_SERVERS = {
    Server.TIMESCALE: _ok("TimescaleDB with its community licence does the rollups and the retention."),
    Server.TIMESCALE_APACHE: _note(
        "TimescaleDB is there under the Apache licence, without rollups and retention; we do them ourselves.",
        "The community edition does them better.",
    ),
    Server.PLAIN: _ok("TimescaleDB is not there: plain daily partitions are used. That is fine for one plant."),
}


def _check_broker(patient: Patient) -> list[Line]:
    if patient.broker is None:
        return [_note("The broker was not looked at: none is set and none runs.")]
    shown = parse_broker_url(patient.broker).shown
    refused = probe_broker(patient.broker)
    if refused is not None:
        return [
            _problem(
                f"The broker {shown} does not let us in: {refused}.",
                "Look at WEARSIGHT_BROKER_URL, its user and password, and whether the broker runs.",
            )
        ]
    traps = broker_traps(patient.broker)
    return [
        _who_is_let_in(patient, shown),
        _ok(f"The broker {shown} answers{f' and says it is {traps.version}' if traps.version else ''}."),
        *(_problem(trap.sentence, trap.remedy) for trap in traps.seen),
        *(_note(trap.sentence, trap.remedy) for trap in traps.unseen),
    ]


def _who_is_let_in(patient: Patient, address: str) -> Line:
    """Knock without a name and compare with what is meant. Nothing is published: a device would be spoken for."""
    is_let_in = probe_broker(address) is None
    if patient.settings.broker_is_open():
        if is_let_in:
            return _note(
                "Clients without a name are let in and may speak for any device, as it is set.",
                "Set WEARSIGHT_BROKER_ACCESS=credentials once every device has a credential.",
            )
        return _note("Clients without a name are refused, although they are not meant to be.")
    if is_let_in:
        return _problem(
            "Clients without a name are let in, while credentials are expected: anybody may speak for any device.",
            "Turn it off at the broker; 'wearsight broker-setup' writes settings, users and rules. docs/broker.md.",
        )
    return _ok("Clients without a name are refused.")


def _check_recorded_data(patient: Patient) -> list[Line]:
    folder = patient.settings.recorded_data()
    if folder is None:
        return [
            _note(
                "There is no folder of recorded data: replay and its tests are left out.",
                "See 'wearsight datasets', then set WEARSIGHT_DATA.",
            )
        ]
    return [_ok(f"Recorded data is in {folder}.")]


CHECKS: dict[str, Callable[[Patient], list[Line]]] = {
    "Python": _check_python,
    "programs": _check_programs,
    "the data directory": _check_directory,
    "extension files": _check_extension,
    "the database": _check_database,
    "the broker": _check_broker,
    "the slices": _check_slices,
    "recorded data": _check_recorded_data,
    "the browser": _check_browser,
}
