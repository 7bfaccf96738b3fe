"""The application over a database, as a process of its own on a loopback port: for benchmarks and campaigns.

It is the product's application with one route more, a bare ``select 1`` behind the same sign-in, middleware and pool:
what every request costs whatever it asks. A bug can be planted, for a campaign is believed only after it has failed
with the bug that it is there to find.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from psycopg.sql import SQL

SELECT_ONE = "/bench/select-one"
CONNECTIONS = 16
_REPOSITORY = Path(__file__).parents[1]
_STOP_WITHIN_S = 20


@contextmanager
def served(dsn: str, *, bug: str = "none") -> Iterator[str]:
    """Serve the database from a process of its own; yield where, such as http://127.0.0.1:40000."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.served", dsn, "--bug", bug],
        cwd=_REPOSITORY,
        env={name: value for name, value in os.environ.items() if not name.startswith("WEARSIGHT_")},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if not address:
            raise RuntimeError("the application ended instead of listening; its errors stand above")
        yield address
    finally:
        process.terminate()
        try:
            process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def last_one_wins() -> None:
    """Lock no ticket, and save what was decided whatever became of the ticket meanwhile, as a plain UPDATE would."""
    from storage import casework, timelines

    update = timelines.QUERIES["update_ticket"].as_string().partition("where id = %(id)s\n")[0] + "where id = %(id)s"
    insert = timelines.QUERIES["insert_event"].as_string()
    number = "(select coalesce(max(number), 0) + 1 from ticket_event where ticket_id = %(ticket_id)s)"
    casework.QUERIES = _with(casework.QUERIES, lock_ticket="select id from ticket where code = %(code)s")
    timelines.QUERIES = _with(
        timelines.QUERIES, update_ticket=update, insert_event=insert.replace("%(number)s", number)
    )


def forget_who_won() -> None:
    """Refuse whoever comes too late by the state of the ticket, and not by who has it."""
    from storage import casework

    casework._check_unclaimed = lambda row, actor: None


def _with(queries: Mapping[str, SQL], **changed: str) -> dict[str, SQL]:
    return {**queries, **{name: SQL(text) for name, text in changed.items()}}


BUGS: dict[str, Callable[[], None]] = {
    "none": lambda: None,
    "last_one_wins": last_one_wins,
    "forget_who_won": forget_who_won,
}


def main() -> None:
    """Serve until SIGTERM; the first line that is printed says where."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("dsn")
    arguments.add_argument("--bug", choices=list(BUGS), default="none")
    options = arguments.parse_args()
    BUGS[options.bug]()

    import uvicorn
    from fastapi import APIRouter

    from api.app import create_app
    from api.boundary import BASE_PATH
    from api.dependencies import Database, ReadTickets
    from api.server import Server, listening_socket
    from runtime.clock import SystemClock
    from runtime.dialects import IngestDialects
    from storage.database import open_pool

    bare = APIRouter(prefix=BASE_PATH)

    # The annotations are names of this function's imports, which the framework could not look up as text.
    def select_one(caller: object, database: object) -> dict[str, int]:
        with database.connection() as connection:  # type: ignore[attr-defined]
            row = connection.execute("select 1").fetchone()
        return {"one": row[0]}

    select_one.__annotations__.update(caller=ReadTickets, database=Database)
    bare.get(SELECT_ONE, response_model=None)(select_one)
    with listening_socket("127.0.0.1", 0) as listener, open_pool(options.dsn, size=CONNECTIONS) as pool:
        app = create_app(pool, SystemClock(), dialects=IngestDialects())
        app.include_router(bare)
        server = Server(app, uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=3))
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        server.run(sockets=[listener])


if __name__ == "__main__":
    main()
