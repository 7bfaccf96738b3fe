"""Where the weights of the press library come from: counted on the Azure machines, and checked without each of them.

    python -m bench.detection.azure_learning FOLDER

prints the weights counted on all machines of the folder, and the figures of a cross-validation in which every machine
is judged with weights that were counted without it.

A sign's weight is the logarithm of how much oftener it is met before a failure than otherwise. What stands for a while
(drift, the age of a part) is counted by the time that it stands, an error code by how often it is told:

    log( its share of the last 48 hours before failures / its share of the other time )

with half a failure added on each side (Jeffreys), so that what was never seen is rare and not impossible. Errors,
replacements and failures are counted on all machines, drifts on those with telemetry. One weight for drift, one for
part age and one prior serve all four components: only the error codes have weights of their own.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from bench.detection.presses import COMPONENTS, Call, Press, PressScore, read_presses, score_press, total
from detectors.closed_loop import ClosedLoop
from detectors.library import Library
from domain.events import COMPONENT_REPLACED
from domain.failure_modes import EventSign, FailureMode
from storage.library import shipped_libraries

BEFORE = timedelta(hours=48)
HOUR = timedelta(hours=1)
Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Weights:
    """What was counted: the prior, and log-odds for drift, for each sign of events by its codes, and for part age."""

    prior: float
    drift: float
    events: dict[tuple[str, ...], float]
    older: float
    younger: float


@dataclass(slots=True)
class Tally:
    """How much of a sign was met before failures and otherwise, in hours or in times told, and in how many hours."""

    half: float
    before: float = 0.0
    before_h: float = 0.0
    otherwise: float = 0.0
    otherwise_h: float = 0.0

    def count_spans(self, failures: Sequence[datetime], stands: Sequence[Span], whole: Span) -> None:
        """Add one component of one machine and the times for which the sign stood."""
        last, calm = self._hours_of(failures, whole)
        for span in _joined(stands):
            self.before += _hours(_within(span, last))
            self.otherwise += _hours(_within(span, calm))

    def count_times(self, failures: Sequence[datetime], told: Sequence[datetime], whole: Span) -> None:
        """Add one component of one machine and the times at which the sign was told."""
        last, calm = self._hours_of(failures, whole)
        self.before += sum(begin <= at < end for at in told for begin, end in last)
        self.otherwise += sum(begin <= at < end for at in told for begin, end in calm)

    def _hours_of(self, failures: Sequence[datetime], whole: Span) -> tuple[list[Span], list[Span]]:
        last = _joined((max(whole[0], at - BEFORE), at) for at in failures)
        calm = _without(whole, last)
        self.before_h += _hours(last)
        self.otherwise_h += _hours(calm)
        return last, calm

    @property
    def log_odds(self) -> float:
        """Return the weight, to one decimal: more would claim what was not counted."""
        failure_h = BEFORE / HOUR
        before = (self.before + self.half) / (self.before_h + failure_h)
        otherwise = (self.otherwise + self.half) / (self.otherwise_h + failure_h)
        return round(math.log(before / otherwise), 1)


@dataclass(frozen=True, slots=True)
class Observed:
    """A machine with the times at which drifts stood, by mode; none without telemetry."""

    press: Press
    drifts: dict[str, list[Span]]


def observe(press: Press, library: Library) -> Observed:
    """Find the drifts of a machine by the library's own rules; they do not depend on its weights."""
    return Observed(press, _drifts(press, library) if len(press.machine.readings) else {})


def learn(observed: Iterable[Observed], library: Library) -> Weights:
    """Count the weights on these machines; ``library`` says which signs there are and how long each stands."""
    # Half a failure is half of its last 48 hours, or half a time that a code is told.
    drift, older, younger = (Tally(half=BEFORE / HOUR / 2) for _ in range(3))
    events: dict[tuple[str, ...], Tally] = {}
    failures, days = 0, 0.0
    for one in observed:
        press, whole = one.press, (one.press.begin, one.press.end)
        for mode in library.modes:
            failed = [at for at, component in press.failures if component == mode.component]
            failures += len(failed)
            days += (press.end - press.begin) / timedelta(days=1)
            for sign in mode.signature.events:
                events.setdefault(sign.codes, Tally(half=0.5)).count_times(failed, _heard(press, sign), whole)
            if one.drifts:
                drift.count_spans(failed, one.drifts[mode.code], whole)
            old, young = _ages(press, mode)
            older.count_spans(failed, old, whole)
            younger.count_spans(failed, young, whole)
    # The chance that a component fails within the time that a ticket looks ahead.
    prior = (failures + 0.5) * (BEFORE / timedelta(days=1)) / (days + 1)
    weights = {codes: tally.log_odds for codes, tally in events.items()}
    return Weights(round(prior, 3), drift.log_odds, weights, older.log_odds, younger.log_odds)


