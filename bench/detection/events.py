"""Scoring by event: an alarm counts at its rising edge, an event once, and false alarms by the hour.

Scores per row reward detectors that are always in alarm; these do not. Times are numbers on any scale, as long as
all of a recording share it (the data sets here use seconds).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Recording:
    """One run, file or machine: alarms as (opened, cleared), events as (from, to), judged within ``scored``."""

    name: str
    alarms: tuple[Span, ...]
    events: tuple[Span, ...]
    scored: Span


@dataclass(frozen=True, slots=True)
class EventScore:
    """Counts that add up over recordings.

    ``normal`` is the scored time outside events and their grace, ``in_alarm`` the part of it spent in alarm;
    ``delays`` are those of the events found, from their beginning to the first alarm in them.
    """

    events: int = 0
    found: int = 0
    false_alarms: int = 0
    normal: float = 0.0
    in_alarm: float = 0.0
    delays: tuple[float, ...] = ()

    @property
    def precision(self) -> float:
        """Events found over those and the false alarms: further alarms in an event neither help nor harm."""
        return self.found / max(1, self.found + self.false_alarms)

    @property
    def recall(self) -> float:
        """Share of the events that were found."""
        return self.found / max(1, self.events)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both > 0 else 0.0

    @property
    def alarm_share(self) -> float:
        """Share of the normal time spent in alarm."""
        return self.in_alarm / self.normal if self.normal > 0 else 0.0

    def false_alarms_per(self, time: float) -> float:
        """False alarms in so much normal time."""
        return self.false_alarms * time / self.normal if self.normal > 0 else 0.0


def score_recording(recording: Recording, *, grace: float = 0.0) -> EventScore:
    """Score one recording.

    An alarm that rises inside an event finds it; one that rises less than ``grace`` after the end of an event (the
    return to normal is a change too) is neither right nor wrong; any other is false, also when it is still open as
    an event begins. Events that do not begin within the scored span, and alarms that rise outside it, do not count.
    """
    start, end = recording.scored
    events = [(begin, over) for begin, over in recording.events if start <= begin < end]
    rising = sorted(opened for opened, _ in recording.alarms if start <= opened <= end)
    firsts = [next((at for at in rising if begin <= at <= over), None) for begin, over in events]
    neutral = [(begin, over + grace) for begin, over in recording.events]
    normal = outside((start, end), neutral)
    return EventScore(
        events=len(events),
        found=sum(first is not None for first in firsts),
        false_alarms=sum(not any(begin <= at <= over for begin, over in neutral) for at in rising),
        normal=sum(to - since for since, to in normal),
        in_alarm=sum(
            max(0.0, min(to, cleared) - max(since, opened))
            for since, to in normal
            for opened, cleared in joined(recording.alarms)
        ),
        delays=tuple(first - begin for first, (begin, _) in zip(firsts, events, strict=True) if first is not None),
    )


def total(scores: Iterable[EventScore]) -> EventScore:
    """Add up the scores of many recordings."""
    parts = list(scores)
    return EventScore(
        events=sum(part.events for part in parts),
        found=sum(part.found for part in parts),
        false_alarms=sum(part.false_alarms for part in parts),
        normal=sum(part.normal for part in parts),
        in_alarm=sum(part.in_alarm for part in parts),
        delays=tuple(delay for part in parts for delay in part.delays),
    )


def joined(spans: Sequence[Span], *, gap: float = 0.0) -> list[Span]:
    """Join spans that overlap or lie no further apart than ``gap``; the result is in order of time."""
    merged: list[Span] = []
    for since, to in sorted(spans):
        if merged and since <= merged[-1][1] + gap:
            merged[-1] = (merged[-1][0], max(merged[-1][1], to))
        else:
            merged.append((since, to))
    return merged


def outside(span: Span, taken: Sequence[Span]) -> list[Span]:
    """Return the parts of ``span`` that none of ``taken`` covers."""
    start, end = span
    edges = [(start, start), *joined([(since, to) for since, to in taken if to > start and since < end]), (end, end)]
    return [(to, since) for (_, to), (since, _) in pairwise(edges) if to < since]
