"""Builders for the tests of the simulated month: a short one, and its people and tickets by hand."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from simulators.console_client import Json
from simulators.month_plan import HOUR, Fault, Machine, Mode, MonthPlan, Place, Span, Worker

MONDAY = datetime(2026, 3, 2, tzinfo=ZoneInfo("Asia/Shanghai"))
HERE = Place(31.3, 120.7)
MOTOR = Machine("MO-001", "plant-1", "motor", HERE, 3)
WEAR = Mode("motor", "bearing_wear", "Bearing wear", 7, ("mechanical",), (24.0, 336.0), (("MO-6308", 1),))


def a_plan(*, seed: int = 1, days: int = 2, engineers: int = 4) -> MonthPlan:
    return MonthPlan(seed, MONDAY, days, engineers)


def a_worker(*shifts: tuple[float, float], offline: tuple[Span, ...] = ()) -> Worker:
    """An engineer with these shifts, in hours from Monday's midnight."""
    spans = tuple(Span(MONDAY + start * HOUR, MONDAY + end * HOUR) for start, end in shifts)
    return Worker("one", "One", HERE, {"mechanical": 4, "thermal": 2}, spans, frozenset(), offline, 0.0)


def a_fault(number: int = 1, begins_at: datetime = MONDAY, mode: Mode = WEAR) -> Fault:
    return Fault(number, MOTOR, mode, begins_at, True, True, begins_at + timedelta(days=2), False)


def a_detail(state: str, **more: object) -> Json:
    """A ticket as the service tells it, as far as a reason for being open is looked for."""
    row: Json = {"state": state, "assignee_name": "One", "resolved_at": None}
    detail: Json = {"ticket": row, "holds": [], "gates": []}
    for name, value in more.items():
        (detail if name in detail else row)[name] = value
    return detail
