"""Operating regimes in the database: one row for each asset type that tells regimes apart (SPEC D2)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import Connection

from domain.refusals import Refused
from domain.regimes import OperatingRegimes
from storage.queries import load

QUERIES = load("regimes")


@dataclass(frozen=True, slots=True)
class StoredRegimes:
    """The regimes of an asset type, None where it has one only, and when somebody last said so."""

    regimes: OperatingRegimes | None
    updated_at: datetime | None


def read_regimes(connection: Connection, asset_type: str) -> StoredRegimes:
    """Return the regimes as they are stored. Raises Refused("unknown_record") where there is no such asset type."""
    row = connection.execute(QUERIES["operating_regimes"], {"asset_type_id": asset_type}).fetchone()
    if row is None:
        raise _unknown(asset_type)
    metric, edges, settle_s, updated_at = row
    return StoredRegimes(OperatingRegimes(metric, tuple(edges), settle_s) if edges else None, updated_at)


def regimes_of(connection: Connection, asset_type: str) -> OperatingRegimes | None:
    """Return the regimes that assets of this type are told apart by, None where they have one only."""
    row = connection.execute(QUERIES["operating_regimes"], {"asset_type_id": asset_type}).fetchone()
    return OperatingRegimes(row[0], tuple(row[1]), row[2]) if row is not None and row[1] else None


@dataclass(frozen=True, slots=True)
class TypeRegimes:
    """An asset type with its regimes, and how many assets of the reader's sites they concern."""

    asset_type: str
    name_en: str
    name_zh: str
    regimes: OperatingRegimes | None
    updated_at: datetime | None
    assets: int


@dataclass(frozen=True, slots=True)
class AssetInRegime:
    """An asset with the newest value of the metric that tells its regime (equipment time), None before the first.

    ``regime`` is the one that this value belongs to; the newest change may still be settling.
    """

    id: int
    tag: str
    name: str
    site_id: str
    told_at: datetime | None
    value: float | None
    regime: int | None


def types_with_regimes(
    connection: Connection, sites: list[str] | None, asset_type: str | None = None
) -> list[TypeRegimes]:
    """Return every asset type, or one, with its regimes; assets are counted at ``sites`` (None: everywhere)."""
    rows = connection.execute(QUERIES["types_with_regimes"], {"sites": sites, "asset_type_id": asset_type})
    return [
        TypeRegimes(
            type_id, name_en, name_zh, OperatingRegimes(metric, tuple(edges), settle_s) if edges else None, at, count
        )
        for type_id, name_en, name_zh, metric, edges, settle_s, at, count in rows.fetchall()
    ]


def assets_in_regimes(
    connection: Connection, asset_type: str, regimes: OperatingRegimes | None, sites: list[str] | None, limit: int
) -> list[AssetInRegime]:
    """Return the assets of a type at ``sites`` (None: everywhere) with the regime that each is in now."""
    metric = None if regimes is None else regimes.metric
    asked = {"asset_type_id": asset_type, "metric": metric, "sites": sites, "limit": limit}
    return [
        AssetInRegime(
            key, tag, name, site, at, value, None if regimes is None or value is None else regimes.regime_of(value)
        )
        for key, tag, name, site, at, value in connection.execute(QUERIES["assets_in_regimes"], asked)
    ]


def metrics_of_type(connection: Connection, asset_type: str, limit: int) -> list[str]:
    """Return what assets of a type measure: any of it can tell the regime."""
    asked = {"asset_type_id": asset_type, "limit": limit}
    return [metric for (metric,) in connection.execute(QUERIES["metrics_of_type"], asked)]


def save_regimes(connection: Connection, asset_type: str, regimes: OperatingRegimes | None, now: datetime) -> None:
    """Set the regimes of an asset type, None for one only; the ingesters learn of it when this commits.

    Where the metric or the edges are new, baselines by regime are learnt anew. Raises Refused("unknown_record")
    where there is no such asset type.
    """
    if regimes is None:
        read_regimes(connection, asset_type)
        connection.execute(QUERIES["drop_operating_regimes"], {"asset_type_id": asset_type, "now": now})
        return
    columns = {"metric": regimes.metric, "edges": list(regimes.edges), "settle_s": regimes.settle_s}
    try:
        with connection.transaction():
            connection.execute(QUERIES["save_operating_regimes"], {"asset_type_id": asset_type, **columns, "now": now})
    except psycopg.errors.ForeignKeyViolation as error:
        raise _unknown(asset_type) from error


def _unknown(asset_type: str) -> Refused:
    return Refused(
        "unknown_record",
        expected="an asset type that exists",
        got=repr(asset_type),
        remedy="Create the asset type first, or correct the name.",
    )
