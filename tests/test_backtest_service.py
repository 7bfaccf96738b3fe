"""Backtests asked for over the API, run by the jobs process over cores, told on the command line (SPEC D7)."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from psycopg_pool import ConnectionPool
from typer.testing import CliRunner

from detectors.backtest import backtest
from runtime.backtesting import plan_of, run_waiting, try_machine
from runtime.commands import app
from runtime.fanning_out import fan_out
from storage import backtests
from storage.backtest_json import BacktestRequest, as_json, result_of
from storage.cases import Label, read_case
from storage.database import connect
from storage.job_schema import ensure_job_schema
from storage.library import failure_modes
from tests.api_builders import NORTH, NOW, SOUTH, Api, an_api
from tests.backtest_builders import BEGIN, END, FAILED, a_candidate, a_worn_motor, install_motors
from tests.fan_out_work import square
from tests.ingest_builders import CLOCK, until
from tests.loops import in_a_loop_of_its_own
from tests.test_jobs import _sweep, a_jobs_process
from ticketing.actors import Role

SPAN = {"asset_type": "motor", "since": BEGIN.isoformat(), "until": END.isoformat()}
RULE = {**asdict(a_candidate()), "severity": "high", "mode": "auto"}


@pytest.fixture
def api(pool: ConnectionPool) -> Iterator[Api]:
    with an_api(pool) as opened:
        yield opened


@pytest.fixture
def motors(api: Api) -> list[int]:
    """Two motors in the north of which one wears, and one in the south."""
    with api.pool.connection() as connection:
        install_motors(connection)
        return [
            a_worn_motor(connection, "M-1"),
            a_worn_motor(connection, "M-2", wears=False),
            a_worn_motor(connection, "S-1", site=SOUTH),
        ]


def run(api: Api) -> int:
    return run_waiting(api.pool.conninfo, api.clock, threading.Event(), workers=0)


# The fan-out


def test_an_error_in_one_item_is_told_by_name_and_the_rest_goes_on() -> None:
    made = dict(fan_out(square, list(range(8)), workers=2))
    assert str(made.pop(7)) == "seven"
    assert made == {number: number * number for number in range(7)}


def test_a_worker_that_dies_takes_nobody_along() -> None:
    made = dict(fan_out(square, [1, 8, 2, 3, 4], workers=2))
    assert "worker died" in str(made.pop(8))
    assert made == {1: 1, 2: 4, 3: 9, 4: 16}


def test_what_is_no_longer_wanted_ends_at_once() -> None:
    began_s, asked = CLOCK.monotonic_s(), []

    def wanted() -> bool:
        asked.append(1)
        return len(asked) < 6

    assert list(fan_out(square, [9, 9, 9], workers=2, wanted=wanted)) == []
    assert CLOCK.monotonic_s() - began_s < 30


def test_workers_end_with_a_killed_parent() -> None:
    program = (
        "from runtime.fanning_out import fan_out; from tests.fan_out_work import square\n"
        "if __name__ == '__main__':\n    list(fan_out(square, [9], workers=1))"
    )
    parent = subprocess.Popen([sys.executable, "-c", program])
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")

    def workers() -> list[int]:
        return [int(pid) for pid in children.read_text().split() if _niceness(int(pid)) > _niceness(parent.pid)]

    until(lambda: bool(workers()), "a worker is at work")
    (worker,) = workers()
    parent.kill()
    parent.wait(10)
    until(lambda: not _lives(worker), "its worker is gone")


def _stat(pid: int) -> list[str]:
    """What the kernel says of a process after its name: state first, niceness seventeenth."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()


def _niceness(pid: int) -> int:
    return int(_stat(pid)[16])


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() and _stat(pid)[0] != "Z"


# Machines as they are stored


