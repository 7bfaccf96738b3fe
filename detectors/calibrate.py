"""Calibration: the limit that gives a wanted rate of false alarms, found by replay (SPEC D7, ADR 8).

Theory. Tables of average run lengths hold for independent noise; real sensors are correlated, and a textbook "one false
alarm in 8,376 samples" comes every 77. So the rule is replayed over the machines' own history with one limit after
another. The further out a limit lies the fewer findings it opens, nearly, so the limit is found by halving the span
between the most sensitive and the quietest; the proposal is the last one, coming from the quiet end, before any that
gives too many. A finding that hardly ever clears is rare too: limits that are in alarm for more than a tenth of the
time do not count as quiet, unless the rule latches. Spans around known failures are left out: what opens there may be
true.

A limit fitted to a history flatters itself on that history. Therefore the search is repeated on the first half alone,
and the limit found there is counted on the second: ``held_out``. The rate is taken to hold while the wanted one is not
below the exact Poisson interval (90 %) of what the second half gave.

Source: replay as in Monte Carlo calibration of run lengths, D. M. Hawkins and D. H. Olwell, Cumulative Sum Charts and
Charting for Quality Improvement (1998), 3.5; interval: F. Garwood, Biometrika 28 (1936).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from detectors.backtest import MACHINE_MONTH
from detectors.bank import Opened
from detectors.catalogue import CATALOGUE
from detectors.closed_loop import EPOCH, MICROSECOND, History
from detectors.parameters import Scalar
from detectors.rules import RuleInForce
from domain.refusals import Refused
from domain.regimes import OperatingRegimes

# The search: so many halvings, over limits up to so many times nearer or further than the rule's own.
HALVINGS = 12
REACH = (64.0, 16.0, 4.0)
SMALLEST_PLACE = 0.5**HALVINGS
IN_ALARM_MAX = 0.1
# Ratios and factors count from 1, everything else from 0; limits in the series' unit lie between the smallest and the
# largest reading.
FROM_ONE = {("level", "low"), ("level", "high"), ("rate", "factor"), ("flatline", "factor"), ("t2q", "factor")}
IN_UNITS = {"threshold": ("low_low", "low", "high", "high_high")}
# What a rule is made quieter with; the further out, the fewer findings. The limit of a trend is the machine's own.
LIMITS = {
    "threshold": ("low_low", "low", "high", "high_high"),
    "rate": ("limit_per_s", "factor"),
    "flatline": ("factor",),
    "step": ("limit",),
    "level": ("low", "high"),
    "cusum": ("h", "k"),
    "ewma": ("limit",),
    "record": ("limit", "mean_limit"),
    "t2q": ("factor",),
}
COVERAGE = 0.9
Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Tried:
    """One limit, what it found outside the spans left out, the rate per machine-month, the share of time in alarm."""

    limit: float
    findings: int
    rate: float
    in_alarm: float


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The limit found on the first half of history alone, and what it gave on the second.

    ``low`` and ``high`` bound the rate of the second half with 90 % confidence; ``holds`` says that the wanted rate is
    not below them.
    """

    limit: float
    findings: int
    rate: float
    low: float
    high: float
    holds: bool


@dataclass(frozen=True, slots=True)
class Proposal:
    """A limit for the rule's parameter: the most sensitive that keeps to the wanted rate, None where none does.

    ``reached`` is False when even the quietest limit tried gives more, or the most sensitive gives less than wanted:
    ``tried`` (in the order of limits) shows what came of each.
    """

    rule: str
    parameter: str
    current: float | None
    wanted: float
    limit: float | None
    rate: float | None
    reached: bool
    machine_months: float
    held_out: HeldOut | None
    tried: tuple[Tried, ...]


