"""Targets of the service level, one set for each priority (SPEC S2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ticketing.policy.reading import PolicyTable, invalid_policy
from ticketing.ticket import SLA_CLOCKS, Clock


@dataclass(frozen=True, slots=True)
class Targets:
    """The SLA of one priority, in seconds from opening."""

    seconds: Mapping[Clock, int]
    round_the_clock: bool


def read_targets(table: PolicyTable) -> Targets:
    """Return the targets of one priority, in the order in which clocks can run out."""
    seconds = {clock: table.integer(f"{clock.value}_s", 1, 31_536_000) for clock in SLA_CLOCKS}
    in_order = [seconds[clock] for clock in SLA_CLOCKS]
    if in_order != sorted(in_order):
        raise invalid_policy(table.path, "accept_s <= respond_s <= resolve_s <= close_s", str(in_order))
    found = Targets(seconds, table.boolean("round_the_clock"))
    table.finish()
    return found
