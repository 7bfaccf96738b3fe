"""Adoption: one form that registers a device that sends already, for an asset there is or for a new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from psycopg import Connection

from api.adoption_schemas import AdoptBody
from api.dependencies import AdoptDevice, Database, Now, ReadQuarantine
from api.identity import Caller
from api.pages.access import may
from api.pages.forms import PostedForm, body_of, text, whole_number
from api.pages.rendering import frame, page, refused_status, shown
from api.permissions import Action
from api.problems import unknown
from api.routes import unknown_devices
from domain.refusals import Refused
from storage import assets, console, feeds, quarantine

router = APIRouter()

FIELDS = ("tag", "name", "asset_type", "expected_interval_s")
TAGS_MAX = 500


@dataclass(frozen=True, slots=True)
class Sender:
    """Who is to be adopted: (site, name) on our own topics, (feed, key) on a feed. ``newest`` is its last message."""

    site: str
    feed: feeds.Feed | None
    name: str
    newest: quarantine.Quarantined

    def address(self) -> dict[str, object]:
        """Return the address as the API takes it."""
        if self.feed is None:
            return {"site": self.site, "name": self.name}
        return {"feed_id": self.feed.id, "key": self.name}


@router.get("/devices/adopt")
def ask(
    request: Request,
    caller: ReadQuarantine,
    database: Database,
    name: Annotated[str, Query(min_length=1, max_length=256)],
    site: Annotated[str, Query(max_length=64)] = "",
    feed: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> HTMLResponse:
    """Ask for which asset a device is to speak."""
    return _adopt_page(request, caller, database, (site, feed, name), {})


@router.post("/devices/adopt")
def adopt(form: PostedForm, request: Request, caller: AdoptDevice, database: Database, now: Now) -> Response:
    """Register the device and have what it sent stored, then show it."""
    typed = {field: text(form, field) for field in FIELDS}
    place = (text(form, "site"), whole_number(text(form, "feed")), str(form.get("device", "")))
    try:
        with database.connection() as connection:
            sender = _sender(connection, caller, place)
            body = body_of(AdoptBody, _given(connection, sender, typed))
        adopted = unknown_devices.adopt_device(caller, body, database, now, Response())
    except Refused as refusal:
        return _adopt_page(request, caller, database, place, typed, refusal=refusal)
    return RedirectResponse(f"/devices/{adopted.device.id}?adopted={adopted.messages}", status_code=303)


def _given(connection: Connection, sender: Sender, typed: Mapping[str, str]) -> dict[str, object]:
    """Return the API's body: with a name the asset is new, without it the one of this tag at the site."""
    given: dict[str, object] = {"address": sender.address()}
    if typed["expected_interval_s"]:
        given["expected_interval_s"] = typed["expected_interval_s"]
    if typed["name"]:
        asset = {name: typed[name] for name in ("tag", "name", "asset_type")}
        return {**given, "asset": {"site": sender.site, **asset}}
    found = assets.list_assets(connection, sites=None, site=sender.site, tag=typed["tag"], limit=1)
    if not typed["tag"] or not found:
        raise Refused(
            "unknown_record",
            expected=f"the tag of an asset at site '{sender.site}', or tag, name and type of a new one",
            got=f"the tag '{typed['tag']}', which no asset there has, and no name",
            remedy="Correct the tag, or give the new asset's name and type as well.",
        )
    return {**given, "asset_id": found[0].id}


def _sender(connection: Connection, caller: Caller, place: tuple[str, int | None, str]) -> Sender:
    """Return who waits at an address; nobody there, or at another site, is refused as unknown."""
    site, feed_id, name = place
    feed = None
    if feed_id is not None:
        feed = next(iter(feeds.page(connection, sites=caller.site_list(), feed_id=feed_id)), None)
        site = feed.site if feed is not None else ""
    waiting = _newest(connection, site, feed_id, name) if site and caller.sees(site) else []
    if not waiting:
        raise unknown("device that sends without being registered", name[:80])
    return Sender(site, feed, name, waiting[0])


def _newest(connection: Connection, site: str, feed_id: int | None, name: str) -> Sequence[quarantine.Quarantined]:
    if "\0" in site + name:
        return []
    found = quarantine.page(
        connection, site=site, feed_id=feed_id, device=name, reason=quarantine.UNKNOWN_DEVICE, open_only=True, limit=200
    )
    # A device of the same name may speak on a feed as well: that is another address.
    return [one for one in found if one.feed_id == feed_id]


def _adopt_page(
    request: Request,
    caller: Caller,
    database: Database,
    place: tuple[str, int | None, str],
    typed: Mapping[str, str],
    *,
    refusal: Refused | None = None,
) -> HTMLResponse:
    site, feed_id, name = place
    back = {"name": name, **({"site": site} if feed_id is None else {"feed": str(feed_id)})}
    framed = frame(request, caller.person, "devices", here=None if request.method == "GET" else "/devices")
    with database.connection() as connection:
        sender = _sender(connection, caller, place)
        tags = assets.list_assets(connection, sites=None, site=sender.site, limit=TAGS_MAX)
        context = {
            "sender": sender,
            "zone": console.site_zones(connection).get(sender.site, "UTC"),
            "types": assets.list_asset_types(connection),
            "tags": tags,
            "may_adopt": may(caller.person, Action.ADOPT_DEVICE, sender.site),
            "typed": {**dict.fromkeys(FIELDS, ""), **typed},
            "refusal": shown(refusal, framed.language) if refusal is not None else None,
            "back": back,
        }
    return page(request, framed, "adopt.html", context, status=refused_status(refusal))
