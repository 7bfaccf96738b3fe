"""Merging: what the survivor takes from the ticket that ends, and what the two said differently (SPEC T9)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from domain.working_time import WorkingTime
from ticketing.sla import RunningClock
from ticketing.ticket import SLA_CLOCKS, Clock


def from_earlier_start(
    clocks: Iterable[RunningClock],
    starts: Mapping[Clock, datetime],
    working: Mapping[str | None, WorkingTime],
) -> tuple[RunningClock, ...]:
    """Return the survivor's clocks, each running since the earlier of its own start and that of the merged tickets.

    The fault has waited since it was first told, so joining a fresh report wins no time. A running clock keeps its
    span of working time, pauses included, and so its due time moves back by the working time between the two starts;
    what has stopped stays as it was.
    """
    return tuple(_earlier(clock, starts.get(clock.clock), working[clock.calendar_id]) for clock in clocks)


def _earlier(clock: RunningClock, start: datetime | None, working: WorkingTime) -> RunningClock:
    if start is None or clock.clock not in SLA_CLOCKS or clock.stopped_at is not None or start >= clock.started_at:
        return clock
    span_s = working.worked(clock.started_at, clock.due_at)
    return replace(clock, started_at=start, due_at=working.due(start, span_s))


def differences(survivor: Mapping[str, object], merged: Mapping[str, object]) -> dict[str, dict[str, object]]:
    """Return, field by field, what the two tickets said differently."""
    return {
        name: {"survivor": survivor[name], "merged": value} for name, value in merged.items() if survivor[name] != value
    }
