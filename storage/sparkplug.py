"""What Sparkplug births have told: edge nodes, their devices, the names, numbers and types of their metrics."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection

from storage.queries import load

QUERIES = load("sparkplug")


@dataclass(frozen=True, slots=True)
class StoredMetric:
    """A declared metric; ``since_us`` is from when on the declaration holds, by the node's clock."""

    name: str
    alias: int | None
    datatype: int
    unit: str | None
    since_us: int


@dataclass(frozen=True, slots=True)
class StoredUnit:
    """The edge node itself (``device`` is empty) or a device behind it; ``metrics`` is None where unchanged."""

    device: str
    is_born: bool
    asked_us: int | None
    metrics: Sequence[StoredMetric] | None


@dataclass(frozen=True, slots=True)
class StoredNode:
    """An edge node of a feed; ``id`` is None while it is not stored, ``units`` those of interest."""

    id: int | None
    group: str
    edge: str
    birth_number: int | None
    born_us: int | None
    heard_at: datetime
    next_sequence: int | None
    units: Sequence[StoredUnit]


def nodes(connection: Connection, feed_id: int, wanted: Collection[tuple[str, str]]) -> list[StoredNode]:
    """Return those of these (group, edge node) that are stored, whole."""
    asked = {"feed_id": feed_id, "groups": [group for group, _ in wanted], "edges": [edge for _, edge in wanted]}
    found: dict[int, StoredNode] = {}
    units: dict[int, list[StoredUnit]] = {}
    for row in connection.execute(QUERIES["nodes"], asked).fetchall():
        group, edge, node_id, birth_number, born_us, heard_at, next_sequence, device, is_born, asked_us, metrics = row
        unit = StoredUnit(device, is_born, asked_us, [_metric(*one) for one in metrics or ()])
        units.setdefault(node_id, []).append(unit)
        number = None if birth_number is None else int(birth_number)
        found[node_id] = StoredNode(node_id, group, edge, number, born_us, heard_at, next_sequence, units[node_id])
    return list(found.values())


def save(connection: Connection, feed_id: int, changed: Sequence[StoredNode]) -> dict[tuple[str, str], int]:
    """Store edge nodes with those of their units that changed; return the ids by (group, edge node)."""
    if not changed:
        return {}
    # In one order everywhere, so that two ingesters cannot wait for each other.
    ordered = sorted(changed, key=lambda node: (node.group, node.edge))
    values = {
        "feed_id": feed_id,
        "groups": [node.group for node in ordered],
        "edges": [node.edge for node in ordered],
        "birth_numbers": [node.birth_number for node in ordered],
        "born_us": [node.born_us for node in ordered],
        "heard_at": [node.heard_at for node in ordered],
        "next_sequences": [node.next_sequence for node in ordered],
    }
    rows = connection.execute(QUERIES["save_nodes"], values).fetchall()
    ids = {(str(group), str(edge)): int(node_id) for group, edge, node_id in rows}
    units = [(ids[node.group, node.edge], unit) for node in ordered for unit in node.units]
    _save_units(connection, units)
    _save_metrics(connection, [(node_id, unit) for node_id, unit in units if unit.metrics is not None])
    return ids


def set_series_units(connection: Connection, node_ids: Collection[int]) -> None:
    """Give the series of these nodes' devices the engineering units that births told."""
    if node_ids:
        connection.execute(QUERIES["set_series_units"], {"node_ids": sorted(node_ids)})


def replay_what_waited(
    connection: Connection, topics: Collection[str], oldest: datetime, limit: int, now: datetime
) -> None:
    """Ask for messages on these topics to be tried again that no birth had explained when they came."""
    if topics:
        asked = {"topics": sorted(topics), "oldest": oldest, "limit": limit, "now": now}
        connection.execute(QUERIES["replay_what_waited"], asked)


def _metric(name: str, alias: str | None, datatype: int, unit: str | None, since_us: int) -> StoredMetric:
    return StoredMetric(name, None if alias is None else int(alias), datatype, unit, since_us)


def _save_units(connection: Connection, units: Sequence[tuple[int, StoredUnit]]) -> None:
    if not units:
        return
    values = {
        "node_ids": [node_id for node_id, _ in units],
        "devices": [unit.device for _, unit in units],
        "is_born": [unit.is_born for _, unit in units],
        "asked_us": [unit.asked_us for _, unit in units],
    }
    connection.execute(QUERIES["save_units"], values)


def _save_metrics(connection: Connection, units: Sequence[tuple[int, StoredUnit]]) -> None:
    if not units:
        return
    of_units = {"node_ids": [node_id for node_id, _ in units], "devices": [unit.device for _, unit in units]}
    connection.execute(QUERIES["forget_metrics"], of_units)
    declared = [(node_id, unit.device, metric) for node_id, unit in units for metric in unit.metrics or ()]
    values = {
        "node_ids": [node_id for node_id, _, _ in declared],
        "devices": [device for _, device, _ in declared],
        "names": [metric.name for _, _, metric in declared],
        "aliases": [metric.alias for _, _, metric in declared],
        "datatypes": [metric.datatype for _, _, metric in declared],
        "units": [metric.unit for _, _, metric in declared],
        "since_us": [metric.since_us for _, _, metric in declared],
    }
    connection.execute(QUERIES["insert_metrics"], values)
