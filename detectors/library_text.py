"""A library as a TOML file, in the layout of those that ship: what ``parse_library`` reads back is equal (SPEC P1)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from detectors.library import ISO_14224, Library, RuleDraft
from detectors.parameters import Scalar
from domain.checklists import Task
from domain.failure_modes import FailureMode, HistorySign, Signature
from domain.regimes import OperatingRegimes

Fields = Mapping[str, Scalar]


def library_as_text(library: Library) -> str:
    """Return the library as TOML."""
    names: Fields = {"id": library.asset_type, "name_en": library.name_en, "name_zh": library.name_zh}
    blocks = [_table("[asset_type]", names)]
    if library.regimes is not None:
        blocks.append(_regime(library.regimes))
    for mode in library.modes:
        blocks.extend(_mode(mode))
    for rule in library.rules:
        blocks.extend(_rule(rule))
    return "\n\n".join(blocks) + "\n"


def _regime(regimes: OperatingRegimes) -> str:
    edges = ", ".join(_value(edge) for edge in regimes.edges)
    return f"[regime]\nmetric = {_value(regimes.metric)}\nedges = [{edges}]\nsettle_s = {_value(regimes.settle_s)}"


def _mode(mode: FailureMode) -> Iterable[str]:
    keys = [f"{what}_{language}" for what in ISO_14224 for language in ("en", "zh")]
    fields: dict[str, Scalar] = {
        "code": mode.code,
        "name_en": mode.name_en,
        "name_zh": mode.name_zh,
        "effect_en": mode.effect_en,
        "effect_zh": mode.effect_zh,
        **{key: getattr(mode, key) or None for key in keys},
        "severity": mode.severity,
        "occurrence": mode.occurrence,
        "detection": mode.detection,
        "component": mode.component,
        "prior": mode.prior,
        "watch_probability": mode.watch_probability,
        "ticket_probability": mode.ticket_probability,
    }
    lists = [
        f"window_h = [{_value(mode.window_from_h)}, {_value(mode.window_to_h)}]",
        f"skills = [{', '.join(_value(skill) for skill in mode.skills)}]",
        _inline_list("tasks", [_task(task) for task in mode.tasks]),
        _inline_list(
            "parts",
            [
                {
                    "number": part.number,
                    "name_en": part.name_en,
                    "name_zh": part.name_zh,
                    "quantity": part.quantity,
                    "probability": part.probability,
                }
                for part in mode.parts
            ],
        ),
    ]
    yield "\n".join([_table("[[mode]]", fields), *(line for line in lists if line)])
    yield from _signature(mode.signature)


def _task(task: Task) -> dict[str, Scalar]:
    row: dict[str, Scalar | None] = {
        "en": task.text_en,
        "zh": task.text_zh,
        "unit": task.unit,
        "low": task.low_limit,
        "high": task.high_limit,
        "opens_ticket": task.opens_ticket or None,
        "failure_mode": task.failure_mode,
    }
    return {name: value for name, value in row.items() if value is not None}


def _signature(signature: Signature) -> Iterable[str]:
    for finding in signature.findings:
        yield _table(
            "[[mode.finding]]",
            {
                "metric": finding.metric,
                "detector": finding.detector,
                "direction": None if finding.direction is None else str(finding.direction),
                "within_h": finding.within_h,
                "log_odds": finding.log_odds,
            },
        )
    for event in signature.events:
        also = f"also = [{', '.join(_value(code) for code in event.also)}]"
        fields: Fields = {"code": event.code, "within_h": event.within_h, "log_odds": event.log_odds}
        yield "\n".join([_table("[[mode.event]]", fields), *([also] if event.also else [])])
    if signature.part_age is not None:
        age = signature.part_age
        yield _table(
            "[mode.part_age]",
            {
                "from_days": age.from_days,
                "log_odds_older": age.log_odds_older,
                "log_odds_younger": age.log_odds_younger,
            },
        )
    if signature.history != HistorySign():
        history = signature.history
        yield _table(
            "[mode.history]",
            {
                "recurrence_log_odds": history.recurrence_log_odds,
                "no_fault_log_odds": history.no_fault_log_odds,
            },
        )


def _rule(rule: RuleDraft) -> Iterable[str]:
    fields: Fields = {
        "name": rule.name,
        "every_type": True if rule.asset_type is None else None,
        "metric": rule.metric,
        "detector": rule.detector,
        "severity": str(rule.severity),
        "mode": str(rule.mode),
    }
    yield _table("[[rule]]", fields)
    yield _table("[rule.parameters]", rule.parameters)


def _table(head: str, fields: Fields) -> str:
    return "\n".join([head, *(f"{key} = {_value(value)}" for key, value in fields.items() if value is not None)])


def _inline_list(key: str, rows: list[dict[str, Scalar]]) -> str:
    if not rows:
        return ""
    inside = (", ".join(f"{name} = {_value(value)}" for name, value in row.items()) for row in rows)
    return "\n".join([f"{key} = [", *(f"  {{ {row} }}," for row in inside), "]"])


def _value(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # A basic string of TOML takes the escapes of JSON, except that DEL must be escaped too.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
