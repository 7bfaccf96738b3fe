"""The command line. Every command prints sentences; what went wrong is said without a stack trace."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from runtime import (
    backtest_commands,
    library_commands,
    month_commands,
    report_commands,
    simulating,
    timeline_commands,
)
from runtime.children import ServiceError
from runtime.clock import SystemClock
from runtime.logs import configure_logs
from runtime.plainly import plainly
from runtime.ready import with_running_services
from runtime.screen import Screen
from runtime.settings import Settings

app = typer.Typer(
    name="wearsight",
    help="Predictive maintenance from the sensor to the closed ticket. Settings: docs/settings.md.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

DataDir = Annotated[Path | None, typer.Option(help="Where everything is kept (WEARSIGHT_DATA_DIR).")]
Broker = Annotated[str | None, typer.Option(help="Which embedded broker: nats or mosquitto (WEARSIGHT_BROKER).")]
ApiPort = Annotated[int | None, typer.Option(help="Port of console and API; 0 takes a free one (WEARSIGHT_API_PORT).")]
ReadyFile = Annotated[Path | None, typer.Option(help="Written once everything answers (WEARSIGHT_READY_FILE).")]


@app.command()
def up(data_dir: DataDir = None, broker: Broker = None, api_port: ApiPort = None, ready_file: ReadyFile = None) -> None:
    """Start database, broker and all processes, and keep them running until Ctrl-C."""
    with plainly() as screen:
        settings = Settings.load(data_dir=data_dir, broker=broker, api_port=api_port, ready_file=ready_file)
        _run_house(settings, screen, simulate=False, people=False)


@app.command()
def demo(
    data_dir: DataDir = None,
    broker: Broker = None,
    api_port: ApiPort = None,
    ready_file: ReadyFile = None,
    people: Annotated[bool, typer.Option(help="Let simulated engineers and a requester work on tickets.")] = False,
) -> None:
    """Do as 'up' does, with a simulated fleet and a replay of recorded machines beside it."""
    with plainly() as screen:
        settings = Settings.load(data_dir=data_dir, broker=broker, api_port=api_port, ready_file=ready_file)
        _run_house(settings, screen, simulate=True, people=people)


def _run_house(settings: Settings, screen: Screen, *, simulate: bool, people: bool) -> None:
    from runtime.demo import FirstTicket, start_simulators
    from runtime.signals import AskedToStop, StopSignals
    from runtime.supervisor import Supervisor

    configure_logs(settings.model_copy(update={"log_level": "error"}), "up")
    clock = SystemClock()
    with StopSignals() as signals, Supervisor(settings, clock, screen) as supervisor:
        try:
            addresses = supervisor.start()
            signals.interrupting = False
            screen.addresses(
                {
                    "Console": addresses.api,
                    "API": f"{addresses.api}/api/v1/openapi.json",
                    "Broker": addresses.broker,
                    "Database": addresses.database,
                }
            )
            if supervisor.admin_password is not None:
                screen.secret("shown this once", f"login     admin\npassword  {supervisor.admin_password}")
            look = FirstTicket(supervisor, clock, screen).look if simulate else (lambda: None)
            if simulate:
                start_simulators(supervisor, settings, screen, clock, people=people)
            screen.say("everything answers; Ctrl-C stops it")
            supervisor.watch(signals.stop, look)
        except AskedToStop:
            screen.say("asked to stop while starting")
        finally:
            signals.interrupting = False
            if supervisor.holds_directory:
                with screen.step("stopping"):
                    supervisor.stop()


@app.command()
def doctor(data_dir: DataDir = None) -> None:
    """Say what is there and what is wrong. Exit code 1 when something is."""
    from runtime.doctor import State, examine

    signs = {State.OK: "[green]ok[/]", State.NOTE: "[cyan]--[/]", State.PROBLEM: "[red]no[/]"}
    with plainly():
        lines = examine(Settings.load(data_dir=data_dir), SystemClock())
        console = Console(soft_wrap=True, highlight=False)
        for line in lines:
            console.print(f"{signs[line.state]}  {escape(' '.join(filter(None, (line.sentence, line.remedy))))}")
        if any(line.state is State.PROBLEM for line in lines):
            raise typer.Exit(1)


@app.command()
def migrate(data_dir: DataDir = None) -> None:
    """Bring the schema of the database to the newest version."""
    from storage.database import migrate as bring_up_to_date
    from storage.database import pending_migrations

    with plainly() as screen:
        settings = with_running_services(Settings.load(data_dir=data_dir), broker=False)
        pending = pending_migrations(str(settings.database_url))
        bring_up_to_date(str(settings.database_url))
        screen.say(f"applied {', '.join(pending)}" if pending else "the schema is up to date")


@app.command()
def passwd(
    login: Annotated[str, typer.Argument(help="Whose password.")],
    generate: Annotated[bool, typer.Option(help="Make a random one and show it once.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Set somebody's password; it also ends that person's browser sessions."""
    from runtime.answering import QUERIES
    from runtime.seeding import new_password
    from storage.database import connect
    from storage.people import hash_password, set_password

    with plainly() as screen:
        settings = with_running_services(Settings.load(data_dir=data_dir), broker=False)
        with connect(str(settings.database_url)) as connection:
            row = connection.execute(QUERIES["person_of_login"], {"login": login}).fetchone()
        if row is None:
            raise ServiceError(f"Nobody active has the login '{login}'. 'GET /api/v1/people' lists everybody.")
        if generate:
            password = new_password()
        elif sys.stdin.isatty():
            password = typer.prompt("New password", hide_input=True, confirmation_prompt=True)
        else:
            password = sys.stdin.readline().rstrip("\n")
        hashed = hash_password(password)
        with connect(str(settings.database_url)) as connection:
            set_password(connection, row[0], hashed, SystemClock().now())
        if generate:
            screen.secret("shown this once", f"login     {login}\npassword  {password}")
        screen.say(f"{login} has a new password")


@app.command(name="broker-setup")
def broker_setup(
    brand: Annotated[str, typer.Argument(help="For which broker: mosquitto or emqx.")],
    directory: Annotated[Path, typer.Option(help="The folder to write; its README says what comes next.")],
    refresh: Annotated[bool, typer.Option("--refresh", help="Only users and rules, for cron.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Write configuration, users and rules for a broker of your own, from the credentials in the database."""
    from runtime.broker_setup import Brand, set_up
    from storage.database import connect

    with plainly() as screen:
        if brand not in list(Brand):
            raise ServiceError(f"There is no broker set-up for '{brand}'; there is one for {' and '.join(Brand)}.")
        settings = with_running_services(Settings.load(data_dir=data_dir), broker=False)
        with connect(str(settings.database_url)) as connection:
            done = set_up(Brand(brand), directory, connection, refresh=refresh)
        names = ", ".join(path.name for path in done.changed)
        screen.say(f"{directory}: wrote {names}" if names else f"{directory}: nothing has changed")
        if done.service is not None:
            screen.secret("shown this once", f"user      {done.service.user}\npassword  {done.service.password}")


simulating.add_commands(app)
app.add_typer(library_commands.app)
app.add_typer(report_commands.app)
app.add_typer(timeline_commands.app)
backtest_commands.add_commands(app)
month_commands.add_commands(app)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
