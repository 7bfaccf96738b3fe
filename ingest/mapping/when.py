"""Time formats of other dialects: which one a field has is said in the feed's settings, never guessed."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

import msgspec

from ingest.json_guard import Json
from ingest.mapping.settings import invalid
from ingest.quarantine_reasons import Reason, Unusable
from ingest.times import shown, to_microseconds, to_us

_MAX_US = 253_402_300_799_000_000
_DIGITS = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,9})?", re.ASCII)
_LOCAL = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?")
_SHOWN = 64


class TimeFormat(StrEnum):
    """How a time is written: RFC 3339 with a zone, a local time without one, or time since 1970 in a unit."""

    RFC_3339 = "rfc3339"
    LOCAL = "local"
    S = "s"
    MS = "ms"
    US = "us"
    NS = "ns"


_NS_OF = {TimeFormat.S: 1_000_000_000, TimeFormat.MS: 1_000_000, TimeFormat.US: 1_000, TimeFormat.NS: 1}


class TimeRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the time stands and how it is written. ``zone`` is an IANA name, for local times only."""

    field: str
    format: TimeFormat
    zone: str = ""


class Timing:
    """A checked rule, ready to read. Raises Refused("invalid_feed") for a zone that is missing or unknown."""

    __slots__ = ("_format", "_zone", "field")

    def __init__(self, rule: TimeRule) -> None:
        self.field = rule.field
        self._format = rule.format
        self._zone: ZoneInfo | None = None
        if not rule.field:
            raise invalid("time.field", "the name of the field", "an empty text")
        if (rule.format is TimeFormat.LOCAL) != bool(rule.zone):
            raise invalid("time.zone", "an IANA zone for the format local, and only for it", f"'{rule.zone}'")
        if rule.zone:
            try:
                self._zone = ZoneInfo(rule.zone)
            except (KeyError, ValueError, OSError):
                raise invalid("time.zone", "an IANA zone such as Asia/Shanghai", f"'{rule.zone[:64]}'") from None

    def read(self, value: Json, received_at: datetime) -> int:
        """Return microseconds since 1970. Raises Unusable."""
        if self._zone is not None:
            return _from_local(value, self._zone, received_at)
        if self._format is TimeFormat.RFC_3339:
            if not isinstance(value, str):
                raise _bad(value, "RFC 3339 with a zone, as 2026-03-01T08:00:00.250Z")
            return to_us(value)
        return since_1970(value, self._format)


def since_1970(value: Json, unit: TimeFormat) -> int:
    """Return microseconds since 1970 of a number (or a text of digits) in this unit. Raises Unusable."""
    number: int | float
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        number = float(value) if "." in value else int(value)
    elif (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, float) and math.isfinite(value)
    ):
        number = value
    else:
        raise _bad(value, f"a number in {unit} since 1970")
    if number < 0:
        raise _bad(value, f"a number in {unit} since 1970, not negative")
    if number > _MAX_US * 1_000 // _NS_OF[unit]:
        raise Unusable(Reason.TOO_FAR_AHEAD, f"got {shown(number)} {unit} since 1970, beyond the year 9999")
    if isinstance(number, int):
        return number * _NS_OF[unit] // 1_000
    return round(number * (_NS_OF[unit] / 1_000))


def _from_local(value: Json, zone: ZoneInfo, received_at: datetime) -> int:
    """Read a local time. The hour that clocks repeat in autumn is taken as the pass nearer to the receipt."""
    match = _LOCAL.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise _bad(value, f"a local time without a zone, as 2026-03-01T08:00:00 ({zone.key})")
    day, clock, fraction = match.groups()
    try:
        local = datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=zone)
        passes = {local.replace(fold=fold).astimezone(UTC) for fold in (0, 1)}
        # A time that the clocks skip in spring comes back as another one.
        passes = {at for at in passes if at.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None)}
    except (ValueError, OverflowError):
        passes = set()
    if not passes:
        raise _bad(value, f"a time that the clocks of {zone.key} show")
    whole_us = to_microseconds(min(passes, key=lambda at: abs(at - received_at)))
    if whole_us < 0:
        raise Unusable(Reason.TOO_OLD, f"got {value!r}, expected a time since 1970")
    return whole_us + int((fraction or ".0")[1:].ljust(6, "0")[:6])


def _bad(value: Json, expected: str) -> Unusable:
    got = shown(value) if isinstance(value, int | float) else repr(value)[:_SHOWN]
    return Unusable(Reason.BAD_TIMESTAMP, f"got {got}, expected {expected}")
