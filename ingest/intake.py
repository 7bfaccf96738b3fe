"""The first look at a batch: each message is decoded and checked whole, or set aside with its reason.

A gateway speaks for many devices in one message. When some of them are unknown, the others' part is stored all the
same (a plant must not go blind because one sensor is new), and the whole message is set aside for the unknown ones as
well. It is replayed when they are registered, and what was stored before is then a repeat, which changes nothing.
Every other fault sets the whole message aside, whichever device it concerns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

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
from ingest.stencils import NO_SEQUENCE, NO_STENCIL, Stencils
from ingest.times import Window, to_us
from ingest.topics import FeedRoute, Route, TopicKind, parse
from storage.events import DeviceEvent
from storage.quarantine import STORED, Replayed, SetAside

_KEYS_SHOWN = 5
_Checked = tuple[KnownDevice, Told, list[TimedSample]]


class Samples:
    """Accepted samples as parallel lists, and their values one after the other.

    ``series`` are those of a sample's values or, where some may still have to be made, the names of its metrics.
    """

    def __init__(self) -> None:
        self.devices: list[KnownDevice] = []
        self.ts_us: list[int] = []
        self.series: list[NDArray[np.int32] | tuple[str, ...]] = []
        # Values that came one by one, behind those of ``_chunks``.
        self.loose: list[float] = []
        self._chunks: list[NDArray[np.float64]] = []

    def append_values(self, values: NDArray[np.float64]) -> None:
        """Append the values of one or more samples."""
        if self.loose:
            self._chunks.append(np.array(self.loose, np.float64))
            self.loose = []
        self._chunks.append(values)

    def values(self) -> NDArray[np.float64]:
        """Return the values of all samples."""
        return np.concatenate([*self._chunks, np.array(self.loose, np.float64)])


class UnknownDevices(Unusable):
    """The message speaks for devices that nobody registered, the first of which is ``device``."""

    def __init__(self, device: str, detail: str) -> None:
        super().__init__(Reason.UNKNOWN_DEVICE, detail)
        self.device = device


class Intake:
    """One batch on its way in. After ``take_all`` it holds all there is to store."""

    def __init__(self, registry: Registry, now: datetime, stencils: Stencils | None = None) -> None:
        self._registry = registry
        self._stencils = stencils or Stencils()
        self._now_window = Window(now)
        self.samples = Samples()
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
        devices = [self._by_stencil(message, route) for message, route in zip(messages, routes, strict=True)]
        found = self._stencils.read(
            [b"" if device is None else message.payload for message, device in zip(messages, devices, strict=True)],
            [None if device is None else device.texts for device in devices],
        )
        ts_us = found.ts_ms * 1000
        stencil = found.stencil
        self._refuse_untimely(stencil, ts_us, devices)
        samples, begin, end = self.samples, 0, 0
        columns = (stencil.tolist(), ts_us.tolist(), found.sequence.tolist(), found.value_start.tolist())
        for place, (device, number, at_us, sequence, start) in enumerate(zip(devices, *columns, strict=True)):
            series = None if device is None or number == NO_STENCIL else self._series(device, number)
            if device is not None and series is not None:
                if start != end:
                    samples.append_values(found.values[begin:end])
                    begin = start
                end = start + len(series)
                samples.devices.append(device)
                samples.ts_us.append(at_us)
                samples.series.append(series)
                self._note(device, at_us, sequence)
            else:
                if begin != end:
                    samples.append_values(found.values[begin:end])
                    begin = end
                self.take(messages[place], routes[place], heard.get(place))
        samples.append_values(found.values[begin:end])

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

    def _by_stencil(self, message: Message, route: Route | FeedRoute | None) -> KnownDevice | None:
        """Return the device whose stencils may read this message, None where only the decoder may."""
        if type(route) is not Route or route.kind is not TopicKind.TELEMETRY:
            return None
        if message.is_repeat or message.received_at is not None:
            return None
        return self._registry.find(route.address)

    def _refuse_untimely(
        self, stencil: NDArray[np.int32], ts_us: NDArray[np.int64], devices: Sequence[KnownDevice | None]
    ) -> None:
        """Leave messages whose time lies outside the window to the decoder, which says so."""
        window = self._now_window
        is_timely = (ts_us >= window.oldest_live_us) & (ts_us <= window.newest_us)
        for place in np.flatnonzero((stencil != NO_STENCIL) & ~is_timely).tolist():
            device = devices[place]
            if device is None or not window.allows(int(ts_us[place]), recorded=device.is_recorded):
                stencil[place] = NO_STENCIL

    def _series(self, device: KnownDevice, stencil: int) -> NDArray[np.int32] | None:
        """Return the series of what a stencil reads, None while some of them have to be made."""
        known = device.of_stencil.get(stencil)
        if known is None:
            known = device.shapes.get(self._stencils.metrics[stencil])
            if known is not None:
                device.of_stencil[stencil] = known
        return known

    def _note(self, device: KnownDevice, ts_us: int, sequence: int) -> None:
        """Note time and number (or NO_SEQUENCE) of a sample."""
        device_id = device.record.id
        if sequence != NO_SEQUENCE:
            track = self.tracks[device_id] = device.sequence
            if track.accept(sequence, ts_us):
                self.opened_gaps.append(device_id)
        newest = self.presence.newest_us
        known_us = newest.get(device_id)
        if known_us is None or ts_us > known_us:
            newest[device_id] = ts_us

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
            self._telemetry(message.payload, device, window)
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
        samples = [*told.samples, *to_samples(told.waveforms, bearings=device.bearings)]
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

    def _telemetry(self, payload: bytes, device: KnownDevice, window: Window) -> None:
        """Take in native telemetry that no stencil fits."""
        accepted: list[tuple[int, tuple[str, ...], Sample]] = []
        for sample in decode_telemetry(payload):
            ts_us = to_us(sample.ts)
            window.check(ts_us, recorded=device.is_recorded)
            metrics = tuple(sample.values)
            if metrics not in device.shapes:
                self._check_metrics(device, metrics)
            accepted.append((ts_us, metrics, sample))
        if len(accepted) > 1:
            self._check_names(device, {metric for _, metrics, _ in accepted for metric in metrics})
        # Nothing refuses from here on: a message is used whole.
        for ts_us, metrics, sample in accepted:
            self._add(device, ts_us, metrics, sample.values)
            self._count(device, check_sequence(sample.seq), ts_us)
        if len(accepted) == 1 and device.texts.is_worth_a_try():
            self._stencils.learn(payload, device.texts)

    def _add(self, device: KnownDevice, ts_us: int, metrics: tuple[str, ...], values: dict[str, float]) -> None:
        if metrics not in device.shapes:
            self._note_new(device, metrics)
        samples = self.samples
        samples.devices.append(device)
        samples.ts_us.append(ts_us)
        samples.series.append(metrics)
        samples.loose.extend(values.values())
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
