"""Builders for the tests of the embedded services: folders anybody may pass, scripts run apart, processes found."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from runtime.children import Account

REPOSITORY = Path(__file__).resolve().parent.parent
IS_ROOT = os.geteuid() == 0


@contextmanager
def an_open_folder() -> Iterator[Path]:
    """A short folder that every user may pass: pytest's own are closed to the user that root's services drop to."""
    folder = Path(tempfile.mkdtemp(prefix="ws-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def a_script(text: str, *, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Run Python text as a process of its own, its standard output a pipe."""
    return subprocess.Popen(
        [sys.executable, "-c", text],
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), **(environment or {})},
        stdout=subprocess.PIPE,
        text=True,
    )


def in_a_fork_as(account: Account, work: Callable[[], None]) -> str:
    """Do the work in a fork that is nobody but this user; return what went wrong, empty when nothing did."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(account.gid)
            os.setuid(account.uid)
            work()
        except BaseException as error:  # noqa: BLE001 (told to the parent)
            os.write(writing, f"{type(error).__name__}: {error}".encode()[:60_000])
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read().decode()
    os.waitpid(child, 0)
    return told


def processes_of(folder: Path) -> list[int]:
    """The processes whose command line, directory or open locks name the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace")
            opened = [str(link.readlink()) for link in (entry / "fd").iterdir()]
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z" and any(str(folder) in text for text in (words, *opened)):
            found.append(int(entry.name))
    return found


def eventually(claim: Callable[[], bool], *, within_s: float = 20.0) -> bool:
    """Whether the claim comes true in time."""
    deadline = time.monotonic() + within_s  # noqa: TID251 (a test waits in real time)
    while not claim():
        if time.monotonic() > deadline:  # noqa: TID251
            return False
        time.sleep(0.05)
    return True


def kill_hard(pid: int | None) -> None:
    """Kill -9."""
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
