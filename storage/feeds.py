"""Feeds: the topics of one MQTT filter, spoken in one dialect, belonging to one site (SPEC E3)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import Connection
from psycopg.types.json import Jsonb

from domain.refusals import Refused
from domain.topic_filters import check_filter, overlap
from storage.queries import load

QUERIES = load("feeds")

# The native topics have no feed, and no feed may listen in on them: a message would be stored twice.
NATIVE_FILTER = "wearsight/#"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed as it is stored. ``settings`` are the dialect's own: a mapping, a naming rule."""

    id: int
    name: str
    site: str
    topic: str
    decoder: str
    settings: Mapping[str, object]
    enabled: bool
    silent_after_s: float | None
    last_message_at: datetime | None


@dataclass(frozen=True, slots=True)
class FeedDraft:
    """What a person says about a feed; ``topic`` is an MQTT filter. Silence of ``silent_after_s`` seconds is an alarm.

    Whether ``settings`` make sense to the decoder is for the decoder to say, before this is saved.
    """

    name: str
    site: str
    topic: str
    decoder: str
    settings: Mapping[str, object]
    enabled: bool = True
    silent_after_s: float | None = None


def all_feeds(connection: Connection) -> list[Feed]:
    """Return every feed, enabled or not, in the order of their ids."""
    return page(connection, sites=None, limit=None)


def page(
    connection: Connection,
    *,
    sites: Sequence[str] | None,
    feed_id: int | None = None,
    site: str | None = None,
    after: int = 0,
    limit: int | None = 50,
) -> list[Feed]:
    """Return feeds with ids above ``after``, only of ``sites`` unless None, that match every filter given."""
    asked = {
        "sites": None if sites is None else list(sites),
        "id": feed_id,
        "site": site,
        "after": after,
        "limit": limit,
    }
    return [Feed(*row) for row in connection.execute(QUERIES["feeds"], asked).fetchall()]


def create_feed(connection: Connection, draft: FeedDraft, now: datetime) -> Feed:
    """Add a feed. Refuses ``invalid_feed`` and, for a name that is taken, ``duplicate_record``."""
    _check(connection, draft, but=None)
    return _written(connection, "insert_feed", {**_values(draft), "now": now})


def update_feed(connection: Connection, feed_id: int, draft: FeedDraft) -> Feed:
    """Replace what is said about a feed.

    Refuses as ``create_feed`` does, ``unknown_record``, and as ``feed_in_use`` another site while devices are bound:
    they stand on assets of the old one.
    """
    known = page(connection, sites=None, feed_id=feed_id)
    if not known:
        raise _unknown(feed_id)
    _check(connection, draft, but=feed_id)
    if draft.site != known[0].site and (bound := _bound_devices(connection, feed_id)):
        raise _in_use(feed_id, bound, "Make a new feed for the other site.")
    return _written(connection, "update_feed", {**_values(draft), "id": feed_id})


def delete_feed(connection: Connection, feed_id: int) -> None:
    """Remove a feed. Refuses ``unknown_record``, and ``feed_in_use`` while devices are bound to it."""
    _lock(connection)
    if bound := _bound_devices(connection, feed_id):
        raise _in_use(feed_id, bound, "Give its devices another address, or disable the feed.")
    try:
        with connection.transaction():
            gone = connection.execute(QUERIES["delete_feed"], {"id": feed_id}).rowcount
    except psycopg.errors.ForeignKeyViolation:  # a device was bound to it this moment
        raise _in_use(feed_id, 1, "Give its devices another address, or disable the feed.") from None
    if not gone:
        raise _unknown(feed_id)


def note_messages(connection: Connection, feed_ids: Collection[int], now: datetime) -> None:
    """Note that messages of these feeds came; times only grow."""
    if feed_ids:
        connection.execute(QUERIES["note_messages"], {"ids": sorted(feed_ids), "now": now})


def _check(connection: Connection, draft: FeedDraft, *, but: int | None) -> None:
    """Refuse what contradicts itself or another feed than ``but``. Holds the lock under which that stays true."""
    if not _NAME.fullmatch(draft.name):
        raise _invalid("a name of 1 to 64 of A-Z a-z 0-9 _ -", repr(draft.name[:80]), "Choose another name.")
    if draft.silent_after_s is not None and not 0 < draft.silent_after_s < float("inf"):
        raise _invalid("silent_after_s above 0, or none", repr(draft.silent_after_s), "Leave it out for no alarm.")
    try:
        check_filter(draft.topic)
    except ValueError as error:
        raise _invalid("an MQTT topic filter", str(error), "Correct the filter.") from None
    if overlap(draft.topic, NATIVE_FILTER):
        raise _invalid(
            f"a filter apart from {NATIVE_FILTER}",
            repr(draft.topic),
            "Name the topics of this dialect more closely; the native topics need no feed.",
        )
    if connection.execute(QUERIES["has_site"], {"site": draft.site}).fetchone() is None:
        raise _invalid("the id of a site", repr(draft.site[:80]), "Create the site first, or correct its id.")
    _lock(connection)
    for other in all_feeds(connection):
        if other.id != but and overlap(draft.topic, other.topic):
            raise _invalid(
                f"a filter apart from {other.topic!r} of feed {other.name!r}",
                repr(draft.topic),
                "Two feeds must not hear the same message: narrow one of the filters.",
            )


def _lock(connection: Connection) -> None:
    # Of two feeds saved at once neither would see the other, and both might hear the same topics.
    connection.execute(QUERIES["lock_feeds"])


def _written(connection: Connection, query: str, values: Mapping[str, object]) -> Feed:
    try:
        with connection.transaction():
            row = connection.execute(QUERIES[query], values).fetchone()
    except psycopg.errors.UniqueViolation:
        raise Refused(
            "duplicate_record",
            expected="a feed name that is free",
            got=repr(values["name"]),
            remedy="Use the feed that exists, or another name.",
        ) from None
    except psycopg.DataError as error:  # NaN, or a character that jsonb does not take
        raise _invalid("settings that PostgreSQL stores as JSON", str(error).split("\n")[0], "Correct them.") from None
    if row is None:
        raise _unknown(values.get("id"))
    return Feed(*row)


def _values(draft: FeedDraft) -> dict[str, object]:
    return {
        "name": draft.name,
        "site": draft.site,
        "topic": draft.topic,
        "decoder": draft.decoder,
        "settings": Jsonb(dict(draft.settings)),
        "enabled": draft.enabled,
        "silent_after_s": draft.silent_after_s,
    }


def _bound_devices(connection: Connection, feed_id: int) -> int:
    row = connection.execute(QUERIES["count_bound_devices"], {"id": feed_id}).fetchone()
    return 0 if row is None else int(row[0])


def _invalid(expected: str, got: str, remedy: str) -> Refused:
    return Refused("invalid_feed", expected=expected, got=got, remedy=remedy)


def _unknown(feed_id: object) -> Refused:
    return Refused("unknown_record", expected="a feed", got=str(feed_id), remedy="Check the feed's id.")


def _in_use(feed_id: int, bound: int, remedy: str) -> Refused:
    return Refused(
        "feed_in_use", expected="a feed without devices", got=f"feed {feed_id} with {bound} of them", remedy=remedy
    )
