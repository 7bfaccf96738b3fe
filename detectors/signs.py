"""Signs: the pieces of evidence that speak for or against one failure mode, each with its weight (SPEC P2).

A finding is evidence from its opening until ``within_h`` hours after it has cleared: while it is open it is not
getting older. An event is as old as its time stamp. Evidence at or before the mode's last closure, or the last
replacement of its component, is spent: it was about the part that is gone. Shadow findings say nothing.

Of several signs about the same metric, or about events, only the strongest counts, because they tell the same story.
Part age and history move what findings or events have opened, and open nothing by themselves: they would on every old
machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

from domain.events import Event, EventKind
from domain.failure_modes import EventSign, FailureMode
from domain.findings import Direction, Finding
from domain.predictions import Contribution, EvidenceKind
from domain.remaining_life import RemainingLife

LONG_AGO = datetime.min.replace(tzinfo=UTC)
# A repair that did not hold shows within this time (SPEC C5).
RECURRENCE = timedelta(days=30)
# How long a closure that found nothing speaks against the next alarm of its kind, and how many of them do.
NO_FAULT_REMEMBERED = timedelta(days=90)
NO_FAULT_MAX = 3

DIRECTION_EN = {Direction.UP: "up", Direction.DOWN: "down", Direction.NONE: "silent"}
DIRECTION_ZH = {Direction.UP: "偏高", Direction.DOWN: "偏低", Direction.NONE: "无数据"}
DETECTOR_ZH = {"threshold": "阈值", "step": "突变", "level": "水平比", "cusum": "累积和", "missing": "缺数"}


@dataclass(frozen=True, slots=True)
class PastClosure:
    """How a ticket about a failure mode of the asset ended: the mode's code, when, and whether the fault was there."""

    failure_mode: str
    at: datetime
    repaired: bool


@dataclass(frozen=True, slots=True)
class AssetEvidence:
    """What is known about one asset.

    ``installed`` maps a component to the times it was fitted, ``last_closed`` a mode's code to the equipment time at
    which the work of its last closed ticket was finished. ``history`` tells how earlier tickets ended, ``remaining``
    the remaining useful life by mode's code.
    """

    asset_id: int
    findings: Sequence[Finding]
    events: Sequence[Event]
    installed: Mapping[str, Sequence[datetime]]
    last_closed: Mapping[str, datetime]
    history: Sequence[PastClosure] = ()
    remaining: Mapping[str, RemainingLife] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sign:
    """A piece of evidence about one mode.

    ``story`` names what it is about, alike for all modes that claim it ("volt up"); None for what concerns this mode
    alone. ``finding`` is the finding behind it, where there is one.
    """

    contribution: Contribution
    story: str | None = None
    finding: Finding | None = None

    @property
    def log_odds(self) -> float:
        """Return the weight."""
        return self.contribution.log_odds


def spent_until(mode: FailureMode, evidence: AssetEvidence, as_of: datetime) -> datetime:
    """Return the time up to which evidence is about a part or a fault that is gone."""
    fitted = [at for at in evidence.installed.get(mode.component, ()) if at <= as_of]
    return max([evidence.last_closed.get(mode.code, LONG_AGO), *fitted])


def opening_signs(mode: FailureMode, evidence: AssetEvidence, as_of: datetime) -> list[Sign]:
    """Return what findings and events say about the mode: the evidence that may open a prediction."""
    spent = spent_until(mode, evidence, as_of)
    return [*_of_findings(mode, evidence, spent, as_of), *_of_events(mode, evidence, spent, as_of)]


def moving_signs(mode: FailureMode, evidence: AssetEvidence, as_of: datetime) -> list[Sign]:
    """Return what the age of the part and the asset's history say about the mode."""
    return [*_of_part_age(mode, evidence, as_of), *_of_history(mode, evidence, as_of)]


def _of_findings(mode: FailureMode, evidence: AssetEvidence, spent: datetime, as_of: datetime) -> Iterable[Sign]:
    strongest: dict[str, Sign] = {}
    for finding in evidence.findings:
        if finding.shadow or not spent < finding.opened_at <= as_of:
            continue
        still_open = finding.cleared_at is None or finding.cleared_at > as_of
        age = timedelta(0) if still_open or finding.cleared_at is None else as_of - finding.cleared_at
        for sign in mode.signature.findings:
            fits = fnmatchcase(finding.metric, sign.metric) and sign.detector in ("*", finding.detector)
            if fits and sign.direction in (None, finding.direction) and age <= timedelta(hours=sign.within_h):
                story = f"{finding.metric} {finding.direction}"
                _keep_stronger(
                    strongest, finding.metric, Sign(_told_finding(finding, sign.log_odds), story=story, finding=finding)
                )
    return strongest.values()


