"""By which borders of ISO 20816-3 the vibration velocity of an asset is judged (SPEC D4)."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import Connection

from detectors.severity_zones import Foundation, MachineGroup
from storage.queries import load

QUERIES = load("bearings")


@dataclass(frozen=True, slots=True)
class SeverityClass:
    """The size of a machine and how it stands."""

    group: MachineGroup
    foundation: Foundation


# What is assumed while nobody has said it: the lowest borders, so that no machine is taken for better than it is.
ASSUMED = SeverityClass(MachineGroup.MEDIUM, Foundation.RIGID)


def severity_class(connection: Connection, asset_id: int) -> SeverityClass | None:
    """Return what somebody said of an asset, None while nobody has."""
    row = connection.execute(QUERIES["severity_class"], {"asset_id": asset_id}).fetchone()
    return None if row is None else SeverityClass(MachineGroup(row[0]), Foundation(row[1]))


def put_severity_class(connection: Connection, asset_id: int, told: SeverityClass) -> None:
    """Say by which borders an asset is judged; pages follow at once."""
    asked = {"asset_id": asset_id, "machine_group": told.group, "foundation": told.foundation}
    connection.execute(QUERIES["put_severity_class"], asked)
