"""Reports on the command line: what a month came to."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from runtime.clock import SystemClock
from runtime.plainly import plainly
from runtime.ready import with_running_services
from runtime.settings import Settings
from storage.database import connect
from storage.priority_control import ControlReport, compare_month

app = typer.Typer(name="report", help="What a month came to.", no_args_is_help=True)


@app.command("priority-control")
def priority_control(
    month: Annotated[str | None, typer.Option(help="A month (UTC), as 2026-03; the last whole one by default.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where everything is kept (WEARSIGHT_DATA_DIR).")] = None,
) -> None:
    """Compare the levels of the priority policy with those of the control policy (SPEC S7)."""
    with plainly() as screen:
        settings = with_running_services(Settings.load(data_dir=data_dir), broker=False)
        asked = month or last_whole_month(SystemClock().now())
        with connect(str(settings.database_url)) as connection:
            report = compare_month(connection, asked)
        for line in told(report):
            screen.say(line)


def last_whole_month(now: datetime) -> str:
    """Return the month before this one, as 2026-03."""
    return f"{now.replace(day=1) - timedelta(days=1):%Y-%m}"


def told(report: ControlReport) -> list[str]:
    """Return the report as sentences, one for each pair of levels."""
    lines = [
        f"{report.month}: {report.opened} tickets opened, {report.scored_by_both} scored by both policies",
        f"the control policy says the same for {report.same}, more urgent for {report.control_more_urgent}, "
        f"less urgent for {report.control_less_urgent}",
    ]
    for cell in report.cells:
        resolved = "none resolved" if cell.mean_resolve_s is None else f"solved in {cell.mean_resolve_s / 3600:.1f} h"
        lines.append(
            f"P{cell.level}, control P{cell.control_level}: {cell.tickets} tickets, {cell.closed} closed, "
            f"{cell.breached} overdue, {cell.complained} with complaints, {resolved}"
        )
    return lines
