"""SenML in JSON (RFC 8428): a pack of records with base fields that hold for the records after them (SPEC E3).

The device is what the topic captures, or the base name ("urn:dev:ow:10e2073a01080063:"). Times are absolute from 2**28
seconds on; smaller and negative ones count from the time of receipt, as section 4.5.3 has it. A sum is a metric of its
own, ``{name}.sum``. Units are not kept: a metric's unit is part of the register.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from ingest.decoders.telling import Told
from ingest.json_guard import Json, check_size, parse
from ingest.mapping.settings import invalid, read_settings
from ingest.mapping.telling import Gathering, Note
from ingest.mapping.topics import Naming, device_key, first_match, no_template, templates
from ingest.mapping.when import TimeFormat, since_1970
from ingest.quarantine_reasons import Reason, Unusable
from ingest.times import to_microseconds
from storage.feeds import Feed

VERSION = 10
# Times below this many seconds count from now; above, from 1970.
ABSOLUTE_FROM_S = 2**28
_MICROSECONDS = 1_000_000
_SHOWN = 64
_NUMBERS = ("bt", "bv", "bs", "t", "v", "s", "ut")
_TEXTS = ("bn", "bu", "n", "u", "vs", "vd")


class SenmlRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How to name devices and metrics, and what is made of values that are no numbers.

    With ``device_from = "base_name"`` the device is the base name without its last ``:`` or ``/``, and a record's name
    is the metric; without a base name the whole name is the device. ``metric`` is the record's own name ("name") or the
    one with the base name before it ("full_name"); ``unnamed`` is the metric of a record that has no name of its own.
    """

    topics: list[str]
    device_from: Literal["topic", "base_name"] = "topic"
    device: str = "{device}"
    metric: Literal["name", "full_name"] = "name"
    unnamed: str = "value"
    booleans: Literal["skip", "number", "refuse"] = "skip"
    text: Literal["skip", "refuse"] = "skip"
    data: Literal["skip", "refuse"] = "skip"
    missing_time: Literal["receipt", "refuse"] = "receipt"
    nothing: Literal["refuse", "ignore"] = "refuse"


