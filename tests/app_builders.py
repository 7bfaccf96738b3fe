"""The web application for tests: each over its own pool and clock, all with the routes of the first.

FastAPI makes its routes ready at an application's first request, which takes a third of a second; a thousand tests
would wait for it. Routes hold nothing of their application: they ask the request for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import cast

from fastapi import APIRouter, FastAPI
from psycopg_pool import ConnectionPool

from api.app import create_app
from api.reasons import ReasonExplained
from domain.clock import Clock
from runtime.dialects import IngestDialects


def an_app(
    pool: ConnectionPool, clock: Clock, reasons: Mapping[str, ReasonExplained] = MappingProxyType({})
) -> FastAPI:
    """Return the application over an open pool, with the decoders of ingest."""
    app = create_app(pool, clock, dialects=IngestDialects(), reasons=reasons)
    app.router = _routes()
    return app


@cache
def _routes() -> APIRouter:
    nothing = cast("ConnectionPool", None)
    return create_app(nothing, cast("Clock", None), dialects=IngestDialects()).router
