"""The failure-mode library of an asset type, as a file: its failure modes and the rules it starts with (SPEC P1).

The files are ``editions/library/*.toml``. ``parse_library`` checks one whole; ``storage/library.py`` installs it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from detectors.parameters import Scalar
from detectors.rules import check_rule
from domain.failure_modes import EventSign, FailureMode, FindingSign, PartAgeSign, PartNeed, Signature, Task
from domain.findings import Direction, Severity
from domain.refusals import Refused

Table = Mapping[str, object]


class RuleMode(StrEnum):
    """What becomes of a rule's findings (SPEC P5): nothing, kept apart, judged by a person, or acted on."""

    OFF = "off"
    SHADOW = "shadow"
    REVIEW = "review"
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class RuleDraft:
    """A rule before it has an id and a version. ``asset_type`` None means every type."""

    name: str
    asset_type: str | None
    metric: str
    detector: str
    parameters: Mapping[str, Scalar]
    severity: Severity
    mode: RuleMode

    def check(self) -> None:
        """Raise Refused("invalid_rule") unless the rule could be in force."""
        check_rule(self.name, self.metric, self.detector, self.parameters, self.severity)


@dataclass(frozen=True, slots=True)
class Library:
    """An asset type with its names, failure modes and default rules."""

    asset_type: str
    name_en: str
    name_zh: str
    modes: tuple[FailureMode, ...]
    rules: tuple[RuleDraft, ...]


def parse_library(text: str) -> Library:
    """Read one library file. Raises Refused("invalid_library") or Refused("invalid_rule"), naming the entry."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _invalid("a TOML document", str(error)) from error
    kind = _table(document, "asset_type")
    asset_type = _text(kind, "id")
    modes = tuple(_mode(table, asset_type) for table in _tables(document, "mode"))
    codes = [mode.code for mode in modes]
    if len(set(codes)) != len(codes):
        raise _invalid("failure modes with different codes", ", ".join(codes))
    rules = tuple(_rule(table, asset_type) for table in _tables(document, "rule"))
    return Library(asset_type, _text(kind, "name_en"), _text(kind, "name_zh"), modes, rules)


def parse_rules(text: str, asset_type: str) -> list[RuleDraft]:
    """Read the ``[[rule]]`` tables of a file. Raises as ``parse_library`` does."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _invalid("a TOML document", str(error)) from error
    return [_rule(table, asset_type) for table in _tables(document, "rule")]


def _mode(table: Table, asset_type: str) -> FailureMode:
    code = _text(table, "code")
    window_from_h, window_to_h = (_as_number(bound, "window_h") for bound in _list(table, "window_h"))
    mode = FailureMode(
        code=code,
        asset_type=asset_type,
        name_en=_text(table, "name_en"),
        name_zh=_text(table, "name_zh"),
        effect_en=_text(table, "effect_en"),
        effect_zh=_text(table, "effect_zh"),
        severity=int(_number(table, "severity")),
        component=_text(table, "component"),
        prior=_number(table, "prior"),
        watch_probability=_number(table, "watch_probability"),
        ticket_probability=_number(table, "ticket_probability"),
        window_from_h=window_from_h,
        window_to_h=window_to_h,
        skills=tuple(str(skill) for skill in _list(table, "skills")),
        tasks=tuple(Task(_text(task, "en"), _text(task, "zh")) for task in _tables(table, "tasks")),
        parts=tuple(_part(part) for part in _tables(table, "parts")),
        signature=_signature(table),
    )
    _check_mode(mode)
    return mode


