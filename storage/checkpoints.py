"""Checkpoints of the detectors' state, one per device, and the fence that lets only one writer at a partition.

A device belongs to one partition: the one that its row in ``checkpoint`` names. ``claim`` moves it, with its state,
when the slices are cut anew. It waits for the transactions of the former owner and shuts out the later ones: every
transaction first holds its fence, then checks that the devices it writes are still its own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection

from storage.queries import load

QUERIES = load("checkpoints")


class FenceLostError(Exception):
    """Another ingester has taken over the partition, or devices of it; this one must stop and may write nothing."""


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


def let_go_when_idle(connection: Connection, seconds: float) -> None:
    """Have the server end this session when its client falls silent for so long within a transaction.

    An ingester that is frozen holds its fence by a lock, and nobody could take its partition over.
    """
    connection.execute(QUERIES["let_go_when_idle"], {"milliseconds": round(1000 * seconds)})


def take_fence(connection: Connection, partition: str, owner: str, now: datetime) -> int:
    """Become the one writer of a partition and return the fence to show with every write.

    The former owner's session is ended first: it may be frozen with locks that would keep us out.
    """
    connection.execute(QUERIES["end_former_owner"], {"partition": partition})
    row = connection.execute(QUERIES["take_fence"], {"partition": partition, "owner": owner, "now": now}).fetchone()
    assert row is not None  # an upsert returns its row
    return int(row[0])


def note_session(connection: Connection, partition: str, fence: int) -> None:
    """Note that this connection is the owner's now, so that whoever takes over knows which one to end."""
    connection.execute(QUERIES["note_session"], {"partition": partition, "fence": fence})


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


def hold_devices(connection: Connection, partition: str, device_ids: Collection[int]) -> None:
    """Check, after ``hold_fence`` in the same transaction, that these devices are ours; they stay so until its end.

    Raises FenceLostError when one of them is not.
    """
    wanted = set(device_ids)
    if not wanted:
        return
    values = {"partition": partition, "device_ids": sorted(wanted)}
    row = connection.execute(QUERIES["count_own"], values).fetchone()
    if row is None or row[0] != len(wanted):
        held = 0 if row is None else row[0]
        raise FenceLostError(
            f"expected partition '{partition}' to own {len(wanted)} devices, but {len(wanted) - held} of them belong "
            "to another slice now; start this ingester again with the slices that the others have"
        )


def claim(connection: Connection, partition: str, fence: int, device_ids: Collection[int]) -> None:
    """Make these devices ours, with the state that another partition saved of them. To be called outside transactions.

    Raises FenceLostError when the partition itself is not ours any more.
    """
    wanted = sorted(set(device_ids))
    values = {"partition": partition, "device_ids": wanted}
    row = connection.execute(QUERIES["count_own"], values).fetchone()
    if row is not None and row[0] == len(wanted):
        return
    with connection.transaction():
        # Whoever claims, one after the other: of devices that nobody has, there is no row to wait for.
        connection.execute(QUERIES["claim_in_turn"])
        connection.execute(QUERIES["hold_former_fences"], values)
        hold_fence(connection, partition, fence)
        connection.execute(QUERIES["take_devices"], values)
        connection.execute(QUERIES["drop_doubles"], values)
        connection.execute(QUERIES["own_devices"], values)


def owned_devices(connection: Connection, partition: str) -> set[int]:
    """Return the ids of the devices that belong to a partition."""
    return {int(row[0]) for row in connection.execute(QUERIES["owned_devices"], {"partition": partition}).fetchall()}


def registered_sites(connection: Connection) -> list[str]:
    """Return every site that is registered: each is to be heard by one slice."""
    return [str(row[0]) for row in connection.execute(QUERIES["registered_sites"]).fetchall()]


def sites_heard(connection: Connection, partitions: Mapping[str, str], since: datetime) -> set[str]:
    """Return those of these sites that their partition hears by now: its ingester listens, and has their devices.

    ``partitions`` is by site; an ingester that has not beaten since ``since`` is not known to listen.
    """
    sites = sorted(partitions)
    values = {"sites": sites, "partitions": [partitions[site] for site in sites], "since": since}
    return {str(row[0]) for row in connection.execute(QUERIES["sites_heard"], values).fetchall()}


def stored_position(connection: Connection, partition: str) -> int | None:
    """Return the position after the last batch that was stored, None when the source has none or nothing was."""
    row = connection.execute(QUERIES["stored_position"], {"partition": partition}).fetchone()
    return None if row is None or row[0] is None else int(row[0])


def advance(
    connection: Connection, partition: str, fence: int, from_position: int | None, to_position: int | None
) -> None:
    """Move the position of a partition within the transaction that stores the batch; None for both moves nothing.

    Doing it again, when it was not known whether the commit had come through, is harmless. Raises FenceLostError when
    another owner has moved it, or holds the fence.
    """
    if from_position is None and to_position is None:
        return
    values = {"partition": partition, "fence": fence, "from_position": from_position, "to_position": to_position}
    if connection.execute(QUERIES["advance"], values).rowcount != 1:
        found = stored_position(connection, partition)
        raise FenceLostError(
            f"expected partition '{partition}' at position {from_position} under fence {fence}, found {found} "
            "or another fence: another worker has the partition; this one must stop"
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
