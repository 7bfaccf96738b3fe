"""What went wrong, said to people: a sentence and an exit code, never a stack trace."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import typer

from domain.refusals import Refused
from runtime.children import ServiceError
from runtime.clock import SystemClock
from runtime.screen import Screen
from runtime.settings import Settings, SettingsError


@contextmanager
def plainly(*expected: type[Exception]) -> Iterator[Screen]:
    """Give a screen, and turn what goes wrong into a sentence and exit code 1.

    Errors of the ``expected`` types, and our own, speak for themselves; of others the whole story is kept in a file.
    """
    screen = Screen(SystemClock())
    try:
        yield screen
    except (typer.Exit, typer.Abort):
        raise
    except psycopg.OperationalError as error:
        screen.failure(f"The database does not answer: {str(error).strip()}. 'wearsight doctor' looks closer.")
    except Exception as error:  # noqa: BLE001 (the top of the command line: the whole story is kept)
        if isinstance(error, (SettingsError, ServiceError, Refused, *expected)):
            screen.failure(str(error))
        else:
            place = _keep_the_story(error)
            screen.failure(f"Something unforeseen happened: {type(error).__name__}: {error}. Please report {place}.")
    else:
        return
    raise typer.Exit(1)


def _keep_the_story(error: Exception) -> str:
    """Write the whole story where a person can send it from, and say where that is."""
    try:
        folder = Settings.load().data_dir / "log"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "unforeseen.log").open("a") as file:
            file.write("".join(traceback.format_exception(error)))
    except (OSError, SettingsError):
        return "this line"
    return str(folder / "unforeseen.log")
