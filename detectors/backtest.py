"""Backtest: rules tried on a machine's stored history, against what closures, replacements and labels say was true.

Truth is a list of spans. A ticket is *right* when it opened inside a span of its failure mode; the lead is what was
left until the span's end, the repair or the failure. It is *false* when nothing followed within the time in which its
mode is expected, and *undecided* when the record ends before that time is over: such tickets count neither way.
Precision is right of decided tickets, recall caught of true spans, and the rate of false alarms is per machine-month
of record (a twelfth of a year, 30.4375 days). Figures of several machines add up (``total``).

The rules in force are replayed over the same record, because what they really opened was answered by people, and an
answered ticket changes what comes after it.

Source: counting by rising edges, see A. Lavin and S. Ahmad, Evaluating real-time anomaly detection algorithms, ICMLA
(2015); false alarms per time of service follow ANSI/ISA-18.2.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from detectors.closed_loop import History, Loop, Ticket
from detectors.library import RuleDraft, RuleMode
from detectors.rules import RuleInForce
from domain.failure_modes import FailureMode
from domain.findings import Finding
from domain.predictions import EvidenceKind

MACHINE_MONTH = timedelta(days=30.4375)


class Source(StrEnum):
    """Who says that something was true."""

    CLOSURE = "closure"
    REPLACEMENT = "replacement"
    LABEL = "label"


class Verdict(StrEnum):
    """What became of a ticket."""

    RIGHT = "right"
    FALSE = "false"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Truth:
    """A span in which a ticket of one of ``modes`` is right (of any mode when there are none); it failed at the end."""

    begins: datetime
    ends: datetime
    modes: frozenset[str]
    source: Source

    def answers(self, ticket: Ticket) -> bool:
        """Say whether the ticket is right by this truth."""
        fits = not self.modes or ticket.prediction.failure_mode in self.modes
        return fits and self.begins <= ticket.opened_at <= self.ends


@dataclass(frozen=True, slots=True)
class Case:
    """One machine to try rules on: its history, what was true, and between which times it was observed."""

    name: str
    history: History
    truths: Sequence[Truth]
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class TicketTold:
    """A ticket that would have opened; ``lead_h`` in hours, None unless it is right."""

    failure_mode: str
    opened_at: datetime
    probability: float
    verdict: Verdict
    lead_h: float | None
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RuleTally:
    """The findings of one rule: how many, and how many of them outside every true span."""

    rule: str
    findings: int
    outside: int


@dataclass(frozen=True, slots=True)
class Score:
    """The counts of one or many machines; ``leads_h`` has one lead in hours for each true span that was caught."""

    machine_months: float
    findings: int
    tickets: int
    right: int
    false: int
    truths: int
    caught: int
    leads_h: tuple[float, ...]

    @property
    def undecided(self) -> int:
        """Tickets that the end of the record left open."""
        return self.tickets - self.right - self.false

    @property
    def precision(self) -> float | None:
        """Share of decided tickets that are right; None without any."""
        return self.right / (self.right + self.false) if self.right + self.false else None

    @property
    def recall(self) -> float | None:
        """Share of true spans with a right ticket; None without any."""
        return self.caught / self.truths if self.truths else None

    @property
    def false_per_machine_month(self) -> float | None:
        """False alarms per machine-month; None where nothing was observed."""
        return self.false / self.machine_months if self.machine_months > 0 else None

    @property
    def median_lead_h(self) -> float | None:
        """The middle lead in hours; None where nothing was caught."""
        return statistics.median(self.leads_h) if self.leads_h else None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one set of rules made of one machine."""

    score: Score
    tickets: tuple[TicketTold, ...]
    rules: tuple[RuleTally, ...]


@dataclass(frozen=True, slots=True)
class MachineResult:
    """Candidate and rules in force side by side on one machine; ``rows`` readings were judged."""

    asset_id: int
    name: str
    rows: int
    candidate: Outcome
    in_force: Outcome


FIGURES = (
    "machine_months",
    "findings",
    "tickets",
    "right",
    "false",
    "undecided",
    "truths",
    "caught",
    "precision",
    "recall",
    "false_per_machine_month",
    "median_lead_h",
)


def backtest(
    case: Case,
    modes: Sequence[FailureMode],
    candidate: Sequence[RuleInForce],
    in_force: Sequence[RuleInForce],
    *,
    repaired_after: timedelta | None = None,
) -> MachineResult:
    """Replay both sets of rules over one machine and score them; equal sets are replayed once."""
    tried = replay(case, modes, candidate, repaired_after=repaired_after)
    stands = (
        tried if list(candidate) == list(in_force) else replay(case, modes, in_force, repaired_after=repaired_after)
    )
    return MachineResult(case.history.asset_id, case.name, len(case.history.readings), tried, stands)


def replay(
    case: Case, modes: Sequence[FailureMode], rules: Sequence[RuleInForce], *, repaired_after: timedelta | None = None
) -> Outcome:
    """Replay one set of rules over one machine and score what it opened."""
    loop = Loop(modes, rules, case.history, repaired_after=repaired_after)
    tickets = loop.run()
    findings = list(loop.findings.values())
    horizons = {mode.code: timedelta(hours=mode.window_to_h) for mode in modes}
    names = {rule.rule_id: rule.name for rule in rules}
    told = tuple(_judge(ticket, case, horizons, _rules_behind(ticket, findings, names)) for ticket in tickets)
    verdicts = Counter(one.verdict for one in told)
    truths = [truth for truth in case.truths if truth.ends > case.since and truth.begins < case.until]
    leads = [lead for truth in truths if (lead := _lead_h(truth, tickets)) is not None]
    score = Score(
        machine_months=max(case.until - case.since, timedelta(0)) / MACHINE_MONTH,
        findings=len(findings),
        tickets=len(told),
        right=verdicts[Verdict.RIGHT],
        false=verdicts[Verdict.FALSE],
        truths=len(truths),
        caught=len(leads),
        leads_h=tuple(leads),
    )
    return Outcome(score, told, _tallies(findings, rules, case.truths))