class Senml:
    """The decoder of one feed. Raises Refused("invalid_feed")."""

    def __init__(self, feed: Feed) -> None:
        self._rules = read_settings(feed, SenmlRules)
        self._feed_id = feed.id
        self._device = Naming(self._rules.device)
        if not self._rules.topics:
            raise invalid("topics", "at least one topic template", "an empty list")
        if not self._rules.unnamed:
            raise invalid("unnamed", "a metric's name", "an empty text")
        by_topic = self._rules.device_from == "topic"
        self._templates = templates(
            "topics", self._rules.topics, feed.topic, self._device.names if by_topic else frozenset()
        )

    def decode(self, topic: str, payload: bytes, received_at: datetime) -> Sequence[Told]:
        """Return what the message says, by device. Raises Unusable."""
        return self.explain(topic, payload, received_at, None)

    def explain(self, topic: str, payload: bytes, received_at: datetime, note: Note | None) -> Sequence[Told]:
        """Decode, and tell ``note`` of every value that is left out, and why."""
        check_size(payload)
        captures = first_match(self._templates, topic)
        if captures is None:
            raise no_template(topic, self._templates)
        pack = parse(payload)
        if not isinstance(pack, list) or not all(isinstance(record, dict) for record in pack):
            raise Unusable(Reason.WRONG_SHAPE, "got something else than a list of objects, expected a SenML pack")
        gathering = Gathering(self._feed_id)
        base: dict[str, Json] = {}
        for record in pack:
            if isinstance(record, dict):
                _check(record)
                base.update({name: value for name, value in record.items() if name in ("bn", "bt", "bv", "bs")})
                self._record(record, base, captures, to_microseconds(received_at), gathering, note)
        told = gathering.told()
        if not told and self._rules.nothing == "refuse":
            raise Unusable(Reason.EMPTY, "got a pack without a number, expected at least one")
        return told

    def _record(
        self,
        record: Mapping[str, Json],
        base: Mapping[str, Json],
        captures: Mapping[str, str],
        received_us: int,
        gathering: Gathering,
        note: Note | None,
    ) -> None:
        key, metric = self._names(record, base, captures)
        values = {}
        value = self._value(record, base, metric, note)
        if value is not None:
            values[metric] = value
        if "s" in record or ("bs" in base and "n" in record):
            values[f"{metric}.sum"] = _sum(base.get("bs"), record.get("s"), metric)
        if values:
            ts_us, by_receipt = self._time(record, base, received_us)
            gathering.add(key, ts_us, values, by_receipt=by_receipt)

    def _names(
        self, record: Mapping[str, Json], base: Mapping[str, Json], captures: Mapping[str, str]
    ) -> tuple[str, str]:
        """Return the device and the metric of a record."""
        own, before = str(record.get("n", "")), str(base.get("bn", ""))
        if self._rules.device_from == "topic":
            key = device_key(self._device.fill(captures), "the topic")
            name = before + own if self._rules.metric == "full_name" else own
        else:
            key = device_key(before.rstrip(":/") or own, "the base name")
            name = own if before else ""
        return key, name or self._rules.unnamed

    def _value(
        self, record: Mapping[str, Json], base: Mapping[str, Json], metric: str, note: Note | None
    ) -> float | None:
        """Return the record's number, None when it has none or the settings skip what it has."""
        if "v" in record:
            return _sum(base.get("bv"), record["v"], metric)
        for field, rule, kind in (
            ("vb", self._rules.booleans, "true or false"),
            ("vs", self._rules.text, "text"),
            ("vd", self._rules.data, "data"),
        ):
            if field in record:
                if rule == "number":
                    return float(record[field] is True)
                if rule == "refuse":
                    raise Unusable(Reason.NOT_A_NUMBER, f"got {kind} for {metric[:_SHOWN]!r}, expected a number")
                if note is not None:
                    note(metric, f"{kind}, which the settings skip")
                return None
        # A base value stands for a value that is left out, but a record of base fields alone measures nothing.
        return _sum(base["bv"], None, metric) if "bv" in base and "n" in record and "s" not in record else None

    def _time(self, record: Mapping[str, Json], base: Mapping[str, Json], received_us: int) -> tuple[int, bool]:
        """Return microseconds since 1970, and whether they count from the receipt."""
        if "t" not in record and "bt" not in base and self._rules.missing_time == "refuse":
            raise Unusable(Reason.BAD_TIMESTAMP, "got a record without a time, expected t or bt")
        seconds = _add(base.get("bt"), record.get("t"))
        if not math.isfinite(seconds):
            raise Unusable(Reason.BAD_TIMESTAMP, "got a time beyond all bounds, expected seconds")
        if seconds >= ABSOLUTE_FROM_S:
            return since_1970(seconds, TimeFormat.S), False
        # Compared in seconds: in microseconds the largest would be infinite.
        if seconds < -received_us // _MICROSECONDS:
            raise Unusable(Reason.TOO_OLD, f"got {seconds!r} s from now, expected a time since 1970")
        return max(received_us + round(seconds * _MICROSECONDS), 0), True


def _check(record: Mapping[str, Json]) -> None:
    """Raise Unusable unless the fields of a record are of their types, and none is one that must be understood."""
    for name, value in record.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if name in _NUMBERS and not is_number:
            reason = Reason.BAD_TIMESTAMP if name in ("bt", "t", "ut") else Reason.NOT_A_NUMBER
            raise Unusable(reason, f"got {repr(value)[:_SHOWN]} in {name!r}, expected a number")
        if name in _TEXTS and not isinstance(value, str):
            raise Unusable(Reason.WRONG_SHAPE, f"got {repr(value)[:_SHOWN]} in {name!r}, expected text")
        if name == "vb" and not isinstance(value, bool):
            raise Unusable(Reason.WRONG_SHAPE, f"got {repr(value)[:_SHOWN]} in 'vb', expected true or false")
        if name == "bver" and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= VERSION):
            raise Unusable(Reason.WRONG_SHAPE, f"got {repr(value)[:_SHOWN]} in 'bver', expected at most {VERSION}")
        if name.endswith("_"):
            raise Unusable(Reason.WRONG_SHAPE, f"got the field {name[:_SHOWN]!r}, which must be understood and is not")
    if sum(name in record for name in ("v", "vs", "vb", "vd")) > 1:
        raise Unusable(Reason.WRONG_SHAPE, "got several of v, vs, vb and vd in one record, expected one")


def _sum(base: Json, own: Json, metric: str) -> float:
    total = _add(base, own)
    if not math.isfinite(total):
        raise Unusable(Reason.NOT_A_NUMBER, f"got a number out of range for {metric[:_SHOWN]!r}")
    return total


def _add(base: Json, own: Json) -> float:
    """Add two numbers, either of which may be missing; infinity when they are too large."""
    try:
        return sum(float(part) for part in (base, own) if isinstance(part, int | float))
    except OverflowError:
        return math.inf
