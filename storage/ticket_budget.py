"""What keeps a prediction from opening its ticket by itself: the site's daily budget, and a flood of alarms (SPEC P5).

A prediction over the budget stays at stage ticket and says so. It is tried again on the site's next day, or a person
confirms it. Tickets that people had opened for predictions count too: it is the same hands that do the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import Connection

from domain.refusals import Refused
from storage.detection_policy import detection_in_force
from storage.queries import load

QUERIES = load("ticket_budget")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A prediction whose wait is over, with its asset, mode and the mode's severity (1 to 10)."""

    id: UUID
    asset_id: int
    failure_mode_id: int
    severity: int


def may_open(connection: Connection, asset_id: int, now: datetime, *, severity: int = 0) -> bool:
    """Say whether a prediction about this asset may open its ticket by itself now.

    Nobody else opens one on the site's budget until the transaction ends, so the last place is given once. A failure
    mode of the policy's severity and above always may, and so may recorded equipment: a replay plays months in a
    minute, and ties nobody's hands.
    """
    row = connection.execute(QUERIES["site_of_asset"], {"asset_id": asset_id, "now": now}).fetchone()
    if row is None:
        raise Refused("unknown_record", expected="an asset", got=str(asset_id), remedy="Check the asset's id.")
    site_id, day, is_recorded = row
    _, policy = detection_in_force(connection)
    if is_recorded or severity >= policy.budget.passes_from_severity:
        return True
    connection.execute(QUERIES["hold_budget"], {"site_id": site_id})
    opened = connection.execute(QUERIES["opened_today"], {"site_id": site_id, "day": day}).fetchone()
    return opened is not None and int(opened[0]) < policy.budget.of_site(site_id)


def is_flooded(connection: Connection, asset_id: int, at: datetime) -> bool:
    """Say whether the asset is live and its site was in a flood of alarms at this time (equipment's clock)."""
    _, policy = detection_in_force(connection)
    row = connection.execute(QUERIES["site_of_asset"], {"asset_id": asset_id, "now": at}).fetchone()
    if row is None or row[2]:
        return False
    terms = {"assets": policy.flood.assets, "within_minutes": policy.flood.within_minutes}
    found = connection.execute(QUERIES["is_flooded"], {"asset_id": asset_id, "at": at, **terms}).fetchone()
    return found is not None and bool(found[0])


def hold_for_flood(connection: Connection, prediction_id: UUID, now: datetime) -> None:
    """Note that a flood of alarms keeps this prediction from opening its ticket; it is tried when that is over."""
    connection.execute(QUERIES["hold_for_flood"], {"prediction_id": prediction_id, "now": now})


def hold_back(connection: Connection, prediction_id: UUID, now: datetime) -> None:
    """Note that the budget keeps this prediction from opening its ticket."""
    connection.execute(QUERIES["hold_back"], {"prediction_id": prediction_id, "now": now})


def let_go(connection: Connection, prediction_id: UUID, now: datetime) -> None:
    """Note that this prediction waits for nothing any more: neither the budget nor the end of a snooze."""
    connection.execute(QUERIES["let_go"], {"prediction_id": prediction_id, "now": now})


def claim_waiting(connection: Connection, now: datetime, tried: Sequence[UUID] = ()) -> Waiting | None:
    """Take the gravest prediction whose wait is over with its asset, as the desk does; None when there is none.

    Those ``tried`` are left alone.
    """
    _, policy = detection_in_force(connection)
    asked = {"now": now, "tried": list(tried), "within_minutes": policy.flood.within_minutes}
    row = connection.execute(QUERIES["claim_waiting"], asked).fetchone()
    return None if row is None else Waiting(*row)


def rules_behind(connection: Connection, prediction_id: UUID) -> list[int]:
    """Return the ids of the rules whose findings speak for a prediction."""
    return [rule_id for (rule_id,) in connection.execute(QUERIES["rules_behind"], {"prediction_id": prediction_id})]


def still_waits(connection: Connection, prediction_id: UUID) -> bool:
    """Say whether the prediction is still open at stage ticket, without a ticket."""
    row = connection.execute(QUERIES["still_waits"], {"prediction_id": prediction_id}).fetchone()
    return row is not None and bool(row[0])
