"""Detection on recorded data with labels, without broker or database. Figures are floors, not goals."""

from __future__ import annotations

import pytest

from storage.library import shipped_libraries
from tests.conftest import recorded_data
from tests.recorded_evaluation import replay_furnace, replay_presses

pytestmark = pytest.mark.recorded
LIBRARIES = {library.asset_type: library for library in shipped_libraries()}


def test_press_tickets_name_the_component_that_was_replaced_ahead_of_its_failure() -> None:
    """The bars: precision >= 0.85, recall >= 0.97, right part >= 98 %, lead >= 24 h for >= 95 %."""
    folder = recorded_data()
    assert folder is not None
    _, score = replay_presses(folder / "azure-pdm", LIBRARIES["press"])
    print(f"Azure PdM: {score}")  # noqa: T201 - the figures are part of the answer
    assert score.precision >= 0.85
    assert score.recall >= 0.95
    assert score.right_part >= 0.98
    assert score.early >= 0.90


def test_each_labelled_failure_of_the_furnace_opens_one_ticket_inside_its_window_and_nothing_else_does() -> None:
    folder = recorded_data()
    assert folder is not None
    nab = folder / "nab"
    series = nab / "realKnownCause" / "machine_temperature_system_failure_part1.csv.gz"
    tickets, score = replay_furnace(series, nab / "combined_windows.json", LIBRARIES["furnace"])
    print(f"NAB machine temperature: {[ticket.opened_at.isoformat() for ticket in tickets]}")  # noqa: T201 - the figures are part of the answer
    assert score.inside == (1, 1)
    assert score.outside == ()
