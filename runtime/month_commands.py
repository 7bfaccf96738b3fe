"""The command that plays a month of a plant under two policies and shows their figures side by side (SPEC R4)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table

from runtime.children import ServiceError
from runtime.clock import SystemClock
from runtime.plainly import plainly
from runtime.screen import Screen
from runtime.settings import Settings

if TYPE_CHECKING:
    from simulators.month_figures import ClockFigures, Figures

# A Monday at midnight; the calendar of the demo house is Shanghai's.
_STARTS_AT = datetime(2026, 3, 2, tzinfo=ZoneInfo("Asia/Shanghai"))
_SHIPPED = ("repair", "repair_skilled")
_LONGEST_DAYS, _MOST_ENGINEERS = 92, 40


def add_commands(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(name="month")(month)


def month(
    policy: Annotated[
        list[Path] | None, typer.Option(help="A policy to play under; may be repeated. Left out, the shipped two.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same plant, faults and people.")] = 1,
    days: Annotated[int, typer.Option(min=1, max=_LONGEST_DAYS, help="How long faults come.")] = 30,
    engineers: Annotated[int, typer.Option(min=2, max=_MOST_ENGINEERS, help="How many; machines grow with them.")] = 8,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON instead of a table.")] = False,
) -> None:
    """Play a month of a plant, people included, in virtual time, and compare policies by their SLA figures."""
    from runtime.logs import configure_logs
    from runtime.month import policy_of, run_policy, throwaway_databases
    from simulators.month_plan import MonthPlan

    with plainly(ValueError, LookupError) as screen:
        configure_logs(Settings.load().model_copy(update={"log_level": "error"}), "month")
        plan = MonthPlan(seed, _STARTS_AT, days, engineers)
        policies = {name: policy_of(path) for name, path in _named(policy or _shipped_paths()).items()}
        clock, found = SystemClock(), {}
        say: Callable[[str], None] = (lambda line: None) if as_json else screen.say
        with throwaway_databases() as database_of:
            for number, (name, body) in enumerate(policies.items(), start=1):
                began_s = clock.monotonic_s()
                say(f"{name}: {days} days with seed {seed}")
                found[name] = run_policy(database_of(f"month_{number}"), body, plan, say)
                say(f"{name}: played in {clock.monotonic_s() - began_s:.0f} s")
        if as_json:
            told = {"seed": seed, "days": days, "engineers": engineers}
            typer.echo(json.dumps({**told, "policies": {name: one.as_json() for name, one in found.items()}}, indent=1))
        else:
            show(found, screen)


def _shipped_paths() -> list[Path]:
    paths = []
    for name in _SHIPPED:
        with as_file(files("editions") / "policy" / f"{name}.toml") as path:
            paths.append(path)
    return paths


def _named(paths: list[Path]) -> dict[str, Path]:
    """Return the files by their names without ending. Raises ServiceError where two have the same."""
    found = {path.stem: path for path in paths}
    if len(found) < len(paths):
        raise ServiceError("Two of the policies have the same file name; name the files apart.")
    return found


def show(figures: Mapping[str, Figures], screen: Screen) -> None:
    """Print the figures, a column for each policy, and why tickets were left open."""
    table = Table("figure", *figures)
    for name, told in ROWS.items():
        table.add_row(name, *(told(one) for one in figures.values()))
    for kind in sorted({kind for one in figures.values() for kind in one.tickets}):
        table.add_row(kind, *(str(one.tickets.get(kind, 0)) for one in figures.values()))
    for happening in sorted({name for one in figures.values() for name in one.happenings}):
        table.add_row(happening, *(str(one.happenings.get(happening, 0)) for one in figures.values()))
    for command in sorted({name for one in figures.values() for name in one.commands}):
        counts = [one.commands.get(command, 0) for one in figures.values()]
        # What is as often under every policy tells nothing about them.
        if len(set(counts)) > 1:
            table.add_row(f"timelines: {command}", *map(str, counts))
    Console(soft_wrap=True, highlight=False).print(table)
    for name, one in figures.items():
        for code, why in one.unfinished.items():
            screen.trouble(f"{name}: {code} is open: {why}")
        for refusal, times in one.refused.items():
            screen.say(f"{name}: refused {times} times: {refusal}")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _hours(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} h"


def _clock(name: str) -> Callable[[Figures], str]:
    def told(figures: Figures) -> str:
        clock: ClockFigures = figures.clocks[name]
        return f"{_share(clock.share_met)}  {_hours(clock.median_h)}, {_hours(clock.p90_h)}"

    return told


ROWS: Mapping[str, Callable[[Figures], str]] = {
    "tickets": lambda one: str(sum(one.tickets.values())),
    "closed": lambda one: str(one.closed),
    "left open": lambda one: str(len(one.unfinished)),
    "accept met; median, p90": _clock("accept"),
    "respond met; median, p90": _clock("respond"),
    "resolve met; median, p90": _clock("resolve"),
    "close met; median, p90": _clock("close"),
    "mean response": lambda one: _hours(one.mean_response_h),
    "mean resolve": lambda one: _hours(one.mean_resolve_h),
    "overdue (clocks)": lambda one: f"{one.overdue_tickets} ({one.overdue_clocks})",
    "nobody fitted at first": lambda one: str(one.unassigned),
    "dispatched again": lambda one: str(one.redispatched),
    "travel": lambda one: f"{one.travel_km:,.0f} km",
    "time at the machines": lambda one: f"{one.working_h:,.0f} h",
    "tickets per engineer": lambda one: f"{one.load_least}/{one.load_median:g}/{one.load_most}",
    "load spread, Gini": lambda one: f"{one.load_gini:.3f}",
    "disputed": lambda one: str(one.disputed),
    "first-time fix": lambda one: _share(one.first_time_fix),
}
