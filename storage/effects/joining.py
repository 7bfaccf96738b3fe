"""Tickets that belong together: split, link, merge; and a closed one that comes back (SPEC T9)."""

from __future__ import annotations

from collections.abc import Mapping

from domain.refusals import Refused
from storage.calendars import working_times
from storage.closures import reject_prediction, reopen_case
from storage.effects.case import Case, FollowUp, refuse_fact
from storage.intake import open_ticket
from storage.links import add_link, carry_over, earlier_starts, sees
from storage.supply import release_for_ticket
from storage.ticket_views import TicketRow
from storage.tickets import ticket_row
from ticketing.intake import Channel, IntakeRequest
from ticketing.lifecycle import Command
from ticketing.merging import differences, from_earlier_start
from ticketing.sla import RunningClock
from ticketing.ticket import Kind, State

COMPARED = ("title_en", "description", "priority", "failure_mode", "asset_tag", "requester_name", "line_stopped")


def check_split(case: Case) -> None:
    """A second ticket is for something else: another failure mode, or another team."""
    facts = case.decision.facts
    mode, team = facts.get("failure_mode"), facts.get("team_id")
    if mode in (None, case.row.failure_mode) and team in (None, case.row.team_id):
        raise refuse_fact("failure_mode", "another failure mode, or another 'team_id', than this ticket's", mode)


def split(case: Case) -> Mapping[str, object]:
    """Open the second ticket of the same asset through the one intake, and tell its code."""
    facts, row = case.decision.facts, case.row
    team_id, mode = facts.get("team_id"), facts.get("failure_mode")
    code = open_beside(
        case,
        title=str(case.fact("title")),
        description=str(facts.get("description") or ""),
        failure_mode=None if mode is None else str(mode),
        is_split=True,
        team_id=None if team_id is None else int(str(team_id)),
    )
    case.follow_ups.append(FollowUp(code, Command.LINKED, {"code": row.code, "kind": "split", "by": case.actor.name}))
    return {"split_code": code}


def open_beside(
    case: Case,
    *,
    title: str,
    description: str,
    failure_mode: str | None,
    is_split: bool,
    title_zh: str | None = None,
    team_id: int | None = None,
) -> str:
    """Open another ticket of the same asset for the same requester; return its code."""
    row = case.row
    request = IntakeRequest(
        channel=Channel.API if case.actor.channel == "api" else Channel.CONSOLE,
        # What a person splits off from a prediction's ticket is no prediction.
        kind=Kind.CORRECTIVE if row.kind == Kind.PREVENTIVE else Kind(row.kind),
        actor=case.actor,
        title=title,
        title_zh=title_zh,
        description=description,
        asset_id=row.asset_id,
        failure_mode=failure_mode,
        requester_id=row.requester_id,
        team_id=team_id,
        parent_id=row.id if is_split else None,
    )
    return open_ticket(case.connection, request, case.now).code


def check_link(case: Case) -> None:
    """The other ticket is one that the actor may see, and not this one."""
    other = _visible(case, str(case.fact("other")))
    if other.id == case.row.id:
        raise refuse_fact("other", f"another ticket than {case.row.code}", other.code)


def link(case: Case) -> None:
    """Link the two, once, and tell the other one's timeline."""
    other = _visible(case, str(case.fact("other")))
    kind = str(case.fact("kind"))
    if not add_link(case.connection, case.row.id, other.id, kind, case.actor.person_id, case.now):
        raise Refused(
            "duplicate_record",
            expected=f"a new link between {case.row.code} and {other.code}",
            got=f"one of the kind '{kind}', which they have",
            remedy="See the ticket's links.",
        )
    told = {"code": case.row.code, "kind": kind, "by": case.actor.name}
    case.follow_ups.append(FollowUp(other.code, Command.LINKED, told))


def check_merge(case: Case) -> None:
    """The one that goes on is another open ticket of the same site."""
    survivor = _visible(case, str(case.fact("merged_into")))
    if survivor.id == case.row.id or survivor.site_id != case.row.site_id:
        raise refuse_fact(
            "merged_into", f"another ticket of site {case.row.site_id} than {case.row.code}", survivor.code
        )
    if survivor.state == State.CLOSED:
        raise refuse_fact("merged_into", "an open ticket", f"{survivor.code}, which is closed")


def merge(case: Case) -> None:
    """Give the survivor everything there is, and let it run since the earlier of the two starts."""
    row, survivor = case.row, ticket_row(case.connection, str(case.fact("merged_into")))
    release_for_ticket(case.connection, row.id, case.now)
    differ = differences(_compared(survivor), _compared(row))
    if not carry_over(case.connection, row.id, survivor.id, differ, case.now):
        reason = f"merged into {survivor.code}"
        reject_prediction(case.connection, row.prediction_id, case.actor.person_id, reason, case.now)
    told = {
        "code": row.code,
        "by": case.actor.name,
        "title": row.title_en,
        "opened_at": row.opened_at.isoformat(),
        "requester": row.requester_name,
        "differences": differ,
    }
    case.follow_ups.append(FollowUp(survivor.code, Command.ABSORB, told))


def absorb(case: Case, clocks: tuple[RunningClock, ...]) -> tuple[RunningClock, ...]:
    """Let the survivor's clocks run since the fault was first told."""
    working = working_times(case.connection, (clock.calendar_id for clock in clocks))
    return from_earlier_start(clocks, earlier_starts(case.connection, case.row.id), working)


def reopen(case: Case) -> None:
    """The closure taught something wrong: take it back."""
    reopen_case(case.connection, case.row.id, case.now)


def _visible(case: Case, code: str) -> TicketRow:
    """Return another ticket; one that the actor may not see is as unknown as one that is not there."""
    row = ticket_row(case.connection, code)
    if not sees(case.actor, row.site_id, row.requester_id):
        raise Refused(
            "unknown_record",
            expected="the tracking code of a ticket",
            got=repr(code)[:40],
            remedy="Check the code: one letter and six digits.",
        )
    return row


def _compared(row: TicketRow) -> dict[str, object]:
    return {name: getattr(row, name) for name in COMPARED}
