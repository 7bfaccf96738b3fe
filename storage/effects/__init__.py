"""What a command checks and does beyond the table: a check before it is saved, an effect after.

Checks are what only the database can tell; an effect may return the secret of a confirmation link. ``FIRST`` is done
before the event is written, because the timeline tells what came of it: the code of a ticket that was split off.
``CLOCKS`` is what a command makes of the clocks beyond those that the table stops and starts. A command without an
entry needs none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from storage.effects import assigning, checking, ending, escalating, joining, moving, prioritising, producing, working
from storage.effects.case import Case
from ticketing.lifecycle import Command
from ticketing.sla import RunningClock

CHECKS: dict[Command, Callable[[Case], None]] = {
    Command.DISPATCH: assigning.check_dispatch,
    Command.ACCEPT: assigning.check_claim,
    Command.EXECUTE: working.check_execute,
    Command.START_OPERATION: producing.check_start,
    Command.FINISH_OPERATION: producing.check_finish,
    Command.CHECK_OPERATION: producing.check_check,
    Command.HOLD: working.check_review,
    Command.EXTEND_HOLD: working.check_review,
    Command.SPLIT: joining.check_split,
    Command.LINK: joining.check_link,
    Command.MERGE: joining.check_merge,
    Command.TRANSFER: moving.check_transfer,
    Command.HAND_OVER: moving.check_hand_over,
    Command.RESOLVE: ending.check_resolve,
    Command.OVERRIDE_PRIORITY: prioritising.check_override,
}
FIRST: dict[Command, Callable[[Case], Mapping[str, object]]] = {
    Command.SPLIT: joining.split,
    Command.COMPLETE_TASK: checking.complete_task,
}
CLOCKS: dict[Command, Callable[[Case, tuple[RunningClock, ...]], tuple[RunningClock, ...]]] = {
    Command.ABSORB: joining.absorb,
}
EFFECTS: dict[Command, Callable[[Case], str | None]] = {
    Command.DISPATCH: assigning.reserve,
    Command.ACCEPT: assigning.reserve,
    Command.TRANSFER: assigning.reserve,
    Command.HAND_OVER: moving.hand_over,
    Command.RATE_HAND_OVER: moving.rate_hand_over,
    Command.HOLD: working.hold,
    Command.EXTEND_HOLD: working.extend_hold,
    Command.USE_PARTS: working.use_parts,
    Command.START_OPERATION: producing.start,
    Command.FINISH_OPERATION: producing.finish,
    Command.CHECK_OPERATION: producing.check,
    Command.RESOLVE: ending.make_link,
    Command.REQUEST_CONFIRMATION: ending.make_link,
    Command.CLOSE: ending.close,
    Command.CANCEL: ending.cancel,
    Command.ACKNOWLEDGE: escalating.acknowledge,
    Command.OVERRIDE_PRIORITY: prioritising.override,
    Command.END_OVERRIDE: prioritising.end_override,
    Command.LINK: joining.link,
    Command.MERGE: joining.merge,
    Command.REOPEN: joining.reopen,
}
