"""The command line's part about failure-mode libraries: 'wearsight library export|import|check' (SPEC P1)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from psycopg import Connection

from detectors.library import Library, parse_library
from detectors.library_text import library_as_text
from runtime.children import ServiceError
from runtime.clock import SystemClock
from runtime.plainly import plainly
from runtime.ready import with_running_services
from runtime.settings import Settings
from storage.database import connect
from storage.library_import import export_library, import_library

app = typer.Typer(name="library", help="Failure-mode libraries as TOML files.", no_args_is_help=True)

DataDir = Annotated[Path | None, typer.Option(help="Where everything is kept (WEARSIGHT_DATA_DIR).")]


@app.command()
def export(
    asset_type: Annotated[str, typer.Argument(help="The id of the asset type, such as motor.")],
    out: Annotated[Path | None, typer.Option(help="The file to write; without it, the screen.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Write the library of an asset type as it is in force."""
    with plainly(OSError) as screen, _connected(data_dir) as connection:
        text = library_as_text(export_library(connection, asset_type))
        if out is None:
            typer.echo(text, nl=False)
        else:
            out.write_text(text, encoding="utf-8")
            screen.say(f"{out}: wrote the library of '{asset_type}'")


@app.command(name="import")
def take_in(
    file: Annotated[Path, typer.Argument(help="The TOML file.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Make a library the one in force for its asset type, whole or not at all."""
    with plainly(OSError) as screen:
        library = _read(file)
        with _connected(data_dir) as connection, connection.transaction(force_rollback=dry_run):
            changes = import_library(connection, library, SystemClock().now())
        would = "would be " if dry_run else ""
        for change in changes:
            screen.say(f"{change.noun} {change.name}: {would}{change.deed}")
        screen.say(f"{file}: {len(changes)} changes for '{library.asset_type}'" + (", none made" if dry_run else ""))


@app.command()
def check(files: Annotated[list[Path], typer.Argument(help="The TOML files.")]) -> None:
    """Check library files without a database."""
    with plainly(OSError) as screen:
        for file in files:
            library = _read(file)
            screen.say(f"{file}: '{library.asset_type}', {len(library.modes)} modes and {len(library.rules)} rules")


def _read(file: Path) -> Library:
    try:
        return parse_library(file.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ServiceError(f"{file} is not UTF-8: byte {error.start}. Save it as UTF-8.") from error


@contextmanager
def _connected(data_dir: Path | None) -> Iterator[Connection]:
    settings = with_running_services(Settings.load(data_dir=data_dir), broker=False)
    with connect(str(settings.database_url)) as connection:
        yield connection
