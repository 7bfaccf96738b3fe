"""What a command checks and does beyond the table: a check before it is saved, an effect after.

Checks are what only the database can tell; an effect may return the secret of a confirmation link. A command without
an entry needs none.
"""

from __future__ import annotations

from collections.abc import Callable

from storage.effects import assigning, ending, escalating, working
from storage.effects.case import Case
from ticketing.lifecycle import Command

CHECKS: dict[Command, Callable[[Case], None]] = {
    Command.DISPATCH: assigning.check_dispatch,
    Command.ACCEPT: assigning.check_claim,
    Command.EXECUTE: working.check_execute,
    Command.RESOLVE: ending.check_resolve,
}
EFFECTS: dict[Command, Callable[[Case], str | None]] = {
    Command.DISPATCH: assigning.reserve,
    Command.ACCEPT: assigning.reserve,
    Command.HOLD: working.hold,
    Command.USE_PARTS: working.use_parts,
    Command.COMPLETE_TASK: working.complete_task,
    Command.RESOLVE: ending.make_link,
    Command.REQUEST_CONFIRMATION: ending.make_link,
    Command.CLOSE: ending.close,
    Command.CANCEL: ending.cancel,
    Command.ACKNOWLEDGE: escalating.acknowledge,
}
