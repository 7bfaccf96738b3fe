"""How work changes hands: transfer to a colleague, hand-over to another team, and what that team thinks of it."""

from __future__ import annotations

from domain.refusals import Refused
from storage.effects.assigning import check_dispatch
from storage.effects.case import Case, refuse_fact
from storage.hand_overs import QUERIES

__all__ = ["check_hand_over", "check_transfer", "hand_over", "rate_hand_over"]

check_transfer = check_dispatch


def check_hand_over(case: Case) -> None:
    """Another team of the site gets it, and is told whose machine it is and which one (SPEC T9)."""
    team_id = int(str(case.fact("team_id")))
    asked = {"team_id": team_id, "site_id": case.row.site_id}
    if case.connection.execute(QUERIES["team_for_hand_over"], asked).fetchone() is None:
        raise refuse_fact("team_id", f"a team that takes tickets of site {case.row.site_id}", team_id)
    if team_id == case.row.team_id:
        raise refuse_fact("team_id", "a team other than the one that has it", team_id)
    _serial_number(case)
    _requester(case)


def hand_over(case: Case) -> None:
    """Keep what the receiving team was told."""
    case.connection.execute(
        QUERIES["insert_hand_over"],
        {
            "ticket_id": case.row.id,
            "now": case.now,
            "from_person_id": case.actor.person_id,
            "from_team_id": case.row.team_id,
            "to_team_id": case.fact("team_id"),
            "asked": case.fact("asked"),
            "history": case.fact("history"),
            "serial_number": _serial_number(case),
            "requester": _requester(case),
        },
    )


def rate_hand_over(case: Case) -> None:
    """Rate the newest hand-over of the actor's team, once; of two who rate at the same time one is too late."""
    parameters = {
        "ticket_id": case.row.id,
        "person_id": case.actor.person_id,
        "rating": case.fact("rating"),
        "comment": case.decision.facts.get("comment"),
        "now": case.now,
    }
    if case.connection.execute(QUERIES["rate_hand_over"], parameters).fetchone() is None:
        raise Refused(
            "not_a_legal_step",
            expected="a hand-over that is not rated yet",
            got=f"none of {case.row.code} for {case.actor.name}",
            remedy="See the ticket's hand-overs.",
        )


def _serial_number(case: Case) -> str:
    """Return the asset's registered serial number, else the one that was given."""
    row = case.connection.execute(QUERIES["serial_number_of_asset"], {"asset_id": case.row.asset_id}).fetchone()
    registered = row[0] if row is not None else None
    return str(registered or case.decision.facts.get("serial_number") or _missing("serial_number", case))


def _requester(case: Case) -> str:
    """Return the ticket's requester with what was given of how to reach them; one of the two must be there."""
    known = (case.row.requester_name, case.decision.facts.get("requester_contact"))
    return ", ".join(str(each) for each in known if each) or _missing("requester_contact", case)


def _missing(fact: str, case: Case) -> str:
    raise Refused(
        "missing_fact",
        expected=f"'{fact}', which {case.row.code} itself does not tell",
        got="nothing",
        remedy=f"Give the fact '{fact}': the receiving team needs it.",
    )
