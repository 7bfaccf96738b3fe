"""How work ends: the resolution, the requester's link, closing and cancelling."""

from __future__ import annotations

from storage.closures import close_case, reject_prediction, replace_link
from storage.effects.case import Case, refuse_fact
from storage.queries import load
from storage.supply import release_for_ticket

QUERIES = load("casework")


def check_resolve(case: Case) -> None:
    """The mode found must be one of the asset's type."""
    code = case.decision.facts.get("found_failure_mode")
    asked = {"asset_id": case.row.asset_id, "code": code}
    if code and case.connection.execute(QUERIES["failure_mode_of_asset"], asked).fetchone() is None:
        raise refuse_fact("found_failure_mode", f"a failure mode of asset type {case.row.asset_type_id}", code)


def make_link(case: Case) -> str:
    """Make the link by which the requester answers; one made before is void. Return its secret."""
    days = case.policy.confirmation_days
    return replace_link(case.connection, case.row.id, days, case.now)


def close(case: Case) -> None:
    """Give back what was reserved, and learn from the case."""
    release_for_ticket(case.connection, case.row.id, case.now)
    close_case(case.connection, case.row.id, case.decision.after, case.now)


def cancel(case: Case) -> None:
    """Give back what was reserved; the prediction behind the ticket counts as rejected."""
    release_for_ticket(case.connection, case.row.id, case.now)
    reject_prediction(case.connection, case.row.prediction_id, case.actor.person_id, str(case.fact("reason")), case.now)