def calibrate(
    histories: Sequence[History],
    rule: RuleInForce,
    parameter: str,
    wanted: float,
    excluded: Mapping[int, Sequence[Span]] | None = None,
) -> Proposal:
    """Propose a value of ``parameter`` with at most ``wanted`` false alarms per machine-month over these machines.

    ``excluded`` names, by asset, the spans around failures. Raises Refused("invalid_rule") when the parameter is no
    limit of the detector, nothing is watched, or nothing was observed.
    """
    search = _Search(histories, rule, parameter, excluded or {})
    if not math.isfinite(wanted) or wanted <= 0:
        raise _invalid("a wanted rate above 0 per machine-month", repr(wanted), "Ask for 0.05 or the like.")
    # First, so that what it tries is known when the proposal is chosen.
    held_out = search.held_out(wanted)
    whole = search.smallest(wanted, 0)
    found = None if whole is None else search.at(whole)
    months = search.months[0]
    return Proposal(
        rule=rule.name,
        parameter=parameter,
        current=search.current,
        wanted=wanted,
        limit=None if found is None else found.limit,
        rate=None if found is None else found.findings[0] / months,
        reached=whole is not None and whole > SMALLEST_PLACE,
        machine_months=months,
        held_out=held_out,
        tried=search.table(),
    )


@dataclass(frozen=True, slots=True)
class _Count:
    """What one limit gave: findings in the whole, the first and the second half, and the share of time in alarm."""

    limit: float
    findings: tuple[int, int, int]
    in_alarm: float


class _Search:
    """Replays with one limit after another, each once; places from 0 (most sensitive) to 1 (quietest)."""

    def __init__(
        self, histories: Sequence[History], rule: RuleInForce, parameter: str, excluded: Mapping[int, Sequence[Span]]
    ) -> None:
        self._histories = [watched for one in histories if (watched := _watched(one, rule)) is not None]
        self._rule, self._parameter, self._excluded = rule, parameter, excluded
        self._known: dict[float, _Count] = {}
        self._latches = rule.parameters.get("latch") is True
        self.current = _limit_of(rule, parameter)
        if not self._histories:
            raise _invalid("readings of a metric that the rule watches", "none", "Choose other machines or a span.")
        self._halves = [_halves(one) for one in self._histories]
        self.months = tuple(self._observed(begin, end) for begin, end in ((0, 2), (0, 1), (1, 2)))
        if min(self.months) <= 0:
            raise _invalid("observed time outside the failures", "none", "Choose a longer span.")
        self._to_limit = _scale(rule, parameter, self.current, self._histories)

    def at(self, place: float) -> _Count:
        """Return what the limit at a place gives."""
        if place not in self._known:
            limit = self._to_limit(place)
            self._known[place] = self._count(with_limit(self._rule, self._parameter, limit), limit)
        return self._known[place]

    def smallest(self, wanted: float, part: int) -> float | None:
        """Return the most sensitive place that keeps to the rate in that part of history, None where none does."""
        if not self._is_quiet(1.0, wanted, part):
            return None
        low, high = 0.0, 1.0
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (low, middle) if self._is_quiet(middle, wanted, part) else (middle, high)
        found = 1.0
        for place in sorted(self._known, reverse=True):
            if not self._is_quiet(place, wanted, part):
                break
            found = place
        return found

    def _is_quiet(self, place: float, wanted: float, part: int) -> bool:
        count = self.at(place)
        return count.findings[part] <= wanted * self.months[part] and (self._latches or count.in_alarm <= IN_ALARM_MAX)

    def _observed(self, begin: int, end: int) -> float:
        return sum(
            _observed(cuts[begin], cuts[end], self._excluded.get(one.asset_id, ()))
            for one, cuts in zip(self._histories, self._halves, strict=True)
        )

    def held_out(self, wanted: float) -> HeldOut | None:
        """Choose on the first half and count on the second."""
        place = self.smallest(wanted, 1)
        if place is None:
            return None
        count = self.at(place)
        findings = count.findings[2]
        low, high = (bound / self.months[2] for bound in poisson_interval(findings))
        return HeldOut(count.limit, findings, findings / self.months[2], low, high, holds=wanted >= low)

    def table(self) -> tuple[Tried, ...]:
        """Return every limit that was tried, in order."""
        tried = sorted(self._known.values(), key=lambda count: count.limit)
        return tuple(
            Tried(count.limit, count.findings[0], count.findings[0] / self.months[0], count.in_alarm) for count in tried
        )

    def _count(self, rule: RuleInForce, limit: float) -> _Count:
        first = second = 0
        open_for, watched = timedelta(0), timedelta(0)
        for history, (begin, middle, end) in zip(self._histories, self._halves, strict=True):
            spans = self._excluded.get(history.asset_id, ())
            watched += _places(history, rule) * (end - begin)
            for opened_at, cleared_at in _episodes(history, rule):
                open_for += (cleared_at or end) - opened_at
                if not any(since <= opened_at <= until for since, until in spans):
                    first, second = (first + 1, second) if opened_at < middle else (first, second + 1)
        return _Count(limit, (first + second, first, second), open_for / watched)


