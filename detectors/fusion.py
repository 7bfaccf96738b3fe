"""Fusion: from findings, events and part ages to predictions, by adding up log-odds (SPEC P2).

Theory. Drift alone is right about one time in four, an error code alone one time in three; together with the age of
the part they are right four times in five. Each failure mode starts from its prior log-odds, and every sign in its
signature that the evidence shows adds its weight (naive Bayes: signs count as independent given the mode). Of
several signs about the same metric, or about events, only the strongest counts, because they tell the same story.
The posterior probability is 1 / (1 + exp(-sum)). At ``watch_probability`` a prediction opens, at
``ticket_probability`` it asks for a ticket.

A finding is evidence from its opening until ``within_h`` hours after it has cleared: while it is open it is not
getting older. An event is as old as its time stamp. Evidence at or before the mode's last closure, or the last
replacement of its component, is spent: it was about the part that is gone.

Source: I. J. Good, Probability and the Weighing of Evidence (1950); figures measured on the Azure PdM data.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

from domain.events import Event, EventKind
from domain.failure_modes import FailureMode, PartAgeSign
from domain.findings import Direction, Finding
from domain.predictions import Contribution, EvidenceKind, Prediction, Stage

LONG_AGO = datetime.min.replace(tzinfo=UTC)
DIRECTION_EN = {Direction.UP: "up", Direction.DOWN: "down", Direction.NONE: "silent"}
DIRECTION_ZH = {Direction.UP: "偏高", Direction.DOWN: "偏低", Direction.NONE: "无数据"}
DETECTOR_ZH = {"threshold": "阈值", "step": "突变", "level": "水平比", "cusum": "累积和", "missing": "缺数"}


@dataclass(frozen=True, slots=True)
class AssetEvidence:
    """What is known about one asset.

    ``installed`` maps a component to the times it was fitted, ``last_closed`` a mode's code to the equipment time at
    which the work of its last closed ticket was finished.
    """

    asset_id: int
    findings: Sequence[Finding]
    events: Sequence[Event]
    installed: Mapping[str, Sequence[datetime]]
    last_closed: Mapping[str, datetime]


def assess(modes: Sequence[FailureMode], evidence: AssetEvidence, as_of: datetime) -> list[Prediction]:
    """Return the predictions at watch or above that the evidence up to ``as_of`` supports, likeliest first."""
    found = [_assess_mode(mode, evidence, as_of) for mode in modes]
    return sorted((one for one in found if one is not None), key=lambda one: (-one.probability, one.failure_mode))


def spent_until(mode: FailureMode, evidence: AssetEvidence) -> datetime:
    """Return the time up to which evidence is about a part or a fault that is gone."""
    fitted = evidence.installed.get(mode.component, ())
    return max([evidence.last_closed.get(mode.code, LONG_AGO), *fitted])


def _assess_mode(mode: FailureMode, evidence: AssetEvidence, as_of: datetime) -> Prediction | None:
    spent = spent_until(mode, evidence)
    signs = [*_finding_signs(mode, evidence, spent, as_of), *_event_signs(mode, evidence, spent, as_of)]
    if not signs:
        return None  # age alone never opens a prediction: it would on every old machine
    evidence_at = max(sign.ts for sign in signs)
    if mode.signature.part_age is not None:
        signs.extend(_part_age_sign(mode.signature.part_age, mode, evidence, as_of))
    log_odds = math.log(mode.prior / (1 - mode.prior))
    probability = 1 / (1 + math.exp(-(log_odds + sum(sign.log_odds for sign in signs))))
    if probability < mode.watch_probability:
        return None
    return Prediction(
        asset_id=evidence.asset_id,
        failure_mode=mode.code,
        stage=Stage.TICKET if probability >= mode.ticket_probability else Stage.WATCH,
        probability=probability,
        evidence_at=evidence_at,
        window_from=evidence_at + timedelta(hours=mode.window_from_h),
        window_to=evidence_at + timedelta(hours=mode.window_to_h),
        contributions=(_prior(mode, log_odds, as_of), *sorted(signs, key=lambda sign: -abs(sign.log_odds))),
        parts=tuple(sorted(mode.parts, key=lambda part: (-part.probability, part.number))),
    )


def _finding_signs(
    mode: FailureMode, evidence: AssetEvidence, spent: datetime, as_of: datetime
) -> Iterable[Contribution]:
    strongest: dict[str, Contribution] = {}
    for finding in evidence.findings:
        if finding.shadow or not spent < finding.opened_at <= as_of:
            continue
        still_open = finding.cleared_at is None or finding.cleared_at > as_of
        age = timedelta(0) if still_open or finding.cleared_at is None else as_of - finding.cleared_at
        for sign in mode.signature.findings:
            fits = fnmatchcase(finding.metric, sign.metric) and sign.detector in ("*", finding.detector)
            if fits and sign.direction in (None, finding.direction) and age <= timedelta(hours=sign.within_h):
                _keep_stronger(strongest, finding.metric, _of_finding(finding, sign.log_odds))
    return strongest.values()


def _event_signs(
    mode: FailureMode, evidence: AssetEvidence, spent: datetime, as_of: datetime
) -> Iterable[Contribution]:
    strongest: dict[str, Contribution] = {}
    for event in evidence.events:
        if event.kind == EventKind.OPERATOR or not spent < event.ts <= as_of:
            continue
        for sign in mode.signature.events:
            if sign.code == event.code and as_of - event.ts <= timedelta(hours=sign.within_h):
                _keep_stronger(strongest, "events", _of_event(event, sign.log_odds))
    return strongest.values()


def _keep_stronger(strongest: dict[str, Contribution], group: str, new: Contribution) -> None:
    # Of equals the newest stays: it says since when the picture has been complete.
    old = strongest.get(group)
    if old is None or (abs(new.log_odds), new.ts) >= (abs(old.log_odds), old.ts):
        strongest[group] = new


def _part_age_sign(
    sign: PartAgeSign, mode: FailureMode, evidence: AssetEvidence, as_of: datetime
) -> Iterable[Contribution]:
    fitted = [at for at in evidence.installed.get(mode.component, ()) if at <= as_of]
    if not fitted:
        return ()
    days = (as_of - max(fitted)) / timedelta(days=1)
    weight = sign.log_odds_older if days >= sign.from_days else sign.log_odds_younger
    return (
        Contribution(
            EvidenceKind.PART_AGE,
            mode.component,
            max(fitted),
            weight,
            f"{mode.component} is {days:.0f} days old",
            f"{mode.component} 已使用 {days:.0f} 天",
        ),
    )


def _prior(mode: FailureMode, log_odds: float, as_of: datetime) -> Contribution:
    return Contribution(
        EvidenceKind.PRIOR,
        mode.code,
        as_of,
        log_odds,
        f"Known rate of this failure: {mode.prior:.2%}",
        f"该失效的先验概率：{mode.prior:.2%}",
    )


def _of_finding(finding: Finding, weight: float) -> Contribution:
    baseline = finding.evidence.get("baseline")
    normal_en = "" if baseline is None else f", normally {baseline:.4g}"
    normal_zh = "" if baseline is None else f"，正常 {baseline:.4g}"
    return Contribution(
        EvidenceKind.FINDING,
        str(finding.id),
        finding.opened_at,
        weight,
        f"{finding.metric} {DIRECTION_EN[finding.direction]} ({finding.detector}): {finding.value:.4g}{normal_en}",
        f"{finding.metric} {DIRECTION_ZH[finding.direction]}（{DETECTOR_ZH.get(finding.detector, finding.detector)}）："
        f"{finding.value:.4g}{normal_zh}",
    )


def _of_event(event: Event, weight: float) -> Contribution:
    return Contribution(
        EvidenceKind.EVENT,
        f"{event.code}@{event.ts.isoformat()}",
        event.ts,
        weight,
        f"{event.kind.capitalize()} {event.code}" + (f": {event.text}" if event.text else ""),
        f"事件 {event.code}" + (f"：{event.text}" if event.text else ""),
    )
