"""The simulated machines under the shipped libraries: each fault found and named, and silence on healthy siblings.

Motors, pumps and ovens live by the hour: one reading of each metric per hour of wear, some of them lost and some
wild, as ordered from ``simulators.faults``. Every wearing machine wears out once, at an hour of its own; every healthy
one runs for a year. What they show goes through detectors, fusion and tickets in the closed loop, without a broker.
A ticket counts for the fault when it opens between onset and failure and names its mode; any other is false. The
machines are ours and their libraries know one mode each, so that the figures say that the libraries fit them, and
nothing about anybody else's. A ticket that opens as the machine trips is too late, but not false.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from bench.detection.bootstrap import interval
from bench.detection.controls import ALWAYS_ON, AT_RANDOM, CLOCK, always_on, clock, mean_at_random
from bench.detection.events import Recording, score_recording, total
from bench.detection.figures import Figure
from detectors.closed_loop import ClosedLoop, Machine
from detectors.library import Library
from domain.events import Event, EventKind, EventSeverity
from simulators.faults import Dropout, Fault, Sample, Spike, disturb
from simulators.fleet import ROSTER, Post
from simulators.machine import Phase, WearPlan, generator_of
from storage.library import shipped_libraries

T = TypeVar("T")
TITLE = "The simulated fleet"
FOLDER = ""

START = datetime(2026, 1, 1, tzinfo=UTC)
LIVES_EACH, HEALTHY_YEARS_EACH = 10, 10
YEAR_H, MONTH_H, DAY_H = 8_760, 730.0, 24.0
# A new part is sound for so many hours at least and at most before it begins to wear.
ONSET_H = (1_000, 4_000)
LOST, WILD = 0.02, 0.002
PHYSICS_S = 0.5
CLOCK_H = 30 * DAY_H


@dataclass(frozen=True, slots=True)
class Life:
    """One machine: the hours at which its tickets opened and whether each named the mode it fails in."""

    name: str
    tickets: tuple[tuple[float, bool], ...]
    onset_h: float | None
    failed_h: float | None
    hours: float

    def recording(self) -> Recording:
        """Return all tickets as alarms, and the time from onset to failure as the event."""
        worn = () if self.onset_h is None or self.failed_h is None else ((self.onset_h, self.failed_h),)
        return Recording(self.name, tuple((at, at) for at, _ in self.tickets), worn, (0.0, self.hours))

    def right_at_h(self) -> float | None:
        """Return when the first ticket opened that is in time and names the mode, None where there is none."""
        if self.onset_h is None or self.failed_h is None:
            return None
        return next((at for at, right in self.tickets if right and self.onset_h <= at < self.failed_h), None)


def score(folder: Path) -> list[Figure]:
    """Let the machines live and score their tickets; ``folder`` is not read. Takes about twenty seconds."""
    del folder
    libraries = {library.asset_type: library for library in shipped_libraries()}
    kinds = {post.model: post for post in ROSTER}.values()
    worn = [live(post, libraries, seed, wears=True) for post in kinds for seed in range(LIVES_EACH)]
    healthy = [live(post, libraries, seed, wears=False) for post in kinds for seed in range(HEALTHY_YEARS_EACH)]
    return [*_found(worn), *_false("healthy siblings", healthy), *_controls(worn, healthy)]


def live(post: Post, libraries: dict[str, Library], seed: int, *, wears: bool) -> Life:
    """Run one machine to its failure, or through a healthy year, and return the tickets that it got."""
    random = generator_of(seed, f"{post.model.__name__}-{wears}")
    onset_h = int(random.integers(*ONSET_H)) if wears else 100 * YEAR_H
    hours = onset_h + int(post.growth_h) if wears else YEAR_H
    machine = post.model(WearPlan(onset_h, post.growth_h), random)
    faults: tuple[Fault, ...] = (Dropout(LOST, random), Spike(WILD, random))
    samples: list[Sample] = []
    events: list[Event] = []
    failed_h: float | None = None
    for hour in range(hours + 1):
        now = START + timedelta(hours=hour)
        seen = machine.step(PHYSICS_S, 1.0)
        samples += disturb(faults, [Sample(now, hour, seen.values)])
        events += [
            Event(now, EventKind(one.kind), one.code, EventSeverity(one.severity), one.text) for one in seen.happenings
        ]
        if failed_h is None and machine.part.phase is Phase.FAILED:
            failed_h = float(hour)
    readings = pd.DataFrame(
        [sample.values for sample in samples], index=pd.DatetimeIndex([sample.ts for sample in samples])
    )
    opened = ClosedLoop(libraries[machine.asset_type], Machine(1, readings, events)).run()
    tickets = tuple(
        ((ticket.opened_at - START) / timedelta(hours=1), ticket.prediction.failure_mode == machine.failure_mode)
        for ticket in opened
    )
    return Life(f"{machine.asset_type} {seed}", tickets, float(onset_h) if wears else None, failed_h, float(hours))


def _found(worn: Sequence[Life]) -> list[Figure]:
    late_h = 1.0  # an hour is the step of the record
    leads = [0.0 if life.right_at_h() is None else (life.failed_h or 0.0) - (life.right_at_h() or 0.0) for life in worn]
    first = [next((right for at, right in life.tickets if at >= (life.onset_h or 0.0)), False) for life in worn]
    return [
        _figure("faults found and named before the failure", leads, _share(lambda lead: lead >= late_h)),
        _figure("first ticket after onset names the right mode", first, _share(bool)),
        _figure("median lead before failure", leads, lambda some: float(np.median(some)), "h"),
        _figure("lead of the latest tenth", leads, lambda some: float(np.quantile(some, 0.1)), "h"),
        *_false("wearing machines, before onset", [_until_onset(life) for life in worn]),
    ]


def _false(whose: str, lives: Sequence[Life]) -> list[Figure]:
    months = sum(life.hours for life in lives) / MONTH_H
    figure = _figure(f"false tickets per machine-month, {whose}", lives, _tickets_per_month)
    return [Figure(figure.name, figure.value, "", figure.low, figure.high, note=f"{months:.0f} machine-months")]


def _controls(worn: Sequence[Life], healthy: Sequence[Life]) -> list[Figure]:
    ours = [life.recording() for life in (*worn, *healthy)]
    figures = []
    for name, recordings in ((ALWAYS_ON, always_on(ours)), (CLOCK, clock(ours, CLOCK_H))):
        figures += [
            Figure("faults found and named before the failure", _recall(recordings), of=name, note="any ticket counts"),
            Figure("false tickets per machine-month, all machines", _false_rate(recordings), of=name),
        ]
    found, false = mean_at_random(ours, _recall), mean_at_random(ours, _false_rate)
    return [
        *figures,
        Figure("faults found and named before the failure", found, of=AT_RANDOM, note="any ticket counts"),
        Figure("false tickets per machine-month, all machines", false, of=AT_RANDOM),
        Figure("false tickets per machine-month, all machines", _false_rate(ours)),
    ]


def _recall(recordings: Sequence[Recording]) -> float:
    return total(score_recording(one, grace=DAY_H) for one in recordings).recall


def _false_rate(recordings: Sequence[Recording]) -> float:
    return total(score_recording(one, grace=DAY_H) for one in recordings).false_alarms_per(MONTH_H)


def _until_onset(life: Life) -> Life:
    onset_h = life.onset_h or life.hours
    return Life(life.name, tuple(one for one in life.tickets if one[0] < onset_h), None, None, onset_h)


def _tickets_per_month(lives: Sequence[Life]) -> float:
    return sum(len(life.tickets) for life in lives) * MONTH_H / sum(life.hours for life in lives)


def _share(holds: Callable[[T], bool]) -> Callable[[Sequence[T]], float]:
    return lambda some: sum(holds(one) for one in some) / len(some)


def _figure(name: str, values: Sequence[T], statistic: Callable[[Sequence[T]], float], unit: str = "") -> Figure:
    low, high = interval(values, statistic)
    return Figure(name, statistic(values), unit, low, high)
