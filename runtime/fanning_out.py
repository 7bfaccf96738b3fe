"""Work fanned out over processes: results as they come, errors told by item, nothing lost with a worker that dies.

Workers are spawned, not forked: a fork would copy locks and connections of threads that it does not copy. They are
nicer than the live processes, and end when their parent does, even when it is killed. When a worker dies the items that
were at work are tried once more, each alone, so that the one it died over is known by name.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait as wait_for_end
from types import TracebackType
from typing import Generic, TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")

LOOK_EVERY_S = 0.5
NICER = 10


class WorkFailed(Exception):
    """What went wrong with an item, in words."""


def fan_out(
    work: Callable[[Item], Made], items: Sequence[Item], *, workers: int, wanted: Callable[[], bool] = lambda: True
) -> Iterator[tuple[Item, Made | WorkFailed]]:
    """Give each item with what ``work`` made of it, or the error it ended by, as they come.

    ``work``, items and results must be picklable. When ``wanted``, asked every half second, says no, the workers are
    ended and nothing more comes. Without ``workers`` this process does it all.
    """
    if workers == 0:
        for item in items:
            if not wanted():
                return
            yield item, _attempt(work, item)
        return
    left: deque[Item] = deque(items)
    suspects: deque[Item] = deque()
    while left or suspects:
        alone = bool(suspects)
        queue = suspects if alone else left
        dead: list[Item] = []
        with _Crew(work, 1 if alone else max(1, min(workers, len(queue)))) as crew:
            while (queue or crew.is_busy) and not dead:
                if not wanted():
                    return
                dead += crew.feed(queue)
                made, lost = crew.finished()
                yield from made
                dead += lost
            dead += crew.unfinished()
        if alone:
            for item in dead:
                yield item, WorkFailed("its worker died; there may be too little memory")
        else:
            suspects.extend(dead)


class _Crew(Generic[Item, Made]):
    """A pool of workers and what they are at."""

    def __init__(self, work: Callable[[Item], Made], workers: int) -> None:
        self._work = work
        self._running: dict[Future[Made | WorkFailed], Item] = {}
        # One more than there are workers: nobody waits while a result is stored.
        self._room = workers + 1 if workers > 1 else 1
        self._before = set(multiprocessing.active_children())
        self._pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _settle_in)

    def __enter__(self) -> _Crew[Item, Made]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._running:
            # Nobody waits for what they are at any more.
            for worker in set(multiprocessing.active_children()) - self._before:
                worker.terminate()
        self._pool.shutdown(wait=True, cancel_futures=True)

    @property
    def is_busy(self) -> bool:
        """Whether something is at work."""
        return bool(self._running)

    def feed(self, queue: deque[Item]) -> list[Item]:
        """Give the workers what they have room for; return what could not be given because one had died."""
        while queue and len(self._running) < self._room:
            item = queue.popleft()
            try:
                self._running[self._pool.submit(_attempt, self._work, item)] = item
            except BrokenProcessPool:
                return [item]
        return []

    def finished(self) -> tuple[list[tuple[Item, Made | WorkFailed]], list[Item]]:
        """Return what has ended within half a second, and the items whose worker has died."""
        done, _ = wait(self._running, timeout=LOOK_EVERY_S, return_when=FIRST_COMPLETED)
        found: list[tuple[Item, Made | WorkFailed]] = []
        lost: list[Item] = []
        for future in done:
            item, error = self._running.pop(future), future.exception()
            if error is None:
                found.append((item, future.result()))
            elif isinstance(error, BrokenProcessPool):
                lost.append(item)
            else:
                found.append((item, _failed(error)))
        return found, lost

    def unfinished(self) -> list[Item]:
        """Give up what has not ended, and return it."""
        left = list(self._running.values())
        self._running.clear()
        return left


def _attempt(work: Callable[[Item], Made], item: Item) -> Made | WorkFailed:
    """Do the work; its error comes back as words, because not every error survives being pickled."""
    try:
        return work(item)
    except Exception as error:  # noqa: BLE001 (the top of the work: told by item, and the rest goes on)
        return _failed(error)


def _failed(error: BaseException) -> WorkFailed:
    return WorkFailed(str(error) or type(error).__name__)


def _settle_in() -> None:
    """Make a worker modest: nicer, deaf to Ctrl-C, which its parent handles, and gone when the parent is."""
    os.nice(NICER)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, name="parent", daemon=True).start()


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for_end([parent.sentinel])
        os._exit(1)
