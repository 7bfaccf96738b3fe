"""What dispatch reads: a ticket as a job, and an engineer as the rules see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum


class Presence(StrEnum):
    """What somebody's plan says of this moment; who has no plan is at work."""

    AT_WORK = "at_work"
    ON_CALL = "on_call"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Place:
    """A position, WGS84 degrees."""

    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Job:
    """What a ticket asks of an engineer. ``day`` is the date at the site, by which certificates are valid or not.

    ``last_engineer_id`` closed the newest ticket of the asset. ``team_id`` None: any team.
    """

    code: str
    priority: int
    site_id: str
    place: Place
    day: date
    skills: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()
    team_id: int | None = None
    brand: str | None = None
    asset_type_id: str = ""
    failure_mode_id: int | None = None
    last_engineer_id: int | None = None


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with the first and the last day on which it is valid; None: for ever."""

    name: str
    valid_from: date
    valid_to: date | None

    def is_valid(self, day: date) -> bool:
        """Tell whether it is valid on a day."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)


@dataclass(frozen=True, slots=True)
class Engineer:
    """A person who might go.

    ``sites`` are those of the engineer's role, None: every site. ``skills`` maps skill to level 1-5, ``open_tickets``
    counts tickets not yet closed. ``team_ids`` has the own team and those of people they stand in for now.
    ``absent_until`` is None for who is not absent; ``delegate`` then is the name of who stands in. ``brands`` and
    ``access`` (site to the last day, None: for ever) narrow only when they are not empty. ``repairs`` maps an asset
    type to how many repairs there were and how many held; ``handled_h`` a failure mode to how many hours ago it
    was last handled.
    """

    person_id: int
    name: str
    place: Place | None = None
    sites: frozenset[str] | None = None
    is_active: bool = True
    is_on_duty: bool = True
    presence: Presence = Presence.AT_WORK
    absent_until: datetime | None = None
    delegate: str | None = None
    team_ids: frozenset[int] = frozenset()
    skills: Mapping[str, int] = field(default_factory=dict)
    certificates: tuple[Certificate, ...] = ()
    brands: frozenset[str] = frozenset()
    access: Mapping[str, date | None] = field(default_factory=dict)
    open_tickets: int = 0
    load_limit: int = 3
    repairs: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    handled_h: Mapping[int, float] = field(default_factory=dict)