def test_a_case_has_what_the_database_knows(api: Api, motors: list[int]) -> None:
    with api.pool.connection() as connection:
        connection.execute(
            "insert into component_installation values (%s, 'bearing', %s, 'import')",
            (motors[0], BEGIN - timedelta(days=90)),
        )
        modes = list(failure_modes(connection, "motor").values())
        case = read_case(connection, motors[0], modes, BEGIN, END, [Label(BEGIN, END, None, motors[1])])
    (truth,) = case.truths
    assert (truth.begins, truth.ends, truth.modes, truth.source) == (
        FAILED - timedelta(hours=240), FAILED, frozenset(["wear"]), "replacement"
    )  # fmt: skip
    assert case.history.installed == {"bearing": [BEGIN - timedelta(days=90)]}
    assert [(event.code, event.ts) for event in case.history.events] == [("component_replaced", FAILED)]
    assert len(case.history.readings) == 60 * 144
    assert (case.since, case.until) == (BEGIN, END - timedelta(minutes=10) + timedelta(microseconds=1))


def test_a_repaired_ticket_is_true_and_ends_what_the_loop_opened(api: Api, motors: list[int]) -> None:
    with api.pool.connection() as connection:
        connection.execute("delete from component_installation")
        connection.execute(
            "insert into policy (name, version, body, published_at) values ('p', 1, '{}', %s)", (FAILED,)
        )
        connection.execute(
            "insert into ticket (id, code, site_id, asset_id, kind, state, outcome, failure_mode_id, title_en,"
            " title_zh, priority, priority_reason, policy_id, opened_at, due_at, evidence_at, work_finished_at,"
            " closed_at, last_effective_at, timeline_head)"
            " select gen_random_uuid(), 'D000001', %s, %s, 'preventive', 'closed', 'repaired', mode.id, 'x', 'x', 2,"
            " '{}', policy.id, %s, %s, %s, %s, %s, %s, 'x' from failure_mode as mode, policy where mode.code = 'wear'",
            (NORTH, motors[0], *[FAILED] * 6),
        )
        modes = list(failure_modes(connection, "motor").values())
        case = read_case(connection, motors[0], modes, BEGIN, END)
    assert [(truth.ends, truth.source) for truth in case.truths] == [(FAILED, "closure")]
    assert [(repair.at, repair.failure_mode) for repair in case.history.repairs] == [(FAILED, "wear")]


def test_results_are_the_same_after_their_way_through_the_database(api: Api, motors: list[int]) -> None:
    with api.pool.connection() as connection:
        plan = plan_of(connection, api.pool.conninfo, "motor", BEGIN, END, BacktestRequest((a_candidate(),)))
    result = try_machine(plan, motors[0])
    assert result.candidate.tickets
    assert result_of(as_json(result)) == result


# The service


def test_a_backtest_is_asked_for_run_and_read(api: Api, motors: list[int]) -> None:
    """SPEC D7: tickets, lead time, false alarms per machine-month, beside the rules in force."""
    asked = api.post("/backtests", {**SPAN, "rules": [RULE]}, Role.PLANNER)
    assert asked.status_code == 201, asked.text
    assert asked.json()["state"] == "waiting"
    assert sorted(asked.json()["asset_ids"]) == sorted(motors)
    assert run(api) == 1
    found = api.get(f"/backtests/{asked.json()['id']}", Role.ENGINEER).json()
    assert (found["state"], found["done"], found["error"]) == ("done", 3, None)
    assert found["candidate"]["figures"]["right"] == 2
    assert found["in_force"]["figures"]["right"] == 2
    assert found["difference"]["median_lead_h"] > 48
    assert found["candidate"]["figures"]["precision"] == 1.0
    by_name = {machine["name"]: machine for machine in found["machines"]}
    assert set(by_name) == {"M-1", "M-2", "S-1"}
    (ticket,) = by_name["M-1"]["candidate"]["tickets"]
    assert (ticket["verdict"], ticket["rules"]) == ("right", ["motor.limit"])
    assert by_name["M-2"]["candidate"]["tickets"] == []


