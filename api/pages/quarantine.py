"""Quarantine: what was set aside and why, the bytes as they came, and the ways out: try again, or dismiss."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from psycopg import Connection

from api.dependencies import Database, DismissQuarantine, Now, ReadQuarantine, ReplayQuarantine
from api.identity import Caller
from api.languages import Language
from api.pages.access import may
from api.pages.forms import PostedForm, body_of, text, whole_number
from api.pages.payloads import shown_payload
from api.pages.rendering import frame, page, refused_status, shown
from api.pages.times import common_zone
from api.permissions import Action
from api.quarantine_schemas import DismissBody, ReplayBody
from api.reasons import ReasonExplained
from api.routes import quarantine as routes
from domain.refusals import Refused
from storage import assets, console, quarantine

router = APIRouter()

KEY_MAX = 2**63 - 1
LIST_MAX = 20

MessageId = Annotated[int, Path(ge=1, le=KEY_MAX)]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The filter of the list; empty does not filter. ``feed`` and ``device`` are an address on a feed."""

    reason: str = ""
    site: str = ""
    feed: int | None = None
    device: str = ""

    def query(self, **more: str) -> str:
        """Return the address of the list under this filter."""
        feed = "" if self.feed is None else str(self.feed)
        given = {"reason": self.reason, "site": self.site, "feed": feed, "device": self.device, **more}
        found = {name: value for name, value in given.items() if value}
        return "/quarantine" + (f"?{urlencode(found)}" if found else "")

    def chosen(self) -> dict[str, object] | None:
        """Return which messages "all of these" are, as the API takes it; None where that takes one thing alone."""
        if self.reason and not (self.site or self.feed or self.device):
            return {"reason": self.reason}
        if self.device and not self.reason and self.feed is not None:
            return {"address": {"feed_id": self.feed, "key": self.device}}
        if self.device and not self.reason and self.site:
            return {"address": {"site": self.site, "name": self.device}}
        return None

    def adopt_query(self) -> str:
        """Return the address of the page that adopts the device of this filter."""
        sender = {"site": self.site} if self.feed is None else {"feed": str(self.feed)}
        given = {**sender, "name": self.device}
        return f"/devices/adopt?{urlencode(given)}"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a reason means and what to do, in the reader's language."""

    meaning: str
    remedy: str


@router.get("/quarantine")
def list_quarantine(
    request: Request,
    caller: ReadQuarantine,
    database: Database,
    reason: Annotated[str, Query(max_length=64)] = "",
    site: Annotated[str, Query(max_length=64)] = "",
    feed: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    device: Annotated[str, Query(max_length=256)] = "",
    before: Annotated[int | None, Query(ge=1, le=KEY_MAX)] = None,
    asked: Annotated[int | None, Query(ge=0, le=KEY_MAX)] = None,
    dismissed: Annotated[int | None, Query(ge=0, le=KEY_MAX)] = None,
) -> HTMLResponse:
    """Show why messages wait, and those that fit the filter; after an action, how many it concerned."""
    # No text of the database has a NUL, and a query must not fail over one.
    reason, site, device = (one.replace("\0", "") for one in (reason, site, device))
    wanted = Wanted(reason, site, feed, device)
    done = {"asked": asked, "dismissed": dismissed}
    return _list_page(request, caller, database, wanted, before=before, done=done)


@router.get("/quarantine/{message_id}")
def show_message(
    message_id: MessageId,
    request: Request,
    caller: ReadQuarantine,
    database: Database,
    asked: Annotated[int | None, Query(ge=0, le=KEY_MAX)] = None,
) -> HTMLResponse:
    """Show one message set aside."""
    return _message_page(request, caller, database, message_id, asked=asked)


@router.get("/quarantine/{message_id}/raw")
def raw(message_id: MessageId, caller: ReadQuarantine, database: Database) -> Response:
    """Return the bytes as they came, to be saved."""
    return routes.read_raw(message_id, caller, database)


@router.post("/quarantine/replay")
def replay(form: PostedForm, request: Request, caller: ReplayQuarantine, database: Database, now: Now) -> Response:
    """Have the messages that the filter chooses tried again."""
    wanted = _wanted(form)
    try:
        done = routes.replay(caller, body_of(ReplayBody, wanted.chosen() or {}), database, now)
    except Refused as refusal:
        return _list_page(request, caller, database, wanted, refusal=refusal)
    return RedirectResponse(wanted.query(asked=str(done.asked)), status_code=303)


@router.post("/quarantine/dismiss")
def dismiss(form: PostedForm, request: Request, caller: DismissQuarantine, database: Database, now: Now) -> Response:
    """Remove the messages that the filter chooses, for good."""
    wanted, why = _wanted(form), text(form, "why")
    try:
        body = body_of(DismissBody, {**(wanted.chosen() or {}), "why": why})
        done = routes.dismiss(caller, body, database, now)
    except Refused as refusal:
        return _list_page(request, caller, database, wanted, refusal=refusal, why=why)
    return RedirectResponse(wanted.query(dismissed=str(done.dismissed)), status_code=303)


@router.post("/quarantine/{message_id}/replay")
def replay_one(
    message_id: MessageId, request: Request, caller: ReplayQuarantine, database: Database, now: Now
) -> Response:
    """Have one message tried again."""
    done = routes.replay(caller, ReplayBody(ids=[message_id]), database, now)
    return RedirectResponse(f"/quarantine/{message_id}?asked={done.asked}", status_code=303)


