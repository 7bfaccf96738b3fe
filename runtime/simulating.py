"""The simulators on the command line. They get addresses, a token and a clock, as any customer would.

Without ``--api`` they play against the house that runs in the data directory, with a token made for the purpose.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from runtime.children import ServiceError
from runtime.clock import SystemClock
from runtime.plainly import plainly
from runtime.ready import read_addresses
from runtime.settings import Settings, SettingsError
from runtime.signals import StopSignals

Api = Annotated[str | None, typer.Option(help="Base URL of the service; left out, the house of the data directory.")]
Broker = Annotated[str | None, typer.Option(help="With --api: the broker, mqtt://host:port.")]
TokenFile = Annotated[Path | None, typer.Option(help="With --api: a file that holds a bearer token.")]
DataDir = Annotated[Path | None, typer.Option(help="Where everything is kept (WEARSIGHT_DATA_DIR).")]
Site = Annotated[str, typer.Option(help="The site whose machines these are.")]

_SITE = "plant-1"
# What else a simulator says when it cannot go on; each text says what came and what to do.
_EXPECTED = (ConnectionError, LookupError, ValueError)


@dataclass(frozen=True, slots=True)
class _Service:
    """The service to play against, and the folder in which a simulator keeps what it must remember."""

    api: str
    broker: str
    token: str
    folder: Path


def _service(
    name: str, data_dir: Path | None, api: str | None, broker: str | None, token_file: Path | None
) -> _Service:
    settings = Settings.load(data_dir=data_dir)
    folder = settings.data_dir / "simulators" / name
    if api is not None:
        if broker is None or token_file is None:
            raise SettingsError("--api was given without --broker and --token-file; give all three or none.")
        return _Service(api, broker, token_file.read_text().strip(), folder)
    from runtime.answering import mint_token
    from runtime.seeding import ADMIN_LOGIN
    from storage.database import connect

    addresses = read_addresses(settings.data_dir)
    if addresses is None:
        raise ServiceError(f"No house runs in {settings.data_dir}. Start one with 'wearsight up', or give --api.")
    with connect(addresses.database) as connection:
        token = mint_token(connection, ADMIN_LOGIN, f"simulator {name}", SystemClock())
    return _Service(addresses.api, addresses.broker, token, folder)


@contextmanager
def _until_stopped() -> Iterator[threading.Event]:
    with StopSignals() as signals:
        signals.interrupting = False
        yield signals.stop


def fleet(
    data_dir: DataDir = None,
    api: Api = None,
    broker: Broker = None,
    token_file: TokenFile = None,
    site: Site = _SITE,
    seed: Annotated[int, typer.Option(help="The same seed gives the same wear.")] = 1,
    acceleration: Annotated[float | None, typer.Option(help="Hours of wear per hour.")] = None,
    fault: Annotated[list[str] | None, typer.Option(help="device:fault:amount, as in M-102:dropout:0.05.")] = None,
    waveforms: Annotated[float, typer.Option(help="Seconds between vibration blocks of the motors; 0: none.")] = 10.0,
) -> None:
    """Run a fleet of simulated machines that wear, fail and are repaired when their tickets close."""
    from simulators.console_client import ApiRefusal
    from simulators.faults import parse_order
    from simulators.fleet import DEFAULT_ACCELERATION, FleetPlan, run_fleet

    with plainly(ApiRefusal, *_EXPECTED) as screen, _until_stopped() as stop:
        orders = tuple(parse_order(text) for text in fault or [])
        service = _service("fleet", data_dir, api, broker, token_file)
        run_fleet(
            FleetPlan(
                site=site,
                seed=seed,
                acceleration=acceleration or DEFAULT_ACCELERATION,
                faults=orders,
                waveform_every_s=waveforms,
            ),
            api=service.api,
            token=service.token,
            broker=service.broker,
            folder=service.folder,
            now=SystemClock().now,
            stop=stop,
            say=screen.say,
        )


def replay(
    names: Annotated[list[str] | None, typer.Argument(help="Which recordings; left out, all there are.")] = None,
    data_dir: DataDir = None,
    api: Api = None,
    broker: Broker = None,
    token_file: TokenFile = None,
    site: Site = _SITE,
    speed: Annotated[
        float | None, typer.Option(help="Recorded seconds per second; left out, as fast as it goes.")
    ] = None,
    engineer: Annotated[bool, typer.Option(help="Close tickets when the recording says the work was done.")] = True,
) -> None:
    """Play recorded data sets as devices over MQTT, with time moved to now."""
    from simulators import recordings
    from simulators.console_client import ApiRefusal
    from simulators.datasets import WrongData
    from simulators.replay import ReplayPlan, ReplayRefused, run_replay

    with plainly(ApiRefusal, ReplayRefused, WrongData, *_EXPECTED) as screen, _until_stopped() as stop:
        data = Settings.load(data_dir=data_dir).recorded_data()
        if data is None:
            raise SettingsError(
                "There is no folder of recorded data. See 'wearsight datasets', then set WEARSIGHT_DATA."
            )
        chosen = names or recordings.available(data)
        unknown = sorted(set(chosen) - recordings.READERS.keys())
        if unknown:
            raise SettingsError(
                f"There is no recording {', '.join(unknown)}; known are {', '.join(recordings.READERS)}."
            )
        service = _service("replay", data_dir, api, broker, token_file)
        for name in chosen:
            if stop.is_set():
                break
            run_replay(
                recordings.READERS[name](data),
                ReplayPlan(site=site, speed=speed, with_engineer=engineer),
                api=service.api,
                token=service.token,
                broker=service.broker,
                folder=service.folder / name,
                now=SystemClock().now,
                stop=stop,
                say=screen.say,
            )


def show_datasets(
    fetch: Annotated[str | None, typer.Option(help="Fetch this one from its origin.")] = None,
    verify: Annotated[bool, typer.Option(help="Check what is in the folder.")] = False,
) -> None:
    """List the recorded data sets that are known; fetch one, or verify what is there."""
    from simulators import datasets

    with plainly(datasets.WrongData, *_EXPECTED) as screen:
        settings = Settings.load()
        folder = settings.recorded_data() or settings.data_dir / "recorded"
        if fetch is not None:
            for path in datasets.fetch(datasets.known(fetch), folder):
                screen.say(f"{path} is there and verified")
        elif verify:
            wrong = [sentence for each in datasets.KNOWN for sentence in datasets.verify(each, folder)]
            for sentence in wrong:
                screen.failure(sentence)
            if wrong:
                raise typer.Exit(1)
            screen.say(f"everything known is in {folder}, verified")
        else:
            typer.echo(datasets.as_table())


def people(
    data_dir: DataDir = None,
    api: Api = None,
    broker: Broker = None,
    token_file: TokenFile = None,
) -> None:
    """Let simulated engineers and the requester carry the fleet's tickets to closed."""
    from simulators.console_client import ApiRefusal
    from simulators.people import run_people

    with plainly(ApiRefusal, *_EXPECTED) as screen, _until_stopped() as stop:
        service = _service("people", data_dir, api, broker, token_file)
        screen.say("simulated engineers look for tickets of the fleet")
        run_people(
            api=service.api,
            token=service.token,
            now=SystemClock().now,
            stop=stop,
            say=screen.say,
            truth=service.folder.parent / "fleet" / "truth.jsonl",
        )