def test_the_service_says_what_the_pure_function_says(api: Api, motors: list[int]) -> None:
    asked = api.post("/backtests", {**SPAN, "asset_ids": motors[:1], "rules": [RULE]}, Role.PLANNER).json()
    run(api)
    with api.pool.connection() as connection:
        (answer,) = backtests.answers_of(connection, asked["id"])
        plan = plan_of(connection, api.pool.conninfo, "motor", BEGIN, END, BacktestRequest((a_candidate(),)))
        case = read_case(connection, motors[0], plan.modes, BEGIN, END)
    assert answer.result == backtest(case, plan.modes, plan.candidate, plan.in_force)


def test_a_calibration_proposes_a_limit_for_the_wanted_rate(api: Api, motors: list[int]) -> None:
    body = {**SPAN, "rule": "motor.limit", "parameter": "high", "wanted": 0.4}
    asked = api.post("/calibrations", body, Role.PLANNER)
    assert asked.status_code == 201, asked.text
    run(api)
    found = api.get(f"/backtests/{asked.json()['id']}", Role.PLANNER).json()
    assert (found["kind"], found["state"], found["error"]) == ("calibration", "done", None)
    proposal = found["proposal"]
    assert (proposal["parameter"], proposal["current"]) == ("high", 16.0)
    assert 10.5 < proposal["limit"] < 12.5, "the noise ends about 12, and the wear is left out as true"
    assert proposal["rate"] <= 0.4
    assert len(proposal["tried"]) > 10


def test_machines_of_other_sites_do_not_exist(api: Api, motors: list[int]) -> None:
    asked = api.post("/backtests", SPAN, Role.PLANNER, NORTH).json()
    assert sorted(asked["asset_ids"]) == sorted(motors[:2])
    foreign = api.post("/backtests", {**SPAN, "asset_ids": [motors[2]]}, Role.PLANNER, NORTH)
    assert (foreign.status_code, foreign.json()["type"]) == (404, "urn:wearsight:refusal:unknown_record")
    everywhere = api.post("/backtests", SPAN, Role.PLANNER).json()
    shown = [one["id"] for one in api.get("/backtests", Role.ENGINEER, NORTH).json()["items"]]
    assert shown == [asked["id"]]
    assert api.get(f"/backtests/{everywhere['id']}", Role.ENGINEER, NORTH).status_code == 404
    assert api.get("/backtests", Role.ENGINEER, SOUTH).json()["items"] == []


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"until": BEGIN.isoformat()}, "invalid_backtest"),
        ({"until": (BEGIN + timedelta(days=365 * 6)).isoformat()}, "invalid_backtest"),
        ({"asset_type": "generic"}, "unknown_record"),
        ({"rules": [{**RULE, "detector": "guess"}]}, "invalid_rule"),
        ({"rules": [{**RULE, "parameters": {"high": "much"}}]}, "invalid_rule"),
        ({"rules": [{**RULE, "asset_type": "pump"}]}, "invalid_backtest"),
        ({"rules": [RULE, RULE]}, "invalid_backtest"),
        ({"labels": [{"begin": END.isoformat(), "end": BEGIN.isoformat()}]}, "invalid_backtest"),
        ({"asset_ids": []}, "invalid_request"),
        ({"repaired_after_h": 0}, "invalid_request"),
    ],
)
def test_what_cannot_be_tried_is_refused_by_name_and_nothing_waits(api: Api, motors, change, name) -> None:
    answer = api.post("/backtests", {**SPAN, **change}, Role.PLANNER)
    assert answer.json()["type"] == f"urn:wearsight:refusal:{name}", answer.text
    assert api.get("/backtests").json()["items"] == []


