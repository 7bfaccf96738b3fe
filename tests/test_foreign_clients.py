"""Clients that are none of ours publish to a running service, and their data is there (SPEC E3).

A stock command-line client and an asynchronous library, each as a device with the credential that the API issued, at a
house that ``wearsight up`` runs. The Sparkplug edge nodes of public packages are `python -m bench.show_sparkplug`: they
need libraries of their own that ours exclude.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from urllib.parse import urlsplit

import aiomqtt
import httpx2
import pytest

from runtime.clock import SystemClock
from tests.loops import in_a_loop_of_its_own
from tests.services_builders import House, an_open_folder, eventually

COUNT = 50
CLOCK = SystemClock()


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """A running house whose broker lets nobody in without a credential."""
    with an_open_folder() as folder:
        started = House(folder, broker_access="credentials")
        try:
            started.up()
            yield started
        finally:
            if started.supervisor is not None and started.supervisor.poll() is None:
                started.end()


class Device:
    """A registered device, its credential, and what the API says is stored of it."""

    def __init__(self, house: House, name: str) -> None:
        ready = house.ready()
        self.address = urlsplit(ready["broker"])
        self._api = httpx2.Client(
            base_url=f"{ready['api']}/api/v1", headers={"Authorization": f"Bearer {ready['admin_token']}"}
        )
        self.asset_id = self._post(
            "/assets", {"site": "plant-1", "asset_type": "generic", "tag": name.upper(), "name": name}
        )["id"]
        device = self._post("/devices", {"site": "plant-1", "name": name, "asset_id": self.asset_id})
        issued = self._post(f"/devices/{device['id']}/credentials", {})
        self.username, self.secret = issued["username"], issued["secret"]
        self.topic = f"wearsight/v1/plant-1/{name}/telemetry"
        self.start_ms = int(CLOCK.now().timestamp() * 1000) - COUNT * 1000

    def payload(self, number: int) -> str:
        return json.dumps({"ts": self.start_ms + 1000 * number, "seq": number, "values": {"t": number / 2}})

    def stored(self) -> list[float]:
        series = self._get(f"/assets/{self.asset_id}/series")["items"]
        if not series:
            return []
        return self._get(f"/series/{series[0]['id']}/readings", {"limit": 200})["value"]

    def _post(self, path: str, body: dict[str, object]) -> dict:
        answer = self._api.post(path, json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def _get(self, path: str, query: dict[str, object] | None = None) -> dict:
        answer = self._api.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()


EXPECTED = [number / 2 for number in range(COUNT)]


@pytest.mark.mosquitto
def test_a_stock_command_line_client_publishes(house: House):
    device = Device(house, "stock")
    program = shutil.which("mosquitto_pub")
    assert program is not None, "the package mosquitto-clients is missing"
    host, port = device.address.hostname, str(device.address.port)
    command = [program, "-h", host, "-p", port, "-u", device.username, "-P", device.secret, "-q", "1", "-i", "stock"]
    lines = "\n".join(device.payload(number) for number in range(COUNT)) + "\n"

    def publish() -> bool:
        # A credential reaches the broker within a second or two; until then it is refused.
        done = subprocess.run(
            [*command, "-t", device.topic, "-l"], input=lines, text=True, capture_output=True, timeout=30, check=False
        )
        return done.returncode == 0

    assert eventually(publish)
    assert eventually(lambda: device.stored() == EXPECTED)


def test_an_asynchronous_library_publishes(house: House):
    device = Device(house, "async")

    async def publish() -> None:
        async with aiomqtt.Client(
            device.address.hostname, device.address.port, username=device.username, password=device.secret
        ) as client:
            for number in range(COUNT):
                await client.publish(device.topic, device.payload(number), qos=1)

    def published() -> bool:
        try:
            in_a_loop_of_its_own(publish)
        except aiomqtt.MqttError:
            return False
        return True

    assert eventually(published)
    assert eventually(lambda: device.stored() == EXPECTED)


def test_without_a_credential_nobody_is_let_in(house: House):
    address = urlsplit(house.ready()["broker"])

    async def connect() -> None:
        async with aiomqtt.Client(address.hostname, address.port):
            pass

    with pytest.raises(aiomqtt.MqttError, match="Not authorized"):
        in_a_loop_of_its_own(connect)
