"""A simulated month of a plant, people included, plays in virtual time and is the same every time (SPEC R4)."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from domain.refusals import Refused
from runtime.children import ServiceError
from runtime.month import policy_of, run_policy
from runtime.month_commands import ROWS, show
from runtime.screen import Screen
from simulators import month_people, month_plan
from simulators.month_figures import Figures
from storage.database import connect
from storage.policies import shipped_body
from tests.conftest import REPOSITORY
from tests.month_builders import a_plan
from tests.simulators_builders import CLOCK

POLICIES = REPOSITORY / "editions" / "policy"
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def make_database(postgres: str, template: str) -> Callable[[], str]:
    """Makes an empty, migrated database each time it is called; they go with the server."""

    def make() -> str:
        name = f"month_test_{next(_numbers)}"
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute(
                sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template))
            )
        return make_conninfo(postgres, dbname=name)

    return make


@dataclass(frozen=True, slots=True)
class Played:
    """A month that was played, and what it left in the database."""

    figures: Figures
    database: str
    said: list[str]


@pytest.fixture(scope="module")
def play(make_database: Callable[[], str]) -> Callable[..., Played]:
    def run(policy: str = "repair", seed: int = 1, days: int = 1) -> Played:
        database, said = make_database(), []
        figures = run_policy(
            database, policy_of(POLICIES / f"{policy}.toml"), a_plan(seed=seed, days=days), said.append
        )
        return Played(figures, database, said)

    return run


@pytest.fixture(scope="module")
def played(play: Callable[..., Played]) -> Played:
    return play()


def test_two_months_of_one_seed_come_to_the_same_figures(played: Played, play: Callable[..., Played]) -> None:
    again = play()
    assert again.figures.as_json() == played.figures.as_json()
    assert sum(played.figures.tickets.values()) >= 4, "a month in which nothing happens says nothing"


def test_another_seed_is_another_month(played: Played, play: Callable[..., Played]) -> None:
    assert play(seed=2).figures.as_json() != played.figures.as_json()


def test_every_ticket_is_finished_or_has_a_named_reason(played: Played) -> None:
    figures = played.figures
    with connect(played.database) as connection:
        (tickets, closed) = connection.execute(
            "select count(*), count(*) filter (where state = 'closed') from ticket"
        ).fetchone()
        still_open = {code for (code,) in connection.execute("select code from ticket where state <> 'closed'")}
    assert (sum(figures.tickets.values()), figures.closed) == (tickets, closed)
    assert set(figures.unfinished) == still_open
    assert all(figures.unfinished.values())
    wrong = {name for name in figures.refused if name.endswith(("_fact", "invalid_request", "empty_phrase"))}
    assert not wrong, "people who say what the service cannot take"


def test_preventive_tickets_come_from_predictions_and_corrective_ones_from_people(played: Played) -> None:
    with connect(played.database) as connection:
        preventive = connection.execute(
            """select count(*), count(*) filter (where exists (
                   select from ticket_finding f where f.ticket_id = t.id) and p.stage = 'ticket')
               from ticket t left join prediction p on p.id = t.prediction_id where t.kind = 'preventive'"""
        ).fetchone()
        corrective = connection.execute(
            """select count(*), count(*) filter (where e.actor_kind = 'person' and e.channel = 'api')
               from ticket t join ticket_event e on e.ticket_id = t.id and e.number = 1 where t.kind = 'corrective'"""
        ).fetchone()
    assert preventive[0] == preventive[1] == played.figures.tickets["preventive"] > 0
    assert corrective[0] == corrective[1] == played.figures.tickets["corrective"] > 0


def test_the_figures_are_those_of_the_database(played: Played) -> None:
    """SPEC S2: clocks, overruns and responses are counted from the tickets, not from what the simulators did."""
    with connect(played.database) as connection:
        clocks = {
            name: (met, breached)
            for name, met, breached in connection.execute(
                """select clock, count(*) filter (where stopped_at <= due_at),
                     count(*) filter (where stopped_at > due_at)
                   from ticket_clock where stopped_at is not null group by clock"""
            )
        }
        commands = dict(connection.execute("select command, count(*) from ticket_event group by command").fetchall())
        (response_h,) = connection.execute(
            "select avg(extract(epoch from responded_at - opened_at) / 3600)::float8 from ticket"
        ).fetchone()
        (repaired,) = connection.execute("select count(*) from ticket where outcome = 'repaired'").fetchone()
    figures = played.figures
    assert not figures.unfinished, "the counts below are of tickets that ended"
    assert {name: (one.met, one.breached) for name, one in figures.clocks.items()} == {
        name: clocks[name] for name in figures.clocks
    }
    assert figures.overdue_clocks == commands.get("overdue", 0)
    assert figures.mean_response_h == pytest.approx(response_h, abs=0.001)
    assert figures.first_time_fix is not None
    assert 0 < figures.first_time_fix * repaired <= repaired


def test_the_people_behave_as_people_and_the_timelines_are_whole(played: Played) -> None:
    """SPEC T3, C2: accept, depart, arrive, execute, resolve, answer, close, each by the one who may; T7."""
    from storage.tickets import verify_timeline

    with connect(played.database) as connection:
        codes = [code for (code,) in connection.execute("select code from ticket order by code")]
        broken = [code for code in codes if verify_timeline(connection, code) is not None]
        actors = dict(
            connection.execute(
                "select command, array_agg(distinct actor_kind order by actor_kind) from ticket_event group by command"
            ).fetchall()
        )
        (virtual,) = connection.execute(
            "select count(*) from ticket_event where at not between '2026-03-01' and '2026-03-20'"
        ).fetchone()
    assert not broken
    assert virtual == 0, "everything happened in virtual time"
    for command in ("accept", "depart", "arrive", "execute", "complete_task", "resolve", "close"):
        assert actors[command] == ["person"], command
    assert "requester" in actors["confirm"]
    assert "system" in actors["dispatch"]


def test_nobody_works_while_asleep_but_for_what_is_urgent(played: Played) -> None:
    with connect(played.database) as connection:
        rows = connection.execute(
            """select t.code from ticket_event e join ticket t on t.id = e.ticket_id
               where e.command = 'accept' and t.priority > 1
                 and extract(hour from e.at at time zone 'Asia/Shanghai') not between 8 and 22"""
        ).fetchall()
    assert rows == []


@pytest.mark.slow
def test_parts_are_waited_for_links_forgotten_and_tickets_overlooked_and_all_is_finished(
    play: Callable[..., Played], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SPEC T5, N1, C2: a hold with a review date, a supervisor who asks after tickets, and one who confirms."""
    for module, name in (
        (month_people, "WAITS_PREDICTED"),
        (month_people, "WAITS_REPORTED"),
        (month_people, "NO_ANSWER"),
        (month_plan, "FORGETFUL"),
        (month_plan, "FORGETS"),
    ):
        monkeypatch.setattr(module, name, 1.0)
    month = play()
    with connect(month.database) as connection:
        (repaired, by_supervisor) = connection.execute(
            """select count(*), count(*) filter (where p.login = 'month-supervisor')
               from ticket t left join person p on p.id = t.confirmed_by where t.outcome = 'repaired'"""
        ).fetchone()
        (holds, ended) = connection.execute(
            "select count(*), count(*) filter (where ended_at >= started_at + interval '18 hours') from hold"
        ).fetchone()
    figures = month.figures
    assert not figures.unfinished
    assert repaired == by_supervisor == holds == ended > 0
    assert figures.happenings["waits for parts"] == holds
    assert figures.redispatched > 0
    assert figures.happenings["forgotten by engineer"] > 0


