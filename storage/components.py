"""Components: the nameplates of an asset's parts; when each was fitted is evidence and has its own table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection

from storage.queries import load

QUERIES = load("components")


@dataclass(frozen=True, slots=True)
class Component:
    """A part of an asset. ``installed_at`` is when it was last fitted (equipment time), None where nobody said."""

    code: str
    name: str | None
    serial_number: str | None
    brand: str | None
    model: str | None
    installed_at: datetime | None


def list_components(connection: Connection, asset_id: int) -> list[Component]:
    """Return the components of an asset: those with a nameplate and those that were ever fitted."""
    return [Component(*row) for row in connection.execute(QUERIES["components_of_asset"], {"asset_id": asset_id})]


def put_component(connection: Connection, asset_id: int, component: Component) -> None:
    """Add or replace a component's nameplate; a time of fitting is added to those there are."""
    values = {
        "asset_id": asset_id,
        "code": component.code,
        "name": component.name,
        "serial_number": component.serial_number,
        "brand": component.brand,
        "model": component.model,
    }
    connection.execute(QUERIES["put_component"], values)
    if component.installed_at is not None:
        fitted = {"asset_id": asset_id, "code": component.code, "installed_at": component.installed_at}
        connection.execute(QUERIES["fit_component"], fitted)
