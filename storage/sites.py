"""Sites and their areas: the places of the register (SPEC E1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from psycopg import Connection

from domain.refusals import Refused
from storage.queries import load

QUERIES = load("sites")


@dataclass(frozen=True, slots=True)
class Site:
    """A place with one calendar; latitude and longitude in degrees (WGS84)."""

    id: str
    name: str
    calendar_id: str
    latitude: float
    longitude: float
    version: int = 1


@dataclass(frozen=True, slots=True)
class Area:
    """A part of a site: a hall, a line."""

    id: int
    site_id: str
    name: str
    version: int


def list_sites(
    connection: Connection, *, sites: Sequence[str] | None, name: str | None = None, after: str = "", limit: int = 50
) -> list[Site]:
    """Return sites with ids above ``after``, only those in ``sites`` unless None."""
    asked = {"sites": None if sites is None else list(sites), "name": name, "after": after, "limit": limit}
    return [Site(*row) for row in connection.execute(QUERIES["sites"], asked)]


def create_site(connection: Connection, site: Site) -> None:
    """Add a site; an id that is taken is refused as ``duplicate_record``."""
    if connection.execute(QUERIES["insert_site"], _site_values(site)).fetchone() is None:
        raise duplicate("a site id that is free", site.id)


def site_for_change(connection: Connection, site_id: str) -> Site | None:
    """Return a site, held until the transaction ends."""
    row = connection.execute(QUERIES["site_for_change"], {"id": site_id}).fetchone()
    return None if row is None else Site(*row)


def change_site(connection: Connection, site: Site) -> Site:
    """Store ``site``, which was read with ``site_for_change``, as its next version."""
    connection.execute(QUERIES["update_site"], _site_values(site))
    return replace(site, version=site.version + 1)


def list_areas(
    connection: Connection, *, sites: Sequence[str] | None, site: str | None = None, after: int = 0, limit: int = 50
) -> list[Area]:
    """Return areas with ids above ``after``, only those at ``sites`` unless None."""
    asked = {"sites": None if sites is None else list(sites), "site": site, "after": after, "limit": limit}
    return [Area(*row) for row in connection.execute(QUERIES["areas"], asked)]


def create_area(connection: Connection, site_id: str, name: str) -> Area:
    """Add an area; a name that is taken at the site is refused as ``duplicate_record``."""
    row = connection.execute(QUERIES["insert_area"], {"site_id": site_id, "name": name}).fetchone()
    if row is None:
        raise duplicate("an area name that is free at the site", f"{site_id}/{name}")
    return Area(*row)


def area_for_change(connection: Connection, area_id: int) -> Area | None:
    """Return an area, held until the transaction ends."""
    row = connection.execute(QUERIES["area_for_change"], {"id": area_id}).fetchone()
    return None if row is None else Area(*row)


def rename_area(connection: Connection, area: Area, name: str) -> Area:
    """Give an area, read with ``area_for_change``, another name."""
    connection.execute(QUERIES["update_area"], {"id": area.id, "name": name})
    return replace(area, name=name, version=area.version + 1)


def duplicate(expected: str, got: str) -> Refused:
    """Return the refusal for a key that is taken."""
    return Refused(
        "duplicate_record", expected=expected, got=f"'{got}'", remedy="Use the record that exists, or another name."
    )


def check_version(noun: str, given: int, present: int) -> None:
    """Refuse a change of a record that somebody else changed since it was read."""
    if given != present:
        raise Refused(
            "stale_record",
            expected=f"the present version of the {noun}, {present}",
            got=f"version {given}",
            remedy="Read it again, and change what you find then.",
        )


def _site_values(site: Site) -> dict[str, object]:
    return {
        "id": site.id,
        "name": site.name,
        "calendar_id": site.calendar_id,
        "latitude": site.latitude,
        "longitude": site.longitude,
    }
