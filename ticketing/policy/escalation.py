"""Ladders of escalation, as data: when each begins, its rungs, whom they tell and on which channels (SPEC N1, N2)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from ticketing.policy.reading import PolicyTable, invalid_policy

YEAR_S = 31_536_000
MAX_LADDERS = 20
MAX_RUNGS = 20


class Start(StrEnum):
    """What a ladder stands for while it lasts: nobody has the ticket, nobody accepts it, or nobody works on it."""

    UNASSIGNED = "unassigned"
    NOT_ACCEPTED = "not_accepted"
    INACTIVE = "inactive"


class Runs(StrEnum):
    """Which time counts: every second, or that of the ticket's accept clock (urgent tickets run round the clock)."""

    ROUND_THE_CLOCK = "round_the_clock"
    AS_PRIORITY = "as_priority"


class Recipient(StrEnum):
    """Whom a rung tells. Where there is none, the next that there is (storage/recipients.py)."""

    ASSIGNEE = "assignee"
    ON_CALL = "on_call"
    LEAD = "lead"
    SUPERVISORS = "supervisors"
    DIRECTORS = "directors"


class Way(StrEnum):
    """A channel to a person."""

    INBOX = "inbox"
    SMS = "sms"
    PHONE = "phone"


class Effect(StrEnum):
    """What a rung does beside telling people."""

    NOTIFY = "notify"
    PASS_TO_BACKUP = "pass_to_backup"
    YELLOW = "yellow"
    RED = "red"


@dataclass(frozen=True, slots=True)
class Rung:
    """One rung, ``after_s`` seconds after the ladder began; it tells ``to`` on every one of ``ways`` at once."""

    after_s: int
    to: tuple[Recipient, ...]
    ways: tuple[Way, ...]
    effect: Effect


@dataclass(frozen=True, slots=True)
class Ladder:
    """One ladder; after its last rung that rung comes again every ``repeat_s`` seconds, until somebody acknowledges."""

    name: str
    starts_on: Start
    runs: Runs
    repeat_s: int
    rungs: tuple[Rung, ...]

    def rung(self, number: int) -> Rung:
        """Return the rung of a step; steps beyond the last rung repeat it. Numbers count from 1."""
        return self.rungs[min(number, len(self.rungs)) - 1]

    def after_s(self, number: int) -> int:
        """Return the seconds from the ladder's beginning to a step, repeats included."""
        return self.rung(number).after_s + max(0, number - len(self.rungs)) * self.repeat_s


@dataclass(frozen=True, slots=True)
class EscalationPolicy:
    """All ladders. Tickets of priority ``urgent`` and above are told by phone out of hours.

    ``hand_over`` is the order in which channels stand in for one that fails.
    """

    urgent: int
    hand_over: tuple[Way, ...]
    ladders: tuple[Ladder, ...]

    def ladder(self, name: str) -> Ladder | None:
        """Return the ladder of this name."""
        return next((ladder for ladder in self.ladders if ladder.name == name), None)


def read_escalation(table: PolicyTable) -> EscalationPolicy:
    """Return the ladders; each has a name of its own, rungs that rise, and ends in one that can be repeated."""
    ladders = tuple(_ladder(each) for each in table.tables("ladder", MAX_LADDERS))
    names = [ladder.name for ladder in ladders]
    if len(set(names)) != len(names):
        raise invalid_policy(f"{table.path}.ladder", "a name of its own for each ladder", ", ".join(names))
    hand_over = tuple(Way(way) for way in table.words("hand_over", tuple(Way)))
    if set(hand_over) != set(Way):
        raise invalid_policy(f"{table.path}.hand_over", "every channel once: " + ", ".join(Way), ", ".join(hand_over))
    found = EscalationPolicy(urgent=table.integer("urgent", 0, 4), hand_over=hand_over, ladders=ladders)
    table.finish()
    return found


def _ladder(table: PolicyTable) -> Ladder:
    starts_on = Start(table.choice("starts_on", tuple(Start)))
    rungs = tuple(_rung(each) for each in table.tables("rung", MAX_RUNGS))
    if any(after.after_s <= before.after_s for before, after in pairwise(rungs)):
        raise invalid_policy(f"{table.path}.rung", "after_s that rise", str([rung.after_s for rung in rungs]))
    path, effects = f"{table.path}.rung", [rung.effect for rung in rungs]
    if Effect.PASS_TO_BACKUP in (effects[:-1] if starts_on is Start.NOT_ACCEPTED else effects):
        raise invalid_policy(path, "pass_to_backup only last, and where the ladder starts on not_accepted", starts_on)
    if {Effect.YELLOW, Effect.RED} & set(effects) and starts_on is not Start.INACTIVE:
        raise invalid_policy(path, "yellow and red only on a ladder that starts on inactive", starts_on)
    found = Ladder(
        name=table.text("name"),
        starts_on=starts_on,
        runs=Runs(table.choice("runs", tuple(Runs))),
        repeat_s=table.integer("repeat_s", 60, YEAR_S),
        rungs=rungs,
    )
    table.finish()
    return found


def _rung(table: PolicyTable) -> Rung:
    found = Rung(
        after_s=table.integer("after_s", 0, YEAR_S),
        to=tuple(Recipient(one) for one in table.words("to", tuple(Recipient))),
        ways=tuple(Way(one) for one in table.words("channels", tuple(Way))),
        effect=Effect(table.choice("effect", tuple(Effect))),
    )
    table.finish()
    return found
