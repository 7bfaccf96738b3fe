"""Devices: who sends without being registered, who is registered, and how well each of them speaks."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse
from psycopg import Connection

from api.dependencies import Database, ReadSignals, now_of
from api.identity import Caller, permitted
from api.pages.access import may
from api.pages.rendering import frame, page, refused_status, shown
from api.pages.times import milliseconds
from api.permissions import Action
from api.problems import unknown
from domain.refusals import Refused
from storage import adoption, assets, charts, console, events, feeds, quarantine
from storage import device_credentials as credentials
from storage.assets import DeviceRow
from storage.console import PAGE_SIZE
from storage.device_credentials import IssuedCredential

router = APIRouter()

KEY_MAX = 2**63 - 1
TEXT_MAX = 80
UNKNOWN_MAX = 50
GAPS_MAX = 20
EVENTS_MAX = 20
SERIES_MAX = 200
CREDENTIALS_MAX = 20
QUARANTINED_MAX = 10
# A clock this far off is worth a word; less is the network's delay.
CLOCK_NOTEWORTHY_S = 5.0
BROKER_PORT = 1883
# What a process calls the machine that it runs on; to the reader it is where this page comes from.
HERE = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0"})

DeviceId = Annotated[int, Path(ge=1, le=KEY_MAX)]


@router.get("/devices")
def list_devices(
    request: Request,
    caller: ReadSignals,
    database: Database,
    site: Annotated[str, Query(max_length=64)] = "",
    text: Annotated[str, Query(max_length=TEXT_MAX)] = "",
    after: Annotated[int, Query(ge=0, le=KEY_MAX)] = 0,
) -> HTMLResponse:
    """Show who sends unregistered, then the registered devices that fit the filter."""
    framed = frame(request, caller.person, "devices")
    wanted_site, wanted = site.replace("\0", ""), text.strip().replace("\0", "")
    sites = caller.site_list()
    with database.connection() as connection:
        rows = console.device_rows(
            connection, sites=sites, site=wanted_site or None, text=wanted or None, after=after, limit=PAGE_SIZE + 1
        )
        zones = console.site_zones(connection)
        found = unknown_at(connection, caller, wanted_site) if may(caller.person, Action.READ_QUARANTINE) else []
    context = {
        "devices": rows[:PAGE_SIZE],
        "unknown": found[:UNKNOWN_MAX],
        "more_unknown": len(found) > UNKNOWN_MAX,
        "may_adopt": may(caller.person, Action.ADOPT_DEVICE),
        "zones": zones,
        "sites": sorted(zones) if sites is None else sites,
        "site": wanted_site,
        "text": wanted,
        "after": after,
        "more": _more(wanted_site, wanted, rows[PAGE_SIZE - 1].id) if len(rows) > PAGE_SIZE else None,
        "noteworthy_s": CLOCK_NOTEWORTHY_S,
    }
    return page(request, framed, "devices.html", context)


@router.get("/devices/{device_id}")
def show_device(
    device_id: DeviceId,
    request: Request,
    caller: ReadSignals,
    database: Database,
    adopted: Annotated[int | None, Query(ge=0, le=KEY_MAX)] = None,
) -> HTMLResponse:
    """Show one device; ``adopted`` messages of it will be tried again, when it has just been adopted."""
    return device_page(request, caller, database, device_id, adopted=adopted)


def device_page(
    request: Request,
    caller: Caller,
    database: Database,
    device_id: int,
    *,
    refusal: Refused | None = None,
    issued: IssuedCredential | None = None,
    adopted: int | None = None,
) -> HTMLResponse:
    """Return the page of a device, with a refusal or with a credential that was just issued."""
    framed = frame(request, caller.person, "devices", here=f"/devices/{device_id}")
    with database.connection() as connection:
        device = visible_device(connection, caller, device_id)
        context = _context(connection, caller, device)
    told = {
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
        "issued": issued,
        "command": "" if issued is None else _command(request, device, issued),
        "adopted": adopted,
    }
    response = page(request, framed, "device.html", {**context, **told}, status=refused_status(refusal))
    if issued is not None:
        # Shown this once: no copy of it is to be kept, by the browser neither.
        response.headers["Cache-Control"] = "no-store"
    return response


def unknown_at(connection: Connection, caller: Caller, site: str) -> Sequence[adoption.UnknownDevice]:
    """Return who sends unregistered where the caller may read quarantine, whoever came last first."""
    sites = places_of(caller, Action.READ_QUARANTINE)
    return adoption.unknown_devices(connection, sites=sites, site=site or None, limit=UNKNOWN_MAX + 1)


def visible_device(connection: Connection, caller: Caller, device_id: int) -> DeviceRow:
    """Return a device; one at other sites does not exist for the caller."""
    rows = assets.list_devices(connection, sites=caller.site_list(), device_id=device_id, limit=1)
    if not rows:
        raise unknown("device", device_id)
    return rows[0]


def places_of(caller: Caller, action: Action) -> list[str] | None:
    """Return the sites where the caller may do something else than what the page was opened for; None for all."""
    return permitted(caller.person, action, caller.channel).site_list()


def _context(connection: Connection, caller: Caller, device: DeviceRow) -> dict[str, object]:
    (asset,) = assets.list_assets(connection, sites=None, asset_id=device.asset_id, limit=1)
    series = charts.list_series(connection, asset_id=device.asset_id, limit=SERIES_MAX)
    reads_access = may(caller.person, Action.READ_BROKER_ACCESS, device.site_id)
    reads_quarantine = may(caller.person, Action.READ_QUARANTINE, device.site_id)
    owner = credentials.owner_of_device(device.id, device.site_id, device.name)
    return {
        "device": device,
        "asset": asset,
        "feed": _feed_name(connection, device),
        "zone": console.site_zones(connection)[device.site_id],
        "gaps": assets.list_gaps(connection, device.id, limit=GAPS_MAX),
        "events": events.newest_of_device(connection, device.id, limit=EVENTS_MAX),
        "series": sorted((one for one in series if one.device_id == device.id), key=lambda one: one.metric),
        "reads_access": reads_access,
        "may_change_access": may(caller.person, Action.CHANGE_BROKER_ACCESS, device.site_id),
        "credentials": credentials.credentials_of(connection, owner, limit=CREDENTIALS_MAX) if reads_access else [],
        "reads_quarantine": reads_quarantine,
        "set_aside": _set_aside(connection, device) if reads_quarantine else [],
        "noteworthy_s": CLOCK_NOTEWORTHY_S,
    }


def _command(request: Request, device: DeviceRow, issued: IssuedCredential) -> str:
    """Return a line for a shell that sends one reading as the device."""
    host, port = broker_of(request)
    reading = json.dumps({"ts": milliseconds(now_of(request)), "values": {"temperature_c": 21.5}})
    topic = f"wearsight/v1/{device.site_id}/{device.name}/telemetry"
    login = ("-u", issued.username, "-P", issued.secret)
    return shlex.join(["mosquitto_pub", "-h", host, "-p", str(port), *login, "-q", "1", "-t", topic, "-m", reading])


def broker_of(request: Request) -> tuple[str, int]:
    """Return host and port of the broker as the reader's machine would name them, the usual port where nobody knows."""
    host, port = request.app.state.house.broker or ("localhost", BROKER_PORT)
    return (request.url.hostname or host) if host in HERE else host, port


def _set_aside(connection: Connection, device: DeviceRow) -> Sequence[quarantine.Quarantined]:
    return quarantine.page(
        connection,
        site=device.site_id,
        feed_id=device.feed_id,
        device=device.name if device.feed_key is None else device.feed_key,
        limit=QUARANTINED_MAX,
    )


def _feed_name(connection: Connection, device: DeviceRow) -> str | None:
    if device.feed_id is None:
        return None
    rows = feeds.page(connection, sites=None, feed_id=device.feed_id)
    return rows[0].name if rows else None


def _more(site: str, text: str, after: int) -> str:
    given = {"site": site, "text": text, "after": str(after)}
    return "/devices?" + urlencode({name: value for name, value in given.items() if value})
