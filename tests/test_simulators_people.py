"""Simulated engineers and requesters carry tickets to closed through the real API, and prove it as people must."""

from __future__ import annotations

import json
import struct
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from psycopg_pool import ConnectionPool

from simulators.console_client import ApiRefusal, ConsoleClient, Json, objects
from simulators.people import CannotCarry, Staff, a_photo, open_tickets, run_people
from simulators.tickets import BillLine, Resolution, Ticket, no_fault_found, repaired
from tests.simulators_builders import CLOCK, Service, a_service
from tests.ticket_builders import House, a_device_ticket, a_house, a_report, carry
from ticketing.ticket import State


@pytest.fixture
def house(pool: ConnectionPool) -> House:
    with pool.connection() as connection:
        return a_house(connection, CLOCK.now())


@pytest.fixture
def service(pool: ConnectionPool, house: House) -> Iterator[Service]:
    with a_service(pool) as running:
        yield running


@pytest.fixture
def client(service: Service) -> Iterator[ConsoleClient]:
    with ConsoleClient(service.api, service.token) as opened:
        yield opened


@pytest.fixture
def staff(service: Service, client: ConsoleClient) -> Iterator[Staff]:
    with Staff(client, service.api, threading.Event(), CLOCK.now) as people:
        yield people


def a_ticket(pool: ConnectionPool, house: House, at: datetime | None = None) -> str:
    with pool.connection() as connection:
        return a_device_ticket(connection, house, at or CLOCK.now())


def row_of(client: ConsoleClient, code: str) -> tuple[Json, Json]:
    detail = client.get(f"/tickets/{code}")
    row = detail["ticket"]
    assert isinstance(row, dict)
    return row, detail


def test_a_device_ticket_is_carried_from_new_to_closed_with_every_gate_passed(
    pool: ConnectionPool, house: House, client: ConsoleClient, staff: Staff
) -> None:
    """SPEC T2, C1, C2: response promised, photo, tasks, parts, resolution, requester's answer."""
    finished = CLOCK.now() - timedelta(minutes=5)
    code = a_ticket(pool, house)
    staff.carry(code, repaired("bearing_wear", finished))
    row, detail = row_of(client, code)
    assert (row["state"], row["outcome"], row["found_failure_mode"]) == ("closed", "repaired", "bearing_wear")
    assert datetime.fromisoformat(str(row["work_finished_at"])) == finished
    commands = [event["command"] for event in objects(detail, "timeline")]
    done = ["dispatch", "accept", "depart", "arrive", "execute", "complete_task", "complete_task", "use_parts"]
    assert [command for command in commands if command not in ("open", "view")] == [
        *done,
        "resolve",
        "confirm",
        "close",
    ]
    assert [answer["solved"] for answer in objects(detail, "answers")] == [True]
    assert [(line["issued"], line["used"], line["returned"]) for line in objects(detail, "bill")] == [(2, 2, 0)]
    assert [file["media_type"] for file in objects(detail, "attachments")] == ["image/png"]


def test_each_step_is_done_by_the_engineer_and_confirmed_by_the_requester_themselves(
    pool: ConnectionPool, house: House, client: ConsoleClient, staff: Staff
) -> None:
    code = a_ticket(pool, house)
    staff.carry(code, repaired("bearing_wear"))
    row, detail = row_of(client, code)
    actors = {event["command"]: event["actor_kind"] for event in objects(detail, "timeline")}
    assert actors["confirm"] == "requester"
    by = {event["actor_id"] for event in objects(detail, "timeline") if event["command"] in ("accept", "close")}
    assert by == {row["assignee_id"]}


def test_when_nothing_is_found_the_parts_go_back_and_no_task_is_claimed(
    pool: ConnectionPool, house: House, client: ConsoleClient, staff: Staff
) -> None:
    code = a_ticket(pool, house)
    staff.carry(code, no_fault_found())
    row, detail = row_of(client, code)
    assert (row["outcome"], row["found_failure_mode"]) == ("no_fault_found", None)
    assert [(line["issued"], line["used"], line["returned"]) for line in objects(detail, "bill")] == [(2, 0, 2)]
    assert all(task["done_at"] is None for task in objects(detail, "tasks"))


@pytest.mark.parametrize("state", [State.DISPATCHED, State.ACCEPTED, State.EXECUTING])
def test_a_ticket_is_carried_on_from_where_a_person_left_it(
    pool: ConnectionPool, house: House, client: ConsoleClient, staff: Staff, state: State
) -> None:
    code = a_ticket(pool, house)
    with pool.connection() as connection:
        carry(connection, house, code, state, CLOCK.now())
    staff.carry(code, repaired("bearing_wear"))
    row, _ = row_of(client, code)
    assert (row["state"], row["assignee_id"]) == ("closed", house.near.person_id)


def test_a_persons_report_without_a_bill_is_carried_to_closed(
    pool: ConnectionPool, house: House, client: ConsoleClient, staff: Staff
) -> None:
    with pool.connection() as connection:
        code = a_report(connection, house, CLOCK.now())
    staff.carry(code, repaired("bearing_wear"))
    assert row_of(client, code)[0]["outcome"] == "repaired"


def test_carrying_a_closed_ticket_changes_nothing(
    pool: ConnectionPool, house: House, client: ConsoleClient, staff: Staff
) -> None:
    code = a_ticket(pool, house)
    staff.carry(code, repaired("bearing_wear"))
    before = row_of(client, code)[0]["version"]
    staff.carry(code, no_fault_found())
    assert row_of(client, code)[0]["version"] == before


