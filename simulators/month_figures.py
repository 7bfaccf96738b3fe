"""The figures of a simulated month, read from the tickets as the service tells them (SPEC S2, X1, B1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from statistics import mean, median

from simulators.console_client import ConsoleClient, Json, moment, objects, text
from simulators.month_people import Engineer
from simulators.month_world import Plant, is_row

CLOCKS = ("accept", "respond", "resolve", "close")


@dataclass(frozen=True, slots=True)
class ClockFigures:
    """One clock over all tickets: how often it was met, and the hours from opening until it stopped."""

    met: int
    breached: int
    median_h: float | None
    p90_h: float | None

    @property
    def share_met(self) -> float | None:
        """The share of the decided ones that were met, 0 to 1."""
        decided = self.met + self.breached
        return round(self.met / decided, 4) if decided else None


@dataclass(frozen=True, slots=True)
class Figures:
    """What a month came to. Durations are hours of wall time from the opening of the ticket.

    ``commands`` counts what the timelines tell, ``happenings`` what the plant saw, ``refused`` what the service said no
    to; ``unfinished`` maps the code of each ticket that is open to the reason.
    """

    tickets: Mapping[str, int]
    closed: int
    clocks: Mapping[str, ClockFigures]
    mean_response_h: float | None
    mean_resolve_h: float | None
    overdue_clocks: int
    overdue_tickets: int
    unassigned: int
    redispatched: int
    travel_km: float
    working_h: float
    load_least: int
    load_median: float
    load_most: int
    load_gini: float
    disputed: int
    first_time_fix: float | None
    commands: Mapping[str, int]
    happenings: Mapping[str, int]
    refused: Mapping[str, int]
    unfinished: Mapping[str, str]

    def as_json(self) -> Json:
        """Return the figures as plain JSON."""
        return asdict(self)


def figures_of(client: ConsoleClient, plant: Plant, engineers: Mapping[int, Engineer]) -> Figures:
    """Read every ticket and return what the month came to."""
    codes = sorted(text(row, "code") for row in client.items("/tickets"))
    details = [client.get(f"/tickets/{code}") for code in codes]
    rows = [is_row(detail["ticket"]) for detail in details]
    done = Counter(row["assignee_id"] for row in rows if row["state"] == "closed")
    loads = sorted(done[person_id] for person_id in engineers)
    commands = [[text(event, "command") for event in objects(detail, "timeline")] for detail in details]
    responses = [_hours(row, "responded_at") for row in rows]
    resolutions = [_hours(row, "resolved_at") for row in rows]
    return Figures(
        tickets=dict(sorted(Counter(text(row, "kind") for row in rows).items())),
        closed=sum(row["state"] == "closed" for row in rows),
        clocks={name: _clock(details, name) for name in CLOCKS},
        mean_response_h=_mean([hours for hours in responses if hours is not None]),
        mean_resolve_h=_mean([hours for hours in resolutions if hours is not None]),
        overdue_clocks=sum(each.count("overdue") for each in commands),
        overdue_tickets=sum("overdue" in each for each in commands),
        unassigned=sum("unassigned" in each for each in commands),
        redispatched=sum(max(0, each.count("dispatch") - 1) for each in commands),
        travel_km=round(sum(one.travel_km for one in engineers.values()), 1),
        working_h=round(sum(one.worked.total_seconds() for one in engineers.values()) / 3600, 1),
        load_least=loads[0],
        load_median=median(loads),
        load_most=loads[-1],
        load_gini=gini(loads),
        disputed=sum("dispute" in each for each in commands),
        first_time_fix=first_time_fix(rows, commands),
        commands=dict(sorted(Counter(command for each in commands for command in each).items())),
        happenings=dict(sorted(plant.counts.items())),
        refused=dict(sorted(plant.hands.refused.items())),
        unfinished={
            text(row, "code"): why_open(detail)
            for row, detail in zip(rows, details, strict=True)
            if row["state"] != "closed"
        },
    )


def first_time_fix(rows: Sequence[Json], commands: Sequence[Sequence[str]]) -> float | None:
    """Return the share of repairs that nobody disputed and after which the same fault of the machine did not return."""
    later = Counter((row["asset_id"], row["found_failure_mode"] or row["failure_mode"]) for row in rows)
    repairs = held = 0
    for row, each in zip(rows, commands, strict=True):
        if row["outcome"] == "repaired":
            repairs += 1
            held += "dispute" not in each and later[row["asset_id"], row["found_failure_mode"]] == 1
    return round(held / repairs, 4) if repairs else None


def gini(loads: Sequence[int]) -> float:
    """Return Gini's coefficient: 0 when all have the same, near 1 when one has everything."""
    total = sum(loads)
    if total == 0:
        return 0.0
    weighted = sum(rank * load for rank, load in enumerate(sorted(loads), start=1))
    return round(2 * weighted / (len(loads) * total) - (len(loads) + 1) / len(loads), 4)


def why_open(detail: Json) -> str:
    """Say why a ticket was not closed when the month was over."""
    row = is_row(detail["ticket"])
    holds = [hold for hold in objects(detail, "holds") if hold.get("ended_at") is None]
    gates = detail["gates"]
    if holds:
        return f"on hold for {text(holds[-1], 'reason')}, to be looked at {text(holds[-1], 'review_at')}"
    if row["state"] == "new":
        return "nobody fits and nobody was told to go"
    if row["state"] == "dispatched":
        return f"{row['assignee_name']} has not accepted it"
    if row["resolved_at"] is not None and isinstance(gates, list):
        return f"open gates: {', '.join(map(str, gates)) or 'none, to be closed'}"
    return f"{row['assignee_name']} is at it"


def _clock(details: Sequence[Json], name: str) -> ClockFigures:
    found = [
        (is_row(detail["ticket"]), clock)
        for detail in details
        for clock in objects(detail, "clocks")
        if clock["clock"] == name
    ]
    states = Counter(text(clock, "state") for _, clock in found)
    hours = sorted(_between(row, clock, "stopped_at") for row, clock in found if clock["stopped_at"] is not None)
    return ClockFigures(states["met"], states["breached"], _quantile(hours, 0.5), _quantile(hours, 0.9))


def _between(row: Json, other: Json, until: str) -> float:
    start, end = moment(row, "opened_at"), moment(other, until)
    if not (isinstance(start, datetime) and isinstance(end, datetime)):
        raise TypeError(f"ticket {row.get('code')} lacks opened_at or {until}")
    return (end - start).total_seconds() / 3600


def _hours(row: Json, until: str) -> float | None:
    return None if row.get(until) is None else _between(row, row, until)


def _mean(hours: Sequence[float]) -> float | None:
    return round(mean(hours), 3) if hours else None


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    """Return the smallest value that so large a share does not exceed."""
    if not ordered:
        return None
    return round(ordered[max(0, -int(-share * len(ordered) // 1) - 1)], 3)
