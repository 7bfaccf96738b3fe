"""The first look at a batch: each message is decoded and checked whole, or set aside with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec import UNSET

from ingest.decoders.native import Sample, check_name, check_sequence, decode_events, decode_state, decode_telemetry
from ingest.limits import MAX_DETAIL_LENGTH, MAX_METRICS, MAX_NAMES
from ingest.presence import Presence
from ingest.quarantine_reasons import Reason, Unusable
from ingest.registry import KnownDevice, Registry
from ingest.sequence import SequenceTrack
from ingest.source import Message
from ingest.times import Window, to_us
from ingest.topics import Route, TopicKind, parse
from storage.events import DeviceEvent
from storage.quarantine import STORED, Replayed, SetAside

_MAX_ROUTES = 100_000


@dataclass(slots=True)
class Samples:
    """Accepted samples as parallel lists; ``values`` are in the order of ``metrics``."""

    devices: list[KnownDevice]
    ts_us: list[int]
    metrics: list[tuple[str, ...]]
    values: list[float]


class Router:
    """Topics as routes, remembered: a plant's topics come again and again."""

    def __init__(self) -> None:
        self._routes: dict[str, Route] = {}

    def route(self, topic: str) -> Route | None:
        """Return where the topic leads, None when it is not one of ours."""
        known = self._routes.get(topic)
        if known is None:
            try:
                known = parse(topic)
            except Unusable:
                return None
            if len(self._routes) >= _MAX_ROUTES:
                self._routes.clear()
            self._routes[topic] = known
        return known


class Intake:
    """One batch on its way in. After ``take`` of every message it holds all there is to store."""

    def __init__(self, registry: Registry, now: datetime) -> None:
        self._registry = registry
        self._now_window = Window(now)
        self.samples = Samples([], [], [], [])
        self.events: list[DeviceEvent] = []
        self.aside: list[SetAside] = []
        self.tried: list[Replayed] = []
        self.tracks: dict[int, SequenceTrack] = {}
        self.opened_gaps: list[int] = []
        self.presence = Presence()
        # (device id, metric) of series to be made
        self.new_series: set[tuple[int, str]] = set()
        self._new_names: dict[int, int] = {}

    def take(self, message: Message, route: Route | None) -> None:
        """Accept a message whole, or set it aside."""
        try:
            self._accept(message, route)
        except Unusable as refusal:
            self.set_aside(message, route, refusal)
        else:
            if message.quarantine_id is not None:
                self.tried.append(Replayed(message.quarantine_id, STORED, ""))

    def set_aside(self, message: Message, route: Route | None, refusal: Unusable) -> None:
        """Keep a message that cannot be used, with the reason."""
        detail = refusal.detail[:MAX_DETAIL_LENGTH]
        if message.quarantine_id is not None:
            self.tried.append(Replayed(message.quarantine_id, refusal.reason, detail))
            return
        site, device = route.address if route is not None else (None, None)
        self.aside.append(SetAside(message.topic, message.payload, refusal.reason, detail, site, device))

    def _accept(self, message: Message, route: Route | None) -> None:
        if route is None:
            parse(message.topic)  # raises, with the reason in words
            return
        device = self._registry.find(route.address)
        if device is None:
            site, name = route.address
            raise Unusable(Reason.UNKNOWN_DEVICE, f"no device {name!r} is registered at site {site!r}; register it")
        window = self._now_window if message.received_at is None else Window(message.received_at)
        if route.kind is TopicKind.TELEMETRY:
            self._telemetry(decode_telemetry(message.payload), device, window)
        elif route.kind is TopicKind.EVENTS:
            self._events(message.payload, device, window)
        else:
            self.presence.said(device.id, online=decode_state(message.payload))

    def _telemetry(self, decoded: Sequence[Sample], device: KnownDevice, window: Window) -> None:
        recorded, shapes = device.is_recorded, device.shapes
        accepted: list[tuple[int, tuple[str, ...], Sample]] = []
        for sample in decoded:
            ts_us = to_us(sample.ts)
            window.check(ts_us, recorded=recorded)
            metrics = tuple(sample.values)
            if metrics not in shapes:
                self._check_metrics(device, metrics)
            accepted.append((ts_us, metrics, sample))
        if len(accepted) > 1:
            self._check_names(device, {metric for _, metrics, _ in accepted for metric in metrics})
        # Nothing refuses from here on: a message is used whole.
        samples = self.samples
        for ts_us, metrics, sample in accepted:
            if metrics not in shapes:
                self._note_new(device, metrics)
            samples.devices.append(device)
            samples.ts_us.append(ts_us)
            samples.metrics.append(metrics)
            samples.values.extend(sample.values.values())
            if sample.seq is not UNSET:
                self._count(device, check_sequence(sample.seq), ts_us)
            self.presence.read(device.id, ts_us)

    def _events(self, payload: bytes, device: KnownDevice, window: Window) -> None:
        decoded = decode_events(payload)
        for event in decoded:
            window.check(event.ts_us, recorded=device.is_recorded)
        for event in decoded:
            self.events.append(DeviceEvent(device.id, device.record.asset_id, event.event))
            self._count(device, event.seq, event.ts_us)
        self.presence.spoke(device.id)

    def _count(self, device: KnownDevice, sequence: int | None, ts_us: int) -> None:
        if sequence is None:
            return
        self.tracks[device.id] = device.sequence
        if device.sequence.accept(sequence, ts_us):
            self.opened_gaps.append(device.id)

    def _check_metrics(self, device: KnownDevice, metrics: tuple[str, ...]) -> None:
        if len(metrics) > MAX_METRICS:
            raise Unusable(
                Reason.TOO_MANY_METRICS, f"got {len(metrics)} metrics in one sample, expected at most {MAX_METRICS}"
            )
        for metric in metrics:
            if metric not in device.series:
                check_name(metric)
        self._check_names(device, set(metrics))

    def _check_names(self, device: KnownDevice, metrics: set[str]) -> None:
        new = [
            metric for metric in metrics if metric not in device.series and (device.id, metric) not in self.new_series
        ]
        names = len(device.series) + self._new_names.get(device.id, 0) + len(new)
        if new and names > MAX_NAMES:
            raise Unusable(
                Reason.TOO_MANY_NAMES,
                f"the device would have {names} metric names with {new[0][:64]!r} and {len(new) - 1} more, "
                f"expected at most {MAX_NAMES}",
            )

    def _note_new(self, device: KnownDevice, metrics: tuple[str, ...]) -> None:
        for metric in metrics:
            if metric not in device.series and (device.id, metric) not in self.new_series:
                self.new_series.add((device.id, metric))
                self._new_names[device.id] = self._new_names.get(device.id, 0) + 1
