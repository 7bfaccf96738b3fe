"""Children of the supervisor: who may stop what, and how they end, with real processes."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.announcing import NOTIFY_SOCKET, Announcements, announce_ready
from runtime.children import AlreadyRunningError, Child, FileLock, ServiceError, identify
from tests.services_builders import a_script, eventually

SLEEP = [sys.executable, "-c", "import time; time.sleep(300)"]
DEAF = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(300)",
]
OWNER = """
import sys, time
from pathlib import Path
{before}
from runtime.children import Child
folder = Path({directory!r})
child = Child("sleeper", folder)
child.claim()
child.spawn([sys.executable, "-c", "import time; time.sleep(300)"], environment={{}}, output=folder / "log")
print(child.pid, flush=True)
time.sleep(300)
"""
NO_DEATH_SIGNAL = "import runtime.children; runtime.children._LIBC = None"


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    sleeper = Child("sleeper", tmp_path, patience_s=0.5)
    yield sleeper
    sleeper.stop()


@pytest.fixture
def innocent() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with us."""
    process = subprocess.Popen(SLEEP)
    yield process
    process.kill()
    process.wait()


def start(child: Child, directory: Path, command: list[str] | None = None) -> int:
    child.claim()
    child.spawn(command or SLEEP, environment={}, output=directory / "log")
    assert child.pid is not None
    return child.pid


def test_a_stopped_child_is_gone_and_the_directory_is_free(child: Child, tmp_path: Path) -> None:
    pid = start(child, tmp_path)
    child.stop()
    assert identify(pid) is None
    Child("sleeper", tmp_path).claim()


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    child = Child("sleeper", tmp_path, stop_signals=((signal.SIGTERM, 0.3),))
    pid = start(child, tmp_path, DEAF)
    assert eventually(lambda: "deaf" in (tmp_path / "log").read_text())
    child.stop()
    assert identify(pid) is None


def test_ctrl_c_in_the_terminal_does_not_reach_a_child(child: Child, tmp_path: Path) -> None:
    """It goes to the terminal's process group; the supervisor stops things in order instead."""
    pid = start(child, tmp_path)
    assert os.getsid(pid) == pid != os.getsid(0)
    assert os.getpgid(pid) != os.getpgid(0)


def test_a_directory_has_one_owner_and_the_next_is_told_who(child: Child, tmp_path: Path) -> None:
    start(child, tmp_path)
    with pytest.raises(AlreadyRunningError, match=f"already run by process {os.getpid()}"):
        Child("sleeper", tmp_path).claim()
    assert child.running()


def test_the_owners_kill_reaches_the_child(tmp_path: Path) -> None:
    owner = a_script(OWNER.format(before="", directory=str(tmp_path)))
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    assert eventually(lambda: identify(pid) is None)


def test_an_orphan_is_stopped_by_the_next_owner(child: Child, tmp_path: Path) -> None:
    owner = a_script(OWNER.format(before=NO_DEATH_SIGNAL, directory=str(tmp_path)))
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    assert identify(pid) is not None
    child.claim()
    assert identify(pid) is None


def test_a_reused_pid_is_never_signalled(child: Child, tmp_path: Path, innocent: subprocess.Popen[bytes]) -> None:
    """The record names a pid that by now belongs to somebody else, while something holds the lock."""
    (tmp_path / "process.json").write_text(json.dumps({"pid": innocent.pid, "started": "another time"}))
    with (tmp_path / "process.lock").open("w") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(ServiceError, match="not the sleeper that was recorded there, so it was left alone"):
            child.claim()
    assert innocent.poll() is None
    child.claim()  # the refusal held nothing back


def test_a_stale_record_without_a_living_process_is_no_reason_to_wait(
    child: Child, tmp_path: Path, innocent: subprocess.Popen[bytes]
) -> None:
    """Even the right identity is not signalled when nobody holds the lock: our child is gone."""
    identity = identify(innocent.pid)
    assert identity is not None
    (tmp_path / "process.json").write_text(json.dumps({"pid": identity.pid, "started": identity.started}))
    child.claim()
    assert innocent.poll() is None


def test_a_garbled_record_is_no_record(child: Child, tmp_path: Path) -> None:
    (tmp_path / "process.json").write_text('{"pid": "')
    child.claim()


def test_what_the_child_forked_counts_as_running(child: Child, tmp_path: Path) -> None:
    forks = "import os, time\nif os.fork() == 0: time.sleep(2)"
    start(child, tmp_path, [sys.executable, "-c", forks])
    assert eventually(lambda: child.exit_code == 0)
    with pytest.raises(ServiceError, match="does not end"):
        child.spawn(SLEEP, environment={}, output=tmp_path / "log")


def test_a_program_that_is_not_there_is_told_in_words(child: Child, tmp_path: Path) -> None:
    child.claim()
    with pytest.raises(ServiceError, match="could not be started from /no/such/program"):
        child.spawn(["/no/such/program"], environment={}, output=tmp_path / "log")


def test_a_lock_file_is_never_followed_to_somewhere_else(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("keep me")
    (tmp_path / "lock").symlink_to(tmp_path / "target")
    with pytest.raises(OSError):
        FileLock(tmp_path / "lock").acquire()
    assert (tmp_path / "target").read_text() == "keep me"


@pytest.mark.parametrize("name", ["short", "a-very-long-name-" * 8])
def test_ready_is_heard_once_it_is_said_and_forgotten_at_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / name).mkdir()
    announcements = Announcements(tmp_path / name)
    try:
        assert not announcements.heard()
        monkeypatch.setenv(NOTIFY_SOCKET, announcements.address)
        announce_ready()
        announce_ready()
        assert announcements.heard()
        assert announcements.heard()
        announcements.forget()
        assert not announcements.heard()
    finally:
        announcements.close()
    announce_ready()  # nobody listens any more: no error
    assert not Path(announcements.address).exists()


def test_the_socket_of_a_killed_run_is_replaced(tmp_path: Path) -> None:
    first = Announcements(tmp_path)
    Announcements(tmp_path).close()
    first.close()
