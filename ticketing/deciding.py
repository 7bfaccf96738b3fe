"""The interpreter of the lifecycle table: judges one command on one ticket, and lists the rows an actor may take.

Pure: it changes nothing. What a row asks for that only the database can tell is checked where the command is carried
out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from domain.refusals import Refused
from ticketing.actors import Actor, ActorKind, Role
from ticketing.closure import unpassed_gates
from ticketing.facts import FactValue, check_facts
from ticketing.lifecycle import TABLE, Command, Condition, Source, Step, Who
from ticketing.summaries import check_summary
from ticketing.ticket import RESOLUTION_CODES, Outcome, Phase, State, Ticket


@dataclass(frozen=True, slots=True)
class Decision:
    """What a legal command does: the ticket after it, the clocks it touches, and what the timeline records."""

    step: Step
    before: Ticket
    after: Ticket
    facts: dict[str, FactValue]
    summary: str


def decide(
    ticket: Ticket,
    command: Command,
    facts: Mapping[str, object],
    actor: Actor,
    now: datetime,
    *,
    summary: str = "",
) -> Decision:
    """Judge one command. Return what it does, or raise ``Refused`` by name; nothing is changed here."""
    rows = [step for step in TABLE if step.command is command and ticket.state in step.origins]
    if not rows:
        raise _illegal(ticket, command, f"a ticket that is {' or '.join(_origins(command)) or 'not yet opened'}")
    permitted = [step for step in rows if any(_is(who, actor, ticket) for who in step.who)]
    if not permitted:
        raise _not_permitted(ticket, rows[0], actor)
    step = permitted[0]
    for condition in step.when:
        _check_condition(condition, ticket, command)
    if Condition.REOPENABLE in step.when:
        _check_window(ticket, now)
    parsed = {} if step.who == (Who.SYSTEM,) and step.observes else check_facts(step.facts, facts, now)
    if command is Command.RESOLVE:
        parsed = _complete_resolution(ticket, parsed, now)
    said = check_summary(summary, required=step.summary_required)
    return Decision(step, ticket, _after(ticket, step, parsed, actor, now), parsed, said)


def steps_for(ticket: Ticket, actor: Actor) -> list[Step]:
    """Return the rows that start in the ticket's state and that the actor may take, whatever their conditions."""
    return [step for step in TABLE if ticket.state in step.origins and any(_is(who, actor, ticket) for who in step.who)]


def unmet(step: Step, ticket: Ticket) -> list[Condition]:
    """Return the conditions of ``step`` that do not hold now."""
    return [condition for condition in step.when if not _holds(condition, ticket)]


def _after(ticket: Ticket, step: Step, facts: Mapping[str, FactValue], actor: Actor, now: datetime) -> Ticket:
    changes: dict[str, object] = {}
    for field, source in (step.records or {}).items():
        changes[field] = _value(field, source, ticket, facts, actor, now)
    return replace(
        ticket,
        state=step.to or ticket.state,
        version=ticket.version if step.observes else ticket.version + 1,
        last_effective_at=now if step.effective else ticket.last_effective_at,
        **changes,  # type: ignore[arg-type]  # the table's field names are checked by a test
    )


def _value(
    field: str, source: Source, ticket: Ticket, facts: Mapping[str, FactValue], actor: Actor, now: datetime
) -> object:
    match source:
        case Source.FACT:
            value = facts.get(field)
            return Outcome(str(value)) if field == "resolution_code" else value
        case Source.NOW:
            return now
        case Source.NOW_ONCE:
            return getattr(ticket, field) or now
        case Source.ACTOR:
            return actor.person_id
        case Source.NOTHING:
            return None
        case Source.RESOLUTION:
            return ticket.resolution_code
        case Source.CANCELLED:
            return Outcome.CANCELLED
        case Source.MERGED:
            return Outcome.MERGED
        case Source.ONE_MORE:
            return int(getattr(ticket, field)) + 1
        case _:
            assert_never(source)


def _complete_resolution(ticket: Ticket, facts: dict[str, FactValue], now: datetime) -> dict[str, FactValue]:
    """Fill in what a resolution leaves unsaid: work ends now, and a repair mended what was expected.

    Work ends on the equipment's clock, after the evidence and not in the future.
    """
    finished = facts.get("work_finished_at", now)
    if not isinstance(finished, datetime) or not ticket.evidence_at <= finished <= now:
        raise Refused(
            "invalid_fact",
            expected=f"work_finished_at between {ticket.evidence_at.isoformat()} and {now.isoformat()}",
            got=str(finished),
            remedy="Give the equipment's time at which the work was finished.",
        )
    completed = {**facts, "work_finished_at": finished}
    if facts["resolution_code"] == Outcome.REPAIRED and ticket.failure_mode is not None:
        completed.setdefault("found_failure_mode", ticket.failure_mode)
    return completed


def _is(who: Who, actor: Actor, ticket: Ticket) -> bool:
    match who:
        case Who.ASSIGNEE:
            return actor.kind is ActorKind.PERSON and None is not actor.person_id == ticket.assignee_id
        case Who.ENGINEER | Who.PLANNER:
            return actor.kind is ActorKind.PERSON and actor.holds(Role(who.value), ticket.site_id)
        case Who.SUPERVISOR:
            return actor.kind is ActorKind.PERSON and (
                actor.holds(Role.SUPERVISOR, ticket.site_id) or actor.holds(Role.ADMIN, ticket.site_id)
            )
        case Who.REQUESTER:
            return actor.kind is ActorKind.PERSON and None is not actor.person_id == ticket.requester_id
        case Who.LINK:
            return actor.kind is ActorKind.REQUESTER
        case Who.SYSTEM:
            return actor.kind is ActorKind.SYSTEM
        case Who.REACHED:
            return actor.kind is ActorKind.PERSON and actor.person_id in ticket.reached
        case Who.RECEIVER:
            return actor.kind is ActorKind.PERSON and actor.person_id in ticket.receiver_ids
        case _:
            assert_never(who)


