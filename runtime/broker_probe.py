"""Ask an MQTT broker whether it answers: one CONNECT, one CONNACK, nothing subscribed and nothing left behind."""

from __future__ import annotations

import secrets
import socket
import ssl
import struct
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

_REFUSALS = {
    1: "it does not speak MQTT 3.1.1",
    2: "it refuses the client id",
    3: "it says that the service is unavailable",
    4: "user name or password is wrong",
    5: "this user may not connect",
}


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """What an ``mqtt://`` or ``mqtts://`` URL says."""

    host: str
    port: int
    tls: bool
    user: str | None
    password: str | None

    @property
    def shown(self) -> str:
        """The address without its password."""
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"


def parse_broker_url(url: str) -> BrokerAddress:
    """Read ``mqtt[s]://[user:password@]host[:port]``; settings have checked it before."""
    parts = urlsplit(url)
    tls = parts.scheme == "mqtts"
    return BrokerAddress(
        host=parts.hostname or "localhost",
        port=parts.port or (8883 if tls else 1883),
        tls=tls,
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
    )


def probe_broker(url: str, *, timeout_s: float = 5.0) -> str | None:
    """Return None when the broker accepts a connection, else a clause that says why not."""
    address = parse_broker_url(url)
    try:
        with socket.create_connection((address.host, address.port), timeout=timeout_s) as plain:
            if not address.tls:
                return _shake_hands(plain, address)
            with ssl.create_default_context().wrap_socket(plain, server_hostname=address.host) as secured:
                return _shake_hands(secured, address)
    except TimeoutError:
        return f"it did not answer within {timeout_s:g} s"
    except OSError as error:
        return f"it cannot be reached ({error.strerror or error})"


def _shake_hands(connection: socket.socket, address: BrokerAddress) -> str | None:
    connection.sendall(_connect_packet(address))
    answer = b""
    while len(answer) < 4:
        part = connection.recv(4 - len(answer))
        if not part:
            return "it closed the connection instead of answering"
        answer += part
    if answer[0] != 0x20:
        return "what answers there is not an MQTT broker"
    if answer[3] != 0:
        return _REFUSALS.get(answer[3], f"it refused with code {answer[3]}")
    connection.sendall(b"\xe0\x00")
    return None


def _connect_packet(address: BrokerAddress) -> bytes:
    flags = 0x02  # clean session
    fields = [f"wearsight-probe-{secrets.token_hex(6)}"]
    if address.user is not None:
        flags |= 0x80
        fields.append(address.user)
        if address.password is not None:
            flags |= 0x40
            fields.append(address.password)
    body = struct.pack("!H4sBBH", 4, b"MQTT", 4, flags, 10)
    for text in fields:
        encoded = text.encode()
        body += struct.pack("!H", len(encoded)) + encoded
    length, header = len(body), b"\x10"
    while True:
        length, digit = divmod(length, 128)
        header += bytes([digit | (0x80 if length else 0)])
        if not length:
            return header + body