def apply(library: Library, weights: Weights) -> Library:
    """Return the library with these weights."""
    return replace(library, modes=tuple(_weighed(mode, weights) for mode in library.modes))


def _weighed(mode: FailureMode, weights: Weights) -> FailureMode:
    signature = mode.signature
    age = signature.part_age
    return replace(
        mode,
        prior=weights.prior,
        signature=replace(
            signature,
            findings=tuple(replace(sign, log_odds=weights.drift) for sign in signature.findings),
            events=tuple(replace(sign, log_odds=weights.events[sign.codes]) for sign in signature.events),
            part_age=None
            if age is None
            else replace(age, log_odds_older=weights.older, log_odds_younger=weights.younger),
        ),
    )


def _drifts(press: Press, library: Library) -> dict[str, list[Span]]:
    """Return when a drift stood for each mode, found by the library's own rules in the closed loop."""
    loop = ClosedLoop(library, press.machine)
    loop.run()
    spans: dict[str, list[Span]] = {mode.code: [] for mode in library.modes}
    for finding in loop.findings.values():
        for mode in library.modes:
            for sign in mode.signature.findings:
                if (finding.metric, finding.detector) == (sign.metric, sign.detector):
                    cleared = finding.cleared_at or press.end
                    spans[mode.code].append((finding.opened_at, cleared + sign.within_h * HOUR))
    return spans


def _heard(press: Press, sign: EventSign) -> list[datetime]:
    stands = timedelta(hours=sign.within_h)
    heard = [[event.ts for event in press.machine.events if event.code == code] for code in sign.codes]
    return [at for at in heard[0] if all(any(abs(at - other) <= stands for other in others) for others in heard[1:])]


def _ages(press: Press, mode: FailureMode) -> tuple[list[Span], list[Span]]:
    """Return when the mode's component was old, and when it was young, as far as its age is known."""
    age = mode.signature.part_age
    if age is None:
        return [], []
    fitted = list(press.machine.installed.get(mode.component, ()))
    fitted += [
        event.ts
        for event in press.machine.events
        if event.code == COMPONENT_REPLACED and event.attributes["component"] == mode.component
    ]
    fitted.sort()
    lives = list(zip(fitted, [*fitted[1:], press.end], strict=True))
    ripe = timedelta(days=age.from_days)
    old = [(begin + ripe, end) for begin, end in lives if begin + ripe < end]
    return old, [(begin, min(end, begin + ripe)) for begin, end in lives]


def _joined(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def _without(whole: Span, taken: Iterable[Span]) -> list[Span]:
    begin, rest = whole[0], []
    for since, to in _joined(taken):
        if since > begin:
            rest.append((begin, min(since, whole[1])))
        begin = max(begin, to)
    return [*rest, (begin, whole[1])] if begin < whole[1] else rest


def _within(span: Span, among: Iterable[Span]) -> list[Span]:
    return [(max(a, span[0]), min(b, span[1])) for a, b in among if a < span[1] and b > span[0]]


def _hours(spans: Iterable[Span]) -> float:
    return sum((to - since) / HOUR for since, to in spans)


def called(press: Press, library: Library) -> list[Call]:
    """Return the tickets that the closed loop opens for a machine, as calls."""
    components = {mode.code: mode.component for mode in library.modes}
    return [
        Call(ticket.asset_id, components[ticket.prediction.failure_mode], ticket.opened_at)
        for ticket in ClosedLoop(library, press.machine).run()
    ]


def cross_validated(presses: Sequence[Press], library: Library) -> list[PressScore]:
    """Return the score of every machine with telemetry, with weights counted on all the others."""
    observed = [observe(press, library) for press in presses]
    scores = []
    for left_out in observed:
        if left_out.drifts:
            weights = learn([one for one in observed if one is not left_out], library)
            scores.append(score_press(left_out.press, called(left_out.press, apply(library, weights))))
    return scores


def main(folder: Path) -> None:
    """Print the weights and the cross-validated figures."""
    (library,) = (one for one in shipped_libraries() if one.asset_type == "press")
    presses = read_presses(folder)
    print(learn([observe(press, library) for press in presses], library))
    score = total(cross_validated(presses, library))
    print(
        f"cross-validated over {len(presses)} machines: {score.tickets} tickets for {score.failures} failures of "
        f"{', '.join(COMPONENTS)}: precision {score.precision:.3f}, recall {score.recall:.3f}, "
        f"right part {score.right_part:.3f}, early {score.early:.3f}"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
