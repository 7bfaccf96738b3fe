"""What a ticket's life brought, for its page: hold, checks, look-ups, ladders, and its further steps in groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection

from api.identity import Caller
from api.languages import Language
from api.pages import life_words
from api.pages.words import Word
from storage.escalation_views import EscalationView, StepView, ToldView, escalations_of
from storage.intake_views import LookupView
from storage.ticket_views import HoldView, TaskView, TicketDetail
from ticketing.checks import Check
from ticketing.lifecycle import Command
from ticketing.steps import OPTION_LABELS, NextStep

PERCENT = 100


@dataclass(frozen=True, slots=True)
class CurrentHold:
    """The hold that has not ended, the clocks that stand still meanwhile, and whether its review date has passed."""

    hold: HoldView
    pauses: Sequence[str]
    is_due: bool


@dataclass(frozen=True, slots=True)
class AskedTask:
    """A task of the checklist, and whether it asks for a number."""

    task: TaskView
    wants_reading: bool


@dataclass(frozen=True, slots=True)
class FoundTicket:
    """A ticket that a look-up found; ``likeness_percent`` where the two were compared."""

    code: str
    title_en: str
    title_zh: str
    state: str
    outcome: str | None
    opened_at: datetime
    same_mode: bool
    likeness_percent: int | None


@dataclass(frozen=True, slots=True)
class LookedUp:
    """One look-up as shown. ``state`` is a word as long as there is nothing to show; ``until`` ends the warranty."""

    name: str
    state: Word | None
    days: int | None
    tickets: Sequence[FoundTicket]
    articles: Sequence[Mapping[str, object]]
    warranty: Word | None
    until: str | None


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of a ladder, with what became of it and of each of its messages."""

    step: StepView
    state: Word
    told: Sequence[tuple[ToldView, Word]]


@dataclass(frozen=True, slots=True)
class ShownLadder:
    """One round of a ladder in words."""

    ladder: EscalationView
    state: Word
    rungs: Sequence[Rung]

    @property
    def has_run(self) -> bool:
        """Say whether a step of it was done."""
        return any(rung.step.done_at is not None for rung in self.rungs)


def life_of(
    connection: Connection,
    caller: Caller,
    detail: TicketDetail,
    steps: Sequence[NextStep],
    language: Language,
    now: datetime,
) -> dict[str, object]:
    """Return what the template of a ticket needs to tell its life. Escalations are for the staff of the site."""
    is_staff = caller.is_staff_at(detail.ticket.site_id)
    ladders = [shown_ladder(one) for one in escalations_of(connection, detail.ticket.id)] if is_staff else []
    ran = [one for one in ladders if one.has_run]
    # Steps whose form stands where its matter is shown.
    placed = {Command.COMPLETE_TASK.value: True}
    placed[Command.ACKNOWLEDGE.value] = bool(ran)
    placed[Command.RATE_HAND_OVER.value] = bool(detail.hand_overs)
    elsewhere = {step.command: step for step in steps if placed.get(step.command)}
    return {
        "option": option_words(language),
        "groups": grouped([step for step in steps if not step.primary and step.command not in elsewhere]),
        "check_step": elsewhere.get(Command.COMPLETE_TASK),
        "acknowledge_step": elsewhere.get(Command.ACKNOWLEDGE),
        "rate_step": elsewhere.get(Command.RATE_HAND_OVER),
        "current_hold": current_hold(detail, now),
        "past_holds": [hold for hold in detail.holds if hold.ended_at is not None],
        "asked": [AskedTask(task, _check(task).wants_reading) for task in detail.tasks],
        "lookups": [looked_up(one) for one in detail.lookups],
        "ladders": ran[::-1],
        "ladders_to_come": [one.ladder for one in ladders if not one.has_run and one.ladder.ended_at is None],
    }