def poisson_interval(count: int, coverage: float = COVERAGE) -> tuple[float, float]:
    """Return the exact interval of the mean of a Poisson count.

    >>> [round(bound, 2) for bound in poisson_interval(3)]
    [0.82, 7.75]
    """
    tail = (1 - coverage) / 2
    low = 0.0 if count == 0 else float(gammaincinv(count, tail))
    return low, float(gammaincinv(count + 1, 1 - tail))


def needs(rule: RuleInForce, regimes: OperatingRegimes | None) -> Callable[[str], bool]:
    """Return which metrics a replay of the rule needs: those it watches, and the one that tells the regime."""
    return lambda metric: rule.watches(metric) or (regimes is not None and metric == regimes.metric)


def _watched(history: History, rule: RuleInForce) -> History | None:
    if not _judged(history, rule).any():
        return None
    needed = needs(rule, history.regimes)
    series = [series_id for series_id, metric in history.metrics.items() if needed(metric)]
    kept = np.isin(history.readings.series_id, series)
    rows = history.readings
    readings = rows if kept.all() else type(rows)(rows.series_id[kept], rows.ts_us[kept], rows.value[kept])
    return replace(history, metrics={one: history.metrics[one] for one in series}, readings=readings)


def _judged(history: History, rule: RuleInForce) -> NDArray[np.bool_]:
    """Return which rows are of metrics that the rule watches."""
    watched = [series_id for series_id, metric in history.metrics.items() if rule.watches(metric)]
    return np.isin(history.readings.series_id, watched)


def _places(history: History, rule: RuleInForce) -> int:
    """Return how many findings of the rule can be open at a time."""
    watched = [series_id for series_id, metric in history.metrics.items() if rule.watches(metric)]
    if CATALOGUE[rule.detector].vector is None:
        return len(watched)
    return len({history.devices.get(series_id, 0) for series_id in watched})


def _episodes(history: History, rule: RuleInForce) -> list[tuple[datetime, datetime | None]]:
    """Return when each finding opened and cleared."""
    found: dict[tuple[int, datetime], datetime | None] = {}
    for change in history.bank([rule]).feed(history.readings):
        if isinstance(change, Opened):
            found[change.finding.series_id, change.finding.opened_at] = None
        else:
            found[change.series_id, change.opened_at] = change.cleared_at
    return [(opened_at, cleared_at) for (_, opened_at), cleared_at in found.items()]


def _halves(history: History) -> tuple[datetime, datetime, datetime]:
    first, last = int(history.readings.ts_us.min()), int(history.readings.ts_us.max())
    begin, end = EPOCH + first * MICROSECOND, EPOCH + last * MICROSECOND
    return begin, begin + (end - begin) / 2, end


