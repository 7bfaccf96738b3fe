"""Escalations over HTTP, from the outbox to a person: attempts, recorded calls, leads, directors (SPEC N1, N2)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from notify.channel import Channel, DeliveryError
from notify.channels.inbox import InboxChannel
from notify.channels.recording import RECORDED, RecordingChannel
from notify.relay import deliver_due
from runtime.rounds import escalation_round
from storage.outbox import Message, inbox
from tests.api_builders import Api, an_api
from tests.escalation_builders import Teams, teams
from tests.test_relay import SteppedClock
from tests.ticket_builders import DAY, MINUTE, NOW, SITE, a_report, carry
from ticketing.actors import Role
from ticketing.ticket import State


class BrokenChannel:
    """A channel whose provider is down, or whose code is."""

    def __init__(self, name: str, error: Exception) -> None:
        self.name = name
        self.error = error

    def send(self, connection: Connection, message: Message, now: datetime) -> str:
        connection.execute("select 1")
        raise self.error


@pytest.fixture
def house(pool: ConnectionPool) -> Teams:
    with pool.connection() as connection:
        return teams(connection)


@pytest.fixture
def api(pool: ConnectionPool, house: Teams) -> Iterator[Api]:
    def another_site(connection: Connection) -> None:
        connection.execute("insert into site values ('north', 'North', 'weekdays', 50, 8)")

    with an_api(pool, another_site, NOW) as opened:
        yield opened


def working_channels() -> dict[str, Channel]:
    found: dict[str, Channel] = {"inbox": InboxChannel()}
    found.update({name: RecordingChannel(name) for name in RECORDED})
    return found


def escalated(pool: ConnectionPool, house: Teams, *, minutes: int = 26) -> str:
    """Nobody accepted a ticket; after ``minutes`` each rung before was taken in time."""
    with pool.connection() as connection:
        code = a_report(connection, house.house)
        carry(connection, house.house, code, State.DISPATCHED)
    for minute in range(minutes + 1):
        escalation_round(pool, NOW + minute * MINUTE)
    return code


def deliver(pool: ConnectionPool, channels: dict[str, Channel]) -> None:
    clock = SteppedClock(NOW + 26 * MINUTE)
    with pool.connection() as connection:
        connection.execute("update outbox set done_at = now() where kind not like 'escalation%'")
    while deliver_due(pool, channels, clock):
        pass


def attempts(pool: ConnectionPool, login: str, channel: str) -> list[tuple[int, str, bool]]:
    with pool.connection() as connection:
        return connection.execute(
            """select a.number, a.channel, a.delivered from delivery_attempt a
               join escalation_told w on w.outbox_id = a.outbox_id join person p on p.id = w.person_id
               where p.login = %s and w.channel = %s order by a.number, a.at, a.channel""",
            (login, channel),
        ).fetchall()


def test_phone_and_text_messages_are_recorded_and_can_be_read(pool: ConnectionPool, house: Teams, api: Api) -> None:
    code = escalated(pool, house)
    deliver(pool, working_channels())
    deliver(pool, working_channels())
    page = api.get("/recorded-notices", Role.SUPERVISOR, SITE, channel="phone").json()
    assert {(item["person_name"], item["code"]) for item in page["items"]} == {("Near", code), ("Lead", code)}
    assert page["items"][0]["text"] == f"P3 {code} was given to Near 0.4 h ago and is not accepted: Motor howls."
    assert len(api.get("/recorded-notices", Role.ADMIN).json()["items"]) == 4
    first = api.get("/recorded-notices", Role.ADMIN, limit=3).json()
    assert len(api.get("/recorded-notices", Role.ADMIN, limit=3, cursor=first["next_cursor"]).json()["items"]) == 1


def test_a_recorded_call_is_in_the_language_of_whom_it_calls(pool: ConnectionPool, house: Teams) -> None:
    with pool.connection() as connection:
        connection.execute("update person set language = 'zh' where login = 'lead'")
    escalated(pool, house)
    deliver(pool, working_channels())
    with pool.connection() as connection:
        texts = connection.execute(
            "select r.text from recorded_notice r join person p on p.id = r.person_id where p.login = 'lead'"
        ).fetchall()
    assert len(texts) == 2
    assert all("仍未受理" in text for (text,) in texts)


@pytest.mark.parametrize("error", [DeliveryError("the provider is down"), RuntimeError("a bug"), None])
def test_a_channel_that_fails_hands_over_at_once_and_every_attempt_is_recorded(
    pool: ConnectionPool, house: Teams, api: Api, error: Exception | None
) -> None:
    """SPEC N2: the phone fails, or is not there at all; text message and inbox carry its message in the same moment."""
    code = escalated(pool, house)
    channels = working_channels()
    if error is None:
        del channels["phone"]
    else:
        channels["phone"] = BrokenChannel("phone", error)
    deliver(pool, channels)
    assert sorted(attempts(pool, "lead", "phone")) == [(1, "inbox", True), (1, "phone", False)]
    assert attempts(pool, "lead", "sms") == [(1, "sms", True)]
    answer = api.get(f"/tickets/{code}/escalations", Role.SUPERVISOR, SITE).json()
    ladder = next(one for one in answer["items"] if one["ladder"] == "not_accepted")
    assert [step["done_at"] is not None for step in ladder["steps"]] == [True, True, False]
    call = next(one for one in ladder["steps"][1]["told"] if (one["name"], one["channel"]) == ("Lead", "phone"))
    assert {(one["channel"], one["delivered"]) for one in call["attempts"]} == {("phone", False), ("inbox", True)}
    assert call["delivered_at"] is not None


def test_where_every_channel_fails_the_message_is_tried_again(pool: ConnectionPool, house: Teams) -> None:
    escalated(pool, house)
    down = DeliveryError("the provider is down")
    deliver(pool, {name: BrokenChannel(name, down) for name in ("inbox", "phone", "sms")})
    assert len(attempts(pool, "lead", "phone")) == 3
    clock = SteppedClock(NOW + 27 * MINUTE)
    while deliver_due(pool, working_channels(), clock):
        pass
    assert attempts(pool, "lead", "phone")[-1] == (2, "phone", True)


def test_a_person_who_left_is_not_called(pool: ConnectionPool, house: Teams) -> None:
    escalated(pool, house)
    with pool.connection() as connection:
        connection.execute("update person set active = false where login = 'lead'")
    deliver(pool, working_channels())
    assert all(name != "sms" for _, name, delivered in attempts(pool, "lead", "sms") if delivered)


def test_the_inbox_is_reached_too(pool: ConnectionPool, house: Teams) -> None:
    code = escalated(pool, house, minutes=16)
    deliver(pool, working_channels())
    with pool.connection() as connection:
        assert [item.code for item in inbox(connection, house.lead.person_id or 0)] == [code]


def test_acknowledging_over_http(pool: ConnectionPool, house: Teams, api: Api) -> None:
    code = escalated(pool, house, minutes=16)
    headers = {"Authorization": f"Bearer {api.token_of(house.lead.person_id or 0)}"}
    answer = api.client.post(f"/api/v1/tickets/{code}/commands/acknowledge", json={}, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["timeline"][-1]["command"] == "acknowledge"
    listed = api.get(f"/tickets/{code}/escalations", Role.SUPERVISOR, SITE).json()["items"]
    assert [one["acknowledged_by"] for one in listed if one["ladder"] == "not_accepted"] == ["Lead"]
    for command in ("escalate", "pass_to_backup"):
        answer = api.client.post(f"/api/v1/tickets/{code}/commands/{command}", json={}, headers=headers)
        assert answer.json()["type"] == "urn:wearsight:refusal:invalid_request", "the system's own"


def test_a_flag_is_on_the_list_of_tickets(pool: ConnectionPool, house: Teams, api: Api) -> None:
    """SPEC N1: yellow, on the team's board."""
    with pool.connection() as connection:
        code = a_report(connection, house.house)
        other = a_report(connection, house.house, NOW + DAY)
    escalation_round(pool, NOW + 3 * DAY)
    yellow = api.get("/tickets", Role.ENGINEER, SITE, flag="yellow").json()["items"]
    assert [(item["code"], item["flag"]) for item in yellow] == [(code, "yellow")]
    assert api.get(f"/tickets/{code}", Role.ENGINEER, SITE).json()["ticket"]["flag"] == "yellow"
    everything = api.get("/tickets", Role.ENGINEER, SITE).json()["items"]
    assert {item["code"]: item["flag"] for item in everything} == {code: "yellow", other: None}
    assert api.get("/tickets", Role.ENGINEER, SITE, flag="green").status_code == 422


