"""An ingester as a process of its own, as it is or with a bug planted: ``python -m bench.campaign.planted none``.

A campaign is believed only after it has failed with the bug that it is there to find.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Sequence

import psycopg

from ingest.mailbox import Mailbox
from ingest.ownership import Move
from ingest.sequence import SequenceTrack
from ingest.source import Batch, Message
from ingest.worker import Worker
from runtime.clock import SystemClock
from runtime.ingesting import run_ingest
from runtime.settings import Settings


def acknowledge_early() -> None:
    """Acknowledge what was received before it is stored, as auto-acknowledgement does."""
    store = Worker._store

    def early(worker: Worker, messages: Sequence[Message], *more: Move) -> None:
        worker._source.commit(Batch(worker._source.partition, messages, settled=True, caught_up=False))
        store(worker, messages, *more)

    Worker._store = early  # type: ignore[method-assign, assignment]


class _Failed(BaseException):
    """Not an Exception, so that nobody on the way takes it for trouble with the data."""


def store_once() -> None:
    """Take a batch for stored, and acknowledge it, though the database failed in the middle."""
    store, wait = Worker._store, Worker._wait_for_database

    def fail(worker: Worker, error: psycopg.Error) -> None:
        if worker in storing:
            raise _Failed
        wait(worker, error)

    storing: set[Worker] = set()

    def once(worker: Worker, messages: Sequence[Message], *more: Move) -> None:
        storing.add(worker)
        try:
            store(worker, messages, *more)
        except _Failed:
            pass
        finally:
            storing.discard(worker)

    Worker._store, Worker._wait_for_database = once, fail  # type: ignore[method-assign, assignment]


def take_without_bound() -> None:
    """Let the queue between network and database grow as it likes."""
    Mailbox._is_full = lambda _box: False  # type: ignore[method-assign, assignment]


def forget_gaps() -> None:
    """Look away when numbers are missing."""
    SequenceTrack._open = lambda _track, _gap: None  # type: ignore[method-assign, assignment]


BUGS: dict[str, Callable[[], None]] = {
    "none": lambda: None,
    "acknowledge_early": acknowledge_early,
    "store_once": store_once,
    "take_without_bound": take_without_bound,
    "forget_gaps": forget_gaps,
}


def main() -> None:
    """Run until SIGTERM."""
    BUGS[sys.argv[1]]()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    run_ingest(Settings.load(), SystemClock(), stop)


if __name__ == "__main__":
    main()
