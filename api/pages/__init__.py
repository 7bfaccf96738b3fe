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
    articles,
    assets,
    backtests,
    broker_access,
    calendars,
    devices,
    dispatch,
    failure_modes,
    feeds,
    gateways,
    notices,
    offers,
    parts,
    people,
    people_files,
    person,
    policies,
    predictions,
    quarantine,
    refused_requests,
    regimes,
    register_files,
    reporting,
    requester,
    rules,
    schedules,
    service_health,
    shift_plan,
    signing_in,
    teams,
    tickets,
    vibration,
    windows,
)
from api.pages.rendering import frame, page, shown
from domain.refusals import Refused

__all__ = ["problem_page", "routers"]


def routers() -> Sequence[APIRouter]:
    """Return the pages' routes, one noun a router."""
    return (
        signing_in.router,
        tickets.router,
        reporting.router,
        refused_requests.router,
        offers.router,
        predictions.router,
        failure_modes.router,
        alarms.router,
        schedules.router,
        articles.router,
        windows.router,
        notices.router,
        parts.router,
        assets.router,
        vibration.router,
        adoption.router,
        devices.router,
        broker_access.router,
        # Before a person's page, whose address has a person's id in the same place.
        people_files.router,
        people.router,
        person.router,
        teams.router,
        shift_plan.router,
        dispatch.router,
        calendars.router,
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
