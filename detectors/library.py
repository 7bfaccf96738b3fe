"""The failure-mode library of an asset type: its failure modes and the rules it starts with (SPEC P1).

As a file it is TOML: ``parse_library`` checks one whole, ``library_as_text`` (detectors/library_text.py) writes one.
The files that ship are ``editions/library/*.toml``; ``storage/library.py`` installs them and imports others.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from detectors.catalogue import CATALOGUE
from detectors.entries import Entry
from detectors.parameters import Scalar
from detectors.rules import check_rule
from domain.checklists import UNIT_MAX, Task
from domain.failure_modes import (
    EventSign,
    FailureMode,
    FindingSign,
    HistorySign,
    PartAgeSign,
    PartNeed,
    Signature,
)
from domain.findings import Direction, Severity
from domain.refusals import Refused
from domain.regimes import OperatingRegimes

ASSET_TYPE = re.compile(r"[a-z0-9_-]{1,64}")
CODE = re.compile(r"[a-z0-9_.-]{1,64}")
# The texts of a mode in the words of ISO 14224: maintainable item, failure mechanism, failure cause.
ISO_14224 = ("item", "mechanism", "cause")
HOURS_MAX = 10 * 366 * 24.0
DAYS_MAX = 100 * 366.0
LOG_ODDS = (-20.0, 20.0)
QUANTITY_MAX = 10_000
READING_MAX = 1e12


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
    """An asset type with its names, failure modes, default rules, and the regimes it runs under (None: one)."""

    asset_type: str
    name_en: str
    name_zh: str
    modes: tuple[FailureMode, ...]
    rules: tuple[RuleDraft, ...]
    regimes: OperatingRegimes | None = None


def parse_library(text: str) -> Library:
    """Read one library file. Raises Refused("invalid_library") or Refused("invalid_rule"), naming the entry."""
    document = _document(text)
    kind = document.entry("asset_type")
    asset_type = _word(kind, "id", ASSET_TYPE)
    library = Library(
        asset_type,
        kind.text("name_en"),
        kind.text("name_zh"),
        modes=tuple(_mode(entry, asset_type) for entry in document.entries("mode", "code")),
        rules=tuple(_rule(entry, asset_type) for entry in document.entries("rule", "name")),
        regimes=_regimes(document.entry("regime")) if document.has("regime") else None,
    )
    kind.done()
    document.done()
    for what, names in (("failure modes", [m.code for m in library.modes]), ("rules", [r.name for r in library.rules])):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise _invalid(f"{what} of different names", f"'{twice[0]}' more than once")
    named = {task.failure_mode for mode in library.modes for task in mode.tasks if task.failure_mode is not None}
    strange = sorted(named - {mode.code for mode in library.modes})
    if strange:
        raise _invalid("tasks that name failure modes of the library", f"'{strange[0]}'")
    return library


def parse_rules(text: str, asset_type: str) -> list[RuleDraft]:
    """Read the ``[[rule]]`` tables of a file, and nothing else of it. Raises as ``parse_library`` does."""
    return [_rule(entry, asset_type) for entry in _document(text).entries("rule", "name")]


def _document(text: str) -> Entry:
    try:
        return Entry(tomllib.loads(text), "")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _invalid("a TOML document", str(error)) from error


def _mode(entry: Entry, asset_type: str) -> FailureMode:
    window = entry.numbers("window_h", 0, HOURS_MAX)
    if len(window) != 2 or window[0] >= window[1]:
        raise entry.refusal("two rising numbers 'window_h'", repr(list(window)))
    mode = FailureMode(
        code=_word(entry, "code", CODE),
        asset_type=asset_type,
        name_en=entry.text("name_en"),
        name_zh=entry.text("name_zh"),
        effect_en=entry.text("effect_en"),
        effect_zh=entry.text("effect_zh"),
        severity=entry.whole("severity", 1, 10),
        component=entry.text("component"),
        prior=entry.number("prior", 0, 1),
        watch_probability=entry.number("watch_probability", 0, 1),
        ticket_probability=entry.number("ticket_probability", 0, 1),
        window_from_h=window[0],
        window_to_h=window[1],
        skills=entry.texts("skills"),
        tasks=tuple(_task(one) for one in entry.entries("tasks")),
        parts=tuple(_part(one) for one in entry.entries("parts", "number")),
        signature=_signature(entry),
        **_names(entry),
        occurrence=entry.whole("occurrence", 1, 10) if entry.has("occurrence") else None,
        detection=entry.whole("detection", 1, 10) if entry.has("detection") else None,
    )
    entry.done()
    if not 0 < mode.prior < mode.watch_probability < mode.ticket_probability < 1:
        raise entry.refusal(
            "0 < prior < watch_probability < ticket_probability < 1",
            f"{mode.prior}, {mode.watch_probability}, {mode.ticket_probability}",
        )
    if not mode.signature.findings and not mode.signature.events:
        raise entry.refusal("at least one finding or event in the signature", "none")
    numbers = [part.number for part in mode.parts]
    if len(set(numbers)) < len(numbers):
        raise entry.refusal("parts of different numbers", ", ".join(numbers))
    return mode


def _names(entry: Entry) -> dict[str, str]:
    """Return the names after ISO 14224 that are there: each in both languages, or not at all."""
    names: dict[str, str] = {}
    for what in ISO_14224:
        if entry.has(f"{what}_en") or entry.has(f"{what}_zh"):
            names |= {f"{what}_{language}": entry.text(f"{what}_{language}") for language in ("en", "zh")}
    return names


def _task(entry: Entry) -> Task:
    task = Task(
        entry.text("en"),
        entry.text("zh"),
        unit=entry.text("unit") if entry.has("unit") else None,
        low_limit=_limit(entry, "low"),
        high_limit=_limit(entry, "high"),
        opens_ticket=entry.flag("opens_ticket"),
        failure_mode=_word(entry, "failure_mode", CODE) if entry.has("failure_mode") else None,
    )
    entry.done()
    if task.unit is not None and len(task.unit) > UNIT_MAX:
        raise entry.refusal(f"a unit of at most {UNIT_MAX} characters", task.unit)
    fault = task.fault()
    if fault is not None:
        raise entry.refusal(*fault)
    return task


def _limit(entry: Entry, key: str) -> float | None:
    return entry.number(key, -READING_MAX, READING_MAX) if entry.has(key) else None


def _part(entry: Entry) -> PartNeed:
    part = PartNeed(
        number=entry.text("number"),
        name_en=entry.text("name_en"),
        name_zh=entry.text("name_zh"),
        quantity=entry.whole("quantity", 1, QUANTITY_MAX),
        probability=entry.number("probability", 1e-6, 1),
    )
    entry.done()
    return part


def _signature(mode: Entry) -> Signature:
    age = history = None
    if mode.has("part_age"):
        entry = mode.entry("part_age")
        weights = [entry.number(key, *LOG_ODDS) for key in ("log_odds_older", "log_odds_younger")]
        age = PartAgeSign(entry.number("from_days", 0, DAYS_MAX), *weights)
        entry.done()
    if mode.has("history"):
        entry = mode.entry("history")
        history = HistorySign(*(entry.number(key, *LOG_ODDS) for key in ("recurrence_log_odds", "no_fault_log_odds")))
        entry.done()
    return Signature(
        findings=tuple(_finding_sign(entry) for entry in mode.entries("finding", "metric")),
        events=tuple(_event_sign(entry) for entry in mode.entries("event", "code")),
        part_age=age,
        history=history or HistorySign(),
    )


def _finding_sign(entry: Entry) -> FindingSign:
    sign = FindingSign(
        metric=entry.text("metric"),
        detector=entry.choice("detector", ("*", *CATALOGUE)),
        direction=Direction(entry.choice("direction", tuple(Direction))) if entry.has("direction") else None,
        within_h=entry.number("within_h", 0, HOURS_MAX),
        log_odds=entry.number("log_odds", *LOG_ODDS),
    )
    entry.done()
    return sign


def _event_sign(entry: Entry) -> EventSign:
    sign = EventSign(
        code=entry.text("code"),
        within_h=entry.number("within_h", 0, HOURS_MAX),
        log_odds=entry.number("log_odds", *LOG_ODDS),
        also=entry.texts("also"),
    )
    entry.done()
    if len(set(sign.codes)) < len(sign.codes):
        raise entry.refusal("different codes", ", ".join(sign.codes))
    return sign


def _rule(entry: Entry, asset_type: str) -> RuleDraft:
    draft = RuleDraft(
        name=entry.text("name"),
        asset_type=None if entry.flag("every_type") else asset_type,
        metric=entry.text("metric"),
        detector=entry.text("detector"),
        parameters=entry.scalars("parameters"),
        severity=Severity(entry.choice("severity", tuple(Severity))),
        mode=RuleMode(entry.choice("mode", tuple(RuleMode))),
    )
    entry.done()
    try:
        draft.check()
    except Refused as refused:
        raise Refused(
            refused.name, expected=f"{refused.expected} in {entry.place}", got=refused.got, remedy=refused.remedy
        ) from refused
    return draft


def _regimes(entry: Entry) -> OperatingRegimes:
    metric, edges = entry.text("metric"), entry.numbers("edges", -1e300, 1e300)
    settle_s = entry.number("settle_s", 0, 1e9, default=0.0)
    entry.done()
    try:
        return OperatingRegimes(metric, edges, settle_s)
    except ValueError as error:
        raise entry.refusal("regimes that part a metric", str(error)) from error


def _word(entry: Entry, key: str, pattern: re.Pattern[str]) -> str:
    word = entry.text(key)
    if not pattern.fullmatch(word):
        raise entry.refusal(f"a '{key}' like {pattern.pattern}", repr(word)[:100])
    return word


def _invalid(expected: str, got: str) -> Refused:
    return Refused("invalid_library", expected=expected, got=got[:200], remedy="Correct the library file.")
