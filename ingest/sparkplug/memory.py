"""The edge nodes of one feed in memory: read from the database when first heard, written with the batch."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from psycopg import Connection

from ingest.quarantine_reasons import Reason, Unusable
from ingest.sparkplug.nodes import Declared, Node, Unit
from ingest.sparkplug.topics import data_topic, key_of
from storage import sparkplug
from storage.sparkplug import StoredMetric, StoredNode, StoredUnit

MAX_NODES = 5_000  # of one feed
MAX_UNITS = 2_000  # devices of one edge node, itself included
MAX_DECLARED = 10_000  # metrics of one edge node and its devices
MAX_DECLARED_ALL = 200_000  # metrics of one feed
# A birth has what waited for it tried again: so much of it, and nothing older.
REPLAY_LIMIT = 10_000
REPLAY_AGE = timedelta(days=7)
# The messages of one batch are received one after the other from its time on.
BATCH_SPAN = timedelta(seconds=1)

NodeName = tuple[str, str]


class Memory:
    """The nodes of a feed. ``keeps`` says whether the values of metrics of this name are stored."""

    def __init__(self, feed_id: int, keeps: Callable[[str], bool]) -> None:
        self._feed_id = feed_id
        self._keeps = keeps
        self._nodes: dict[NodeName, Node] = {}
        self._touched: dict[NodeName, Node] = {}
        # Who spoke since the last batch was written, in whatever way.
        self._spoke: dict[NodeName, Node] = {}
        # (group, edge node, device) of the births that came since the last batch was written.
        self._births: set[tuple[str, str, str]] = set()
        self._declared = 0

    def read(self, connection: Connection, wanted: Collection[NodeName]) -> None:
        """Read those of these nodes that are not in memory: one query, or none."""
        missing = [name for name in wanted if name not in self._nodes]
        if not missing or len(self._nodes) >= MAX_NODES:
            return
        for stored in sparkplug.nodes(connection, self._feed_id, missing):
            node = self._nodes[stored.group, stored.edge] = self._restored(stored)
            self._declared += node.declared

    def node(self, group: str, edge: str) -> Node:
        """Return a node, made if it is new. Raises Unusable("too_many_names")."""
        known = self._nodes.get((group, edge))
        if known is None:
            if len(self._nodes) >= MAX_NODES:
                raise Unusable(
                    Reason.TOO_MANY_NAMES, f"the feed has {MAX_NODES} edge nodes, with {key_of(group, edge, '')!r} more"
                )
            known = self._nodes[group, edge] = Node(group, edge)
        self._spoke[group, edge] = known
        return known

    def unit(self, node: Node, device: str) -> Unit:
        """Return the node itself or a device of it, made if it is new. Raises Unusable("too_many_names")."""
        if device not in node.units and len(node.units) >= MAX_UNITS:
            raise Unusable(
                Reason.TOO_MANY_NAMES, f"the edge node has {MAX_UNITS - 1} devices, with {device[:64]!r} more"
            )
        return node.unit(device)

    def touch(self, node: Node, received_at: datetime) -> None:
        """Note that a live message of the node came."""
        node.heard_at = received_at
        self._touched[node.group, node.edge] = node

    def note_birth(self, node: Node, device: str) -> None:
        """Note that a birth of this unit came."""
        self._births.add((node.group, node.edge, device))

    def declare(self, node: Node, unit: Unit, ts_us: int, birth: list[Declared]) -> None:
        """Take over the names that a birth gives. Raises Unusable("too_many_metrics"), and keeps the names before."""
        more = len(birth) - len(unit.metrics)
        for there, limit in ((node.declared, MAX_DECLARED), (self._declared, MAX_DECLARED_ALL)):
            if more > 0 and there + more > limit:
                raise Unusable(
                    Reason.TOO_MANY_METRICS,
                    f"the birth declares {len(birth)} metrics, {there + more} altogether, expected at most {limit}",
                )
        node.declare(unit, ts_us, birth)
        self._declared += more

    def write(self, connection: Connection, now: datetime) -> None:
        """Store what has changed, and have what waited for a birth tried again."""
        for node in self._spoke.values():
            if node.heard_at is not None and node.heard_at > now + BATCH_SPAN:
                # Our own clock was set back: what comes from now on is not old.
                self.touch(node, now)
        saved = sparkplug.save(connection, self._feed_id, [_to_store(node, now) for node in self._touched.values()])
        for name, node_id in saved.items():
            self._nodes[name].id = node_id
        born = {self._nodes[group, edge].id for group, edge, _ in self._births}
        sparkplug.set_series_units(connection, [node_id for node_id in born if node_id is not None])
        topics = [data_topic(*birth) for birth in self._births]
        sparkplug.replay_what_waited(connection, topics, now - REPLAY_AGE, REPLAY_LIMIT, now)

    def stored(self) -> None:
        """Take note that what was written is committed."""
        for node in self._touched.values():
            node.stored()
        self._touched.clear()
        self._spoke.clear()
        self._births.clear()

    def forget(self) -> None:
        """Drop everything."""
        self._nodes.clear()
        self._touched.clear()
        self._spoke.clear()
        self._births.clear()
        self._declared = 0

    def _restored(self, stored: StoredNode) -> Node:
        node = Node(stored.group, stored.edge, stored.id)
        node.birth_number, node.born_us, node.heard_at = stored.birth_number, stored.born_us, stored.heard_at
        node.counter.expected = stored.next_sequence
        for unit in stored.units:
            metrics = [
                Declared(one.name, one.alias, one.datatype, one.unit, one.since_us, self._keeps(one.name))
                for one in unit.metrics or ()
            ]
            node.restore(Unit(unit.device, unit.is_born, asked_us=unit.asked_us), metrics)
        return node


def _to_store(node: Node, now: datetime) -> StoredNode:
    is_new = node.id is None
    units = [
        StoredUnit(
            unit.device,
            unit.is_born,
            unit.asked_us,
            [StoredMetric(one.name, one.alias, one.datatype, one.unit, one.since_us) for one in unit.metrics.values()]
            if is_new or device in node.renamed_units
            else None,
        )
        for device, unit in node.units.items()
        if is_new or device in node.changed_units or device in node.renamed_units
    ]
    return StoredNode(
        node.id,
        node.group,
        node.edge,
        node.birth_number,
        node.born_us,
        node.heard_at or now,
        node.counter.expected,
        units,
    )
