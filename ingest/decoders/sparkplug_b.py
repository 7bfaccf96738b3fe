"""Sparkplug B 3.0: births name metrics and give them numbers, data comes by number, deaths end a session (SPEC E3).

An edge node, or a device behind it, is spoken of as a device when it has metrics that are stored: a mere gateway need
not be registered. Every value is decoded by the names of the session it was sent in, or not at all. A message that is
missing, or a number that no birth has named, makes us ask the edge node to be born again; what could not be read
meanwhile is in quarantine and is tried again by itself when the birth comes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from psycopg import Connection

from ingest.decoders.telling import Outgoing, Told
from ingest.limits import MAX_NAME_LENGTH
from ingest.quarantine_reasons import Reason, Unusable
from ingest.sparkplug import counts
from ingest.sparkplug.feed_settings import settings_of
from ingest.sparkplug.heard import Found, Heard
from ingest.sparkplug.memory import Memory
from ingest.sparkplug.nodes import Declared, Node
from ingest.sparkplug.rebirths import Rebirths
from ingest.sparkplug.topics import Kind, key_of, parse
from ingest.sparkplug.values import Skipped, TypeUnknownError, to_number, unit_of
from ingest.sparkplug.wire import DataType, Metric, Payload, read
from storage.feeds import Feed

_BIRTH_NUMBER = "bdSeq"
_CONTROLS = ("Node Control/", "Device Control/")
_DATA_TYPES = frozenset(DataType)
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")


class SparkplugB:
    """Sparkplug B on one feed. It remembers what births told: see ``Remembering``."""

    def __init__(self, feed: Feed) -> None:
        settings = settings_of(feed)
        self.host_id = settings.host_id
        self._feed_id = feed.id
        self._chosen = settings.chosen
        self._memory = Memory(feed.id, self._keeps)
        self._rebirths = Rebirths(settings.reorder_s, settings.rebirth_pause_s)
        self._wanting: dict[tuple[str, str], Node] = {}
        self._now: datetime | None = None

    def decode(self, topic: str, payload: bytes, received_at: datetime) -> Sequence[Told]:
        """Return what the message says; nothing for commands, STATE, and deaths of sessions that are over."""
        spoken = parse(topic)
        if spoken is None:
            return ()
        message = read(payload, is_birth=spoken.kind is Kind.BIRTH)
        node = self._memory.node(spoken.group, spoken.edge)
        unit = self._memory.unit(node, spoken.device)
        # What comes out of quarantine was received long ago: it is read, and changes nothing of what is known.
        is_live = node.heard_at is None or received_at >= node.heard_at
        heard = Heard(spoken, message, node, unit, received_at, is_live)
        if is_live:
            self._memory.touch(node, received_at)
        if spoken.kind is Kind.DEATH:
            return self._death(heard)
        return self._birth(heard) if spoken.kind is Kind.BIRTH else self._data(heard)

    def prepare(self, connection: Connection, topics: Collection[str]) -> None:
        """Read the edge nodes of these topics, unless they are known already."""
        names = set()
        for topic in topics:
            try:
                spoken = parse(topic)
            except Unusable:
                continue
            if spoken is not None:
                names.add((spoken.group, spoken.edge))
        self._memory.read(connection, names)

    def write(self, connection: Connection, now: datetime) -> None:
        """Store what has changed."""
        self._now = now
        self._memory.write(connection, now)

    def stored(self) -> Sequence[Outgoing]:
        """Take note of the commit; return the requests to be born again that are due."""
        self._memory.stored()
        return () if self._now is None else self.due(self._now)

    def due(self, now: datetime) -> Sequence[Outgoing]:
        """Return the requests that are due by now, even though no message came."""
        requests = []
        for name, node in list(self._wanting.items()):
            if node.wanting_since is None:
                del self._wanting[name]
            elif (request := self._rebirths.due(node, now)) is not None:
                counts.LOST.inc(node.give_up())
                counts.REBIRTHS.inc()
                requests.append(request)
        return requests

    def forget(self) -> None:
        """Forget everything that is not committed. When nodes were asked last is kept: they are not asked again."""
        self._memory.forget()
        self._wanting.clear()

    def _birth(self, heard: Heard) -> Sequence[Told]:
        node, unit = heard.node, heard.unit
        self._memory.note_birth(node, unit.device)
        declared, problem = self._declared(heard.message, heard.sent_us)
        if heard.is_live:
            if not unit.device:
                node.bear_node(heard.sent_us, _birth_number(heard.message), heard.sequence or 0)
            else:
                self._count(heard)
            self._memory.declare(node, unit, heard.sent_us, declared)
        # The names are kept even where a value is refused: what follows must be readable.
        if problem is not None:
            raise problem
        found = Found(heard)
        for metric, one in zip(heard.message.metrics, declared, strict=True):
            try:
                self._take(metric, one.name, one.datatype, one.is_kept, found)
            except TypeUnknownError:
                raise Unusable(
                    Reason.BAD_SPARKPLUG, f"metric {one.name[:64]!r} of a birth has no data type, expected one"
                ) from None
        if not any(one.is_kept for one in declared):
            return ()
        return (found.told(self._feed_id, online=unit.is_born and node.is_alive),)

    def _data(self, heard: Heard) -> Sequence[Told]:
        if heard.is_live:
            self._count(heard)
        found = Found(heard)
        names = heard.unit.metrics if heard.node.may_read(heard.unit, heard.sent_us) else {}
        for metric in heard.message.metrics:
            declared = self._find(metric, heard, names)
            name = metric.name if declared is None else declared.name
            datatype = metric.datatype or (DataType.UNKNOWN if declared is None else declared.datatype)
            is_kept = self._keeps(name) if declared is None else declared.is_kept
            try:
                self._take(metric, name, datatype, is_kept, found)
            except TypeUnknownError:
                raise self._unread(heard, f"metric {name[:64]!r} comes without its data type") from None
        if not found:
            return ()
        is_online = heard.is_live and heard.unit.is_born and heard.node.is_alive
        return (found.told(self._feed_id, online=True if is_online else None),)

    def _death(self, heard: Heard) -> Sequence[Told]:
        node, unit = heard.node, heard.unit
        if not heard.is_live:
            return ()
        if unit.device:
            self._count(heard)
            node.die(unit.device)
            return [Told((self._feed_id, heard.key), online=False)] if unit.is_kept else ()
        if not node.is_alive or _birth_number(heard.message) != node.birth_number:
            # The will of a session that is over may come after the birth of the next one.
            counts.STALE_DEATHS.inc()
            return ()
        born = [device for device, one in node.units.items() if one.is_born and one.is_kept]
        node.die("")
        return [Told((self._feed_id, key_of(node.group, node.edge, device)), online=False) for device in born]

    def _count(self, heard: Heard) -> None:
        node = heard.node
        if not node.is_alive:
            node.miss(heard.received_at)
        if heard.sequence is not None:
            node.count(heard.sequence, heard.received_at)
        if node.wanting_since is not None:
            self._wanting[node.group, node.edge] = node

    def _declared(self, message: Payload, sent_us: int) -> tuple[list[Declared], Unusable | None]:
        """Return the declarations of a birth, one for each metric, and what is wrong with the birth, if anything."""
        declared: list[Declared] = []
        problem: Unusable | None = None
        names: set[str] = set()
        aliases: set[int] = set()
        for place, metric in enumerate(message.metrics):
            name, is_kept = metric.name, self._keeps(metric.name)
            alias = metric.alias if metric.HasField("alias") else None
            if not _is_name(name) or name in names:
                if is_kept:
                    problem = problem or Unusable(
                        Reason.BAD_METRIC_NAME,
                        f"got {name[:MAX_NAME_LENGTH]!r}, expected a name of its own of 1 to {MAX_NAME_LENGTH} "
                        "characters without control characters",
                    )
                # Its number is known, and stands for nothing that is stored.
                name, is_kept = f"\ufffd{place}", False
            if alias is not None and alias in aliases:
                problem = problem or Unusable(Reason.BAD_SPARKPLUG, f"got alias {alias} for two metrics of one birth")
                alias = None
            names.add(name)
            aliases.update(() if alias is None else (alias,))
            datatype = metric.datatype if metric.datatype in _DATA_TYPES else DataType.UNKNOWN
            declared.append(Declared(name, alias, datatype, unit_of(metric), sent_us, is_kept))
        return declared, problem

    def _find(self, metric: Metric, heard: Heard, names: Mapping[str, Declared]) -> Declared | None:
        """Return the declaration that a metric of a data message refers to, None where it speaks for itself."""
        if metric.name:
            declared = names.get(metric.name)
            return declared if declared is not None and declared.since_us <= heard.sent_us else None
        if not metric.HasField("alias"):
            raise Unusable(Reason.BAD_SPARKPLUG, "got a metric with neither name nor alias, expected one of them")
        declared = heard.node.named(heard.unit.device, metric.alias) if names else None
        if declared is None:
            raise self._unread(heard, f"no birth of {heard.key!r} has named alias {metric.alias}")
        if heard.sent_us < declared.since_us:
            if heard.is_live:
                # Late, or its clock was set back since the birth: then a new birth tells.
                self._want(heard)
            raise Unusable(
                Reason.STALE_ALIAS,
                f"alias {metric.alias} means {declared.name[:64]!r} since a birth that is "
                f"{(declared.since_us - heard.sent_us) / 1e6:.3f} s newer than the message",
            )
        return declared

    def _unread(self, heard: Heard, detail: str) -> Unusable:
        if heard.is_live:
            unit = heard.unit
            unit.asked_us = heard.sent_us if unit.asked_us is None else min(unit.asked_us, heard.sent_us)
            heard.node.changed_units.add(unit.device)
            self._want(heard)
        return Unusable(Reason.UNKNOWN_ALIAS, f"{detail}; its birth will have this message tried again")

    def _want(self, heard: Heard) -> None:
        heard.node.miss_name(heard.received_at)
        self._wanting[heard.node.group, heard.node.edge] = heard.node

    def _take(self, metric: Metric, name: str, datatype: int, is_kept: bool, found: Found) -> None:
        if is_kept:
            value = to_number(metric, datatype, name)
        else:
            value = Skipped.CONTROL if _is_control(name) else Skipped.NOT_CHOSEN
        if isinstance(value, Skipped):
            counts.SKIPPED.labels(value.value).inc()
        else:
            found.add(metric, name, value)

    def _keeps(self, name: str) -> bool:
        return not _is_control(name) and self._chosen.fullmatch(name) is not None


def _is_control(name: str) -> bool:
    return name == _BIRTH_NUMBER or name.startswith(_CONTROLS)


def _is_name(name: str) -> bool:
    return 1 <= len(name) <= MAX_NAME_LENGTH and not _CONTROL_CHARACTER.search(name)


def _birth_number(message: Payload) -> int | None:
    """Return the number that ties a death to the birth of its session."""
    for metric in message.metrics:
        if metric.name == _BIRTH_NUMBER:
            field = metric.WhichOneof("value")
            if field in ("int_value", "long_value"):
                return metric.int_value if field == "int_value" else metric.long_value
    return None
