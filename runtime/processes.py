"""The processes of the service. `wearsight up` supervises them all; each also runs alone: ``python -m runtime desk``.

They meet only in the database, so any of them may be killed at any time and started again.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType

import structlog

from domain.clock import Clock
from runtime.clock import SystemClock
from runtime.logs import configure_logs
from runtime.ready import with_running_services
from runtime.settings import Settings, SettingsError

# Live streams never end by themselves, so a stopping API gives its answers this long and then hangs up.
API_GRACE_S = 3
API_BACKLOG = 512
API_CONNECTIONS = 16

Run = Callable[[Settings, Clock, threading.Event], None]


# Each imports its part when it runs: a process loads only what it needs.
def _run_ingest(settings: Settings, clock: Clock, stop: threading.Event) -> None:
    from runtime.ingesting import run_ingest

    run_ingest(settings, clock, stop)


def _run_desk(settings: Settings, clock: Clock, stop: threading.Event) -> None:
    from runtime.desk import run_desk

    run_desk(settings, clock, stop)


def _run_relay(settings: Settings, clock: Clock, stop: threading.Event) -> None:
    from runtime.relay import run_relay

    run_relay(settings, clock, stop)


def _run_jobs(settings: Settings, clock: Clock, stop: threading.Event) -> None:
    from runtime.jobs import run_jobs

    run_jobs(settings, clock, stop)


def _run_api(settings: Settings, clock: Clock, stop: threading.Event) -> None:
    import uvicorn

    from api.app import create_app
    from api.measures import House
    from api.server import Server, listening_socket
    from ingest.quarantine_reasons import EXPLANATIONS
    from runtime.broker_probe import parse_broker_url
    from runtime.dialects import dialects_at
    from runtime.measuring import METRICS_FOLDER, disks
    from storage.database import open_pool

    broker = parse_broker_url(settings.broker_url) if settings.broker_url else None
    house = House(
        settings.data_dir / METRICS_FOLDER,
        lambda: disks(settings.data_dir),
        None if broker is None else (broker.host, broker.port),
    )
    reasons = {reason.value: explanation for reason, explanation in EXPLANATIONS.items()}
    with (
        listening_socket(settings.api_host, settings.api_port) as listener,
        open_pool(str(settings.database_url), size=API_CONNECTIONS) as pool,
    ):
        app = create_app(
            pool, clock, dialects=dialects_at(settings), house=house, public_url=settings.public_url, reasons=reasons
        )
        server = Server(
            app,
            uvicorn.Config(
                app, log_config=None, access_log=False, timeout_graceful_shutdown=API_GRACE_S, backlog=API_BACKLOG
            ),
        )
        structlog.get_logger().info("listens", host=settings.api_host, port=listener.getsockname()[1])
        # uvicorn takes the signals itself while it runs, and hands them on to ours when it has stopped.
        server.run(sockets=[listener])
    if not stop.is_set():
        raise RuntimeError("the web server ended by itself; the lines above say why")


PROCESSES: dict[str, Run] = {
    "ingest": _run_ingest,
    "desk": _run_desk,
    "relay": _run_relay,
    "jobs": _run_jobs,
    "api": _run_api,
}

# Hearts that beat in the database after each round of work, and the process that each is in; ingesters beat in their
# own way, the API is asked. The auditor is a loop of the jobs process.
BEATING = {"desk": "desk", "relay": "relay", "jobs": "jobs", "auditor": "jobs"}


def main(arguments: Sequence[str]) -> int:
    """Run the named process until SIGTERM or SIGINT; return its exit code."""
    if len(arguments) != 1 or arguments[0] not in PROCESSES:
        sys.stderr.write(f"usage: python -m runtime <{'|'.join(PROCESSES)}>\n")
        return 2
    name = arguments[0]
    try:
        settings = with_running_services(Settings.load())
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    configure_logs(settings, name)
    stop = threading.Event()

    def ask_to_stop(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    log = structlog.get_logger()
    log.info("started")
    try:
        PROCESSES[name](settings, SystemClock(), stop)
    except Exception:  # the top of the process: logged, and the supervisor starts it again
        log.exception("ended by an error it could not handle")
        return 1
    log.info("stopped")
    return 0
