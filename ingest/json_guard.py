"""Strict JSON, for every dialect that speaks it: what Python would let pass in silence is refused by name (SPEC E5).

NaN, Infinity and 1e400 are no numbers, wrong UTF-8 and lone surrogates no JSON: msgspec says so while it parses. Keys
named twice (all but the last would be lost) and nesting without end are found here.
"""

from __future__ import annotations

import json
import re
from typing import TypeAlias

import msgspec

from ingest.limits import MAX_NAME_LENGTH, MAX_PAYLOAD_BYTES
from ingest.quarantine_reasons import Reason, Unusable

Json: TypeAlias = dict[str, "Json"] | list["Json"] | str | int | float | bool | None

# Deeper than any equipment nests, and far from what Python's recursion bears.
MAX_DEPTH = 32
_ANYTHING = msgspec.json.Decoder()
_NOT_FINITE = re.compile(rb"\b(?:NaN|nan|Inf|inf|Infinity)\b")
# A colon in text may be written as \u003a, where it is not counted in the bytes.
ESCAPED_COLON = b"\\u003"


def parse(payload: bytes) -> Json:
    """Return what the JSON says. Raises Unusable, and nothing else whatever the bytes are."""
    check_size(payload)
    try:
        decoded: Json = _ANYTHING.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refusal(error, payload) from None
    # Each key brings a colon. As many colons as keys: nothing was named twice. More: keys were lost, or text was
    # not counted, and only a slower look tells.
    if payload.count(b":") != _colons(decoded) or ESCAPED_COLON in payload:
        refuse_duplicate_keys(payload)
    return decoded


def check_size(payload: bytes, limit: int = MAX_PAYLOAD_BYTES) -> None:
    """Raise Unusable("too_large") when the payload has more than ``limit`` bytes."""
    if len(payload) > limit:
        raise Unusable(Reason.TOO_LARGE, f"got {len(payload)} bytes, expected at most {limit}")


def refuse_duplicate_keys(payload: bytes) -> None:
    """Raise Unusable("duplicate_key") when an object of this JSON names a key twice."""
    try:
        # parse_int keeps Python from refusing (or labouring over) whole numbers of thousands of digits.
        json.loads(payload, object_pairs_hook=_unique, parse_int=str)
    except (ValueError, RecursionError) as error:
        raise Unusable(Reason.BAD_JSON, str(error)[:300]) from None


def says_not_finite(payload: bytes) -> bool:
    """Say whether the bytes name a number that is none: what the sender meant when the JSON is broken there."""
    return _NOT_FINITE.search(payload) is not None


def _colons(decoded: Json) -> int:
    """Count the colons that this JSON was written with; raises Unusable when it is nested too deep."""
    colons = 0
    level: list[Json] = [decoded]
    for _ in range(MAX_DEPTH):
        below: list[Json] = []
        for value in level:
            if isinstance(value, dict):
                colons += len(value)
                for key, inner in value.items():
                    colons += key.count(":")
                    if isinstance(inner, str):
                        colons += inner.count(":")
                    elif isinstance(inner, dict | list):
                        below.append(inner)
            elif isinstance(value, list):
                below += value
            elif isinstance(value, str):
                colons += value.count(":")
        if not below:
            return colons
        level = below
    raise Unusable(Reason.BAD_JSON, f"got JSON nested deeper than {MAX_DEPTH} levels, expected at most {MAX_DEPTH}")


def _refusal(error: Exception, payload: bytes) -> Unusable:
    said = str(error)[:300]
    if isinstance(error, msgspec.ValidationError):
        return Unusable(Reason.NOT_A_NUMBER, f"{said}; expected finite numbers")
    if says_not_finite(payload):
        return Unusable(Reason.NOT_A_NUMBER, f"{said}; NaN and Infinity are neither JSON nor finite numbers")
    return Unusable(Reason.BAD_JSON, said)


def _unique(pairs: list[tuple[str, object]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise Unusable(Reason.DUPLICATE_KEY, f"got the key {key[:MAX_NAME_LENGTH]!r} twice in one object")
        seen.add(key)
