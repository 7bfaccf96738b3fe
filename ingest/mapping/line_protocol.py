"""The grammar of Influx line protocol: ``measurement,tag=value field=1.5,other=2i 1767225600000000000``.

Backslashes escape commas, equals signs and spaces in names, quotes and backslashes in texts; before anything else they
stand for themselves. A text may contain line ends, a name may not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import msgspec

from ingest.quarantine_reasons import Reason, Unusable

Value = float | bool | str

_MEASUREMENT = re.compile(r"(?:\\[, \\]|[^, \n])+")
_NAME = re.compile(r"(?:\\[,= \\]|[^,= \n])+")
_TEXT = re.compile(r'"((?:\\["\\]|[^"])*+)"')
_PLAIN = re.compile(r"[^, \n]+")
_SPACES = re.compile(r" +")
_TIME = re.compile(r"-?[0-9]{1,20}")
# Each digit can be matched in one way only: otherwise a sender's 50,000 digits cost minutes of backtracking.
_FLOAT = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"([+-]?[0-9]{1,20})i")
_UNSIGNED = re.compile(r"([0-9]{1,20})u")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)i?", re.IGNORECASE)
_ESCAPE = re.compile(r"\\([,= \\])")
_ESCAPE_IN_TEXT = re.compile(r'\\(["\\])')
_TRUE = frozenset({"t", "T", "true", "True", "TRUE"})
_FALSE = frozenset({"f", "F", "false", "False", "FALSE"})
_SHOWN = 64


class Line(msgspec.Struct, frozen=True):
    """One line. ``time`` is in the unit of the sender's choice, None when there is none."""

    measurement: str
    tags: dict[str, str]
    fields: dict[str, Value]
    time: int | None


def lines(text: str) -> Iterator[Line]:
    """Read the lines of a message; comments and empty lines are passed over. Raises Unusable."""
    at = 0
    while at < len(text):
        if text[at] in "\n\r ":
            at += 1
        elif text[at] == "#":
            at = text.find("\n", at) % (len(text) + 1)
        else:
            line, at = _line(text, at)
            yield line


def _line(text: str, at: int) -> tuple[Line, int]:
    measurement, at = _take(_MEASUREMENT, text, at, "a measurement")
    tags: dict[str, str] = {}
    while text[at : at + 1] == ",":
        key, at = _take(_NAME, text, at + 1, "a tag")
        at = _sign(text, at, "=")
        value, at = _take(_NAME, text, at, "a tag's value")
        _once(key, tags)
        tags[_plain(key)] = _plain(value)
    _, at = _take(_SPACES, text, at, "a space before the fields")
    fields: dict[str, Value] = {}
    while True:
        key, at = _take(_NAME, text, at, "a field")
        at = _sign(text, at, "=")
        _once(key, fields)
        fields[_plain(key)], at = _value(text, at)
        if text[at : at + 1] != ",":
            break
        at += 1
    time = None
    spaces = _SPACES.match(text, at)
    at = at if spaces is None else spaces.end()
    stamp = _TIME.match(text, at)
    if spaces is not None and stamp is not None:
        time, at = int(stamp[0]), stamp.end()
    while text[at : at + 1] in (" ", "\r"):
        at += 1
    if at < len(text) and text[at] != "\n":
        raise _bad(text, at, "a time in whole numbers or the end of the line")
    return Line(_plain(measurement), tags, fields, time), at


def _value(text: str, at: int) -> tuple[Value, int]:
    if text[at : at + 1] == '"':
        quoted = _TEXT.match(text, at)
        if quoted is None:
            raise _bad(text, at, "a closing quote")
        return _ESCAPE_IN_TEXT.sub(r"\1", quoted[1]), quoted.end()
    written, end = _take(_PLAIN, text, at, "a field's value")
    written = written.rstrip("\r")
    if written in _TRUE | _FALSE:
        return written in _TRUE, end
    for pattern, least, most in ((_INTEGER, -(2**63), 2**63 - 1), (_UNSIGNED, 0, 2**64 - 1)):
        whole = pattern.fullmatch(written)
        if whole is not None:
            if not least <= int(whole[1]) <= most:
                raise Unusable(Reason.NOT_A_NUMBER, f"got {written}, expected {least} to {most}")
            return float(whole[1]), end
    if _FLOAT.fullmatch(written) and math.isfinite(number := float(written)):
        return number, end
    if _FLOAT.fullmatch(written) or _NOT_FINITE.fullmatch(written):
        raise Unusable(Reason.NOT_A_NUMBER, f"got {written[:_SHOWN]!r}, expected a finite number")
    raise _bad(text, at, "a number, a whole number with i or u, true, false, or text in quotes")


def _take(pattern: re.Pattern[str], text: str, at: int, expected: str) -> tuple[str, int]:
    found = pattern.match(text, at)
    if found is None:
        raise _bad(text, at, expected)
    return found[0], found.end()


def _sign(text: str, at: int, sign: str) -> int:
    if text[at : at + 1] != sign:
        raise _bad(text, at, repr(sign))
    return at + 1


def _once(key: str, known: dict[str, str] | dict[str, Value]) -> None:
    if _plain(key) in known:
        raise Unusable(Reason.DUPLICATE_KEY, f"got {_plain(key)[:_SHOWN]!r} twice in one line")


def _plain(name: str) -> str:
    return _ESCAPE.sub(r"\1", name) if "\\" in name else name


def _bad(text: str, at: int, expected: str) -> Unusable:
    line = text.count("\n", 0, at) + 1
    got = repr(text[at : at + _SHOWN].partition("\n")[0]) if at < len(text) else "the end"
    return Unusable(Reason.BAD_LINE_PROTOCOL, f"got {got} in line {line}, expected {expected}")
