"""When our client ids change: the former sessions are emptied first, then ended, and the new ones go on (ADR 30).

The new sessions listen from the start, so that nothing falls between. Until the former hold nothing that the new ones
lack, messages are taken from the former alone, in their order; what comes by both afterwards is stored once.

Empty is a session that delivers what was sent after the new ones listened. So we send *marks* ourselves then, one on
each kind of topic; when all have come back by the former, everything sent before has. A broker may queue by
subscription (NATS does), and a feed's topics are not ours to send on: the former is read for a while longer.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from dataclasses import replace
from threading import Event
from urllib.parse import unquote, urlsplit

import msgspec
import structlog
from paho.mqtt.client import Client, ConnectFlags, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from domain.clock import Clock
from ingest.decoders.telling import Outgoing
from ingest.lanes import LaneSource, alarms_of
from ingest.slices import Slice
from ingest.source import Batch
from ingest.topics import TopicKind

# Stands where a native topic has the device, whose name can hold no "!"; other slices pass such messages over.
_MARK = "/!mark-"
_POLL_S = 0.05
# Marks that cannot come, because the former session had other topics, are given up after so long with nothing waiting.
_QUIET_S = 60.0
_ANSWER_WITHIN_S = 20.0
_log = structlog.get_logger()


class Succession:
    """The new sessions as a source, and the former before them. ``end`` is called once the former can be ended.

    Used from one thread; ``end`` must not raise.
    """

    def __init__(
        self,
        source: LaneSource,
        former: LaneSource,
        slice_: Slice,
        clock: Clock,
        *,
        linger_s: float,
        end: Callable[[], None],
    ) -> None:
        self.partition = source.partition
        self._source = source
        self._former: LaneSource | None = former
        self._clock = clock
        self._linger_s = linger_s
        self._end = end
        sites = ("-",) if slice_.hears_rest else tuple(slice_.sites)
        word = secrets.token_hex(8)
        self._marks = {f"wearsight/v1/{site}{_MARK}{word}/{kind}" for site in sites for kind in TopicKind}
        self._waited_for = set(self._marks)
        self._knows_feeds = self._has_marked = False
        self._behind_s = clock.monotonic_s()
        self._empty_s: float | None = None
        # What comes by the new sessions may have come by the former, until they have caught up.
        self._repeats = True
        self._polled: Batch | None = None

    def start_at(self, position: int | None) -> None:
        """Do nothing: the broker's sessions know what was acknowledged."""

    def listen_to(self, filters: Collection[str], stale: Collection[str] = ()) -> None:
        """Have the new sessions listen to this; the former keep what they have."""
        self._source.listen_to(filters, stale)
        self._knows_feeds = True

    def poll(self, max_messages: int, timeout_s: float) -> Batch:
        """Return what the former hold, and when that is all, what the new ones do."""
        former = self._former
        if former is not None and self._is_over():
            former.close()
            self._end()
            former = self._former = None
        if former is None:
            batch = self._source.poll(max_messages, timeout_s)
        else:
            batch = former.poll(max_messages, min(timeout_s, _POLL_S))
            self._look(former, batch)
        self._polled = batch
        messages = [message for message in batch.messages if _MARK not in message.topic]
        if batch.messages and not messages:
            self.commit(batch)  # nobody else would: there is nothing to store
        if former is None and self._repeats:
            # Of a message without a time this makes the second copy find the receipt of the first.
            messages = [msgspec.structs.replace(message, is_repeat=True) for message in messages]
            self._repeats = not batch.caught_up
        return replace(batch, messages=messages)

    def commit(self, batch: Batch) -> None:
        """Acknowledge the batch, and the marks that came with it, where it came from."""
        source = self._source if self._former is None else self._former
        source.commit(batch if self._polled is None else self._polled)

    def close(self) -> None:
        """Disconnect the former, if they are still there, and the new."""
        if self._former is not None:
            self._former.close()
        self._source.close()

    @property
    def queued(self) -> int:
        """How many messages wait, in the former and the new."""
        return self._source.queued + (0 if self._former is None else self._former.queued)

    def _look(self, former: LaneSource, batch: Batch) -> None:
        """Send marks when the time has come, see which have come back, and note since when nothing is missing."""
        now_s = self._clock.monotonic_s()
        for message in batch.messages:
            self._waited_for.discard(message.topic)
        if not (batch.settled and batch.caught_up):
            self._behind_s = now_s
        if self._empty_s is not None or not (self._knows_feeds and self._source.is_listening):
            return
        if former.was_known is False:
            self._empty_s = now_s - self._linger_s
        elif not batch.settled:
            return
        elif not self._has_marked:
            self._has_marked, self._behind_s = True, now_s
            self._source.mark([Outgoing(topic, b"") for topic in sorted(self._marks)])
        elif not self._waited_for or now_s - self._behind_s >= _QUIET_S:
            self._empty_s = now_s

    def _is_over(self) -> bool:
        """Say whether the former, whose last batch is acknowledged, can go."""
        if self._empty_s is None or self._clock.monotonic_s() - self._empty_s < self._linger_s:
            return False
        former, polled = self._former, self._polled
        if former is not None and former.was_known is False:
            return True
        return polled is not None and polled.settled and polled.caught_up


def end_sessions(url: str, client_id: str) -> None:
    """End both sessions of this id at the broker, with all that they hold. Raises OSError when it cannot be done."""
    for one in (client_id, alarms_of(client_id)):
        _end_session(url, one)


def _end_session(url: str, client_id: str) -> None:
    parts = urlsplit(url)
    answered = Event()
    refused: list[str] = []
    # A broker forgets a session when its client comes with a clean one.
    client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=True, protocol=MQTTv311)
    client.suppress_exceptions = True
    if parts.username:
        client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
    if parts.scheme == "mqtts":
        client.tls_set()

    def on_connect(_c: Client, _u: object, _f: ConnectFlags, reason: ReasonCode, _p: Properties | None) -> None:
        if reason.is_failure:
            refused.append(str(reason))
        answered.set()

    client.on_connect = on_connect
    client.connect(parts.hostname or "", parts.port or (8883 if parts.scheme == "mqtts" else 1883))
    client.loop_start()
    try:
        if not answered.wait(_ANSWER_WITHIN_S) or refused:
            raise OSError(f"the broker does not end the session: {refused or 'no answer'}")
    finally:
        client.disconnect()
        client.loop_stop()
