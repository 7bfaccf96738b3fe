"""Tickets that belong together: links, splits, merges and their origins (SPEC T9)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import Connection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from storage.queries import load
from ticketing.actors import Actor, ActorKind, Role
from ticketing.ticket import Clock

QUERIES = load("links")

STAFF = (Role.ADMIN, Role.PLANNER, Role.SUPERVISOR, Role.ENGINEER)


@dataclass(frozen=True, slots=True)
class LinkView:
    """Another ticket that belongs to this one.

    ``kind`` is related, causes, duplicates, split or merged, read from this ticket to the other when
    ``is_from_here``: this one causes that one, was split into it, was merged into it. ``linked_by`` is a name.
    """

    code: str
    kind: str
    is_from_here: bool
    state: str
    title_en: str
    title_zh: str
    linked_at: datetime
    linked_by: str | None


@dataclass(frozen=True, slots=True)
class OriginView:
    """A ticket that was merged into this one: when and by which way it came, from whom, and what it said differently.

    ``differences`` has for each field that differed the values of ``survivor`` and ``merged``.
    """

    code: str
    opened_at: datetime
    channel: str
    reporter: str | None
    title_en: str
    title_zh: str
    description: str
    differences: Mapping[str, Mapping[str, object]]
    merged_at: datetime


@dataclass(frozen=True, slots=True)
class _Linked:
    code: str
    kind: str
    is_from_here: bool
    state: str
    title_en: str
    title_zh: str
    site_id: str
    requester_id: int | None
    linked_at: datetime
    linked_by: str | None


def links_of(connection: Connection, ticket_id: UUID, actor: Actor) -> list[LinkView]:
    """Return what belongs to a ticket, as far as the actor may see it: a link must not show another site's tickets."""
    with connection.cursor(row_factory=class_row(_Linked)) as cursor:
        found = cursor.execute(QUERIES["links_of_ticket"], {"ticket_id": ticket_id}).fetchall()
    return [
        LinkView(
            one.code,
            one.kind,
            one.is_from_here,
            one.state,
            one.title_en,
            one.title_zh,
            one.linked_at,
            one.linked_by,
        )
        for one in found
        if sees(actor, one.site_id, one.requester_id)
    ]


def sees(actor: Actor, site_id: str, requester_id: int | None) -> bool:
    """Say whether the actor may see a ticket: the system, staff of its site, and whoever asked for it."""
    own = requester_id is not None and actor.person_id == requester_id
    return actor.kind is ActorKind.SYSTEM or own or any(actor.holds(role, site_id) for role in STAFF)


def origins_of(connection: Connection, ticket_id: UUID) -> list[OriginView]:
    """Return the tickets that were merged into a ticket, the earliest first."""
    with connection.cursor(row_factory=class_row(OriginView)) as cursor:
        return cursor.execute(QUERIES["origins_of_ticket"], {"ticket_id": ticket_id}).fetchall()


def add_link(
    connection: Connection, ticket_id: UUID, other_id: UUID, kind: str, person_id: int | None, now: datetime
) -> bool:
    """Link two tickets; say whether this call did it, or they were linked in this way already."""
    parameters = {"ticket_id": ticket_id, "other_id": other_id, "kind": kind, "person_id": person_id, "now": now}
    return connection.execute(QUERIES["insert_link"], parameters).fetchone() is not None


def carry_over(
    connection: Connection, ticket_id: UUID, survivor_id: UUID, differences: Mapping[str, object], now: datetime
) -> bool:
    """Give the survivor of a merge everything that the merged ticket had; say whether it took its prediction too."""
    both = {"ticket_id": ticket_id, "survivor_id": survivor_id, "now": now}
    connection.execute(QUERIES["insert_origin"], {**both, "differences": Jsonb(dict(differences))})
    connection.execute(QUERIES["carry_origins"], both)
    connection.execute(QUERIES["carry_findings"], both)
    connection.execute(QUERIES["carry_attachments"], both)
    connection.execute(QUERIES["carry_bill"], both)
    connection.execute(QUERIES["empty_bill"], both)
    row = connection.execute(QUERIES["adopt"], both).fetchone()
    assert row is not None
    return bool(row[0])


def earlier_starts(connection: Connection, ticket_id: UUID) -> dict[Clock, datetime]:
    """Return since when the clocks of the tickets merged into a ticket had run."""
    rows = connection.execute(QUERIES["earlier_starts"], {"ticket_id": ticket_id}).fetchall()
    return {Clock(row[0]): row[1] for row in rows}


def tickets_to_join(connection: Connection, ticket_id: UUID) -> list[tuple[str, str, str]]:
    """Return code and titles of open tickets with which a ticket could be joined."""
    rows = connection.execute(QUERIES["open_tickets_of_site"], {"ticket_id": ticket_id}).fetchall()
    return [(row[0], row[1], row[2]) for row in rows]
