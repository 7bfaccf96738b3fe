"""Checkpoints of the detectors' state, one per device, and the fence that lets only one writer at a partition."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection

from storage.queries import load

QUERIES = load("checkpoints")


class FenceLostError(Exception):
    """Another ingester has taken over the partition; this one must stop, it may write nothing more."""


@dataclass(frozen=True, slots=True)
class SavedState:
    """The detectors' state of one device as it was saved."""

    device_id: int
    layout: str
    state: bytes


@dataclass(frozen=True, slots=True)
class Beat:
    """How an ingester does: when it last said so, the newest message it stored, what is queued, who is held."""

    partition: str
    owner: str
    beat_at: datetime | None
    processed_at: datetime | None
    queued: int | None
    held_devices: int | None
    settled: bool | None


def take_fence(connection: Connection, partition: str, owner: str, now: datetime) -> int:
    """Become the one writer of a partition and return the fence to show with every write."""
    row = connection.execute(QUERIES["take_fence"], {"partition": partition, "owner": owner, "now": now}).fetchone()
    assert row is not None  # an upsert returns its row
    return int(row[0])


def hold_fence(connection: Connection, partition: str, fence: int) -> None:
    """Check, first thing in a transaction, that the partition is still ours; it stays so until the end of it.

    Raises FenceLostError when it is not.
    """
    row = connection.execute(QUERIES["hold_fence"], {"partition": partition}).fetchone()
    if row is None or row[0] != fence:
        held = "nobody" if row is None else f"'{row[1]}' with fence {row[0]}"
        raise FenceLostError(
            f"expected to hold partition '{partition}' with fence {fence}, but it is held by {held}; "
            "two ingesters run on one slice of topics: stop one of them"
        )


def load_states(connection: Connection, partition: str, device_ids: Collection[int]) -> list[SavedState]:
    """Return the saved state of these devices; those never saved are left out."""
    values = {"partition": partition, "device_ids": list(device_ids)}
    rows = connection.execute(QUERIES["states"], values).fetchall()
    return [SavedState(int(device_id), str(layout), bytes(state)) for device_id, layout, state in rows]


def save_states(
    connection: Connection, partition: str, layout: str, states: Mapping[int, bytes], now: datetime
) -> None:
    """Save the state of devices, by device id."""
    if not states:
        return
    device_ids = sorted(states)
    connection.execute(
        QUERIES["save_states"],
        {
            "partition": partition,
            "layout": layout,
            "device_ids": device_ids,
            "states": [states[device_id] for device_id in device_ids],
            "now": now,
        },
    )


def beat(connection: Connection, fence: int, told: Beat) -> None:
    """Note how the owner of a partition does; one that was ousted changes nothing."""
    connection.execute(
        QUERIES["beat"],
        {
            "partition": told.partition,
            "fence": fence,
            "now": told.beat_at,
            "processed_at": told.processed_at,
            "queued": told.queued,
            "held_devices": told.held_devices,
            "settled": told.settled,
        },
    )


def beats(connection: Connection) -> list[Beat]:
    """Return how every ingester does, for health pages: an old ``beat_at`` means that it is dead."""
    return [Beat(*row) for row in connection.execute(QUERIES["beats"]).fetchall()]
