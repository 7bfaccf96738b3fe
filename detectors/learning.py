"""Learning from closures: what repairs and false alarms say about a library's weights, priors and parts (SPEC P4).

Theory. Everything is worked out anew from all lessons, never added to what was learnt before, so that the order of
the lessons and how often they are read make no difference. ``prior_strength`` lessons' worth of trust stays with the
library.

*Signs.* By the library, a closure with log-odds L (prior and all signs that spoke) confirms its mode with probability
1 / (1 + exp(-L)). A sign's shift d is where what came agrees with what was expected:

    S/2 + right = S sigma(d) + sum w_i sigma(L_i + d)

with S the prior strength and w_i = 1 / (signs that spoke in closure i), for they share the credit. This is the mode of
the posterior of d under a prior of S closures at even odds, half of them right; it exists, is unique, and rises with
every confirmation. Signs that nobody tested keep their weight.

*Priors.* Of N closures that found a fault, a mode with share q of the library's priors was expected N q times and found
n times. Its odds grow by (S + n) / (S + N q) and never shrink: that a rare mode was not seen yet says little, and a
false alarm counts against the signs that raised it.

*Parts.* A part of probability p, used in u of n repairs of the mode, has (S p + u) / (S + n). Its quantity is the
weighted median of the pieces used, the library's own counting as ``quantity_strength`` repairs.

Every weight and prior stays within ``largest_step`` (natural log-odds) of the library's.

Source: Gelman et al., Bayesian Data Analysis, 3rd ed. (2013), chapters 2 and 16 (conjugate priors as pseudo-counts,
logistic regression with an offset); A. P. Dawid, The Well-Calibrated Bayesian, JASA 77 (1982).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import accumulate

from domain.failure_modes import EventSign, FailureMode, FindingSign, PartNeed
from domain.findings import Direction

# A part that the library does not list is expected from this probability on.
UNLISTED_FROM = 0.25
HALVINGS = 60
DIGITS = 6


@dataclass(frozen=True, slots=True)
class Caution:
    """How much stays with the library: its trust in closures, and the farthest a weight moves in log-odds."""

    prior_strength: float = 20.0
    quantity_strength: float = 5.0
    largest_step: float = 2.0


@dataclass(frozen=True, slots=True)
class ToldFinding:
    """A finding that spoke before a closure."""

    metric: str
    detector: str
    direction: Direction


@dataclass(frozen=True, slots=True)
class UsedPart:
    """Pieces of a part that a repair used, more than none."""

    number: str
    name_en: str
    name_zh: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a closed ticket says.

    ``predicted`` and ``found`` are codes of failure modes; found None means that there was no fault (a false alarm,
    or none was found). ``context_log_odds`` is what was counted beside the signs: the component's age, the history.
    """

    ticket: str
    predicted: str | None
    found: str | None
    findings: tuple[ToldFinding, ...] = ()
    events: tuple[str, ...] = ()
    context_log_odds: float = 0.0
    parts: tuple[UsedPart, ...] = ()


@dataclass(frozen=True, slots=True)
class LearntSign:
    """A sign's weight with its arithmetic. An event's sign has its code as ``subject``, no detector, no direction.

    ``closures`` spoke of it; of their shared ``credit``, ``expected`` should have been right by the library and
    ``right`` were. ``learnt`` = ``library`` + ``shift`` (natural log-odds).
    """

    subject: str
    detector: str | None
    direction: Direction | None
    within_h: float
    library: float
    closures: int
    credit: float
    expected: float
    right: float
    shift: float
    learnt: float


@dataclass(frozen=True, slots=True)
class LearntPrior:
    """A mode's prior with its arithmetic: ``found`` times, ``expected`` times by the library, odds times ``factor``."""

    library: float
    found: int
    expected: float
    factor: float
    learnt: float


@dataclass(frozen=True, slots=True)
class LearntPart:
    """A part with its arithmetic: ``used`` in so many of ``repairs``. The library's figures are None if not listed."""

    number: str
    name_en: str
    name_zh: str
    repairs: int
    used: int
    library_probability: float | None
    probability: float
    library_quantity: int | None
    quantity: int


@dataclass(frozen=True, slots=True)
class LearntMode:
    """What ``lessons`` closures of its asset type made of a mode. Signs that nobody tested are left out."""

    code: str
    lessons: int
    prior_strength: float
    prior: LearntPrior
    signs: tuple[LearntSign, ...]
    parts: tuple[LearntPart, ...]


