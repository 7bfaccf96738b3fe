"""Made-up tickets: the product reads them as its own, and nothing dangles (SPEC T7)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

from psycopg import Connection
from psycopg.sql import SQL, Identifier

from bench.copying import TABLES
from bench.fill_tickets import broken_timelines, fill, furnish
from bench.ticket_lives import code_of, write_lives
from storage.database import connect
from storage.tickets import ticket_detail
from tests.conftest import START_OF_TESTS
from ticketing.actors import SYSTEM

TICKETS, ENGINEERS = 300, 20
NOW = START_OF_TESTS
FOREIGN_KEYS = """
select conrelid::regclass::text, a.attname, confrelid::regclass::text, b.attname
from pg_constraint
join pg_attribute a on a.attrelid = conrelid and a.attnum = conkey[1]
join pg_attribute b on b.attrelid = confrelid and b.attnum = confkey[1]
where contype = 'f' and conrelid::regclass::text = any(%s) and cardinality(conkey) = 1
"""


def _dangling(connection: Connection) -> list[tuple[str, str, int]]:
    found = []
    for table, column, parent, key in connection.execute(FOREIGN_KEYS, (list(TABLES),)).fetchall():
        query = SQL(
            "select count(*) from {} c where {} is not null and not exists (select from {} p where p.{} = c.{})"
        ).format(*map(Identifier, (table, column, parent, key, column)))
        (count,) = connection.execute(query).fetchone()
        found.append((table, column, count))
    return found


def test_made_up_tickets_are_as_the_product_would_have_left_them(database: str) -> None:
    plant = furnish(database, TICKETS, ENGINEERS, now=NOW)
    assert fill(database, plant, processes=1, chunk=100).tickets == TICKETS
    assert broken_timelines(database, TICKETS, TICKETS) == []
    with connect(database) as connection:
        keys = _dangling(connection)
        assert len(keys) > 20
        assert [key for key in keys if key[2]] == []
        details = [ticket_detail(connection, code_of(number), actor=SYSTEM, now=NOW) for number in range(TICKETS)]
        assert connection.execute("select count(*) from stock_movement where reason = 'receipt'").fetchone() > (5,)
    states = Counter(detail.ticket.state for detail in details)
    assert states["closed"] > 0.9 * TICKETS > 3 < TICKETS - states["closed"]
    for detail in details:
        assert detail.timeline_is_whole
        assert detail.ticket.timeline_length == len(detail.timeline) == detail.ticket.version
        assert detail.timeline[-1].to_state == detail.ticket.state
        assert max(event.at for event in detail.timeline) <= NOW
        assert (detail.ticket.state == "closed") is all(clock.stopped_at for clock in detail.clocks)
    assert any(detail.holds for detail in details)


def test_the_same_seed_makes_the_same_tickets(database: str) -> None:
    plant = furnish(database, TICKETS, ENGINEERS, now=NOW)
    rows = write_lives(plant, 0, 100).lines
    assert rows == write_lives(plant, 0, 100).lines
    assert rows != write_lives(replace(plant, seed=2), 0, 100).lines
    assert rows != write_lives(replace(plant, now=NOW + timedelta(hours=1)), 0, 100).lines


def test_each_origin_counts_its_own_codes() -> None:
    """SPEC T6."""
    codes = [code_of(number) for number in range(1_000)]
    assert len(set(codes)) == 1_000
    assert Counter(code[0] for code in codes) == {"D": 450, "P": 450, "S": 70, "I": 30}
    assert max(code for code in codes if code[0] == "S") == "S000070"
