"""The catalogue: every detector under its name. A new detector is one file and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from detectors import cusum, ewma, flatline, level, missing, quality, rate, record, step, t2q, threshold, trend
from detectors.assembling import VectorCalm, VectorRun, VectorUpdate, build_vector_run, nothing_alone
from detectors.baseline import BaselineParameters
from detectors.parameters import Parameters, Scalar
from detectors.running import Calm, Role, Run, Tick, Update, build_run, never_calm


@dataclass(frozen=True, slots=True)
class DetectorSpec:
    """One detector: its parameters, the dtype of its state per rule and series, its update and the loop around it.

    ``role`` says which rows it is shown (``running.py``); ``least``, the parameters without which it is refused.
    ``tick``, where there is one, opens findings about silence. ``extra`` names the figures of its own that it claims
    beside those all detectors have, at most eight, in the order of ``change.extra``. ``vector``, where there is one, is
    the loop of a detector that looks at several metrics of a device at once (``groups.py``).
    """

    name: str
    parameters: type[Parameters]
    state: np.dtype[np.void]
    update: Update
    run: Run
    role: Role
    least: Mapping[str, Scalar]
    tick: Tick | None = None
    extra: tuple[str, ...] = ()
    vector: VectorRun | None = None


def _spec(
    name: str,
    parameters: type[Parameters],
    state: np.dtype[np.void],
    update: Update,
    tick: Tick | None = None,
    extra: tuple[str, ...] = (),
    *,
    calm: Calm = never_calm,
    role: Role | None = None,
    least: Mapping[str, Scalar] = MappingProxyType({}),
) -> DetectorSpec:
    if role is None:
        # Whoever learns a baseline has the parameters of learning one.
        role = Role.BASELINE if issubclass(parameters, BaselineParameters) else Role.LIMIT
    run = build_run(name, update, role, state, calm)
    return DetectorSpec(name, parameters, state, update, run, role, least, tick, extra)


def _vector(
    name: str,
    parameters: type[Parameters],
    state: np.dtype[np.void],
    update: VectorUpdate,
    calm: VectorCalm,
    extra: tuple[str, ...],
) -> DetectorSpec:
    alone = _spec(name, parameters, state, nothing_alone, extra=extra, role=Role.BASELINE)
    return replace(alone, vector=build_vector_run(name, update, calm))


_ENTRIES = (
    _spec(
        "quality",
        quality.QualityParameters,
        quality.STATE,
        quality.update,
        extra=quality.EXTRA,
        calm=quality.calm,
        role=Role.GATE,
        least={"high": 1.0},
    ),
    _spec(
        "threshold",
        threshold.ThresholdParameters,
        threshold.STATE,
        threshold.update,
        calm=threshold.calm,
        least={"high": 1.0},
    ),
    _spec("step", step.StepParameters, step.STATE, step.update, calm=step.calm),
    _spec("level", level.LevelParameters, level.STATE, level.update, calm=level.calm, least={"high": 2.0}),
    _spec("cusum", cusum.CusumParameters, cusum.STATE, cusum.update, calm=cusum.calm),
    _spec("ewma", ewma.EwmaParameters, ewma.STATE, ewma.update, calm=ewma.calm),
    _spec(
        "rate", rate.RateParameters, rate.STATE, rate.update, extra=rate.EXTRA, calm=rate.calm, role=Role.LEARNT_LIMIT
    ),
    _spec(
        "flatline",
        flatline.FlatlineParameters,
        flatline.STATE,
        flatline.update,
        extra=flatline.EXTRA,
        calm=flatline.calm,
        role=Role.LEARNT_LIMIT,
    ),
    _spec(
        "trend",
        trend.TrendParameters,
        trend.STATE,
        trend.update,
        calm=trend.calm,
        extra=trend.EXTRA,
        least={"high": 2.0},
    ),
    _spec("record", record.RecordParameters, record.STATE, record.update, calm=record.calm, extra=record.EXTRA),
    _vector("t2q", t2q.T2QParameters, t2q.STATE, t2q.update, t2q.calm, t2q.EXTRA),
    _spec("missing", missing.MissingParameters, missing.STATE, missing.update, missing.tick, role=Role.SILENCE),
)
CATALOGUE: Mapping[str, DetectorSpec] = MappingProxyType({spec.name: spec for spec in _ENTRIES})
