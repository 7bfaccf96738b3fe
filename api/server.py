"""The web server: uvicorn, which answers at once and ends the live streams before it waits for the open requests."""

from __future__ import annotations

import socket

import uvicorn
from fastapi import FastAPI


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket bound to the address, for ``Server.run``; port 0 takes any that is free.

    It says that it speaks TCP: only then does the event loop send small packets at once. Otherwise the body of an
    answer waits until the client has acknowledged its headers, which clients put off by 40 ms on a connection kept
    open.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


class Server(uvicorn.Server):
    """Serves one application.

    A stream ends by itself only after minutes, and an application learns that it is to stop only when its requests
    have ended: an open console would keep every shutdown waiting for the whole grace, and then be cut off with an
    error.
    """

    def __init__(self, app: FastAPI, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Have the streams end, then stop as uvicorn does."""
        self._app.state.broadcast.end_streams()
        await super().shutdown(sockets)
