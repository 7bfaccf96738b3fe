"""`wearsight broker-setup`: ready configuration for a broker of one's own, and its users from our list of credentials.

A folder is made once: settings, the service's user, and a README with the exact commands. Later runs rewrite what
comes from the database; ``--refresh`` rewrites nothing else, for cron. The service's secret is shown when it is made
and not kept; beside the files stand only its hashes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from string import Template

from psycopg import Connection

from runtime.broker_access import (
    SERVICE_USER,
    Access,
    AccessReader,
    Service,
    emqx_acl,
    emqx_users,
    mosquitto_acl,
    mosquitto_passwords,
)
from runtime.children import ServiceError
from runtime.mosquitto_broker import DURABLE
from runtime.private_files import write_privately
from storage.device_credentials import PBKDF2_ITERATIONS, Hashes, hash_secret, new_secret, revoked_usernames

_SERVICE_FILE = "service.json"


class Brand(StrEnum):
    """The brokers that a folder can be made for."""

    MOSQUITTO = "mosquitto"
    EMQX = "emqx"


@dataclass(frozen=True, slots=True)
class SetUp:
    """What was written: the files that changed, and the service's user when its secret was just made."""

    changed: list[Path]
    service: Service | None


def set_up(brand: Brand, directory: Path, connection: Connection, *, refresh: bool) -> SetUp:
    """Write the folder of a broker; with ``refresh`` only users and rules. Doing it again changes only what differs.

    Refuses, as ServiceError, to refresh a folder that was not set up.
    """
    directory = directory.absolute()
    service = None
    hashes = _known_hashes(directory)
    if hashes is None and refresh:
        raise ServiceError(
            f"There is no {_SERVICE_FILE} in {directory}, so it was not set up. "
            f"Run 'wearsight broker-setup {brand} --directory {directory}' without --refresh first."
        )
    directory.mkdir(parents=True, exist_ok=True, mode=0o750)
    if hashes is None:
        service = Service(SERVICE_USER, new_secret())
        hashes = hash_secret(service.password)
        write_privately(directory / _SERVICE_FILE, json.dumps(asdict(hashes), indent=1) + "\n")
    access = AccessReader(hashes, is_open=False).read(connection)
    kit = _KITS[brand]
    written = {name: render(access, connection) for name, render in kit.from_database.items()}
    if not refresh:
        values = {"directory": str(directory), "iterations": str(PBKDF2_ITERATIONS), "durable": "\n".join(DURABLE)}
        written |= {name: _template(brand, name).substitute(values) for name in kit.templates}
    changed = [directory / name for name, content in written.items() if _write(directory / name, content)]
    return SetUp(changed, service)


@dataclass(frozen=True, slots=True)
class _Kit:
    """The files of one brand: those rendered from the database, and those from templates in runtime/broker_kits/."""

    from_database: Mapping[str, Callable[[Access, Connection], str]]
    templates: tuple[str, ...]


_KITS: Mapping[Brand, _Kit] = {
    Brand.MOSQUITTO: _Kit(
        {
            "acl": lambda access, _connection: mosquitto_acl(access),
            "passwords": lambda access, _connection: mosquitto_passwords(access),
        },
        ("mosquitto.conf", "README.md"),
    ),
    Brand.EMQX: _Kit(
        {
            "acl.conf": lambda access, _connection: emqx_acl(access),
            "users.csv": lambda access, _connection: emqx_users(access),
            "revoked.txt": lambda _access, connection: "".join(f"{name}\n" for name in revoked_usernames(connection)),
        },
        ("emqx.conf", "apply.sh", "README.md"),
    ),
}


class _Marked(Template):
    """Templates mark places as ``@{name}``: the dollar belongs to shells and to topics."""

    delimiter = "@"


def _template(brand: Brand, name: str) -> _Marked:
    return _Marked((files("runtime") / "broker_kits" / brand.value / f"{name}.template").read_text(encoding="utf-8"))


def _known_hashes(directory: Path) -> Hashes | None:
    path = directory / _SERVICE_FILE
    try:
        return Hashes(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise ServiceError(
            f"{path} cannot be used: {error}. Run as whoever made it; or remove it and run without --refresh, "
            "which makes a new secret for the service."
        ) from error


def _write(path: Path, content: str) -> bool:
    if path.is_file() and path.read_text(encoding="utf-8") == content:
        return False
    folder = path.parent.stat()

    def hand_over(unfinished: Path) -> None:
        # cron runs as root: its new files must not shut out the broker, to whom the folder was given.
        if os.geteuid() == 0:
            os.chown(unfinished, folder.st_uid, folder.st_gid)

    write_privately(path, content, hand_over)
    return True
