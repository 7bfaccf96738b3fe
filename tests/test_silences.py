"""Silence replayed: a backtest of ``missing`` gives the findings that live judging gave (SPEC D6, D7, E8)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from detectors import notebook
from detectors.closed_loop import History, Loop, Machine, history_of, rules_of
from detectors.library import Library, RuleDraft, RuleMode
from detectors.silences import looks_us
from domain.events import COMPONENT_REPLACED
from domain.failure_modes import EventSign, FindingSign, PartAgeSign, Signature
from domain.findings import Direction, Finding, Severity
from domain.readings import Readings
from storage.cases import read_case
from storage.rules import rules_in_force
from tests.detection_builders import QUICK, START, START_US, a_mode, a_rule, an_event
from tests.ingest_builders import NOW, SECOND, Line, a_plant, hot
from tests.ingest_builders import a_device as a_stored_device
from tests.ingest_builders import a_rule as a_stored_rule
from tests.row_by_row import RowByRow
from tests.test_backtest_loop import a_machine


def a_library() -> Library:
    """Two modes that silence speaks for, one of them with a limit and an error beside it."""
    signature = Signature(
        findings=(
            FindingSign("vibration", "missing", None, 24.0, 3.0),
            FindingSign("vibration", "threshold", Direction.UP, 24.0, 3.0),
        ),
        events=(EventSign("E7", 24.0, 3.0),),
        part_age=PartAgeSign(14.0, 1.0, -1.0),
    )
    dumb = Signature((FindingSign("heat", "missing", None, 12.0, 6.0),))
    modes = (a_mode(signature=signature), a_mode("dumb", signature=dumb))
    given = {"missing": {"factor": 4.0, "at_least_s": 0.0}, "threshold": QUICK["threshold"]}
    rules = tuple(
        RuleDraft(f"r.{metric}.{name}", "motor", metric, name, given[name], Severity.HIGH, RuleMode.AUTO)
        for metric in ("vibration", "heat")
        for name in given
    )
    return Library("motor", "Motor", "电机", modes, rules)


class Clocked(Loop):
    """The loop over a frame whose machine is live and expected to speak."""

    def __init__(self, library: Library, machine: Machine, *, repaired_after: timedelta | None = None) -> None:
        history = history_of(machine)
        clocked = replace(history, clocked=history.metrics)
        super().__init__(library.modes, rules_of(library), clocked, repaired_after=repaired_after)


@pytest.mark.parametrize("repaired_after", [None, timedelta(hours=24), timedelta(minutes=90)])
@pytest.mark.parametrize("seed", range(4))
def test_silence_in_long_batches_gives_the_tickets_of_a_clock_looked_at_before_every_row(seed, repaired_after) -> None:
    """SPEC D6, D7: holes of the record open and clear as live, whatever else happens while nothing comes."""
    library, machine = a_library(), a_machine(seed)
    random = np.random.default_rng(seed)
    for _ in range(12):
        first = int(random.integers(100, len(machine.readings) - 60))
        metrics = list(random.choice(["vibration", "heat", "other"], random.integers(1, 4), replace=False))
        hole = slice(first, first + int(random.integers(3, 60)))
        machine.readings.iloc[hole, machine.readings.columns.get_indexer(metrics)] = np.nan
    slow = RowByRow(library, machine, repaired_after=repaired_after, clocked=True)
    fast = Clocked(library, machine, repaired_after=repaired_after)
    assert fast.run() == slow.run()
    assert found(fast) == {key: (finding, cleared) for key, (finding, cleared) in slow.findings.items()}
    assert sum(finding.detector == "missing" for finding in fast.findings.values()) > 5
    assert any(ticket.prediction.failure_mode == "dumb" for ticket in fast.tickets)


def found(loop: Loop) -> dict:
    return {key: (replace(one, cleared_at=None), one.cleared_at) for key, one in loop.findings.items()}


@pytest.fixture
def line(database):
    """Three registered devices, of which 'm1' alone is live and expected to speak; silence is judged by two rules."""
    with a_plant(database) as connection:
        a_stored_device(connection, "m1", expected_interval_s=1.0)
        a_stored_device(connection, "m2")
        a_stored_device(connection, "m3", expected_interval_s=1.0, time_policy="recorded")
        a_stored_rule(connection, "silent", detector="missing", at_least_s=30.0)
        a_stored_rule(connection, "slow", detector="missing", expected_interval_s=5.0, factor=9.0)
    return Line(database)


def watch_until(line: Line, second: int) -> None:
    """Let the clock go on second by second, and judge silence at each."""
    while line.now < NOW + second * SECOND:
        line.wait(1)
        line.pipeline.tick(line.now, line.now_s)


def test_a_backtest_finds_the_very_silences_that_live_judging_found(line: Line) -> None:
    """SPEC D7, E8: same ids, same times, those of devices alone that are judged live; one never ends."""
    for first, last in ((0, 20), (55, 70), (120, 140)):
        watch_until(line, first)
        for second in range(first, last):
            line.take(
                *(message for name in ("m1", "m2", "m3") for message in hot(second, second + 1, 1.0, device=name))
            )
            watch_until(line, second + 1)
    watch_until(line, 200)
    live = line.rows("select id, opened_at, cleared_at from finding order by opened_at, id")
    replayed: list[Finding] = []
    for asset_id in (1, 2, 3):
        case = read_case(line.connection, asset_id, [], NOW - SECOND, NOW + timedelta(days=9), now=line.now)
        loop = Loop([], rules_in_force(line.connection, "motor"), case.history)
        loop.run()
        replayed += loop.findings.values()
    assert sorted((one.opened_at, one.id, one.cleared_at) for one in replayed) == [
        (opened_at, id_, cleared_at) for id_, opened_at, cleared_at in live
    ]
    assert len(live) > 2
    assert any(cleared_at is None for *_, cleared_at in live)
    assert {one.asset_id for one in replayed} == {1}


def test_silence_is_looked_at_only_where_a_reading_comes_late() -> None:
    """A machine-year is fed in long batches: where a series speaks evenly nothing cuts them."""
    steps = np.full(1_000, 60_000_000, np.int64)
    steps[[300, 700]] = 3_600_000_000
    ts_us = START_US + np.cumsum(steps)
    readings = Readings(np.full(1_000, 1, np.int32), ts_us, np.zeros(1_000))
    rule = a_rule("missing", factor=10.0, at_least_s=60.0)
    assert looks_us(readings, {1: "t"}, [1], [rule]).tolist() == ts_us[[300, 700]].tolist()
    assert looks_us(readings, {1: "t"}, [], [rule]).size == 0
    assert looks_us(readings, {1: "t"}, [1], [a_rule("threshold")]).size == 0
    nothing = Readings(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0))
    assert Loop([], [rule], History(7, {1: "t"}, nothing, clocked=[1])).run() == []


def test_a_notebook_tries_silence_until_the_last_reading() -> None:
    index = pd.date_range(START, periods=200, freq="min", tz="UTC").delete(slice(100, 140))
    frame = pd.DataFrame({"t": 1.0}, index=index)
    rule = {"name": "silent", "metric": "t", "detector": "missing", "parameters": {"factor": 10.0}}
    (ticket,) = notebook.backtest(frame, [rule]).tickets.to_dict("records")
    assert ticket["opened_at"] == START + timedelta(minutes=99 + 10)


def a_history(heat_stops: int, until: int, **changes: object) -> History:
    """Vibration by the minute until ``until``, high from minute 150 on; heat until ``heat_stops`` and from 300 on."""
    minutes = np.arange(until)
    spoken = np.concatenate([minutes[minutes < heat_stops], minutes[minutes >= 300]])
    series = np.concatenate([np.full(until, 1), np.full(len(spoken), 2)]).astype(np.int32)
    values = np.concatenate([np.where(minutes < 150, 10.0, 20.0), np.full(len(spoken), 10.0)])
    ts_us = START_US + np.concatenate([minutes, spoken]) * 60_000_000
    readings = Readings(series, ts_us, values)
    return History(7, {1: "vibration", 2: "heat"}, readings, clocked=(1, 2), **changes)  # type: ignore[arg-type]


def test_silence_is_heard_of_when_it_opened_not_when_it_ended() -> None:
    """What other series tell meanwhile comes after it, in the order of time."""
    library = a_library()
    loop = Loop(library.modes, rules_of(library), a_history(100, 400))
    loop.run()
    opened = [(one.detector, one.metric) for one in loop.findings.values()]
    assert opened == [("missing", "heat"), ("threshold", "vibration")]


def test_silence_after_the_last_event_is_heard_of_too() -> None:
    """A replacement a minute after the last reading ends no silence that has not begun."""
    library = a_library()
    replaced = an_event(COMPONENT_REPLACED, hours=1 + 40 / 60, attributes={"component": "bearing"})
    until = START + timedelta(hours=9)
    loop = Loop(library.modes, rules_of(library), a_history(100, 100, events=[replaced], clock_until=until))
    loop.run()
    assert {one.metric: one.opened_at for one in loop.findings.values()} == {
        metric: START + timedelta(minutes=99 + 4) for metric in ("vibration", "heat")
    }