def _check_mode(mode: FailureMode) -> None:
    if not 0 < mode.prior < mode.watch_probability < mode.ticket_probability < 1:
        raise _invalid(
            f"0 < prior < watch_probability < ticket_probability < 1 in '{mode.code}'",
            f"{mode.prior}, {mode.watch_probability}, {mode.ticket_probability}",
        )
    if not 0 <= mode.window_from_h < mode.window_to_h:
        raise _invalid(f"a rising window_h in '{mode.code}'", f"{mode.window_from_h} to {mode.window_to_h}")
    if not 1 <= mode.severity <= 10:
        raise _invalid(f"a severity of 1 to 10 in '{mode.code}'", str(mode.severity))
    if not mode.signature.findings and not mode.signature.events:
        raise _invalid(f"at least one finding or event in the signature of '{mode.code}'", "none")
    for part in mode.parts:
        if part.quantity < 1 or not 0 < part.probability <= 1:
            raise _invalid(f"a quantity from 1 and a probability in (0, 1] for part '{part.number}'", repr(part))


def _part(table: Table) -> PartNeed:
    return PartNeed(
        number=_text(table, "number"),
        name_en=_text(table, "name_en"),
        name_zh=_text(table, "name_zh"),
        quantity=int(_number(table, "quantity")),
        probability=_number(table, "probability"),
    )


def _signature(table: Table) -> Signature:
    age = table.get("part_age")
    return Signature(
        findings=tuple(_finding_sign(sign) for sign in _tables(table, "finding")),
        events=tuple(
            EventSign(_text(sign, "code"), _number(sign, "within_h"), _number(sign, "log_odds"))
            for sign in _tables(table, "event")
        ),
        part_age=None if age is None else _part_age(_table(table, "part_age")),
    )


def _finding_sign(table: Table) -> FindingSign:
    direction = table.get("direction")
    if direction is not None and direction not in list(Direction):
        raise _invalid(f"a direction of {', '.join(Direction)}, or none", repr(direction))
    return FindingSign(
        metric=_text(table, "metric"),
        detector=_text(table, "detector"),
        direction=None if direction is None else Direction(str(direction)),
        within_h=_number(table, "within_h"),
        log_odds=_number(table, "log_odds"),
    )


def _part_age(table: Table) -> PartAgeSign:
    return PartAgeSign(
        _number(table, "from_days"), _number(table, "log_odds_older"), _number(table, "log_odds_younger")
    )


def _rule(table: Table, asset_type: str) -> RuleDraft:
    mode = _text(table, "mode")
    if mode not in list(RuleMode):
        raise _invalid(f"a rule mode of {', '.join(RuleMode)}", repr(mode))
    severity = _text(table, "severity")
    parameters = cast("Mapping[str, Scalar]", _table(table, "parameters"))
    check_rule(_text(table, "name"), _text(table, "metric"), _text(table, "detector"), parameters, severity)
    return RuleDraft(
        name=_text(table, "name"),
        asset_type=None if table.get("every_type") is True else asset_type,
        metric=_text(table, "metric"),
        detector=_text(table, "detector"),
        parameters=parameters,
        severity=Severity(severity),
        mode=RuleMode(mode),
    )


def _text(table: Table, key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        raise _invalid(f"a text '{key}'", repr(value))
    return value


def _number(table: Table, key: str) -> float:
    return _as_number(table.get(key), key)


def _as_number(value: object, key: str) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise _invalid(f"a number '{key}'", repr(value))
    return float(value)


def _list(table: Table, key: str) -> Sequence[object]:
    value = table.get(key)
    if not isinstance(value, list):
        raise _invalid(f"a list '{key}'", repr(value))
    if key == "window_h" and len(value) != 2:
        raise _invalid("two numbers 'window_h'", repr(value))
    return value


def _table(table: Table, key: str) -> Table:
    value = table.get(key)
    if not isinstance(value, dict):
        raise _invalid(f"a table '{key}'", repr(value))
    return value


def _tables(table: Table, key: str) -> list[Table]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _invalid(f"a list of tables '{key}'", repr(value))
    return value


def _invalid(expected: str, got: str) -> Refused:
    return Refused("invalid_library", expected=expected, got=got, remedy="Correct the library file.")
