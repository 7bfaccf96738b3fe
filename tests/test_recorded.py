"""Real recorded data through the whole service: broker, ingest, detectors, desk, tickets, people (SPEC D7, P2, R2).

One house is started and both recordings are replayed side by side as fast as it takes them. The tickets it opened
are scored by event, and compared one by one with those of the offline evaluation, which knows no broker, database or
process: whatever differs was lost or added on the way.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from detectors.library import Library
from domain.predictions import Prediction, Stage
from simulators.console_client import ConsoleClient, Json, objects
from simulators.replay import Replayed, ReplayPlan, run_replays
from simulators.tickets import Ticket
from storage.library import shipped_libraries
from tests import recorded_evaluation as offline
from tests.conftest import recorded_data
from tests.services_builders import an_open_folder
from tests.simulators_builders import CLOCK, House, a_house

pytestmark = [pytest.mark.recorded, pytest.mark.slow, pytest.mark.timeout(420)]

NAB, AZURE = "nab-machine-temperature", "azure-pdm"


@dataclass(frozen=True, slots=True)
class Opened:
    """A ticket of the service on the recording's time."""

    code: str
    device: str
    failure_mode: str
    evidence_at: datetime
    parts: tuple[str, ...]
    outcome: str | None
    detail: Json


@dataclass(frozen=True, slots=True)
class Played:
    """One recording that went through the service."""

    replayed: Replayed
    tickets: tuple[Opened, ...]


