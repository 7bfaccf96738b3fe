"""The importers, one for each kind of record of the register."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime

from psycopg import Cursor
from psycopg.sql import SQL

from storage import assets, components, sites
from storage.assets import AssetFacts, AssetStatus, DeviceFacts
from storage.importing import Complain, Importer, Key, Known, Value
from storage.queries import load
from storage.sites import Site

QUERIES = load("register_import")

NAMES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class AreaFacts:
    """An area, which is no more than its name."""

    site_id: str
    name: str


@dataclass(frozen=True, slots=True)
class ComponentFacts:
    """A component of an asset. ``installed_at`` is the newest time it was fitted."""

    asset_id: int
    code: str
    name: str | None
    serial_number: str | None
    brand: str | None
    model: str | None
    installed_at: datetime | None


_ASSET_FIELDS = tuple(field.name for field in fields(AssetFacts))
_COMPONENT_FIELDS = tuple(field.name for field in fields(ComponentFacts))


class Sites(Importer[Site]):
    """Sites by their ids."""

    keys = ("site",)
    needed = ("name", "calendar", "latitude", "longitude")

    def read(self, sites_asked: Sequence[str]) -> Mapping[Key, Known[Site]]:
        """Read the sites of the table, and every calendar."""
        self.calendars = {row[0] for row in self.connection.execute(QUERIES["calendars"])}
        rows = [Site(*row) for row in self.connection.execute(QUERIES["sites_of"], {"sites": list(sites_asked)})]
        return {(row.id,): Known(0, row.version, row) for row in rows}

    def fields(self, values: Mapping[str, Value], complain: Complain) -> dict[str, object]:
        """Resolve the calendar."""
        if "calendar" in values and values["calendar"] not in self.calendars:
            complain("calendar", values["calendar"], "one of " + shown(self.calendars))
        return _renamed(values, {"site": "id", "calendar": "calendar_id"})

    def fresh(self, fields: dict[str, object]) -> Site:
        """Return a new site."""
        return Site(**fields)  # type: ignore[arg-type]  # the columns are the record's

    def insert(self, records: Sequence[Site], now: datetime) -> int:
        """Add sites."""
        return _all(self.connection.cursor(), sites.QUERIES["insert_site"], [asdict(site) for site in records])

    def update(self, records: Sequence[tuple[Known[Site], Site]]) -> int:
        """Change sites."""
        return _all(self.connection.cursor(), QUERIES["update_site_of"], [asdict(site) for _, site in records])


class Areas(Importer[AreaFacts]):
    """Areas by site and name."""

    keys = ("site", "name")

    def read(self, sites_asked: Sequence[str]) -> Mapping[Key, Known[AreaFacts]]:
        """Read the areas of the sites."""
        rows = self.connection.execute(QUERIES["areas_of"], {"sites": list(sites_asked)})
        return {(site, name): Known(0, 1, AreaFacts(site, name)) for site, name in rows}

    def fields(self, values: Mapping[str, Value], complain: Complain) -> dict[str, object]:
        """Rename the site's column."""
        return _renamed(values, {"site": "site_id"})

    def fresh(self, fields: dict[str, object]) -> AreaFacts:
        """Return a new area."""
        return AreaFacts(**fields)  # type: ignore[arg-type]  # the columns are the record's

    def insert(self, records: Sequence[AreaFacts], now: datetime) -> int:
        """Add areas."""
        return _all(self.connection.cursor(), sites.QUERIES["insert_area"], [asdict(area) for area in records])

    def update(self, records: Sequence[tuple[Known[AreaFacts], AreaFacts]]) -> int:
        """Change nothing: an area is no more than its key."""
        return len(records)