def test_only_so_many_wait(api: Api, motors: list[int]) -> None:
    for _ in range(backtests.WAITING_MAX):
        assert api.post("/backtests", SPAN, Role.PLANNER).status_code == 201
    refused = api.post("/backtests", SPAN, Role.PLANNER)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:wearsight:refusal:too_many_backtests")
    newest = api.get("/backtests", limit=2).json()
    assert len(newest["items"]) == 2
    assert api.get("/backtests", cursor=newest["next_cursor"]).json()["items"][0]["id"] < newest["items"][1]["id"]


def test_one_that_is_cancelled_is_not_run_and_then_can_be_removed(api: Api, motors: list[int]) -> None:
    asked = api.post("/backtests", SPAN, Role.PLANNER).json()
    path = f"/backtests/{asked['id']}"
    headers = api.headers(Role.PLANNER)
    assert api.client.delete("/api/v1" + path, headers=headers).status_code == 204
    assert api.get(path).json()["state"] == "cancelled"
    assert run(api) == 0
    assert api.client.delete("/api/v1" + path, headers=headers).status_code == 204
    assert api.get(path).status_code == 404


def test_a_runner_whose_backtest_was_cancelled_or_taken_over_stores_nothing_more(api: Api, motors: list[int]) -> None:
    """Two runners over one backtest: the older one's writes find another claim."""
    asked = api.post("/backtests", {**SPAN, "asset_ids": motors[:1]}, Role.PLANNER).json()
    with api.pool.connection() as connection:
        old, new = (backtests.claim_next(connection, NOW) for _ in range(2))
        assert old.backtest.id == new.backtest.id == asked["id"]
        assert not backtests.is_claimed(connection, old)
        backtests.record(connection, old, motors[0], None, "from the older one")
        backtests.finish(connection, old, NOW)
        assert backtests.answers_of(connection, asked["id"]) == []
        backtests.record(connection, new, motors[0], None, "from the newer one")
        backtests.finish(connection, new, NOW)
        assert [answer.error for answer in backtests.answers_of(connection, asked["id"])] == ["from the newer one"]
    assert api.get(f"/backtests/{asked['id']}").json()["state"] == "done"


def test_what_a_runner_had_at_work_when_it_was_cancelled_is_not_stored(api: Api, motors: list[int]) -> None:
    asked = api.post("/backtests", {**SPAN, "asset_ids": motors[:1]}, Role.PLANNER).json()
    with api.pool.connection() as connection:
        claimed = backtests.claim_next(connection, NOW)
        assert backtests.is_claimed(connection, claimed)
        assert backtests.cancel(connection, claimed.backtest, NOW)
        assert not backtests.is_claimed(connection, claimed)
        backtests.record(connection, claimed, motors[0], None, "too late")
        backtests.finish(connection, claimed, NOW)
        assert backtests.answers_of(connection, asked["id"]) == []
    assert api.get(f"/backtests/{asked['id']}").json()["state"] == "cancelled"


def test_a_machine_that_cannot_be_tried_is_told_and_the_rest_is_answered(api: Api, motors: list[int]) -> None:
    asked = api.post("/backtests", SPAN, Role.PLANNER).json()
    with api.pool.connection() as connection:
        connection.execute(
            "insert into event (device_id, asset_id, ts, kind, code, severity, attributes, fingerprint, received_at)"
            " select id, asset_id, %s, 'error', 'E1', 'error', '{}', 'x', now() from device where asset_id = %s",
            (BEGIN + timedelta(days=1), motors[1]),
        )
        connection.execute("alter table event drop constraint event_kind_check")
        connection.execute("update event set kind = 'unheard'")
    run(api)
    found = api.get(f"/backtests/{asked['id']}").json()
    errors = {machine["name"]: machine["error"] for machine in found["machines"]}
    assert found["state"] == "done"
    assert "unheard" in errors.pop("M-2")
    assert errors == {"M-1": None, "S-1": None}


