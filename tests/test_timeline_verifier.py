"""The verifier of timelines, for one ticket and for all of them (SPEC T7)."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool
from typer.testing import CliRunner

from runtime.commands import app
from storage import timeline_check
from storage.tickets import ticket_detail, verify_timeline
from storage.timeline_check import check_timelines
from tests.ticket_builders import NOW, House, a_device_ticket, a_house, a_report, carry, command
from ticketing.ticket import State


def tickets(connection: Connection, house: House) -> list[str]:
    codes = [a_report(connection, house, NOW) for _ in range(4)] + [a_device_ticket(connection, house)]
    carry(connection, house, codes[-1], State.EXECUTING)
    return codes


def tamper(connection: Connection, change: str) -> None:
    """Do what the database's guard forbids, as one who owns the database could."""
    connection.execute("alter table ticket_event disable trigger all")
    connection.execute(change)


@pytest.mark.parametrize("page", [1, 2, 500])
def test_every_timeline_is_verified_page_by_page(
    pool: ConnectionPool, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline_check, "PAGE", page)
    with pool.connection() as connection:
        house = a_house(connection)
        codes = tickets(connection, house)
        found = list(check_timelines(connection))
        assert sorted(one.code for one in found) == sorted(codes)
        assert {one.first_broken for one in found} == {None}
        assert sum(one.events for one in found) == 8


@pytest.mark.parametrize(
    ("change", "number", "there"),
    [
        ("update ticket_event set actor_name = 'Somebody' where number = 2", 2, "dispatch"),
        ("update ticket_event set facts = '{}' where number = 4", 4, "execute"),
        ("delete from ticket_event where number = 4", 4, None),
        ("delete from ticket_event where number = 3", 3, "execute"),
    ],
)
def test_the_command_line_names_the_first_broken_event(
    pool: ConnectionPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, number: int, there: str | None
) -> None:
    monkeypatch.setenv("WEARSIGHT_DATABASE_URL", pool.conninfo)
    with pool.connection() as connection:
        codes = tickets(connection, a_house(connection))
    whole = CliRunner().invoke(app, ["timeline", "verify", "--all", "--data-dir", str(tmp_path)])
    assert (whole.exit_code, "5 timelines with 8 events: none broken" in whole.output) == (0, True)
    with pool.connection() as connection:
        tamper(connection, change)
    for words in (["--all"], ["--code", codes[-1]]):
        told = CliRunner().invoke(app, ["timeline", "verify", *words, "--data-dir", str(tmp_path)])
        assert told.exit_code == 1, told.output
        said = " ".join(told.output.split())
        assert f"{codes[-1]}: broken from event {number} on" in said
        assert (f"there is '{there}'" if there else "nothing is there") in said
    other = CliRunner().invoke(app, ["timeline", "verify", "--code", codes[0], "--data-dir", str(tmp_path)])
    assert other.exit_code == 0, other.output


def test_a_command_that_comes_meanwhile_breaks_no_timeline(pool: ConnectionPool) -> None:
    """Reading the end in another look than the events called timelines broken that were only busy."""
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_report(connection, house)
    stop = threading.Event()

    def keep_busy() -> None:
        while not stop.is_set():
            with pool.connection() as connection:
                command(connection, code, "view", house.near)

    busy = threading.Thread(target=keep_busy)
    busy.start()
    try:
        with pool.connection() as connection:
            connection.autocommit = True
            looks = [ticket_detail(connection, code, actor=house.near, now=NOW).timeline_is_whole for _ in range(150)]
            looks += [one.first_broken is None for _ in range(150) for one in check_timelines(connection)]
            looks += [verify_timeline(connection, code) is None for _ in range(150)]
            connection.autocommit = False
    finally:
        stop.set()
        busy.join(30)
    assert all(looks)
    assert len(looks) == 450


@pytest.mark.parametrize("words", [[], ["--all", "--code", "D000001"], ["--code", "D999999"]])
def test_the_command_line_refuses_what_it_cannot_verify(
    pool: ConnectionPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setenv("WEARSIGHT_DATABASE_URL", pool.conninfo)
    with pool.connection() as connection:
        tickets(connection, a_house(connection))
    told = CliRunner().invoke(app, ["timeline", "verify", *words, "--data-dir", str(tmp_path)])
    assert told.exit_code == 1
    assert "Traceback" not in told.output
