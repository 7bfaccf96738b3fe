"""Operations of a production order: in order, each by its engineer, each checked by somebody else (SPEC T8)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from domain.refusals import Refused
from ticketing.actors import Actor, Role
from ticketing.lifecycle import Command
from ticketing.ticket import Operation, Phase, Ticket

# What each command waits for, and what it is called in a refusal.
PHASES: Mapping[Command, Phase] = MappingProxyType(
    {
        Command.START_OPERATION: Phase.START,
        Command.FINISH_OPERATION: Phase.FINISH,
        Command.CHECK_OPERATION: Phase.CHECK,
    }
)
_WANTED = {Phase.START: "started", Phase.FINISH: "finished", Phase.CHECK: "checked"}


def is_turn(phase: Phase, operation: Operation | None, actor: Actor, site_id: str) -> bool:
    """Say whether the operation is in this phase and the actor may take it on."""
    return operation is not None and operation.phase is phase and _may(operation, actor, site_id)


def check_turn(ticket: Ticket, command: Command, number: int, actor: Actor) -> None:
    """Refuse an operation that is not the next one, is not in the phase of the command, or is not the actor's."""
    phase, current = PHASES[command], ticket.current_operation
    if not any(one.number == number for one in ticket.operations):
        raise Refused(
            "invalid_fact",
            expected="'operation': an operation of the order",
            got=str(number),
            remedy="Correct 'operation'.",
        )
    if current is None or current.number != number or current.phase is not phase:
        waiting = "every operation has passed" if current is None else _state(current)
        raise Refused(
            "not_a_legal_step",
            expected=f"an operation that is the next to be {_WANTED[phase]}",
            got=f"operation {number}, while {waiting}",
            remedy="Take the operations in their order; see the ticket's next steps.",
        )
    if not _may(current, actor, ticket.site_id):
        is_check = phase is Phase.CHECK
        raise Refused(
            "not_permitted",
            expected="somebody who did not work on it" if is_check else "the operation's engineer, or a supervisor",
            got=actor.name,
            remedy="Let a colleague check it." if is_check else "Ask the engineer of the operation.",
        )


def _may(operation: Operation, actor: Actor, site_id: str) -> bool:
    is_leading = actor.holds(Role.SUPERVISOR, site_id) or actor.holds(Role.ADMIN, site_id)
    match operation.phase:
        case Phase.START:
            return is_leading or operation.engineer_id in (None, actor.person_id)
        case Phase.FINISH:
            return is_leading or operation.started_by == actor.person_id
        case Phase.CHECK:
            # Not even a supervisor passes their own work.
            return actor.person_id not in (operation.started_by, operation.finished_by)
        case Phase.PASSED:
            return False


def _state(operation: Operation) -> str:
    return f"operation {operation.number} is to be {_WANTED[operation.phase]}"
