"""What is asked of a backtest and what came of it, as JSON and back; the shapes are those of the dataclasses."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TypeVar, cast

from detectors.backtest import MachineResult, Outcome, RuleTally, Score, TicketTold, Verdict
from detectors.calibrate import HeldOut, Proposal, Tried
from detectors.library import RuleDraft, RuleMode
from detectors.parameters import Scalar
from domain.findings import Severity
from storage.cases import Label

# Of one machine and one set of rules so many tickets are kept; the score counts them all.
TICKETS_KEPT = 200
Table = Mapping[str, object]
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class BacktestRequest:
    """Candidate rules: each takes the place of the rule in force of its name, or stands beside them.

    ``labels`` are true beside what closures and replacements say. ``repaired_after_h``: the loop closes a ticket as
    repaired that many hours after it opened; None leaves it to the recorded repairs.
    """

    rules: tuple[RuleDraft, ...]
    labels: tuple[Label, ...] = ()
    repaired_after_h: float | None = None


@dataclass(frozen=True, slots=True)
class CalibrationRequest:
    """Which parameter of which rule is to give at most ``wanted`` false alarms per machine-month."""

    rule: RuleDraft
    parameter: str
    wanted: float
    labels: tuple[Label, ...] = ()


def as_json(told: BacktestRequest | CalibrationRequest | MachineResult | Proposal) -> dict[str, object]:
    """Return the dataclass as JSON objects, times in RFC 3339."""
    if isinstance(told, MachineResult):
        told = replace(told, candidate=_shortened(told.candidate), in_force=_shortened(told.in_force))
    return cast("dict[str, object]", json.loads(json.dumps(asdict(told), default=_plain, allow_nan=False)))


def request_of(stored: Table) -> BacktestRequest | CalibrationRequest:
    """Return what ``as_json`` made of a request."""
    labels = tuple(_label(one) for one in _tables(stored, "labels"))
    if "parameter" in stored:
        rule = _rule(cast("Table", stored["rule"]))
        return CalibrationRequest(rule, str(stored["parameter"]), float(cast("float", stored["wanted"])), labels)
    rules = tuple(_rule(one) for one in _tables(stored, "rules"))
    return BacktestRequest(rules, labels, cast("float | None", stored["repaired_after_h"]))


def result_of(stored: Table) -> MachineResult:
    """Return what ``as_json`` made of a machine's result."""
    candidate, in_force = (_outcome(cast("Table", stored[side])) for side in ("candidate", "in_force"))
    return _made(MachineResult, {**stored, "candidate": candidate, "in_force": in_force})


def proposal_of(stored: Table) -> Proposal:
    """Return what ``as_json`` made of a proposal."""
    held_out = cast("Table | None", stored["held_out"])
    return _made(
        Proposal,
        {
            **stored,
            "held_out": None if held_out is None else _made(HeldOut, held_out),
            "tried": tuple(_made(Tried, one) for one in _tables(stored, "tried")),
        },
    )


def _outcome(stored: Table) -> Outcome:
    score = cast("Table", stored["score"])
    tickets = (
        {
            **one,
            "opened_at": datetime.fromisoformat(str(one["opened_at"])),
            "verdict": Verdict(str(one["verdict"])),
            "rules": tuple(cast("list[str]", one["rules"])),
        }
        for one in _tables(stored, "tickets")
    )
    return Outcome(
        _made(Score, {**score, "leads_h": tuple(cast("list[float]", score["leads_h"]))}),
        tuple(_made(TicketTold, one) for one in tickets),
        tuple(_made(RuleTally, one) for one in _tables(stored, "rules")),
    )


def _rule(stored: Table) -> RuleDraft:
    given = {
        "severity": Severity(str(stored["severity"])),
        "mode": RuleMode(str(stored["mode"])),
        "parameters": cast("Mapping[str, Scalar]", stored["parameters"]),
    }
    return _made(RuleDraft, {**stored, **given})


def _label(stored: Table) -> Label:
    times = {name: datetime.fromisoformat(str(stored[name])) for name in ("begin", "end")}
    return _made(Label, {**stored, **times})


def _made(kind: type[Made], fields: Table) -> Made:
    return kind(**fields)


def _tables(stored: Table, key: str) -> Sequence[Table]:
    return cast("Sequence[Table]", stored[key])


def _shortened(outcome: Outcome) -> Outcome:
    return replace(outcome, tickets=outcome.tickets[:TICKETS_KEPT])


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON")
