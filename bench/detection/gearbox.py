"""Gearbox with a sound or a broken tooth: how many short blocks are told apart by plain features in the time domain.

The recordings say neither rate nor unit, so only features that need none are used: RMS, crest and kurtosis of each
accelerometer, as ingest makes them (``detectors.vibration``), within one load at a time, because load is a regime.
Every feature of every accelerometer is a series of its own, as in the service: its centre is the mean of the first half
of the healthy blocks, its limit 1.2 times the farthest that it went in the first three quarters. A block is told apart
when any of them is beyond its limit. What is scored came after, or is of the broken gear.

One gearbox of each kind was recorded: that the two differ shows that the features see a change, not that the change
is the tooth. The broken one is even the quieter. So there is no bar.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.detection.bootstrap import interval
from bench.detection.controls import ALWAYS_ON, AT_RANDOM
from bench.detection.figures import Figure
from detectors.vibration import FeatureSettings, features
from domain.waveforms import WaveformBlock

TITLE = "Gearbox, sound and broken tooth"
FOLDER = "gearbox-gfd"

BLOCK = 2_048
MARGIN = 1.2
USED = ("rms", "crest", "kurtosis")
# No feature in use knows time, so any rate will do; the envelope is not made.
RATE_HZ = 10_000.0
SETTINGS = FeatureSettings(envelope_peaks=0)
NAME = re.compile(r"(?P<state>[hb])30hz(?P<load>\d+)\.csv")


@dataclass(frozen=True, slots=True)
class Load:
    """The blocks judged at one load in percent, True where they were found to differ from the healthy ones."""

    percent: int
    healthy: tuple[bool, ...]
    broken: tuple[bool, ...]


def score(folder: Path) -> list[Figure]:
    """Score each load for which the folder has both states."""
    found: dict[int, dict[str, NDArray[np.float64]]] = {}
    for path in sorted(folder.iterdir()):
        name = NAME.match(path.name)
        if name is not None:
            found.setdefault(int(name["load"]), {})[name["state"]] = _table(path)
    loads = [_judge(percent, both["h"], both["b"]) for percent, both in sorted(found.items()) if len(both) == 2]
    if not loads:
        return []
    figures = [
        _figure("broken-tooth blocks told apart", loads, lambda some: _share([one.broken for one in some])),
        _figure("healthy held-out blocks called broken", loads, lambda some: _share([one.healthy for one in some])),
    ]
    figures += [
        Figure(f"broken-tooth blocks told apart at {one.percent} % load", _share([one.broken])) for one in loads
    ]
    called = _share([one.healthy + one.broken for one in loads])
    for control, share in ((ALWAYS_ON, 1.0), (AT_RANDOM, called)):
        figures += [Figure(figure.name, share, of=control) for figure in figures[:2]]
    return figures


def _judge(percent: int, healthy: NDArray[np.float64], broken: NDArray[np.float64]) -> Load:
    half, learnt = len(healthy) // 2, 3 * len(healthy) // 4
    centre = healthy[:half].mean(axis=0)
    limits = MARGIN * np.abs(healthy[:learnt] - centre).max(axis=0)

    def differ(blocks: NDArray[np.float64]) -> tuple[bool, ...]:
        return tuple((np.abs(blocks - centre) > limits).any(axis=1).tolist())

    return Load(percent, differ(healthy[learnt:]), differ(broken))


def _table(path: Path) -> NDArray[np.float64]:
    """Return a row for each block: the features of all accelerometers."""
    signals = pd.read_csv(path).to_numpy("<f4")
    rows = []
    for start in range(0, len(signals) - BLOCK + 1, BLOCK):
        block = signals[start : start + BLOCK]
        found = [features(WaveformBlock(0, "a", "V", RATE_HZ, one.tobytes()), SETTINGS) for one in block.T]
        rows.append([one[name] for one in found for name in USED])
    return np.array(rows)


def _share(flags: Sequence[Sequence[bool]]) -> float:
    every = [flag for some in flags for flag in some]
    return sum(every) / len(every)


def _figure(name: str, loads: Sequence[Load], statistic: Callable[[Sequence[Load]], float]) -> Figure:
    low, high = interval(loads, statistic)
    blocks = sum(len(one.broken) + len(one.healthy) for one in loads)
    return Figure(name, statistic(loads), "", low, high, note=f"{len(loads)} loads, {blocks} blocks judged")
