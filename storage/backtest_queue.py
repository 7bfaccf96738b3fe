"""The run of backtests in the job queue: put there by whoever asks for one, and by the jobs process that looks.

Apart from what backtests are: the jobs process asks every minute and need not load detectors for that.
"""

from __future__ import annotations

from psycopg import Connection

from storage.queries import load

QUERIES = load("backtests")


def defer_run(connection: Connection) -> None:
    """Put a run into the job queue unless one waits there, or no jobs process has ever run: that looks by itself."""
    there = connection.execute(QUERIES["job_queue_is_there"]).fetchone()
    if there is not None and there[0]:
        # Of two that wait after all, the second finds nothing to do.
        connection.execute(QUERIES["defer_run"])


def any_waiting(connection: Connection) -> bool:
    """Say whether a backtest is not done: it waits, or its runner may have been killed."""
    row = connection.execute(QUERIES["count_waiting"]).fetchone()
    return row is not None and row[0] > 0