@router.post("/quarantine/{message_id}/dismiss")
def dismiss_one(
    message_id: MessageId, form: PostedForm, request: Request, caller: DismissQuarantine, database: Database, now: Now
) -> Response:
    """Remove one message for good."""
    why = text(form, "why")
    try:
        done = routes.dismiss(caller, body_of(DismissBody, {"ids": [message_id], "why": why}), database, now)
    except Refused as refusal:
        return _message_page(request, caller, database, message_id, refusal=refusal, why=why)
    return RedirectResponse(f"/quarantine?dismissed={done.dismissed}", status_code=303)


def _wanted(form: PostedForm) -> Wanted:
    return Wanted(
        text(form, "reason"), text(form, "site"), whole_number(text(form, "feed")), str(form.get("device", ""))
    )


def _list_page(
    request: Request,
    caller: Caller,
    database: Database,
    wanted: Wanted,
    *,
    before: int | None = None,
    done: Mapping[str, int | None] | None = None,
    refusal: Refused | None = None,
    why: str = "",
) -> HTMLResponse:
    framed = frame(request, caller.person, "quarantine", here=None if request.method == "GET" else "/quarantine")
    with database.connection() as connection:
        counts = quarantine.reason_counts(connection, caller.site_list())
        rows = quarantine.page(
            connection,
            before=before,
            sites=caller.site_list(),
            site=wanted.site or None,
            feed_id=wanted.feed,
            device=wanted.device or None,
            reason=wanted.reason or None,
            open_only=True,
            limit=LIST_MAX + 1,
        )
        zones = console.site_zones(connection)
        device_id = _registered(connection, caller, wanted)
    shown_rows = rows[:LIST_MAX]
    context = {
        "device_id": device_id,
        "adopt_address": None if device_id is not None else _adopt_address(caller, wanted, shown_rows, zones),
        "counts": counts,
        "meanings": {one.reason: _meaning(request, one.reason, framed.language) for one in counts},
        "messages": shown_rows,
        "zones": zones,
        "zone": common_zone(zones),
        "wanted": wanted,
        "more": wanted.query(before=str(rows[LIST_MAX - 1].id)) if len(rows) > LIST_MAX else None,
        "may_replay": may(caller.person, Action.REPLAY_QUARANTINE),
        "may_dismiss": may(caller.person, Action.DISMISS_QUARANTINE),
        "done": {"asked": None, "dismissed": None, **(done or {})},
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
        "why": why,
    }
    return page(request, framed, "quarantine.html", context, status=refused_status(refusal))


def _message_page(
    request: Request,
    caller: Caller,
    database: Database,
    message_id: int,
    *,
    asked: int | None = None,
    refusal: Refused | None = None,
    why: str = "",
) -> HTMLResponse:
    framed = frame(request, caller.person, "quarantine", here=f"/quarantine/{message_id}")
    row = routes.read_quarantined(message_id, caller, database)
    address = Wanted(site=row.site or "", feed=row.feed_id, device=row.device or "")
    with database.connection() as connection:
        zones = console.site_zones(connection)
        device_id = _registered(connection, caller, address)
    context = {
        "device_id": device_id,
        "message": row,
        "zone": zones.get(row.site or "", "UTC"),
        "meaning": _meaning(request, row.reason, framed.language),
        "payload": shown_payload(base64.b64decode(row.payload_base64), is_whole=row.payload_is_whole),
        "device_filter": address,
        "is_registered_site": row.site in zones,
        "may_replay": may(caller.person, Action.REPLAY_QUARANTINE, row.site),
        "may_dismiss": may(caller.person, Action.DISMISS_QUARANTINE, row.site),
        "may_adopt": may(caller.person, Action.ADOPT_DEVICE, row.site),
        "asked": asked,
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
        "why": why,
    }
    return page(request, framed, "quarantined.html", context, status=refused_status(refusal))


def _registered(connection: Connection, caller: Caller, wanted: Wanted) -> int | None:
    """Return the device that a filter means, where it is registered and the reader may see it."""
    if not wanted.device or not may(caller.person, Action.READ_SIGNALS):
        return None
    sites = caller.site_list()
    if wanted.feed is not None:
        found = assets.list_devices(connection, sites=sites, feed_id=wanted.feed, feed_key=wanted.device)
    elif wanted.site:
        found = assets.list_devices(connection, sites=sites, site=wanted.site, name=wanted.device)
    else:
        return None
    return next((one.id for one in found if one.feed_id == wanted.feed), None)


def _adopt_address(
    caller: Caller, wanted: Wanted, messages: Sequence[quarantine.Quarantined], zones: Mapping[str, str]
) -> str | None:
    """Return where the device of a filter is adopted; None where it is not unknown, or the reader may not."""
    if not wanted.device or not (wanted.site or wanted.feed):
        return None
    unknown = [one for one in messages if one.reason == "unknown_device" and one.site in zones]
    if not unknown or not may(caller.person, Action.ADOPT_DEVICE, unknown[0].site):
        return None
    return wanted.adopt_query()


def _meaning(request: Request, reason: str, language: Language) -> Meaning | None:
    explained: Mapping[str, ReasonExplained] = request.app.state.reasons
    found = explained.get(reason)
    if found is None:
        return None
    if language is Language.ZH:
        return Meaning(found.meaning_zh, found.remedy_zh)
    return Meaning(found.meaning_en, found.remedy_en)
