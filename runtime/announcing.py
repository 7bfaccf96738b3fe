"""A process says that it is ready, by the protocol of systemd's ``Type=notify``: a datagram ``READY=1``.

The supervisor listens where NOTIFY_SOCKET points; under systemd, systemd does. Without either nothing is sent.
"""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from pathlib import Path

NOTIFY_SOCKET = "NOTIFY_SOCKET"
_READY = b"READY=1"
# The longest path of a socket is 103 bytes on macOS, 107 on Linux.
_PATH_BYTES = 103


def announce_ready() -> None:
    """Tell whoever started this process that it does its work now. Saying it twice is harmless."""
    address = os.environ.get(NOTIFY_SOCKET)
    if not address:
        return
    if address.startswith("@"):  # an abstract address, as systemd may give one
        address = "\0" + address[1:]
    # Nobody listening any more is no reason to fail.
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(address)
        sender.send(_READY)


class Announcements:
    """The supervisor's end for one process: a datagram socket in that process's directory."""

    def __init__(self, directory: Path) -> None:
        path = directory / "notify"
        self._short_folder: Path | None = None
        if len(os.fsencode(path)) > _PATH_BYTES:
            self._short_folder = Path(tempfile.mkdtemp(prefix="wearsight-", dir="/tmp"))
            path = self._short_folder / "notify"
        path.unlink(missing_ok=True)  # a run that was killed left its own
        self.address = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.setblocking(False)
        self._ready = False

    def heard(self) -> bool:
        """Whether the process has said that it is ready since the start or `forget`."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._ready |= _READY in self._socket.recv(256).split(b"\n")
        return self._ready

    def forget(self) -> None:
        """Expect a new word: the process is started again."""
        self.heard()
        self._ready = False

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()
        Path(self.address).unlink(missing_ok=True)
        if self._short_folder is not None:
            self._short_folder.rmdir()
