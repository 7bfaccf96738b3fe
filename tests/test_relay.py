"""The relay: nothing lost whenever it dies, nobody told twice, what fails is seen (SPEC E5, N4)."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from queue import Queue

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from psycopg import Connection
from psycopg_pool import ConnectionPool

from domain.refusals import Refused
from notify.channel import DeliveryError
from notify.channels.inbox import InboxChannel
from notify.channels.mqtt import MqttChannel
from notify.relay import ROUTES, Patience, deliver_due
from notify.texts import TEXTS
from storage import breaker, escalations, priorities, service_alarms
from storage.notices import NOTICES
from storage.outbox import Message, backlog, enqueue, inbox, lease, list_given_up, mark_read, mark_sent, try_again
from tests.ticket_builders import HOUR, NOW, a_device_ticket, a_house, a_report, carry, command
from ticketing.ticket import State

PATIENCE = Patience(batch=100, lease_s=60, first_pause_s=1, longest_pause_s=8, attempts=4)


class SteppedClock:
    """A clock that stands until it is moved."""

    def __init__(self, at: datetime = NOW) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def monotonic_s(self) -> float:
        return self.at.timestamp()

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class Killed(BaseException):
    """The process dies here: not an error that anybody handles."""


class RecordingChannel:
    """Keeps what was sent; fails or dies as told."""

    name = "inbox"

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.fails = 0
        self.dies_before = self.dies_after = 0.0
        self.rng = random.Random(1)

    def send(self, connection: Connection, message: Message, now: datetime) -> str:
        if self.rng.random() < self.dies_before:
            raise Killed
        if self.fails > 0:
            self.fails -= 1
            raise DeliveryError("the channel is down")
        self.sent.append(message.id)
        if self.rng.random() < self.dies_after:
            raise Killed
        return "sent"


def fill(pool: ConnectionPool, count: int) -> None:
    with pool.connection() as connection:
        for number in range(count):
            enqueue(connection, "ticket.overdue", None, {"number": number}, NOW)


def test_a_message_is_sent_once_and_marked(pool: ConnectionPool) -> None:
    fill(pool, 3)
    clock, channel = SteppedClock(), RecordingChannel()
    assert deliver_due(pool, {"inbox": channel}, clock, PATIENCE) == 3
    assert deliver_due(pool, {"inbox": channel}, clock, PATIENCE) == 0
    assert len(channel.sent) == 3
    with pool.connection() as connection:
        assert backlog(connection).waiting == 0
        attempts = connection.execute("select number, channel, delivered from delivery_attempt").fetchall()
        assert attempts == [(1, "inbox", True)] * 3


def test_nothing_is_lost_however_often_the_relay_dies(pool: ConnectionPool) -> None:
    """Fails when a message is marked before it is sent."""
    fill(pool, 200)
    clock, channel, kills = SteppedClock(), RecordingChannel(), 0
    channel.dies_before = channel.dies_after = 0.05
    patient = Patience(batch=20, lease_s=60, attempts=1_000)
    for _ in range(400):
        try:
            if deliver_due(pool, {"inbox": channel}, clock, patient) == 0:
                clock.move(61)
        except Killed:
            kills += 1
        with pool.connection() as connection:
            if backlog(connection).waiting == 0:
                break
    assert kills >= 10
    counts = Counter(channel.sent)
    assert len(counts) == 200
    assert sum(counts.values()) - 200 <= kills


def test_two_relays_at_once_share_the_work(pool: ConnectionPool) -> None:
    fill(pool, 100)
    channels = [RecordingChannel() for _ in range(3)]
    patient = Patience(batch=5)

    def run(channel: RecordingChannel) -> None:
        while deliver_due(pool, {"inbox": channel}, SteppedClock(), patient):
            pass

    threads = [threading.Thread(target=run, args=(channel,)) for channel in channels]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(message for channel in channels for message in channel.sent) == Counter(
        dict.fromkeys(range(1, 101), 1)
    )


def test_pauses_grow_and_the_end_is_a_row_that_people_see(pool: ConnectionPool) -> None:
    fill(pool, 1)
    clock, channel = SteppedClock(), RecordingChannel()
    channel.fails = 4
    pauses: list[float] = []
    for _ in range(3):
        deliver_due(pool, {"inbox": channel}, clock, PATIENCE)
        with pool.connection() as connection:
            (due_at,) = connection.execute("select due_at from outbox").fetchone() or ()
        pauses.append((due_at - clock.now()).total_seconds())
        assert deliver_due(pool, {"inbox": channel}, clock, PATIENCE) == 0
        clock.move(pauses[-1])
    assert pauses == [1, 2, 4]
    deliver_due(pool, {"inbox": channel}, clock, PATIENCE)
    with pool.connection() as connection:
        seen = list_given_up(connection)
        assert [(row.kind, row.attempts, row.detail) for row in seen] == [("ticket.overdue", 4, "the channel is down")]
        assert backlog(connection).given_up == 1
    clock.move(10_000)
    assert deliver_due(pool, {"inbox": channel}, clock, PATIENCE) == 0
    with pool.connection() as connection:
        try_again(connection, seen[0].id, clock.now())
        with pytest.raises(Refused):
            try_again(connection, seen[0].id, clock.now())
    assert deliver_due(pool, {"inbox": channel}, clock, PATIENCE) == 1
    assert channel.sent == [seen[0].id]


def test_a_relay_that_lost_its_lease_cannot_mark(pool: ConnectionPool) -> None:
    """The attempt number is a fence: a zombie does not finish what another holds."""
    fill(pool, 1)
    with pool.connection() as connection:
        (slow,) = lease(connection, now=NOW, lease_s=60, limit=1)
        assert lease(connection, now=NOW, lease_s=60, limit=1) == []
        (quick,) = lease(connection, now=NOW + HOUR, lease_s=60, limit=1)
        mark_sent(connection, slow, "inbox", "late", NOW + HOUR)
        assert backlog(connection).waiting == 1
        mark_sent(connection, quick, "inbox", "in time", NOW + HOUR)
        assert backlog(connection).waiting == 0


def test_one_bad_message_does_not_hold_up_the_others(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        enqueue(connection, "ticket.unheard_of", None, {}, NOW)
        enqueue(connection, "ticket.dispatched", None, {"person_ids": [999_999]}, NOW)
        enqueue(connection, "ticket.dispatched", None, {"person_ids": "everybody"}, NOW)
        house = a_house(connection)
        code = a_report(connection, house)
        carry(connection, house, code, State.DISPATCHED)
    deliver_due(pool, {"inbox": InboxChannel()}, SteppedClock(), PATIENCE)
    with pool.connection() as connection:
        assert [item.code for item in inbox(connection, house.near.person_id or 0)] == [code]
        failed = connection.execute("select count(*) from delivery_attempt where not delivered").fetchone()
        assert failed == (4,), "the three bad ones, and the ticket's first state, for which its second waits"


def test_a_person_is_told_once_and_in_both_languages(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        carry(connection, house, code, State.DISPATCHED)
    for _ in range(2):
        deliver_due(pool, {"inbox": InboxChannel()}, SteppedClock(), PATIENCE)
        with pool.connection() as connection:
            connection.execute("update outbox set done_at = null, leased_until = null where kind = 'ticket.dispatched'")
    with pool.connection() as connection:
        (item,) = inbox(connection, house.near.person_id or 0)
        assert item.text_en.startswith("P2 D000001 is yours: M-1: Bearing wear expected. Due 2026-03-0")
        assert item.text_zh.startswith("P2 D000001 已分派给您：M-1：预计发生轴承磨损")
        mark_read(connection, house.far.person_id or 0, item.id, NOW)
        assert inbox(connection, house.near.person_id or 0)[0].read_at is None
        mark_read(connection, house.near.person_id or 0, item.id, NOW)
        assert inbox(connection, house.near.person_id or 0)[0].read_at == NOW


def test_supervisors_are_told_or_admins_where_there_are_none(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        message = {"person_ids": [], "supervisors_of": "plant-1", "code": "D1", "title_en": "t", "title_zh": "t"}
        enqueue(connection, "ticket.unassigned", None, {**message, "priority": 0}, NOW)
    deliver_due(pool, {"inbox": InboxChannel()}, SteppedClock(), PATIENCE)
    with pool.connection() as connection:
        assert len(inbox(connection, house.supervisor.person_id or 0)) == 1
        connection.execute("update person_role set role = 'admin', site_id = null where role = 'supervisor'")
        connection.execute("update outbox set done_at = null, leased_until = null")
        connection.execute("delete from notification")
    deliver_due(pool, {"inbox": InboxChannel()}, SteppedClock(), PATIENCE)
    with pool.connection() as connection:
        assert len(inbox(connection, house.supervisor.person_id or 0)) == 1


def test_every_message_that_can_be_written_has_a_way_out_and_words() -> None:
    alarms = (f"service.{kind}" for kind in (*service_alarms.KINDS, service_alarms.DISK_FILLING))
    told = {priorities.REPRIORITISED, breaker.FROZEN, breaker.THAWED, *escalations.MESSAGES}
    written = {"ticket.state", *(notice[0] for notice in NOTICES.values()), *alarms, *told}
    assert written == set(ROUTES)
    assert {kind for kind, route in ROUTES.items() if route == "inbox"} == set(TEXTS)


@pytest.fixture
def listener(broker: str) -> Iterator[Queue[tuple[str, bytes]]]:
    """A device's own subscription to its tickets."""
    heard: Queue[tuple[str, bytes]] = Queue()
    ready = threading.Event()
    host, port = broker.removeprefix("mqtt://").split(":")
    client = Client(CallbackAPIVersion.VERSION2, client_id="test-device")
    client.on_message = lambda _client, _data, message: heard.put((message.topic, message.payload))
    client.on_subscribe = lambda *_: ready.set()
    client.connect(host, int(port))
    client.subscribe("wearsight/v1/+/+/tickets", qos=1)
    client.loop_start()
    assert ready.wait(10)
    yield heard
    client.disconnect()
    client.loop_stop()


