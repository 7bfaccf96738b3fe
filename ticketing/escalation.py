"""Escalation: which ladders stand on a ticket, and when their steps are due (SPEC N1, N2).

A ladder stands while what it starts on is true, so nothing has to remember to stop it: after every command the ladders
that stand are compared with those that should. A step is due a time after the beginning, on the ladder's calendar. A
step that comes late, after an outage, moves the next one on: people keep the time between two rungs to answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.working_time import WorkingTime
from ticketing.policy.escalation import EscalationPolicy, Ladder, Start, Way
from ticketing.ticket import State, Ticket

# A step this late was kept by an outage, not by the pace of the sweep.
LATE = timedelta(seconds=60)
_ONE_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Standing:
    """A ladder that should stand: since when, and for what."""

    ladder: Ladder
    subject: str
    began_at: datetime

    def is_another(self, subject: str, began_at: datetime) -> bool:
        """Say whether this is another round than the one that began at ``began_at`` for ``subject``.

        For people and teams the subject tells; work has been done since when it began later. A hold and a reopening
        move the beginning on, which is no work.
        """
        if self.ladder.starts_on is Start.INACTIVE:
            return self.began_at > began_at
        return self.subject != subject


def standing(ticket: Ticket, policy: EscalationPolicy, now: datetime, *, reopened: bool = False) -> dict[str, Standing]:
    """Return by name the ladders that should stand on a ticket; nothing counts against a reopened one from before."""
    since = now if reopened else ticket.last_effective_at
    stands: dict[Start, tuple[str, datetime]] = {}
    if ticket.state is not State.CLOSED:
        stands[Start.INACTIVE] = ("work", since)
    if ticket.state is State.NEW:
        stands[Start.UNASSIGNED] = (f"team {ticket.team_id}", now)
    if ticket.state is State.DISPATCHED:
        stands[Start.NOT_ACCEPTED] = (f"person {ticket.assignee_id}", now)
    return {
        ladder.name: Standing(ladder, *stands[ladder.starts_on])
        for ladder in policy.ladders
        if ladder.starts_on in stands
    }


def due(ladder: Ladder, number: int, began_at: datetime, working: WorkingTime) -> datetime:
    """Return when a step of a ladder is due."""
    return working.due(began_at, ladder.after_s(number))


def next_due(ladder: Ladder, number: int, was_due_at: datetime, now: datetime, working: WorkingTime) -> datetime:
    """Return when the step after ``number`` is due, which was due at ``was_due_at`` and is done ``now``.

    In time, it is due as planned. Late, people get the whole time between the two from now.
    """
    since = was_due_at if now - was_due_at <= LATE else now
    return working.due(since, ladder.after_s(number + 1) - ladder.after_s(number))


def after_pause(due_at: datetime, paused_at: datetime, now: datetime, working: WorkingTime) -> datetime:
    """Return when a step is due that a hold kept: with the working time that was left when the hold began."""
    return due_at if due_at <= paused_at else working.due(now, working.worked(paused_at, due_at))


def is_out_of_hours(now: datetime, working: WorkingTime) -> bool:
    """Say whether a site does not work now."""
    return working.worked(now, now + _ONE_SECOND) == 0


def ways_now(ways: tuple[Way, ...], priority: int, policy: EscalationPolicy, *, out_of_hours: bool) -> tuple[Way, ...]:
    """Return the channels of a rung; out of hours an urgent ticket is told by phone first."""
    if out_of_hours and priority <= policy.urgent and Way.PHONE not in ways:
        return (Way.PHONE, *ways)
    return ways


def chain_of(way: Way, ways: tuple[Way, ...], policy: EscalationPolicy) -> tuple[Way, ...]:
    """Return the channels of one message: its own, then those that stand in for it.

    Channels that carry a message of their own come last: by them the person is told already, if they work.
    """
    others = [other for other in policy.hand_over if other is not way]
    return (way, *(other for other in others if other not in ways), *(other for other in others if other in ways))
