"""The records a new ticket stands on: asset, failure mode, prediction, and the record of another system."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import Connection
from psycopg.rows import class_row

from domain.refusals import Refused
from storage.queries import load
from ticketing.intake import IntakeRequest, SourceReference, invalid, same_serial_number

QUERIES = load("intake")


@dataclass(frozen=True, slots=True)
class AssetForTicket:
    """What a ticket takes from its asset; the tier is the requester's."""

    id: int
    tag: str
    name: str
    site_id: str
    criticality: int
    requester_id: int | None
    tier: str


@dataclass(frozen=True, slots=True)
class PredictionToOpen:
    """An open prediction; times on the equipment's clock."""

    asset_id: int
    failure_mode_id: int
    evidence_at: datetime
    window_to: datetime
    failure_mode: str
    failure_mode_en: str
    failure_mode_zh: str
    severity: int


@dataclass(frozen=True, slots=True)
class Mode:
    """A failure mode of the asset's type; severity 1 to 10."""

    id: int
    code: str
    name_en: str
    name_zh: str
    severity: int


def asset_of(connection: Connection, request: IntakeRequest) -> AssetForTicket:
    """Return the asset that the request names, by id or by serial number."""
    asset_id = request.asset_id
    if asset_id is None:
        asset_id = asset_by_serial_number(connection, request.serial_number or "", None)
    requester_id = request.requester_id if request.requester_id is not None else request.actor.person_id
    with connection.cursor(row_factory=class_row(AssetForTicket)) as cursor:
        asked = {"asset_id": asset_id, "requester_id": requester_id}
        found = cursor.execute(QUERIES["asset_for_ticket"], asked).fetchone()
    if found is None:
        raise Refused("unknown_record", expected="an asset", got=str(asset_id), remedy="Check the asset's id.")
    return found


def asset_by_serial_number(connection: Connection, serial_number: str, sites: Sequence[str] | None) -> int:
    """Return the id of the asset with this serial number, looked for at ``sites`` (None: everywhere).

    Two brands may count alike: then nobody can tell which machine is meant, and it is refused with their tags.
    """
    asked = {"serial_number": same_serial_number(serial_number), "sites": None if sites is None else list(sites)}
    rows = connection.execute(QUERIES["assets_by_serial_number"], asked).fetchall()
    if not rows:
        raise Refused(
            "unknown_record",
            expected="the serial number of an asset",
            got=repr(serial_number)[:80],
            remedy="Check the nameplate, or name the asset by its id.",
        )
    if len(rows) > 1:
        named = ", ".join(f"{tag} ({site_id})" for _, tag, site_id in rows)
        raise invalid("a serial number that one asset has", f"{len(rows)} assets: {named}")
    return int(rows[0][0])


def mode_of(connection: Connection, asset_id: int, code: str | None) -> Mode | None:
    """Return a failure mode of the asset's type; None without a code."""
    if not code:
        return None
    with connection.cursor(row_factory=class_row(Mode)) as cursor:
        found = cursor.execute(QUERIES["mode_for_report"], {"asset_id": asset_id, "code": code}).fetchone()
    if found is None:
        raise invalid("a failure mode of the asset's type", repr(code)[:80])
    return found


def prediction_to_open(connection: Connection, prediction_id: UUID) -> PredictionToOpen:
    """Return an open prediction, locked so that it is opened once."""
    with connection.cursor(row_factory=class_row(PredictionToOpen)) as cursor:
        found = cursor.execute(QUERIES["prediction_to_open"], {"prediction_id": prediction_id}).fetchone()
    if found is None:
        raise Refused(
            "unknown_record",
            expected="an open prediction",
            got=str(prediction_id),
            remedy="It was rejected, lapsed or closed meanwhile.",
        )
    return found


def open_code(connection: Connection, asset_id: int, failure_mode_id: int | None) -> str | None:
    """Return the code of the open ticket of a failure mode of an asset."""
    asked = {"asset_id": asset_id, "failure_mode_id": failure_mode_id}
    row = connection.execute(QUERIES["open_ticket_of_mode"], asked).fetchone()
    return None if row is None else str(row[0])


def ticket_of_reference(connection: Connection, external: SourceReference) -> tuple[UUID, str] | None:
    """Return id and code of the ticket that a record of another system has; nobody else asks until we commit."""
    asked = {"source": external.source, "reference": external.reference.strip()}
    connection.execute(QUERIES["lock_reference"], asked)
    row = connection.execute(QUERIES["ticket_of_reference"], asked).fetchone()
    return None if row is None else (row[0], str(row[1]))


def check_people(connection: Connection, request: IntakeRequest, site_id: str) -> None:
    """Refuse a requester, a team or an engineer who has no business at the site, before anything is written."""
    asked = {"requester_id": request.requester_id, "team_id": request.team_id, "site_id": site_id}
    row = connection.execute(QUERIES["is_known"], asked).fetchone()
    assert row is not None
    for name, is_known, got in (
        ("an active person with a role at the asset's site as requester", row[0], request.requester_id),
        ("a team of the asset's site", row[1], request.team_id),
    ):
        if got is not None and not is_known:
            raise invalid(name, str(got))
    named = sorted({one.engineer_id for one in request.operations if one.engineer_id is not None})
    strangers = connection.execute(QUERIES["engineers_elsewhere"], {"person_ids": named, "site_id": site_id}).fetchall()
    if strangers:
        raise invalid("engineers of the asset's site for the operations", ", ".join(str(row[0]) for row in strangers))
