"""MQTT as a source: persistent session, acknowledgement after the commit, a bounded queue that blocks (ADR 3, 25).

Acknowledgements carry the number of the connection their message came by: packet ids are used again on the next
connection, and a stale acknowledgement there would discard a message that nobody stored.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from threading import Event, Lock
from urllib.parse import unquote, urlsplit

import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from domain.clock import Clock
from ingest import metrics
from ingest.buffered_client import BufferedClient, Publish
from ingest.limits import IngestOptions
from ingest.mailbox import Mailbox
from ingest.source import Batch, Message
from ingest.topics import SUBSCRIPTIONS

KEEPALIVE_S = 60
QOS = 1
_RECONNECT_MIN_S, _RECONNECT_MAX_S = 1, 16
_PACKET_IDS = 65_536
_log = structlog.get_logger()


class MqttSource:
    """One client with a session of its own. ``partition`` names the slice of topics and, by it, the session.

    ``on_subscribed`` is called whenever the broker has granted the subscriptions: from then on nothing is missed.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        options: IngestOptions | None = None,
        partition: str = "mqtt-0",
        client_id: str = "wearsight-ingest-0",
        subscriptions: Sequence[str] = SUBSCRIPTIONS,
        on_subscribed: Callable[[], None] = lambda: None,
    ) -> None:
        self.partition = partition
        self._options = options or IngestOptions()
        self._clock = clock
        self._on_subscribed = on_subscribed
        self._subscriptions = [(topic, QOS) for topic in subscriptions]
        self._mailbox = Mailbox(self._options.queue_messages, self._options.queue_bytes)
        self._lock = Lock()
        self._connection = 0
        self._connected_s: float | None = None
        self._settle_mark: int | None = None
        # Packet ids received on this connection and not yet acknowledged: a repeat of one of them is queued already.
        self._pending = bytearray(_PACKET_IDS)
        self._stop = Event()
        self._client = self._make_client(url, client_id)
        self._client.loop_start()

    def poll(self, max_messages: int, timeout_s: float) -> Batch:
        """Return the oldest messages, waiting at most ``timeout_s`` for the first."""
        # Does nothing while the network thread runs, and brings it back should it ever have died.
        self._client.loop_start()
        settled = self._has_settled()
        messages = self._mailbox.take(max_messages, self._options.batch_bytes, timeout_s)
        metrics.QUEUED.set(len(self._mailbox))
        caught_up = self._connected_s is not None and not self._mailbox
        return Batch(self.partition, messages, settled, caught_up)

    def commit(self, batch: Batch) -> None:
        """Acknowledge the messages of a stored batch that came by the connection that is still up."""
        with self._lock:
            packet_ids = [
                message.packet_id
                for message in batch.messages
                if message.packet_id and message.connection == self._connection
            ]
            if packet_ids and self._connected_s is not None:
                for packet_id in packet_ids:
                    self._pending[packet_id] = 0
                self._client.acknowledge(packet_ids)

    def close(self) -> None:
        """Disconnect; the session and what was not acknowledged stay with the broker."""
        self._stop.set()
        self._mailbox.close()
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def queued(self) -> int:
        """How many messages wait."""
        return len(self._mailbox)

    @property
    def is_connected(self) -> bool:
        """Say whether the broker has accepted us."""
        return self._connected_s is not None

    def _make_client(self, url: str, client_id: str) -> BufferedClient:
        parts = urlsplit(url)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise ValueError(f"expected mqtt://[user:password@]host[:port] or mqtts://, got scheme {parts.scheme!r}")
        client = BufferedClient(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=False,
            protocol=MQTTv311,
            manual_ack=True,
        )
        client.suppress_exceptions = True  # an exception in a callback would end the network thread for ever
        client.reconnect_delay_set(_RECONNECT_MIN_S, _RECONNECT_MAX_S)
        if parts.username:
            client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
        if parts.scheme == "mqtts":
            client.tls_set()
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_connect_fail = self._on_connect_fail
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_burst = self._on_burst
        client.connect_async(parts.hostname, parts.port or (8883 if parts.scheme == "mqtts" else 1883), KEEPALIVE_S)
        return client

    def _has_settled(self) -> bool:
        with self._lock:
            if self._connected_s is None:
                return False
            waited_s = self._clock.monotonic_s() - self._connected_s
            if self._settle_mark is None and waited_s >= self._options.settle_s:
                # What had come by now may still be out of order; settled is what follows it.
                self._settle_mark = self._mailbox.put_total
            return self._settle_mark is not None and self._mailbox.taken_total >= self._settle_mark

    def _lose_connection(self) -> None:
        with self._lock:
            self._connection += 1
            self._connected_s = None
            self._settle_mark = None
            self._pending = bytearray(_PACKET_IDS)

    # Callbacks run in paho's network thread; none of them may raise.

    def _on_connect(
        self, client: Client, _userdata: object, flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            _log.error("the broker refuses us", reason=str(reason))
            return
        with self._lock:
            self._connected_s = self._clock.monotonic_s()
        client.subscribe(list(self._subscriptions))
        metrics.CONNECTS.inc()
        _log.info("connected to the broker", session_kept=flags.session_present)

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: object,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._lose_connection()
        if not self._stop.is_set():
            _log.warning("lost the broker", reason=str(reason))
            self._wait_a_little()

    def _on_connect_fail(self, _client: Client, _userdata: object) -> None:
        _log.warning("cannot reach the broker")
        self._wait_a_little()

    def _wait_a_little(self) -> None:
        # paho doubles its delay by itself; the jitter keeps a plant's clients from coming back all at once.
        self._stop.wait(random.uniform(0.0, 1.0))

    def _on_subscribe(
        self,
        _client: Client,
        _userdata: object,
        _packet_id: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            _log.error("the broker refuses a subscription; check its access rules", topics=self._subscriptions)
            return
        self._on_subscribed()

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        try:
            topic = message.topic.encode()
        except UnicodeDecodeError:
            topic = b"(not UTF-8)"
        self._on_burst([Publish(topic, bytes(message.payload), message.mid, message.dup)])

    def _on_burst(self, burst: Sequence[Publish]) -> None:
        connection, pending = self._connection, self._pending
        messages = []
        for topic, payload, packet_id, is_repeat in burst:
            if packet_id:
                if is_repeat and pending[packet_id]:
                    continue
                pending[packet_id] = 1
            messages.append(Message(str(topic, "utf-8", "replace"), payload, connection, packet_id))
        self._mailbox.put(messages)
