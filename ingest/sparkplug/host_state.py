"""The host's own word: spBv1.0/STATE/{host} says online while we listen, and its last will says offline.

Edge nodes that wait for their primary host send births when it comes online, and store and forward while it is not.
So it goes online only after the data's topics are subscribed to. The session that carries data is kept by the broker;
this one is clean, as the specification wants.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from datetime import datetime
from urllib.parse import unquote, urlsplit

import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from domain.clock import Clock
from domain.refusals import Refused
from ingest.sparkplug.feed_settings import settings_of
from ingest.sparkplug.topics import state_topic
from ingest.times import to_microseconds
from storage.feeds import Feed

KEEPALIVE_S = 30
DECODER = "sparkplug_b"
_STATE_QOS = 1
_CLOSE_WAIT_S = 2.0
_RECONNECT_MIN_S, _RECONNECT_MAX_S = 1, 16
_log = structlog.get_logger()


def state(online: bool, at: datetime) -> bytes:
    """Return the payload of STATE; will and birth of one session carry the same time."""
    return json.dumps({"online": online, "timestamp": to_microseconds(at) // 1000}, separators=(",", ":")).encode()


class HostState:
    """One host application on one broker. ``owner`` tells this process from others, for the client id."""

    def __init__(self, url: str, host_id: str, owner: str, now: Callable[[], datetime]) -> None:
        parts = urlsplit(url)
        self.host_id = host_id
        self._topic = state_topic(host_id)
        self._now = now
        self._since = now()
        self._is_online = False
        client = Client(
            CallbackAPIVersion.VERSION2, client_id=f"{owner}-{host_id}", clean_session=True, protocol=MQTTv311
        )
        client.suppress_exceptions = True  # an exception in a callback would end the network thread for ever
        client.reconnect_delay_set(_RECONNECT_MIN_S, _RECONNECT_MAX_S)
        if parts.username:
            client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
        if parts.scheme == "mqtts":
            client.tls_set()
        client.on_pre_connect = self._on_pre_connect
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        self._client = client
        client.connect_async(
            parts.hostname or "", parts.port or (8883 if parts.scheme == "mqtts" else 1883), KEEPALIVE_S
        )
        client.loop_start()

    @property
    def is_online(self) -> bool:
        """Say whether the broker has been told that we are online."""
        return self._is_online

    def close(self) -> None:
        """Say offline and leave."""
        was_online, self._is_online = self._is_online, False
        if was_online:
            told = self._client.publish(self._topic, state(False, self._now()), qos=_STATE_QOS, retain=True)
            told.wait_for_publish(_CLOSE_WAIT_S)
        self._client.disconnect()
        self._client.loop_stop()

    # Callbacks run in paho's network thread; none of them may raise.

    def _on_pre_connect(self, client: Client, _userdata: object) -> None:
        # For each session anew: a will of an earlier time would be taken for that of an earlier session.
        self._since = self._now()
        client.will_set(self._topic, state(False, self._since), qos=_STATE_QOS, retain=True)

    def _on_connect(
        self,
        client: Client,
        _userdata: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            _log.error("the broker refuses the Sparkplug host", host=self.host_id, reason=str(reason))
            return
        client.subscribe(self._topic, qos=_STATE_QOS)

    def _on_subscribe(
        self,
        _client: Client,
        _userdata: object,
        _packet_id: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            _log.error("the broker refuses the Sparkplug host its own STATE; check its access rules", host=self.host_id)
        self._say_online()

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: object,
        _flags: DisconnectFlags,
        _reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._is_online = False

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        try:
            said = json.loads(message.payload)
        except ValueError:
            return
        if self._is_online and isinstance(said, dict) and said.get("online") is False:
            # The will of our own earlier session, or of another slice's: we are online all the same.
            self._say_online()

    def _say_online(self) -> None:
        self._client.publish(self._topic, state(True, self._since), qos=_STATE_QOS, retain=True)
        self._is_online = True


class Hosts:
    """The hosts of the enabled Sparkplug feeds that this process hears, one for each name. Used from one thread."""

    def __init__(self, url: str, owner: str, clock: Clock) -> None:
        self._url = url
        self._owner = owner
        self._clock = clock
        self._hosts: dict[str, HostState] = {}
        self._wanted: frozenset[str] = frozenset()

    def follow(self, feeds: Collection[Feed]) -> None:
        """Open and close hosts after the feeds; to be called again and again.

        A host opens at the second call that wants it: by then its feed's topics are subscribed to.
        """
        wanted = frozenset(_host_ids(feeds))
        ready, self._wanted = wanted & self._wanted, wanted
        for host_id in self._hosts.keys() - wanted:
            self._hosts.pop(host_id).close()
        for host_id in ready - self._hosts.keys():
            self._hosts[host_id] = HostState(self._url, host_id, self._owner, self._clock.now)

    @property
    def online(self) -> set[str]:
        """The names of the hosts that are online."""
        return {host_id for host_id, host in self._hosts.items() if host.is_online}

    def close(self) -> None:
        """Say offline for all of them."""
        for host in self._hosts.values():
            host.close()
        self._hosts.clear()


def _host_ids(feeds: Collection[Feed]) -> list[str]:
    found = []
    for feed in feeds:
        if feed.decoder == DECODER and feed.enabled:
            try:
                found.append(settings_of(feed).host_id)
            except Refused:
                continue  # its messages are set aside, with the reason
    return found