def _observed(begin: datetime, end: datetime, excluded: Sequence[Span]) -> float:
    """Return the machine-months between two times outside the spans, which may overlap."""
    left, at = timedelta(0), begin
    for since, until in sorted(excluded):
        left += max(min(since, end) - at, timedelta(0))
        at = min(max(at, until), end)
    return (left + max(end - at, timedelta(0))) / MACHINE_MONTH


def with_limit(rule: RuleInForce, parameter: str, limit: float) -> RuleInForce:
    """Return the rule with another value of one parameter."""
    return replace(rule, parameters={**rule.parameters, parameter: limit})


def limits_of(detector: str) -> list[str]:
    """Return the parameters of a detector that can be calibrated."""
    return list(LIMITS.get(detector, ()))


def _limit_of(rule: RuleInForce, parameter: str) -> float | None:
    limits = limits_of(rule.detector)
    if parameter not in limits:
        expected = f"a limit of '{rule.detector}': {', '.join(limits) or 'it has none'}"
        raise _invalid(expected, repr(parameter), "Choose one of them.")
    value: Scalar = getattr(rule.typed_parameters(), parameter)
    return None if value is None else float(value)


def _scale(
    rule: RuleInForce, parameter: str, current: float | None, histories: Sequence[History]
) -> Callable[[float], float]:
    """Return the limit at each place: in the series' unit within what was read, else by ratio about the rule's own."""
    downward = parameter.startswith("low")
    if rule.detector in IN_UNITS:
        near, far = _ends_in_units(rule, parameter, histories)
        digits = 4 - math.floor(math.log10(abs(far - near))) if far != near else 6
        return lambda place: round(near + place * (far - near), digits)
    zero = 1.0 if (rule.detector, parameter) in FROM_ONE else 0.0
    if downward:
        # Below a ratio of 1 there is no further than to 0.
        return lambda place: _rounded(zero * (1 - max(place, SMALLEST_PLACE)))
    distance = abs((current if current is not None else zero + 0.25) - zero) or 1.0
    for reach in REACH:
        ends = (_rounded(zero + distance / reach), _rounded(zero + distance * reach))
        if all(_is_valid(with_limit(rule, parameter, end)) for end in ends):
            return lambda place: _rounded(zero + distance * reach ** (2 * place - 1))
    raise _invalid(f"'{parameter}' free to move by a factor of {REACH[-1]:g}", repr(current), "Change it first.")


def _ends_in_units(rule: RuleInForce, parameter: str, histories: Sequence[History]) -> tuple[float, float]:
    """Return where the search begins and ends: from the middle of the readings to their extreme and a tenth beyond.

    The other limits of the rule bound it: they rise.
    """
    values = np.concatenate([one.readings.value[_judged(one, rule)] for one in histories])
    lowest, middle, highest = float(values.min()), float(np.median(values)), float(values.max())
    beyond = 0.1 * (highest - lowest) or 1.0
    near, far = (middle, lowest - beyond) if parameter.startswith("low") else (middle, highest + beyond)
    names = IN_UNITS[rule.detector]
    own, room = names.index(parameter), (highest - lowest) * 1e-3 or 1e-3
    typed = rule.typed_parameters()
    below = [limit for name in names[:own] if (limit := getattr(typed, name)) is not None]
    above = [limit for name in names[own + 1 :] if (limit := getattr(typed, name)) is not None]
    low, high = max(below, default=-math.inf) + room, min(above, default=math.inf) - room
    if low >= high:
        raise _invalid(f"room for '{parameter}' between the other limits", f"{low:g} to {high:g}", "Widen them.")
    return min(max(near, low), high), min(max(far, low), high)


def _is_valid(rule: RuleInForce) -> bool:
    try:
        rule.typed_parameters()
    except ValueError:
        return False
    return True


def _rounded(limit: float) -> float:
    return float(f"{limit:.4g}")


def _invalid(expected: str, got: str, remedy: str) -> Refused:
    return Refused("invalid_rule", expected=expected, got=got, remedy=remedy)
