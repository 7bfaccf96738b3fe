"""The web server: uvicorn, which ends the live streams before it waits for the open requests."""

from __future__ import annotations

import socket

import uvicorn
from fastapi import FastAPI


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
