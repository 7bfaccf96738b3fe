"""The crew as pages show it: who is at work now or why not, and who is to work when (SPEC X1, X6)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from psycopg import Connection
from psycopg.rows import class_row

from storage.queries import load

QUERIES = load("crew")

NAMES_MAX = 500
SPANS_MAX = 3_000


class Standing(StrEnum):
    """Whether somebody is at work now, and if not, why; a delegate is at work when the absent one would be."""

    INACTIVE = "inactive"
    ABSENT = "absent"
    OFF_DUTY = "off_duty"
    ON_SHIFT = "on_shift"
    UNPLANNED = "unplanned"
    ON_CALL = "on_call"
    OFF_SHIFT = "off_shift"


@dataclass(frozen=True, slots=True)
class PersonNow:
    """A person with what holds of them now; ``roles`` and ``role_sites`` (None: every site) belong together."""

    id: int
    login: str
    name: str
    language: str
    active: bool
    on_duty: bool
    team_id: int | None
    team: str | None
    latitude: float | None
    longitude: float | None
    load_limit: int
    requester_tier: str
    version: int
    calendar_id: str | None
    roles: list[str]
    role_sites: list[str | None]
    skills: Mapping[str, int]
    open_tickets: int
    is_planned: bool
    is_at_work: bool
    is_on_call: bool
    absent_until: datetime | None
    delegate: str | None
    stands_in_for: list[str]

    @property
    def standing(self) -> Standing:
        """Say whether they are at work: the hard rules of dispatch that concern presence, told as one word."""
        if not self.active:
            return Standing.INACTIVE
        if self.absent_until is not None:
            return Standing.ABSENT
        if not self.on_duty:
            return Standing.OFF_DUTY
        if self.is_at_work:
            return Standing.ON_SHIFT
        if not self.is_planned:
            return Standing.UNPLANNED
        return Standing.ON_CALL if self.is_on_call else Standing.OFF_SHIFT

    def held(self) -> list[tuple[str, str | None]]:
        """Return each role with its site, None where it holds at every site."""
        return list(zip(self.roles, self.role_sites, strict=True))


@dataclass(frozen=True, slots=True)
class PersonName:
    """What a person is called."""

    id: int
    name: str
    login: str


@dataclass(frozen=True, slots=True)
class PlannedSpan:
    """A stretch that somebody is to work or to be on call; ``rota`` None: a single shift."""

    person_id: int
    name: str
    team_id: int | None
    own_team_id: int | None
    on_call: bool
    starts_at: datetime
    ends_at: datetime
    rota: str | None


def people_now(
    connection: Connection,
    now: datetime,
    *,
    sites: Sequence[str] | None,
    site: str | None = None,
    team_id: int | None = None,
    person_id: int | None = None,
    after: int = 0,
    limit: int = 50,
) -> list[PersonNow]:
    """Return people with ids above ``after`` who have a role at one of ``sites`` (None: everybody)."""
    asked = {"now": now, "sites": _listed(sites), "site": site, "team_id": team_id, "person_id": person_id}
    with connection.cursor(row_factory=class_row(PersonNow)) as cursor:
        return cursor.execute(QUERIES["people_now"], {**asked, "after": after, "limit": limit}).fetchall()


def names(connection: Connection, *, sites: Sequence[str] | None) -> list[PersonName]:
    """Return the active people of these sites by name, at most ``NAMES_MAX``: to choose one of them."""
    with connection.cursor(row_factory=class_row(PersonName)) as cursor:
        return cursor.execute(QUERIES["names"], {"sites": _listed(sites), "limit": NAMES_MAX}).fetchall()


def names_of(connection: Connection, ids: Collection[int]) -> dict[int, str]:
    """Return what these people are called."""
    return dict(connection.execute(QUERIES["names_of"], {"ids": sorted(ids)}).fetchall())


def people_on_calendar(
    connection: Connection, calendar_id: str, *, sites: Sequence[str] | None, limit: int
) -> list[PersonName]:
    """Return the people of these sites who have this calendar of their own, by name."""
    asked = {"calendar_id": calendar_id, "sites": _listed(sites), "limit": limit}
    with connection.cursor(row_factory=class_row(PersonName)) as cursor:
        return cursor.execute(QUERIES["people_on_calendar"], asked).fetchall()


def plan_between(
    connection: Connection,
    start: datetime,
    until: datetime,
    *,
    sites: Sequence[str] | None,
    site: str | None = None,
    team_id: int | None = None,
    person_id: int | None = None,
    only_on_call: bool = False,
) -> list[PlannedSpan]:
    """Return who is to work in a span, by beginning, at most ``SPANS_MAX``; absences are not taken out."""
    asked = {"start": start, "until": until, "sites": _listed(sites), "site": site, "team_id": team_id}
    more = {"person_id": person_id, "only_on_call": only_on_call, "limit": SPANS_MAX}
    with connection.cursor(row_factory=class_row(PlannedSpan)) as cursor:
        return cursor.execute(QUERIES["plan_between"], {**asked, **more}).fetchall()


def _listed(sites: Sequence[str] | None) -> list[str] | None:
    return None if sites is None else list(sites)
