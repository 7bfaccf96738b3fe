"""Backtest and calibration for notebooks: pandas frames in, pandas frames out (SPEC D6, D7).

The same replay as in the service. A frame of readings has one row a time (aware, or UTC when it is not) and one column
a metric; with a column ``asset`` it holds several machines. Where no failure modes are given every finding counts as a
ticket of its rule's name; rules of one detector on the same metric then speak for each other. Silence (``missing``) is
judged until the machine's last reading.

>>> import numpy as np
>>> values = np.concatenate([np.full(300, 10.0), np.full(20, 16.0), np.full(300, 10.0)])
>>> index = pd.date_range("2026-03-01", periods=620, freq="h", tz="UTC")
>>> readings = pd.DataFrame({"vibration": values + 0.1 * np.sin(np.arange(620))}, index=index)
>>> rule = {"name": "high", "metric": "vibration", "detector": "threshold", "parameters": {"high": 12.0}}
>>> labels = pd.DataFrame({"begin": [index[290]], "end": [index[330]]})
>>> found = backtest(readings, [rule], labels=labels)
>>> found.tickets[["failure_mode", "verdict", "lead_h"]].to_dict("records")
[{'failure_mode': 'high', 'verdict': 'right', 'lead_h': 28.0}]
>>> found.scores[["tickets", "right", "false", "recall"]].to_dict("records")
[{'tickets': 1.0, 'right': 1.0, 'false': 0.0, 'recall': 1.0}]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import cast

import pandas as pd

from detectors.backtest import FIGURES, Case, Outcome, Source, TicketTold, Truth, figures, replay, total
from detectors.calibrate import Proposal
from detectors.calibrate import calibrate as calibrate_histories
from detectors.closed_loop import EPOCH, MICROSECOND, History, Machine, history_of
from detectors.library import RuleDraft, RuleMode
from detectors.parameters import Scalar
from detectors.rules import RuleInForce, check_rule
from domain.events import COMPONENT_REPLACED, Event, EventKind, EventSeverity
from domain.failure_modes import FailureMode, FindingSign, Signature
from domain.findings import Severity

RuleLike = RuleInForce | RuleDraft | Mapping[str, object]
# A finding without a failure mode is worth a ticket, for as long as it is open and this long after.
ALONE_H = 24.0


@dataclass(frozen=True, slots=True)
class BacktestFrames:
    """``tickets`` and ``rules`` one row each with the asset, ``scores`` one row an asset and, below, all together."""

    tickets: pd.DataFrame
    rules: pd.DataFrame
    scores: pd.DataFrame


def backtest(
    readings: pd.DataFrame,
    rules: Sequence[RuleLike],
    events: pd.DataFrame | None = None,
    labels: pd.DataFrame | None = None,
    *,
    modes: Sequence[FailureMode] = (),
    repaired_after: timedelta | None = None,
) -> BacktestFrames:
    """Try rules on frames.

    ``events`` has the columns ts and code, and may have kind, component (of replacements) and asset; ``labels`` begin
    and end, and may have failure_mode and asset. Raises Refused("invalid_rule") for a rule that could not be saved.
    """
    in_force = [_rule(number, rule) for number, rule in enumerate(rules, start=1)]
    known = list(modes) or [_mode_of(rule) for rule in in_force]
    outcomes: dict[object, Outcome] = {}
    for asset, history in histories(readings, events):
        outcomes[asset] = replay(_case(asset, history, labels), known, in_force, repaired_after=repaired_after)
    tickets = [{"asset": asset, **asdict(told)} for asset, outcome in outcomes.items() for told in outcome.tickets]
    tallies = [{"asset": asset, **asdict(rule)} for asset, outcome in outcomes.items() for rule in outcome.rules]
    scores = {asset: figures(outcome.score) for asset, outcome in outcomes.items()}
    if len(scores) > 1:
        scores["all"] = figures(total(outcome.score for outcome in outcomes.values()))
    columns = ["asset", *TicketTold.__slots__]
    return BacktestFrames(
        pd.DataFrame(tickets, columns=columns),
        pd.DataFrame(tallies, columns=["asset", "rule", "findings", "outside"]),
        pd.DataFrame.from_dict(scores, orient="index", columns=list(FIGURES), dtype=float).rename_axis("asset"),
    )  # fmt: skip


def calibrate(
    readings: pd.DataFrame,
    rule: RuleLike,
    parameter: str,
    wanted: float,
    labels: pd.DataFrame | None = None,
) -> tuple[Proposal, pd.DataFrame]:
    """Propose a limit with at most ``wanted`` false alarms per machine-month, and return every limit tried.

    The spans of ``labels`` (begin, end, and asset where there are several) are left out.
    """
    machines = list(histories(readings, None))
    excluded = {
        history.asset_id: [(truth.begins, truth.ends) for truth in _truths(asset, labels)]
        for asset, history in machines
    }
    proposal = calibrate_histories([one for _, one in machines], _rule(1, rule), parameter, wanted, excluded)
    return proposal, pd.DataFrame([asdict(one) for one in proposal.tried], columns=["limit", "findings", "rate"])


def histories(readings: pd.DataFrame, events: pd.DataFrame | None) -> Iterator[tuple[object, History]]:
    """Give each machine of a frame with its history; a frame without the column ``asset`` is one machine, 1."""
    machines = readings.groupby("asset") if "asset" in readings.columns else [(1, readings)]
    for number, (asset, frame) in enumerate(machines, start=1):
        wide = frame.drop(columns="asset", errors="ignore").sort_index()
        wide = wide.set_axis(_utc(pd.DatetimeIndex(wide.index)), axis=0)
        history = history_of(Machine(number, wide, _events(asset, events)))
        yield asset, replace(history, clocked=history.metrics)


def _rule(number: int, rule: RuleLike) -> RuleInForce:
    if isinstance(rule, RuleInForce):
        return rule
    if isinstance(rule, RuleDraft):
        rule.check()
        given: Mapping[str, object] = {name: getattr(rule, name) for name in RuleDraft.__slots__}
    else:
        given = rule
    parameters = cast("Mapping[str, Scalar]", given.get("parameters", {}))
    name, metric, detector = (str(given.get(key, "")) for key in ("name", "metric", "detector"))
    severity = str(given.get("severity", Severity.MEDIUM))
    check_rule(name, metric, detector, parameters, severity)
    # What is off is kept in the tables, and moves nothing.
    shadow = given.get("mode", RuleMode.AUTO) == RuleMode.OFF
    return RuleInForce(number, name, 1, metric, detector, parameters, Severity(severity), shadow=shadow)


def _mode_of(rule: RuleInForce) -> FailureMode:
    """Return the failure mode that a finding of the rule alone makes a ticket of."""
    sign = FindingSign(rule.metric, rule.detector, None, ALONE_H, 12.0)
    return FailureMode(
        code=rule.name, asset_type="any", name_en=rule.name, name_zh=rule.name, effect_en="", effect_zh="", severity=5,
        component=rule.name, prior=0.01, watch_probability=0.05, ticket_probability=0.5, window_from_h=0.0,
        window_to_h=ALONE_H, skills=(), tasks=(), parts=(), signature=Signature(findings=(sign,)),
    )  # fmt: skip


def _case(asset: object, history: History, labels: pd.DataFrame | None) -> Case:
    ts_us = history.readings.ts_us
    since, until = (EPOCH + int(edge) * MICROSECOND for edge in ((ts_us.min(), ts_us.max()) if len(ts_us) else (0, 0)))
    return Case(str(asset), history, _truths(asset, labels), since, until)


def _truths(asset: object, labels: pd.DataFrame | None) -> list[Truth]:
    if labels is None:
        return []
    mine = labels[labels["asset"] == asset] if "asset" in labels.columns else labels
    modes = mine["failure_mode"] if "failure_mode" in mine.columns else [None] * len(mine)
    return [
        Truth(_moment(begin), _moment(end), frozenset([mode] if isinstance(mode, str) else []), Source.LABEL)
        for begin, end, mode in zip(mine["begin"], mine["end"], modes, strict=True)
    ]


def _events(asset: object, events: pd.DataFrame | None) -> list[Event]:
    if events is None:
        return []
    mine = (events[events["asset"] == asset] if "asset" in events.columns else events).sort_values("ts")
    found = []
    for row in mine.to_dict("records"):
        code = str(row["code"])
        kind = EventKind(row.get("kind", EventKind.OPERATOR if code == COMPONENT_REPLACED else EventKind.ERROR))
        attributes = {"component": str(row["component"])} if code == COMPONENT_REPLACED else {}
        found.append(Event(_moment(row["ts"]), kind, code, EventSeverity.ERROR, attributes=attributes))
    return found


def _moment(value: object) -> datetime:
    at = pd.Timestamp(cast("pd.Timestamp", value))
    return (at.tz_localize("UTC") if at.tzinfo is None else at.tz_convert("UTC")).to_pydatetime()


def _utc(index: pd.DatetimeIndex) -> pd.DatetimeIndex:
    return index.tz_localize("UTC") if index.tz is None else index.tz_convert("UTC")
