"""Mosquitto from PATH, with generated durable configuration; the same settings are written for one of your own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from runtime.broker_access import Access, mosquitto_acl, mosquitto_passwords
from runtime.children import ServiceError
from runtime.lodging import Lodging
from runtime.loopback_broker import LoopbackBroker
from runtime.private_files import write_privately

# The defaults drop silently: 1,000 queued messages per client, and nothing saved for half an hour.
DURABLE = (
    "persistence true",
    "autosave_on_changes true",
    "autosave_interval 1000",
    "max_queued_messages 1000000",
    "max_inflight_messages 1000",
    "queue_qos0_messages true",
    "persistent_client_expiration 7d",
    "sys_interval 10",
)


class MosquittoBroker(LoopbackBroker):
    """Mosquitto from PATH. Durable through a clean stop; a kill -9 may lose the last second (NATS loses nothing)."""

    name = "Mosquitto broker"

    def _command(self, lodging: Lodging, port: int) -> Sequence[str | Path]:
        store = lodging.private_folder("store")
        configuration = lodging.directory / "mosquitto.conf"
        lines = [
            f"listener {port} {self._host}",
            *self._who_is_let_in(lodging.directory / "access"),
            f"persistence_location {store}/",
            *DURABLE,
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

    def _who_is_let_in(self, folder: Path) -> list[str]:
        if self._access is None:
            return ["allow_anonymous true"]
        return [
            f"allow_anonymous {'true' if self._access.anonymous else 'false'}",
            f"password_file {folder / 'passwords'}",
            f"acl_file {folder / 'acl'}",
        ]

    def _write_access(self, lodging: Lodging, access: Access, *, check: bool) -> None:
        """Write both files. Mosquitto's program cannot judge them before 2.1, so ``check`` asks for nothing here.

        Rules come first: a rule without its user does nothing, and a user without rules may do nothing.
        """
        folder = lodging.private_folder("access")
        write_privately(folder / "acl", mosquitto_acl(access), lodging.hand_over)
        write_privately(folder / "passwords", mosquitto_passwords(access), lodging.hand_over)


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
