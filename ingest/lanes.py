"""Two lanes of one slice: alarms do not queue behind telemetry.

Events and states come by a session of their own, so that neither the broker's queue nor ours puts a backlog of
readings before them. A batch takes all that waits on the alarms' lane first, then telemetry. Within a lane the order
stays; across the lanes an alarm may overtake readings that were sent before it, and is marked ``is_early``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from threading import Condition

from domain.clock import Clock
from ingest import metrics
from ingest.decoders.telling import Outgoing
from ingest.limits import IngestOptions
from ingest.mailbox import wait_for_any
from ingest.mqtt_source import MqttSource
from ingest.slices import is_early
from ingest.source import Batch, Message

# Mosquitto counts here what it dropped because a queue was full; other brokers have no such topic.
DROPPED_TOPIC = "$SYS/broker/publish/messages/dropped"


class LaneSource:
    """Both lanes as one source. ``on_subscribed`` is called when both have been granted what was asked last.

    The session of the alarms' lane is called after the other (`alarms_of`).
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        options: IngestOptions | None = None,
        partition: str,
        client_id: str,
        filters: Collection[str],
        on_subscribed: Callable[[], None] = lambda: None,
    ) -> None:
        self.partition = partition
        self._options = options = options or IngestOptions()
        self._clock = clock
        self._on_subscribed = on_subscribed
        self._changed = Condition()
        self._told: tuple[frozenset[str], frozenset[str], bool] | None = None
        self._was_idle = False
        # When the oldest message of the batch that is being stored came.
        self._storing_since_s: float | None = None
        self._dropped = 0
        own = replace(options, queue_messages=options.alarm_queue_messages, queue_bytes=options.alarm_queue_bytes)
        self._alarms = MqttSource(
            url,
            clock,
            options=own,
            partition=partition,
            client_id=alarms_of(client_id),
            subscriptions={one for one in filters if is_early(one)},
            on_subscribed=self._tell,
            is_early=True,
            watch=DROPPED_TOPIC,
            on_watched=self._note_dropped,
            changed=self._changed,
        )
        self._telemetry = MqttSource(
            url,
            clock,
            options=options,
            partition=partition,
            client_id=client_id,
            subscriptions={one for one in filters if not is_early(one)},
            on_subscribed=self._tell,
            changed=self._changed,
        )
        self._lanes = {"alarms": self._alarms, "telemetry": self._telemetry}

    def start_at(self, position: int | None) -> None:
        """Do nothing: the broker's sessions know what was acknowledged."""

    def listen_to(self, filters: Collection[str], stale: Collection[str] = ()) -> None:
        """Deal the filters out to the lanes; each gives up those that are not its own."""
        told = (frozenset(filters), frozenset(stale), self._was_idle)
        if self._told == told:
            return
        early = {one for one in filters if is_early(one)}
        self._alarms.listen_to(early, stale)
        # Earlier versions had everything in one session, and some brokers discard what is queued for a subscription
        # that is given up: not before nothing waits.
        self._telemetry.listen_to(set(filters) - early, early.union(stale) if self._was_idle else stale)
        self._told = told
        self._tell()

    def poll(self, max_messages: int, timeout_s: float) -> Batch:
        """Return all alarms that wait, then telemetry; wait at most ``timeout_s`` for the first of either."""
        settled = [lane.look_after() for lane in self._lanes.values()]
        alarms, telemetry = self._alarms.mailbox, self._telemetry.mailbox
        if timeout_s > 0:
            wait_for_any((alarms, telemetry), self._changed, timeout_s)
        self._storing_since_s = self._oldest_s()
        messages = alarms.take(max_messages, self._options.batch_bytes, 0.0)
        room = self._options.batch_bytes - sum(len(message.payload) for message in messages)
        if len(messages) < max_messages and room > 0:
            messages += telemetry.take(max_messages - len(messages), room, 0.0)
        caught_up = self.is_connected and not alarms and not telemetry
        self._was_idle |= all(settled) and caught_up and not messages and self._alarms.is_listening
        return Batch(self.partition, messages, all(settled), caught_up)

    def commit(self, batch: Batch) -> None:
        """Acknowledge each message on the client that it came by."""
        early: list[Message] = [message for message in batch.messages if message.is_early]
        if early:
            self._alarms.commit(replace(batch, messages=early))
            batch = replace(batch, messages=[message for message in batch.messages if not message.is_early])
        self._telemetry.commit(batch)
        self._storing_since_s = None

    def send(self, messages: Sequence[Outgoing]) -> None:
        """Publish these on the alarms' client, which has the least to do."""
        self._alarms.send(messages)

    def mark(self, messages: Sequence[Outgoing]) -> None:
        """Publish these so that they come back to us behind what was sent before."""
        self._alarms.mark(messages)

    def close(self) -> None:
        """Disconnect both; sessions and what was not acknowledged stay with the broker."""
        for lane in self._lanes.values():
            lane.close()

    def show(self) -> None:
        """Have the process's metrics tell, whenever they are read, what waits in this source."""
        for name, lane in self._lanes.items():
            box = lane.mailbox
            metrics.QUEUED.labels(name).set_function(box.__len__)
            metrics.QUEUED_BYTES.labels(name).set_function(partial(getattr, box, "bytes"))
        metrics.LAG.set_function(self.lag_s)

    def lag_s(self) -> float:
        """Return for how long the oldest message waits that was received and is not stored yet, 0 when none does."""
        since_s = self._storing_since_s
        oldest_s = self._oldest_s() if since_s is None else since_s
        return 0.0 if oldest_s is None else self._clock.monotonic_s() - oldest_s

    @property
    def queued(self) -> int:
        """How many messages wait, on both lanes."""
        return sum(lane.queued for lane in self._lanes.values())

    @property
    def put_total(self) -> int:
        """How many messages were received since the start."""
        return sum(lane.mailbox.put_total for lane in self._lanes.values())

    @property
    def is_connected(self) -> bool:
        """Say whether the broker has accepted both."""
        return all(lane.is_connected for lane in self._lanes.values())

    @property
    def was_known(self) -> bool | None:
        """Say whether the broker had a session of either when we first came, None before we have been to both."""
        known = [lane.was_known for lane in self._lanes.values()]
        return None if None in known else any(known)

    @property
    def is_listening(self) -> bool:
        """Say whether the broker has granted every subscription of both."""
        return all(lane.is_listening for lane in self._lanes.values())

    def _tell(self) -> None:
        # Feeds are known only once the database was asked: before that not everything is listened to.
        if self._told is not None and self.is_listening:
            self._on_subscribed()

    def _note_dropped(self, payload: bytes) -> None:
        if not payload.isdigit():
            return
        # The broker counts since its own start: a smaller number is that of a broker that was started again.
        dropped = int(payload[:18])
        metrics.BROKER_DROPPED.inc(dropped - self._dropped if dropped >= self._dropped else dropped)
        self._dropped = dropped

    def _oldest_s(self) -> float | None:
        times_s = [lane.mailbox.oldest_s for lane in self._lanes.values()]
        return min((one for one in times_s if one is not None), default=None)


def alarms_of(client_id: str) -> str:
    """Return the id of the alarms' lane beside this one."""
    return f"{client_id}-alarms"
