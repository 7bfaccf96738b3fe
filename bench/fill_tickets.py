"""Fills a migrated, empty database with tickets as years of work would have left them: a million, or fewer.

    python -m bench.fill_tickets "$DSN" --tickets 1000000 --engineers 1000

The same seed and moment make the same tickets, however many processes make them. Rows go in by COPY, a chunk a
transaction, while foreign keys and triggers are off (the role must be a superuser); a test asks every foreign key
afterwards, at a small scale. In the end a sample of timelines is verified by the product.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection

from bench.ticket_lives import ORIGINS, SPAN, code_of, write_lives
from bench.ticket_plant import Plant, read_plant
from runtime.clock import SystemClock
from runtime.seeding import CALENDAR_ID, seed_house
from storage.database import connect
from storage.tickets import verify_timeline

TICKETS, ENGINEERS, CHUNK = 1_000_000, 1_000, 2_000
# How many of each: machines a ticket, engineers a site, engineers' skills.
TICKETS_A_MACHINE, MACHINES_LEAST, ENGINEERS_A_SITE = 50, 200, 50
SKILLS = ("mechanical", "electrical", "hydraulic", "thermal", "instrumentation")
SAMPLE = 200


@dataclass(frozen=True, slots=True)
class Filled:
    """What was written, and how long it took."""

    tickets: int
    rows: int
    seconds: float


def furnish(dsn: str, tickets: int, engineers: int, *, now: datetime, seed: int = 1) -> Plant:
    """Furnish the house of a migrated database and return what its tickets are made from.

    ``now`` is when the last ticket was opened, three years after the first.
    """
    if tickets > 999_999 // ORIGINS.count("D") * len(ORIGINS):
        raise ValueError(f"{tickets} tickets are more than the tracking codes of an origin")
    with connect(dsn) as connection:
        _furnish(connection, max(MACHINES_LEAST, tickets // TICKETS_A_MACHINE), engineers, now - SPAN, now)
        return read_plant(connection, tickets, engineers, seed, now)


def fill(dsn: str, plant: Plant, *, processes: int = 2, chunk: int = CHUNK) -> Filled:
    """Write the tickets, ``chunk`` of them in a transaction."""
    began_s = time.monotonic()
    rows, starts = 0, range(0, plant.tickets, chunk)
    counts = [min(chunk, plant.tickets - start) for start in starts]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _begin, (dsn, plant)) as pool:
        for done, count in enumerate(pool.map(_write, starts, counts), start=1):
            rows += count
            if done % 25 == 0:
                print(f"  {time.monotonic() - began_s:4.0f} s: {done * chunk:,} tickets", flush=True)
    with connect(dsn) as connection:
        _finish(connection, plant.tickets)
    with connect(dsn) as connection:
        connection.autocommit = True
        connection.execute("set statement_timeout = 0")
        connection.execute("vacuum analyze")
    return Filled(plant.tickets, rows, time.monotonic() - began_s)


def broken_timelines(dsn: str, tickets: int, sample: int = SAMPLE) -> list[str]:
    """Return which of a sample of tickets have a timeline that the product's verifier does not accept."""
    numbers = random.Random(tickets).sample(range(tickets), min(sample, tickets))
    with connect(dsn) as connection:
        return [code for code in map(code_of, numbers) if verify_timeline(connection, code) is not None]


_plant: list[tuple[Plant, Connection]] = []


def _begin(dsn: str, plant: Plant) -> None:
    """Begin a writing process: the plant and a connection of its own."""
    connection = connect(dsn)
    connection.execute("set synchronous_commit = off")
    connection.execute("set session_replication_role = replica")
    connection.commit()
    _plant.append((plant, connection))


def _write(first: int, count: int) -> int:
    """Write one chunk in a transaction."""
    plant, connection = _plant[0]
    with connection.transaction():
        return write_lives(plant, first, count).write(connection)