def test_other_sites_and_requesters_see_no_escalations(pool: ConnectionPool, house: Teams, api: Api) -> None:
    code = escalated(pool, house, minutes=16)
    deliver(pool, working_channels())
    assert api.get(f"/tickets/{code}/escalations", Role.SUPERVISOR, "north").status_code == 404
    requester = {"Authorization": f"Bearer {api.token_of(house.house.requester.person_id or 0)}"}
    assert api.client.get(f"/api/v1/tickets/{code}/escalations", headers=requester).status_code == 404
    assert api.get("/recorded-notices", Role.SUPERVISOR, "north").json()["items"] == []


def test_directors_are_set_over_http(house: Teams, api: Api) -> None:
    lead = house.night_lead.person_id
    path = f"/api/v1/sites/{SITE}/directors"
    told = api.client.put(path, json={"person_ids": [lead, lead]}, headers=api.headers(Role.ADMIN))
    assert [one["name"] for one in told.json()["items"]] == ["Night Lead"]
    assert api.client.put(path, json={"person_ids": [999]}, headers=api.headers(Role.ADMIN)).status_code == 404
    assert [one["name"] for one in api.get(f"/sites/{SITE}/directors", Role.PLANNER, SITE).json()["items"]] == [
        "Night Lead"
    ]
