"""The fleet on a real broker and API: registered, wearing as ordered, silent under work, repaired (SPEC R1)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from psycopg_pool import ConnectionPool

from simulators.console_client import ConsoleClient, objects
from simulators.device import BrokerAddress
from simulators.faults import FaultOrder
from simulators.fleet import ROSTER, FleetPlan, Post, run_fleet
from simulators.motor import Motor
from tests.simulators_builders import CLOCK, Service, a_service

PERIOD_S = 0.02


@pytest.fixture
def service(seeded: str, pool: ConnectionPool) -> Iterator[Service]:
    with a_service(pool) as running:
        yield running


class Plant:
    """A site of its own with two motors, and everything they were heard to say."""

    def __init__(self, service: Service, broker: str, folder: Path) -> None:
        self.site = f"plant-{uuid4().hex[:8]}"
        self.folder = folder
        self._service = service
        self._broker = broker
        self.heard: list[tuple[str, str, dict[str, object]]] = []
        address = BrokerAddress.parse(broker)
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"plant-{uuid4()}")
        self.client.on_message = self._on_message
        subscribed = threading.Event()
        self.client.on_subscribe = lambda *_: subscribed.set()
        self.client.connect(address.host, address.port)
        self.client.loop_start()
        self.client.subscribe(f"wearsight/v1/{self.site}/#", qos=1)
        assert subscribed.wait(5)
        with ConsoleClient(service.api, service.token) as api:
            api.post(
                "/sites",
                {
                    "id": self.site,
                    "name": "A plant",
                    "calendar_id": "plant-1",
                    "latitude": 31.3,
                    "longitude": 120.7,
                },
            )

    def _on_message(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        _, _, _, device, kind = message.topic.split("/")
        if kind in ("telemetry", "events"):
            self.heard.append((device, kind, json.loads(message.payload)))

    def said(self, device: str, kind: str = "telemetry") -> list[dict[str, object]]:
        return [message for name, said, message in list(self.heard) if (name, said) == (device, kind)]

    def codes(self, device: str) -> list[object]:
        return [event["code"] for event in self.said(device, "events")]

    def truth(self, asset: str) -> list[dict[str, object]]:
        lines = (self.folder / "truth.jsonl").read_text(encoding="utf-8").splitlines()
        return [fact for fact in map(json.loads, lines) if fact["asset"] == asset]

    def notify(self, device: str, **notice: str) -> None:
        topic = f"wearsight/v1/{self.site}/{device}/tickets"
        self.client.publish(topic, json.dumps(notice), qos=1).wait_for_publish(5)

    @contextmanager
    def running(self, *, wears_after_h: float = 100.0, faults: tuple[FaultOrder, ...] = ()) -> Iterator[None]:
        """The fleet in a thread; each step ages the motors by ten hours."""
        stop = threading.Event()
        plan = FleetPlan(
            site=self.site,
            acceleration=10 * 3600 / PERIOD_S,
            period_s=PERIOD_S,
            faults=faults,
            roster=(
                Post("M-1", "Healthy motor", Motor, None, 400.0),
                Post("M-2", "Wearing motor", Motor, wears_after_h, 200.0),
            ),
        )
        thread = threading.Thread(
            target=run_fleet,
            args=(plan,),
            kwargs={
                "api": self._service.api,
                "token": self._service.token,
                "broker": self._broker,
                "folder": self.folder,
                "now": CLOCK.now,
                "stop": stop,
                "say": lambda line: None,
            },
        )
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(20)
            assert not thread.is_alive()


@pytest.fixture
def plant(service: Service, broker: str, tmp_path: Path) -> Iterator[Plant]:
    made = Plant(service, broker, tmp_path)
    yield made
    made.client.disconnect()
    made.client.loop_stop()


def eventually(holds: Callable[[], object]) -> None:
    for _ in range(1000):
        if holds():
            return
        time.sleep(0.01)
    pytest.fail("it did not come to hold within 10 s")


def test_a_fleet_registers_itself_once_and_then_reports(plant: Plant, service: Service) -> None:
    for _ in range(2):
        with plant.running():
            eventually(lambda: len(plant.said("M-1")) >= 3 and len(plant.said("M-2")) >= 3)
    with ConsoleClient(service.api, service.token) as api:
        assets = list(api.items("/assets", {"site": plant.site}))
    assert [(asset["tag"], asset["asset_type"]) for asset in assets] == [("M-1", "motor"), ("M-2", "motor")]
    assert [len(objects(asset, "devices")) for asset in assets] == [1, 1]
    assert plant.said("M-1")[0]["values"].keys() == {"vibration_mm_s", "temperature_c", "current_a", "speed_rpm"}


def test_the_truth_is_written_beside_and_the_healthy_sibling_stays_healthy(plant: Plant) -> None:
    with plant.running():
        eventually(lambda: len(plant.said("M-2")) >= 40)
    assert [fact["phase"] for fact in plant.truth("M-2")] == ["healthy", "wearing", "failed"]
    assert [fact["phase"] for fact in plant.truth("M-1")] == ["healthy"]
    assert plant.codes("M-2") == ["vibration_trip", "tripped"]
    assert plant.codes("M-1") == []


def test_a_machine_under_work_is_silent_and_comes_back_repaired(plant: Plant) -> None:
    with plant.running():
        eventually(lambda: "tripped" in plant.codes("M-2"))
        plant.notify("M-2", code="D000001", state="accepted")
        plant.notify("M-2", code="D000001", state="executing")
        eventually(lambda: "maintenance" in plant.codes("M-2"))
        silent_at = len(plant.said("M-2"))
        time.sleep(10 * PERIOD_S)
        assert len(plant.said("M-2")) - silent_at <= 2, "what was on the way when work began"
        plant.notify("M-2", code="D000001", state="closed", outcome="repaired")
        eventually(lambda: "running" in plant.codes("M-2"))
        eventually(lambda: plant.said("M-2")[-1]["values"]["speed_rpm"] > 1_400)
    facts = plant.truth("M-2")
    assert {"repaired": "D000001", "mode": "bearing_wear"}.items() <= facts[-2].items()
    assert facts[-1]["phase"] == "healthy"


@pytest.mark.parametrize("outcome", ["false_alarm", "no_fault_found", "cancelled", "deferred"])
def test_only_a_repair_repairs(plant: Plant, outcome: str) -> None:
    with plant.running():
        eventually(lambda: "tripped" in plant.codes("M-2"))
        plant.notify("M-2", code="D000002", state="closed", outcome=outcome)
        eventually(lambda: "running" in plant.codes("M-2"))
    assert "repaired" not in {key for fact in plant.truth("M-2") for key in fact}


def test_notices_that_come_out_of_order_or_twice_do_not_lock_a_machine_for_ever(plant: Plant) -> None:
    with plant.running(wears_after_h=1e6):
        eventually(lambda: plant.said("M-2"))
        plant.notify("M-2", code="D000003", state="closed", outcome="repaired")
        plant.notify("M-2", code="D000003", state="executing")
        plant.notify("M-2", code="D000003", state="closed", outcome="repaired")
        eventually(lambda: "running" in plant.codes("M-2"))
        before = len(plant.said("M-2"))
        eventually(lambda: len(plant.said("M-2")) > before + 5)
    assert [fact["repaired"] for fact in plant.truth("M-2") if "repaired" in fact] == ["D000003"]


def test_a_fleet_that_starts_again_goes_on_with_the_same_wear(plant: Plant) -> None:
    with plant.running():
        eventually(lambda: "tripped" in plant.codes("M-2"))
    plant.heard.clear()
    with plant.running():
        eventually(lambda: len(plant.said("M-2")) >= 3)
    assert {message["values"]["speed_rpm"] for message in plant.said("M-2")} == {0.0}
    assert [fact["phase"] for fact in plant.truth("M-2")].count("failed") == 1


def test_faults_strike_as_ordered_and_every_message_object_counts(plant: Plant) -> None:
    with plant.running(wears_after_h=1e6, faults=(FaultOrder("M-2", "dropout", 0.5),)):
        eventually(lambda: len(plant.said("M-2")) >= 30)
    sound, faulty = ([message["seq"] for message in plant.said(name)] for name in ("M-1", "M-2"))
    assert sound == list(range(sound[0], sound[0] + len(sound)))
    assert len(faulty) < 0.8 * (faulty[-1] - faulty[0])


def test_the_roster_has_siblings_that_stay_healthy_and_one_of_each_that_wears() -> None:
    by_model: dict[object, list[bool]] = {}
    for post in ROSTER:
        by_model.setdefault(post.model, []).append(post.onset_h is None)
    assert all(True in healthy and False in healthy for healthy in by_model.values())
    seconds_to_onset = sorted(post.onset_h / 10 for post in ROSTER if post.onset_h is not None)
    assert seconds_to_onset[0] >= 60, "a baseline is learnt first"
    assert seconds_to_onset[0] + 40 <= 120, "the first ticket opens within two minutes"


@pytest.mark.parametrize(("acceleration", "period_s"), [(0.0, 0.5), (36_000.0, 0.0), (-1.0, 0.5)])
def test_an_impossible_plan_is_refused(acceleration: float, period_s: float) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        FleetPlan(acceleration=acceleration, period_s=period_s)
