"""`wearsight up`, the real command with real servers: it comes up, survives kills, refuses a second one, ends clean.

One house is shared; a test that needs it running starts it again where another ended it.
"""

from __future__ import annotations

import io
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from rich.console import Console

from runtime.broker_probe import probe_broker
from runtime.children import identify
from runtime.clock import SystemClock
from runtime.compiling import Compiling
from runtime.screen import Screen
from tests.services_builders import House, an_open_folder, eventually, kill_hard, processes_of

PROCESSES = ("ingest", "desk", "relay", "jobs", "api")


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with an_open_folder() as folder:
        started = House(folder)
        try:
            started.up()
            yield started
        finally:
            if started.supervisor is not None and started.supervisor.poll() is None:
                started.end()


@pytest.fixture
def running(house: House) -> House:
    """The house, started again where a test ended it."""
    if house.supervisor is None or house.supervisor.poll() is not None:
        house.up()
    assert eventually(lambda: house.asks("/api/v1/health") == 200, within_s=40), house.output.read_text()
    return house


def remember(house: House, word: str) -> None:
    with psycopg.connect(house.ready()["database"]) as connection:
        connection.execute("create table if not exists word (word text)")
        connection.execute("insert into word values (%s)", [word])


def remembers(house: House, word: str) -> bool:
    with psycopg.connect(house.ready()["database"]) as connection:
        return connection.execute("select 1 from word where word = %s", [word]).fetchone() is not None


def test_the_ready_file_is_private_and_everything_it_names_answers(running: House) -> None:
    ready = running.ready()
    assert set(ready) == {"api", "broker", "database", "admin_token"}
    assert stat.S_IMODE(running.ready_file.stat().st_mode) == 0o600
    assert running.asks("/api/v1/health") == 200
    assert running.asks("/api/v1/me", ready["admin_token"]) == 200
    assert running.asks("/api/v1/me") == 401
    assert probe_broker(ready["broker"]) is None


