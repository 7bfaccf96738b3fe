"""What is known of one edge node: its session, its devices, the metrics that births have named, its counter.

A birth's names hold from the birth on. An alias that means what it meant before keeps its age, so messages from
before a repeated birth stay readable; one that means something else is only good for what was sent after the birth.
An alias never seen before is also good for the messages whose refusal made us ask for the birth. Times are those of
the node's own clock (``ts``, microseconds since 1970): only it can order a birth among the messages it sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

SEQUENCES = 256
# Sequence numbers that far ahead of the expected one are ahead; the other half is behind: repeated, or very late.
_HALF = SEQUENCES // 2


@dataclass(frozen=True, slots=True)
class Declared:
    """A metric as a birth declares it. ``is_kept``: its values are chosen to be stored."""

    name: str
    alias: int | None
    datatype: int
    unit: str | None
    since_us: int
    is_kept: bool


class Counter:
    """The sequence numbers of one edge node, 0 to 255 and round again, over all its messages."""

    __slots__ = ("_ahead", "expected")

    def __init__(self, expected: int | None = None) -> None:
        self.expected = expected
        self._ahead: set[int] = set()

    @property
    def has_gap(self) -> bool:
        """Say whether a message is missing before one that came."""
        return bool(self._ahead)

    def begin(self, sequence: int) -> None:
        """Count from a node's birth."""
        self.expected = (sequence + 1) % SEQUENCES
        self._ahead.clear()

    def take(self, sequence: int) -> None:
        """Count a message."""
        if self.expected is None:
            self.expected = sequence
        distance = (sequence - self.expected) % SEQUENCES
        if distance >= _HALF:
            return
        if distance:
            self._ahead.add(sequence)
            return
        self.expected = (sequence + 1) % SEQUENCES
        while self.expected in self._ahead:
            self._ahead.discard(self.expected)
            self.expected = (self.expected + 1) % SEQUENCES

    def give_up(self) -> int:
        """Wait no longer for what is missing; return how many messages that is."""
        if self.expected is None or not self._ahead:
            return 0
        newest = max((sequence - self.expected) % SEQUENCES for sequence in self._ahead)
        missing = newest + 1 - len(self._ahead)
        self.expected = (self.expected + newest + 1) % SEQUENCES
        self._ahead.clear()
        return missing


@dataclass(slots=True)
class Unit:
    """The edge node itself (``device`` is empty) or one device behind it.

    ``asked_us`` is the time of the oldest message that could not be read for want of a birth.
    """

    device: str
    is_born: bool = False
    metrics: dict[str, Declared] = field(default_factory=dict)
    asked_us: int | None = None

    @property
    def is_kept(self) -> bool:
        """Say whether any of its metrics is stored."""
        return any(one.is_kept for one in self.metrics.values())


