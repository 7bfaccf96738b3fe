"""The operations of a production order: start, finish, check (SPEC T8)."""

from __future__ import annotations

from domain.refusals import Refused
from storage.effects.case import Case
from storage.queries import load
from ticketing.operations import check_turn

QUERIES = load("operations")


def check_start(case: Case) -> None:
    """It must be the next operation, and the actor's to do."""
    _check_turn(case)


def check_finish(case: Case) -> None:
    """It must be under way, by the actor or on a supervisor's word."""
    _check_turn(case)


def check_check(case: Case) -> None:
    """It must be finished by somebody else, and a failure says what is wrong."""
    _check_turn(case)
    if case.fact("result") == "failed" and not case.decision.facts.get("remark"):
        raise Refused(
            "missing_fact",
            expected="'remark' (What was measured or is wrong)",
            got="nothing",
            remedy="Say what is wrong, for the engineer who does it again.",
        )


def start(case: Case) -> None:
    """Start the operation, again after a failed check."""
    _save(case, "start_operation")


def finish(case: Case) -> None:
    """Finish the operation."""
    _save(case, "finish_operation")


def check(case: Case) -> None:
    """Note the result of the check; after a failure the operation starts anew."""
    _save(case, "pass_operation" if case.fact("result") == "passed" else "fail_operation")


def _check_turn(case: Case) -> None:
    number = case.fact("operation")
    assert isinstance(number, int)
    check_turn(case.decision.before, case.decision.step.command, number, case.actor)


def _save(case: Case, query: str) -> None:
    parameters = {
        "ticket_id": case.row.id,
        "number": case.fact("operation"),
        "person_id": case.actor.person_id,
        "remark": case.decision.facts.get("remark"),
        "now": case.now,
    }
    case.connection.execute(QUERIES[query], parameters)