def test_a_repair_that_does_not_hold_is_disputed_and_repaired_again(
    play: Callable[..., Played], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SPEC C2: the requester says no, the engineer comes again, and it was no first-time fix."""
    monkeypatch.setattr(month_people, "missed_share", lambda level, attempts: float(attempts == 0))
    figures = play().figures
    assert not figures.unfinished
    assert figures.disputed > 0
    assert figures.commands["resolve"] == figures.closed + figures.commands["dispute"]
    # One in ten is content with a repair that does not hold: the machine fails again, and a person reports it.
    assert figures.first_time_fix == 0.0
    assert figures.disputed + figures.happenings.get("repair did not hold", 0) >= figures.commands["dispute"]


def test_the_policy_that_sends_the_most_skilled_weighs_engineers_otherwise(
    played: Played, play: Callable[..., Played]
) -> None:
    """SPEC X1: the weights are what differs between the two shipped policies."""
    skilled = play("repair_skilled")
    assert skilled.figures.tickets == played.figures.tickets, "the same faults"
    weighed = []
    for month in (played, skilled):
        with connect(month.database) as connection:
            weighed.append(connection.execute("select candidates from dispatch_decision order by at, id").fetchall())
    assert weighed[0] != weighed[1]


def test_the_figures_are_printed_side_by_side(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    show({"one": played.figures, "other": played.figures}, Screen(CLOCK))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    rows = [cells for cells in rows if cells]
    for row in (*ROWS, *played.figures.tickets):
        (cells,) = [cells for cells in rows if cells[0] == row]
        assert cells[1] == cells[2] != ""


# Policies as files


def test_a_policy_says_only_what_differs_from_the_one_it_is_based_on() -> None:
    skilled = policy_of(POLICIES / "repair_skilled.toml")
    shipped = shipped_body("repair")
    assert skilled["dispatch"] != shipped["dispatch"]
    assert skilled["dispatch"]["load_limit"] == shipped["dispatch"]["load_limit"]  # type: ignore[index]
    assert {name: value for name, value in skilled.items() if name != "dispatch"} == {
        name: value for name, value in shipped.items() if name != "dispatch"
    }
    assert policy_of(POLICIES / "repair.toml") == shipped


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ('based_on = "repair"\n[dispatch.weights]\nskil = 1.0\n', Refused, "skil"),
        ('based_on = "nothing"\n', ServiceError, "nothing"),
        ('name = "small"\n', Refused, "sla"),
        ("= 1\n", ServiceError, "cannot be read"),
    ],
)
def test_a_policy_that_is_none_is_refused_by_what_is_wrong(
    tmp_path: Path, text: str, error: type[Exception], told: str
) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(error, match=told):
        policy_of(path)


def told_by(*words: str, data: Path) -> subprocess.CompletedProcess[str]:
    """What the command answers, in a process of its own: it sets how the whole process logs."""
    surroundings = {**os.environ, "WEARSIGHT_DATA_DIR": str(data)}
    line = [sys.executable, "-m", "runtime.commands", *words]
    return subprocess.run(line, cwd=REPOSITORY, env=surroundings, capture_output=True, text=True, check=False)


def test_the_command_plays_each_policy_over_a_database_of_its_own(tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text('based_on = "repair"\n[dispatch]\nload_limit = 1\n', encoding="utf-8")
    asked = ["month", "--days", "1", "--engineers", "2", "--json"]
    paths = ["--policy", str(POLICIES / "repair.toml"), "--policy", str(other)]
    done = told_by(*asked, *paths, data=tmp_path / "data")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["days"], told["engineers"], list(told["policies"])) == (1, 2, ["repair", "other"])
    counts = [one["tickets"] for one in told["policies"].values()]
    assert counts[0] == counts[1] != {}


def test_the_command_refuses_two_policies_of_one_name(tmp_path: Path) -> None:
    same = tmp_path / "repair.toml"
    same.write_text('based_on = "repair"\n', encoding="utf-8")
    done = told_by("month", "--policy", str(POLICIES / "repair.toml"), "--policy", str(same), data=tmp_path / "data")
    assert done.returncode == 1
    assert "same file name" in done.stdout
