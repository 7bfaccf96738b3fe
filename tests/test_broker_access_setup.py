"""`wearsight broker-setup`: folders for brokers of one's own; a real Mosquitto runs from the one that is made."""

from __future__ import annotations

import csv
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runtime.broker_probe import probe_broker
from runtime.broker_setup import Brand, SetUp, set_up
from runtime.children import ServiceError
from runtime.loopback_broker import HOST
from runtime.mosquitto_broker import DURABLE, find_mosquitto
from storage.database import connect
from storage.device_credentials import IssuedCredential, issue, owner_of_device, revoke
from storage.people import create_person
from tests.api_builders import a_device, a_house, an_asset
from tests.broker_builders import a_client, hears
from tests.services_builders import IS_ROOT, REPOSITORY, an_open_folder, eventually

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Plant:
    """A database with two devices that have a credential each, and a folder to set a broker up in."""

    database: str
    folder: Path
    person: int
    devices: tuple[int, int]
    first: IssuedCredential
    second: IssuedCredential

    def set_up(self, brand: Brand, *, refresh: bool = False) -> SetUp:
        with connect(self.database) as connection:
            return set_up(brand, self.folder / brand, connection, refresh=refresh)

    def revoke_first(self) -> None:
        with connect(self.database) as connection:
            assert revoke(connection, owner_of_device(self.devices[0], "north", "d1"), self.first.id, self.person, NOW)


@pytest.fixture
def plant(database: str) -> Iterator[Plant]:
    with connect(database) as connection:
        a_house(connection)
        person = create_person(connection, login="p", name="P", now=NOW, roles=[])
        asset = an_asset(connection)
        devices = (a_device(connection, asset, "d1"), a_device(connection, asset, "d2"))
        issued = [
            issue(connection, owner_of_device(device, "north", name), person, NOW)
            for device, name in zip(devices, ("d1", "d2"), strict=True)
        ]
    with an_open_folder() as folder:
        yield Plant(database, folder, person, devices, *issued)


@pytest.mark.parametrize("brand", list(Brand))
def test_doing_it_again_changes_nothing_and_shows_no_secret(plant: Plant, brand: Brand) -> None:
    made = plant.set_up(brand)
    assert made.service is not None
    assert {path.name for path in made.changed} >= {"README.md"}
    before = {path: path.read_bytes() for path in (plant.folder / brand).iterdir()}
    again = plant.set_up(brand)
    assert (again.changed, again.service) == ([], None)
    assert {path: path.read_bytes() for path in (plant.folder / brand).iterdir()} == before
    secrets = (made.service.password, plant.first.secret, plant.second.secret)
    for path, content in before.items():
        assert not any(secret.encode() in content for secret in secrets), path
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert b"@{" not in content, f"{path} has a place that was not filled in"


@pytest.mark.parametrize("brand", list(Brand))
def test_a_refresh_rewrites_users_and_rules_only(plant: Plant, brand: Brand) -> None:
    with pytest.raises(ServiceError, match="without --refresh first"):
        plant.set_up(brand, refresh=True)
    assert not (plant.folder / brand).exists()
    plant.set_up(brand)
    (plant.folder / brand / "README.md").write_text("mine")
    plant.revoke_first()
    changed = {path.name for path in plant.set_up(brand, refresh=True).changed}
    assert (
        changed
        == {
            Brand.MOSQUITTO: {"acl", "passwords"},
            Brand.EMQX: {"acl.conf", "users.csv", "revoked.txt"},
        }[brand]
    )
    assert (plant.folder / brand / "README.md").read_text() == "mine"
    told = "".join((plant.folder / brand / name).read_text() for name in changed if name != "revoked.txt")
    assert "north.d1.1" not in told
    assert "north.d2.1" in told


