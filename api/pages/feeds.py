"""Feeds: other dialects than our own, started from a preset, and the editor that tries a mapping before it is saved."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.dependencies import ChangeFeeds, Database, DialectsUsed, Now, ReadFeeds
from api.dialects import Attempt, Dialects, Preset, shipped_presets
from api.feed_schemas import FeedChange, FeedTrial, NewFeed
from api.identity import Caller
from api.pages.access import may
from api.pages.devices import places_of
from api.pages.forms import PostedForm, body_of, text
from api.pages.history import Before, history_of
from api.pages.payloads import shown_payload
from api.pages.rendering import frame, page, refused_status, shown
from api.permissions import Action
from api.routes import feeds as routes
from api.routes.feeds import FeedKey
from domain.refusals import Refused
from storage import console, feeds, quarantine
from storage.feeds import Feed

router = APIRouter()

LIST_MAX = 100
EXAMPLES_MAX = 20


@dataclass(frozen=True, slots=True)
class FeedForm:
    """The editor as it is filled in: text, whatever it says, and the sample to try the mapping on."""

    name: str = ""
    site: str = ""
    topic: str = ""
    decoder: str = ""
    settings: str = "{}"
    silent_after_s: str = ""
    sample_topic: str = ""
    sample: str = ""
    encoding: str = "text"

    @classmethod
    def of(cls, form: PostedForm) -> FeedForm:
        """Return the editor as it was posted. Browsers end lines with CR LF; what was pasted had LF."""
        typed = {name: str(form.get(name, "")) for name in cls.__slots__}
        return cls(**{name: value.replace("\r\n", "\n") for name, value in typed.items()})

    def draft(self) -> dict[str, object]:
        """Return what is said of the feed, as the API takes it; settings that are no JSON object are refused."""
        return {
            **{name: getattr(self, name).strip() for name in ("name", "site", "topic", "decoder")},
            "settings": self.read_settings(),
            "silent_after_s": self.silent_after_s.strip() or None,
        }

    def trial(self) -> dict[str, object]:
        """Return the trial as the API takes it."""
        return {
            "decoder": self.decoder.strip(),
            "settings": self.read_settings(),
            "topic": self.sample_topic.strip(),
            "payload": self.sample.strip() if self.encoding == "base64" else self.sample,
            "encoding": self.encoding,
            "feed_topic": self.topic.strip() or None,
        }

    def read_settings(self) -> dict[str, object]:
        """Return the settings; refused where the JSON breaks, so that the place can be found."""
        try:
            found = json.loads(self.settings or "{}")
        except (ValueError, RecursionError) as error:
            raise _no_json(str(error)) from None
        if not isinstance(found, dict):
            raise _no_json(f"{type(found).__name__}: {self.settings[:40]}")
        return found


@router.get("/feeds")
def list_feeds(
    request: Request,
    caller: ReadFeeds,
    database: Database,
    after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    before: Before = None,
) -> HTMLResponse:
    """Show the feeds at the reader's sites, and their changes before the one of the id ``before``."""
    return _list_page(request, caller, database, after=after, before=before)


@router.get("/feeds/new")
def start(
    request: Request,
    caller: ReadFeeds,
    database: Database,
    dialects: DialectsUsed,
    preset: Annotated[str, Query(max_length=64)] = "",
    example: Annotated[int, Query(ge=0, le=EXAMPLES_MAX)] = 0,
) -> Response:
    """Ask for a new feed, filled in as the preset has it; who may add none is shown those that there are."""
    if not may(caller.person, Action.CHANGE_FEEDS):
        return RedirectResponse("/feeds", status_code=303)
    presets = shipped_presets()
    chosen = next((one for one in presets if one.name == preset), presets[0])
    sample = chosen.examples[min(example, len(chosen.examples) - 1)]
    typed = FeedForm(
        topic=chosen.topic,
        decoder=chosen.decoder,
        settings=_written(chosen.settings),
        sample_topic=sample.topic,
        sample=sample.payload,
        encoding=sample.encoding,
    )
    return _editor(request, caller, database, dialects, typed, preset=chosen)


@router.post("/feeds/new")
def add(
    form: PostedForm, request: Request, caller: ChangeFeeds, database: Database, dialects: DialectsUsed, now: Now
) -> Response:
    """Try the mapping, or add the feed."""
    typed = FeedForm.of(form)
    try:
        if text(form, "step") == "try":
            tried = routes.try_feed(caller, body_of(FeedTrial, typed.trial()), dialects, now)
            return _editor(request, caller, database, dialects, typed, tried=tried)
        made = routes.add_feed(caller, body_of(NewFeed, typed.draft()), database, dialects, now)
    except Refused as refusal:
        return _editor(request, caller, database, dialects, typed, refusal=refusal)
    return RedirectResponse(f"/feeds/{made.id}?saved=1", status_code=303)


@router.get("/feeds/{feed_id}")
def show_feed(
    feed_id: FeedKey,
    request: Request,
    caller: ReadFeeds,
    database: Database,
    dialects: DialectsUsed,
    saved: Annotated[int, Query(ge=0, le=1)] = 0,
) -> HTMLResponse:
    """Show one feed in the editor, with its newest quarantined message as the sample where there is one."""
    known = routes.read_feed(feed_id, caller, database)
    typed = FeedForm(
        name=known.name,
        site=known.site,
        topic=known.topic,
        decoder=known.decoder,
        settings=_written(known.settings),
        silent_after_s="" if known.silent_after_s is None else f"{known.silent_after_s:g}",
    )
    if may(caller.person, Action.READ_QUARANTINE, known.site):
        typed = _with_sample(database, known, typed)
    return _editor(request, caller, database, dialects, typed, known=known, is_saved=bool(saved))


