"""The catalogue: every detector under its name. A new detector is one file and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from detectors import cusum, level, missing, record, step, threshold
from detectors.parameters import Parameters
from detectors.running import Run, Tick, Update, build_run


@dataclass(frozen=True, slots=True)
class DetectorSpec:
    """One detector: its parameters, the dtype of its state per rule and series, its update and the loop around it.

    ``tick``, where there is one, opens findings about silence. ``extra`` names the figures of its own that it claims
    beside those all detectors have, at most eight, in the order of ``change.extra``.
    """

    name: str
    parameters: type[Parameters]
    state: np.dtype[np.void]
    update: Update
    run: Run
    tick: Tick | None = None
    extra: tuple[str, ...] = ()


def _spec(
    name: str,
    parameters: type[Parameters],
    state: np.dtype[np.void],
    update: Update,
    tick: Tick | None = None,
    extra: tuple[str, ...] = (),
) -> DetectorSpec:
    return DetectorSpec(name, parameters, state, update, build_run(name, update), tick, extra)


_ENTRIES = (
    _spec("threshold", threshold.ThresholdParameters, threshold.STATE, threshold.update),
    _spec("step", step.StepParameters, step.STATE, step.update),
    _spec("level", level.LevelParameters, level.STATE, level.update),
    _spec("cusum", cusum.CusumParameters, cusum.STATE, cusum.update),
    _spec("record", record.RecordParameters, record.STATE, record.update, extra=record.EXTRA),
    _spec("missing", missing.MissingParameters, missing.STATE, missing.update, tick=missing.tick),
)
CATALOGUE: Mapping[str, DetectorSpec] = MappingProxyType({spec.name: spec for spec in _ENTRIES})