@pytest.mark.mosquitto
def test_a_real_mosquitto_runs_from_the_folder_and_follows_a_refresh(plant: Plant) -> None:
    made = plant.set_up(Brand.MOSQUITTO)
    assert made.service is not None
    folder = plant.folder / Brand.MOSQUITTO
    settings = (folder / "mosquitto.conf").read_text()
    assert set(DURABLE) <= set(settings.splitlines())
    # Only where it listens, where it keeps its data and as whom it runs differ from what README.md tells to do.
    store = plant.folder / "store"
    store.mkdir()
    tried = settings.replace("listener 1883\n", f"listener {(port := free_port())} {HOST}\n")
    tried = tried.replace("/var/lib/mosquitto/", f"{store}/") + ("user root\n" if IS_ROOT else "")
    (plant.folder / "tried.conf").write_text(tried)
    url = f"mqtt://{HOST}:{port}"
    broker = subprocess.Popen([find_mosquitto(), "-c", plant.folder / "tried.conf"])
    try:
        assert eventually(lambda: probe_broker(made.service.address(url)) is None)  # type: ignore[union-attr]
        assert probe_broker(url) is not None, "nobody comes in without a name"
        with (
            a_client(url, "ingest", made.service.user, made.service.password, clean=False) as service,
            a_client(url, "d1", plant.first.username, plant.first.secret) as first,
            a_client(url, "d2", plant.second.username, plant.second.secret) as second,
        ):
            assert service.subscribe("wearsight/#")
            second.publish("wearsight/v1/north/d1/telemetry", "foreign")
            second.publish("wearsight/v1/north/d2/telemetry", "own")
            assert hears(service, "own")
            plant.revoke_first()
            plant.set_up(Brand.MOSQUITTO, refresh=True)
            broker.send_signal(signal.SIGHUP)
            assert eventually(lambda: first.lost > 0)
            second.publish("wearsight/v1/north/d2/telemetry", "still")
            assert hears(service, "still")
            assert service.texts() == ["own", "still"]
            assert (service.lost, second.lost) == (0, 0)
    finally:
        broker.terminate()
        broker.wait(10)


def test_the_folder_for_emqx_is_well_formed_as_far_as_can_be_seen_without_one(plant: Plant) -> None:
    plant.set_up(Brand.EMQX)
    folder = plant.folder / Brand.EMQX
    rows = list(csv.DictReader((folder / "users.csv").open()))
    assert [row["user_id"] for row in rows] == ["wearsight-service", "north.d1.1", "north.d2.1"]
    assert all(re.fullmatch(r"[0-9a-f]{128}", row["password_hash"]) and len(row["salt"]) == 12 for row in rows)
    rules = (folder / "acl.conf").read_text()
    assert '{allow, {username, "north.d1.1"}, subscribe, ["wearsight/v1/north/d1/tickets"' in rules
    assert rules.endswith("{deny, all}.\n")
    settings = (folder / "emqx.conf").read_text()
    assert settings.count("{") == settings.count("}")
    assert settings.count("[") == settings.count("]")
    for needed in ("iterations = 101", "mac_fun = sha512", "dk_length = 64", "no_match = deny", str(folder)):
        assert needed in settings
    plant.revoke_first()
    plant.set_up(Brand.EMQX, refresh=True)
    assert (folder / "revoked.txt").read_text() == "north.d1.1\n"
    checked = subprocess.run(["sh", "-n", folder / "apply.sh"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_from_the_command_line_the_services_secret_is_shown_once(plant: Plant) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "runtime.commands", "broker-setup", *words],
            cwd=plant.folder,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(REPOSITORY),
                "WEARSIGHT_DATABASE_URL": plant.database,
                "WEARSIGHT_DATA_DIR": str(plant.folder / "data"),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    first = run("mosquitto", "--directory", "made")
    assert first.returncode == 0, first.stdout + first.stderr
    assert re.search(r"password\s+[A-Za-z0-9_-]{32}", first.stdout)
    second = run("mosquitto", "--directory", "made", "--refresh")
    assert "nothing has changed" in second.stdout
    assert "password" not in second.stdout
    assert "no broker set-up for 'rabbit'" in run("rabbit", "--directory", "made").stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
