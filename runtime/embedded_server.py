"""What the embedded services share: a directory of their own, one owner, and a start that is taken back whole."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from runtime.children import Child
from runtime.clock import SystemClock
from runtime.lodging import Lodging, find_lodging


class EmbeddedServer(ABC):
    """One server whose everything lies in ``directory``. Start and stop from the main thread."""

    name: ClassVar[str]
    # Tried in order, each with its patience in seconds.
    stop_signals: ClassVar[tuple[tuple[signal.Signals, float], ...]] = ((signal.SIGTERM, 15.0),)

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self._clock = SystemClock()
        self._child: Child | None = None
        self._lodging: Lodging | None = None

    @property
    def pid(self) -> int | None:
        """The server's pid while it runs."""
        return self._child.pid if self._child else None

    @property
    def exit_code(self) -> int | None:
        """How the server ended, None while it runs."""
        return self._child.exit_code if self._child else None

    @property
    def home(self) -> Path:
        """The folder the files really lie in: ``directory``, or for root a reachable one that stands for it."""
        return self._lodging.directory if self._lodging else self.directory

    def start(self) -> str:
        """Start the server, wait until it answers, and return its address.

        A server that was left behind by a killed owner is stopped first. Calling it again after the server died starts
        it again where clients know it.

        :raises AlreadyRunningError: when another process runs this directory.
        :raises ServiceError: when it does not come up; the text names the log.
        """
        if self._child is None or self._lodging is None:
            lodging = find_lodging(self.directory)
            child = Child(self.name, lodging.directory, stop_signals=self.stop_signals, clock=self._clock)
            child.claim()
            self._child, self._lodging = child, lodging
        try:
            return self._start_claimed(self._child, self._lodging)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server, wait until every process of it is gone, and give the directory back. Its data stay."""
        if self._child is not None:
            self._child.stop()
            self._child = None
        self._stopped()

    @abstractmethod
    def _start_claimed(self, child: Child, lodging: Lodging) -> str:
        """Start the child in the directory that is ours now, and return its address once it answers."""

    @abstractmethod
    def _stopped(self) -> None:
        """Forget what belonged to the run that ended."""
