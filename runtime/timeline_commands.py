"""Timelines on the command line: whether every event is as it was written (SPEC T7)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runtime.children import ServiceError
from runtime.plainly import plainly
from runtime.ready import with_running_services
from runtime.settings import Settings

app = typer.Typer(name="timeline", help="The timelines of tickets.", no_args_is_help=True)

DataDir = Annotated[Path | None, typer.Option(help="Where everything is kept (WEARSIGHT_DATA_DIR).")]


@app.callback()
def timeline() -> None:
    """Look after the timelines of tickets."""


@app.command()
def verify(
    code: Annotated[str | None, typer.Option(help="The tracking code of one ticket.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every ticket there is.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Say whether every event of a timeline is as it was written. Exit code 1 when one is not."""
    from storage.database import connect
    from storage.timeline_check import check_timelines

    with plainly() as screen:
        if every == (code is not None):
            raise ServiceError("Say either --code and the tracking code of a ticket, or --all.")
        settings = with_running_services(Settings.load(data_dir=data_dir), broker=False)
        checked = broken = events = 0
        with connect(str(settings.database_url)) as connection:
            for one in check_timelines(connection, code):
                checked += 1
                events += one.events
                if one.first_broken is None:
                    continue
                broken += 1
                found = "nothing is there" if one.told is None else f"there is '{one.told.command}' of {one.told.at}"
                screen.say(f"{one.code}: broken from event {one.first_broken} on, where {found}")
        screen.say(f"{checked} timelines with {events} events: {broken or 'none'} broken")
        if broken:
            raise typer.Exit(1)