def _of_events(mode: FailureMode, evidence: AssetEvidence, spent: datetime, as_of: datetime) -> Iterable[Sign]:
    strongest: dict[str, Sign] = {}
    told = [event for event in evidence.events if event.kind != EventKind.OPERATOR and spent < event.ts <= as_of]
    for sign in mode.signature.events:
        seen = [_newest(code, told, as_of - timedelta(hours=sign.within_h)) for code in sign.codes]
        events = [event for event in seen if event is not None]
        if len(events) == len(sign.codes):
            _keep_stronger(strongest, "events", Sign(_told_events(events, sign), story=f"event {'+'.join(sign.codes)}"))
    return strongest.values()


def _newest(code: str, told: Iterable[Event], since: datetime) -> Event | None:
    matching = [event for event in told if event.code == code and event.ts >= since]
    return max(matching, key=lambda event: event.ts, default=None)


def _keep_stronger(strongest: dict[str, Sign], group: str, new: Sign) -> None:
    # Of equals the newest stays: it says since when the picture has been complete. The reference settles what is left,
    # so that the order in which evidence is told never matters.
    old = strongest.get(group)
    if old is None or _strength(new) >= _strength(old):
        strongest[group] = new


def _strength(sign: Sign) -> tuple[float, datetime, str]:
    return abs(sign.log_odds), sign.contribution.ts, sign.contribution.reference


def _of_part_age(mode: FailureMode, evidence: AssetEvidence, as_of: datetime) -> Iterable[Sign]:
    sign = mode.signature.part_age
    fitted = [at for at in evidence.installed.get(mode.component, ()) if at <= as_of]
    if sign is None or not fitted:
        return ()
    days = (as_of - max(fitted)) / timedelta(days=1)
    is_old = days >= sign.from_days
    against_en = "" if is_old else ", too young to be likely"
    against_zh = "" if is_old else "，较新，不太可能失效"
    contribution = Contribution(
        EvidenceKind.PART_AGE,
        mode.component,
        max(fitted),
        sign.log_odds_older if is_old else sign.log_odds_younger,
        f"{mode.component} is {days:.0f} days old{against_en}",
        f"{mode.component} 已使用 {days:.0f} 天{against_zh}",
    )
    return (Sign(contribution),)


def _of_history(mode: FailureMode, evidence: AssetEvidence, as_of: datetime) -> Iterable[Sign]:
    past = [one for one in evidence.history if one.failure_mode == mode.code and one.at <= as_of]
    repaired = [one.at for one in past if one.repaired and as_of - one.at <= RECURRENCE]
    if repaired:
        days = (as_of - max(repaired)) / timedelta(days=1)
        yield Sign(
            Contribution(
                EvidenceKind.HISTORY,
                "recurrence",
                max(repaired),
                mode.signature.history.recurrence_log_odds,
                f"Repaired {days:.0f} days ago: the repair may not have held",
                f"{days:.0f} 天前刚修复过：修复可能未彻底",
            )
        )
    empty = [one.at for one in past if not one.repaired and as_of - one.at <= NO_FAULT_REMEMBERED]
    if empty:
        counted = min(len(empty), NO_FAULT_MAX)
        yield Sign(
            Contribution(
                EvidenceKind.HISTORY,
                "no_fault_found",
                max(empty),
                counted * mode.signature.history.no_fault_log_odds,
                f"No such fault was found by {len(empty)} closures of the last {NO_FAULT_REMEMBERED.days} days",
                f"近 {NO_FAULT_REMEMBERED.days} 天内 {len(empty)} 次检查未发现该故障",
            )
        )


def _told_finding(finding: Finding, weight: float) -> Contribution:
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


def _told_events(events: Sequence[Event], sign: EventSign) -> Contribution:
    first = events[0]
    ts = max(event.ts for event in events)
    with_en = f" together with {', '.join(sign.also)}" if sign.also else ""
    with_zh = f"，同时有 {'、'.join(sign.also)}" if sign.also else ""
    return Contribution(
        EvidenceKind.EVENT,
        f"{'+'.join(sign.codes)}@{ts.isoformat()}",
        ts,
        sign.log_odds,
        f"{first.kind.capitalize()} {first.code}{with_en}" + (f": {first.text}" if first.text else ""),
        f"事件 {first.code}{with_zh}" + (f"：{first.text}" if first.text else ""),
    )
