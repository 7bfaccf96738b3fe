"""What brokers do behind one's back, as far as it can be seen from outside: they publish counters under ``$SYS``.

Measured: Mosquitto's default queue of 1,000 messages per client dropped 85 % behind a slow database with nobody
dying and every publisher acknowledged.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from runtime.broker_probe import parse_broker_url

_VERSION = "$SYS/broker/version"
_DROPPED = "$SYS/broker/publish/messages/dropped"
# Brokers publish $SYS retained, so what there is comes at once.
_LISTEN_S = 1.5


@dataclass(frozen=True, slots=True)
class Trap:
    """Something to know about the broker, and what to do about it."""

    sentence: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Traps:
    """What the broker says it is (empty when it does not), and the traps seen and possible."""

    version: str
    seen: tuple[Trap, ...]
    unseen: tuple[Trap, ...]


def broker_traps(url: str) -> Traps:
    """Listen to what the broker publishes about itself for a moment and judge it."""
    return judge(_listen(url))


def judge(counters: dict[str, str]) -> Traps:
    """Say what the ``$SYS`` topics mean."""
    version = counters.get(_VERSION, "")
    if "mosquitto" not in version.lower():
        return Traps(version, (), (_WHAT_CANNOT_BE_SEEN,))
    seen = []
    dropped = counters.get(_DROPPED, "0")
    if dropped.isdigit() and int(dropped) > 0:
        seen.append(
            Trap(
                f"The broker has dropped {int(dropped):,} messages since it started.",
                "Raise max_queued_messages (1000000) and max_inflight_messages (1000); find out what was slow. "
                "Which devices lost something is in the list of sequence gaps.",
            )
        )
    return Traps(version, tuple(seen), (_MOSQUITTO_DEFAULTS,))


_MOSQUITTO_DEFAULTS = Trap(
    "Mosquitto keeps 1,000 messages for a client by default and saves every 30 minutes; its settings cannot be "
    "read from outside.",
    "Make sure of: persistence true, autosave_on_changes true, autosave_interval 1000, "
    "max_queued_messages 1000000, max_inflight_messages 1000.",
)
_WHAT_CANNOT_BE_SEEN = Trap(
    "The broker does not tell what it drops, so a queue that is too short cannot be seen from here.",
    "Sequence gaps per device tell of losses; docs/operations.md names the durable settings.",
)


def _listen(url: str) -> dict[str, str]:
    address = parse_broker_url(url)
    counters: dict[str, str] = {}
    subscribed = threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"wearsight-doctor-{secrets.token_hex(6)}")
    if address.user is not None:
        client.username_pw_set(address.user, address.password)
    if address.tls:
        client.tls_set()

    def on_connect(
        connected: mqtt.Client, _userdata: object, _flags: object, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if not reason.is_failure:
            connected.subscribe([(_VERSION, 0), (_DROPPED, 0)])

    def on_message(_client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        counters[message.topic] = message.payload.decode(errors="replace")
        if len(counters) == 2:
            subscribed.set()

    client.on_connect = on_connect
    client.on_message = on_message
    client.connect(address.host, address.port, keepalive=10)
    client.loop_start()
    try:
        subscribed.wait(_LISTEN_S)
    finally:
        client.disconnect()
        client.loop_stop()
    return counters
