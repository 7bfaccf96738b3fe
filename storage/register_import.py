"""Imports into the register, and exports that an import takes back unchanged (SPEC E1).

An import is all or nothing: every row is looked at before anything is written, and any error leaves all as it was.
Records are known by natural names (a site and a tag), so the same table imported twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from psycopg import Connection

from domain.refusals import Refused
from storage.importers import Areas, Assets, Components, Devices, Sites, shown
from storage.importing import Errors, Facts, Importer, Incoming, Key, Known, Value
from storage.queries import load
from storage.sites import list_sites

QUERIES = load("register_import")

CHANGES_SHOWN = 100
SITES_MAX = 100_000


class ImportKind(StrEnum):
    """What a table holds."""

    SITES = "sites"
    AREAS = "areas"
    ASSETS = "assets"
    COMPONENTS = "components"
    DEVICES = "devices"


@dataclass(frozen=True, slots=True)
class RowChange:
    """What a row does: ``created`` or ``changed``, and which fields differ."""

    row: int
    key: str
    what: str
    fields: Sequence[str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an import did, or would do; ``changes`` has the first hundred."""

    created: int
    changed: int
    unchanged: int
    changes: Sequence[RowChange]


def import_rows(
    connection: Connection,
    kind: ImportKind,
    rows: Sequence[Incoming],
    errors: Errors,
    *,
    sites: Collection[str] | None,
    now: datetime,
) -> Outcome | None:
    """Write the rows, or nothing and None when there are ``errors``, those of the caller and those found here.

    Only records at ``sites`` are seen and made (None: at every site). Each row has the values of its key.
    """
    zones = {site: ZoneInfo(zone) for site, zone in connection.execute(QUERIES["time_zones"])}
    if kind is ImportKind.SITES:
        named = [row for row in rows if _may_name(row, sites, errors)]
    else:
        visible = {site: zone for site, zone in zones.items() if sites is None or site in sites}
        named = [row for row in rows if _is_at(row, visible.keys(), errors)]
    asked = sorted({str(row.values["site"]) for row in named})
    match kind:
        case ImportKind.SITES:
            return _walk(Sites(connection, zones, asked), named, errors, now)
        case ImportKind.AREAS:
            return _walk(Areas(connection, zones, asked), named, errors, now)
        case ImportKind.ASSETS:
            return _walk(Assets(connection, zones, asked), named, errors, now)
        case ImportKind.COMPONENTS:
            return _walk(Components(connection, zones, asked), named, errors, now)
        case ImportKind.DEVICES:
            return _walk(Devices(connection, zones, asked), named, errors, now)


def _walk(importer: Importer[Facts], rows: Sequence[Incoming], errors: Errors, now: datetime) -> Outcome | None:
    created: list[Facts] = []
    changed: list[tuple[Known[Facts], Facts]] = []
    changes: list[RowChange] = []
    seen: dict[Key, int] = {}
    for row in rows:
        key = tuple(row.values[name] for name in importer.keys)
        if (first := seen.setdefault(key, row.number)) != row.number:
            errors.add(row.number, importer.keys[-1], "/".join(map(str, key)), f"a record once: row {first} has it")
            continue
        found = _judged(importer, row, importer.known.get(key), errors)
        if found is None:
            continue
        known, facts = found
        if known is None:
            created.append(facts)
            changes.append(RowChange(row.number, "/".join(map(str, key)), "created", []))
        elif facts != known.facts:
            changed.append((known, facts))
            differing = [
                one.name for one in fields(facts) if getattr(facts, one.name) != getattr(known.facts, one.name)
            ]
            changes.append(RowChange(row.number, "/".join(map(str, key)), "changed", differing))
    if errors.count:
        return None
    _insist(importer.insert(created, now), len(created))
    _insist(importer.update(changed), len(changed))
    return Outcome(len(created), len(changed), len(rows) - len(created) - len(changed), changes[:CHANGES_SHOWN])


def _judged(
    importer: Importer[Facts], row: Incoming, known: Known[Facts] | None, errors: Errors
) -> tuple[Known[Facts] | None, Facts] | None:
    """Return the record that a row makes of what is there, or None after complaining."""
    before = errors.count

    def complain(column: str, got: Value, expected: str) -> None:
        errors.add(row.number, column, "nothing" if got is None else got, expected)

    for column in importer.needed:
        if (known is None or column in row.values) and row.values.get(column) is None:
            complain(column, None, "a value")
    if errors.count > before:
        return None
    said = importer.fields(row.values, complain)
    if errors.count > before:
        return None
    facts = importer.fresh(said) if known is None else replace(known.facts, **said)
    importer.check(facts, complain)
    return None if errors.count > before else (known, facts)


def _may_name(row: Incoming, sites: Collection[str] | None, errors: Errors) -> bool:
    if sites is None or row.values["site"] in sites:
        return True
    errors.add(row.number, "site", row.values["site"], "a site where you hold the role; new sites need it everywhere")
    return False


def _is_at(row: Incoming, visible: Collection[str], errors: Errors) -> bool:
    if row.values["site"] in visible:
        return True
    errors.add(row.number, "site", row.values["site"], "one of " + (shown(set(visible)) or "the sites, none yet"))
    return False


def _insist(written: int, wanted: int) -> None:
    if written != wanted:
        raise Refused(
            "stale_record",
            expected=f"{wanted} records that nobody else writes meanwhile",
            got=f"{wanted - written} that somebody else wrote",
            remedy="Import the table again: nothing was changed.",
        )


def export_rows(
    connection: Connection, kind: ImportKind, sites: Collection[str] | None, site: str | None
) -> list[Mapping[str, Value]]:
    """Return the records at ``sites`` (None: everywhere), or at one ``site`` of them, by the columns of an import."""
    known = [one.id for one in list_sites(connection, sites=None if sites is None else list(sites), limit=SITES_MAX)]
    asked = {"sites": [one for one in known if site in (None, one)]}
    query, columns = _EXPORTS[kind]
    return [dict(zip(columns, row, strict=True)) for row in connection.execute(QUERIES[query], asked)]


# The query of each kind, and what its columns are called in an import; those that are not imported are left out there.
_EXPORTS: Mapping[ImportKind, tuple[str, Sequence[str]]] = {
    ImportKind.SITES: ("sites_of", ("site", "name", "calendar", "latitude", "longitude", "version")),
    ImportKind.AREAS: ("areas_of", ("site", "name")),
    ImportKind.ASSETS: (
        "assets_of",
        (
            *("id", "version", "requester", "site", "tag", "name", "asset_type", "area", "status", "criticality"),
            *("serial_number", "brand", "model", "batch", "purchase_date", "warranty_until", "firmware"),
            *("contract_number", "location", "latitude", "longitude", "requester_id", "commissioned_at"),
        ),
    ),
    ImportKind.COMPONENTS: (
        "components_of",
        ("site", "asset", "asset_id", "code", "name", "serial_number", "brand", "model", "installed_at"),
    ),
    ImportKind.DEVICES: (
        "devices_of",
        (
            *("id", "version", "asset", "feed", "site", "name", "asset_id", "time_policy", "expected_interval_s"),
            *("feed_id", "feed_key"),
        ),
    ),
}