class Node:
    """One edge node with its devices. ``born_us`` is when it was born by its own clock, ``heard_at`` by ours."""

    def __init__(self, group: str, edge: str, node_id: int | None = None) -> None:
        self.id = node_id
        self.group = group
        self.edge = edge
        self.birth_number: int | None = None
        self.born_us: int | None = None
        self.heard_at: datetime | None = None
        self.counter = Counter()
        self.units: dict[str, Unit] = {"": Unit("")}
        # Since when a message is missing, since when one is given up or the node's birth is, and since when a name is
        # wanted. The first is mended by the message, the last by the birth of whoever used the name.
        self.gap_since: datetime | None = None
        self.lost_since: datetime | None = None
        self.unread_since: datetime | None = None
        # alias -> (device, declaration); an alias is unique over the node and all its devices.
        self._by_alias: dict[int, tuple[str, Declared]] = {}
        # What is to be written of the units: their state, their names.
        self.changed_units: set[str] = set()
        self.renamed_units: set[str] = set()

    @property
    def is_alive(self) -> bool:
        """Say whether it was born and has not died since, as far as is known."""
        return self.units[""].is_born

    @property
    def declared(self) -> int:
        """How many metrics its births have named."""
        return sum(len(unit.metrics) for unit in self.units.values())

    @property
    def wanting_since(self) -> datetime | None:
        """Since when a new birth is wanted, if it is."""
        if self.gap_since is self.lost_since is self.unread_since is None:
            return None
        times = (self.gap_since, self.lost_since, self.unread_since)
        return min(at for at in times if at is not None)

    def unit(self, device: str) -> Unit:
        """Return the node itself or a device, made if it is new."""
        known = self.units.get(device)
        if known is None:
            known = self.units[device] = Unit(device)
        return known

    def restore(self, unit: Unit, metrics: Iterable[Declared]) -> None:
        """Put back what was stored of a unit."""
        unit.metrics = {one.name: one for one in metrics}
        self.units[unit.device] = unit
        for one in unit.metrics.values():
            if one.alias is not None:
                self._by_alias[one.alias] = (unit.device, one)

    def named(self, device: str, alias: int) -> Declared | None:
        """Return what an alias stands for in messages of this device."""
        found = self._by_alias.get(alias)
        return found[1] if found is not None and found[0] == device else None

    def may_read(self, unit: Unit, ts_us: int) -> bool:
        """Say whether the names of a unit hold for what was sent then.

        While it is not born, they hold only for what was sent before the node's newest birth.
        """
        return unit.is_born or (self.is_alive and self.born_us is not None and ts_us < self.born_us)

    def count(self, sequence: int, received_at: datetime) -> None:
        """Count a message of the session, and note since when one is missing."""
        self.counter.take(sequence)
        if not self.counter.has_gap:
            self.gap_since = None
        elif self.gap_since is None:
            self.gap_since = received_at

    def miss(self, received_at: datetime) -> None:
        """Note that the node's birth is missing."""
        if self.lost_since is None:
            self.lost_since = received_at

    def miss_name(self, received_at: datetime) -> None:
        """Note that a name is missing."""
        if self.unread_since is None:
            self.unread_since = received_at

    def give_up(self) -> int:
        """Wait no longer for missing messages, but for a birth; return how many are missing."""
        if self.gap_since is not None:
            self.miss(self.gap_since)
            self.gap_since = None
        return self.counter.give_up()

    def bear_node(self, ts_us: int, birth_number: int | None, sequence: int) -> None:
        """Begin a session: the node's devices have yet to be born in it."""
        if self.is_alive and birth_number != self.birth_number:
            # The session changed and nobody told its end: what could not be read may belong to either.
            self._forget_asked()
        self.birth_number, self.born_us = birth_number, ts_us
        self.counter.begin(sequence)
        self._want_nothing()
        for unit in self.units.values():
            unit.is_born = not unit.device
        self.changed_units.update(self.units)

    def declare(self, unit: Unit, ts_us: int, birth: Sequence[Declared]) -> None:
        """Take over the names that a unit's birth gives; they replace the ones before."""
        unit.is_born = True
        oldest_us = ts_us if unit.asked_us is None else min(ts_us, unit.asked_us)
        metrics: dict[str, Declared] = {}
        for one in birth:
            since_us = self._since(unit, one, ts_us, oldest_us)
            metrics[one.name] = Declared(one.name, one.alias, one.datatype, one.unit, since_us, one.is_kept)
        self.changed_units.add(unit.device)
        unit.asked_us = None
        if all(other.asked_us is None for other in self.units.values()):
            self.unread_since = None
        if metrics == unit.metrics:
            return
        self.renamed_units.add(unit.device)
        self._drop_aliases(unit)
        unit.metrics = metrics
        for one in metrics.values():
            if one.alias is not None:
                self._take_alias(unit.device, one)

    def die(self, device: str) -> list[str]:
        """Note the death of a device, or with the node's own of all of them; return who has died."""
        dead = list(self.units) if not device else [device]
        for name in dead:
            self.unit(name).is_born = False
            self.unit(name).asked_us = None
        self.changed_units.update(dead)
        if not device:
            self._want_nothing()
        return dead

    def stored(self) -> None:
        """Take note that everything is written."""
        self.changed_units.clear()
        self.renamed_units.clear()

    def _since(self, unit: Unit, new: Declared, ts_us: int, oldest_us: int) -> int:
        old = unit.metrics.get(new.name)
        if old is not None and old.alias == new.alias and old.datatype == new.datatype:
            # A clock that was set back makes births older than what they repeat.
            return min(old.since_us, ts_us)
        meant_another = old is not None if new.alias is None else new.alias in self._by_alias
        return ts_us if meant_another else oldest_us

    def _drop_aliases(self, unit: Unit) -> None:
        for one in unit.metrics.values():
            if one.alias is not None and self._by_alias.get(one.alias, ("",))[0] == unit.device:
                del self._by_alias[one.alias]

    def _take_alias(self, device: str, declared: Declared) -> None:
        assert declared.alias is not None  # asked by the caller
        before = self._by_alias.get(declared.alias)
        self._by_alias[declared.alias] = (device, declared)
        if before is None or (before[0] == device and before[1].name == declared.name):
            return
        # The alias has gone from another metric to this one, which leaves the other without.
        owner, other = before
        nameless = Declared(other.name, None, other.datatype, other.unit, other.since_us, other.is_kept)
        self.units[owner].metrics[other.name] = nameless
        self.renamed_units.add(owner)

    def _want_nothing(self) -> None:
        self.gap_since = self.lost_since = self.unread_since = None

    def _forget_asked(self) -> None:
        for unit in self.units.values():
            unit.asked_us = None