def option_words(language: Language) -> Callable[[str], str]:
    """Return what puts an option of the lifecycle table into words: reasons of a hold, ladders, channels."""
    chinese = language is Language.ZH
    return lambda code: OPTION_LABELS[code][chinese] if code in OPTION_LABELS else code.replace("_", " ")


def grouped(steps: Sequence[NextStep]) -> list[tuple[str, list[NextStep]]]:
    """Return steps under the headings of ``life_words.GROUPS``, in their order; a group without any is left out."""
    offered = {step.command: step for step in steps}
    found = (
        (heading, [offered[one.value] for one in commands if one.value in offered])
        for heading, commands in life_words.GROUPS.items()
    )
    return [(heading, group) for heading, group in found if group]


def current_hold(detail: TicketDetail, now: datetime) -> CurrentHold | None:
    """Return the hold that has not ended, None when there is none."""
    hold = next((one for one in detail.holds if one.ended_at is None), None)
    if hold is None:
        return None
    pauses = [clock.clock for clock in detail.clocks if clock.state == "paused"]
    return CurrentHold(hold, pauses, hold.review_at <= now)


def looked_up(lookup: LookupView) -> LookedUp:
    """Return a look-up as a page shows it; each kind has its own body (storage/lookups.py)."""
    body = lookup.body if lookup.state == "done" else None
    if body is None:
        state = life_words.LOOKUP_FAILED if lookup.state == "failed" else life_words.LOOKUP_PENDING
        return LookedUp(lookup.name, state, None, (), (), None, None)
    items = body.get("items")
    rows = [one for one in items if isinstance(one, Mapping)] if isinstance(items, list) else []
    is_knowledge = lookup.name == "knowledge"
    days, until = body.get("days"), body.get("until")
    return LookedUp(
        name=lookup.name,
        state=None,
        days=days if isinstance(days, int) else None,
        tickets=() if is_knowledge else [_found(row) for row in rows],
        articles=rows if is_knowledge else (),
        warranty=life_words.WARRANTIES[str(body["state"])] if lookup.name == "warranty" else None,
        until=until if isinstance(until, str) else None,
    )


def shown_ladder(ladder: EscalationView) -> ShownLadder:
    """Return a round of a ladder with what became of it, of its steps and of their messages."""
    rungs = [
        Rung(step, _state_of_step(step), [(one, _state_of_message(one)) for one in step.told]) for step in ladder.steps
    ]
    return ShownLadder(ladder, _state_of_ladder(ladder), rungs)


def _check(task: TaskView) -> Check:
    return Check(task.number, task.unit, task.low_limit, task.high_limit)


def _found(row: Mapping[str, object]) -> FoundTicket:
    outcome, score = row.get("outcome"), row.get("score")
    return FoundTicket(
        code=str(row["code"]),
        title_en=str(row["title_en"]),
        title_zh=str(row["title_zh"]),
        state=str(row["state"]),
        outcome=outcome if isinstance(outcome, str) else None,
        opened_at=datetime.fromisoformat(str(row["opened_at"])),
        same_mode=row.get("same_mode") is True,
        likeness_percent=round(score * PERCENT) if isinstance(score, int | float) else None,
    )


def _state_of_ladder(ladder: EscalationView) -> Word:
    happened = (
        ("acknowledged", ladder.acknowledged_at),
        ("overtaken", ladder.overtaken_at),
        ("ended", ladder.ended_at),
        ("paused", ladder.paused_at),
    )
    return life_words.LADDER_STATES[next((name for name, at in happened if at is not None), "running")]


def _state_of_step(step: StepView) -> Word:
    name = "done" if step.done_at is not None else "dropped" if step.dropped_at is not None else "waiting"
    return life_words.RUNG_STATES[name]


def _state_of_message(told: ToldView) -> Word:
    name = "delivered" if told.delivered_at is not None else "given_up" if told.given_up_at is not None else "waiting"
    return life_words.MESSAGE_STATES[name]
