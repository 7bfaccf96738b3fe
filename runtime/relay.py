"""The relay process: outbox to channels until told to stop."""

from __future__ import annotations

import threading

import structlog

from domain.clock import Clock
from notify.channel import Channel
from notify.channels.inbox import InboxChannel
from notify.channels.mqtt import MqttChannel
from notify.channels.recording import RECORDED, RecordingChannel
from notify.relay import deliver_due
from runtime.measuring import measured
from runtime.settings import Settings
from storage import service_alarms
from storage.database import open_pool

IDLE_S = 0.25
REST_AFTER_ERROR_S = 2.0
BEAT_EVERY_S = 5.0
POOL_SIZE = 3

_log = structlog.get_logger()


def run_relay(settings: Settings, clock: Clock, stop: threading.Event) -> None:
    """Deliver what is due until ``stop`` is set. Another relay may run beside: leases keep them apart."""
    mqtt = MqttChannel(str(settings.broker_url))
    channels: dict[str, Channel] = {"inbox": InboxChannel(), mqtt.name: mqtt}
    channels.update({name: RecordingChannel(name) for name in RECORDED})
    try:
        with open_pool(str(settings.database_url), size=POOL_SIZE) as pool, measured(settings.data_dir, "relay"):
            beat_s = clock.monotonic_s()
            while not stop.is_set():
                try:
                    handled = deliver_due(pool, channels, clock)
                    if clock.monotonic_s() >= beat_s:
                        with pool.connection() as connection:
                            service_alarms.beat(connection, "relay", clock.now())
                        beat_s = clock.monotonic_s() + BEAT_EVERY_S
                except Exception:  # noqa: BLE001 (the loop's top: what was leased comes again)
                    _log.exception("relay round failed")
                    stop.wait(REST_AFTER_ERROR_S)
                    continue
                if handled == 0:
                    stop.wait(IDLE_S)
    finally:
        mqtt.close()
