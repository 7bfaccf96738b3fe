"""The settings of mapped JSON: where devices, times, values, presence and error codes stand in the message."""

from __future__ import annotations

from typing import Literal

import msgspec

from domain.events import EventKind, EventSeverity
from ingest.json_guard import Json
from ingest.mapping.fields import FieldRules
from ingest.mapping.when import TimeRule


class PresenceRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Topics that say whether a device is there: the whole payload as text, or one field of its JSON.

    ``device`` names it from the captures of these topics; the mapping's own when empty.
    """

    topics: list[str]
    online: tuple[str, ...] = ("online",)
    offline: tuple[str, ...] = ("offline",)
    field: str = ""
    device: str = ""


class EventRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A field whose value is a code: an event in each message that carries one. ``none`` are the values for "no error".

    ``code`` is the event's code, ``{value}`` stands for the field's; ``text_field`` is where its words are.
    """

    field: str
    none: tuple[str | int | bool, ...] = (0, "", "0")
    code: str = "{value}"
    kind: EventKind = EventKind.ERROR
    severity: EventSeverity = EventSeverity.ERROR
    text_field: str = ""


class JsonRules(FieldRules, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How to read the messages of one feed.

    The device is named by ``device`` (text with captures of the topic, or a constant), by the text in
    ``device_field``, or, with ``by_device``, by the keys of the message's object. ``records`` is the field that holds
    the record or the list of records (the message itself when empty); in a record, ``values`` holds the metrics (the
    record itself when empty). Fields are named by their keys joined with dots, from the record, or from the message
    when they begin with ``$.``.
    """

    topics: list[str]
    device: str = "{device}"
    device_field: str = ""
    by_device: bool = False
    ignore_topics: tuple[str, ...] = ()
    records: str = ""
    values: str = ""
    values_missing: Literal["refuse", "record"] = "refuse"
    name_field: str = ""
    value_field: str = ""
    bare: str = ""
    time: TimeRule | None = None
    missing_time: Literal["refuse", "receipt"] = "refuse"
    sequence: str = ""
    nothing: Literal["refuse", "ignore"] = "refuse"
    presence: PresenceRule | None = None
    events: tuple[EventRule, ...] = ()


class Missing:
    """The kind of what is not there: null is something else."""

    __slots__ = ()


MISSING = Missing()
_FROM_MESSAGE = "$."


def look_up(record: Json, message: Json, path: str) -> Json | Missing:
    """Return what stands at a path, MISSING when nothing does. A key that is the whole path wins over nested ones."""
    if path.startswith(_FROM_MESSAGE):
        return _descend(message, path.removeprefix(_FROM_MESSAGE))
    return _descend(record, path)


def reserved_fields(rules: JsonRules, *, of_record: bool) -> frozenset[str]:
    """Return the fields, as the values' object names them, that have a meaning of their own and are no metrics."""
    used = {rules.device_field, rules.sequence, rules.name_field}
    if rules.time is not None:
        used.add(rules.time.field)
    for event in rules.events:
        used |= {event.field, event.text_field}
    used.discard("")
    whole_message = not rules.records and not rules.by_device
    own = {path.removeprefix(_FROM_MESSAGE) for path in used if whole_message or not path.startswith(_FROM_MESSAGE)}
    if of_record or not rules.values:
        return frozenset(own)
    inside = f"{rules.values}."
    return frozenset(path.removeprefix(inside) for path in own if path.startswith(inside))


def _descend(value: Json, path: str) -> Json | Missing:
    while isinstance(value, dict):
        if path in value:
            return value[path]
        head, dot, path = path.partition(".")
        if not dot or head not in value:
            return MISSING
        value = value[head]
    return MISSING
