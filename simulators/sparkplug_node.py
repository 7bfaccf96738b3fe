"""A Sparkplug B edge node: births, data by alias, deaths by last will, and a rebirth when a host asks for one.

It writes its bytes by itself, field by field: what the service reads and this node writes share no code, so that an
error in either shows.
"""

from __future__ import annotations

import itertools
import math
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from simulators.device import BrokerAddress

REBIRTH = "Node Control/Rebirth"
QOS = 0  # births and data; the specification wants it so
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5


class Type(IntEnum):
    """Data types by their codes."""

    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATE_TIME = 13
    TEXT = 14
    UUID = 15
    DATA_SET = 16
    BYTES = 17
    FILE = 18
    TEMPLATE = 19


Value = float | int | bool | str | bytes | None


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric to send: with a name, an alias or both. ``value`` None is sent as null; ``ts`` is milliseconds."""

    name: str | None
    type: Type | None
    value: Value
    alias: int | None = None
    ts: int | None = None
    is_historical: bool = False
    is_transient: bool = False
    unit: str | None = None
    quality: int | None = None


def encode(
    metrics: Sequence[Metric], *, ts: int | None, seq: int | None, types: Mapping[int, Type] | None = None
) -> bytes:
    """Return a payload; ``types`` gives the type of metrics that are sent by alias alone."""
    parts = [] if ts is None else [_number(1, ts)]
    parts += [_chunk(2, encode_metric(metric, types or {})) for metric in metrics]
    if seq is not None:
        parts.append(_number(3, seq))
    return b"".join(parts)


def encode_metric(metric: Metric, types: Mapping[int, Type]) -> bytes:
    """Return one metric's bytes."""
    kind = metric.type if metric.type is not None else types.get(-1 if metric.alias is None else metric.alias)
    parts = []
    if metric.name is not None:
        parts.append(_chunk(1, metric.name.encode()))
    if metric.alias is not None:
        parts.append(_number(2, metric.alias))
    if metric.ts is not None:
        parts.append(_number(3, metric.ts))
    if metric.type is not None:
        parts.append(_number(4, metric.type))
    parts += [_number(number, 1) for number, holds in ((5, metric.is_historical), (6, metric.is_transient)) if holds]
    if metric.value is None:
        parts.append(_number(7, 1))
    properties = _properties(metric)
    if properties:
        parts.append(_chunk(9, properties))
    if metric.value is not None:
        parts.append(_value(metric.value, kind))
    return b"".join(parts)


def has_rebirth_request(payload: bytes) -> bool:
    """Say whether a command asks for a rebirth: a metric of that name that is true."""
    for number, content in _fields(payload):
        if number == 2 and isinstance(content, bytes):
            fields = dict(_fields(content))
            if fields.get(1) == REBIRTH.encode() and fields.get(14) == 1:
                return True
    return False


def _value(value: float | int | bool | str | bytes, kind: Type | None) -> bytes:
    if kind in (Type.INT64, Type.UINT64, Type.DATE_TIME):
        return _number(11, int(value) % (1 << 64))
    if kind is Type.FLOAT:
        return _tag(12, _FIXED_32) + struct.pack("<f", value)
    if kind is Type.DOUBLE:
        return _tag(13, _FIXED_64) + struct.pack("<d", value)
    if kind is Type.BOOLEAN:
        return _number(14, int(value))
    if isinstance(value, str):
        return _chunk(15, value.encode())
    if isinstance(value, bytes):
        return _chunk({Type.DATA_SET: 17, Type.TEMPLATE: 18}.get(kind or Type.BYTES, 16), value)
    return _number(10, int(value) % (1 << 32))


def _properties(metric: Metric) -> bytes:
    parts = b""
    if metric.quality is not None:
        parts += _chunk(1, b"Quality") + _chunk(2, _number(1, Type.INT32) + _number(3, metric.quality % (1 << 32)))
    if metric.unit is not None:
        parts += _chunk(1, b"engUnit") + _chunk(2, _number(1, Type.STRING) + _chunk(8, metric.unit.encode()))
    return parts


def _tag(number: int, wire_type: int) -> bytes:
    return _varint(number << 3 | wire_type)


def _number(number: int, value: int) -> bytes:
    return _tag(number, _VARINT) + _varint(value)


