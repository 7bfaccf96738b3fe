"""The bounded queue between the network thread and the writer. Its blocking ``put`` is the back-pressure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from threading import Condition

from ingest.source import Message

_WAIT_S = 0.5


class Mailbox:
    """Messages waiting to be stored: at most ``max_messages`` and ``max_bytes``, plus the one burst that was let in.

    One thread puts, one takes. A burst is what one read of the socket held, at most 256 KiB or one message.
    """

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._waiting: deque[Message] = deque()
        self._bytes = 0
        self._changed = Condition()
        self._closed = False
        self.put_total = 0
        self.taken_total = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, messages: Sequence[Message]) -> None:
        """Add messages in order; while the box is full, wait. A closed box takes nothing: it all comes again."""
        size = sum(len(message.payload) for message in messages)
        with self._changed:
            while self._is_full() and not self._closed:
                self._changed.wait(_WAIT_S)
            if self._closed:
                return
            self._waiting.extend(messages)
            self._bytes += size
            self.put_total += len(messages)
            self._changed.notify_all()

    def take(self, max_messages: int, max_bytes: int, timeout_s: float) -> list[Message]:
        """Return the oldest messages, at most so many and (but for the first) so large; wait while there are none."""
        with self._changed:
            if not self._waiting and not self._closed:
                self._changed.wait(timeout_s)
            taken: list[Message] = []
            size = 0
            while self._waiting and len(taken) < max_messages:
                size += len(self._waiting[0].payload)
                if taken and size > max_bytes:
                    break
                taken.append(self._waiting.popleft())
            self._bytes -= sum(len(message.payload) for message in taken)
            self.taken_total += len(taken)
            self._changed.notify_all()
            return taken

    def close(self) -> None:
        """Let whoever waits go on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _is_full(self) -> bool:
        return len(self._waiting) >= self._max_messages or self._bytes >= self._max_bytes
