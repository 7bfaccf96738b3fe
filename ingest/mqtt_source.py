"""MQTT as a source: persistent session, acknowledgement after the commit, a bounded queue that blocks (ADR 3, 25).

Acknowledgements carry the number of the connection their message came by: packet ids are used again on the next
connection, and a stale acknowledgement there would discard a message that nobody stored.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from threading import Condition, Event, Lock
from urllib.parse import unquote, urlsplit

import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from domain.clock import Clock
from ingest import metrics
from ingest.backoff import backoff_s
from ingest.buffered_client import BufferedClient, Publish
from ingest.decoders.telling import Outgoing
from ingest.limits import IngestOptions
from ingest.mailbox import Mailbox
from ingest.source import Batch, Message
from ingest.topics import SUBSCRIPTIONS

KEEPALIVE_S = 60
QOS = 1
# paho waits this long before each try; what grows, and is random, is our own wait before it.
_RECONNECT_S = 1
_BACKOFF_FIRST_S, _BACKOFF_MOST_S = 0.5, 30.0
_PACKET_IDS = 65_536
_log = structlog.get_logger()


class MqttSource:
    """One client with a session of its own. ``partition`` names the slice of topics and, by it, the session.

    ``on_subscribed`` is called whenever the broker has granted all subscriptions: from then on nothing is missed.
    ``is_early`` marks its messages as those of the alarms' lane. ``watch`` is one more topic, whose messages go to
    ``on_watched`` instead of the queue. Sources that share ``changed`` can be waited for together.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        options: IngestOptions | None = None,
        partition: str = "mqtt-0",
        client_id: str,
        subscriptions: Collection[str] = SUBSCRIPTIONS,
        on_subscribed: Callable[[], None] = lambda: None,
        is_early: bool = False,
        watch: str | None = None,
        on_watched: Callable[[bytes], None] = lambda _: None,
        changed: Condition | None = None,
    ) -> None:
        self.partition = partition
        self._options = options or IngestOptions()
        self._clock = clock
        self._on_subscribed = on_subscribed
        self._is_early = is_early
        self._watch, self._on_watched = watch, on_watched
        self._filters = frozenset(subscriptions)
        # Given up: said again at every connect, for the broker remembers subscriptions with the session.
        self._stale: frozenset[str] = frozenset()
        self._asked: set[int] = set()  # packet ids of subscriptions that were not granted yet
        self.mailbox = Mailbox(
            self._options.queue_messages, self._options.queue_bytes, changed=changed, now_s=clock.monotonic_s
        )
        self._lock = Lock()
        self._connection = 0
        self._failures = 0
        self._connected_s: float | None = None
        self._settle_mark: int | None = None
        self._was_known: bool | None = None
        # Packet ids received on this connection and not yet acknowledged: a repeat of one of them is queued already.
        self._pending = bytearray(_PACKET_IDS)
        self._stop = Event()
        self._client = self._make_client(url, client_id)
        self._client.loop_start()

    def start_at(self, position: int | None) -> None:
        """Do nothing: the broker's session knows what was acknowledged."""

    def listen_to(self, filters: Collection[str], stale: Collection[str] = ()) -> None:
        """Subscribe to the filters that are new and unsubscribe those that are gone, now and at every connect."""
        wanted = frozenset(filters)
        with self._lock:
            added, gone = wanted - self._filters, (self._filters | frozenset(stale)) - wanted - self._stale
            self._filters, self._stale = wanted, (self._stale | gone) - wanted
            if self._connected_s is not None:
                self._unsubscribe(gone)
                self._subscribe(added)

    def poll(self, max_messages: int, timeout_s: float) -> Batch:
        """Return the oldest messages, waiting at most ``timeout_s`` for the first."""
        settled = self.look_after()
        messages = self.mailbox.take(max_messages, self._options.batch_bytes, timeout_s)
        return Batch(self.partition, messages, settled, self.is_connected and not self.mailbox)

    def look_after(self) -> bool:
        """Bring the network thread back should it ever have died; return whether messages now come in order."""
        # Does nothing while the network thread runs.
        self._client.loop_start()
        return self._has_settled()

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

    def send(self, messages: Sequence[Outgoing]) -> None:
        """Publish these, at QoS 0: whoever asks again when there is no answer needs no second queue."""
        for message in messages:
            self._client.publish(message.topic, message.payload)

    def mark(self, messages: Sequence[Outgoing]) -> None:
        """Publish these at QoS 1, so that they queue behind what was sent before."""
        for message in messages:
            self._client.publish(message.topic, message.payload, QOS)

    def close(self) -> None:
        """Disconnect; the session and what was not acknowledged stay with the broker."""
        self._stop.set()
        self.mailbox.close()
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def queued(self) -> int:
        """How many messages wait."""
        return len(self.mailbox)

    @property
    def is_connected(self) -> bool:
        """Say whether the broker has accepted us."""
        return self._connected_s is not None

    @property
    def was_known(self) -> bool | None:
        """Say whether the broker had a session of this id when we first came, None before we did."""
        return self._was_known

    @property
    def is_listening(self) -> bool:
        """Say whether the broker has granted every subscription."""
        with self._lock:
            return self._connected_s is not None and not self._asked

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
        client.reconnect_delay_set(_RECONNECT_S, _RECONNECT_S)
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
                self._settle_mark = self.mailbox.put_total
            return self._settle_mark is not None and self.mailbox.taken_total >= self._settle_mark

    def _lose_connection(self) -> None:
        with self._lock:
            self._connection += 1
            self._connected_s = None
            self._settle_mark = None
            self._asked.clear()
            self._pending = bytearray(_PACKET_IDS)

    def _subscribe(self, filters: Collection[str]) -> None:
        # The lock is held, so that the answer cannot come before its number is known.
        if filters:
            _, number = self._client.subscribe([(topic, QOS) for topic in sorted(filters)])
            if number is not None:
                self._asked.add(number)

    def _unsubscribe(self, filters: Collection[str]) -> None:
        if filters:
            self._client.unsubscribe(sorted(filters))

    # Callbacks run in paho's network thread; none of them may raise.

    def _on_connect(
        self,
        _client: Client,
        _userdata: object,
        flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            _log.error("the broker refuses us", reason=str(reason))
            return
        self._failures = 0
        with self._lock:
            if self._was_known is None:
                self._was_known = flags.session_present
            self._connected_s = self._clock.monotonic_s()
            self._unsubscribe(self._stale)
            self._subscribe(self._filters)
            has_asked = bool(self._asked)
        if self._watch is not None:
            # Not waited for: a broker may not have it, or not show it to us.
            self._client.subscribe(self._watch, 0)
        if not has_asked:
            self._on_subscribed()
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
        _log.warning("cannot reach the broker", failures=self._failures)
        self._wait_a_little()

    def _wait_a_little(self) -> None:
        self._stop.wait(backoff_s(self._failures, _BACKOFF_FIRST_S, _BACKOFF_MOST_S))
        self._failures += 1

    def _on_subscribe(
        self,
        _client: Client,
        _userdata: object,
        packet_id: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        with self._lock:
            if packet_id not in self._asked:
                return
            if not any(reason.is_failure for reason in reasons):
                self._asked.discard(packet_id)
            is_granted = not self._asked
        if is_granted:
            self._on_subscribed()
        elif any(reason.is_failure for reason in reasons):
            _log.error("the broker refuses a subscription; check its access rules", topics=sorted(self._filters))

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        try:
            topic = message.topic.encode()
        except UnicodeDecodeError:
            topic = b"(not UTF-8)"
        self._on_burst([Publish(topic, bytes(message.payload), message.mid, message.dup, message.retain)])

    def _on_burst(self, burst: Sequence[Publish]) -> None:
        if self._watch is not None:
            burst = self._without_watched(burst, self._watch.encode())
        connection, pending, is_early = self._connection, self._pending, self._is_early
        messages = []
        for topic, payload, packet_id, is_repeat, is_retained in burst:
            if packet_id:
                if is_repeat and pending[packet_id]:
                    continue
                pending[packet_id] = 1
            messages.append(
                Message(
                    str(topic, "utf-8", "replace"),
                    payload,
                    connection,
                    packet_id,
                    None,
                    None,
                    is_early,
                    is_repeat,
                    is_retained,
                )
            )
        self.mailbox.put(messages)

    def _without_watched(self, burst: Sequence[Publish], watch: bytes) -> Sequence[Publish]:
        for publish in burst:
            if publish.topic == watch:
                self._on_watched(publish.payload)
        return [publish for publish in burst if publish.topic != watch]
