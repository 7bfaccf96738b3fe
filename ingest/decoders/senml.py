"""SenML in JSON (RFC 8428): a pack of records with base fields that hold for the records after them (SPEC E3).

The device is what the topic captures, or the base name ("urn:dev:ow:10e2073a01080063:"). Times are absolute from 2**28
seconds on; smaller and negative ones count from the time of receipt, as section 4.5.3 has it. A sum is a metric of its
own, ``{name}.sum``. Units are not kept: a metric's unit is part of the register.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from ingest.decoders.telling import Told
from ingest.json_guard import ESCAPED_COLON, Json, check_size, parse
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
_NEAR_S = 2**36  # in the year 4147
_MICROSECONDS = 1_000_000
_SHOWN = 64
_NUMBERS = ("bt", "bv", "bs", "t", "v", "s", "ut")
_TEXTS = ("bn", "bu", "n", "u", "vs", "vd")


class _Record(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One record, its fields checked. Whole numbers that are too large for a float are infinite."""

    bn: str | UnsetType = UNSET
    bt: float | UnsetType = UNSET
    bu: str | UnsetType = UNSET
    bv: float | UnsetType = UNSET
    bs: float | UnsetType = UNSET
    bver: Annotated[int, msgspec.Meta(ge=1, le=VERSION)] | UnsetType = UNSET
    n: str | UnsetType = UNSET
    u: str | UnsetType = UNSET
    v: float | UnsetType = UNSET
    vs: str | UnsetType = UNSET
    vb: bool | UnsetType = UNSET
    vd: str | UnsetType = UNSET
    s: float | UnsetType = UNSET
    t: float | UnsetType = UNSET
    ut: float | UnsetType = UNSET


class _Base(msgspec.Struct, gc=False):
    """The base fields that hold for the record at hand, and the device that they name, once that is known."""

    device: str = ""
    name: str = ""
    time: float | UnsetType = UNSET
    value: float | UnsetType = UNSET
    sum: float | UnsetType = UNSET

    def take(self, record: _Record) -> None:
        """Take over what the record changes."""
        if record.bn is not UNSET:
            self.name, self.device = record.bn, ""
        if record.bt is not UNSET:
            self.time = record.bt
        if record.bv is not UNSET:
            self.value = record.bv
        if record.bs is not UNSET:
            self.sum = record.bs


