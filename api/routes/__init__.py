"""The routes of the API, one noun a file."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter

from api.routes import (
    assets,
    attachments,
    confirmation,
    devices,
    findings,
    health,
    parts,
    people,
    predictions,
    quarantine,
    rules,
    series,
    session,
    sites,
    stream,
    tickets,
)

ROUTERS: Sequence[APIRouter] = (
    session.router,
    people.router,
    sites.router,
    assets.router,
    devices.router,
    series.router,
    findings.router,
    predictions.router,
    rules.router,
    tickets.router,
    attachments.router,
    confirmation.router,
    parts.router,
    quarantine.router,
    health.router,
    stream.router,
)
