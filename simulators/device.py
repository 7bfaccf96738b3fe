"""A telemetry device: one MQTT session with last will, sequence numbers, QoS 1 and a bound on what is in flight.

paho's network thread runs the callbacks; nothing may raise in them, for an exception there ends the thread while
the client still calls itself connected. So the callbacks only count and put things aside.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from simulators.faults import Sample
from simulators.register import Login
from simulators.waveform import Waveform

IN_FLIGHT_LIMIT = 500
TICKET_NOTICE_LIMIT = 1000
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where the broker is and how to sign in."""

    host: str
    port: int
    is_encrypted: bool
    user: str | None
    password: str | None

    @classmethod
    def parse(cls, broker: str) -> Self:
        """Read ``mqtt://[user:password@]host[:port]``, or mqtts for TLS. Raises ValueError for anything else."""
        parts = urlsplit(broker)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise ValueError(f"a broker is given as mqtt://[user:password@]host[:port], got '{broker}'")
        is_encrypted = parts.scheme == "mqtts"
        user, password = (unquote(text) if text else None for text in (parts.username, parts.password))
        return cls(parts.hostname, parts.port or (8883 if is_encrypted else 1883), is_encrypted, user, password)


class DeviceStopped(Exception):
    """The caller's stop was set while the device waited for the broker."""


class Device:
    """Publishes as ``wearsight/v1/{site}/{name}/...``; use as a context manager.

    ``publish_*`` blocks while IN_FLIGHT_LIMIT messages are unacknowledged, which is how a slow or absent broker
    holds the sender back; it raises DeviceStopped once ``stop`` is set. With ``listen`` the device keeps a
    persistent session and collects the notices of its asset's tickets. It signs in with ``login``, unless the broker's
    address names a user; a credential just issued is refused for a second or two, so it tries again.
    """

    def __init__(
        self,
        broker: str,
        site: str,
        name: str,
        stop: threading.Event,
        *,
        listen: bool = False,
        login: Login | None = None,
    ) -> None:
        self.name = name
        self._topic = f"wearsight/v1/{site}/{name}"
        self._listen = listen
        self._stop = stop
        self._sequence = 0
        self._room = threading.Condition()
        self._in_flight = 0
        self._connected = threading.Event()
        self._notices: queue.Queue[bytes] = queue.Queue(TICKET_NOTICE_LIMIT)
        self._address = BrokerAddress.parse(broker)
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=f"simulator-{site}-{name}", clean_session=not listen
        )
        if self._address.user:
            self._client.username_pw_set(self._address.user, self._address.password)
        elif login is not None:
            self._client.username_pw_set(login.username, login.secret)
        if self._address.is_encrypted:
            self._client.tls_set()
        self._client.will_set(f"{self._topic}/state", "offline", qos=1, retain=True)
        self._client.reconnect_delay_set(min_delay=1, max_delay=10)
        self._client.max_inflight_messages_set(100)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.on_message = self._on_message

    def __enter__(self) -> Device:
        self._client.connect_async(self._address.host, self._address.port, keepalive=30)
        self._client.loop_start()
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._connected.is_set():
            with self._room:
                self._in_flight += 1
            self._client.publish(f"{self._topic}/state", "offline", qos=1, retain=True).wait_for_publish(2.0)
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def is_connected(self) -> bool:
        """Whether the broker has accepted the session."""
        return self._connected.is_set()

    @property
    def last_sequence(self) -> int:
        """The newest sequence number given out; 0 before the first."""
        return self._sequence

    def resume_after(self, sequence: int) -> None:
        """Go on counting after ``sequence``, the last number that the service has from this device."""
        self._sequence = sequence

    def next_sequence(self) -> int:
        """Count one more message object, of telemetry or of events."""
        self._sequence += 1
        return self._sequence

    def publish_samples(self, samples: Sequence[Sample]) -> None:
        """Send samples as one telemetry message: an object for one, a list for more."""
        encoded = [
            {"ts": _milliseconds(sample.ts), "seq": sample.sequence, "values": dict(sample.values)}
            for sample in samples
        ]
        if encoded:
            self._publish("telemetry", encoded[0] if len(encoded) == 1 else encoded)

    def publish_event(
        self,
        ts: datetime,
        *,
        kind: str,
        code: str,
        severity: str,
        text: str = "",
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        """Send one event; ``ts`` is aware, ``kind`` and ``severity`` are words of the native payload."""
        message: dict[str, object] = {"ts": _milliseconds(ts), "seq": self.next_sequence(), "kind": kind, "code": code}
        message |= {"severity": severity, "text": text, "attrs": dict(attributes or {})}
        self._publish("events", message)

    def publish_waveform(self, ts: datetime, waveform: Waveform) -> None:
        """Send a block whose first sample was taken at ``ts``, as a binary message."""
        self._publish("waveform", waveform.encode(_milliseconds(ts), self.next_sequence()))

    def wait_until_sent(self) -> None:
        """Return when the broker has acknowledged everything published so far."""
        with self._room:
            while self._in_flight > 0:
                self._wait_for_broker()

    def ticket_notices(self) -> list[dict[str, object]]:
        """Return the notices of the asset's tickets that came since the last call; unreadable ones are left out."""
        notices = []
        while not self._notices.empty():
            try:
                notice = json.loads(self._notices.get_nowait())
            except ValueError:
                continue
            if isinstance(notice, dict):
                notices.append(notice)
        return notices

    def _publish(self, suffix: str, message: object) -> None:
        payload = message if isinstance(message, bytes) else json.dumps(message, separators=(",", ":"))
        with self._room:
            while self._in_flight >= IN_FLIGHT_LIMIT:
                self._wait_for_broker()
            self._in_flight += 1
        # Without a connection paho queues the message and sends it once there is one; that is no error here.
        sent = self._client.publish(f"{self._topic}/{suffix}", payload, qos=1)
        if sent.rc not in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_NO_CONN):
            with self._room:
                self._in_flight -= 1
            raise RuntimeError(f"{self.name} could not publish {len(payload)} bytes: {mqtt.error_string(sent.rc)}")

    def _wait_for_broker(self) -> None:
        if self._stop.is_set():
            raise DeviceStopped(f"{self.name} was stopped with {self._in_flight} messages unacknowledged")
        self._room.wait(POLL_S)

    def _on_connect(
        self, client: mqtt.Client, _userdata: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.is_failure:
            return
        with self._room:
            self._in_flight += 1
        client.publish(f"{self._topic}/state", "online", qos=1, retain=True)
        if self._listen:
            client.subscribe(f"{self._topic}/tickets", qos=1)
        self._connected.set()

    def _on_disconnect(self, *_arguments: object) -> None:
        self._connected.clear()

    def _on_publish(self, *_arguments: object) -> None:
        with self._room:
            self._in_flight -= 1
            self._room.notify_all()

    def _on_message(self, _client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        if not self._notices.full():
            self._notices.put_nowait(bytes(message.payload))


def _milliseconds(ts: datetime) -> int:
    return round(ts.timestamp() * 1000)
