"""One child process of ours: claimed, spawned, watched and stopped so that none is ever left behind.

Two locks guard a child's directory, both `flock`, so the kernel drops them however a process ends:

* ``owner.lock`` is held by the process that runs the child. Whoever cannot get it is told who has it.
* ``process.lock`` is inherited by the child (and by what it forks). While it is held something still runs, whatever
  a pid file says. An owner that finds it held has found the orphan of an owner that was killed.

An orphan is only ever signalled when its pid *and* its start time are the recorded ones: pids are reused.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from domain.clock import Clock
from runtime.clock import SystemClock

_PR_SET_PDEATHSIG = 1
_POLL_S = 0.02
# Loaded before any fork: the child may not import or allocate much between fork and exec.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class ServiceError(Exception):
    """A service cannot be started or stopped. The text says what came, what was expected and what to do."""


class AlreadyRunningError(ServiceError):
    """Somebody else holds the directory; the text says who."""


@dataclass(frozen=True, slots=True)
class Account:
    """The unprivileged user that root drops to."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Identity:
    """A process told apart from a later one with the same pid by when it started."""

    pid: int
    started: str


def identify(pid: int) -> Identity | None:
    """Return the identity of a live process, None when there is none (a zombie does not count)."""
    if pid <= 0:
        return None
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except (OSError, ValueError):
            return None
        # The name in parentheses may hold anything, so count fields after the last closing one.
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else Identity(pid, f"{boot}:{fields[19]}")
    answer = subprocess.run(
        ["ps", "-p", str(pid), "-o", "stat=", "-o", "lstart="], capture_output=True, text=True, check=False
    ).stdout.split(maxsplit=1)
    return Identity(pid, answer[1].strip()) if len(answer) == 2 and not answer[0].startswith("Z") else None


