"""One way in for every channel: what it takes, what it repeats, what it refuses (SPEC T10, T6)."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from domain.refusals import Refused
from storage.database import open_pool
from storage.intake import Opened, open_ticket
from storage.tickets import ticket_detail
from tests.ticket_builders import HOUR, NOW, House, a_house, an_asset
from ticketing.actors import SYSTEM
from ticketing.intake import Channel, IntakeRequest, SourceReference
from ticketing.ticket import Kind


def a_request(house: House, **changes: object) -> IntakeRequest:
    plain = IntakeRequest(
        channel=Channel.CONSOLE,
        kind=Kind.CORRECTIVE,
        actor=house.requester,
        title="Motor howls",
        asset_id=house.asset_id,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def refusal(connection: Connection, request: IntakeRequest) -> Refused:
    with pytest.raises(Refused) as caught, connection.transaction():
        open_ticket(connection, request, NOW)
    return caught.value


@pytest.mark.parametrize(
    ("channel", "letter"),
    [
        (Channel.CONSOLE, "P"),
        (Channel.QR, "P"),
        (Channel.API, "P"),
        (Channel.INTEGRATION, "I"),
        (Channel.SCHEDULE, "S"),
        (Channel.DEVICE, "D"),
    ],
)
def test_each_channel_gives_its_letter_and_stays_on_the_ticket(
    pool: ConnectionPool, channel: Channel, letter: str
) -> None:
    """SPEC T6, T10."""
    with pool.connection() as connection:
        house = a_house(connection)
        opened = open_ticket(connection, a_request(house, channel=channel), NOW)
        detail = ticket_detail(connection, opened.code, actor=house.near, now=NOW)
        assert (opened.is_new, opened.code, detail.ticket.id) == (True, f"{letter}000001", opened.ticket_id)
        assert detail.ticket.channel == channel
        assert detail.timeline[0].facts["channel"] == channel


def test_a_source_that_sends_its_record_again_gets_the_ticket_it_has(pool: ConnectionPool) -> None:
    """SPEC T10: even after the ticket is closed, and whatever else the record says by then; other sources apart."""
    with pool.connection() as connection:
        house = a_house(connection)
        record = SourceReference("erp", "E00123")
        request = a_request(house, channel=Channel.INTEGRATION, external=record)
        first = open_ticket(connection, request, NOW)
        connection.execute("update ticket set state = 'closed', outcome = 'cancelled', closed_at = %s", (NOW,))
        again = open_ticket(connection, replace(request, title="Renamed", external=replace(record)), NOW + HOUR)
        assert again == replace(first, is_new=False)
        others = [
            open_ticket(connection, replace(request, external=other), NOW)
            for other in (SourceReference("erp", "123"), SourceReference("mes", "E00123"))
        ]
        assert [other.is_new for other in others] == [True, True]


def test_a_record_sent_twelve_times_at_once_is_one_ticket(database: str) -> None:
    """Fails (by a unique violation) when the record is looked up without its lock."""
    opened: list[Opened] = []
    with open_pool(database, size=12) as pool:
        with pool.connection() as connection:
            house = a_house(connection)
        request = a_request(house, channel=Channel.INTEGRATION, external=SourceReference("erp", "E00123"))
        barrier = threading.Barrier(12)

        def send() -> None:
            with pool.connection() as connection:
                barrier.wait()
                opened.append(open_ticket(connection, request, NOW))

        threads = [threading.Thread(target=send) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len({one.code for one in opened}) == 1
    assert sorted(one.is_new for one in opened) == [False] * 11 + [True]


def test_a_serial_number_names_the_asset_whatever_its_case_and_width(pool: ConnectionPool) -> None:
    """SPEC T10. Two machines with one number are told apart by a person, never by chance."""
    with pool.connection() as connection:
        house = a_house(connection)
        other, _, _ = an_asset(connection, "M-2", None, NOW)
        connection.execute("update asset set serial_number = 'SN-88a' where id = %s", (house.asset_id,))
        request = a_request(house, asset_id=None, serial_number=" ｓn-88A ")
        opened = open_ticket(connection, request, NOW)
        assert ticket_detail(connection, opened.code, actor=house.near, now=NOW).ticket.asset_id == house.asset_id
        assert refusal(connection, replace(request, serial_number="SN-8")).name == "unknown_record"
        connection.execute("update asset set serial_number = 'sn-88A' where id = %s", (other,))
        several = refusal(connection, request)
        assert (several.name, several.got) == ("invalid_request", "2 assets: M-1 (plant-1), M-2 (plant-1)")
        connection.execute("update asset set status = 'decommissioned' where id = %s", (house.asset_id,))
        replaced = open_ticket(connection, request, NOW)
        assert ticket_detail(connection, replaced.code, actor=house.near, now=NOW).ticket.asset_tag == "M-2"


def test_what_a_request_gets_wrong_is_refused_before_anything_is_written(pool: ConnectionPool) -> None:
    """SPEC T10: validated at the source."""
    with pool.connection() as connection:
        house = a_house(connection)
        wrong: list[dict[str, object]] = [
            {"title": "  "},
            {"title": "x" * 121},
            {"title_zh": " "},
            {"description": "x" * 4001},
            {"asset_id": None},
            {"serial_number": "SN-1"},
            {"failure_mode": "gremlins"},
            {"requester_id": 999_999},
            {"team_id": 999_999},
            {"external": SourceReference("erp", " ")},
            {"external": SourceReference("erp", "x" * 65)},
        ]
        for changes in wrong:
            assert refusal(connection, a_request(house, **changes)).name == "invalid_request", changes
        assert refusal(connection, a_request(house, asset_id=999_999)).name == "unknown_record"
        assert refusal(connection, a_request(house, title="bell \a")).name == "invalid_fact"
        assert connection.execute("select count(*) from ticket").fetchone() == (0,)
        assert connection.execute("select last_value, is_called from tracking_code_p").fetchone() == (1, False)


def test_whom_a_ticket_is_for_is_the_one_named_else_who_asks_else_the_assets_requester(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        requests = [
            a_request(house, actor=house.supervisor, requester_id=house.near.person_id),
            a_request(house, actor=house.supervisor),
            a_request(house, actor=SYSTEM, channel=Channel.SCHEDULE),
        ]
        codes = [open_ticket(connection, request, NOW).code for request in requests]
        rows = [ticket_detail(connection, code, actor=house.near, now=NOW).ticket for code in codes]
        assert [row.requester_name for row in rows] == ["Near", "Supervisor", "Requester"]


def test_a_ticket_split_off_knows_its_parent_and_its_team(pool: ConnectionPool) -> None:
    """SPEC T9."""
    with pool.connection() as connection:
        house = a_house(connection)
        row = connection.execute("insert into team (name) values ('Electricians') returning id").fetchone()
        assert row is not None
        parent = open_ticket(connection, a_request(house), NOW)
        child = open_ticket(connection, a_request(house, parent_id=parent.ticket_id, team_id=row[0]), NOW)
        found = ticket_detail(connection, child.code, actor=house.near, now=NOW).ticket
        assert (found.parent_code, found.team_name) == (parent.code, "Electricians")
        assert found.evidence_at == datetime(2026, 3, 2, 2, 0, tzinfo=UTC)


def test_a_closed_ticket_of_a_failure_mode_stands_in_the_way_of_no_new_one(pool: ConnectionPool) -> None:
    """SPEC Q1: wear comes again; and another asset's open ticket of the mode is no reason either."""
    with pool.connection() as connection:
        house = a_house(connection)
        other, _, _ = an_asset(connection, "M-2", None, NOW)
        request = a_request(house, failure_mode="bearing_wear")
        first = open_ticket(connection, request, NOW)
        taken = refusal(connection, request)
        assert (taken.name, taken.got) == ("already_open", first.code)
        elsewhere = open_ticket(connection, replace(request, asset_id=other), NOW)
        connection.execute(
            "update ticket set state = 'closed', outcome = 'repaired', closed_at = %s where code = %s",
            (NOW, first.code),
        )
        again = open_ticket(connection, request, NOW + HOUR)
        assert len({first.code, elsewhere.code, again.code}) == 3
