"""What a person says of a priority: an override with its reason, and its end (SPEC S1)."""

from __future__ import annotations

from domain.refusals import Refused
from storage import priorities
from storage.effects.case import Case
from ticketing.actors import Role
from ticketing.priority import Override


def check_override(case: Case) -> None:
    """A line that stands is P0: only a supervisor may say that it is less."""
    level = level_of(case)
    leads = any(case.actor.holds(role, case.row.site_id) for role in (Role.SUPERVISOR, Role.ADMIN))
    if case.row.line_stopped and level > 0 and not leads:
        raise Refused(
            "not_permitted",
            expected="a supervisor, for a ticket whose line is stopped",
            got=f"{case.actor.name}, who wants P{level}",
            remedy="Ask a supervisor.",
        )


def override(case: Case) -> None:
    """Set the level that the person named; recomputation keeps it until it is ended."""
    said = Override(
        level_of(case), str(case.fact("reason")), case.actor.person_id, case.actor.name, case.now
    )  # fmt: skip
    computed = priorities.score_again(case.connection, case.row, case.now)
    priorities.apply(case.connection, case.row, computed.overridden_by(said), case.now)


def end_override(case: Case) -> None:
    """Give the ticket the level that its score says now."""
    computed = priorities.score_again(case.connection, case.row, case.now)
    priorities.apply(case.connection, case.row, computed.overridden_by(None), case.now)


def level_of(case: Case) -> int:
    """Return the level that is asked for, 0 to 4."""
    return int(str(case.fact("level")).removeprefix("P"))