def _furnish(connection: Connection, machines: int, engineers: int, since: datetime, now: datetime) -> None:
    """Sites, people, machines with a series each, and a rule."""
    seed_house(connection, now)
    sites = max(2, engineers // ENGINEERS_A_SITE)
    told = {"machines": machines, "engineers": engineers, "sites": sites, "since": since, "calendar": CALENDAR_ID}
    for statement in (*_REGISTER, *_PEOPLE):
        connection.execute(statement, told)
    for number, skill in enumerate(SKILLS):
        connection.execute(
            "insert into person_skill select id, %s, 2 + id %% 4 from person"
            " where login like 'fill-engineer-%%' and (id + %s) %% 5 < 3",
            (skill, number),
        )
    connection.execute(_MACHINES, told)
    for statement in _SERIES:
        connection.execute(statement, told)


_REGISTER = (
    "insert into site select 'site-' || n, 'Site ' || n, %(calendar)s, 30 + n * 0.1, 120 + n * 0.1"
    " from generate_series(0, %(sites)s - 1) as n",
    "insert into rule (name, version, asset_type_id, metric, detector, parameters, severity, mode, created_at)"
    " values ('fill', 1, 'motor', 'vibration_mm_s', 'cusum', '{}', 'high', 'off', %(since)s)",
)
_PEOPLE = (
    "insert into person (login, name, latitude, longitude, created_at) select 'fill-engineer-' || n,"
    " 'Engineer ' || n, 30 + (n %% %(sites)s) * 0.1 + (n %% 17) * 0.003, 120 + (n %% %(sites)s) * 0.1, %(since)s"
    " from generate_series(0, %(engineers)s - 1) as n",
    "insert into person_role select id, 'engineer', 'site-' || split_part(login, '-', 3)::integer %% %(sites)s"
    " from person where login like 'fill-engineer-%%'",
    "insert into person (login, name, created_at) select 'fill-' || role || '-' || n, initcap(role) || ' ' || n,"
    " %(since)s from generate_series(0, %(sites)s - 1) as n, unnest(array['supervisor', 'planner']) as role",
    "insert into person_role select id, split_part(login, '-', 2), 'site-' || split_part(login, '-', 3)"
    " from person where login like 'fill-supervisor-%%' or login like 'fill-planner-%%'",
    "insert into person (login, name, created_at) select 'fill-requester-' || n, 'Requester ' || n, %(since)s"
    " from generate_series(0, %(sites)s * 20 - 1) as n",
    "insert into person_role select id, 'requester', 'site-' || split_part(login, '-', 3)::integer %% %(sites)s"
    " from person where login like 'fill-requester-%%'",
)
# Types and criticalities go round within a site, so that each kind of machine is there.
_MACHINES = """
with type as (
  select asset_type_id as id, row_number() over (order by asset_type_id) - 1 as place
  from failure_mode
  group by asset_type_id
), kinds as (select count(*) as number from type)
insert into asset (site_id, asset_type_id, tag, name, criticality, requester_id, created_at)
select 'site-' || n %% %(sites)s, type.id, 'A-' || n, initcap(type.id) || ' ' || n, 1 + n / kinds.number %% 5,
       (select id from person where login = 'fill-requester-' || n %% (%(sites)s * 20)), %(since)s
from generate_series(0, %(machines)s - 1) as n
cross join kinds
join type on type.place = n %% kinds.number
order by n
"""
_SERIES = (
    "insert into device (site_id, name, asset_id, created_at)"
    " select site_id, 'd-' || tag, id, %(since)s from asset order by id",
    "insert into series (device_id, metric, created_at) select id, 'vibration_mm_s', %(since)s from device order by id",
)


def _finish(connection: Connection, tickets: int) -> None:
    """Set the numbers on from which the product counts, and fill the store up to what was taken from it."""
    for origin in "DPSI":
        rounds, rest = divmod(tickets, len(ORIGINS))
        used = rounds * ORIGINS.count(origin) + ORIGINS[:rest].count(origin)
        connection.execute("select setval(%s, %s)", (f"tracking_code_{origin.lower()}", used + 1))
    connection.execute("select setval(pg_get_serial_sequence('confirmation_link', 'id'), %s)", (tickets + 1,))
    connection.execute(
        "insert into stock_movement (part_id, quantity, reason, at)"
        " select part.id, 100 - coalesce((select sum(quantity) from stock_movement where part_id = part.id), 0),"
        " 'receipt', now() from part"
    )


def main() -> None:
    """Fill the database that is named, verify a sample, and print how long it took."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("dsn", help="a migrated database without tickets")
    arguments.add_argument("--tickets", type=int, default=TICKETS)
    arguments.add_argument("--engineers", type=int, default=ENGINEERS)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--processes", type=int, default=2)
    options = arguments.parse_args()
    plant = furnish(options.dsn, options.tickets, options.engineers, now=SystemClock().now(), seed=options.seed)
    filled = fill(options.dsn, plant, processes=options.processes)
    broken = broken_timelines(options.dsn, options.tickets)
    told = {"tickets": filled.tickets, "rows": filled.rows, "seconds": round(filled.seconds, 1), "broken": broken}
    print(json.dumps(told))
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
