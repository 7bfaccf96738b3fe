"""The bounded queue between the network thread and the writer. Its blocking ``put`` is the back-pressure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from threading import Condition

from ingest.source import Message

_WAIT_S = 0.5


class Mailbox:
    """Messages waiting to be stored: at most ``max_messages`` and ``max_bytes``, plus the one burst that was let in.

    One thread puts, one takes. A burst is what one read of the socket held, at most 256 KiB or one message. Boxes
    that share ``changed`` can be waited for together; ``now_s`` tells the monotonic time, for the age of what waits.
    """

    def __init__(
        self,
        max_messages: int,
        max_bytes: int,
        *,
        changed: Condition | None = None,
        now_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._waiting: deque[Message] = deque()
        # Where each burst ends, counted from the first message ever, and when it came.
        self._bursts: deque[tuple[int, float]] = deque()
        self._bytes = 0
        self._changed = changed or Condition()
        self._now_s = now_s
        self._closed = False
        self.put_total = 0
        self.taken_total = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def bytes(self) -> int:
        """How many bytes of payload wait."""
        return self._bytes

    @property
    def oldest_s(self) -> float | None:
        """When the oldest waiting message came, on the monotonic clock; None when none waits."""
        with self._changed:
            return self._bursts[0][1] if self._bursts else None

    def put(self, messages: Sequence[Message]) -> None:
        """Add messages in order; while the box is full, wait. A closed box takes nothing: it all comes again."""
        size = sum(len(message.payload) for message in messages)
        with self._changed:
            while self._is_full() and not self._closed:
                self._changed.wait(_WAIT_S)
            if self._closed or not messages:
                return
            self._waiting.extend(messages)
            self._bytes += size
            self.put_total += len(messages)
            self._bursts.append((self.put_total, self._now_s()))
            self._changed.notify_all()

    def take(self, max_messages: int, max_bytes: int, timeout_s: float) -> list[Message]:
        """Return the oldest messages, at most so many and (but for the first) so large; wait while there are none."""
        with self._changed:
            if not self._waiting and not self._closed and timeout_s > 0:
                self._changed.wait(timeout_s)
            taken: list[Message] = []
            size = 0
            while self._waiting and len(taken) < max_messages:
                size += len(self._waiting[0].payload)
                if taken and size > max_bytes:
                    size -= len(self._waiting[0].payload)
                    break
                taken.append(self._waiting.popleft())
            self._bytes -= size
            self.taken_total += len(taken)
            while self._bursts and self._bursts[0][0] <= self.taken_total:
                self._bursts.popleft()
            self._changed.notify_all()
            return taken

    def close(self) -> None:
        """Let whoever waits go on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _is_full(self) -> bool:
        return len(self._waiting) >= self._max_messages or self._bytes >= self._max_bytes


def wait_for_any(boxes: Sequence[Mailbox], changed: Condition, timeout_s: float) -> None:
    """Wait until one of these boxes, which share ``changed``, has something, at most ``timeout_s``."""
    with changed:
        if not any(len(box) for box in boxes):
            changed.wait(timeout_s)