@pytest.fixture(scope="module")
def report(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Print past pytest's capture: these figures are what the test is for."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    assert capture is not None

    def print_now(line: str) -> None:
        with capture.global_and_fixture_disabled():
            sys.stdout.write(f"\n{line}")
            sys.stdout.flush()

    return print_now


@pytest.fixture(scope="module")
def data() -> Path:
    folder = recorded_data()
    assert folder is not None
    return folder


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with an_open_folder() as folder, a_house(folder) as running:
        yield running


@pytest.fixture(scope="module")
def played(house: House, data: Path, report: Callable[[str], None]) -> dict[str, Played]:
    """Both recordings, replayed side by side with the simulated engineer, and the tickets that came of them."""
    began = CLOCK.monotonic_s()
    results = run_replays(
        [NAB, AZURE],
        data,
        ReplayPlan(),
        **house.addresses(),
        folder=house.folder / "replays",
        now=CLOCK.now,
        stop=threading.Event(),
        say=lambda line: None,
    )
    rows = sum(result.rows for result in results)
    report(f"{rows} rows of recorded data through the service in {CLOCK.monotonic_s() - began:.0f} s")
    with ConsoleClient(house.api, house.token) as client:
        details = [client.get(f"/tickets/{item['code']}") for item in client.items("/tickets")]
    return {
        result.recording.name: Played(
            result, tuple(sorted(opened_by(result, details), key=lambda one: one.evidence_at))
        )
        for result in results
    }


def opened_by(result: Replayed, details: list[Json]) -> Iterator[Opened]:
    devices = {device.name for device in result.recording.devices}
    for detail in details:
        ticket = Ticket.read(detail)
        row = detail["ticket"]
        assert isinstance(row, dict)
        if ticket.asset_tag in devices:
            yield Opened(
                ticket.code,
                ticket.asset_tag,
                str(ticket.failure_mode),
                ticket.evidence_at - result.shift,
                tuple(line.part_number for line in ticket.bill if line.predicted),
                row["outcome"],
                detail,
            )


def library(asset_type: str) -> Library:
    return next(each for each in shipped_libraries() if each.asset_type == asset_type)


def test_every_row_arrived_and_nothing_was_set_aside(played: dict[str, Played], house: House) -> None:
    """SPEC E4, E5."""
    with ConsoleClient(house.api, house.token) as client:
        health = client.get("/health/detail")
    assert health["quarantine_open"] == 0
    for each in played.values():
        assert each.replayed.is_whole
        assert each.replayed.rows == len(each.replayed.recording.rows)


def test_each_labelled_failure_of_the_furnace_opens_one_ticket_in_its_window_and_there_is_no_storm(
    played: dict[str, Played], report: Callable[[str], None]
) -> None:
    """SPEC D1, D2, D8: one alarm per episode."""
    recording, tickets = played[NAB].replayed.recording, played[NAB].tickets
    windows = [(pd.Timestamp(failure.begins), pd.Timestamp(failure.ends)) for failure in recording.failures]
    score = offline.score_windows([ticket.evidence_at for ticket in tickets], windows)
    days = (recording.last_row_at - recording.first_row_at) / timedelta(days=1)
    inside = sum(count > 0 for count in score.inside)
    report(
        f"furnace (NAB machine temperature), {days:.0f} days: {len(tickets)} tickets for {len(windows)} labelled "
        f"failures, precision {inside / max(1, len(tickets)):.2f}, recall {inside / len(windows):.2f}, "
        f"{len(score.outside)} outside"
    )
    assert score.inside == (1,) * len(windows)
    assert score.outside == ()
    assert {ticket.failure_mode for ticket in tickets} == {"thermal_system_failure"}


def test_the_tickets_of_the_presses_name_the_component_that_was_replaced_ahead_of_its_failure(
    played: dict[str, Played], report: Callable[[str], None]
) -> None:
    """SPEC P2, P3: precision, recall, right part and lead time against the failures that were never sent."""
    score = score_of_presses(played[AZURE])
    report(f"presses (Azure PdM, 12 machines, 90 days): {score}")
    assert score.precision >= 0.85
    assert score.recall >= 0.97
    assert score.right_part >= 0.98
    assert score.early >= 0.95


def test_every_ticket_of_a_press_brings_the_part_of_its_component(played: dict[str, Played]) -> None:
    """SPEC P3."""
    parts = {mode.code: tuple(part.number for part in mode.parts) for mode in library("press").modes}
    assert played[AZURE].tickets
    for ticket in played[AZURE].tickets:
        assert ticket.parts == parts[ticket.failure_mode]


def test_the_engineer_closed_the_tickets_and_every_closure_is_proven(played: dict[str, Played]) -> None:
    """SPEC C2: each closed ticket has a photo, the requester's answer and reconciled parts."""
    closed = [ticket for each in played.values() for ticket in each.tickets if ticket.outcome is not None]
    assert {ticket.code for ticket in closed} == {code for each in played.values() for code in each.replayed.closed}
    for ticket in closed:
        assert objects(ticket.detail, "attachments")
        assert [answer["solved"] for answer in objects(ticket.detail, "answers")] == [True]
        for line in objects(ticket.detail, "bill"):
            assert line["issued"] == line["used"] + line["returned"]  # type: ignore[operator]


def test_the_service_opens_exactly_the_tickets_of_the_offline_evaluation(played: dict[str, Played], data: Path) -> None:
    """Nothing is lost, doubled, reordered or judged twice between the sensor and the ticket."""
    presses, _ = offline.replay_presses(data / "azure-pdm", library("press"))
    assert sorted(
        (ticket.device, ticket.evidence_at, ticket.failure_mode) for ticket in played[AZURE].tickets
    ) == sorted(
        (f"PR-{ticket.asset_id:02d}", ticket.prediction.evidence_at, ticket.prediction.failure_mode)
        for ticket in presses
    )
    series = data / "nab" / "realKnownCause" / "machine_temperature_system_failure_part1.csv.gz"
    furnace, _ = offline.replay_furnace(series, data / "nab" / "combined_windows.json", library("furnace"))
    assert [ticket.evidence_at for ticket in played[NAB].tickets] == [
        ticket.prediction.evidence_at for ticket in furnace
    ]


def score_of_presses(played: Played) -> offline.PressScore:
    recording = played.replayed.recording
    failures = pd.DataFrame(
        {
            "datetime": [failure.begins for failure in recording.failures],
            "machineID": [int(failure.device.removeprefix("PR-")) for failure in recording.failures],
            "failure": [failure.mode.removesuffix("_failure") for failure in recording.failures],
        }
    )
    return offline.score_presses([as_offline(ticket) for ticket in played.tickets], failures)


def as_offline(ticket: Opened) -> offline.Ticket:
    at = ticket.evidence_at
    prediction = Prediction(1, ticket.failure_mode, Stage.TICKET, 1.0, at, at, at + timedelta(hours=1), (), ())
    return offline.Ticket(int(ticket.device.removeprefix("PR-")), at, prediction)
