"""The real clock. The only file that reads one (ADR 2)."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    """The machine's own clock, as a `domain.clock.Clock`."""

    def now(self) -> datetime:
        """Return the wall-clock time, aware, in UTC."""
        return datetime.now(UTC)  # noqa: TID251 (this is the one place)

    def monotonic_s(self) -> float:
        """Return seconds on a clock that never goes back; only differences mean anything."""
        return time.monotonic()  # noqa: TID251 (this is the one place)
