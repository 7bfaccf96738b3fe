"""What both embedded brokers share: a stable port, a start that waits for an answer, and users that may change.

Clients know the port, so it is kept from run to run while it is free. Users and their permissions lie in files beside
the configuration; when they change, the broker is told by a signal and reads them anew, while sessions of others go
on.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

from runtime.broker_access import Access, Service
from runtime.broker_probe import probe_broker
from runtime.children import Child, ServiceError
from runtime.embedded_server import EmbeddedServer
from runtime.lodging import Lodging

HOST = "127.0.0.1"
_ANSWER_WITHIN_S = 20.0
_PORT_TRIES = 5
_SAME_PORT_PAUSE_S = 1.0
_LOG_BYTES = 10 * 1024 * 1024
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
_REACHED_AS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class LoopbackBroker(EmbeddedServer):
    """A broker on this machine. Without ``access`` it lets in everybody to everything: for tests and trials.

    With it, ``service`` is how we come in ourselves to see that it answers.
    """

    def __init__(
        self,
        directory: Path,
        *,
        host: str = HOST,
        port: int = 0,
        access: Access | None = None,
        service: Service | None = None,
    ) -> None:
        super().__init__(directory)
        self._host = host
        self._wanted_port = port
        self._port = 0
        self._access = access
        self._service = service

    @property
    def log(self) -> Path:
        """Where the broker writes what it says."""
        return self.home / "broker.log"

    def admit(self, access: Access) -> bool:
        """Let in who is named here from now on; return whether that is a change.

        What is written is checked before the broker sees it, and put in place whole: it never has no users. Who was
        left out is disconnected; sessions of the others go on.

        :raises ServiceError: when the broker refuses what would be written; it goes on with what it has.
        """
        if self._access is None:
            raise ValueError("expected a broker that was made with access rules, got one that lets everybody in")
        if access == self._access:
            return False
        if self._child is None or self._lodging is None or self.pid is None:
            self._access = access  # written when it starts
            return True
        self._write_access(self._lodging, access, check=True)
        self._access = access
        os.kill(self.pid, signal.SIGHUP)
        return True

    @abstractmethod
    def _command(self, lodging: Lodging, port: int) -> Sequence[str | Path]:
        """Write the configuration for this port and return the command line."""

    @abstractmethod
    def _write_access(self, lodging: Lodging, access: Access, *, check: bool) -> None:
        """Write users and permissions; with ``check`` have the broker's program judge them first, if it can."""

    def _stopped(self) -> None:
        self._port = 0

    def _start_claimed(self, child: Child, lodging: Lodging) -> str:
        if self._access is not None:
            self._write_access(lodging, self._access, check=False)
        refused = ""
        for attempt in range(_PORT_TRIES):
            port = self._choose_port(lodging, fresh=attempt > 0)
            if self.log.exists() and self.log.stat().st_size > _LOG_BYTES:
                self.log.replace(self.log.with_suffix(".log.1"))
            # Brokers name clients there, and who knows the id of a session can take it over.
            self.log.touch(0o600)
            self.log.chmod(0o600)
            command = self._command(lodging, port)
            child.spawn(command, environment=ENVIRONMENT, output=self.log, account=lodging.account)
            refused = self._wait_until_it_answers(child, port)
            if not refused:
                self._port = port
                (lodging.directory / "port").write_text(f"{port}\n")
                return self._address(port)
            if child.running() or self._wanted_port:
                break  # not a port that somebody took between our look and its bind
            if self._port:
                time.sleep(_SAME_PORT_PAUSE_S)  # clients know it: whoever has it just now should go
        raise ServiceError(f"The {self.name} does not answer: {refused}. {_last_words(self.log)}")

    def _address(self, port: int) -> str:
        return f"mqtt://{bracketed(_REACHED_AS.get(self._host, self._host))}:{port}"

    def _wait_until_it_answers(self, child: Child, port: int) -> str:
        address = self._address(port)
        asked = address if self._service is None else self._service.address(address)
        deadline = self._clock.monotonic_s() + _ANSWER_WITHIN_S
        while True:
            if not child.running():
                return f"it ended with code {child.exit_code}"
            refused = probe_broker(asked, timeout_s=2.0)
            # Looked at again after the answer: on a port that was taken, somebody else would be answering.
            if refused is None and child.running():
                return ""
            if self._clock.monotonic_s() > deadline:
                return f"after {_ANSWER_WITHIN_S:.0f} s {refused}"
            time.sleep(0.02)

    def _choose_port(self, lodging: Lodging, *, fresh: bool) -> int:
        if self._wanted_port or self._port:
            return self._wanted_port or self._port
        try:
            last = int((lodging.directory / "port").read_text())
        except (OSError, ValueError):
            last = 0
        return last if last and not fresh and self._is_free(last) else self._free_port()

    def _is_free(self, port: int) -> bool:
        with socket.socket(_family(self._host)) as probe:
            # As servers do: a port whose last connections are only in TIME_WAIT counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self._host, port))
            except OSError:
                return False
            return True

    def _free_port(self) -> int:
        with socket.socket(_family(self._host)) as probe:
            try:
                probe.bind((self._host, 0))
            except OSError as error:
                raise ServiceError(
                    f"The {self.name} cannot listen on {self._host}: {error.strerror}. "
                    "Look at WEARSIGHT_BROKER_HOST: it must be an address of this machine."
                ) from error
            return int(probe.getsockname()[1])


def bracketed(host: str) -> str:
    """Return the host as it stands before ``:port``."""
    return f"[{host}]" if ":" in host else host


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _last_words(output: Path) -> str:
    lines = output.read_text(errors="replace").splitlines()[-3:] if output.exists() else []
    return f"Its log {output} ends: {' | '.join(lines) or 'empty'}"