_PACK = msgspec.json.Decoder(list[_Record])
_KEYS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
# Without any of these in its bytes a pack has no value but v.
_OTHER_VALUES = (b'"vs"', b'"vb"', b'"vd"', b"\\u00")


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
        self._by_topic = self._rules.device_from == "topic"
        self._templates = templates(
            "topics", self._rules.topics, feed.topic, self._device.names if self._by_topic else frozenset()
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
        gathering = Gathering(self._feed_id)
        received_us = to_microseconds(received_at)
        base = _Base()
        for record in _records(payload):
            base.take(record)
            self._record(record, base, captures, received_us, gathering, note)
        told = gathering.told()
        if not told and self._rules.nothing == "refuse":
            raise Unusable(Reason.EMPTY, "got a pack without a number, expected at least one")
        return told

    def _record(
        self,
        record: _Record,
        base: _Base,
        captures: Mapping[str, str],
        received_us: int,
        gathering: Gathering,
        note: Note | None,
    ) -> None:
        key, metric = self._names(record, base, captures)
        value = self._value(record, base, metric, note)
        values = {} if value is None else {metric: value}
        if record.s is not UNSET or (base.sum is not UNSET and record.n is not UNSET):
            values[f"{metric}.sum"] = _sum(base.sum, record.s, metric)
        if values:
            ts_us, by_receipt = self._time(record, base, received_us)
            gathering.add(key, ts_us, values, by_receipt=by_receipt)

    def _names(self, record: _Record, base: _Base, captures: Mapping[str, str]) -> tuple[str, str]:
        """Return the device and the metric of a record."""
        own = "" if record.n is UNSET else record.n
        key = base.device or self._key(own, base, captures)
        if self._by_topic:
            name = base.name + own if self._rules.metric == "full_name" else own
        else:
            name = own if base.name else ""
        return key, name or self._rules.unnamed

    def _key(self, own: str, base: _Base, captures: Mapping[str, str]) -> str:
        """Return the device; it is kept for the records after this one, unless it is this record's own name."""
        if self._by_topic:
            base.device = device_key(self._device.fill(captures), "the topic")
            return base.device
        base.device = base.name.rstrip(":/")
        return device_key(base.device or own, "the base name")

    def _value(self, record: _Record, base: _Base, metric: str, note: Note | None) -> float | None:
        """Return the record's number, None when it has none or the settings skip what it has."""
        if record.v is not UNSET:
            return record.v if base.value is UNSET and math.isfinite(record.v) else _sum(base.value, record.v, metric)
        for value, rule, kind in (
            (record.vb, self._rules.booleans, "true or false"),
            (record.vs, self._rules.text, "text"),
            (record.vd, self._rules.data, "data"),
        ):
            if value is not UNSET:
                if rule == "number":
                    return float(value is True)
                if rule == "refuse":
                    raise Unusable(Reason.NOT_A_NUMBER, f"got {kind} for {metric[:_SHOWN]!r}, expected a number")
                if note is not None:
                    note(metric, f"{kind}, which the settings skip")
                return None
        # A base value stands for a value that is left out, but a record of base fields alone measures nothing.
        stands_in = base.value is not UNSET and record.n is not UNSET and record.s is UNSET
        return _sum(base.value, UNSET, metric) if stands_in else None

    def _time(self, record: _Record, base: _Base, received_us: int) -> tuple[int, bool]:
        """Return microseconds since 1970, and whether they count from the receipt."""
        if record.t is UNSET and base.time is UNSET and self._rules.missing_time == "refuse":
            raise Unusable(Reason.BAD_TIMESTAMP, "got a record without a time, expected t or bt")
        seconds = _add(base.time, record.t)
        if not math.isfinite(seconds):
            raise Unusable(Reason.BAD_TIMESTAMP, "got a time beyond all bounds, expected seconds")
        if seconds >= ABSOLUTE_FROM_S:
            # Times that may be out of range are judged elsewhere, which takes longer.
            is_near = seconds < _NEAR_S
            return round(seconds * _MICROSECONDS) if is_near else since_1970(seconds, TimeFormat.S), False
        # Compared in seconds: in microseconds the largest would be infinite.
        if seconds < -received_us // _MICROSECONDS:
            raise Unusable(Reason.TOO_OLD, f"got {seconds!r} s from now, expected a time since 1970")
        return max(received_us + round(seconds * _MICROSECONDS), 0), True


def _records(payload: bytes) -> Iterable[_Record]:
    """Return the records of a pack. Raises Unusable, some of it only when the record at fault is reached."""
    try:
        records, keys = _PACK.decode(payload), _KEYS.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _one_by_one(payload)
    # Each key brings a colon: as many colons as keys and names have, and no key was named twice.
    colons = payload.count(b":") - sum(map(len, keys))
    if colons:
        colons -= sum(record.bn.count(":") for record in records if record.bn is not UNSET)
    if colons:
        colons -= sum(record.n.count(":") for record in records if record.n is not UNSET)
    may_have_several = any(sign in payload for sign in _OTHER_VALUES)
    # The rare cases are looked at again, one by one, which takes longer and names what is wrong.
    if colons or ESCAPED_COLON in payload or (may_have_several and any(map(_has_several, records))):
        return _one_by_one(payload)
    return records


def _has_several(record: _Record) -> bool:
    """Say whether a record has more than one value."""
    if record.vs is record.vb is record.vd is UNSET:
        return False
    return sum(value is not UNSET for value in (record.v, record.vs, record.vb, record.vd)) > 1


def _one_by_one(payload: bytes) -> Iterator[_Record]:
    pack = parse(payload)
    if not isinstance(pack, list) or not all(isinstance(record, dict) for record in pack):
        raise Unusable(Reason.WRONG_SHAPE, "got something else than a list of objects, expected a SenML pack")
    for record in pack:
        if isinstance(record, dict):
            _check(record)
            known = {name: value for name, value in record.items() if name in _Record.__struct_fields__}
            known |= {name: _float(known[name]) for name in _NUMBERS if name in known}
            yield msgspec.convert(known, _Record)


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


def _float(value: Json) -> float:
    """Return a number as a float; infinity when it is too large for one."""
    try:
        return float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:
        return math.inf


def _sum(base: float | UnsetType, own: float | UnsetType, metric: str) -> float:
    total = _add(base, own)
    if not math.isfinite(total):
        raise Unusable(Reason.NOT_A_NUMBER, f"got a number out of range for {metric[:_SHOWN]!r}")
    return total


def _add(base: float | UnsetType, own: float | UnsetType) -> float:
    """Add two numbers, either of which may be missing."""
    if base is UNSET:
        return 0.0 if own is UNSET else own
    return base if own is UNSET else base + own