def learn(modes: Sequence[FailureMode], lessons: Iterable[Lesson], caution: Caution) -> dict[str, LearntMode]:
    """Return what the lessons of one asset type make of its library's modes, by code.

    A ticket counts once, however often it is given.
    """
    one_each = {lesson.ticket: lesson for lesson in lessons}
    known = [one_each[ticket] for ticket in sorted(one_each)]
    found = Counter(lesson.found for lesson in known if lesson.found is not None)
    total = math.fsum(mode.prior for mode in modes)
    return {
        mode.code: LearntMode(
            code=mode.code,
            lessons=len(known),
            prior_strength=caution.prior_strength,
            prior=_prior(mode, found[mode.code], found.total() * mode.prior / total, caution),
            signs=_signs(mode, known, caution),
            parts=_parts(mode, [lesson for lesson in known if lesson.found == mode.code], caution),
        )
        for mode in modes
    }


def apply(mode: FailureMode, learnt: LearntMode) -> FailureMode:
    """Return the mode with what was learnt about it; applied twice, it stays the same.

    A figure that the library changed since is left as the library says until the lessons are read again.
    """
    if learnt.code != mode.code:
        raise ValueError(f"expected what was learnt about '{mode.code}', got '{learnt.code}'")
    weights = {(sign.subject, sign.detector, sign.direction, sign.within_h): sign for sign in learnt.signs}

    def weight(key: tuple[str, str | None, Direction | None, float], log_odds: float) -> float:
        sign = weights.get(key)
        return sign.learnt if sign is not None and sign.library == log_odds else log_odds

    signature = mode.signature
    return replace(
        mode,
        prior=learnt.prior.learnt if learnt.prior.library == mode.prior else mode.prior,
        signature=replace(
            signature,
            findings=tuple(replace(one, log_odds=weight(_key(one), one.log_odds)) for one in signature.findings),
            events=tuple(replace(one, log_odds=weight(_key(one), one.log_odds)) for one in signature.events),
        ),
        parts=_apply_parts(mode.parts, learnt.parts),
    )


def signs_that_spoke(mode: FailureMode, lesson: Lesson) -> list[FindingSign | EventSign]:
    """Return the signs that counted: the strongest for each metric, and of the events, as fusion counts them."""
    strongest: dict[str, FindingSign | EventSign] = {}
    for finding in lesson.findings:
        for sign in mode.signature.findings:
            if fits(sign, finding):
                _keep_stronger(strongest, f"metric {finding.metric}", sign)
    for event in mode.signature.events:
        if set(event.codes) <= set(lesson.events):
            _keep_stronger(strongest, "events", event)
    return [strongest[group] for group in sorted(strongest)]


def fits(sign: FindingSign, finding: ToldFinding) -> bool:
    """Say whether a finding is what the sign looks for."""
    return (
        fnmatchcase(finding.metric, sign.metric)
        and sign.detector in ("*", finding.detector)
        and sign.direction in (None, finding.direction)
    )


def _keep_stronger(strongest: dict[str, FindingSign | EventSign], group: str, new: FindingSign | EventSign) -> None:
    old = strongest.get(group)
    # Of equals the same one whatever order they are told in: lessons must not depend on it.
    if old is None or (abs(new.log_odds), repr(new)) > (abs(old.log_odds), repr(old)):
        strongest[group] = new


@dataclass(frozen=True, slots=True)
class _Trial:
    """One closure that a sign spoke in: its share of the credit, the library's log-odds, and how it came out."""

    share: float
    log_odds: float
    is_right: bool


def _signs(mode: FailureMode, lessons: Sequence[Lesson], caution: Caution) -> tuple[LearntSign, ...]:
    trials: defaultdict[FindingSign | EventSign, list[_Trial]] = defaultdict(list)
    prior = _log_odds(mode.prior)
    for lesson in lessons:
        if mode.code not in (lesson.predicted, lesson.found):
            continue
        spoke = signs_that_spoke(mode, lesson)
        total = prior + math.fsum(sign.log_odds for sign in spoke) + lesson.context_log_odds
        for sign in set(spoke):
            trials[sign].append(_Trial(1 / len(spoke), total, lesson.found == mode.code))
    listed: tuple[FindingSign | EventSign, ...] = (*mode.signature.findings, *mode.signature.events)
    in_order = [sign for sign in listed if sign in trials]
    return tuple(_sign(sign, trials[sign], caution) for sign in dict.fromkeys(in_order))


def _sign(sign: FindingSign | EventSign, trials: Sequence[_Trial], caution: Caution) -> LearntSign:
    subject, detector, direction, within_h = _key(sign)
    shift = _shift(trials, caution)
    return LearntSign(
        subject=subject,
        detector=detector,
        direction=direction,
        within_h=within_h,
        library=sign.log_odds,
        closures=len(trials),
        credit=round(math.fsum(trial.share for trial in trials), DIGITS),
        expected=round(math.fsum(trial.share * _sigma(trial.log_odds) for trial in trials), DIGITS),
        right=round(math.fsum(trial.share for trial in trials if trial.is_right), DIGITS),
        shift=shift,
        learnt=round(sign.log_odds + shift, DIGITS),
    )


