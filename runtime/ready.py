"""What a running house tells others: the ready file for scripts, and the addresses for our own commands."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from runtime.broker_access import internal_address
from runtime.private_files import write_privately
from runtime.settings import Settings, SettingsError

_ADDRESSES_FILE = "addresses.json"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the parts of a running house answer: the API's base URL, the broker's URL, the database's DSN.

    The embedded broker's URL is without user and password, for everybody; our own processes have theirs beside it.
    """

    api: str
    broker: str
    database: str


def write_ready_file(path: Path, addresses: Addresses, admin_token: str) -> None:
    """Write {"api", "broker", "database", "admin_token"} for scripts and tests: whole or not at all, mode 0600."""
    _write_json(path, {**asdict(addresses), "admin_token": admin_token})


def write_addresses(data_dir: Path, addresses: Addresses) -> None:
    """Note in the data directory where this run answers, so that other commands find it."""
    _write_json(data_dir / _ADDRESSES_FILE, asdict(addresses))


def forget_addresses(data_dir: Path) -> None:
    """Remove the note of a run that ended."""
    (data_dir / _ADDRESSES_FILE).unlink(missing_ok=True)


def read_addresses(data_dir: Path) -> Addresses | None:
    """Return where the house of this data directory answers, None when none is noted."""
    try:
        note = json.loads((data_dir / _ADDRESSES_FILE).read_text())
        return Addresses(str(note["api"]), str(note["broker"]), str(note["database"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def with_running_services(settings: Settings, *, broker: bool = True) -> Settings:
    """Return the settings with database and broker filled in from the house that runs in the data directory.

    :raises SettingsError: when neither the settings nor a running house name the database (or, if asked, the broker).
    """
    addresses = read_addresses(settings.data_dir)
    database_url = settings.database_url or (addresses.database if addresses else None)
    broker_url = settings.broker_url or (internal_address(settings.data_dir, addresses.broker) if addresses else None)
    if database_url is None or (broker and broker_url is None):
        missing = "WEARSIGHT_DATABASE_URL" if database_url is None else "WEARSIGHT_BROKER_URL"
        raise SettingsError(
            f"{missing} is not set, and no house runs in {settings.data_dir}. "
            "Start one with 'wearsight up' in another terminal, or set the variable."
        )
    return settings.model_copy(update={"database_url": database_url, "broker_url": broker_url})


def _write_json(path: Path, content: dict[str, str]) -> None:
    write_privately(path, json.dumps(content, indent=1) + "\n")
