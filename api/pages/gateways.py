"""Gateways: clients of the broker that speak for many devices, what they may, and their credentials."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from psycopg import Connection

from api.dependencies import ChangeBrokerAccess, Database, Now, ReadBrokerAccess
from api.device_credential_schemas import NewGateway
from api.identity import Caller
from api.pages.access import may
from api.pages.devices import CREDENTIALS_MAX, KEY_MAX, broker_of, places_of
from api.pages.forms import PostedForm, body_of, text
from api.pages.history import Before, history_of
from api.pages.rendering import frame, page, refused_status, shown
from api.permissions import Action
from api.problems import unknown
from api.routes import device_credentials as routes
from domain.refusals import Refused
from storage import console
from storage import device_credentials as credentials
from storage.console import PAGE_SIZE
from storage.device_credentials import GatewayRow, IssuedCredential, State

router = APIRouter()

GatewayId = Annotated[int, Path(ge=1, le=KEY_MAX)]


@dataclass(frozen=True, slots=True)
class GatewayForm:
    """A gateway to add as it is filled in; filters are lines."""

    site: str = ""
    name: str = ""
    publish: str = ""
    subscribe: str = ""

    @classmethod
    def of(cls, form: PostedForm) -> GatewayForm:
        """Return the form as it was posted."""
        return cls(**{name: text(form, name).replace("\r\n", "\n") for name in cls.__slots__})

    def body(self) -> dict[str, object]:
        """Return what is said of the gateway, as the API takes it."""
        return {
            "site": self.site,
            "name": self.name,
            "publish": _lines(self.publish),
            "subscribe": _lines(self.subscribe),
        }


@router.get("/gateways")
def list_gateways(
    request: Request,
    caller: ReadBrokerAccess,
    database: Database,
    site: Annotated[str, Query(max_length=64)] = "",
    state: Annotated[str, Query(max_length=16)] = "",
    after: Annotated[int, Query(ge=0, le=KEY_MAX)] = 0,
    before: Before = None,
) -> HTMLResponse:
    """Show the gateways at the reader's sites that fit the filter, ask for a new one, and tell of earlier changes."""
    return _list_page(request, caller, database, site=site.replace("\0", ""), state=state, after=after, before=before)


@router.post("/gateways")
def add(form: PostedForm, request: Request, caller: ChangeBrokerAccess, database: Database, now: Now) -> HTMLResponse:
    """Add a gateway and show its first credential in the answer itself."""
    typed = GatewayForm.of(form)
    try:
        made = routes.add_gateway(caller, body_of(NewGateway, typed.body()), database, now)
    except Refused as refusal:
        return _list_page(request, caller, database, typed=typed, refusal=refusal)
    return gateway_page(request, caller, database, made.id, issued=made.credential)


@router.get("/gateways/{gateway_id}")
def show_gateway(gateway_id: GatewayId, request: Request, caller: ReadBrokerAccess, database: Database) -> HTMLResponse:
    """Show one gateway."""
    return gateway_page(request, caller, database, gateway_id)


@router.post("/gateways/{gateway_id}/remove")
def remove(gateway_id: GatewayId, caller: ChangeBrokerAccess, database: Database, now: Now) -> Response:
    """Remove a gateway with all of its credentials."""
    routes.remove_gateway(gateway_id, caller, database, now)
    return RedirectResponse("/gateways", status_code=303)


def _list_page(
    request: Request,
    caller: Caller,
    database: Database,
    *,
    site: str = "",
    state: str = "",
    after: int = 0,
    before: int | None = None,
    typed: GatewayForm | None = None,
    refusal: Refused | None = None,
) -> HTMLResponse:
    framed = frame(request, caller.person, "gateways", here=None if request.method == "GET" else "/gateways")
    wanted = State(state) if state in set(State) else None
    with database.connection() as connection:
        rows = credentials.gateways(
            connection, sites=caller.site_list(), site=site or None, state=wanted, after=after, limit=PAGE_SIZE + 1
        )
        zones = console.site_zones(connection)
        past = history_of(connection, caller, ["gateway", "credential"], "/gateways", before=before)
    places = places_of(caller, Action.CHANGE_BROKER_ACCESS)
    changeable = may(caller.person, Action.CHANGE_BROKER_ACCESS)
    context = {
        "gateways": rows[:PAGE_SIZE],
        "zones": zones,
        "past": past,
        "sites": sorted(zones) if caller.site_list() is None else caller.site_list(),
        "site": site,
        "state": wanted or "",
        "may_add": (sorted(zones) if places is None else places) if changeable else [],
        "typed": typed or GatewayForm(site=site),
        "more": _more(site, wanted, rows[PAGE_SIZE - 1].id) if len(rows) > PAGE_SIZE else None,
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
    }
    return page(request, framed, "gateways.html", context, status=refused_status(refusal))


def gateway_page(
    request: Request,
    caller: Caller,
    database: Database,
    gateway_id: int,
    *,
    refusal: Refused | None = None,
    issued: IssuedCredential | None = None,
) -> HTMLResponse:
    """Return the page of a gateway, with a refusal or with a credential that was just issued."""
    framed = frame(request, caller.person, "gateways", here=f"/gateways/{gateway_id}")
    with database.connection() as connection:
        gateway = _visible(connection, caller, gateway_id)
        owner = credentials.owner_of_gateway(gateway)
        held = credentials.credentials_of(connection, owner, limit=CREDENTIALS_MAX)
        zones = console.site_zones(connection)
    context = {
        "gateway": gateway,
        "credentials": held,
        "zone": zones[gateway.site],
        "may_change": may(caller.person, Action.CHANGE_BROKER_ACCESS, gateway.site),
        "issued": issued,
        "command": "" if issued is None else _command(request, gateway, issued),
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
    }
    response = page(request, framed, "gateway.html", context, status=refused_status(refusal))
    if issued is not None:
        # Shown this once: no copy of it is to be kept, by the browser neither.
        response.headers["Cache-Control"] = "no-store"
    return response


def _visible(connection: Connection, caller: Caller, gateway_id: int) -> GatewayRow:
    """Return a gateway; one at other sites does not exist for the caller."""
    rows = credentials.gateways(connection, sites=caller.site_list(), gateway_id=gateway_id, limit=1)
    if not rows:
        raise unknown("gateway", gateway_id)
    return rows[0]


def _command(request: Request, gateway: GatewayRow, issued: IssuedCredential) -> str:
    """Return a line for a shell that uses the credential; it listens where that is allowed: that leaves no trace."""
    host, port = broker_of(request)
    login = ["-h", host, "-p", str(port), "-u", issued.username, "-P", issued.secret, "-q", "1"]
    if gateway.subscribe:
        return shlex.join(["mosquitto_sub", *login, "-t", gateway.subscribe[0], "-W", "10", "-v"])
    topic = gateway.publish[0].replace("+", "test").replace("#", "test")
    return shlex.join(["mosquitto_pub", *login, "-t", topic, "-m", "{}"])


def _lines(filters: str) -> Sequence[str]:
    return [line.strip() for line in filters.split("\n") if line.strip()]


def _more(site: str, state: State | None, after: int) -> str:
    given = {"site": site, "state": state or "", "after": str(after)}
    return "/gateways?" + urlencode({name: value for name, value in given.items() if value})