class Assets(Importer[AssetFacts]):
    """Assets by site and tag. An area that is not there is made; types and requesters must be there."""

    keys = ("site", "tag")
    needed = ("name", "asset_type")

    def read(self, sites_asked: Sequence[str]) -> Mapping[Key, Known[AssetFacts]]:
        """Read the assets of the sites, every asset type and every active person."""
        self.types = {row[0] for row in self.connection.execute(QUERIES["asset_type_ids"])}
        self.people: dict[Value, int] = dict(self.connection.execute(QUERIES["active_logins"]).fetchall())
        rows = self.connection.execute(QUERIES["assets_of"], {"sites": list(sites_asked)})
        found = (Known(id_, version, AssetFacts(*facts)) for id_, version, _login, *facts in rows)
        return {(one.facts.site_id, one.facts.tag): one for one in found}

    def fields(self, values: Mapping[str, Value], complain: Complain) -> dict[str, object]:
        """Resolve type, requester and local times."""
        found = _renamed(values, {"site": "site_id", "asset_type": "asset_type_id", "requester": "requester_id"})
        if "asset_type" in values and values["asset_type"] not in self.types:
            complain("asset_type", values["asset_type"], "one of " + shown(self.types))
        if (login := values.get("requester")) is not None:
            found["requester_id"] = self.people.get(login)
            if found["requester_id"] is None:
                complain("requester", login, "the login of an active person")
        if "commissioned_at" in values:
            found["commissioned_at"] = self.moment(values["site"], values["commissioned_at"])
        if "status" in values:
            found["status"] = AssetStatus(str(values["status"]))
        return found

    def fresh(self, fields: dict[str, object]) -> AssetFacts:
        """Return a new asset; what the table does not say is unknown, or as for one that is registered singly."""
        unknown: dict[str, object] = dict.fromkeys(_ASSET_FIELDS)
        said = {**unknown, "status": AssetStatus.IN_SERVICE, "criticality": 3, **fields}
        return AssetFacts(**said)  # type: ignore[arg-type]  # the columns are the record's

    def insert(self, records: Sequence[AssetFacts], now: datetime) -> int:
        """Register assets."""
        values = [{**one, "now": now} for one in self._values(records)]
        return _all(self.connection.cursor(), assets.QUERIES["insert_asset"], values)

    def update(self, records: Sequence[tuple[Known[AssetFacts], AssetFacts]]) -> int:
        """Change assets."""
        columns = self._values([facts for _, facts in records])
        values = [
            {**one, "id": known.id, "version": known.version} for one, (known, _) in zip(columns, records, strict=True)
        ]
        return _all(self.connection.cursor(), assets.QUERIES["update_asset"], values)

    def _values(self, records: Sequence[AssetFacts]) -> list[dict[str, object]]:
        wanted = {(facts.site_id, facts.area) for facts in records if facts.area is not None}
        made: dict[tuple[str, str | None], int] = {}
        for site, area in sorted(wanted):
            row = self.connection.execute(assets.QUERIES["ensure_area"], {"site_id": site, "name": area}).fetchone()
            made[(site, area)] = row[0] if row else 0
        return [
            {**asdict(facts), "area_id": made.get((facts.site_id, facts.area)), "status": str(facts.status)}
            for facts in records
        ]


class Components(Importer[ComponentFacts]):
    """Components by site, asset and code. A time of fitting is added to those there are, never taken away."""

    keys = ("site", "asset", "code")

    def read(self, sites_asked: Sequence[str]) -> Mapping[Key, Known[ComponentFacts]]:
        """Read the components of the sites, every time they were fitted, and the assets by tag."""
        asked = {"sites": list(sites_asked)}
        self.assets = _asset_ids(self.connection.cursor(), sites_asked)
        self.fitted = set(self.connection.execute(QUERIES["installations_of"], asked).fetchall())
        rows = self.connection.execute(QUERIES["components_of"], asked)
        return {(site, tag, facts[1]): Known(0, 1, ComponentFacts(*facts)) for site, tag, *facts in rows}

    def fields(self, values: Mapping[str, Value], complain: Complain) -> dict[str, object]:
        """Resolve the asset and local times."""
        asset_id = self.assets.get((values["site"], values["asset"]))
        if asset_id is None:
            complain("asset", values["asset"], "the tag of an asset at the site")
        found = {name: value for name, value in values.items() if name not in ("site", "asset", "installed_at")}
        installed_at = self.moment(values["site"], values.get("installed_at"))
        # A time that is known already changes nothing, and no time takes none away.
        if installed_at is not None and (asset_id, values["code"], installed_at) not in self.fitted:
            found["installed_at"] = installed_at
        return {**found, "asset_id": asset_id}

    def fresh(self, fields: dict[str, object]) -> ComponentFacts:
        """Return a new component."""
        unknown: dict[str, object] = dict.fromkeys(_COMPONENT_FIELDS)
        return ComponentFacts(**{**unknown, **fields})  # type: ignore[arg-type]  # the columns are the record's

    def insert(self, records: Sequence[ComponentFacts], now: datetime) -> int:
        """Add nameplates and times of fitting."""
        values = [asdict(facts) for facts in records]
        cursor = self.connection.cursor()
        cursor.executemany(components.QUERIES["put_component"], values)
        cursor.executemany(components.QUERIES["fit_component"], [one for one in values if one["installed_at"]])
        return len(records)

    def update(self, records: Sequence[tuple[Known[ComponentFacts], ComponentFacts]]) -> int:
        """Change nameplates, add times of fitting."""
        values = [asdict(facts) for _, facts in records]
        cursor = self.connection.cursor()
        cursor.executemany(components.QUERIES["put_component"], values)
        fitted = [asdict(facts) for known, facts in records if facts.installed_at != known.facts.installed_at]
        cursor.executemany(components.QUERIES["fit_component"], fitted)
        return len(records)


