"""Health for load balancers (open), and for operators (with a credential); metrics; the API's description."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import psycopg
from fastapi import APIRouter, Query, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from psycopg_pool import PoolClosed, PoolTimeout

from api.boundary import BASE_PATH
from api.dependencies import Database, Now, ReadApiDescription, ReadHealth
from api.description import describe
from api.measures import ProcessFiles
from api.routes.answers import SIGNED_IN_ANSWERS, answers
from api.routes.paging import LIMIT_DEFAULT, Cursor, Limit, cut
from api.schemas import ApiDescription, Health, HealthDetail, IngesterHealth, ServiceAlarms
from storage import checkpoints, service_alarms
from storage.assets import LiveCounts, live_counts

router = APIRouter(prefix=BASE_PATH, tags=["health"])


@router.get("/health", responses={503: {"model": Health, "description": "Not ok"}, **answers(422, 500)})
def health(database: Database, response: Response) -> Health:
    """Tell whether requests can be served, and nothing else: this route is open."""
    try:
        with database.connection(timeout=2) as connection:
            connection.execute("select 1")
    except (psycopg.Error, PoolTimeout, PoolClosed):
        response.status_code = 503
        return Health(status="not_ok")
    return Health(status="ok")


@router.get("/health/detail", responses=SIGNED_IN_ANSWERS)
def health_detail(caller: ReadHealth, request: Request, database: Database, now: Now) -> HealthDetail:
    """Return what operators watch: work that waits, messages set aside, the age of the newest message."""
    with database.connection() as connection:
        counts = live_counts(connection)
        found = service_alarms.troubles(connection, now, request.app.state.house.disks())
        ingesters, beats = checkpoints.beats(connection), service_alarms.beats(connection)
    visible = [trouble for trouble in found if trouble.site is None or caller.sees(trouble.site)]
    return HealthDetail(
        status="not_ok" if visible else "ok",
        version=request.app.version,
        problems=visible,
        ingesters=[_ingester(beat, now) for beat in ingesters],
        beat_age_s={process: (now - at).total_seconds() for process, at in beats.items()},
        open_tickets=dict(counts.open_tickets),
        quarantine_open=counts.quarantine_open,
        newest_message_age_s=_age_s(counts.newest_message_at, now),
        evidence_waiting=counts.evidence_waiting,
        outbox_waiting=counts.outbox_waiting,
        outbox_given_up=counts.outbox_given_up,
        devices_online=counts.devices_online,
        devices=counts.devices,
        open_streams=request.app.state.broadcast.subscribers(),
    )


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {CONTENT_TYPE_LATEST: {"schema": {"type": "string"}}}}, **SIGNED_IN_ANSWERS},
)
def metrics(caller: ReadHealth, request: Request, database: Database, now: Now) -> Response:
    """Return Prometheus metrics: answers of this process, every other process's, live counts from the database."""
    with database.connection() as connection:
        counts = live_counts(connection)
        found = service_alarms.troubles(connection, now, request.app.state.house.disks())
    live = CollectorRegistry()
    _measure(live, counts)
    standing = Gauge("wearsight_problems", "Conditions that are wrong now", ["kind"], registry=live)
    for kind in (*service_alarms.KINDS, service_alarms.DISK_FILLING):
        standing.labels(kind).set(sum(one.kind == kind for one in found))
    if counts.newest_message_at is not None:
        age = Gauge("wearsight_newest_message_age_seconds", "Since a device was last heard", registry=live)
        age.set((now - counts.newest_message_at).total_seconds())
    live.register(ProcessFiles(request.app.state.house.metrics_folder, now))
    body = generate_latest(request.app.state.registry) + generate_latest(live)
    return Response(body, media_type=CONTENT_TYPE_LATEST)


@router.get("/openapi.json", responses=SIGNED_IN_ANSWERS)
def openapi(caller: ReadApiDescription, request: Request) -> ApiDescription:
    """Return the description of this API (OpenAPI 3.1)."""
    return ApiDescription.model_validate(describe(request.app))


@router.get("/service-alarms", responses=SIGNED_IN_ANSWERS)
def list_service_alarms(
    caller: ReadHealth,
    database: Database,
    open_only: Annotated[bool, Query(description="Only those that stand")] = False,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> ServiceAlarms:
    """Return the service's alarms about itself, newest first: of the caller's sites and of the whole service."""
    with database.connection() as connection:
        rows = service_alarms.page(
            connection, sites=caller.site_list(), before=cursor, open_only=open_only, limit=limit + 1
        )
    page, next_cursor = cut(rows, limit, lambda alarm: alarm.id)
    return ServiceAlarms(items=page, next_cursor=next_cursor)


def _age_s(at: datetime | None, now: datetime) -> float | None:
    return None if at is None else (now - at).total_seconds()


def _ingester(beat: checkpoints.Beat, now: datetime) -> IngesterHealth:
    return IngesterHealth(
        partition=beat.partition,
        beat_age_s=_age_s(beat.beat_at, now),
        processed_age_s=_age_s(beat.processed_at, now),
        queued=beat.queued,
        held_devices=beat.held_devices,
        settled=beat.settled,
    )


def _measure(registry: CollectorRegistry, counts: LiveCounts) -> None:
    tickets = Gauge("wearsight_open_tickets", "Open tickets by state", ["state"], registry=registry)
    for state, how_many in counts.open_tickets.items():
        tickets.labels(state).set(how_many)
    for name, text, value in (
        ("wearsight_quarantine_open", "Messages in quarantine", counts.quarantine_open),
        ("wearsight_evidence_waiting", "Evidence that waits to be judged", counts.evidence_waiting),
        ("wearsight_outbox_waiting", "Outbox rows that wait to be sent", counts.outbox_waiting),
        ("wearsight_outbox_given_up", "Outbox rows that were given up", counts.outbox_given_up),
        ("wearsight_devices_online", "Devices that say they are online", counts.devices_online),
        ("wearsight_devices", "Registered devices", counts.devices),
    ):
        Gauge(name, text, registry=registry).set(value)
