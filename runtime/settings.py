"""Settings: what differs between deployments, from ``WEARSIGHT_...`` variables, validated whole at start.

Policy (limits, targets, weights) is not here: it is versioned rows in the database. Every field is described in
docs/settings.md, and a test says so.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

import psycopg.conninfo
from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ingest.slices import check as check_slices

PREFIX = "WEARSIGHT_"
# Read by tests and benchmarks only, so not a setting of the service.
TEST_PREFIX = "WEARSIGHT_TEST"
DEFAULT_RECORDED_DATA = Path("../shared/data")


class SettingsError(Exception):
    """One or more settings are wrong. The text names each: what came, what was expected, what to do."""


class Settings(BaseSettings):
    """All settings of one deployment. Paths are absolute after loading."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, env_ignore_empty=True, extra="forbid")

    data_dir: Path = Path(".wearsight")
    database_url: str | None = None
    broker_url: str | None = None
    broker: Literal["nats", "mosquitto"] = "nats"
    broker_host: str = "127.0.0.1"
    broker_port: int = Field(default=0, ge=0, le=65535)
    broker_access: Literal["open", "credentials"] | None = None
    api_host: str = "127.0.0.1"
    api_port: int = Field(default=0, ge=0, le=65535)
    public_url: str | None = None
    ready_file: Path | None = None
    data: Path | None = None
    extension_folder: Path | None = None
    # NoDecode: we read the JSON ourselves, so that a mistake is told like any other.
    ingest_slices: Annotated[tuple[tuple[str, ...], ...], NoDecode] = (("*",),)
    ingest_slice: int = Field(default=0, ge=0)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"

    @field_validator("data_dir", "ready_file", "data", "extension_folder")
    @classmethod
    def _make_absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("data", "extension_folder")
    @classmethod
    def _must_be_a_folder(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_dir():
            raise ValueError("expected a folder that exists; create it or unset the variable")
        return value

    @field_validator("ingest_slices", mode="before")
    @classmethod
    def _read_slices(cls, value: object) -> object:
        problem = 'expected JSON, lists of sites in a list: [["plant-1"], ["*"]]'
        try:
            read = json.loads(value) if isinstance(value, str) else value
        except json.JSONDecodeError as error:
            raise ValueError(problem) from error
        if not isinstance(read, (list, tuple)) or not all(isinstance(sites, (list, tuple)) for sites in read):
            raise ValueError(problem)
        return read

    @field_validator("ingest_slices")
    @classmethod
    def _must_cut_once(cls, value: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        check_slices(value)
        return value

    @field_validator("database_url")
    @classmethod
    def _must_be_a_database_address(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                psycopg.conninfo.conninfo_to_dict(value)
            except psycopg.ProgrammingError as error:
                raise ValueError(
                    "expected postgresql://user:password@host:port/name or 'host=... dbname=...'; "
                    f"the address could not be read ({str(error).strip()})"
                ) from error
        return value

    @field_validator("broker_url")
    @classmethod
    def _must_be_a_broker_address(cls, value: str | None) -> str | None:
        if value is not None:
            parts = urlsplit(value)
            try:
                port = parts.port
            except ValueError:
                port = -1
            if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or port == -1:
                raise ValueError("expected mqtt://[user:password@]host[:port], or mqtts:// for TLS")
        return value

    @field_validator("broker_host")
    @classmethod
    def _must_be_an_ip_address(cls, value: str) -> str:
        try:
            return str(ipaddress.ip_address(value))
        except ValueError as error:
            raise ValueError("expected an IP address of this machine: 127.0.0.1, or 0.0.0.0 for all of them") from error

    def broker_is_open(self) -> bool:
        """Whether clients without a name are let in: as it is set, else only where none but this machine comes in."""
        if self.broker_access is not None:
            return self.broker_access == "open"
        host = urlsplit(self.broker_url).hostname if self.broker_url else self.broker_host
        return is_loopback(host or "")

    @field_validator("public_url")
    @classmethod
    def _must_be_a_web_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("expected http://host[:port][/path] or https://..., without ? and #")
        return value.rstrip("/")

    @classmethod
    def load(cls, **overrides: object) -> Self:
        """Read the environment, then ``overrides`` (None means not given).

        :raises SettingsError: naming every wrong or unknown setting at once.
        """
        problems = unknown_variables(os.environ)
        given = {name: value for name, value in overrides.items() if value is not None}
        try:
            settings = cls.model_validate({**cls._from_environment(), **given})
        except ValidationError as error:
            problems += [_explain(detail["loc"], detail["msg"], detail["input"]) for detail in error.errors()]
            raise SettingsError("\n".join(problems)) from error
        if problems:
            raise SettingsError("\n".join(problems))
        return settings

    @classmethod
    def _from_environment(cls) -> dict[str, str]:
        values = {name: os.environ.get(PREFIX + name.upper(), "") for name in cls.model_fields}
        return {name: value for name, value in values.items() if value}

    def recorded_data(self) -> Path | None:
        """Return the folder of recorded data: the one that was set, else the default where it exists."""
        if self.data is not None:
            return self.data
        default = DEFAULT_RECORDED_DATA.absolute()
        return default.resolve() if default.is_dir() else None

    def to_environment(self) -> dict[str, str]:
        """Return the variables that make another process load exactly these settings."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return {
            PREFIX + name.upper(): json.dumps(value) if isinstance(value, tuple) else str(value)
            for name, value in values.items()
            if value is not None
        }


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Return a sentence for each ``WEARSIGHT_`` variable that is not a setting: a typo must not be ignored."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    sentences = []
    for name in sorted(environment):
        if name.startswith(PREFIX) and not name.startswith(TEST_PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]}?" if near else "See docs/settings.md for the list."
            sentences.append(f"{name} is not a setting of Wearsight. {hint}")
    return sentences


def _explain(location: tuple[int | str, ...], message: str, got: object) -> str:
    name = PREFIX + "_".join(str(part) for part in location).upper()
    shown = "(hidden)" if name.endswith("_URL") else repr(str(got))
    return f"{name} is {shown}: {message.removeprefix('Value error, ')}."


def is_loopback(host: str) -> bool:
    """Whether none but this machine reaches what listens on ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