def _shift(trials: Sequence[_Trial], caution: Caution) -> float:
    """Solve the balance of the module's docstring for d within the largest step; what is too far stays at the edge."""
    strength = caution.prior_strength
    right = math.fsum(trial.share for trial in trials if trial.is_right)

    def missing(shift: float) -> float:
        expected = math.fsum(trial.share * _sigma(trial.log_odds + shift) for trial in trials)
        return strength / 2 + right - strength * _sigma(shift) - expected

    low, high = -caution.largest_step, caution.largest_step
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if missing(middle) > 0 else (low, middle)
    return round((low + high) / 2, DIGITS)


def _prior(mode: FailureMode, found: int, expected: float, caution: Caution) -> LearntPrior:
    grown = (caution.prior_strength + found) / (caution.prior_strength + expected)
    factor = min(max(1.0, grown), math.exp(caution.largest_step)) if found else 1.0
    learnt = _sigma(_log_odds(mode.prior) + math.log(factor)) if factor > 1 else mode.prior
    # With nothing to speak for it a mode stays well below the watch, however often it is found.
    ceiling = (mode.prior + mode.watch_probability) / 2
    return LearntPrior(
        library=mode.prior,
        found=found,
        expected=round(expected, DIGITS),
        factor=round(factor, DIGITS),
        learnt=max(mode.prior, min(learnt, ceiling)),
    )


def _parts(mode: FailureMode, repairs: Sequence[Lesson], caution: Caution) -> tuple[LearntPart, ...]:
    if not repairs:
        return ()
    used: defaultdict[str, list[UsedPart]] = defaultdict(list)
    for lesson in repairs:
        for part in lesson.parts:
            used[part.number].append(part)
    listed = {need.number: need for need in mode.parts}
    return tuple(
        _part(number, listed.get(number), used[number], len(repairs), caution) for number in sorted({*listed, *used})
    )


def _part(number: str, need: PartNeed | None, used: Sequence[UsedPart], repairs: int, caution: Caution) -> LearntPart:
    strength = caution.prior_strength
    named = max(used, key=lambda part: (part.name_en, part.name_zh)) if need is None else need
    pieces = [(part.quantity, 1.0) for part in used]
    if need is not None:
        pieces.append((need.quantity, caution.quantity_strength))
    expected = 0.0 if need is None else strength * need.probability
    return LearntPart(
        number=number,
        name_en=named.name_en,
        name_zh=named.name_zh,
        repairs=repairs,
        used=len(used),
        library_probability=None if need is None else need.probability,
        probability=max(round((expected + len(used)) / (strength + repairs), DIGITS), 10**-DIGITS),
        library_quantity=None if need is None else need.quantity,
        quantity=_weighted_median(pieces),
    )


def _weighted_median(pieces: Sequence[tuple[int, float]]) -> int:
    """Return the smallest quantity that at least half of the weight is at or below."""
    ordered = sorted(pieces)
    reached = accumulate(weight for _, weight in ordered)
    half = math.fsum(weight for _, weight in ordered) / 2
    return next(quantity for (quantity, _), so_far in zip(ordered, reached, strict=True) if so_far >= half)


def _apply_parts(parts: Sequence[PartNeed], learnt: Sequence[LearntPart]) -> tuple[PartNeed, ...]:
    by_number: Mapping[str, LearntPart] = {part.number: part for part in learnt}
    listed = {need.number for need in parts}
    changed = [_apply_part(need, by_number.get(need.number)) for need in parts]
    added = [
        PartNeed(part.number, part.name_en, part.name_zh, part.quantity, part.probability)
        for part in learnt
        if part.library_probability is None and part.number not in listed and part.probability >= UNLISTED_FROM
    ]
    if changed == list(parts) and not added:
        return tuple(parts)
    return tuple(sorted([*changed, *added], key=lambda need: (-need.probability, need.number)))


def _apply_part(need: PartNeed, learnt: LearntPart | None) -> PartNeed:
    if learnt is None or (learnt.library_probability, learnt.library_quantity) != (need.probability, need.quantity):
        return need
    return replace(need, probability=learnt.probability, quantity=learnt.quantity)


def _key(sign: FindingSign | EventSign) -> tuple[str, str | None, Direction | None, float]:
    if isinstance(sign, FindingSign):
        return sign.metric, sign.detector, sign.direction, sign.within_h
    return "+".join(sign.codes), None, None, sign.within_h


def _sigma(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds)) if log_odds >= 0 else 1 - 1 / (1 + math.exp(log_odds))


def _log_odds(probability: float) -> float:
    return math.log(probability / (1 - probability))