@router.post("/feeds/{feed_id}")
def change(
    feed_id: FeedKey,
    form: PostedForm,
    request: Request,
    caller: ChangeFeeds,
    database: Database,
    dialects: DialectsUsed,
    now: Now,
) -> Response:
    """Try the mapping, or save the feed."""
    known = routes.read_feed(feed_id, caller, database)
    typed = FeedForm.of(form)
    try:
        if text(form, "step") == "try":
            tried = routes.try_feed(caller, body_of(FeedTrial, typed.trial()), dialects, now)
            return _editor(request, caller, database, dialects, typed, known=known, tried=tried)
        routes.change_feed(feed_id, caller, body_of(FeedChange, typed.draft()), database, dialects, now)
    except Refused as refusal:
        return _editor(request, caller, database, dialects, typed, known=known, refusal=refusal)
    return RedirectResponse(f"/feeds/{feed_id}?saved=1", status_code=303)


@router.post("/feeds/{feed_id}/switch")
def switch(
    feed_id: FeedKey,
    form: PostedForm,
    request: Request,
    caller: ChangeFeeds,
    database: Database,
    dialects: DialectsUsed,
    now: Now,
) -> Response:
    """Turn a feed on or off."""
    try:
        body = FeedChange(enabled=text(form, "enabled") == "yes")
        routes.change_feed(feed_id, caller, body, database, dialects, now)
    except Refused as refusal:
        return _list_page(request, caller, database, refusal=refusal)
    return RedirectResponse("/feeds", status_code=303)


@router.post("/feeds/{feed_id}/remove")
def remove(feed_id: FeedKey, request: Request, caller: ChangeFeeds, database: Database, now: Now) -> Response:
    """Remove a feed that no device is bound to."""
    try:
        routes.remove_feed(feed_id, caller, database, now)
    except Refused as refusal:
        return _list_page(request, caller, database, refusal=refusal)
    return RedirectResponse("/feeds", status_code=303)


def _list_page(
    request: Request,
    caller: Caller,
    database: Database,
    *,
    after: int = 0,
    before: int | None = None,
    refusal: Refused | None = None,
) -> HTMLResponse:
    framed = frame(request, caller.person, "feeds", here=None if request.method == "GET" else "/feeds")
    with database.connection() as connection:
        rows = feeds.page(connection, sites=caller.site_list(), after=after, limit=LIST_MAX + 1)
        zones = console.site_zones(connection)
        past = history_of(connection, caller, ["feed"], "/feeds", before=before)
    context = {
        "feeds": rows[:LIST_MAX],
        "past": past,
        "zones": zones,
        "presets": shipped_presets(),
        "may_change": _may_change(caller),
        "more": f"/feeds?after={rows[LIST_MAX - 1].id}" if len(rows) > LIST_MAX else None,
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
    }
    return page(request, framed, "feeds.html", context, status=refused_status(refusal))


def _editor(
    request: Request,
    caller: Caller,
    database: Database,
    dialects: Dialects,
    typed: FeedForm,
    *,
    known: Feed | None = None,
    preset: Preset | None = None,
    tried: Attempt | None = None,
    refusal: Refused | None = None,
    is_saved: bool = False,
) -> HTMLResponse:
    address = "/feeds/new" if known is None else f"/feeds/{known.id}"
    framed = frame(request, caller.person, "feeds", here=None if request.method == "GET" else address)
    with database.connection() as connection:
        zones = console.site_zones(connection)
    context = {
        "typed": typed,
        "known": known,
        "preset": preset,
        "tried": tried,
        "is_saved": is_saved,
        "address": address,
        "decoders": list(dialects.names()),
        "sites": sorted(zones),
        "zone": zones.get(typed.site, "UTC"),
        "may_change": _may_change(caller),
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
    }
    return page(request, framed, "feed.html", context, status=refused_status(refusal))


def _may_change(caller: Caller) -> bool:
    """Tell whether the caller may change feeds: a role held at every site, because a feed may listen to any topic."""
    return may(caller.person, Action.CHANGE_FEEDS) and places_of(caller, Action.CHANGE_FEEDS) is None


def _with_sample(database: Database, known: Feed, typed: FeedForm) -> FeedForm:
    with database.connection() as connection:
        rows: Sequence[quarantine.Quarantined] = quarantine.page(connection, feed_id=known.id, limit=1)
        payload = quarantine.payload_of(connection, rows[0].id) if rows else None
    # A field shows its text as it is, and a topic that turns itself around would not be what it looks like.
    if payload is None or not rows[0].topic.isprintable():
        return typed
    sample = shown_payload(payload, is_whole=True)
    return replace(typed, sample_topic=rows[0].topic, sample=sample.text) if sample.is_text else typed


def _written(settings: object) -> str:
    return json.dumps(settings, indent=2, ensure_ascii=False)


def _no_json(got: str) -> Refused:
    return Refused(
        "invalid_feed",
        expected="settings as a JSON object: {...}",
        got=got[:200],
        remedy="Correct the settings where the message points; docs/dialects.md lists what they may hold.",
    )
