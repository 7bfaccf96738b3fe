"""Mapped JSON: topic templates and a field mapping cover most of what equipment sends (SPEC E3).

One decoder for flat and nested objects, lists of them, {"ts", "values"} in other words, gateways that speak for many
devices, presence topics and error codes in fields. The presets in ``editions/feeds`` are settings of this decoder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from domain.events import Event
from ingest.decoders.native import check_code, check_sequence, check_text
from ingest.decoders.telling import DecodedEvent, Told
from ingest.json_guard import Json, check_size, parse
from ingest.mapping.fields import Fields
from ingest.mapping.json_rules import EventRule, JsonRules, Missing, look_up, reserved_fields
from ingest.mapping.settings import invalid, read_settings
from ingest.mapping.telling import Gathering, Note
from ingest.mapping.topics import Naming, device_key, first_match, no_template, templates
from ingest.mapping.when import Timing
from ingest.quarantine_reasons import Reason, Unusable
from ingest.times import to_datetime, to_microseconds
from storage.feeds import Feed

_SHOWN = 64


class MappedJson:
    """The decoder of one feed. Raises Refused("invalid_feed") for settings that do not fit together."""

    def __init__(self, feed: Feed) -> None:
        rules = read_settings(feed, JsonRules)
        self._feed_id = feed.id
        self._rules = rules
        if not rules.topics:
            raise invalid("topics", "at least one topic template", "an empty list")
        from_topic = not rules.device_field and not rules.by_device
        self._device = Naming(rules.device)
        self._bare = Naming(rules.bare)
        captured = (self._device.names if from_topic else frozenset()) | self._bare.names
        self._templates = templates("topics", rules.topics, feed.topic, captured)
        self._ignored = templates("ignore_topics", rules.ignore_topics, feed.topic)
        self._fields = Fields(rules)
        self._timing = None if rules.time is None else Timing(rules.time)
        if self._timing is None and rules.missing_time == "refuse":
            raise invalid("time", "the field of the time, or missing_time = receipt", "neither")
        if bool(rules.name_field) != bool(rules.value_field):
            raise invalid("value_field", "given together with name_field", "only one of them")
        self._reserved = reserved_fields(rules, of_record=False)
        self._reserved_of_record = reserved_fields(rules, of_record=True)
        self._present = templates("presence.topics", rules.presence.topics if rules.presence else (), feed.topic)
        self._present_device = self._device
        if rules.presence is not None:
            self._check_presence(from_topic)

    def decode(self, topic: str, payload: bytes, received_at: datetime) -> Sequence[Told]:
        """Return what the message says, by device. Raises Unusable."""
        return self.explain(topic, payload, received_at, None)

    def explain(self, topic: str, payload: bytes, received_at: datetime, note: Note | None) -> Sequence[Told]:
        """Decode, and tell ``note`` of every field that is left out, and why."""
        check_size(payload)
        captures = first_match(self._present, topic)
        if captures is not None:
            return [self._presence(captures, payload)]
        if first_match(self._ignored, topic) is not None:
            if note is not None:
                note(topic, "a topic named in ignore_topics")
            return ()
        captures = first_match(self._templates, topic)
        if captures is None:
            raise no_template(topic, (*self._templates, *self._present))
        message = parse(payload)
        gathering = Gathering(self._feed_id)
        reading = _Reading(message, captures, received_at, gathering, note)
        if self._rules.by_device:
            if not isinstance(message, dict):
                raise _wrong_shape(message, "an object of devices")
            for name, records in message.items():
                self._records(records, device_key(name, "a key of the message"), reading)
        else:
            found = look_up(message, message, self._rules.records) if self._rules.records else message
            self._records(found, None, reading)
        told = gathering.told()
        if not told and self._rules.nothing == "refuse":
            raise Unusable(Reason.EMPTY, "got a message without a metric or an event, expected at least one")
        return told

    def _records(self, found: Json | Missing, key: str | None, reading: _Reading) -> None:
        if isinstance(found, Missing):
            raise Unusable(Reason.WRONG_SHAPE, f"got no field {self._rules.records!r}, expected the records there")
        for record in found if isinstance(found, list) else (found,):
            self._record(record, key, reading)

    def _record(self, record: Json, key: str | None, reading: _Reading) -> None:
        rules = self._rules
        if key is None:
            key = self._key(record, reading)
        values = self._values(record, reading)
        ts_us = self._time(record, reading)
        by_receipt = ts_us is None
        if ts_us is None:
            ts_us = to_microseconds(reading.received_at)
        seq = None
        if rules.sequence:
            seq = _sequence(look_up(record, reading.message, rules.sequence))
        events = [
            event
            for rule in rules.events
            if (event := _event(rule, record, reading.message, ts_us, None if values else seq)) is not None
        ]
        reading.gathering.add(key, ts_us, values, by_receipt=by_receipt, seq=seq, events=events)

    def _key(self, record: Json, reading: _Reading) -> str:
        if not self._rules.device_field:
            return device_key(self._device.fill(reading.captures), "the topic")
        named = look_up(record, reading.message, self._rules.device_field)
        if isinstance(named, int) and not isinstance(named, bool) and named.bit_length() <= _SHOWN:
            named = str(named)
        return device_key(named if isinstance(named, str) else None, f"the field '{self._rules.device_field}'")

    def _values(self, record: Json, reading: _Reading) -> dict[str, float]:
        rules, note = self._rules, reading.note
        if rules.name_field:
            return self._named_value(record, reading)
        if not isinstance(record, dict):
            if rules.bare and not isinstance(record, list):
                return self._fields.read(record, (), note, self._bare.fill(reading.captures))
            raise _wrong_shape(record, "an object")
        if not rules.values:
            return self._fields.read(record, self._reserved, note)
        inner = look_up(record, reading.message, rules.values)
        if isinstance(inner, dict):
            if note is not None:
                for field in record:
                    if field != rules.values.partition(".")[0] and field not in self._reserved_of_record:
                        note(field, f"outside '{rules.values}'")
            return self._fields.read(inner, self._reserved, note)
        if isinstance(inner, Missing) and rules.values_missing == "record":
            return self._fields.read(record, self._reserved_of_record, note)
        raise Unusable(Reason.WRONG_SHAPE, f"got no object in {rules.values!r}, expected the metrics there")

    def _named_value(self, record: Json, reading: _Reading) -> dict[str, float]:
        """Read a record that is one metric: its name in one field, its value in another."""
        name = look_up(record, reading.message, self._rules.name_field)
        value = look_up(record, reading.message, self._rules.value_field)
        if not isinstance(name, str) or isinstance(value, Missing):
            raise Unusable(
                Reason.WRONG_SHAPE,
                f"got no text {self._rules.name_field!r} with a value in {self._rules.value_field!r}; expected both",
            )
        return self._fields.read({name: value}, (), reading.note)

    def _time(self, record: Json, reading: _Reading) -> int | None:
        if self._timing is not None:
            written = look_up(record, reading.message, self._timing.field)
            if written is not None and not isinstance(written, Missing):
                return self._timing.read(written, reading.received_at)
        if self._rules.missing_time == "receipt":
            return None
        field = "" if self._timing is None else self._timing.field
        raise Unusable(Reason.BAD_TIMESTAMP, f"got no time, expected one in {field!r}")

    def _presence(self, captures: Mapping[str, str], payload: bytes) -> Told:
        rule = self._rules.presence
        key = device_key(self._present_device.fill(captures), "the topic")
        text: Json | Missing = payload.decode("utf-8", "replace").strip()
        if rule is not None and rule.field and payload.lstrip()[:1] == b"{":
            text = look_up(parse(payload), None, rule.field)
        if rule is not None and isinstance(text, str):
            if text in rule.online:
                return Told((self._feed_id, key), online=True)
            if text in rule.offline:
                return Told((self._feed_id, key), online=False)
        shown = "nothing" if isinstance(text, Missing) else repr(text)[:_SHOWN]
        expected = "" if rule is None else " or ".join((*rule.online, *rule.offline))
        raise Unusable(Reason.BAD_STATE, f"got {shown}, expected {expected}")

    def _check_presence(self, from_topic: bool) -> None:
        rule = self._rules.presence
        if rule is None:
            return
        if rule.device:
            self._present_device = Naming(rule.device)
        elif not from_topic:
            raise invalid("presence.device", "given, because the topic does not name the device otherwise", "nothing")
        if not rule.topics or not rule.online or not rule.offline or set(rule.online) & set(rule.offline):
            raise invalid("presence", "topics, and different texts for online and offline", f"{rule}"[:200])
        for template in self._present:
            if self._present_device.names - template.names:
                raise invalid(
                    "presence.topics", f"templates that capture {sorted(self._present_device.names)}", template.filter
                )


class _Reading:
    """One message being read."""

    __slots__ = ("captures", "gathering", "message", "note", "received_at")

    def __init__(
        self,
        message: Json,
        captures: Mapping[str, str],
        received_at: datetime,
        gathering: Gathering,
        note: Note | None,
    ) -> None:
        self.message = message
        self.captures = captures
        self.received_at = received_at
        self.gathering = gathering
        self.note = note


def _event(rule: EventRule, record: Json, message: Json, ts_us: int, seq: int | None) -> DecodedEvent | None:
    """Return the event that a field's code stands for, None when it says that all is well."""
    value = look_up(record, message, rule.field)
    # 0 and false are equal to Python and not to people: a text, a number or a truth is compared with its own kind.
    if isinstance(value, Missing) or value is None or any(type(no) is type(value) and no == value for no in rule.none):
        return None
    if isinstance(value, dict | list) or (isinstance(value, int) and value.bit_length() > _SHOWN):
        raise Unusable(Reason.BAD_EVENT, f"got a code in {rule.field!r} that is no text and no number")
    said = str(value).lower() if isinstance(value, bool) else str(value)
    words = look_up(record, message, rule.text_field) if rule.text_field else ""
    text = words if isinstance(words, str) else ""
    code = rule.code.replace("{value}", said)
    check_code(code)
    check_text(text)
    return DecodedEvent(ts_us, seq, Event(to_datetime(ts_us), rule.kind, code, rule.severity, text))


def _sequence(value: Json | Missing) -> int | None:
    if value is None or isinstance(value, Missing):
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unusable(Reason.BAD_SEQUENCE, f"got seq {repr(value)[:_SHOWN]}, expected a whole number")
    return check_sequence(value)


def _wrong_shape(got: Json, expected: str) -> Unusable:
    kind = "a list" if isinstance(got, list) else "an object" if isinstance(got, dict) else repr(got)[:_SHOWN]
    return Unusable(Reason.WRONG_SHAPE, f"got {kind}, expected {expected}")
