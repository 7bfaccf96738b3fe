"""Builders for the tests of who may do what at a broker: logins, accesses, and clients that remember what happened."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from domain.broker_grants import anonymous_grant, device_grant, gateway_grant, service_grant
from runtime.broker_access import ANONYMOUS_USER, SERVICE_USER, Access, Service
from runtime.broker_probe import parse_broker_url
from storage.device_credentials import Login, hash_secret
from tests.services_builders import eventually

SITE = "plant-1"
SERVICE = Service(SERVICE_USER, "a-secret-of-the-service")
_SERVICE_LOGIN = Login(service_grant(SERVICE_USER), hash_secret(SERVICE.password))


def secret_of(user: str) -> str:
    return f"secret of {user}"


def a_device_login(device: str, user: str | None = None) -> Login:
    name = user or f"{SITE}.{device}.1"
    return Login(device_grant(name, SITE, device), hash_secret(secret_of(name)))


def a_gateway_login(user: str, publish: tuple[str, ...], subscribe: tuple[str, ...] = ()) -> Login:
    return Login(gateway_grant(user, publish, subscribe), hash_secret(secret_of(user)))


def an_access(*logins: Login, feeds: tuple[str, ...] | None = None) -> Access:
    """The service and these; anybody too when ``feeds`` are given, which are then open to them."""
    return Access((_SERVICE_LOGIN, *logins), None if feeds is None else anonymous_grant(ANONYMOUS_USER, feeds))


class Client:
    """An MQTT client that notes every connection, loss, grant and message."""

    def __init__(self, url: str, client_id: str, user: str | None, password: str | None, *, clean: bool) -> None:
        address = parse_broker_url(url)
        self.connected: list[bool] = []
        self.sessions: list[bool] = []
        self.lost = 0
        self.got: list[tuple[str, str]] = []
        self.granted: list[bool] = []
        self._answered = threading.Event()
        self._subscribed = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=clean)
        self._client.reconnect_delay_set(1, 1)
        if user is not None:
            self._client.username_pw_set(user, password)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = lambda _c, _u, message: self.got.append((message.topic, message.payload.decode()))
        self._client.on_subscribe = self._on_subscribe
        self._client.connect(address.host, address.port)
        self._client.loop_start()
        assert self._answered.wait(10), f"{client_id} got no answer"

    @property
    def is_in(self) -> bool:
        """Whether the last answer of the broker was yes, and the connection stands."""
        return self.connected[-1] and self._client.is_connected()

    def subscribe(self, topic: str, qos: int = 1) -> bool:
        """Whether the broker grants it."""
        self._subscribed.clear()
        self._client.subscribe(topic, qos)
        assert self._subscribed.wait(10)
        return self.granted[-1]

    def publish(self, topic: str, text: str, *, qos: int = 1, retain: bool = False) -> None:
        """Publish and, with QoS 1 or 2, wait for the acknowledgement, which brokers give for refused messages too."""
        sent = self._client.publish(topic, text, qos=qos, retain=retain)
        sent.wait_for_publish(10)
        assert sent.is_published()

    def texts(self) -> list[str]:
        return [text for _, text in list(self.got)]

    def leave(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def drop(self) -> None:
        """Break the connection as a failure would: the broker sends the will."""
        socket = self._client.socket()
        assert socket is not None
        self._client.loop_stop()
        socket.close()  # type: ignore[union-attr]

    def _on_connect(
        self, _c: mqtt.Client, _u: object, flags: mqtt.ConnectFlags, reason: ReasonCode, _p: object
    ) -> None:
        self.connected.append(not reason.is_failure)
        self.sessions.append(flags.session_present)
        self._answered.set()

    def _on_disconnect(self, *_arguments: object) -> None:
        self.lost += 1

    def _on_subscribe(self, _c: mqtt.Client, _u: object, _m: int, codes: list[ReasonCode], _p: object) -> None:
        self.granted.append(not codes[0].is_failure)
        self._subscribed.set()


@contextmanager
def a_client(
    url: str,
    client_id: str,
    user: str | None = None,
    password: str | None = None,
    *,
    clean: bool = True,
) -> Iterator[Client]:
    """A client that signs in as ``user`` with the secret its builder gave it."""
    client = Client(url, client_id, user, password or (secret_of(user) if user else None), clean=clean)
    try:
        yield client
    finally:
        client.leave()


@contextmanager
def the_ingester(url: str, *, client_id: str = "ingest", signed_in: bool = True) -> Iterator[Client]:
    """What our own processes are: a persistent session of the service's user that hears everything."""
    user, password = (SERVICE.user, SERVICE.password) if signed_in else (None, None)
    with a_client(url, client_id, user, password, clean=False) as client:
        assert client.subscribe("wearsight/#")
        yield client


def hears(client: Client, text: str, within_s: float = 10.0) -> bool:
    """Whether this text comes to the client."""
    return eventually(lambda: text in client.texts(), within_s=within_s)
