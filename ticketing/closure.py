"""Closure: the gates between a resolution and a closed ticket (SPEC C1, C2), as one table.

Which gate applies depends on what the engineer says was the case:

- The *resolution* itself, the *bill* of parts and the *evidence* always count: somebody was there, issued parts
  are somewhere, and there is something to see.
- The *tasks* are those of repairing the failure mode, so only a repair must have done them all.
- The *operations* of a production order have all passed their checks, whatever it came to; only a postponed one may
  be left half done.
- The requester *confirms* whatever touched their machine or their expectations: a repair, a search that found
  nothing, a postponement. Only a false alarm that a device raised is exempt: the requester never noticed
  anything that could be confirmed. A false alarm that a person reported must be confirmed by that person.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ticketing.ticket import Kind, Outcome, Ticket

REPAIRED, FALSE_ALARM, NO_FAULT_FOUND, DEFERRED = (
    Outcome.REPAIRED,
    Outcome.FALSE_ALARM,
    Outcome.NO_FAULT_FOUND,
    Outcome.DEFERRED,
)


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate: for which outcomes it stands, when it is passed, and what to do while it is not."""

    value: str
    outcomes: frozenset[Outcome]
    is_passed: Callable[[Ticket], bool]
    remedy_en: str
    remedy_zh: str


def _is_confirmed(ticket: Ticket) -> bool:
    raised_by_device = ticket.kind is Kind.PREVENTIVE
    exempt = ticket.resolution_code is FALSE_ALARM and raised_by_device
    return exempt or ticket.confirmed_at is not None


ALL = frozenset((REPAIRED, FALSE_ALARM, NO_FAULT_FOUND, DEFERRED))

GATES: tuple[Gate, ...] = (
    Gate(
        "resolution",
        ALL,
        lambda ticket: ticket.resolved_at is not None,
        "Submit a resolution with code, cause and action.",
        "请提交处理结论、原因和措施。",
    ),
    Gate(
        "bill",
        ALL,
        lambda ticket: not ticket.unreconciled_parts,
        "Account for every issued part: used or returned.",
        "请核对备件：领用的每一件都要已使用或已退回。",
    ),
    Gate(
        "tasks",
        frozenset((REPAIRED,)),
        lambda ticket: ticket.open_tasks == 0,
        "Complete every task of the checklist.",
        "请完成检查清单的所有任务。",
    ),
    Gate(
        "operations",
        frozenset(ALL - {DEFERRED}),
        lambda ticket: ticket.current_operation is None,
        "Finish every operation and have it pass its check.",
        "请完成所有工序并通过质检。",
    ),
    Gate(
        "evidence",
        ALL,
        lambda ticket: ticket.attachments > 0,
        "Attach a photo or an operation log.",
        "请上传照片或操作日志。",
    ),
    Gate(
        "confirmation",
        ALL,
        _is_confirmed,
        "Let the requester confirm by the link, or a supervisor in the requester's name.",
        "请报修人通过链接确认，或由主管代为确认。",
    ),
)


def unpassed_gates(ticket: Ticket) -> list[Gate]:
    """Return the gates that keep the ticket from closing, in the order in which to pass them.

    Before there is a resolution, the gates of a repair are shown: it is the outcome to prepare for.
    """
    outcome = ticket.resolution_code if ticket.resolved_at and ticket.resolution_code else REPAIRED
    return [gate for gate in GATES if outcome in gate.outcomes and not gate.is_passed(ticket)]
