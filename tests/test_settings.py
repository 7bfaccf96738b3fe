"""Settings: validated whole at start, with errors that say what came, what was expected and what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.broker_access import keep_service
from runtime.ready import Addresses, forget_addresses, read_addresses, with_running_services, write_addresses
from runtime.settings import Settings, SettingsError
from tests.services_builders import REPOSITORY


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("WEARSIGHT_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_nothing_needs_to_be_set(tmp_path: Path) -> None:
    settings = Settings.load()
    assert settings.data_dir == tmp_path / ".wearsight"
    assert settings.broker == "nats"
    assert (settings.database_url, settings.broker_url, settings.ready_file) == (None, None, None)


def test_every_wrong_setting_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEARSIGHT_BROKER", "rabbit")
    monkeypatch.setenv("WEARSIGHT_API_PORT", "70000")
    monkeypatch.setenv("WEARSIGHT_BROKER_URL", "http://broker")
    monkeypatch.setenv("WEARSIGHT_DATABASE_URL", "postgres")
    monkeypatch.setenv("WEARSIGHT_DATA", "/no/such/folder")
    monkeypatch.setenv("WEARSIGHT_BROKER_ULR", "mqtt://broker")
    with pytest.raises(SettingsError) as refusal:
        Settings.load()
    text = str(refusal.value)
    assert "WEARSIGHT_BROKER is 'rabbit': Input should be 'nats' or 'mosquitto'" in text
    assert "WEARSIGHT_API_PORT is '70000'" in text
    assert "WEARSIGHT_BROKER_URL is (hidden): expected mqtt://" in text
    assert "WEARSIGHT_DATABASE_URL is (hidden): expected postgresql://" in text
    assert "WEARSIGHT_DATA is '/no/such/folder': expected a folder that exists" in text
    assert "WEARSIGHT_BROKER_ULR is not a setting of Wearsight. Did you mean WEARSIGHT_BROKER_URL?" in text


@pytest.mark.parametrize("wrong", ["mqtt://", "mqtt://host:99999", "mqtt://host:port", "broker:1883", "tcp://host"])
def test_a_wrong_broker_address_is_refused(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("WEARSIGHT_BROKER_URL", wrong)
    with pytest.raises(SettingsError, match="WEARSIGHT_BROKER_URL"):
        Settings.load()


@pytest.mark.parametrize(
    ("given", "is_open"),
    [
        ({}, True),
        ({"broker_host": "0.0.0.0"}, False),
        ({"broker_host": "::1"}, True),
        ({"broker_host": "0.0.0.0", "broker_access": "open"}, True),
        ({"broker_access": "credentials"}, False),
        ({"broker_url": "mqtt://localhost:1883"}, True),
        ({"broker_url": "mqtt://user:secret@plant.example:1883"}, False),
    ],
)
def test_clients_without_a_name_are_let_in_on_loopback_only_unless_it_is_said(
    given: dict[str, str], is_open: bool
) -> None:
    assert Settings.load(**given).broker_is_open() is is_open


def test_the_brokers_host_is_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEARSIGHT_BROKER_HOST", "plant")
    monkeypatch.setenv("WEARSIGHT_BROKER_ACCESS", "closed")
    with pytest.raises(SettingsError, match="WEARSIGHT_BROKER_HOST is 'plant': expected an IP address") as refusal:
        Settings.load()
    assert "WEARSIGHT_BROKER_ACCESS is 'closed'" in str(refusal.value)


def test_a_password_in_an_address_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEARSIGHT_BROKER_URL", "amqp://plant:s3cret@host")
    monkeypatch.setenv("WEARSIGHT_DATABASE_URL", "postgresql://plant:s3cret@host:port:x/")
    with pytest.raises(SettingsError) as refusal:
        Settings.load()
    assert "s3cret" not in str(refusal.value)


def test_what_tests_read_is_no_unknown_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEARSIGHT_TEST_TIMESCALE_URL", "x")
    monkeypatch.setenv("WEARSIGHT_TESTS_REQUIRE", "mosquitto")
    Settings.load()


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEARSIGHT_DATABASE_URL", "")
    assert Settings.load().database_url is None


def test_the_command_line_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEARSIGHT_API_PORT", "8000")
    assert Settings.load(api_port=9000).api_port == 9000
    assert Settings.load(api_port=None).api_port == 8000


def test_another_process_loads_the_same_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = Settings.load(data_dir=Path("here"), broker_url="mqtt://host", log_level="DEBUG", data=tmp_path)
    for name, value in first.to_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir("/")
    assert Settings.load() == first


def test_every_setting_is_documented() -> None:
    text = (REPOSITORY / "docs" / "settings.md").read_text()
    assert [name for name in Settings.model_fields if f"| `WEARSIGHT_{name.upper()}` |" not in text] == []


def test_commands_find_the_running_house_in_its_data_directory(tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path)
    with pytest.raises(SettingsError, match="no house runs in"):
        with_running_services(settings)
    addresses = Addresses(api="http://127.0.0.1:1", broker="mqtt://127.0.0.1:2", database="host=/x")
    write_addresses(tmp_path, addresses)
    assert (tmp_path / "addresses.json").stat().st_mode & 0o777 == 0o600
    assert with_running_services(settings).broker_url == "mqtt://127.0.0.1:2"
    service = keep_service(settings.data_dir)
    assert with_running_services(settings).broker_url == service.address("mqtt://127.0.0.1:2"), "as our own processes"
    own = settings.model_copy(update={"database_url": "host=/own"})
    assert with_running_services(own).database_url == "host=/own"
    forget_addresses(tmp_path)
    assert read_addresses(tmp_path) is None
    assert with_running_services(own, broker=False).database_url == "host=/own"


def test_a_garbled_note_of_addresses_is_no_note(tmp_path: Path) -> None:
    (tmp_path / "addresses.json").write_text('{"api": ')
    assert read_addresses(tmp_path) is None


def test_a_wrong_setting_is_told_without_a_stack_trace(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "runtime.commands", "up"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "WEARSIGHT_BROKER": "rabbit"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "WEARSIGHT_BROKER is 'rabbit'" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / ".wearsight").exists()