def test_the_first_run_shows_the_admin_once_and_one_line_per_address(running: House) -> None:
    lines = running.first_output.splitlines()
    for name in ("Console", "API", "Broker", "Database"):
        assert len([line for line in lines if line.split()[:1] == [name]]) == 1
    password = re.search(r"login\s+admin.*password\s+(\S+)", running.first_output, re.DOTALL)
    assert password is not None
    request = urllib.request.Request(
        running.ready()["api"] + "/api/v1/session",
        data=json.dumps({"login": "admin", "password": password[1]}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status in (200, 201, 204)


def test_a_second_up_on_one_directory_is_refused_and_told_who_has_it(running: House) -> None:
    assert running.supervisor is not None
    refused = running.command("up")
    assert refused.returncode == 1
    assert f"in use by process {running.supervisor.pid} (wearsight up, since" in refused.stdout
    assert "Traceback" not in refused.stdout + refused.stderr
    assert running.ready_file.exists()
    assert running.asks("/api/v1/health") == 200


def test_the_doctor_finds_the_running_house_well(running: House) -> None:
    looked = running.command("doctor")
    assert looked.returncode == 0, looked.stdout
    assert "It is in use by process" in looked.stdout
    assert "The schema is up to date" in looked.stdout


def test_a_password_is_set_from_the_command_line(running: House) -> None:
    told = running.command("passwd", "planner", "--generate")
    assert told.returncode == 0, told.stdout
    assert "planner has a new password" in told.stdout
    assert "Nobody active has the login 'ghost'" in running.command("passwd", "ghost", "--generate").stdout


@pytest.mark.parametrize("name", PROCESSES)
def test_a_killed_process_is_started_again(running: House, name: str) -> None:
    before = running.pid_of(f"processes/{name}")
    kill_hard(before)
    assert eventually(lambda: running.pid_of(f"processes/{name}") != before)
    assert f"{name} ended (killed by SIGKILL); starting it again" in running.output.read_text()


def test_a_killed_database_comes_back_with_what_was_committed(running: House) -> None:
    remember(running, "before the kill")
    before = running.pid_of("postgres")
    kill_hard(before)
    assert eventually(lambda: running.pid_of("postgres") != before)
    assert eventually(lambda: "the database answers again" in running.output.read_text())
    assert remembers(running, "before the kill")
    assert eventually(lambda: running.asks("/api/v1/health") == 200)


def test_a_killed_broker_comes_back_at_its_address(running: House) -> None:
    before = running.pid_of("broker-nats")
    kill_hard(before)
    assert eventually(lambda: running.pid_of("broker-nats") != before)
    assert eventually(lambda: probe_broker(running.ready()["broker"]) is None)


@pytest.mark.slow
def test_a_killed_supervisor_leaves_nobody_and_the_next_run_continues(running: House) -> None:
    remember(running, "before the supervisor was killed")
    before = running.ready()
    running.end(signal.SIGKILL)
    assert eventually(lambda: processes_of(running.data_dir) == [])
    running.up()
    after = running.ready()
    assert remembers(running, "before the supervisor was killed")
    assert (after["api"], after["broker"]) == (before["api"], before["broker"])
    assert "login     admin" not in running.output.read_text()
    assert running.asks("/api/v1/me", before["admin_token"]) == 401, "the killed run's token was not revoked"
    assert running.asks("/api/v1/me", after["admin_token"]) == 200


def test_sigterm_stops_everything_and_leaves_nobody(running: House) -> None:
    seen = [running.pid_of(part) for part in ("postgres", "broker-nats", *(f"processes/{name}" for name in PROCESSES))]
    began = time.monotonic()  # noqa: TID251 (a test measures real time)
    assert running.end(signal.SIGTERM) == 0, running.output.read_text()
    assert time.monotonic() - began < 20  # noqa: TID251
    assert processes_of(running.data_dir) == []
    assert [pid for pid in seen if identify(pid) is not None] == []
    assert not running.ready_file.exists()
    assert not (running.data_dir / "addresses.json").exists()
    assert "Traceback" not in running.output.read_text()


def test_asked_to_stop_while_starting_it_stops(house: House) -> None:
    if house.supervisor is not None and house.supervisor.poll() is None:
        house.end()
    with house.output.open("wb") as output:
        house.supervisor = subprocess.Popen(
            house._line("up"), cwd=house.folder, env=house._environment(), stdout=output, stderr=output
        )
    assert eventually(lambda: "starting the embedded" in house.output.read_text())
    assert house.end(signal.SIGINT) == 0
    assert "asked to stop while starting" in house.output.read_text()
    assert processes_of(house.data_dir) == []
    assert "Traceback" not in house.output.read_text()


def test_what_is_compiled_ahead_is_all_that_ingest_would_compile() -> None:
    ahead = subprocess.run([sys.executable, "-m", "runtime.compiling"], capture_output=True, text=True, check=False)
    assert ahead.returncode == 0, ahead.stderr
    what_ingest_does = "from detectors import trial; from ingest import stencils; trial.warm_up(); stencils.warm_up()"
    told = subprocess.run(
        [sys.executable, "-c", what_ingest_does],
        env={**os.environ, "NUMBA_DEBUG_CACHE": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "data loaded from" in told
    assert "data saved to" not in told


def test_detectors_that_do_not_compile_ahead_are_told_and_stop_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "numba.py").write_text("raise ImportError('this machine has no compiler')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    shown = io.StringIO()
    compiling = Compiling(tmp_path, SystemClock(), Screen(SystemClock(), Console(file=shown, width=400)))
    compiling.start()
    compiling.wait()
    assert "the detectors were not compiled ahead" in shown.getvalue()
    assert str(tmp_path / "log" / "compiling.log") in shown.getvalue()


def test_your_own_database_and_broker_are_used(house: House, database: str, broker: str) -> None:
    own = House(house.folder / "own")
    own.folder.mkdir()
    environment = {**own._environment(), "WEARSIGHT_DATABASE_URL": database, "WEARSIGHT_BROKER_URL": broker}
    with own.output.open("wb") as output:
        own.supervisor = subprocess.Popen(
            own._line("up"), cwd=own.folder, env=environment, stdout=output, stderr=output
        )
    assert eventually(own.ready_file.exists, within_s=90), own.output.read_text()
    assert (own.ready()["database"], own.ready()["broker"]) == (database, broker)
    assert own.asks("/api/v1/health") == 200
    assert not (own.data_dir / "postgres").exists()
    assert own.end(signal.SIGINT) == 0, "Ctrl-C ends it well"
    assert probe_broker(broker) is None


def test_a_database_that_does_not_answer_is_told_in_words(house: House) -> None:
    other = House(house.folder / "none")  # of its own, the ready file too
    other.folder.mkdir()
    environment = {**other._environment(), "WEARSIGHT_DATABASE_URL": "host=127.0.0.1 port=1 password=s3cret"}
    done = subprocess.run(
        other._line("up"), cwd=other.folder, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "The database that WEARSIGHT_DATABASE_URL names does not answer" in done.stdout
    assert "s3cret" not in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
