"""Feeds: which topics speak which dialect, the presets to start from, and the trial of a mapping on a sample."""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from api.boundary import BASE_PATH
from api.dependencies import ChangeFeeds, Database, DialectsUsed, Now, ReadFeeds
from api.dialects import Attempt, shipped_presets
from api.feed_schemas import FeedChange, FeedPresets, Feeds, FeedTrial, NewFeed
from api.identity import Caller
from api.problems import unknown
from api.routes.answers import CHANGE_ANSWERS, RECORD_ANSWERS, SIGNED_IN_ANSWERS
from api.routes.paging import LIMIT_DEFAULT, Cursor, Limit, cut
from api.schemas import Key
from domain.refusals import Refused
from storage import audit, feeds
from storage.feeds import Feed, FeedDraft

router = APIRouter(prefix=BASE_PATH, tags=["feeds"])

FeedKey = Annotated[Key, Path(le=2**31 - 1, description="The feed's id")]


@router.get("/feeds", responses=SIGNED_IN_ANSWERS)
def list_feeds(
    caller: ReadFeeds,
    database: Database,
    site: Annotated[str | None, Query(max_length=64)] = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Feeds:
    """Return the feeds of the caller's sites, those that are off included."""
    with database.connection() as connection:
        rows = feeds.page(connection, sites=caller.site_list(), site=site, after=cursor or 0, limit=limit + 1)
    page, next_cursor = cut(rows, limit, lambda feed: feed.id)
    return Feeds(items=page, next_cursor=next_cursor)


@router.post("/feeds", status_code=201, responses=CHANGE_ANSWERS)
def add_feed(caller: ChangeFeeds, body: NewFeed, database: Database, dialects: DialectsUsed, now: Now) -> Feed:
    """Add a feed; ingest subscribes to it within seconds. What unknown devices say there is kept in quarantine."""
    _holds_everywhere(caller)
    draft = FeedDraft(body.name, body.site, body.topic, body.decoder, body.settings, body.enabled, body.silent_after_s)
    dialects.check(draft)
    with database.connection() as connection:
        audit.act_as(connection, caller.person.id, now)
        return feeds.create_feed(connection, draft, now)


@router.get("/feed-presets", responses=SIGNED_IN_ANSWERS)
def list_presets(caller: ReadFeeds, dialects: DialectsUsed) -> FeedPresets:
    """Return the presets, each with messages to try it on, and the names of all dialects."""
    return FeedPresets(items=list(shipped_presets()), decoders=list(dialects.names()))


@router.post("/feeds/try", responses=SIGNED_IN_ANSWERS)
def try_feed(caller: ChangeFeeds, body: FeedTrial, dialects: DialectsUsed, now: Now) -> Attempt:
    """Say what a message would give under these settings. Nothing is stored; a refused message is an answer too."""
    draft = FeedDraft("trial", "trial", body.feed_topic or body.topic, body.decoder, body.settings)
    return dialects.attempt(draft, body.topic, _bytes(body), now)


@router.get("/feeds/{feed_id}", responses=RECORD_ANSWERS)
def read_feed(feed_id: FeedKey, caller: ReadFeeds, database: Database) -> Feed:
    """Return one feed."""
    with database.connection() as connection:
        rows = feeds.page(connection, sites=caller.site_list(), feed_id=feed_id)
    if not rows:
        raise unknown("feed", feed_id)
    return rows[0]


@router.patch("/feeds/{feed_id}", responses=CHANGE_ANSWERS)
def change_feed(
    feed_id: FeedKey, caller: ChangeFeeds, body: FeedChange, database: Database, dialects: DialectsUsed, now: Now
) -> Feed:
    """Change a feed; what is left out stays. Messages in quarantine can be replayed under the new settings."""
    _holds_everywhere(caller)
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    missing = sorted(name for name, value in changes.items() if value is None and name != "silent_after_s")
    if missing:
        raise Refused(
            "invalid_request",
            expected=f"values for {', '.join(missing)}",
            got="null",
            remedy="Leave out what should stay as it is; only silent_after_s can be null.",
        )
    with database.connection() as connection:
        rows = feeds.page(connection, sites=None, feed_id=feed_id)
        if not rows:
            raise unknown("feed", feed_id)
        known = rows[0]
        draft = FeedDraft(
            known.name, known.site, known.topic, known.decoder, known.settings, known.enabled, known.silent_after_s
        )
        draft = replace(draft, **changes)
        dialects.check(draft)
        audit.act_as(connection, caller.person.id, now)
        return feeds.update_feed(connection, feed_id, draft)


@router.delete("/feeds/{feed_id}", status_code=204, responses=CHANGE_ANSWERS)
def remove_feed(feed_id: FeedKey, caller: ChangeFeeds, database: Database, now: Now) -> Response:
    """Remove a feed to which no device is bound; its quarantined messages stay."""
    _holds_everywhere(caller)
    with database.connection() as connection:
        audit.act_as(connection, caller.person.id, now)
        feeds.delete_feed(connection, feed_id)
    return Response(status_code=204)


def _holds_everywhere(caller: Caller) -> None:
    """Refuse callers of single sites: the topics of a feed lie outside the sites' own, and may be anybody's."""
    caller.require_every_site("a feed may listen to any topic", "Ask somebody whose role holds at every site.")


def _bytes(body: FeedTrial) -> bytes:
    if body.encoding == "text":
        # A lone surrogate has no UTF-8; as bytes it is what the decoder refuses by name.
        return body.payload.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body.payload, validate=True)
    except (binascii.Error, ValueError):
        raise Refused(
            "invalid_request",
            expected="a payload in base64",
            got=repr(body.payload[:40]),
            remedy="Encode the bytes as base64, or send text with encoding = text.",
        ) from None
