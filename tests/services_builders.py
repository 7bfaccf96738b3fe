"""Builders for the tests of the embedded services: folders anybody may pass, scripts run apart, processes found."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
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


class House:
    """One data directory and the `wearsight up` that runs on it, with these settings."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.settings = {f"WEARSIGHT_{name.upper()}": value for name, value in settings.items()}
        self.folder = folder
        self.data_dir = folder / "data"
        self.ready_file = folder / "ready.json"
        self.output = folder / "output"
        self.first_output = ""
        self.supervisor: subprocess.Popen[bytes] | None = None

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._line(*words),
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def up(self) -> None:
        self.ready_file.unlink(missing_ok=True)
        with self.output.open("wb") as output:
            self.supervisor = subprocess.Popen(
                self._line("up"), cwd=self.folder, env=self._environment(), stdout=output, stderr=output
            )
        assert eventually(self.ready_file.exists, within_s=90), self.output.read_text()
        assert eventually(lambda: "everything answers" in self.output.read_text())
        self.first_output = self.first_output or self.output.read_text()

    def ready(self) -> dict[str, str]:
        return json.loads(self.ready_file.read_text())

    def pid_of(self, part: str) -> int:
        return int(json.loads((self.data_dir / part / "process.json").read_text())["pid"])

    def asks(self, path: str, token: str | None = None) -> int:
        """The status with which the API answers."""
        request = urllib.request.Request(
            self.ready()["api"] + path, headers={"Authorization": f"Bearer {token}"} if token else {}
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.supervisor is not None
        self.supervisor.send_signal(number)
        return self.supervisor.wait(60)

    def _line(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "runtime.commands", *words]

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(REPOSITORY),
            "WEARSIGHT_DATA_DIR": str(self.data_dir),
            "WEARSIGHT_READY_FILE": str(self.ready_file),
            **self.settings,
        }
