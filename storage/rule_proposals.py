"""Proposals: a rule that lost trust is proposed for shadow, a shadow rule that earned it for review (SPEC P4, P5).

Nothing changes by itself: a planner accepts, which publishes the rule's next version, or declines with a reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase

from psycopg import Connection
from psycopg.types.json import Jsonb

from detectors.library import RuleMode
from detectors.trust import Terms, is_enough, precision, should_demote, should_promote
from domain.failure_modes import FailureMode
from domain.findings import Direction
from domain.refusals import Refused
from storage.library import failure_modes
from storage.queries import load
from storage.rule_scores import RuleScore, rule_scores
from storage.rules import Rule, newest_rules, publish_rule, rule_versions

QUERIES = load("rule_scores")

SHADOW_FINDINGS_MAX = 20_000


@dataclass(frozen=True, slots=True)
class Record:
    """The closures a proposal rests on: how many were right and wrong, and the bounds of the precision."""

    right: int
    wrong: int
    low: float
    high: float
    credibility: float


@dataclass(frozen=True, slots=True)
class Proposal:
    """That a rule be moved from one mode to another. Open while ``decided_at`` is None; times are wall time."""

    id: int
    rule: str
    rule_version: int
    from_mode: RuleMode
    to_mode: RuleMode
    record: Record
    status: str
    proposed_at: datetime
    decided_at: datetime | None
    decided_by: int | None
    decision_reason: str | None


def propose(connection: Connection, terms: Terms, now: datetime) -> list[Proposal]:
    """Propose what the closures so far call for, and withdraw what was overtaken; return the new proposals."""
    connection.execute(QUERIES["withdraw_stale"], {"now": now})
    before: dict[tuple[str, str], int] = {}
    waiting: set[str] = set()
    for rule, to_mode, judged, is_open in connection.execute(QUERIES["judged_before"]):
        before[rule, to_mode] = judged
        waiting |= {rule} if is_open else set()
    candidates = [rule for rule in newest_rules(connection) if rule.draft.name not in waiting]
    found = [*_demotions(connection, candidates, before, terms, now), *_promotions(connection, candidates, terms, now)]
    made: list[Proposal] = []
    for rule, to_mode, record in found:
        judged = record.right + record.wrong
        if to_mode is RuleMode.REVIEW and not is_enough(judged, before.get((rule.draft.name, to_mode)), terms):
            continue
        made += _insert(connection, rule, to_mode, record, judged, now)
    return made


def list_proposals(
    connection: Connection,
    *,
    proposal_id: int | None = None,
    rule: str | None = None,
    status: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Proposal]:
    """Return the proposals that match every filter given, newest first, those with ids below ``before``."""
    asked = {"id": proposal_id, "rule": rule, "status": status, "before": before, "limit": limit}
    return [
        Proposal(number, name, version, RuleMode(was), RuleMode(to), Record(**figures), *rest)
        for number, name, version, was, to, figures, *rest in connection.execute(QUERIES["proposals"], asked)
    ]


def accept(connection: Connection, proposal_id: int, person_id: int, reason: str, now: datetime) -> Rule:
    """Publish the next version of the rule in the mode proposed and return it.

    Raises ``Refused``: unknown_record, not_a_legal_step (decided already), stale_record (the rule has a newer version).
    """
    proposal = _hold(connection, proposal_id)
    newest = rule_versions(connection, proposal.rule)[0]
    if newest.version != proposal.rule_version:
        raise Refused(
            "stale_record",
            expected=f"version {proposal.rule_version} of rule '{proposal.rule}' in force",
            got=f"version {newest.version}",
            remedy="Nothing is left to do: the rule was changed since, and is judged anew.",
        )
    rule = publish_rule(connection, replace(newest.draft, mode=proposal.to_mode), now, person_id=person_id)
    _decide(connection, proposal_id, "accepted", person_id, reason, now)
    return rule


def decline(connection: Connection, proposal_id: int, person_id: int, reason: str, now: datetime) -> None:
    """Leave the rule as it is; it is not proposed again until more closures have judged it.

    Raises ``Refused``: unknown_record, not_a_legal_step (decided already).
    """
    _hold(connection, proposal_id)
    _decide(connection, proposal_id, "declined", person_id, reason, now)


def _hold(connection: Connection, proposal_id: int) -> Proposal:
    row = connection.execute(QUERIES["hold_proposal"], {"id": proposal_id}).fetchone()
    if row is None:
        raise Refused(
            "unknown_record",
            expected="the id of a proposal",
            got=str(proposal_id),
            remedy="Look it up in the list.",
        )
    if row[0] != "open":
        raise Refused(
            "not_a_legal_step",
            expected="an open proposal",
            got=f"one that is {row[0]}",
            remedy="Publish the rule in the mode you want instead.",
        )
    return list_proposals(connection, proposal_id=proposal_id)[0]


def _decide(connection: Connection, proposal_id: int, status: str, person_id: int, reason: str, now: datetime) -> None:
    told = {"id": proposal_id, "status": status, "person_id": person_id, "reason": reason, "now": now}
    connection.execute(QUERIES["decide_proposal"], told)


def _insert(
    connection: Connection, rule: Rule, to_mode: RuleMode, record: Record, judged: int, now: datetime
) -> list[Proposal]:
    told = {
        "rule": rule.draft.name,
        "version": rule.version,
        "from_mode": rule.draft.mode.value,
        "to_mode": to_mode.value,
        "figures": Jsonb(asdict(record)),
        "judged": judged,
        "now": now,
    }
    row = connection.execute(QUERIES["insert_proposal"], told).fetchone()
    return [] if row is None else list_proposals(connection, proposal_id=row[0])


def _demotions(
    connection: Connection,
    rules: Sequence[Rule],
    before: Mapping[tuple[str, str], int],
    terms: Terms,
    now: datetime,
) -> Iterable[tuple[Rule, RuleMode, Record]]:
    """Judge rules in review and auto by the closures under the limits they have now, the recent ones if enough."""
    scores: defaultdict[str, dict[int, RuleScore]] = defaultdict(dict)
    for score in rule_scores(connection, now, terms.credibility):
        if score.version is not None:
            scores[score.name][score.version] = score
    for rule in rules:
        name = rule.draft.name
        if rule.draft.mode not in (RuleMode.REVIEW, RuleMode.AUTO):
            continue
        kept = _same_limits(rule_versions(connection, name))
        spans = [[getattr(scores[name][version], span) for version in kept] for span in ("recent", "ever")]
        counts = [(sum(one.right for one in span), sum(one.wrong for one in span)) for span in spans]
        judged = sum(counts[-1])
        if not is_enough(judged, before.get((name, RuleMode.SHADOW)), terms):
            continue
        right, wrong = next((one for one in counts if sum(one) >= terms.least_closures), counts[-1])
        if should_demote(right, wrong, terms):
            yield rule, RuleMode.SHADOW, _record(right, wrong, terms)


def _promotions(
    connection: Connection, rules: Sequence[Rule], terms: Terms, now: datetime
) -> Iterable[tuple[Rule, RuleMode, Record]]:
    """Judge shadow rules by the faults repaired after their findings; a repair counts once, each false finding too."""
    in_shadow = {rule.id: rule for rule in rules if rule.draft.mode is RuleMode.SHADOW}
    modes = failure_modes(connection)
    right: defaultdict[int, set[str]] = defaultdict(set)
    wrong: defaultdict[int, int] = defaultdict(int)
    asked = {
        "rule_ids": list(in_shadow),
        "wait_s": terms.shadow_wait_h * 3600,
        "now": now,
        "limit": SHADOW_FINDINGS_MAX,
    }
    for rule_id, metric, direction, tickets, found in connection.execute(QUERIES["shadow_findings"], asked):
        repaired = zip(tickets or (), found or (), strict=True)
        fitting = {ticket for ticket, mode_id in repaired if _fits(modes[mode_id], metric, Direction(direction))}
        right[rule_id] |= fitting
        wrong[rule_id] += not fitting
    for rule_id, rule in in_shadow.items():
        if should_promote(len(right[rule_id]), wrong[rule_id], terms):
            yield rule, RuleMode.REVIEW, _record(len(right[rule_id]), wrong[rule_id], terms)


def _same_limits(versions: Sequence[Rule]) -> list[int]:
    """Return the newest versions that differ in mode and severity only: what they saw, the newest sees alike."""

    def limits(rule: Rule) -> tuple[object, ...]:
        draft = rule.draft
        return draft.asset_type, draft.metric, draft.detector, sorted(draft.parameters.items())

    kept: list[int] = []
    for rule in versions:
        if limits(rule) != limits(versions[0]):
            break
        kept.append(rule.version)
    return kept


def _fits(mode: FailureMode, metric: str, direction: Direction) -> bool:
    """Say whether the mode shows itself in the metric; a new rule's detector need not be in the signature yet."""
    return any(
        fnmatchcase(metric, sign.metric) and sign.direction in (None, direction) for sign in mode.signature.findings
    )


def _record(right: int, wrong: int, terms: Terms) -> Record:
    found = precision(right, wrong, terms.credibility)
    return Record(right, wrong, found.low, found.high, terms.credibility)
