"""Times on the wire: milliseconds since 1970 or RFC 3339 with a zone, within the window of the device."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta

from ingest.limits import MAX_AGE_LIVE, MAX_AHEAD, OLDEST_RECORDED_US
from ingest.quarantine_reasons import Reason, Unusable

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# A zone is required: a local time without one is a guess, wrong twice a year. [0-9], because \d takes every script's.
_RFC_3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
# Far outside every window; keeps what follows in int64 and in datetime's range.
_MAX_MS = 253_402_300_799_000
_MAX_TEXT = 64


def to_us(ts: int | float | str) -> int:
    """Return microseconds since 1970 UTC. Raises Unusable("bad_timestamp" or, for absurd years, "too_far_ahead")."""
    if isinstance(ts, str):
        return _from_text(ts)
    if isinstance(ts, float) and not math.isfinite(ts):
        raise Unusable(Reason.BAD_TIMESTAMP, f"got ts {ts!r}, expected milliseconds since 1970")
    if ts > _MAX_MS:
        raise Unusable(
            Reason.TOO_FAR_AHEAD, f"got ts {shown(ts)}, beyond the year 9999; expected milliseconds since 1970"
        )
    if ts < 0:
        raise Unusable(Reason.BAD_TIMESTAMP, f"got ts {shown(ts)}, expected milliseconds since 1970, not negative")
    return ts * 1000 if isinstance(ts, int) else round(ts * 1000)


def shown(number: float | int) -> str:
    """Return a number short enough for a sentence; Python refuses to print very large whole numbers."""
    if isinstance(number, int) and number.bit_length() > 128:
        return f"a whole number of {number.bit_length()} bits"
    return repr(number)


def to_datetime(ts_us: int) -> datetime:
    """Return the aware UTC time of microseconds since 1970."""
    return EPOCH + timedelta(microseconds=ts_us)


def to_microseconds(at: datetime) -> int:
    """Return microseconds since 1970 of an aware time."""
    return (at - EPOCH) // _MICROSECOND


class Window:
    """The times that messages received at ``received_at`` may carry."""

    __slots__ = ("newest_us", "oldest_live_us")

    def __init__(self, received_at: datetime) -> None:
        self.newest_us = to_microseconds(received_at + MAX_AHEAD)
        self.oldest_live_us = to_microseconds(received_at - MAX_AGE_LIVE)

    def allows(self, ts_us: int, *, recorded: bool) -> bool:
        """Say whether the time lies inside, ends included."""
        return self._oldest_us(recorded=recorded) <= ts_us <= self.newest_us

    def check(self, ts_us: int, *, recorded: bool) -> None:
        """Raise Unusable("too_far_ahead" or "too_old") when the time lies outside, ends included."""
        if ts_us > self.newest_us:
            raise Unusable(
                Reason.TOO_FAR_AHEAD,
                f"got {to_datetime(ts_us).isoformat()}, expected at most {to_datetime(self.newest_us).isoformat()}",
            )
        oldest_us = self._oldest_us(recorded=recorded)
        if ts_us < oldest_us:
            raise Unusable(
                Reason.TOO_OLD,
                f"got {to_datetime(ts_us).isoformat()}, expected at least {to_datetime(oldest_us).isoformat()}",
            )

    def _oldest_us(self, *, recorded: bool) -> int:
        return OLDEST_RECORDED_US if recorded else self.oldest_live_us


def _from_text(text: str) -> int:
    match = _RFC_3339.fullmatch(text) if len(text) <= _MAX_TEXT else None
    if match is not None:
        day, clock, fraction, zone = match.groups()
        try:
            at = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in 'Zz' else zone}")
            whole_us = (at - EPOCH) // _MICROSECOND
        except (ValueError, OverflowError):
            match = None
        else:
            if whole_us < 0:
                raise Unusable(Reason.TOO_OLD, f"got ts {text!r}, expected a time since 1970")
            return whole_us + int((fraction or ".0")[1:].ljust(6, "0")[:6])
    raise Unusable(
        Reason.BAD_TIMESTAMP,
        f"got ts {text[:_MAX_TEXT]!r}, expected RFC 3339 with a zone, as 2026-03-01T08:00:00.250Z",
    )
