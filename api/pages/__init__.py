"""The console's pages: Jinja2 on the server, forms that work without scripts. ``api.app`` includes ``routers()``."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from psycopg_pool import PoolClosed, PoolTimeout

from api.dependencies import visitor_of
from api.pages import (
    adoption,
    alarms,
    assets,
    backtests,
    broker_access,
    devices,
    failure_modes,
    feeds,
    gateways,
    offers,
    parts,
    policies,
    predictions,
    quarantine,
    regimes,
    register_files,
    requester,
    rules,
    service_health,
    signing_in,
    tickets,
    vibration,
)
from api.pages.rendering import frame, page, shown
from domain.refusals import Refused

__all__ = ["problem_page", "routers"]


def routers() -> Sequence[APIRouter]:
    """Return the pages' routes, one noun a router."""
    return (
        signing_in.router,
        tickets.router,
        offers.router,
        predictions.router,
        failure_modes.router,
        alarms.router,
        parts.router,
        assets.router,
        vibration.router,
        adoption.router,
        devices.router,
        broker_access.router,
        quarantine.router,
        feeds.router,
        gateways.router,
        rules.router,
        regimes.router,
        backtests.router,
        policies.router,
        service_health.router,
        register_files.router,
        requester.router,
    )


def problem_page(request: Request, refusal: Refused, status: int) -> HTMLResponse:
    """Show a refusal as a page, for requests by people that no form of a page answered."""
    here = "/" if request.method != "GET" else None
    try:
        framed = frame(request, visitor_of(request), "problem", here=here)
    except (Refused, psycopg.Error, PoolTimeout, PoolClosed):
        # A page about trouble must not fail over the question who reads it.
        framed = frame(request, None, "problem", here=here)
    context = {"refusal": shown(refusal, framed.language), "status": status}
    return page(request, framed, "problem.html", context, status=status)
