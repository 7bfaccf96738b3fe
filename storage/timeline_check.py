"""Verifying timelines, one ticket or all of them page by page: is every event as it was written? (SPEC T7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from psycopg import Connection

from domain.refusals import Refused
from storage.queries import load
from ticketing.timeline import ChainedEvent, TimelineEvent, first_break

QUERIES = load("timeline_check")

PAGE = 500


@dataclass(frozen=True, slots=True)
class CheckedTimeline:
    """One ticket's timeline: how many events it has, and the first that is broken, None when it is whole.

    ``told`` is what stands at that place now; None when nothing does.
    """

    code: str
    events: int
    first_broken: int | None
    told: TimelineEvent | None


@dataclass(frozen=True, slots=True)
class _End:
    """What a ticket says of its timeline's end."""

    id: UUID
    code: str
    length: int
    head: bytes


def check_timelines(connection: Connection, code: str | None = None) -> Iterator[CheckedTimeline]:
    """Verify the timeline of one ticket, or those of all, oldest ticket first; refuse an unknown code."""
    after: UUID | None = None
    while page := _page(connection, code, after):
        for end, links in page:
            broken = first_break(end.id, links, end.length, end.head)
            told = links[broken - 1].event if broken is not None and broken <= len(links) else None
            yield CheckedTimeline(end.code, len(links), broken, told)
        after = page[-1][0].id
        if code is not None:
            return
    if code is not None:
        raise Refused(
            "unknown_record",
            expected="the tracking code of a ticket",
            got=repr(code)[:40],
            remedy="Check the code: one letter and six digits.",
        )


def _page(connection: Connection, code: str | None, after: UUID | None) -> list[tuple[_End, list[ChainedEvent]]]:
    asked = {"code": code, "after": after, "limit": PAGE}
    chains: dict[_End, list[ChainedEvent]] = {}
    for row in connection.execute(QUERIES["timelines"], asked):
        links = chains.setdefault(_End(*row[:4]), [])
        if row[4] is not None:
            links.append(ChainedEvent(TimelineEvent(*row[4:16]), row[16], row[17]))
    return list(chains.items())