def test_the_equipment_hears_of_its_ticket_over_a_real_broker(
    pool: ConnectionPool, broker: str, listener: Queue[tuple[str, bytes]]
) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        command(connection, code, "cancel", house.supervisor, {"reason": "Machine is scrapped"})
    channel, clock = MqttChannel(broker), SteppedClock()
    try:
        handled = 0
        while handled < 2:
            # The first attempts may come before the connection stands; they are set back and come again.
            clock.move(1)
            handled += deliver_due(
                pool, {"mqtt": channel}, clock, Patience(first_pause_s=1, longest_pause_s=1, attempts=10**6)
            )
            with pool.connection() as connection:
                handled = 2 if backlog(connection).waiting == 0 else 0
        messages = [listener.get(timeout=10) for _ in range(2)]
    finally:
        channel.close()
    assert {topic for topic, _ in messages} == {"wearsight/v1/plant-1/dev-M-1/tickets"}
    assert [json.loads(payload)["state"] for _, payload in messages] == ["new", "closed"]
    last = json.loads(messages[-1][1])
    assert (last["code"], last["outcome"], last["failure_mode"]) == (code, "cancelled", "bearing_wear")
    assert set(last) == {"code", "state", "outcome", "failure_mode", "resolution_code", "work_finished_at"}


def test_a_broker_that_is_away_sets_messages_back(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        a_device_ticket(connection, a_house(connection))
    channel = MqttChannel("mqtt://127.0.0.1:9")
    try:
        deliver_due(pool, {"mqtt": channel}, SteppedClock(), PATIENCE)
    finally:
        channel.close()
    with pool.connection() as connection:
        assert connection.execute("select detail from delivery_attempt").fetchone() == ("not connected to the broker",)
        assert backlog(connection).waiting == 1


def test_the_states_of_a_ticket_are_told_in_their_order_even_when_the_first_was_set_back(pool: ConnectionPool) -> None:
    told: list[object] = []

    class Unsteady:
        name = "mqtt"

        def send(self, connection: Connection, message: Message, now: datetime) -> str:
            if message.attempts == 1 and message.body["state"] == "new":
                raise DeliveryError("not connected to the broker")
            told.append(message.body["state"])
            return ""

    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        command(connection, code, "cancel", house.supervisor, {"reason": "Machine is scrapped"})
    clock = SteppedClock()
    for _ in range(6):
        clock.move(2)
        deliver_due(pool, {"mqtt": Unsteady()}, clock, PATIENCE)
    assert told == ["new", "closed"]
