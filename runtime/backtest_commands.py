"""Backtests and calibration on the command line: at once, on all cores, nothing stored (SPEC D7)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from detectors.parameters import Scalar
from runtime.children import ServiceError
from runtime.clock import SystemClock
from runtime.plainly import plainly
from runtime.ready import with_running_services
from runtime.screen import Screen
from runtime.settings import Settings

DataDir = Annotated[Path | None, typer.Option(help="Where everything is kept (WEARSIGHT_DATA_DIR).")]
AssetType = Annotated[str, typer.Option(help="The type of the machines.")]
Since = Annotated[str, typer.Option(help="From when on: 2026-01-31, or with a time, in UTC.")]
Until = Annotated[str, typer.Option(help="Until before when.")]
Asset = Annotated[list[int] | None, typer.Option(help="Only this machine, by id; may be repeated.")]
Workers = Annotated[int | None, typer.Option(min=0, help="How many processes: one for each core; 0, this one.")]


def add_commands(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command(name="backtest")(backtest)
    app.command(name="calibrate")(calibrate)


def backtest(
    asset_type: AssetType,
    since: Since,
    until: Until,
    rule: Annotated[
        list[Path] | None, typer.Option(help="A TOML file of rules to try, written as in editions/library.")
    ] = None,
    asset: Asset = None,
    workers: Workers = None,
    data_dir: DataDir = None,
) -> None:
    """Try rules on stored history, beside those in force: tickets, lead, false alarms."""
    from detectors.backtest import MachineResult
    from detectors.library import RuleDraft, parse_rules
    from runtime.backtesting import cores, plan_of, try_machine
    from runtime.fanning_out import WorkFailed, fan_out
    from storage.backtest_json import BacktestRequest
    from storage.backtests import machines_of
    from storage.database import connect

    with plainly() as screen:
        settings = with_running_services(Settings.load(data_dir=data_dir), broker=False)
        dsn = str(settings.database_url)
        drafts: list[RuleDraft] = []
        for path in rule or ():
            drafts += parse_rules(_text_of(path), asset_type)
        with connect(dsn) as connection:
            machines = machines_of(connection, asset_type, asset, None)
            asked = BacktestRequest(tuple(drafts))
            plan = plan_of(connection, dsn, asset_type, _time(since), _time(until), asked, SystemClock().now())
        results: list[MachineResult] = []
        ran = fan_out(partial(try_machine, plan), list(machines), workers=cores() if workers is None else workers)
        for number, (asset_id, made) in enumerate(ran, start=1):
            if isinstance(made, WorkFailed):
                screen.trouble(f"{number} of {len(machines)}: asset {asset_id} was not tried: {made}")
            else:
                results.append(made)
                screen.say(f"{number} of {len(machines)}: {made.name}, {made.rows:,} readings")
        _show_comparison(results)
        if len(results) < len(machines):
            raise typer.Exit(1)


def calibrate(
    asset_type: AssetType,
    since: Since,
    until: Until,
    rule: Annotated[str, typer.Option(help="The name of the rule in force.")],
    parameter: Annotated[str, typer.Option(help="Its limit: high, low, limit, h, ...")],
    wanted: Annotated[float, typer.Option(help="False alarms per machine-month at most.")],
    asset: Asset = None,
    data_dir: DataDir = None,
) -> None:
    """Propose a limit for a wanted rate of false alarms, by replay of stored history."""
    from detectors.calibrate import Proposal
    from runtime.backtesting import calibrate_machines, plan_of
    from storage.backtest_json import BacktestRequest
    from storage.backtests import machines_of
    from storage.database import connect
    from storage.rules import newest_rules

    with plainly(ValueError, LookupError) as screen:
        settings = with_running_services(Settings.load(data_dir=data_dir), broker=False)
        dsn = str(settings.database_url)
        with connect(dsn) as connection:
            drafts = [one.draft for one in newest_rules(connection) if one.draft.name == rule]
            machines = machines_of(connection, asset_type, asset, None)
            plan = plan_of(connection, dsn, asset_type, _time(since), _time(until), BacktestRequest(()))
        if not drafts:
            raise ServiceError(f"There is no rule '{rule}'. 'GET /api/v1/rules' lists them.")
        with screen.step(f"replaying {len(machines)} machines"):
            proposal: Proposal = calibrate_machines(plan, drafts[0], parameter, wanted, list(machines))
        table = Table("limit", "findings", "per machine-month")
        for one in proposal.tried:
            table.add_row(f"{one.limit:g}", str(one.findings), f"{one.rate:.3g}")
        Console(soft_wrap=True, highlight=False).print(table)
        _tell(screen, proposal.parameter, proposal.limit, proposal.rate, wanted, reached=proposal.reached)
        held = proposal.held_out
        if held is not None:
            told = screen.say if held.holds else screen.trouble
            told(
                f"the limit of the first half, {held.limit:g}, gave {held.rate:.3g} on the second "
                f"(90 % between {held.low:.3g} and {held.high:.3g}): {'it holds' if held.holds else 'it does not hold'}"
            )


def _tell(
    screen: Screen, parameter: str, limit: float | None, rate: float | None, wanted: float, *, reached: bool
) -> None:
    if limit is None or rate is None:
        screen.trouble(f"no limit keeps to {wanted:g} per machine-month: the rule is not for these signals")
    elif reached:
        screen.say(f"{parameter} = {limit:g} gives {rate:.3g} per machine-month")
    else:
        screen.trouble(f"even {parameter} = {limit:g}, the most sensitive tried, gives only {rate:.3g}")


def _show_comparison(results: Sequence[object]) -> None:
    from detectors.backtest import MachineResult, difference, figures, tally, total

    every = [one for one in results if isinstance(one, MachineResult)]
    candidate, in_force = total(one.candidate.score for one in every), total(one.in_force.score for one in every)
    table = Table("figure", "candidate", "in force", "difference")
    tried, stands, less = figures(candidate), figures(in_force), difference(candidate, in_force)
    for name in tried:
        table.add_row(name, *(_shown(column[name]) for column in (tried, stands, less)))
    rules = Table("rule of the candidate", "findings", "outside what was true")
    for one in tally(result.candidate for result in every):
        rules.add_row(one.rule, str(one.findings), str(one.outside))
    console = Console(soft_wrap=True, highlight=False)
    console.print(table)
    console.print(rules)


def _shown(figure: Scalar) -> str:
    return "-" if figure is None else f"{figure:.4g}"


def _time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ServiceError(f"Expected a time like 2026-01-31 or 2026-01-31T08:00, got '{text}'.") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ServiceError(f"{path} cannot be read: {error}") from error
