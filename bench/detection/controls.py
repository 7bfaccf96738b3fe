"""Controls: alarms that know nothing of the signal. A score that they reach too says nothing about a detector."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from bench.detection.events import Recording

ALWAYS_ON, AT_RANDOM, CLOCK = "always on", "random at the same rate", "clock"


def always_on(recordings: Sequence[Recording]) -> list[Recording]:
    """Return the recordings in alarm from the first scored moment to the last."""
    return [replace(recording, alarms=(recording.scored,)) for recording in recordings]


def clock(
    recordings: Sequence[Recording], period: float, *, hold: float = 0.0, random: np.random.Generator | None = None
) -> list[Recording]:
    """Return the recordings with an alarm every ``period``, each open for ``hold``.

    With ``random`` each recording's clock starts at a time of its own: faults that all begin equally late after the
    start of a file would otherwise be foretold by it.
    """
    ticked = []
    for recording in recordings:
        start, end = recording.scored
        first = start + period * (1.0 if random is None else float(random.uniform()))
        times = (first + number * period for number in range(math.floor((end - first) / period) + 1))
        ticked.append(replace(recording, alarms=tuple((at, at + hold) for at in times)))
    return ticked


def at_random(recordings: Sequence[Recording], random: np.random.Generator, *, hold: float = 0.0) -> list[Recording]:
    """Return the recordings with as many alarms as they have together, each anywhere in the scored time of all."""
    lengths = np.array([recording.scored[1] - recording.scored[0] for recording in recordings])
    alarms = sum(
        recording.scored[0] <= opened <= recording.scored[1]
        for recording in recordings
        for opened, _ in recording.alarms
    )
    ends = np.cumsum(lengths)
    drawn = np.sort(random.uniform(0, ends[-1], alarms)) if len(recordings) else np.empty(0)
    owners = np.minimum(np.searchsorted(ends, drawn, side="right"), len(recordings) - 1)
    scattered = []
    for number, recording in enumerate(recordings):
        offset = recording.scored[0] - (ends[number] - lengths[number])
        times = (drawn[owners == number] + offset).tolist()
        scattered.append(replace(recording, alarms=tuple((at, at + hold) for at in times)))
    return scattered


def mean_at_random(
    recordings: Sequence[Recording],
    statistic: Callable[[Sequence[Recording]], float],
    *,
    hold: float = 0.0,
    draws: int = 200,
    seed: int = 0,
) -> float:
    """Return the mean of ``statistic`` over many draws of ``at_random``."""
    random = np.random.default_rng(seed)
    return float(np.mean([statistic(at_random(recordings, random, hold=hold)) for _ in range(draws)]))


def mean_by_clock(
    recordings: Sequence[Recording],
    statistic: Callable[[Sequence[Recording]], float],
    period: float,
    *,
    hold: float = 0.0,
    draws: int = 50,
    seed: int = 0,
) -> float:
    """Return the mean of ``statistic`` over many clocks of this period that start at random times."""
    random = np.random.default_rng(seed)
    return float(np.mean([statistic(clock(recordings, period, hold=hold, random=random)) for _ in range(draws)]))
