"""The first look at a batch: each message is decoded and checked whole, or set aside with its reason.

A gateway speaks for many devices in one message. When some of them are unknown, the others' part is stored all the
same (a plant must not go blind because one sensor is new), and the whole message is set aside for the unknown ones as
well. It is replayed when they are registered, and what was stored before is then a repeat, which changes nothing.
Every other fault sets the whole message aside, whichever device it concerns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.waveforms import WaveformBlock
from ingest.decoders.native import Sample, check_name, check_sequence, decode_events, decode_state, decode_telemetry
from ingest.decoders.telling import TimedSample, Told
from ingest.decoders.waveform import decode_waveform, to_samples
from ingest.dialects import Heard
from ingest.limits import MAX_DETAIL_LENGTH, MAX_METRICS, MAX_NAMES
from ingest.presence import Presence
from ingest.quarantine_reasons import Reason, Unusable
from ingest.registry import KnownDevice, Registry
from ingest.sequence import SequenceTrack
from ingest.source import Message
from ingest.times import Window, to_us
from ingest.topics import FeedRoute, Route, TopicKind, parse
from storage.events import DeviceEvent
from storage.quarantine import STORED, Replayed, SetAside

_KEYS_SHOWN = 5
_Checked = tuple[KnownDevice, Told, list[TimedSample]]


@dataclass(slots=True)
class Samples:
    """Accepted samples as parallel lists; ``values`` are in the order of ``metrics``."""

    devices: list[KnownDevice]
    ts_us: list[int]
    metrics: list[tuple[str, ...]]
    values: list[float]


class UnknownDevices(Unusable):
    """The message speaks for devices that nobody registered, the first of which is ``device``."""

    def __init__(self, device: str, detail: str) -> None:
        super().__init__(Reason.UNKNOWN_DEVICE, detail)
        self.device = device


class Intake:
    """One batch on its way in. After ``take_all`` it holds all there is to store."""

    def __init__(self, registry: Registry, now: datetime) -> None:
        self._registry = registry
        self._now_window = Window(now)
        self.samples = Samples([], [], [], [])
        self.events: list[DeviceEvent] = []
        # (device id, block)
        self.waveforms: list[tuple[int, WaveformBlock]] = []
        self.aside: list[SetAside] = []
        self.tried: list[Replayed] = []
        # Messages stored in part that carry no time: their replay must get the same one.
        self.partly: list[tuple[Message, datetime]] = []
        self.tracks: dict[int, SequenceTrack] = {}
        self.opened_gaps: list[int] = []
        self.presence = Presence()
        # (device id, metric) of series to be made
        self.new_series: set[tuple[int, str]] = set()
        self._new_names: dict[int, int] = {}

    def take_all(
        self, messages: Sequence[Message], routes: Sequence[Route | FeedRoute | None], heard: Mapping[int, Heard]
    ) -> None:
        """Take every message of a batch; ``heard`` is what those of feeds came to, by their place in it."""
        take = self.take
        if not heard:
            for message, route in zip(messages, routes, strict=True):
                take(message, route)
            return
        for place, (message, route) in enumerate(zip(messages, routes, strict=True)):
            take(message, route, heard.get(place))

    def take(self, message: Message, route: Route | FeedRoute | None, heard: Heard | None = None) -> None:
        """Accept a message whole, or set it aside; ``heard`` is what a feed's message came to."""
        try:
            if heard is not None:
                self._hear(message, heard)
            else:
                self._accept(message, route)
        except Unusable as refusal:
            self.set_aside(message, route, refusal)
        else:
            if message.quarantine_id is not None:
                self.tried.append(Replayed(message.quarantine_id, STORED, ""))

    def settle(self, device: KnownDevice) -> None:
        """Judge sequence numbers of this device that came early: what could precede them has come or is lost."""
        self.tracks[device.id] = device.sequence
        self.presence.revised(device.id)
        if device.sequence.settle():
            self.opened_gaps.append(device.id)

    def set_aside(self, message: Message, route: Route | FeedRoute | None, refusal: Unusable) -> None:
        """Keep a message that cannot be used, with the reason."""
        detail = refusal.detail[:MAX_DETAIL_LENGTH]
        unknown = refusal.device if isinstance(refusal, UnknownDevices) else None
        if message.quarantine_id is not None:
            self.tried.append(Replayed(message.quarantine_id, refusal.reason, detail, unknown))
            return
        site, device, feed_id = None, unknown, None
        if isinstance(route, Route):
            site, device = route.address
        elif route is not None:
            site, feed_id = route.site, route.feed_id
        self.aside.append(SetAside(message.topic, message.payload, refusal.reason, detail, site, device, feed_id))

    def _accept(self, message: Message, route: Route | FeedRoute | None) -> None:
        """Take in a native message."""
        if type(route) is not Route:
            parse(message.topic)  # raises, with the reason in words
            return
        device = self._registry.find(route.address)
        if device is None:
            site, name = route.address
            raise UnknownDevices(
                name, f"no device {name!r} of the native topics is registered at site {site!r}; register it"
            )
        received_at = message.received_at  # given when it comes out of quarantine
        window = self._now_window if received_at is None else Window(received_at)
        if message.is_repeat or received_at is not None:
            self.presence.untimely(device.id)
        kind = route.kind
        if kind is TopicKind.TELEMETRY:
            self._telemetry(decode_telemetry(message.payload), device, window)
        elif kind is TopicKind.EVENTS:
            self._events(message, device, window)
        elif kind is TopicKind.WAVEFORM:
            blocks, sequence = decode_waveform(message.payload)
            self._use([Told(route.address, waveforms=blocks)], window, message)
            self._count(device, sequence, blocks[0].ts_us)
        else:
            self.presence.said(device.id, online=decode_state(message.payload))

    def _hear(self, message: Message, heard: Heard) -> None:
        """Take in what a feed's decoder says."""
        if heard.refusal is not None:
            raise heard.refusal
        unknown = self._use(heard.told, Window(heard.received_at), message)
        if not unknown:
            return
        if message.quarantine_id is None and any(told.timed_by_receipt for told in heard.told):
            self.partly.append((message, heard.received_at))
        shown = ", ".join(repr(key[:64]) for key in unknown[:_KEYS_SHOWN])
        more = f" and {len(unknown) - _KEYS_SHOWN} more" if len(unknown) > _KEYS_SHOWN else ""
        raise UnknownDevices(
            unknown[0],
            f"no device is registered for this feed under {shown}{more}; register it. What the message says of other "
            "devices is stored",
        )

    def _use(self, told: Sequence[Told], window: Window, message: Message) -> list[str]:
        """Use what a message says of devices that are known, all of it or nothing; return the keys of the others."""
        unknown: list[str] = []
        checked: list[_Checked] = []
        try:
            for one in told:
                device = self._registry.find(one.address)
                if device is None:
                    unknown.append(one.address[1])
                else:
                    checked.append((device, one, self._checked(one, device, window)))
            self._check_names_of_all(checked)
        except Unusable:
            raise
        except Exception as error:  # a decoder said what no decoder may: its own message pays for it, and no other
            raise Unusable(Reason.PROCESSING_FAILED, repr(error)) from error
        # Nothing refuses from here on.
        for device, one, samples in checked:
            if one.timed_by_receipt or message.quarantine_id is not None or message.is_repeat:
                self.presence.untimely(device.id)
            self._use_one(one, device, samples, is_early=message.is_early)
        return list(dict.fromkeys(unknown))

    def _checked(self, told: Told, device: KnownDevice, window: Window) -> list[TimedSample]:
        """Return the samples that one device's part brings, with the features of its waveforms. Raises Unusable."""
        recorded = device.is_recorded
        for block in told.waveforms:
            window.check(block.ts_us, recorded=recorded)
        samples = [*told.samples, *to_samples(told.waveforms)]
        for sample in samples:
            window.check(sample.ts_us, recorded=recorded)
            check_sequence(sample.seq)
            metrics = tuple(sample.values)
            if metrics not in device.shapes:
                self._check_metrics(device, metrics)
        for event in told.events:
            window.check(event.ts_us, recorded=recorded)
            check_sequence(event.seq)
        return samples

    def _check_names_of_all(self, checked: Sequence[_Checked]) -> None:
        """Check the number of metric names of each device over the whole message."""
        names: dict[int, tuple[KnownDevice, set[str]]] = {}
        for device, _, samples in checked:
            of_device = names.setdefault(device.id, (device, set()))[1]
            for sample in samples:
                of_device.update(sample.values)
        for device, of_device in names.values():
            self._check_names(device, of_device)

    def _use_one(self, told: Told, device: KnownDevice, samples: Sequence[TimedSample], *, is_early: bool) -> None:
        for sample in samples:
            self._add(device, sample.ts_us, tuple(sample.values), sample.values)
            self._count(device, sample.seq, sample.ts_us, is_early=is_early)
        for event in told.events:
            self.events.append(DeviceEvent(device.id, device.record.asset_id, event.event))
            self._count(device, event.seq, event.ts_us, is_early=is_early)
        self.waveforms.extend((device.id, block) for block in told.waveforms)
        self.presence.spoke(device.id)
        if told.online is not None:
            self.presence.said(device.id, online=told.online)

    def _telemetry(self, decoded: Sequence[Sample], device: KnownDevice, window: Window) -> None:
        """Take in native telemetry. A path of its own, because nearly all messages go this way."""
        recorded, shapes = device.is_recorded, device.shapes
        oldest_us, newest_us = window.oldest_live_us, window.newest_us
        accepted: list[tuple[int, tuple[str, ...], Sample]] = []
        for sample in decoded:
            ts_us = to_us(sample.ts)
            if not oldest_us <= ts_us <= newest_us:  # what a live device may send, any may
                window.check(ts_us, recorded=recorded)
            metrics = tuple(sample.values)
            if metrics not in shapes:
                self._check_metrics(device, metrics)
            accepted.append((ts_us, metrics, sample))
        if len(accepted) > 1:
            self._check_names(device, {metric for _, metrics, _ in accepted for metric in metrics})
        # Nothing refuses from here on: a message is used whole.
        samples, sequence, device_id, newest = self.samples, device.sequence, device.record.id, self.presence.newest_us
        for ts_us, metrics, sample in accepted:
            if metrics not in shapes:
                self._note_new(device, metrics)
            samples.devices.append(device)
            samples.ts_us.append(ts_us)
            samples.metrics.append(metrics)
            samples.values.extend(sample.values.values())
            number = sample.seq
            if isinstance(number, int):  # the decoder has checked it
                self.tracks[device_id] = sequence
                if sequence.accept(number, ts_us):
                    self.opened_gaps.append(device_id)
            known_us = newest.get(device_id)
            if known_us is None or ts_us > known_us:
                newest[device_id] = ts_us

    def _add(self, device: KnownDevice, ts_us: int, metrics: tuple[str, ...], values: dict[str, float]) -> None:
        if metrics not in device.shapes:
            self._note_new(device, metrics)
        samples = self.samples
        samples.devices.append(device)
        samples.ts_us.append(ts_us)
        samples.metrics.append(metrics)
        samples.values.extend(values.values())
        self.presence.read(device.id, ts_us)

    def _events(self, message: Message, device: KnownDevice, window: Window) -> None:
        decoded = decode_events(message.payload)
        for event in decoded:
            window.check(event.ts_us, recorded=device.is_recorded)
        for event in decoded:
            self.events.append(DeviceEvent(device.id, device.record.asset_id, event.event))
            self._count(device, event.seq, event.ts_us, is_early=message.is_early)
        self.presence.spoke(device.id)

    def _count(self, device: KnownDevice, sequence: int | None, ts_us: int, *, is_early: bool = False) -> None:
        if sequence is None:
            return
        self.tracks[device.id] = device.sequence
        if device.sequence.accept(sequence, ts_us, is_early=is_early):
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