def rule_sets(
    in_force: Sequence[RuleInForce], drafts: Sequence[RuleDraft]
) -> tuple[list[RuleInForce], list[RuleInForce]]:
    """Return (candidate, in force): a draft takes the place of the rule of its name, or stands beside the others.

    Rules in shadow move nothing and are left out; a draft is tried as if it were in force, one that is off takes the
    rule of its name away.
    """
    acting = [rule for rule in in_force if not rule.shadow]
    newer = {draft.name: draft for draft in drafts}
    number = max((rule.rule_id for rule in in_force), default=0)
    tried = [rule for rule in acting if rule.name not in newer]
    for draft in newer.values():
        draft.check()
        if draft.mode != RuleMode.OFF:
            number += 1
            values = (draft.metric, draft.detector, draft.parameters, draft.severity)
            tried.append(RuleInForce(number, draft.name, 0, *values, shadow=False))
    return sorted(tried, key=lambda rule: rule.name), sorted(acting, key=lambda rule: rule.name)


def truth_before(at: datetime, modes: Iterable[FailureMode], source: Source) -> list[Truth]:
    """Return the spans before a repair or failure at ``at``, one for each horizon of the modes that it answers."""
    by_horizon: dict[float, set[str]] = {}
    for mode in modes:
        by_horizon.setdefault(mode.window_to_h, set()).add(mode.code)
    return [
        Truth(at - timedelta(hours=hours), at, frozenset(codes), source) for hours, codes in sorted(by_horizon.items())
    ]


def total(scores: Iterable[Score]) -> Score:
    """Add up the scores of several machines."""
    every = list(scores)
    return Score(
        machine_months=sum(score.machine_months for score in every),
        findings=sum(score.findings for score in every),
        tickets=sum(score.tickets for score in every),
        right=sum(score.right for score in every),
        false=sum(score.false for score in every),
        truths=sum(score.truths for score in every),
        caught=sum(score.caught for score in every),
        leads_h=tuple(lead for score in every for lead in score.leads_h),
    )


def figures(score: Score) -> dict[str, float | None]:
    """Return every figure of a score by name, in the order of ``FIGURES``."""
    return {name: getattr(score, name) for name in FIGURES}


def difference(candidate: Score, in_force: Score) -> dict[str, float | None]:
    """Return candidate less rules in force, figure by figure; None where either has none."""
    left, right = figures(candidate), figures(in_force)
    return {name: _less(left[name], right[name]) for name in FIGURES}


def tally(outcomes: Iterable[Outcome]) -> list[RuleTally]:
    """Add up what each rule found over several machines, by name."""
    findings: Counter[str] = Counter()
    outside: Counter[str] = Counter()
    for one in (rule for outcome in outcomes for rule in outcome.rules):
        findings[one.rule] += one.findings
        outside[one.rule] += one.outside
    return [RuleTally(name, findings[name], outside[name]) for name in sorted(findings)]


def _less(left: float | None, right: float | None) -> float | None:
    return None if left is None or right is None else left - right


def _judge(ticket: Ticket, case: Case, horizons: Mapping[str, timedelta], rules: tuple[str, ...]) -> TicketTold:
    ends = [truth.ends for truth in case.truths if truth.answers(ticket)]
    code = ticket.prediction.failure_mode
    if ends:
        verdict = Verdict.RIGHT
    else:
        verdict = Verdict.FALSE if ticket.opened_at + horizons[code] <= case.until else Verdict.UNDECIDED
    lead_h = (min(ends) - ticket.opened_at) / timedelta(hours=1) if ends else None
    return TicketTold(code, ticket.opened_at, ticket.prediction.probability, verdict, lead_h, rules)


def _lead_h(truth: Truth, tickets: Sequence[Ticket]) -> float | None:
    opened = [ticket.opened_at for ticket in tickets if truth.answers(ticket)]
    return (truth.ends - min(opened)) / timedelta(hours=1) if opened else None


def _rules_behind(ticket: Ticket, findings: Sequence[Finding], names: Mapping[int, str]) -> tuple[str, ...]:
    kind = EvidenceKind.FINDING
    behind = {one.reference for one in ticket.prediction.contributions if one.kind == kind}
    return tuple(sorted({names[one.rule_id] for one in findings if str(one.id) in behind})) if behind else ()


def _tallies(
    findings: Sequence[Finding], rules: Sequence[RuleInForce], truths: Sequence[Truth]
) -> tuple[RuleTally, ...]:
    every = Counter(finding.rule_id for finding in findings)
    outside = Counter(
        finding.rule_id
        for finding in findings
        if not any(truth.begins <= finding.opened_at <= truth.ends for truth in truths)
    )
    return tuple(RuleTally(rule.name, every[rule.rule_id], outside[rule.rule_id]) for rule in rules)
