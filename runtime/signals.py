"""Ctrl-C, SIGTERM and a closed terminal: the first one asks to stop, the later ones change nothing."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self, TypeAlias

Handler: TypeAlias = Callable[[int, FrameType | None], object] | int | None
_ASKED_BY = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class AskedToStop(KeyboardInterrupt):
    """Raised in what is being done.

    A class of its own: when a plain KeyboardInterrupt passes through code that is run from text, as every dataclass is
    made, Python remembers it, and ends by SIGINT at last although somebody caught it.
    """


class StopSignals:
    """Sets ``stop`` on the first signal; while ``interrupting`` also raises AskedToStop in what is being done."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.interrupting = True
        self._before: list[Handler] = []

    def __enter__(self) -> Self:
        self._before = [signal.signal(number, self._on_signal) for number in _ASKED_BY]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in zip(_ASKED_BY, self._before, strict=True):
            signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        first = not self.stop.is_set()
        self.stop.set()
        if first and self.interrupting:
            raise AskedToStop