class Devices(Importer[DeviceFacts]):
    """Devices by site and name; the asset by its tag, the feed by its name."""

    keys = ("site", "name")
    needed = ("asset",)

    def read(self, sites_asked: Sequence[str]) -> Mapping[Key, Known[DeviceFacts]]:
        """Read the devices of the sites, the assets by tag and the feeds by name."""
        asked = {"sites": list(sites_asked)}
        self.assets = _asset_ids(self.connection.cursor(), sites_asked)
        self.feeds = {(site, name): id_ for site, name, id_ in self.connection.execute(QUERIES["feeds_of"], asked)}
        rows = self.connection.execute(QUERIES["devices_of"], asked)
        found = (Known(id_, version, DeviceFacts(*facts)) for id_, version, _tag, _feed, *facts in rows)
        devices: dict[Key, Known[DeviceFacts]] = {(one.facts.site_id, one.facts.name): one for one in found}
        bound = (one.facts for one in devices.values() if one.facts.feed_id is not None)
        self.addresses = {(one.feed_id, one.feed_key): (one.site_id, one.name) for one in bound}
        return devices

    def fields(self, values: Mapping[str, Value], complain: Complain) -> dict[str, object]:
        """Resolve asset and feed."""
        found = _renamed(values, {"site": "site_id", "asset": "asset_id", "feed": "feed_id"})
        if "asset" in values:
            found["asset_id"] = self.assets.get((values["site"], values["asset"]))
            if found["asset_id"] is None and values["asset"] is not None:
                complain("asset", values["asset"], "the tag of an asset at the site")
        if (feed := values.get("feed")) is not None:
            found["feed_id"] = self.feeds.get((values["site"], feed))
            if found["feed_id"] is None:
                complain("feed", feed, "the name of a feed of the site")
        return found

    def fresh(self, fields: dict[str, object]) -> DeviceFacts:
        """Return a new device."""
        said = {"time_policy": "live", "expected_interval_s": None, **fields}
        return DeviceFacts(**said)  # type: ignore[arg-type]  # the columns are the record's

    def check(self, facts: DeviceFacts, complain: Complain) -> None:
        """Complain about half an address, and about one that another device has."""
        if (facts.feed_id is None) != (facts.feed_key is None):
            complain("feed_key", facts.feed_key, "both 'feed' and 'feed_key', or neither")
        elif facts.feed_id is not None:
            owner = self.addresses.setdefault((facts.feed_id, facts.feed_key), (facts.site_id, facts.name))
            if owner != (facts.site_id, facts.name):
                complain("feed_key", facts.feed_key, f"a key that '{owner[1]}' does not have on this feed")

    def insert(self, records: Sequence[DeviceFacts], now: datetime) -> int:
        """Register devices."""
        values = [{**asdict(facts), "now": now} for facts in records]
        return _all(self.connection.cursor(), assets.QUERIES["insert_device"], values)

    def update(self, records: Sequence[tuple[Known[DeviceFacts], DeviceFacts]]) -> int:
        """Change devices."""
        values = [{**asdict(facts), "id": known.id, "version": known.version} for known, facts in records]
        return _all(self.connection.cursor(), assets.QUERIES["update_device"], values)


def shown(names: set[str]) -> str:
    """Return some of the names that would be right."""
    few = sorted(names)[:NAMES_SHOWN]
    return ", ".join(few) + (" ..." if len(names) > NAMES_SHOWN else "")


def _asset_ids(cursor: Cursor, sites_asked: Sequence[str]) -> dict[tuple[Value, ...], int]:
    rows = cursor.execute(QUERIES["asset_ids_of"], {"sites": list(sites_asked)})
    return {(site, tag): id_ for site, tag, id_ in rows}


def _renamed(values: Mapping[str, Value], names: Mapping[str, str]) -> dict[str, object]:
    return {names.get(name, name): value for name, value in values.items()}


def _all(cursor: Cursor, query: SQL, values: Sequence[Mapping[str, object]]) -> int:
    """Write every record in one pipeline; return how many rows it made or changed."""
    if not values:
        return 0
    cursor.executemany(query, values)
    return cursor.rowcount
