"""Which fields of an object are metrics: all numbers, or those listed; renamed, scaled, left out by name or by kind."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from typing import Literal

import msgspec

from ingest.json_guard import Json
from ingest.limits import MAX_NAME_LENGTH
from ingest.mapping.settings import invalid
from ingest.mapping.telling import Note
from ingest.quarantine_reasons import Reason, Unusable

_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,4})?", re.ASCII)
_SHOWN = 64


class MetricRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A listed field: its metric's name (its own when empty), and value = field x ``factor`` + ``offset``."""

    name: str = ""
    factor: float = 1.0
    offset: float = 0.0


class FieldRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is made of fields. Keys of nested objects are joined by dots; ``*`` in ``ignore`` stands for any text.

    ``words`` turns texts into numbers ({"ON": 1}). ``text = "number"`` takes texts that are numbers and skips the
    others; ``booleans = "number"`` takes 1 and 0; ``arrays = "number"`` takes each element, its place as last name.
    """

    metrics: dict[str, MetricRule] = {}
    only_listed: bool = False
    ignore: tuple[str, ...] = ()
    words: dict[str, float] = {}
    text: Literal["skip", "number", "refuse"] = "skip"
    booleans: Literal["skip", "number", "refuse"] = "skip"
    nulls: Literal["skip", "refuse"] = "skip"
    arrays: Literal["skip", "number", "refuse"] = "skip"


class Fields:
    """Checked rules, ready to read objects with. Raises Refused("invalid_feed")."""

    __slots__ = ("_ignore", "_rules")

    def __init__(self, rules: FieldRules) -> None:
        for field, rule in rules.metrics.items():
            if not (math.isfinite(rule.factor) and math.isfinite(rule.offset)) or rule.factor == 0:
                raise invalid(f"metrics.{field}", "a finite factor other than 0 and a finite offset", f"{rule}")
            if len(rule.name) > MAX_NAME_LENGTH:
                raise invalid(f"metrics.{field}.name", f"at most {MAX_NAME_LENGTH} characters", f"{len(rule.name)}")
        if rules.only_listed and not rules.metrics:
            raise invalid("only_listed", "false while 'metrics' lists nothing", "true")
        if not all(math.isfinite(number) for number in rules.words.values()):
            raise invalid("words", "texts and finite numbers", f"{rules.words}"[:200])
        self._rules = rules
        self._ignore = re.compile("|".join(map(_glob, rules.ignore)), re.DOTALL) if rules.ignore else None

    def read(
        self, value: Json, reserved: Collection[str], note: Note | None, root: str | None = None
    ) -> dict[str, float]:
        """Return the metrics of one object. ``reserved`` fields mean something else (the time). Raises Unusable."""
        found: dict[str, float] = {}
        self._walk(root, value, found, reserved, note)
        return found

    def _walk(
        self, path: str | None, value: Json, found: dict[str, float], reserved: Collection[str], note: Note | None
    ) -> None:
        """Go through a value; it is at most ``json_guard.MAX_DEPTH`` deep."""
        if isinstance(value, dict):
            for key, inner in value.items():
                name = key if path is None else f"{path}.{key}"
                if name in reserved:
                    continue
                if self._ignore is not None and self._ignore.fullmatch(name):
                    _tell(note, name, "named in ignore")
                elif type(inner) is float:
                    self._put(name, inner, found, note)
                else:
                    self._walk(name, inner, found, reserved, note)
        elif isinstance(value, list):
            name = path or ""
            if self._rules.arrays == "number":
                for place, inner in enumerate(value):
                    self._walk(str(place) if path is None else f"{path}.{place}", inner, found, reserved, note)
            else:
                self._leave(name, value, self._rules.arrays, "a list", note)
        else:
            self._leaf(path or "", value, found, note)

    def _leaf(self, name: str, value: str | float | bool | None, found: dict[str, float], note: Note | None) -> None:
        rules = self._rules
        if isinstance(value, bool):
            if rules.booleans == "number":
                self._put(name, float(value), found, note)
            else:
                self._leave(name, value, rules.booleans, "true or false", note)
        elif isinstance(value, str):
            if value in rules.words:
                self._put(name, rules.words[value], found, note)
            elif rules.text == "number" and _NUMBER.fullmatch(value):
                self._put(name, float(value), found, note)
            else:
                self._leave(name, value, rules.text, "text", note)
        elif value is None:
            self._leave(name, value, rules.nulls, "null", note)
        else:
            try:
                self._put(name, float(value), found, note)
            except OverflowError:
                raise Unusable(Reason.NOT_A_NUMBER, f"got a whole number too large in {name[:_SHOWN]!r}") from None

    def _put(self, field: str, value: float, found: dict[str, float], note: Note | None) -> None:
        rule = self._rules.metrics.get(field)
        name = field
        if rule is not None:
            name = rule.name or field
            value = value * rule.factor + rule.offset
        elif self._rules.only_listed:
            _tell(note, field, "not listed in metrics")
            return
        if not math.isfinite(value):
            raise Unusable(Reason.NOT_A_NUMBER, f"got {value} for {name[:_SHOWN]!r}, expected a finite number")
        if not name:
            raise Unusable(Reason.BAD_METRIC_NAME, "got a field with an empty name, expected 1 to 128 characters")
        if name in found:
            raise Unusable(Reason.DUPLICATE_KEY, f"got two fields for the metric {name[:_SHOWN]!r}, expected one")
        found[name] = value

    def _leave(self, name: str, value: Json, rule: str, kind: str, note: Note | None) -> None:
        """Leave a field out, or refuse the message for it."""
        if rule == "refuse":
            raise Unusable(
                Reason.NOT_A_NUMBER, f"got {kind} in {name[:_SHOWN]!r}: {repr(value)[:_SHOWN]}, expected a number"
            )
        _tell(note, name, f"{kind}, which the settings skip")


def _glob(pattern: str) -> str:
    """Return the regular expression of a pattern with ``*``; atomic groups, so that no name costs backtracking."""
    first, *others = map(re.escape, pattern.split("*"))
    if not others:
        return first
    return first + "".join(f"(?>.*?{part})" for part in others[:-1]) + f".*{others[-1]}"


def _tell(note: Note | None, field: str, why: str) -> None:
    if note is not None:
        note(field, why)
