"""Checks of the checklist: their results, and the ticket that a failed one opens (SPEC T8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from domain.refusals import Refused
from storage.effects.case import Case, FollowUp, refuse_fact
from storage.effects.joining import open_beside
from storage.links import add_link
from storage.queries import load
from storage.tickets import ticket_row
from ticketing.checks import Check, CheckResult, result_of
from ticketing.intake import MAX_TITLE
from ticketing.lifecycle import Command
from ticketing.ticket import LinkKind

QUERIES = load("casework")


@dataclass(frozen=True, slots=True)
class _Task:
    done_at: datetime | None
    unit: str | None
    low_limit: float | None
    high_limit: float | None
    opens_ticket: bool
    text_en: str
    text_zh: str
    failure_mode: str | None


def complete_task(case: Case) -> Mapping[str, object]:
    """Tick a task off, once, with its result; tell that, and the code of the ticket that a failure opened or joined."""
    number = int(str(case.fact("number")))
    task = _task(case, number)
    facts = case.decision.facts
    said, reading, remark = facts.get("result"), facts.get("reading"), facts.get("remark")
    result = result_of(
        Check(number, task.unit, task.low_limit, task.high_limit),
        None if said is None else str(said),
        None if reading is None else float(str(reading)),
        None if remark is None else str(remark),
    )
    asked = {"ticket_id": case.row.id, "number": number}
    given = {"result": result, "reading": reading, "remark": remark, "person_id": case.actor.person_id, "now": case.now}
    if case.connection.execute(QUERIES["complete_task"], {**asked, **given}).fetchone() is None:
        raise _done(number, case.now)
    told: dict[str, object] = {"result": result.value}
    if task.unit is not None and reading is not None:
        told["unit"] = task.unit
    if result is CheckResult.FAILED and task.opens_ticket:
        code = _ticket_of(case, task, reading, remark)
        case.connection.execute(QUERIES["note_opened_ticket"], {**asked, "code": code})
        told["opened_code"] = code
    return told


def _task(case: Case, number: int) -> _Task:
    with case.connection.cursor(row_factory=class_row(_Task)) as cursor:
        asked = {"ticket_id": case.row.id, "number": number}
        task = cursor.execute(QUERIES["task_to_complete"], asked).fetchone()
    if task is None:
        raise refuse_fact("number", "a task of the checklist", number)
    if task.done_at is not None:
        raise _done(number, task.done_at)
    return task


def _ticket_of(case: Case, task: _Task, reading: object, remark: object) -> str:
    """Open a ticket for what the check found; where one is open for that, this one is joined to it by a link."""
    found = "" if reading is None else f"{reading} {task.unit or ''}".strip()
    try:
        with case.connection.transaction():
            code = open_beside(
                case,
                title=f"{case.row.asset_tag}: {task.text_en}"[:MAX_TITLE],
                title_zh=f"{case.row.asset_tag}：{task.text_zh}"[:MAX_TITLE],
                description="\n".join(str(each) for each in (found, remark) if each),
                failure_mode=task.failure_mode,
                is_split=False,
            )
    except Refused as refusal:
        if refusal.name != "already_open":
            raise
        code = refusal.got
    other = ticket_row(case.connection, code)
    kind = LinkKind.CAUSES
    if other.id != case.row.id and add_link(
        case.connection, case.row.id, other.id, kind, case.actor.person_id, case.now
    ):
        told = {"code": case.row.code, "kind": kind.value, "by": case.actor.name}
        case.follow_ups.append(FollowUp(code, Command.LINKED, told))
    return code


def _done(number: int, at: datetime) -> Refused:
    return Refused(
        "not_a_legal_step",
        expected="a task that is still open",
        got=f"task {number}, done at {at.isoformat()}",
        remedy="Nothing is left to do for it.",
    )