def test_a_calibration_that_fails_says_why(api: Api, motors: list[int]) -> None:
    body = {**SPAN, "rule": "motor.limit", "parameter": "high", "wanted": 0.4}
    asked = api.post("/calibrations", {**body, "since": END.isoformat(), "until": NOW.isoformat()}, Role.PLANNER).json()
    run(api)
    found = api.get(f"/backtests/{asked['id']}").json()
    assert found["state"] == "failed"
    assert "readings" in found["error"]
    for change in ({"rule": "unknown"}, {"parameter": "dead_band"}):
        refused = api.post("/calibrations", {**body, **change}, Role.PLANNER)
        assert refused.json()["type"] == "urn:wearsight:refusal:invalid_backtest"


def test_a_killed_jobs_process_is_followed_by_one_that_ends_the_backtest(api: Api, motors: list[int]) -> None:
    """What was answered stays; the run is taken up again and goes on with the machines that are left."""
    dsn = api.pool.conninfo
    with connect(dsn) as connection:
        connection.autocommit = True
        ensure_job_schema(connection, NOW)
        asked = api.post("/backtests", {**SPAN, "rules": [RULE]}, Role.PLANNER).json()

        def state() -> tuple[str, int]:
            row = connection.execute("select state, claim from backtest where id = %s", (asked["id"],)).fetchone()
            return row[0], row[1]

        with a_jobs_process(dsn) as process:
            until(lambda: state()[0] == "running", "it is taken up")
            process.send_signal(signal.SIGKILL)
            process.wait(10)
        taken = state()
        # The dead worker's heartbeat is an hour old, as the sweep of a later minute would find it.
        connection.execute("update procrastinate_workers set last_heartbeat = now() - interval '1 hour'")
        in_a_loop_of_its_own(lambda: _sweep(dsn, api.clock))
        with a_jobs_process(dsn):
            until(lambda: state()[0] == "done", "the next one ends it", within_s=60)
        assert state()[1] > taken[1]
    found = api.get(f"/backtests/{asked['id']}").json()
    assert [machine["error"] for machine in found["machines"]] == [None] * 3


# The command line


def test_the_command_line_tells_the_comparison(api: Api, motors: list[int], tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("WEARSIGHT_DATABASE_URL", api.pool.conninfo)
    rule = tmp_path / "rule.toml"
    rule.write_text(
        '[[rule]]\nname = "motor.limit"\nmetric = "vibration_mm_s"\ndetector = "threshold"\nseverity = "high"\n'
        'mode = "auto"\n[rule.parameters]\nhigh = 12.5\ndead_band = 0.5\n'
    )
    words = ["--asset-type", "motor", "--since", "2025-11-01", "--until", "2025-12-31"]
    told = CliRunner().invoke(
        app, ["backtest", *words, "--rule", str(rule), "--workers", "0", "--data-dir", str(tmp_path)]
    )
    assert told.exit_code == 0, told.output
    assert "3 of 3" in told.output
    assert "median_lead_h" in told.output
    limits = ["--rule", "motor.limit", "--parameter", "high", "--wanted", "0.4", "--data-dir", str(tmp_path)]
    told = CliRunner().invoke(app, ["calibrate", *words, *limits])
    assert told.exit_code == 0, told.output
    assert "high = 1" in told.output
    refused = CliRunner().invoke(app, ["backtest", "--asset-type", "pump", *words[2:], "--data-dir", str(tmp_path)])
    assert refused.exit_code == 1
    assert "no such record" in refused.output
    refused = CliRunner().invoke(
        app, ["backtest", *words[:2], "--since", "soon", *words[4:], "--data-dir", str(tmp_path)]
    )
    assert "Expected a time" in refused.output


def test_two_workers_give_what_this_process_gives(api: Api, motors: list[int]) -> None:
    with api.pool.connection() as connection:
        plan = plan_of(connection, api.pool.conninfo, "motor", BEGIN, END, BacktestRequest((a_candidate(),)))
    one, two = (dict(fan_out(partial(try_machine, plan), motors, workers=workers)) for workers in (0, 2))
    assert one == two
    assert set(one) == set(motors)
