"""What one transaction writes, and what is counted once it is committed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from detectors.bank import FindingChange, Opened
from domain.readings import Readings
from ingest import metrics
from ingest.dialects import Dialects, Heard
from ingest.intake import Intake
from ingest.ownership import NO_MOVE, Move
from ingest.topics import FeedRoute, Route
from storage.devices import Address

NO_READINGS = Readings(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0))


@dataclass(slots=True)
class Plan:
    """What one transaction writes. ``new`` is newer than all that is stored, ``old`` may be there already.

    ``dialects`` are given when messages were heard, ``clocks_s`` are new estimates of devices' clocks by device id.
    """

    new: Readings = NO_READINGS
    old: Readings = NO_READINGS
    late: Readings = NO_READINGS
    intake: Intake | None = None
    dialects: Dialects | None = None
    clocks_s: Mapping[int, float] = field(default_factory=dict)
    changes: list[FindingChange] = field(default_factory=list)
    # The findings were read back: events that followed them have been put before the desk already.
    is_catching_up: bool = False
    states: dict[int, bytes] = field(default_factory=dict)
    released: list[int] = field(default_factory=list)
    # Whatever the plan says of devices, it says of these: they must be our own when it is written.
    device_ids: list[int] = field(default_factory=list)
    move: Move = NO_MOVE

    def first_opened(self) -> dict[int, datetime]:
        """Return, by asset id, when the first of the findings opened."""
        first: dict[int, datetime] = {}
        for change in self.changes:
            if isinstance(change, Opened):
                finding = change.finding
                first[finding.asset_id] = min(finding.opened_at, first.get(finding.asset_id, finding.opened_at))
        return first

    def count(self, messages: int) -> None:
        """Count what is committed now."""
        metrics.MESSAGES.inc(messages)
        metrics.CHANGES.inc(len(self.changes))
        if self.intake is not None:
            for one in self.intake.aside:
                metrics.QUARANTINED.labels(one.reason).inc()
            for tried in self.intake.tried:
                metrics.REPLAYED.labels(tried.result).inc()


def addresses(routes: Sequence[Route | FeedRoute | None], heard: Mapping[int, Heard]) -> set[Address]:
    """Return who speaks in a batch: by the topic, or by what a feed's decoder says."""
    found: set[Address] = {route.address for route in routes if type(route) is Route}
    for one in heard.values():
        found.update(told.address for told in one.told)
    return found
