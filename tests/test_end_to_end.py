"""The whole path, running: a simulated fleet wears, tickets open, people close them, machines run again.

Everything is real: `wearsight up` with its database, broker and processes, the fleet over MQTT, people over HTTP. Only
time is short: the fleet samples and ages five times as fast as by default.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg
import pytest

from simulators.console_client import ConsoleClient, Json, objects
from simulators.fleet import DEFAULT_ACCELERATION, ROSTER, FleetPlan, run_fleet
from simulators.people import run_people
from tests.services_builders import an_open_folder
from tests.simulators_builders import CLOCK, House, a_house

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

SPEED_UP = 5
WEARING = {"M-102": "bearing_wear", "P-201": "cavitation", "O-301": "heater_degradation"}
ALL_CLOSED_WITHIN_S = 200.0
# After the last repair the fleet runs on, so that a ticket opened by a bad baseline would show.
RUN_ON_S = 15.0


@dataclass(frozen=True, slots=True)
class Run:
    """What was left when the fleet and the people had gone home."""

    tickets: dict[str, list[Json]]
    assets: dict[str, Json]
    truth: list[dict[str, str]]
    database: str


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    with an_open_folder() as folder, a_house(folder) as house:
        truth = folder / "fleet" / "truth.jsonl"
        stop = threading.Event()
        with ThreadPoolExecutor(2) as threads:
            at_work = [threads.submit(fleet, house, stop), threads.submit(people, house, truth, stop)]
            try:
                until_all_are_closed(house)
                time.sleep(RUN_ON_S)
            finally:
                stop.set()
        for one in at_work:
            one.result()
        with ConsoleClient(house.api, house.token) as client:
            assets = {str(asset["tag"]): asset for asset in client.items("/assets")}
            tickets: dict[str, list[Json]] = {tag: [] for tag in assets}
            for item in client.items("/tickets"):
                tickets[str(item["asset_tag"])].append(client.get(f"/tickets/{item['code']}"))
        facts = [json.loads(line) for line in truth.read_text(encoding="utf-8").splitlines()]
        yield Run(tickets, assets, facts, house.database)


def fleet(house: House, stop: threading.Event) -> None:
    plan = FleetPlan(period_s=0.5 / SPEED_UP, acceleration=SPEED_UP * DEFAULT_ACCELERATION)
    run_fleet(plan, **house.addresses(), folder=house.folder / "fleet", now=CLOCK.now, stop=stop, say=lambda line: None)


def people(house: House, truth: Path, stop: threading.Event) -> None:
    run_people(
        api=house.api,
        token=house.token,
        now=CLOCK.now,
        stop=stop,
        say=lambda line: None,
        truth=truth,
        look_every_s=0.5,
        work_s=2.0,
    )


def until_all_are_closed(house: House) -> None:
    deadline = CLOCK.monotonic_s() + ALL_CLOSED_WITHIN_S
    seen: list[tuple[object, object]] = []
    with ConsoleClient(house.api, house.token) as client:
        while CLOCK.monotonic_s() < deadline:
            seen = [(item["asset_tag"], item["state"]) for item in client.items("/tickets")]
            if {tag for tag, state in seen if state == "closed"} >= WEARING.keys():
                return
            time.sleep(0.5)
    pytest.fail(f"within {ALL_CLOSED_WITHIN_S} s expected closed tickets of {sorted(WEARING)}, got {seen}")


def row_of(detail: Json) -> Json:
    row = detail["ticket"]
    assert isinstance(row, dict)
    return row


def test_each_worn_machine_got_one_ticket_that_names_its_failure_mode(run: Run) -> None:
    """SPEC D8, P2: findings of one episode are one ticket."""
    found = {tag: [row_of(detail)["failure_mode"] for detail in run.tickets[tag]] for tag in WEARING}
    assert found == {tag: [mode] for tag, mode in WEARING.items()}


def test_their_healthy_siblings_raised_no_alarm(run: Run) -> None:
    healthy = {post.tag for post in ROSTER} - WEARING.keys()
    assert {tag: run.tickets[tag] for tag in healthy} == {tag: [] for tag in healthy}
    assert {fact["phase"] for fact in run.truth if fact["asset"] in healthy} == {"healthy"}


def test_every_ticket_opened_while_the_part_wore_and_before_or_as_it_failed(run: Run) -> None:
    for tag in WEARING:
        (detail,) = run.tickets[tag]
        times = {fact["phase"]: fact["at"] for fact in reversed(run.truth) if fact["asset"] == tag and "phase" in fact}
        evidence_at = datetime.fromisoformat(str(row_of(detail)["evidence_at"]))
        assert evidence_at > datetime.fromisoformat(times["wearing"])
        if "failed" in times:
            assert evidence_at < datetime.fromisoformat(times["failed"]), f"{tag} failed before anybody was told"


def test_every_ticket_was_closed_with_parts_reconciled_and_the_requesters_word(run: Run) -> None:
    """SPEC C1, C2."""
    for tag, mode in WEARING.items():
        (detail,) = run.tickets[tag]
        row = row_of(detail)
        assert (row["state"], row["outcome"], row["found_failure_mode"]) == ("closed", "repaired", mode)
        assert objects(detail, "bill"), "parts were predicted"
        assert all(line["issued"] == line["used"] + line["returned"] for line in objects(detail, "bill"))  # type: ignore[operator]
        assert [answer["solved"] for answer in objects(detail, "answers")] == [True]
        assert detail["timeline_is_whole"] is True


def test_closing_the_ticket_repaired_the_machine_and_it_stayed_healthy(run: Run) -> None:
    """SPEC R1, C3: the notice reached the device, and the new baseline raised nothing."""
    for tag in WEARING:
        (detail,) = run.tickets[tag]
        facts = [fact for fact in run.truth if fact["asset"] == tag]
        assert [fact["repaired"] for fact in facts if "repaired" in fact] == [row_of(detail)["code"]]
        assert facts[-1]["phase"] == "healthy"
        assert run.assets[tag]["open_tickets"] == 0


def test_no_message_was_lost_or_set_aside_on_the_way(run: Run) -> None:
    """SPEC E4, E5."""
    with psycopg.connect(run.database) as connection:
        assert connection.execute("select count(*) from sequence_gap").fetchone() == (0,)
        assert connection.execute("select reason, count(*) from quarantine group by reason").fetchall() == []
