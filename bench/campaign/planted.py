"""An ingester as a process of its own, as it is or with a bug planted: ``python -m bench.campaign.planted none``.

A campaign is believed only after it has failed with the bug that it is there to find.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Sequence

from ingest.mailbox import Mailbox
from ingest.sequence import SequenceTrack
from ingest.source import Batch, Message
from ingest.worker import Worker
from runtime.clock import SystemClock
from runtime.ingesting import run_ingest
from runtime.settings import Settings


def acknowledge_early() -> None:
    """Acknowledge what was received before it is stored, as auto-acknowledgement does."""
    store = Worker._store

    def early(worker: Worker, messages: Sequence[Message], *more: object) -> None:
        worker._source.commit(Batch(worker._source.partition, messages, settled=True, caught_up=False))
        store(worker, messages, *more)

    Worker._store = early  # type: ignore[method-assign]


def take_without_bound() -> None:
    """Let the queue between network and database grow as it likes."""
    Mailbox._is_full = lambda _box: False  # type: ignore[method-assign, assignment]


def forget_gaps() -> None:
    """Look away when numbers are missing."""
    SequenceTrack._open = lambda _track, _gap: None  # type: ignore[method-assign]


BUGS: dict[str, Callable[[], None]] = {
    "none": lambda: None,
    "acknowledge_early": acknowledge_early,
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
