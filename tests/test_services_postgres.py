"""The embedded PostgreSQL with real kills: nothing committed is lost, nothing foreign is touched, nobody is left."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from runtime import embedded_postgres
from runtime.children import AlreadyRunningError, ServiceError, identify
from runtime.embedded_postgres import EmbeddedPostgres, find_binaries
from runtime.lodging import Lodging, unprivileged_account
from tests.services_builders import IS_ROOT, a_script, an_open_folder, eventually, in_a_fork_as, kill_hard, processes_of

START = """
import sys, time
from pathlib import Path
{before}
from runtime.embedded_postgres import EmbeddedPostgres
server = EmbeddedPostgres(Path({directory!r}))
print(server.start(), flush=True)
print(server.pid, flush=True)
time.sleep(300)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with an_open_folder() as opened:
        yield opened


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedPostgres]:
    embedded = EmbeddedPostgres(folder / "pg")
    yield embedded
    embedded.stop()


def remember(dsn: str, word: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("create table if not exists word (word text)")
        connection.execute("insert into word values (%s)", [word])


def remembered(dsn: str) -> list[str]:
    with psycopg.connect(dsn) as connection:
        return [row[0] for row in connection.execute("select word from word")]


def test_what_was_committed_survives_a_kill_of_the_server(server: EmbeddedPostgres) -> None:
    dsn = server.start()
    remember(dsn, "committed")
    kill_hard(server.pid)
    assert eventually(lambda: server.exit_code is not None)
    assert server.start() == dsn
    assert remembered(dsn) == ["committed"]


def test_what_was_committed_survives_a_clean_stop_and_nobody_is_left(server: EmbeddedPostgres, folder: Path) -> None:
    remember(server.start(), "committed")
    server.stop()
    assert processes_of(folder) == []
    assert not list((folder / "pg" / "socket").iterdir())
    assert remembered(server.start()) == ["committed"]


def test_what_libpq_reads_from_the_environment_changes_nothing(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("PGPORT", "6543"), ("PGUSER", "somebody"), ("PGDATABASE", "other"), ("PGHOST", "/nowhere")):
        monkeypatch.setenv(name, value)
    remember(server.start(), "works")


def test_it_listens_on_no_port_and_only_its_owner_may_enter(server: EmbeddedPostgres, folder: Path) -> None:
    dsn = server.start()
    with psycopg.connect(dsn) as connection:
        assert connection.execute("show listen_addresses").fetchone() == ("",)
        assert connection.execute("show server_encoding").fetchone() == ("UTF8",)
    for private in ("data", "socket"):
        assert stat.S_IMODE((folder / "pg" / private).stat().st_mode) == 0o700


def test_a_second_start_on_one_directory_is_refused_and_told_who_has_it(server: EmbeddedPostgres, folder: Path) -> None:
    dsn = server.start()
    with pytest.raises(AlreadyRunningError, match=f"process {os.getpid()}"):
        EmbeddedPostgres(folder / "pg").start()
    remember(dsn, "the first one goes on")
    assert remembered(dsn)


def test_a_killed_owner_takes_its_server_along(folder: Path) -> None:
    owner = a_script(START.format(before="", directory=str(folder / "pg")))
    assert owner.stdout is not None
    remember(owner.stdout.readline().strip(), "committed")
    owner.kill()
    owner.wait()
    assert eventually(lambda: processes_of(folder) == [])


def test_an_orphan_of_a_killed_owner_is_stopped_and_its_data_kept(folder: Path) -> None:
    """Where the kernel does not pass the owner's death on, the server stays behind."""
    no_death_signal = "import runtime.children; runtime.children._LIBC = None"
    owner = a_script(START.format(before=no_death_signal, directory=str(folder / "pg")))
    assert owner.stdout is not None
    remember(owner.stdout.readline().strip(), "committed")
    orphan = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    assert identify(orphan) is not None
    server = EmbeddedPostgres(folder / "pg")
    try:
        dsn = server.start()
        assert server.pid != orphan
        assert identify(orphan) is None
        assert remembered(dsn) == ["committed"]
    finally:
        server.stop()


def test_a_first_start_that_was_killed_half_way_does_not_count(server: EmbeddedPostgres, folder: Path) -> None:
    unfinished = folder / "pg" / "data.new"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    remember(server.start(), "works")
    assert not unfinished.exists()


def test_a_directory_whose_path_is_too_long_for_a_socket_works(folder: Path) -> None:
    long = folder / ("a-folder-with-a-long-name-" * 4) / "pg"
    long.parent.mkdir()
    long.parent.chmod(0o755)
    server = EmbeddedPostgres(long)
    dsn = server.start()
    try:
        socket_folder = Path(psycopg.conninfo.conninfo_to_dict(dsn)["host"])
        assert len(str(socket_folder)) < 85
        assert stat.S_IMODE(socket_folder.stat().st_mode) == 0o700
        remember(dsn, "works")
        kill_hard(server.pid)
        assert eventually(lambda: server.exit_code is not None)
        assert server.start() == dsn
    finally:
        server.stop()
    assert not socket_folder.exists()


def test_data_of_another_version_is_refused_in_words(server: EmbeddedPostgres, folder: Path) -> None:
    server.start()
    server.stop()
    (folder / "pg" / "data" / "PG_VERSION").write_text("15\n")
    with pytest.raises(ServiceError, match="made by PostgreSQL 15, but the installed server is 18"):
        server.start()
    assert processes_of(folder) == []


def test_an_option_that_the_server_refuses_is_told_in_its_own_words(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "pg", options={"shared_buffers": "lots"})
    with pytest.raises(ServiceError, match="shared_buffers"):
        server.start()
    assert processes_of(folder) == []


def test_extensions_are_loaded_from_a_folder_outside_the_wheel(folder: Path) -> None:
    extension = folder / "files" / "share" / "extension"
    extension.mkdir(parents=True)
    (extension / "greeting.control").write_text("default_version = '1.0'\n")
    (extension / "greeting--1.0.sql").write_text("create function greet() returns text return 'hello';\n")
    server = EmbeddedPostgres(folder / "pg", extension_folder=folder / "files")
    try:
        with psycopg.connect(server.start()) as connection:
            connection.execute("create extension greeting")
            assert connection.execute("select greet()").fetchone() == ("hello",)
    finally:
        server.stop()


@pytest.mark.skipif(not IS_ROOT, reason="left out: not root, so every other test here is the unprivileged case")
def test_it_runs_for_a_user_who_is_not_root(folder: Path) -> None:
    """In a fork, because the interpreter itself may lie where an unprivileged user cannot read it."""
    account = unprivileged_account()
    home = Lodging(folder, account).private_folder("home")
    warm = EmbeddedPostgres(folder / "warm")  # what is imported late is imported now, as root
    warm.start()
    warm.stop()
    programs = find_binaries()
    postgres = Lodging(folder, account).reachable_program(
        programs / "postgres",
        copy_root=programs.parent.parent,
        companions=(programs.parent.parent.parent / "embedded_postgres.libs",),
    )

    def start_and_stop() -> None:
        embedded_postgres.find_binaries = lambda: postgres.parent
        server = EmbeddedPostgres(home / "pg")
        remember(server.start(), "works")
        assert server.home == home / "pg"
        assert identify(server.pid or 0) is not None
        assert (server.home / "data").stat().st_uid == account.uid == os.getuid()
        server.stop()

    assert in_a_fork_as(account, start_and_stop) == ""
    assert processes_of(folder) == []


@pytest.mark.skipif(not IS_ROOT, reason="left out: only root drops to another user")
def test_root_drops_to_an_unprivileged_user(server: EmbeddedPostgres, folder: Path) -> None:
    server.start()
    uids = Path(f"/proc/{server.pid}/status").read_text().partition("Uid:")[2].split()[:4]
    assert set(uids) == {str(pwd.getpwnam("nobody").pw_uid)}
    groups = Path(f"/proc/{server.pid}/status").read_text().partition("Groups:")[2].split("\n")[0].split()
    assert groups in ([], [str(pwd.getpwnam("nobody").pw_gid)])


@pytest.mark.skipif(not IS_ROOT, reason="left out: only root drops to another user")
def test_a_home_that_is_closed_to_others_stays_closed(folder: Path) -> None:
    """Root's data directory in a home of mode 0700: the database lives elsewhere, no permission is touched."""
    home = folder / "home"
    home.mkdir(mode=0o700)
    server = EmbeddedPostgres(home / "project" / "pg")
    try:
        remember(server.start(), "works")
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        assert not server.home.is_relative_to(home)
        assert (home / "project" / "pg" / "lives-in").read_text().strip() == str(server.home)
        server.stop()
        assert remembered(server.start()) == ["works"]
    finally:
        server.stop()
        subprocess.run(["rm", "-rf", str(server.home)], check=True)


def test_the_owner_being_stopped_by_sigterm_is_like_any_death(folder: Path) -> None:
    owner = a_script(START.format(before="", directory=str(folder / "pg")))
    assert owner.stdout is not None
    owner.stdout.readline()
    owner.send_signal(signal.SIGTERM)
    owner.wait()
    assert eventually(lambda: processes_of(folder) == [])


@pytest.mark.skipif(not IS_ROOT, reason="left out: only root drops to another user")
def test_programs_in_a_closed_home_are_copied_to_where_they_can_be_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = folder / "home"
    package = find_binaries().parent.parent
    for source in (package / "pginstall", package.parent / "embedded_postgres.libs"):
        kept = shutil.ignore_patterns("include", "*.a", "pgxs")
        shutil.copytree(source, closed / source.relative_to(package.parent), ignore=kept)
    closed.chmod(0o700)
    monkeypatch.setattr(embedded_postgres, "find_binaries", lambda: closed / "embedded_postgres" / "pginstall" / "bin")
    server = EmbeddedPostgres(folder / "pg")
    try:
        remember(server.start(), "works")
        assert Path(f"/proc/{server.pid}/exe").readlink().is_relative_to(folder / "pg" / "programs")
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
        server.stop()
        assert remembered(server.start()) == ["works"], "the copy is found again"
        assert len(list((folder / "pg" / "programs").iterdir())) == 1
    finally:
        server.stop()
