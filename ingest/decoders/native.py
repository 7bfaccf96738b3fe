"""The native format (SPEC E3): {"ts", "seq"?, "values"}, events {"ts", "seq"?, "code", ...}, or a list of those.

msgspec checks shape and numbers while it parses: NaN, Infinity, 1e400, null and text are no numbers, wrong UTF-8 and
lone surrogates no JSON. What it would let pass in silence is checked here: keys named twice (all but the last would
be lost), whole numbers too large for the database, and control characters, of which PostgreSQL takes no NUL.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
from msgspec import UNSET, UnsetType

from domain.events import Event, EventKind, EventSeverity
from ingest.decoders.telling import DecodedEvent
from ingest.json_guard import ESCAPED_COLON, check_size, refuse_duplicate_keys, says_not_finite
from ingest.limits import (
    MAX_ATTRIBUTES,
    MAX_CODE_LENGTH,
    MAX_NAME_LENGTH,
    MAX_SEQUENCE,
    MAX_TEXT_LENGTH,
)
from ingest.quarantine_reasons import Reason, Unusable
from ingest.times import shown, to_datetime, to_us


class Sample(msgspec.Struct, frozen=True, gc=False):
    """One telemetry object: the values of many metrics at one time."""

    ts: int | float | str
    values: dict[str, float]
    seq: int | UnsetType | None = UNSET


class _WireEvent(msgspec.Struct, frozen=True):
    ts: int | float | str
    code: str
    seq: int | UnsetType | None = UNSET
    kind: EventKind | UnsetType = UNSET
    severity: EventSeverity | UnsetType = UNSET
    text: str | UnsetType = UNSET
    attrs: dict[str, str] | UnsetType = UNSET


class _State(msgspec.Struct, frozen=True):
    state: str


_TELEMETRY = msgspec.json.Decoder(Sample | list[Sample])
_EVENTS = msgspec.json.Decoder(_WireEvent | list[_WireEvent])
_STATE = msgspec.json.Decoder(_State | str)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NUL = "\0"
_STATES = {"online": True, "offline": False}


def decode_telemetry(payload: bytes) -> Sequence[Sample]:
    """Return the samples of a telemetry message, at least one, each with at least one value.

    Names and times are not checked yet: see ``check_name`` and ``ingest.times``. Raises Unusable.
    """
    check_size(payload)
    try:
        decoded = _TELEMETRY.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refusal(error, payload) from None
    samples = decoded if isinstance(decoded, list) else (decoded,)
    if not samples:
        raise Unusable(Reason.EMPTY, "got an empty list, expected at least one sample")
    keys = 0
    for sample in samples:
        if not sample.values:
            raise Unusable(Reason.EMPTY, "got a sample without values, expected at least one metric")
        if sample.seq is not UNSET:
            check_sequence(sample.seq)
            keys += 1
        if isinstance(sample.ts, str):
            keys += sample.ts.count(":")
        keys += 2 + len(sample.values)
    # Each key brings a colon. As many colons as keys: nothing was named twice. More: text has colons too, or keys
    # were lost, and only a slower look tells; so too when colons written as escapes could make up for lost ones.
    # (One byte is found twice as fast as six, and nearly no message has a backslash.)
    if payload.count(b":") != keys or (b"\\" in payload and ESCAPED_COLON in payload):
        refuse_duplicate_keys(payload)
    return samples


def decode_events(payload: bytes) -> list[DecodedEvent]:
    """Return the events of a message, at least one. Raises Unusable."""
    check_size(payload)
    try:
        decoded = _EVENTS.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refusal(error, payload) from None
    refuse_duplicate_keys(payload)
    heard = decoded if isinstance(decoded, list) else [decoded]
    if not heard:
        raise Unusable(Reason.EMPTY, "got an empty list, expected at least one event")
    return [_event(one) for one in heard]


def decode_state(payload: bytes) -> bool:
    """Return whether the device says it is online: online, "online" or {"state": "online"}. Raises Unusable."""
    check_size(payload)
    text = payload.decode("utf-8", "replace").strip()
    if text not in _STATES:
        try:
            decoded = _STATE.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            decoded = text
        text = decoded.state if isinstance(decoded, _State) else decoded
    if text not in _STATES:
        raise Unusable(Reason.BAD_STATE, f"got {text[:64]!r}, expected online or offline")
    return _STATES[text]


def check_name(name: str) -> None:
    """Raise Unusable("bad_metric_name") unless a metric may be called this."""
    if not 1 <= len(name) <= MAX_NAME_LENGTH or _CONTROL.search(name):
        raise Unusable(
            Reason.BAD_METRIC_NAME,
            f"got {name[:MAX_NAME_LENGTH]!r} of {len(name)} characters, expected 1 to {MAX_NAME_LENGTH} "
            "without control characters",
        )


def check_sequence(seq: int | UnsetType | None) -> int | None:
    """Return the sequence number, None where there is none. Raises Unusable("bad_sequence")."""
    if seq is None or isinstance(seq, UnsetType):
        return None
    if not 0 <= seq <= MAX_SEQUENCE:
        raise Unusable(Reason.BAD_SEQUENCE, f"got seq {shown(seq)}, expected 0 to {MAX_SEQUENCE}")
    return seq


def check_code(code: str) -> None:
    """Raise Unusable("bad_event") unless an event may have this code."""
    if not 1 <= len(code) <= MAX_CODE_LENGTH or _CONTROL.search(code):
        raise Unusable(
            Reason.BAD_EVENT,
            f"got code {code[:MAX_CODE_LENGTH]!r}, expected 1 to {MAX_CODE_LENGTH} characters, none of control",
        )


def check_text(text: str) -> None:
    """Raise Unusable("bad_event") unless an event may have this text."""
    if len(text) > MAX_TEXT_LENGTH or _NUL in text:
        raise Unusable(
            Reason.BAD_EVENT, f"got text of {len(text)} characters, expected at most {MAX_TEXT_LENGTH} and no NUL"
        )


def _event(wire: _WireEvent) -> DecodedEvent:
    text = "" if isinstance(wire.text, UnsetType) else wire.text
    attributes = {} if isinstance(wire.attrs, UnsetType) else wire.attrs
    check_code(wire.code)
    check_text(text)
    if len(attributes) > MAX_ATTRIBUTES:
        raise Unusable(Reason.BAD_EVENT, f"got {len(attributes)} attrs, expected at most {MAX_ATTRIBUTES}")
    for name, value in attributes.items():
        if len(name) > MAX_NAME_LENGTH or len(value) > MAX_TEXT_LENGTH or _NUL in name or _NUL in value:
            raise Unusable(
                Reason.BAD_EVENT,
                f"got attr {name[:MAX_NAME_LENGTH]!r}, expected a name of at most {MAX_NAME_LENGTH} and a text of at "
                f"most {MAX_TEXT_LENGTH} characters, no NUL",
            )
    ts_us = to_us(wire.ts)
    kind = EventKind.ERROR if isinstance(wire.kind, UnsetType) else wire.kind
    severity = EventSeverity.ERROR if isinstance(wire.severity, UnsetType) else wire.severity
    event = Event(to_datetime(ts_us), kind, wire.code, severity, text, attributes)
    return DecodedEvent(ts_us, check_sequence(wire.seq), event)


def _refusal(error: Exception, payload: bytes) -> Unusable:
    """Name what msgspec found wrong."""
    said = str(error)[:300]
    if isinstance(error, msgspec.ValidationError):
        path = said.rpartition(" - at `$")[2]
        if ".values[" in path:
            return Unusable(Reason.NOT_A_NUMBER, f"{said}; expected finite numbers")
        if path.endswith(".ts`"):
            return Unusable(Reason.BAD_TIMESTAMP, f"{said}; expected milliseconds since 1970 or RFC 3339 with a zone")
        if path.endswith(".seq`"):
            return Unusable(Reason.BAD_SEQUENCE, f"{said}; expected 0 to {MAX_SEQUENCE}")
        if path.endswith((".kind`", ".severity`")) or ".attrs" in path:
            return Unusable(Reason.BAD_EVENT, said)
        return Unusable(Reason.WRONG_SHAPE, said)
    if says_not_finite(payload):
        return Unusable(Reason.NOT_A_NUMBER, f"{said}; NaN and Infinity are neither JSON nor finite numbers")
    return Unusable(Reason.BAD_JSON, said)
