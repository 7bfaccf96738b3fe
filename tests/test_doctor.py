"""The doctor: says in words what is there and what is wrong, and never changes anything."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from runtime.children import FileLock
from runtime.clock import SystemClock
from runtime.doctor import CHECKS, Line, State, examine
from runtime.embedded_broker import MosquittoBroker, NatsBroker
from runtime.ready import Addresses, write_addresses
from runtime.settings import Settings
from tests.broker_builders import SERVICE, an_access
from tests.services_builders import REPOSITORY, an_open_folder


class SkewedClock(SystemClock):
    """A clock that is ten minutes fast."""

    def now(self) -> datetime:
        return super().now() + timedelta(minutes=10)


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("WEARSIGHT_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def mosquitto() -> Iterator[str]:
    with an_open_folder() as folder:
        server = MosquittoBroker(folder / "broker")
        yield server.start()
        server.stop()


def lines_of(settings: Settings) -> list[Line]:
    return examine(settings, SystemClock())


def problems(lines: list[Line]) -> list[str]:
    return [line.sentence for line in lines if line.state is State.PROBLEM]


def said(lines: list[Line], part: str) -> Line:
    found = [line for line in lines if part in line.sentence]
    assert len(found) == 1, [line.sentence for line in lines]
    return found[0]


def test_on_a_fresh_machine_nothing_is_wrong_and_nothing_is_made(tmp_path: Path) -> None:
    lines = lines_of(Settings.load())
    assert problems(lines) == []
    assert "'wearsight up' makes it" in said(lines, "is not there yet").sentence
    assert said(lines, "The embedded PostgreSQL is").state is State.OK
    assert said(lines, "The embedded broker (NATS) is").state is State.OK
    assert list(tmp_path.iterdir()) == []


def test_a_migrated_database_and_a_broker_are_well(database: str, broker: str) -> None:
    lines = lines_of(Settings.load(database_url=database, broker_url=broker))
    assert problems(lines) == []
    assert said(lines, "The database answers: PostgreSQL 18").state is State.OK
    assert said(lines, "TimescaleDB is not there").state is State.OK
    assert said(lines, "The schema is up to date").state is State.OK
    assert said(lines, "The clocks here and at the database agree").state is State.OK
    assert said(lines, "The broker mqtt://127.0.0.1").state is State.OK
    assert "cannot be seen from here" in said(lines, "does not tell what it drops").sentence


def test_a_schema_that_is_behind_is_a_problem_with_its_remedy(postgres: str) -> None:
    line = said(lines_of(Settings.load(database_url=postgres)), "The schema lacks")
    assert line.state is State.PROBLEM
    assert "wearsight migrate" in line.remedy


def test_clocks_that_differ_are_a_problem(database: str) -> None:
    lines = examine(Settings.load(database_url=database), SkewedClock())
    assert "differ by 600" in said(lines, "The clocks").sentence
    assert said(lines, "The clocks").state is State.PROBLEM


def test_services_that_do_not_answer_are_problems_without_their_passwords() -> None:
    lines = lines_of(
        Settings.load(
            database_url="postgresql://plant:s3cret@127.0.0.1:1/x", broker_url="mqtt://plant:s3cret@127.0.0.1:1"
        )
    )
    assert len(problems(lines)) == 2
    assert "WEARSIGHT_DATABASE_URL" in said(lines, "The database does not answer").remedy
    assert "WEARSIGHT_BROKER_URL" in said(lines, "mqtt://127.0.0.1:1 does not let us in").remedy
    assert not [line for line in lines if "s3cret" in line.sentence]


@pytest.mark.mosquitto
def test_mosquittos_traps_are_named(mosquitto: str) -> None:
    lines = lines_of(Settings.load(broker_url=mosquitto))
    assert "says it is mosquitto version" in said(lines, "answers and says").sentence
    assert "max_queued_messages 1000000" in said(lines, "Mosquitto keeps 1,000 messages").remedy


def test_a_house_that_runs_is_named_with_who_runs_it(tmp_path: Path, database: str, broker: str) -> None:
    settings = Settings.load(data_dir=tmp_path)
    write_addresses(tmp_path, Addresses("http://127.0.0.1:1", broker, database))
    lock = FileLock(tmp_path / "wearsight.lock")
    assert lock.acquire()
    lock.sign("process 4711 (wearsight up)")
    lines = lines_of(settings)
    assert "in use by process 4711" in said(lines, "It is in use").sentence
    assert said(lines, "The database answers").state is State.OK
    lock.release()
    assert "did not end cleanly" in said(lines_of(settings), "The last run").sentence


def test_a_data_directory_that_cannot_be_written_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    lines = lines_of(Settings.load(data_dir=tmp_path / "file"))
    assert said(lines, "cannot be written").state is State.PROBLEM


def test_an_extension_folder_without_extension_files_is_a_problem(tmp_path: Path) -> None:
    line = said(lines_of(Settings.load(extension_folder=tmp_path)), "WEARSIGHT_EXTENSION_FOLDER")
    assert line.state is State.PROBLEM
    assert "share/extension" in line.remedy


def test_timescale_under_the_apache_licence_is_told_apart(database: str) -> None:
    """A database that claims to have the extension: the real one is tested where a real one is given."""
    with psycopg.connect(database) as connection:
        connection.execute("create extension if not exists plpgsql")
        connection.execute("update pg_extension set extname = 'timescaledb' where extname = 'plpgsql'")
        connection.execute(f"alter database {connection.info.dbname} set timescaledb.license = 'apache'")
    assert "Apache licence" in said(lines_of(Settings.load(database_url=database)), "TimescaleDB").sentence


def test_a_broker_that_lets_anybody_in_is_a_problem_where_credentials_are_expected(broker: str) -> None:
    expected = lines_of(Settings.load(broker_url=broker, broker_access="credentials"))
    assert "anybody may speak for any device" in said(expected, "Clients without a name").sentence
    assert said(expected, "Clients without a name").state is State.PROBLEM
    assert said(lines_of(Settings.load(broker_url=broker)), "Clients without a name").state is State.NOTE


def test_a_broker_that_refuses_clients_without_a_name_is_well() -> None:
    with an_open_folder() as folder:
        server = NatsBroker(folder / "broker", access=an_access(), service=SERVICE)
        url = SERVICE.address(server.start())
        try:
            lines = lines_of(Settings.load(broker_url=url, broker_access="credentials"))
        finally:
            server.stop()
    assert said(lines, "Clients without a name are refused").state is State.OK
    assert SERVICE.password not in str(lines)


def test_a_missing_program_is_a_problem_only_where_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.mosquitto_broker.shutil.which", lambda *_arguments, **_options: None)
    assert said(lines_of(Settings.load()), "Mosquitto is not here").state is State.NOTE
    line = said(lines_of(Settings.load(broker="mosquitto")), "The program mosquitto was not found")
    assert line.state is State.PROBLEM
    assert "Install the package mosquitto" in line.remedy


def test_a_check_that_fails_itself_does_not_silence_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_patient: object) -> list[Line]:
        raise ZeroDivisionError("of its own")

    monkeypatch.setitem(CHECKS, "the database", broken)
    lines = lines_of(Settings.load())
    assert said(lines, "The check of the database failed: ZeroDivisionError").state is State.PROBLEM
    assert said(lines, "Python 3.").state is State.OK


@pytest.mark.parametrize(("address", "code"), [("", 0), ("mqtt://127.0.0.1:1", 1)])
def test_the_exit_code_is_1_when_something_is_wrong(tmp_path: Path, address: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "runtime.commands", "doctor"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "WEARSIGHT_BROKER_URL": address},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == code, done.stdout
    assert "Traceback" not in done.stdout + done.stderr