def test_an_impossible_resolution_is_refused_by_the_service_by_name(
    pool: ConnectionPool, house: House, staff: Staff
) -> None:
    code = a_ticket(pool, house)
    with pytest.raises(ApiRefusal, match=r"refused with 422 invalid_fact") as refusal:
        staff.carry(code, repaired("bearing_wear", CLOCK.now() + timedelta(days=1)))
    assert (refusal.value.status, refusal.value.name) == (422, "invalid_fact")


def test_people_who_are_stopped_leave_the_ticket_where_it_stands(
    pool: ConnectionPool, house: House, service: Service, client: ConsoleClient
) -> None:
    code = a_ticket(pool, house)
    stop = threading.Event()
    stop.set()
    with (
        Staff(client, service.api, stop, CLOCK.now) as staff,
        pytest.raises(CannotCarry, match=f"{code} is new: stopped"),
    ):
        staff.carry(code, repaired("bearing_wear"))


def test_two_engineers_who_race_for_the_same_ticket_close_it_once(
    pool: ConnectionPool, house: House, service: Service, client: ConsoleClient
) -> None:
    code = a_ticket(pool, house)

    def work() -> None:
        with (
            ConsoleClient(service.api, service.token) as own,
            Staff(own, service.api, threading.Event(), CLOCK.now) as staff,
        ):
            staff.carry(code, repaired("bearing_wear"))

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(work) for _ in range(2)]:
            done.result()
    _, detail = row_of(client, code)
    commands = [event["command"] for event in objects(detail, "timeline")]
    assert commands.count("close") == 1
    assert commands.count("confirm") == 1


def test_people_on_duty_close_what_is_theirs_and_leave_the_rest(
    pool: ConnectionPool, house: House, service: Service, client: ConsoleClient
) -> None:
    code = a_ticket(pool, house)
    with pool.connection() as connection:
        report = a_report(connection, house, CLOCK.now())
    stop = threading.Event()
    told: list[str] = []

    def say(line: str) -> None:
        told.append(line)
        stop.set()

    run_people(
        api=service.api,
        token=service.token,
        now=CLOCK.now,
        stop=stop,
        say=say,
        is_theirs=lambda ticket: ticket.code == code,
        look_every_s=0.05,
        work_s=0.0,
    )
    assert told == [f"{code} on M-1 closed by the simulated engineer"]
    assert [ticket.code for ticket in open_tickets(client)] == [report]


@pytest.mark.parametrize(("phase", "outcome"), [("wearing", "repaired"), ("healthy", "no_fault_found")])
def test_what_people_find_is_the_truth_that_the_fleet_wrote(
    pool: ConnectionPool,
    house: House,
    service: Service,
    client: ConsoleClient,
    tmp_path: Path,
    phase: str,
    outcome: str,
) -> None:
    code = a_ticket(pool, house)
    facts = [
        {"asset": "M-1", "phase": "healthy"},
        {"asset": "M-1", "phase": phase},
        {"asset": "M-2", "phase": "failed"},
    ]
    truth = tmp_path / "truth.jsonl"
    truth.write_text("".join(json.dumps(fact) + "\n" for fact in facts))
    stop = threading.Event()
    run_people(
        api=service.api,
        token=service.token,
        now=CLOCK.now,
        stop=stop,
        say=lambda line: stop.set(),
        truth=truth,
        look_every_s=0.05,
        work_s=0.0,
    )
    assert row_of(client, code)[0]["outcome"] == outcome


def test_a_wrong_token_is_refused_by_name(service: Service) -> None:
    with ConsoleClient(service.api, "nonsense") as client, pytest.raises(ApiRefusal, match="sign_in_required"):
        client.get("/tickets")


def test_a_service_that_does_not_answer_is_reported_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulators.console_client.PAUSE_S", 0.001)
    with (
        ConsoleClient("http://127.0.0.1:9", None) as client,
        pytest.raises(ConnectionError, match="GET /tickets got no answer in 6 attempts"),
    ):
        client.get("/tickets")


def test_a_repair_uses_the_parts_that_were_likely_needed_and_returns_the_others() -> None:
    bill = (
        BillLine("LIKELY", 2, 0.9, 0),
        BillLine("UNLIKELY", 1, 0.2, 0),
        BillLine("TAKEN", 0, None, 3),
        BillLine("UNTOUCHED", 0, None, 0),
    )
    assert repaired("bearing_wear").lines(bill) == [
        {"part_number": "LIKELY", "issued": 2, "used": 2, "returned": 0},
        {"part_number": "UNLIKELY", "issued": 1, "used": 0, "returned": 1},
        {"part_number": "TAKEN", "issued": 3, "used": 3, "returned": 0},
    ]
    assert all(line["used"] == 0 for line in no_fault_found().lines(bill))


def test_facts_that_are_not_known_are_left_out() -> None:
    facts = Resolution("no_fault_found", None, "cause", "action").facts()
    assert facts == {"resolution_code": "no_fault_found", "cause": "cause", "action_taken": "action"}


def test_an_answer_that_is_no_ticket_is_refused() -> None:
    with pytest.raises(TypeError, match="'ticket' is expected to be an object"):
        Ticket.read({"ticket": "D000001", "gates": []})


def test_a_photo_is_a_valid_png_and_differs_with_its_caption() -> None:
    photo = a_photo("D000001")
    assert photo.startswith(b"\x89PNG\r\n\x1a\n")
    position, kinds, pixels = 8, [], b""
    while position < len(photo):
        (length,) = struct.unpack(">I", photo[position : position + 4])
        kind, content = photo[position + 4 : position + 8], photo[position + 8 : position + 8 + length]
        (crc,) = struct.unpack(">I", photo[position + 8 + length : position + 12 + length])
        assert crc == zlib.crc32(kind + content)
        kinds.append(kind)
        pixels += content if kind == b"IDAT" else b""
        position += 12 + length
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]
    assert len(zlib.decompress(pixels)) == 48 * 65
    assert photo != a_photo("D000002")
