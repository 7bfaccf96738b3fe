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
