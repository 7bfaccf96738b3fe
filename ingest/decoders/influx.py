"""Influx line protocol, as Telegraf and many gateways publish it (SPEC E3).

Who speaks is a tag, the measurement, or a level of the topic; the metric's name is put together from measurement, tags
and field. The unit of the times is a setting, because the lines do not say.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from ingest.decoders.telling import Told
from ingest.json_guard import check_size
from ingest.mapping.line_protocol import Line, Value, lines
from ingest.mapping.settings import invalid, read_settings
from ingest.mapping.telling import Gathering, Note
from ingest.mapping.topics import Naming, device_key, first_match, no_template, templates
from ingest.mapping.when import TimeFormat, since_1970
from ingest.quarantine_reasons import Reason, Unusable
from ingest.times import to_microseconds
from storage.feeds import Feed

_TAG = "tag."
_OF_LINE = frozenset({"measurement", "field"})


class InfluxRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How to name devices and metrics. Places to fill: captures of the topic, {measurement}, {tag.NAME}, {field}."""

    topics: list[str]
    device: str = "{tag.host}"
    metric: str = "{measurement}.{field}"
    precision: Literal["ns", "us", "ms", "s"] = "ns"
    missing_time: Literal["receipt", "refuse"] = "refuse"
    booleans: Literal["skip", "number", "refuse"] = "skip"
    text: Literal["skip", "refuse"] = "skip"
    ignore_measurements: tuple[str, ...] = ()
    nothing: Literal["refuse", "ignore"] = "refuse"


class Influx:
    """The decoder of one feed. Raises Refused("invalid_feed")."""

    def __init__(self, feed: Feed) -> None:
        rules = read_settings(feed, InfluxRules)
        self._rules = rules
        self._feed_id = feed.id
        self._device = Naming(rules.device)
        self._metric = Naming(rules.metric)
        self._precision = TimeFormat(rules.precision)
        if not rules.topics:
            raise invalid("topics", "at least one topic template", "an empty list")
        if "field" not in self._metric.names:
            raise invalid("metric", "a name with {field} in it", f"'{rules.metric}'")
        if "field" in self._device.names:
            raise invalid("device", "a name without {field}", f"'{rules.device}'")
        asked = self._device.names | self._metric.names
        captured = {name for name in asked if name not in _OF_LINE and not name.startswith(_TAG)}
        self._templates = templates("topics", rules.topics, feed.topic, captured)
        self._tags = [name.removeprefix(_TAG) for name in asked if name.startswith(_TAG)]

    def decode(self, topic: str, payload: bytes, received_at: datetime) -> Sequence[Told]:
        """Return what the message says, by device. Raises Unusable."""
        return self.explain(topic, payload, received_at, None)

    def explain(self, topic: str, payload: bytes, received_at: datetime, note: Note | None) -> Sequence[Told]:
        """Decode, and tell ``note`` of every field that is left out, and why."""
        check_size(payload)
        captures = first_match(self._templates, topic)
        if captures is None:
            raise no_template(topic, self._templates)
        try:
            text = payload.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Unusable(Reason.BAD_LINE_PROTOCOL, f"got {error}, expected UTF-8") from None
        gathering = Gathering(self._feed_id)
        may_be_nothing = False
        for line in lines(text):
            may_be_nothing |= self._rules.nothing == "ignore"
            if line.measurement in self._rules.ignore_measurements:
                may_be_nothing = True
                if note is not None:
                    note(line.measurement, "a measurement named in ignore_measurements")
                continue
            self._line(line, dict(captures), received_at, gathering, note)
        told = gathering.told()
        if not told and not may_be_nothing:
            raise Unusable(Reason.EMPTY, "got no line with a number, expected at least one")
        return told

    def _line(
        self, line: Line, known: dict[str, str], received_at: datetime, gathering: Gathering, note: Note | None
    ) -> None:
        known["measurement"] = line.measurement
        for tag in self._tags:
            if tag in line.tags:
                known[_TAG + tag] = line.tags[tag]
        key = device_key(self._device.fill(known), f"'{self._rules.device}'")
        values: dict[str, float] = {}
        for field, value in line.fields.items():
            number = self._number(field, value, note)
            if number is None:
                continue
            known["field"] = field
            name = self._metric.fill(known)
            if not name:
                raise Unusable(
                    Reason.BAD_METRIC_NAME, f"got a line without the tags that '{self._rules.metric}' is made of"
                )
            values[name] = number
        if line.time is not None:
            ts_us, by_receipt = since_1970(line.time, self._precision), False
        elif self._rules.missing_time == "receipt":
            ts_us, by_receipt = to_microseconds(received_at), True
        else:
            raise Unusable(Reason.BAD_TIMESTAMP, f"got a line without a time, expected one in {self._precision}")
        gathering.add(key, ts_us, values, by_receipt=by_receipt)

    def _number(self, field: str, value: Value, note: Note | None) -> float | None:
        if isinstance(value, bool):
            rule, kind = self._rules.booleans, "true or false"
        elif isinstance(value, str):
            rule, kind = self._rules.text, "text"
        else:
            return value
        if rule == "number":
            return float(value)
        if rule == "refuse":
            raise Unusable(Reason.NOT_A_NUMBER, f"got {kind} in {field[:64]!r}, expected a number")
        if note is not None:
            note(field, f"{kind}, which the settings skip")
        return None