def sparkplug_node(
    data_dir: DataDir = None,
    broker: Annotated[str | None, typer.Option(help="The broker; left out, that of the data directory.")] = None,
    group: Annotated[str, typer.Option(help="The group of the edge node.")] = "demo",
    edge: Annotated[str, typer.Option(help="The name of the edge node.")] = "edge-1",
    device: Annotated[list[str] | None, typer.Option(help="A device behind it; may be repeated.")] = None,
    every_s: Annotated[float, typer.Option(help="Seconds between two messages of a device.", min=0.01)] = 1.0,
) -> None:
    """Run a Sparkplug B edge node: births, data by alias, a death by last will, a rebirth when it is asked for one."""
    from simulators.sparkplug_node import run_edge_node

    with plainly(*_EXPECTED) as screen, _until_stopped() as stop:
        if broker is None:
            found = read_addresses(Settings.load(data_dir=data_dir).data_dir)
            if found is None:
                raise ServiceError(
                    "No house runs in the data directory. Start one by 'wearsight up', or give --broker."
                )
            broker = found.broker
        run_edge_node(
            broker,
            group,
            edge,
            device or ["motor-1"],
            now=SystemClock().now,
            stop=stop,
            say=screen.say,
            every_s=every_s,
        )


def add_commands(app: typer.Typer) -> None:
    """Add the simulators' commands to the command line."""
    app.command()(fleet)
    app.command()(replay)
    app.command(name="datasets")(show_datasets)
    app.command()(people)
    app.command(name="sparkplug-node")(sparkplug_node)