def _holds(condition: Condition, ticket: Ticket) -> bool:
    return _HOLDS[condition](ticket)


def _is_next(ticket: Ticket, phase: Phase) -> bool:
    return ticket.current_operation is not None and ticket.current_operation.phase is phase


_HOLDS: Mapping[Condition, Callable[[Ticket], bool]] = {
    Condition.ON_HOLD: lambda ticket: ticket.is_on_hold,
    Condition.NOT_ON_HOLD: lambda ticket: not ticket.is_on_hold,
    Condition.RESOLVED: lambda ticket: ticket.resolved_at is not None,
    Condition.NOT_RESOLVED: lambda ticket: ticket.resolved_at is None,
    Condition.NOT_CONFIRMED: lambda ticket: ticket.confirmed_at is None,
    Condition.OPERATION_TO_START: lambda ticket: _is_next(ticket, Phase.START),
    Condition.OPERATION_TO_FINISH: lambda ticket: _is_next(ticket, Phase.FINISH),
    Condition.OPERATION_TO_CHECK: lambda ticket: _is_next(ticket, Phase.CHECK),
    Condition.GATES_PASSED: lambda ticket: not unpassed_gates(ticket),
    Condition.ESCALATED: lambda ticket: bool(ticket.reached),
    Condition.NOT_HEAT_LOCKED: lambda ticket: not ticket.is_heat_locked,
    Condition.OVERRIDDEN: lambda ticket: ticket.is_overridden,
    Condition.REOPENABLE: lambda ticket: ticket.outcome in RESOLUTION_CODES,
}


_IN_ORDER = "Take the operations in their order; see the ticket's next steps."
REMEDIES: dict[Condition, tuple[str, str]] = {
    Condition.NOT_ON_HOLD: ("a ticket that is not on hold", "Resume it first."),
    Condition.ON_HOLD: ("a ticket on hold", "There is no hold to end."),
    Condition.NOT_RESOLVED: ("a ticket without a resolution", "A resolution waits for the requester's answer."),
    Condition.RESOLVED: ("a ticket with a resolution", "Submit the resolution first."),
    Condition.OPERATION_TO_START: ("an operation that is the next to be started", _IN_ORDER),
    Condition.OPERATION_TO_FINISH: ("an operation that is under way", _IN_ORDER),
    Condition.OPERATION_TO_CHECK: ("an operation that waits for its check", _IN_ORDER),
    Condition.NOT_CONFIRMED: ("a ticket that is not confirmed yet", "It is confirmed; close it."),
    Condition.ESCALATED: ("a ticket with an escalation that reached somebody", "There is nothing to acknowledge."),
    Condition.NOT_HEAT_LOCKED: ("a ticket that is not among the hottest", "Ask a supervisor to move it."),
    Condition.OVERRIDDEN: ("a ticket whose priority a person set", "Its priority follows its score already."),
    Condition.REOPENABLE: (
        "a ticket that was closed with a resolution",
        "One that was cancelled or merged stays so; report the fault anew.",
    ),
}


def _check_condition(condition: Condition, ticket: Ticket, command: Command) -> None:
    if _holds(condition, ticket):
        return
    if condition is Condition.GATES_PASSED:
        blocked = unpassed_gates(ticket)
        raise Refused(
            "gate_not_passed",
            expected="every closure gate passed",
            got="not passed: " + ", ".join(gate.value for gate in blocked),
            remedy=" ".join(gate.remedy_en for gate in blocked),
        )
    expected, remedy = REMEDIES[condition]
    raise _illegal(ticket, command, expected, remedy)


def _check_window(ticket: Ticket, now: datetime) -> None:
    """A fault that comes back much later is another one."""
    if ticket.reopens_until is not None and now > ticket.reopens_until:
        raise Refused(
            "not_a_legal_step",
            expected=f"a ticket that is reopened by {ticket.reopens_until.isoformat()}",
            got=f"{ticket.code} at {now.isoformat()}",
            remedy="Report the fault anew and link the two tickets.",
        )


def _origins(command: Command) -> list[str]:
    found = {state for step in TABLE if step.command is command for state in step.origins}
    return [state.value for state in State if state in found]


def _illegal(ticket: Ticket, command: Command, expected: str, remedy: str = "") -> Refused:
    held = " on hold" if ticket.is_on_hold else ""
    return Refused(
        "not_a_legal_step",
        expected=f"{expected} for '{command.value}'",
        got=f"{ticket.code}, which is {ticket.state.value}{held}",
        remedy=remedy or "See the ticket's next steps.",
    )


def _not_permitted(ticket: Ticket, step: Step, actor: Actor) -> Refused:
    if step.command is Command.ACCEPT and ticket.assignee_id is not None:
        return Refused(
            "already_claimed",
            expected="a ticket that is dispatched to you or to nobody",
            got=f"{ticket.code}, which person {ticket.assignee_id} has",
            remedy="Take another ticket, or ask a supervisor to dispatch this one to you.",
        )
    return Refused(
        "not_permitted",
        expected=" or ".join(who.value for who in step.who) + f" for '{step.command.value}'",
        got=actor.name,
        remedy="Ask one who may.",
    )
