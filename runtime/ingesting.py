"""The ingest process: one slice of topics, its MQTT session, its connection to the database."""

from __future__ import annotations

import threading
from pathlib import Path

import structlog
from prometheus_client import REGISTRY, write_to_textfile

from detectors.trial import warm_up
from domain.clock import Clock
from ingest.limits import IngestOptions
from ingest.mqtt_source import MqttSource
from ingest.worker import Worker
from runtime.announcing import announce_ready
from runtime.settings import Settings
from storage.database import connect

METRICS_EVERY_S = 5.0


def run_ingest(settings: Settings, clock: Clock, stop: threading.Event, options: IngestOptions | None = None) -> None:
    """Store what the broker delivers until ``stop`` is set.

    Waits for a database or a broker that is away. Raises FenceLostError when another ingester takes over the slice.
    Writes its metrics every few seconds to ``<data_dir>/metrics/ingest-<partition>.prom``.
    """
    database_url, broker_url = settings.database_url, settings.broker_url
    if database_url is None or broker_url is None:
        missing = "WEARSIGHT_DATABASE_URL" if database_url is None else "WEARSIGHT_BROKER_URL"
        raise ValueError(f"expected {missing} to be set, got nothing; start it by 'wearsight up' or set the variable")
    # Before the broker counts on us: a kernel that compiles at its first batch would stall the queue behind it.
    warm_up()
    source = MqttSource(broker_url, clock, options=options, on_subscribed=announce_ready)
    written = threading.Thread(
        target=_write_metrics,
        args=(settings.data_dir / "metrics" / f"ingest-{source.partition}.prom", stop),
        name="metrics",
        daemon=True,
    )
    written.start()
    try:
        Worker(lambda: connect(database_url), source, clock, stop, options).run()
    finally:
        source.close()


def _write_metrics(path: Path, stop: threading.Event) -> None:
    while not stop.wait(METRICS_EVERY_S):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_to_textfile(str(path), REGISTRY)
        except OSError as error:
            structlog.get_logger().warning("cannot write metrics", path=str(path), error=str(error))