def _chunk(number: int, content: bytes) -> bytes:
    return _tag(number, _BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _fields(payload: bytes) -> list[tuple[int, int | bytes]]:
    """Return (number, content) of every field; raises IndexError or ValueError where the bytes are none."""
    found: list[tuple[int, int | bytes]] = []
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = payload[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    while at < len(payload):
        tag = varint()
        wire_type = tag & 7
        if wire_type == _VARINT:
            found.append((tag >> 3, varint()))
            continue
        size = {_FIXED_64: 8, _FIXED_32: 4}.get(wire_type)
        if size is None:
            if wire_type != _BYTES:
                raise ValueError(f"wire type {wire_type} is not known")
            size = varint()
        found.append((tag >> 3, payload[at : at + size]))
        at += size
    return found


class EdgeNode:
    """One edge node on a broker; use as a context manager. ``units`` are its metrics by device, '' for its own.

    Births repeat every metric with name and alias; ``publish`` sends by alias alone. Whatever a host asks for is done
    in the network thread; sequence numbers are given out under a lock.
    """

    def __init__(
        self,
        broker: str,
        group: str,
        edge: str,
        units: Mapping[str, Sequence[Metric]],
        now: Callable[[], datetime],
        *,
        birth_number: int = 0,
        answers: bool = True,
    ) -> None:
        self.group, self.edge, self.birth_number = group, edge, birth_number
        self.rebirths_asked = 0
        self.births = 0
        self._now, self._answers = now, answers
        numbers = itertools.count(1)
        self.units = {
            device: [
                replace(metric, alias=next(numbers) if metric.alias is None else metric.alias) for metric in metrics
            ]
            for device, metrics in units.items()
        }
        self._aliases = {(device, metric.name): metric for device, metrics in self.units.items() for metric in metrics}
        self._sequence = 0
        self._lock = threading.RLock()
        self._connected = threading.Event()
        self._address = BrokerAddress.parse(broker)
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"edge-{group}-{edge}", clean_session=True)
        if self._address.user:
            self._client.username_pw_set(self._address.user, self._address.password)
        if self._address.is_encrypted:
            self._client.tls_set()
        self._client.will_set(self.topic("NDEATH"), self._death(), qos=1)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message

    def __enter__(self) -> EdgeNode:
        self._client.connect(self._address.host, self._address.port, keepalive=15)
        self._client.loop_start()
        if not self._connected.wait(10):
            raise ConnectionError("the broker did not accept the edge node within 10 s")
        return self

    def __exit__(self, *_exception: object) -> None:
        # An orderly end tells its death itself: the broker drops the will of a client that says goodbye.
        self._client.publish(self.topic("NDEATH"), self._death(), qos=1).wait_for_publish(5)
        self._client.disconnect()
        self._client.loop_stop()

    def topic(self, kind: str, device: str = "") -> str:
        """Return the topic of a kind of message."""
        return f"spBv1.0/{self.group}/{kind}/{self.edge}" + (f"/{device}" if device else "")

    def bear(self) -> None:
        """Send the births of the node and of all its devices."""
        with self._lock:
            self._sequence = 0
            own = [Metric("bdSeq", Type.INT64, self.birth_number), Metric(REBIRTH, Type.BOOLEAN, False)]
            self._send("NBIRTH", "", [*own, *self.units.get("", ())])
            for device in self.units:
                if device:
                    self._send("DBIRTH", device, self.units[device])
            self.births += 1

    def publish(self, device: str, values: Mapping[str, Value], *, is_lost: bool = False) -> None:
        """Send values by alias; ``is_lost`` counts the message and does not send it."""
        metrics = []
        for name, value in values.items():
            declared = self._aliases[device, name]
            metrics.append(Metric(None, None, value, declared.alias, self._ms()))
        with self._lock:
            self._send("DDATA" if device else "NDATA", device, metrics, is_lost=is_lost)

    def die(self, device: str) -> None:
        """Send the death of a device."""
        with self._lock:
            self._send("DDEATH", device, [])

    def _send(self, kind: str, device: str, metrics: Sequence[Metric], *, is_lost: bool = False) -> None:
        types = {metric.alias: metric.type for (_, _), metric in self._aliases.items()}
        known = {alias: kind for alias, kind in types.items() if alias is not None and kind is not None}
        payload = encode(metrics, ts=self._ms(), seq=self._sequence, types=known)
        self._sequence = (self._sequence + 1) % 256
        if not is_lost:
            self._client.publish(self.topic(kind, device), payload, qos=QOS)

    def _death(self) -> bytes:
        return encode([Metric("bdSeq", Type.INT64, self.birth_number)], ts=self._ms(), seq=None)

    def _ms(self) -> int:
        return int(self._now().timestamp() * 1000)

    # Callbacks run in paho's network thread; none of them may raise.

    def _on_connect(
        self, client: mqtt.Client, _userdata: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.is_failure:
            return
        client.subscribe(self.topic("NCMD"), qos=1)
        self.bear()
        self._connected.set()

    def _on_message(self, _client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        try:
            is_asked = has_rebirth_request(bytes(message.payload))
        except (IndexError, ValueError):
            return
        if is_asked:
            self.rebirths_asked += 1
            if self._answers:
                self.bear()


def run_edge_node(
    broker: str,
    group: str,
    edge: str,
    devices: Sequence[str],
    *,
    now: Callable[[], datetime],
    stop: threading.Event,
    say: Callable[[str], None],
    every_s: float = 1.0,
) -> None:
    """Publish a motor's temperature, vibration and speed for each device until ``stop`` is set."""
    motor = (
        Metric("Motor/Temperature", Type.FLOAT, 40.0, unit="degC"),
        Metric("Motor/Vibration", Type.DOUBLE, 1.2, unit="mm/s"),
        Metric("Motor/Speed", Type.INT16, 1480, unit="1/min"),
    )
    with EdgeNode(broker, group, edge, {"": (), **dict.fromkeys(devices, motor)}, now) as node:
        say(f"edge node {group}/{edge} is born with {len(devices)} devices")
        for turn in itertools.count():
            for device in devices:
                swing = math.sin(turn / 10)
                values = {"Motor/Temperature": 40 + 5 * swing, "Motor/Vibration": 1.2 + 0.1 * swing}
                node.publish(device, {**values, "Motor/Speed": 1480 + int(10 * swing)})
            if stop.wait(every_s):
                return
