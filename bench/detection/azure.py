"""Predicted parts on the Azure machines: tickets of the closed loop against the components that failed.

Rules, weights and limits are those of the shipped press library. The machines are those that the folder has telemetry
of; where the weights come from, and how the figures hold when a machine is left out, says azure_learning.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np

from bench.detection.azure_learning import called
from bench.detection.bootstrap import interval
from bench.detection.controls import ALWAYS_ON, AT_RANDOM, CLOCK
from bench.detection.figures import Figure
from bench.detection.presses import COMPONENTS, Call, Press, PressScore, read_presses, score_press, total
from detectors.library import Library
from domain.events import COMPONENT_REPLACED
from storage.library import shipped_libraries

TITLE = "Predicted parts, Azure PdM"
FOLDER = "azure-pdm"

# An open ticket suppresses repeats for as long as the closed loop keeps one that finds nothing.
KEPT_OPEN = timedelta(hours=60)
# The best of the ages tried when the data were first looked at, and a clock of about the true rate of failures.
RIPE = timedelta(days=43)
CLOCK_PERIOD = timedelta(days=45)
DRAWS = 200

BARS = {"precision": 0.85, "recall": 0.97, "right part": 0.98, "lead of 24 h or more": 0.95}
Statistic = Callable[[PressScore], float]
STATISTICS: dict[str, Statistic] = {
    "precision": lambda score: score.precision,
    "recall": lambda score: score.recall,
    "right part": lambda score: score.right_part,
    "lead of 24 h or more": lambda score: score.early,
}


def score(folder: Path) -> list[Figure]:
    """Return the figures of the press library and of the controls."""
    presses = [press for press in read_presses(folder) if len(press.machine.readings)]
    if not presses:
        return []
    (library,) = (one for one in shipped_libraries() if one.asset_type == "press")
    calls = [call for press in presses for call in called(press, library)]
    scores = [score_press(press, calls) for press in presses]
    whole = total(scores)
    note = f"{whole.tickets} tickets, {whole.failures} failures, {len(presses)} machines"
    figures = [_figure(name, statistic, scores, note) for name, statistic in STATISTICS.items()]
    leads = sorted(whole.leads_h) or [float("nan")]
    figures.append(Figure("median lead", float(np.median(leads)), "h"))
    figures.append(Figure("lead, 10 % quantile", float(np.quantile(leads, 0.1)), "h"))
    figures.append(Figure("false tickets", whole.false_per_month, "per machine-month"))
    for control, guesses in controls(presses, library).items():
        figures += _control(control, total([score_press(press, guesses) for press in presses]))
    return [*figures, *_control(AT_RANDOM, _at_random(presses, len(calls)))]


def _figure(name: str, statistic: Statistic, scores: Sequence[PressScore], note: str) -> Figure:
    low, high = interval(scores, lambda drawn: statistic(total(drawn)))
    return Figure(name, statistic(total(scores)), low=low, high=high, bar_low=BARS[name], note=note)


def _control(control: str, reached: PressScore) -> list[Figure]:
    figures = [Figure(name, statistic(reached), of=control) for name, statistic in STATISTICS.items()]
    return [*figures, Figure("false tickets", reached.false_per_month, "per machine-month", of=control)]


def controls(presses: Sequence[Press], library: Library) -> dict[str, list[Call]]:
    """Return the calls of those who know nothing, or one thing alone."""
    return {
        ALWAYS_ON: [call for press in presses for call in _every(press, KEPT_OPEN)],
        CLOCK: [call for press in presses for call in _every(press, CLOCK_PERIOD)],
        "part age alone": [call for press in presses for call in _of_age(press)],
        "error code alone": [call for press in presses for call in _of_errors(press, library)],
    }


def _every(press: Press, period: timedelta) -> list[Call]:
    count = (press.end - press.begin) // period
    moments = [press.begin + number * period for number in range(1, count + 1)]
    return [Call(press.machine.asset_id, component, at) for component in COMPONENTS for at in moments]


def _of_age(press: Press) -> list[Call]:
    calls = []
    for component in COMPONENTS:
        fitted = [
            *press.machine.installed.get(component, ()),
            *(
                event.ts
                for event in press.machine.events
                if event.code == COMPONENT_REPLACED and event.attributes["component"] == component
            ),
        ]
        gone = [*sorted(fitted)[1:], press.end]
        ripe = [at + RIPE for at, until in zip(sorted(fitted), gone, strict=True) if at + RIPE < until]
        calls += [Call(press.machine.asset_id, component, at) for at in ripe if press.begin <= at <= press.end]
    return calls


def _of_errors(press: Press, library: Library) -> list[Call]:
    calls = []
    for mode in library.modes:
        codes = {code for sign in mode.signature.events for code in sign.codes}
        open_until = press.begin
        for event in press.machine.events:
            if event.code == COMPONENT_REPLACED and event.attributes["component"] == mode.component:
                open_until = event.ts
            elif event.code in codes and event.ts >= open_until:
                calls.append(Call(press.machine.asset_id, mode.component, event.ts))
                open_until = event.ts + KEPT_OPEN
    return calls


def _at_random(presses: Sequence[Press], count: int) -> PressScore:
    """Return the counts of many draws of as many calls, each about any component of any machine at any time."""
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(DRAWS):
        calls = []
        for number, part, moment in zip(
            random.integers(0, len(presses), count),
            random.integers(0, len(COMPONENTS), count),
            random.uniform(0, 1, count),
            strict=True,
        ):
            press = presses[number]
            at = press.begin + moment * (press.end - press.begin)
            calls.append(Call(press.machine.asset_id, COMPONENTS[part], at))
        drawn.append(total([score_press(press, calls) for press in presses]))
    return total(drawn)
