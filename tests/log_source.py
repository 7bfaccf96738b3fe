"""A second source, for the tests: an append-only log with partitions and offsets, as Kafka has them.

Each partition is a file of length-prefixed records, a device's messages all in one of them. Workers are processes that
serve the partitions which a file assigns to them, one ``Worker`` each; whoever writes that file is the group's
coordinator. The position of a batch is the offset after its last record, and it is stored nowhere but in the batch's
own transaction: ``commit`` has nothing to do.
"""

from __future__ import annotations

import json
import struct
import sys
import threading
import zlib
from collections.abc import Collection, Iterable
from pathlib import Path

from detectors.trial import warm_up
from ingest.limits import IngestOptions
from ingest.slices import keyed
from ingest.source import Batch, Message
from ingest.worker import Worker
from runtime.clock import SystemClock
from storage.checkpoints import FenceLostError
from storage.database import connect

_HEAD = struct.Struct("!II")
OPTIONS = IngestOptions(
    batch_messages=50, poll_s=0.05, tick_every_s=0.2, replay_every_s=0.2, checkpoint_every_s=0.5, backoff_max_s=0.5
)


def partition_name(number: int) -> str:
    return f"log-{number}"


def append(folder: Path, messages: Iterable[tuple[str, bytes]], partitions: int) -> None:
    """Write messages to the log, each to the partition of its device."""
    parts: dict[int, list[bytes]] = {number: [] for number in range(partitions)}
    for topic, payload in messages:
        device = topic.rpartition("/")[0].encode()
        name = topic.encode()
        parts[zlib.crc32(device) % partitions].append(_HEAD.pack(len(name), len(payload)) + name + payload)
    for number, records in parts.items():
        with (folder / partition_name(number)).open("ab") as log:
            log.write(b"".join(records))


class LogSource:
    """One partition of the log."""

    queued = 0

    def __init__(self, folder: Path, partition: str) -> None:
        self.partition = partition
        self.given: list[int | None] = []
        self._path = folder / partition
        self._offset = 0

    def start_at(self, position: int | None) -> None:
        self.given.append(position)
        self._offset = position or 0

    def listen_to(self, filters: Collection[str], stale: Collection[str] = ()) -> None:
        pass

    def poll(self, max_messages: int, timeout_s: float) -> Batch:
        found = self._read(max_messages)
        if not found:
            threading.Event().wait(timeout_s)
        return Batch(self.partition, found, True, not found, self._offset if found else None)

    def commit(self, batch: Batch) -> None:
        pass

    def close(self) -> None:
        pass

    def _read(self, max_messages: int) -> list[Message]:
        # Before the position is known nothing may be read: whoever had the partition may be ahead.
        if not self.given:
            return []
        found = []
        with self._path.open("rb") as log:
            log.seek(self._offset)
            while len(found) < max_messages and len(head := log.read(_HEAD.size)) == _HEAD.size:
                topic, payload = _HEAD.unpack(head)
                body = log.read(topic + payload)
                if len(body) < topic + payload:
                    break
                found.append(Message(body[:topic].decode(), body[topic:]))
                self._offset += _HEAD.size + len(body)
        return found


class Member:
    """One worker of the group: it serves the partitions that are assigned to it now."""

    def __init__(self, dsn: str, folder: Path, name: str) -> None:
        self._dsn, self._folder, self._name = dsn, folder, name
        self._served: dict[str, tuple[threading.Thread, threading.Event]] = {}

    def look(self) -> None:
        """Begin with what is newly assigned and stop what is not ours any more."""
        assigned = {
            partition
            for partition, owner in json.loads((self._folder / "assignment.json").read_text()).items()
            if owner == self._name
        }
        for partition in [*self._served]:
            thread, stop = self._served[partition]
            if partition not in assigned:
                stop.set()
            if not thread.is_alive():
                del self._served[partition]
        for partition in assigned - self._served.keys():
            stop = threading.Event()
            thread = threading.Thread(target=self._serve, args=(partition, stop))
            self._served[partition] = (thread, stop)
            thread.start()

    def _serve(self, partition: str, stop: threading.Event) -> None:
        source = LogSource(self._folder, partition)
        worker = Worker(lambda: connect(self._dsn), source, SystemClock(), stop, OPTIONS, slice_=keyed(partition))
        how = "stopped"
        try:
            worker.run()
        except FenceLostError:
            how = "refused"
        with (self._folder / f"ended-{self._name}").open("a") as told:
            told.write(f"{partition} {how}\n")


def assign(folder: Path, owners: dict[str, str]) -> None:
    """Deal the partitions out, in one step."""
    new = folder / "assignment.new"
    new.write_text(json.dumps(owners))
    new.rename(folder / "assignment.json")


def main(dsn: str, folder: str, name: str) -> None:
    """Be a worker until killed."""
    warm_up()
    member = Member(dsn, Path(folder), name)
    while True:
        member.look()
        threading.Event().wait(0.1)


if __name__ == "__main__":
    main(*sys.argv[1:])
