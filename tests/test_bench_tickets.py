"""The benchmark of tickets itself: it asks everything it means to, and says where a plan reads a table whole."""

from __future__ import annotations

import pytest

from bench.bench_tickets import READS, Times, asked, fill_row
from bench.explain_tickets import plan_of, plans
from storage.database import connect
from tests.conftest import START_OF_TESTS

COMMANDS = {"dispatch", "accept", "depart", "note", "hold", "resume", "execute", "resolve", "confirm", "close"}


def test_every_read_and_command_is_asked_and_none_is_refused(database: str) -> None:
    assert fill_row(database, 300, 20, START_OF_TESTS).value > 0
    rows = asked(database, read_rounds=1, command_rounds=1)
    names = {row.name.removeprefix("tickets: ").removesuffix(", p95") for row in rows}
    assert names == {*READS, *(f"command {name}" for name in COMMANDS), "report a fault", "a photo"}
    assert all(row.bar_is_absolute and row.value > 0 < row.ratio for row in rows)
    with connect(database) as connection:
        carried = connection.execute("select state, count(*) from ticket where title_en like 'Rattles%' group by 1")
        assert [state for state, _ in carried.fetchall()] == ["closed"]
        found = {plan.name: plan for plan in plans(connection)}
    assert (found["tickets.list_tickets (of an asset)"].took_ms or 0.0) > 0.0
    assert not found["tickets.list_tickets (of an asset)"].scans


def test_a_walk_that_throws_nearly_everything_away_counts_as_a_scan() -> None:
    walk = {"Node Type": "Index Scan", "Relation Name": "ticket", "Index Name": "ticket_pkey", "Total Cost": 9.0}
    whole = {"Node Type": "Seq Scan", "Relation Name": "ticket", "Total Cost": 9.0}
    small = {**whole, "Relation Name": "site"}
    wasteful = {**walk, "Rows Removed by Filter": 10_000.0, "Actual Loops": 2.0}
    thrifty = {**walk, "Rows Removed by Filter": 10_000.0, "Actual Loops": 1.0}
    root = {"Node Type": "Limit", "Total Cost": 10.0, "Plans": [whole, small, wasteful, thrifty]}
    plan = plan_of("x", {"Plan": root, "Execution Time": 1.5}, frozenset({"ticket"}))
    assert plan.scans == ("ticket", "ticket by ticket_pkey, 20,000 rows for nothing")
    assert plan.told == "x: SCANS ticket, ticket by ticket_pkey, 20,000 rows for nothing (cost 10, 1.5 ms)"


def test_the_figure_is_the_95th_percentile_and_the_ratio_that_of_the_medians() -> None:
    times = Times({"list": [float(n) for n in range(1, 101)], "select 1": [10.0] * 100})
    row = times.row("list", "select 1")
    assert (row.value, row.meets_bar) == (96.0, False)
    assert row.ratio == pytest.approx(10 / 51)