class FileLock:
    """An exclusive `flock` on a file that tells who holds it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None

    @property
    def held(self) -> bool:
        """Whether we hold it."""
        return self._file is not None

    def acquire(self) -> bool:
        """Try to take the lock; False when somebody (also in this process) holds it."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        file = os.fdopen(descriptor, "r+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._file = file
        return True

    def sign(self, text: str) -> None:
        """Write who holds it."""
        file = self.file()
        file.seek(0)
        file.truncate()
        file.write(text)
        file.flush()

    def file(self) -> IO[str]:
        """Return the open file.

        :raises RuntimeError: when the lock is not held.
        """
        if self._file is None:
            raise RuntimeError(f"the lock {self.path} is not held")
        return self._file

    def release(self) -> None:
        """Let go. A child that inherited the descriptor goes on holding the lock."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def holder(self) -> str:
        """Return what the holder signed with."""
        try:
            return self.path.read_text().strip() or "an unknown process"
        except OSError:
            return "an unknown process"


def signature(what: str) -> str:
    """Return the words with which this process signs a lock."""
    return f"process {os.getpid()} ({what})"


class Child:
    """One child process that runs in ``directory`` and dies with us.

    Spawn and stop from the main thread only: on Linux the kernel's parent-death signal follows the *thread* that
    forked. ``stop_signals`` are tried in order, each with its patience in seconds; the last resort is SIGKILL.
    ``patience_s`` is how long what still holds the process lock may take to go before we give up.
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        *,
        stop_signals: Sequence[tuple[signal.Signals, float]] = ((signal.SIGTERM, 10.0),),
        clock: Clock | None = None,
        patience_s: float = 15.0,
    ) -> None:
        self.name = name
        self.directory = directory
        self._stop_signals = tuple(stop_signals)
        self._clock: Clock = clock or SystemClock()
        self._patience_s = patience_s
        self._owner = FileLock(directory / "owner.lock")
        self._alive = FileLock(directory / "process.lock")
        self._record = directory / "process.json"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The child's pid while it runs, else None."""
        return self._process.pid if self.running() and self._process is not None else None

    @property
    def exit_code(self) -> int | None:
        """How the child ended (negative: by that signal), None while it runs or before it was spawned."""
        return self._process.poll() if self._process is not None else None

    def running(self) -> bool:
        """Whether the child is alive."""
        return self._process is not None and self._process.poll() is None

    def claim(self) -> None:
        """Become the directory's owner and deal with the orphan of an earlier owner that was killed.

        :raises AlreadyRunningError: when another owner lives.
        :raises ServiceError: when something still runs here that is not provably ours to stop.
        """
        if not self._owner.acquire():
            raise AlreadyRunningError(
                f"The {self.name} in {self.directory} is already run by {self._owner.holder()}. "
                "Stop that one first, or choose another directory with WEARSIGHT_DATA_DIR."
            )
        self._owner.sign(signature(self.name))
        try:
            self._stop_orphan()
        except BaseException:
            self._owner.release()
            raise

    def _stop_orphan(self) -> None:
        if self._nothing_runs(0.0):
            return
        identity = self._recorded()
        if identity is not None:
            for number, patience_s in (*self._stop_signals, (signal.SIGKILL, 5.0)):
                if identify(identity.pid) != identity:
                    break
                with contextlib.suppress(ProcessLookupError):
                    os.kill(identity.pid, number)
                if self._nothing_runs(patience_s):
                    return
        # What it forked outlives a killed child for a moment; the lock is free when the last of them is gone.
        if not self._nothing_runs(self._patience_s):
            raise ServiceError(
                f"Something still runs in {self.directory} and holds {self._alive.path.name}, but it is not the "
                f"{self.name} that was recorded there, so it was left alone. Find it with "
                f"'fuser {self._alive.path}', stop it, and start again."
            )

    def _nothing_runs(self, patience_s: float) -> bool:
        deadline = self._clock.monotonic_s() + patience_s
        while True:
            if self._alive.acquire():
                self._alive.release()
                return True
            if self._clock.monotonic_s() >= deadline:
                return False
            time.sleep(_POLL_S)

    def _recorded(self) -> Identity | None:
        try:
            record = json.loads(self._record.read_text())
            return Identity(int(record["pid"]), str(record["started"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def spawn(
        self,
        command: Sequence[str | Path],
        *,
        environment: Mapping[str, str],
        output: Path,
        account: Account | None = None,
        cwd: Path = Path("/"),
    ) -> None:
        """Start the child, with standard output and error appended to ``output``.

        It gets a session of its own, so Ctrl-C in the terminal reaches only us and we stop things in order.

        :raises ServiceError: when the program cannot be started.
        """
        self._process = None
        # After a kill -9 what the child forked holds the lock until it notices.
        if not self._nothing_runs(self._patience_s) or not self._alive.acquire():
            raise ServiceError(f"An earlier {self.name} in {self.directory} does not end; stop it and start again.")
        descriptor = self._alive.file().fileno()
        try:
            with output.open("ab") as log:
                self._process = subprocess.Popen(
                    [str(part) for part in command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=cwd,
                    env=dict(environment),
                    pass_fds=(descriptor,),
                    start_new_session=True,
                    preexec_fn=_die_with_parent(self._stop_signals[0][0]),
                    user=account.uid if account else None,
                    group=account.gid if account else None,
                    extra_groups=[] if account else None,
                    umask=0o077,
                )
        except (OSError, subprocess.SubprocessError) as error:
            raise ServiceError(f"The {self.name} could not be started from {command[0]}: {error}.") from error
        finally:
            self._alive.release()
        identity = identify(self._process.pid)
        if identity is not None:
            # Whole or not at all: whoever reads while it is written must not find half a record.
            written = self._record.with_suffix(".new")
            written.write_text(json.dumps({"pid": identity.pid, "started": identity.started}))
            written.replace(self._record)

    def ask_to_stop(self) -> None:
        """Send the first stop signal and do not wait; `stop` does that."""
        if self.running() and self._process is not None:
            self._process.send_signal(self._stop_signals[0][0])

    def stop(self) -> None:
        """Stop the child (if it runs), wait until all it forked is gone, and give the directory back."""
        if self._process is not None:
            for number, patience_s in (*self._stop_signals, (signal.SIGKILL, 5.0)):
                if self._process.poll() is not None:
                    break
                self._process.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(patience_s)
            self._nothing_runs(5.0)
            self._process = None
            self._record.unlink(missing_ok=True)
        self._owner.release()


def _die_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """Return what the child does before exec, so that the kernel signals it when we die, even by kill -9."""
    if _LIBC is None:
        return None
    parent = os.getpid()
    libc = _LIBC

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # we died between fork and here
            os._exit(1)

    return prepare
