"""The detection benchmark's own sums on bearings, gears and fleets: right on data whose answer is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.detection import fleet, gearbox, hydraulic, ims
from bench.detection.events import Recording
from bench.detection.figures import Figure
from simulators.fleet import ROSTER
from storage.library import shipped_libraries
from tests.conftest import recorded_data

ROWS, LEARNT = 600, 200
HOUR_S = 3_600.0


def a_test_folder(folder: Path, number: int, **rises_at: int) -> Path:
    """A run of four bearings, a snapshot every ten minutes; ``b3=400`` lets bearing 3 rise by half from row 400 on."""
    random = np.random.default_rng(number)
    values = 0.1 * (1 + 0.01 * random.standard_normal((ROWS, 4)))
    for name, row in rises_at.items():
        values[row:, int(name[1:]) - 1] *= 1.5
    index = pd.date_range("2004-03-04", periods=ROWS, freq="10min")
    frame = pd.DataFrame(values, index, [f"Bearing {place}" for place in range(1, 5)])
    frame.to_csv(folder / f"test{number}_mean_abs.csv.gz")
    return folder


def named(figures: list[Figure], of: str = "wearsight") -> dict[str, Figure]:
    return {figure.name: figure for figure in figures if figure.of == of}


def test_the_lead_is_counted_from_the_first_alarm_to_the_end_of_the_run(tmp_path: Path) -> None:
    found = named(ims.score(a_test_folder(tmp_path, 3, b3=300, b1=350)))
    # The fifth snapshot beyond the limit opens, ten minutes apart.
    assert found["test 3 bearing 3: lead"].value == pytest.approx((ROWS - 1 - 304) / 6)
    assert found["test 3 bearing 3: lead"].meets_bar
    assert found["test 3: healthy bearings alarmed before"].value == 0, "bearing 1 alarmed after bearing 3"


def test_healthy_bearings_that_alarm_first_count_against_us(tmp_path: Path) -> None:
    found = named(ims.score(a_test_folder(tmp_path, 2, b1=500, b2=300, b4=400)))
    assert found["test 2 bearing 1: lead"].meets_bar is False
    assert found["test 2: healthy bearings alarmed before"].value == 2
    assert found["test 2: healthy bearings alarmed before"].meets_bar is False


def test_a_failed_bearing_that_never_alarms_has_no_lead(tmp_path: Path) -> None:
    found = named(ims.score(a_test_folder(tmp_path, 2, b2=300)))
    assert found["test 2 bearing 1: lead"].value == 0
    assert found["test 2: healthy bearings alarmed before"].value == 1


def test_always_on_has_all_the_lead_and_every_healthy_bearing(tmp_path: Path) -> None:
    control = named(ims.score(a_test_folder(tmp_path, 2, b1=300)), "always on")
    assert control["shortest lead"].value == pytest.approx((ROWS - 1) / 6)
    assert control["most healthy bearings alarmed before in a test"].value == 3


def test_a_run_without_labels_and_a_folder_without_runs_are_left_out(tmp_path: Path) -> None:
    assert ims.score(a_test_folder(tmp_path, 9, b1=300)) == []
    assert gearbox.score(tmp_path) == []


def test_the_alarms_of_a_run_are_told_apart_from_those_of_its_healthy_bearings() -> None:
    def bearing(name: str, *opened_h: float) -> Recording:
        return Recording(name, tuple((at * HOUR_S, 100 * HOUR_S) for at in opened_h), (), (0.0, 100 * HOUR_S))

    run = ims.Run(1, (bearing("a", 50.0), bearing("b", 90.0, 20.0)), (bearing("c", 19.0, 30.0), bearing("d")))
    assert run.leads_h() == [50.0, 80.0]
    assert run.healthy_before() == 1
    assert run.false_alarms() == (1, 2 * 20 * HOUR_S)


@pytest.mark.parametrize("post", {post.model: post for post in ROSTER}.values(), ids=lambda post: post.model.__name__)
def test_a_simulated_life_gets_one_right_ticket_in_time(post: object) -> None:
    """SPEC R1, P2."""
    libraries = {library.asset_type: library for library in shipped_libraries()}
    life = fleet.live(post, libraries, 3, wears=True)  # type: ignore[arg-type]
    assert life.onset_h is not None
    assert life.failed_h is not None
    right_at_h = life.right_at_h()
    assert right_at_h is not None
    assert life.onset_h < right_at_h < life.failed_h
    late = replace(life, tickets=((life.failed_h, True),))
    wrong = replace(life, tickets=((right_at_h, False),))
    early = replace(life, tickets=((life.onset_h - 1, True),))
    assert late.right_at_h() is wrong.right_at_h() is early.right_at_h() is None


@pytest.mark.recorded
def test_the_bars_of_the_recorded_bearings_are_met() -> None:
    """SPEC D2, D4: lead of each failed bearing, healthy ones before it, and no part named in a healthy snapshot."""
    folder = recorded_data()
    assert folder is not None
    figures = ims.score(folder / ims.FOLDER)
    barred = [figure for figure in figures if figure.meets_bar is not None]
    assert len(barred) >= 6
    assert [figure.name for figure in barred if not figure.meets_bar] == []


@pytest.mark.recorded
def test_the_broken_tooth_is_told_apart_at_every_load_and_rarely_where_there_is_none() -> None:
    folder = recorded_data()
    assert folder is not None
    found = named(gearbox.score(folder / gearbox.FOLDER))
    assert found["broken-tooth blocks told apart"].value >= 0.95
    assert found["healthy held-out blocks called broken"].value <= 0.1


@pytest.mark.recorded
def test_a_fouled_cooler_and_a_leaking_pump_are_told_apart_from_good_ones() -> None:
    folder = recorded_data()
    assert folder is not None
    found = named(hydraulic.score(folder / hydraulic.FOLDER))
    for name in ("cooler at 3", "cooler at 20", "pump at 1", "pump at 2"):
        assert found[f"cycles told apart, {name}"].value >= 0.95, name
    assert all(figure.value <= 0.1 for name, figure in found.items() if name.startswith("good cycles"))
