"""The web application put together: boundary, problems, routes, pages and static files over one pool and one clock."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from prometheus_client import CollectorRegistry
from psycopg_pool import ConnectionPool

from api import problems
from api.boundary import BodyLimit, RequestCount, SecurityHeaders
from api.dialects import Dialects
from api.measures import House
from api.reasons import ReasonExplained
from api.routes import ROUTERS
from api.stream import Broadcast, listening_connection
from domain.clock import Clock

STATIC_FOLDER = Path(__file__).parent / "static"


def create_app(
    pool: ConnectionPool,
    clock: Clock,
    *,
    dialects: Dialects,
    secure_cookie: bool = False,
    static_folder: Path = STATIC_FOLDER,
    house: House | None = None,
    public_url: str | None = None,
    reasons: Mapping[str, ReasonExplained] = MappingProxyType({}),
) -> FastAPI:
    """Return the application over an open ``pool``.

    ``dialects`` knows the decoders of the ingest side, for feeds.
    ``secure_cookie`` marks the session cookie for HTTPS only: on wherever TLS ends at or before this process.
    ``house`` tells of the machine around it: disks, and the other processes' metrics.
    ``public_url`` is where people reach the console, for what is printed; without it the request's own address.
    ``reasons`` explains why messages are in quarantine, by name.
    ``static_folder`` is served at /static when it exists; it is built from ``web/``.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        app.state.broadcast.stop()

    # No page of documentation here: it would load its scripts from elsewhere. The description itself is a route.
    app = FastAPI(
        title="Wearsight", version=_version(), lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None
    )
    registry = CollectorRegistry()
    app.state.pool = pool
    app.state.clock = clock
    app.state.house = house or House()
    app.state.dialects = dialects
    app.state.public_url = public_url
    app.state.reasons = reasons
    app.state.secure_cookie = secure_cookie
    app.state.registry = registry
    app.state.broadcast = Broadcast(lambda: listening_connection(pool))
    app.state.problem_page = None
    problems.install(app)
    for router in ROUTERS:
        app.include_router(router)
    _include_pages(app)
    if static_folder.is_dir():
        app.mount("/static", StaticFiles(directory=static_folder), name="static")
    # The last one added is the outermost: headers also on what the others refuse.
    app.add_middleware(BodyLimit)
    app.add_middleware(RequestCount, clock=clock, registry=registry)
    app.add_middleware(SecurityHeaders)
    return app


def _include_pages(app: FastAPI) -> None:
    """Include the pages when they are installed; they say themselves how a problem looks to people."""
    found = importlib.util.find_spec("api.pages")
    if found is None or found.origin is None:
        return
    pages = import_module("api.pages")
    for router in pages.routers():
        app.include_router(router, include_in_schema=False)
    app.state.problem_page = getattr(pages, "problem_page", None)


def _version() -> str:
    try:
        return version("wearsight")
    except PackageNotFoundError:
        return "0"
