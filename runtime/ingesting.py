"""The ingest process: one slice of the sites, its MQTT sessions, its connection to the database."""

from __future__ import annotations

import threading
from collections.abc import Callable

import psycopg
import structlog

from detectors import trial
from domain.clock import Clock
from ingest import stencils
from ingest.lanes import LaneSource
from ingest.limits import IngestOptions
from ingest.slices import Slice, client_of, cut, process_of
from ingest.source import Source
from ingest.sparkplug.host_state import Hosts
from ingest.succession import Succession, end_sessions
from ingest.worker import Worker
from runtime.announcing import announce_ready
from runtime.measuring import measured
from runtime.settings import Settings
from storage.broker_sessions import forget_former, former_session, secret_word
from storage.database import connect

_ASK_AGAIN_S = 2.0
_log = structlog.get_logger()


def run_ingest(settings: Settings, clock: Clock, stop: threading.Event, options: IngestOptions | None = None) -> None:
    """Store what the broker delivers for one slice until ``stop`` is set.

    Waits for a database or a broker that is away. Raises FenceLostError when another ingester takes over the slice,
    or devices of it. Its metrics are those of the process ``ingest`` or, for the other slices, ``ingest-<n>``.
    """
    database_url, broker_url = settings.database_url, settings.broker_url
    if database_url is None or broker_url is None:
        missing = "WEARSIGHT_DATABASE_URL" if database_url is None else "WEARSIGHT_BROKER_URL"
        raise ValueError(f"expected {missing} to be set, got nothing; start it by 'wearsight up' or set the variable")
    number, options = settings.ingest_slice, options or IngestOptions()
    slice_ = cut(settings.ingest_slices, number)
    # Before the broker counts on us: a kernel that compiles at its first batch would stall the queue behind it.
    trial.warm_up()
    stencils.warm_up()
    known_as = _ask(database_url, slice_.partition, stop)
    if known_as is None:
        return
    word, former = known_as
    client_id = client_of(number, word)
    source = LaneSource(
        broker_url,
        clock,
        options=options,
        partition=slice_.partition,
        client_id=client_id,
        filters=slice_.native_filters(),
        on_subscribed=announce_ready,
    )
    source.show()
    hosts = Hosts(broker_url, f"{client_id}-host", clock)
    taken: Source = (
        source if former is None else _after(former, source, broker_url, database_url, slice_, clock, options)
    )
    worker = Worker(
        lambda: connect(database_url),
        taken,
        clock,
        stop,
        options,
        slice_=slice_,
        send=source.send,
        mark=source.mark,
        on_feeds=hosts.follow,
    )
    try:
        with measured(settings.data_dir, process_of(number)):
            worker.run()
    finally:
        hosts.close()
        taken.close()


def _ask(database_url: str, partition: str, stop: threading.Event) -> tuple[str, str | None] | None:
    """Return the secret word of our client ids and the id we had before; wait for the database, None when stopped."""
    while True:
        try:
            with connect(database_url) as connection:
                return secret_word(connection), former_session(connection, partition)
        except psycopg.OperationalError as error:
            _log.warning("the database does not answer; without it we do not know our sessions", error=repr(error))
        if stop.wait(_ASK_AGAIN_S):
            return None


def _after(
    former: str,
    source: LaneSource,
    broker_url: str,
    database_url: str,
    slice_: Slice,
    clock: Clock,
    options: IngestOptions,
) -> Succession:
    """Return the source that empties the sessions of the id we had before and then ends them."""
    _log.info("our client ids are new; the former sessions are emptied first")
    emptied = LaneSource(broker_url, clock, options=options, partition=slice_.partition, client_id=former, filters=())
    return Succession(
        source, emptied, slice_, clock, linger_s=options.linger_s, end=_ender(former, broker_url, database_url, slice_)
    )


def _ender(former: str, broker_url: str, database_url: str, slice_: Slice) -> Callable[[], None]:
    def end() -> None:
        try:
            end_sessions(broker_url, former)
            with connect(database_url) as connection:
                forget_former(connection, slice_.partition, former)
        except (OSError, psycopg.Error) as error:
            _log.warning("the former sessions could not be ended; the next start tries again", error=repr(error))
        else:
            _log.info("the former sessions are empty and ended")

    return end
