"""The ingest process: one slice of the sites, its MQTT sessions, its connection to the database."""

from __future__ import annotations

import threading

from detectors.trial import warm_up
from domain.clock import Clock
from ingest.lanes import LaneSource
from ingest.limits import IngestOptions
from ingest.slices import client_of, cut, process_of
from ingest.sparkplug.host_state import Hosts
from ingest.worker import Worker
from runtime.announcing import announce_ready
from runtime.measuring import measured
from runtime.settings import Settings
from storage.database import connect


def run_ingest(settings: Settings, clock: Clock, stop: threading.Event, options: IngestOptions | None = None) -> None:
    """Store what the broker delivers for one slice until ``stop`` is set.

    Waits for a database or a broker that is away. Raises FenceLostError when another ingester takes over the slice,
    or devices of it. Its metrics are those of the process ``ingest`` or, for the other slices, ``ingest-<n>``.
    """
    database_url, broker_url = settings.database_url, settings.broker_url
    if database_url is None or broker_url is None:
        missing = "WEARSIGHT_DATABASE_URL" if database_url is None else "WEARSIGHT_BROKER_URL"
        raise ValueError(f"expected {missing} to be set, got nothing; start it by 'wearsight up' or set the variable")
    number = settings.ingest_slice
    slice_ = cut(settings.ingest_slices, number)
    # Before the broker counts on us: a kernel that compiles at its first batch would stall the queue behind it.
    warm_up()
    source = LaneSource(
        broker_url,
        clock,
        options=options,
        partition=slice_.partition,
        client_id=client_of(number),
        filters=slice_.native_filters(),
        on_subscribed=announce_ready,
    )
    source.show()
    hosts = Hosts(broker_url, f"{client_of(number)}-host", clock)
    worker = Worker(
        lambda: connect(database_url),
        source,
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
        source.close()
