"""The routes of the API, one noun a file."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter

from api.routes import (
    alarms,
    assets,
    attachments,
    bearings,
    confirmation,
    device_credentials,
    devices,
    feeds,
    findings,
    health,
    labels,
    parts,
    people,
    predictions,
    quarantine,
    register_files,
    register_import,
    remaining_life,
    retention,
    rule_scores,
    rules,
    series,
    session,
    sites,
    stream,
    tickets,
    unknown_devices,
    waveforms,
)

ROUTERS: Sequence[APIRouter] = (
    session.router,
    people.router,
    sites.router,
    labels.router,
    assets.router,
    bearings.router,
    register_files.router,
    register_import.router,
    unknown_devices.router,
    devices.router,
    device_credentials.router,
    feeds.router,
    series.router,
    waveforms.router,
    findings.router,
    alarms.router,
    predictions.router,
    remaining_life.router,
    rules.router,
    rule_scores.router,
    tickets.router,
    attachments.router,
    confirmation.router,
    parts.router,
    quarantine.router,
    retention.router,
    health.router,
    stream.router,
)
