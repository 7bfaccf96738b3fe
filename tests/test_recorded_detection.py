"""Detection on recorded data with labels, without broker or database. Figures are floors, not goals."""

from __future__ import annotations

import pytest

from bench.detection.azure import controls
from bench.detection.azure_learning import apply, cross_validated, learn, observe
from bench.detection.presses import read_presses, score_press, total
from storage.library import shipped_libraries
from tests.conftest import recorded_data
from tests.recorded_evaluation import milled, replay_furnace, replay_presses

pytestmark = pytest.mark.recorded
LIBRARIES = {library.asset_type: library for library in shipped_libraries()}


def test_press_tickets_name_the_component_that_was_replaced_ahead_of_its_failure() -> None:
    """The bars: precision >= 0.85, recall >= 0.97, right part >= 98 %, lead >= 24 h for >= 95 %."""
    folder = recorded_data()
    assert folder is not None
    _, score = replay_presses(folder / "azure-pdm", LIBRARIES["press"])
    print(f"Azure PdM: {score}")  # noqa: T201 - the figures are part of the answer
    assert score.precision >= 0.85
    assert score.recall >= 0.97
    assert score.right_part >= 0.98
    assert score.early >= 0.95


def test_press_tickets_are_right_on_machines_that_the_weights_were_not_counted_on() -> None:
    folder = recorded_data()
    assert folder is not None
    presses = read_presses(folder / "azure-pdm")
    score = total(cross_validated(presses, LIBRARIES["press"]))
    print(f"Azure PdM, each machine left out in turn: {score}")  # noqa: T201 - the figures are part of the answer
    assert score.precision >= 0.85
    assert score.recall >= 0.97
    assert score.right_part >= 0.98
    assert score.early >= 0.95


def test_the_weights_of_the_press_library_are_those_that_were_counted() -> None:
    folder = recorded_data()
    assert folder is not None
    press = LIBRARIES["press"]
    presses = read_presses(folder / "azure-pdm")
    assert apply(press, learn([observe(one, press) for one in presses], press)) == press


def test_no_control_comes_near_the_precision_of_fusion() -> None:
    """What always alarms, guesses, or looks at one kind of evidence is what figures are to be held against."""
    folder = recorded_data()
    assert folder is not None
    presses = [press for press in read_presses(folder / "azure-pdm") if len(press.machine.readings)]
    reached = {
        name: total([score_press(press, calls) for press in presses])
        for name, calls in controls(presses, LIBRARIES["press"]).items()
    }
    assert set(reached) == {"always on", "clock", "part age alone", "error code alone"}
    assert all(score.tickets > 10 for score in reached.values())
    assert max(score.precision for score in reached.values()) < 0.5


def test_each_labelled_failure_of_the_furnace_opens_one_ticket_inside_its_window_and_nothing_else_does() -> None:
    folder = recorded_data()
    assert folder is not None
    nab = folder / "nab"
    series = nab / "realKnownCause" / "machine_temperature_system_failure_part1.csv.gz"
    tickets, score = replay_furnace(series, nab / "combined_windows.json", LIBRARIES["furnace"])
    print(f"NAB machine temperature: {[ticket.opened_at.isoformat() for ticket in tickets]}")  # noqa: T201 - the figures are part of the answer
    assert score.inside == (1, 1)
    assert score.outside == ()


def test_the_rules_of_the_milling_machine_name_the_part_that_its_failures_are_about() -> None:
    """AI4I 2020: each row is a machine of its own. Wear is random from 200 minutes on, so only its recall is a bar."""
    folder = recorded_data()
    assert folder is not None
    parts, failures = milled(folder / "ai4i2020" / "ai4i2020_1-7000.csv.gz", LIBRARIES["milling"])
    for component, column in (("coolant_circuit", "HDF"), ("spindle_drive", "PWF"), ("tool_holder", "OSF")):
        assert failures[column].sum() > 30
        assert (parts[component] == failures[column].astype(bool)).all(), component
    worn = failures["TWF"].astype(bool)
    assert parts["tool"][worn].mean() >= 0.95
    assert parts["tool"].mean() < 0.15
