"""One recording under way: rows, errors and replacements in the order of time, with stops for the caretaker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from heapq import merge
from itertools import groupby
from typing import TypeAlias

from simulators.care import Caretaker
from simulators.console_client import ConsoleClient, Json, moment, text
from simulators.device import Device
from simulators.faults import Sample
from simulators.recordings import RecordedError, RecordedRow, Recording, Replacement
from simulators.register import Registered, registered
from simulators.waiting import Stopped, wait_until

# 200 rows of four metrics are about 25 KiB, well below the 64 KiB of the native format.
ROWS_PER_MESSAGE = 200

Item: TypeAlias = RecordedRow | RecordedError | Replacement


class Pace:
    """Keeps the recording's time in step with the wall clock; pauses do not count."""

    def __init__(self, speed: float | None, now: Callable[[], datetime], stop: threading.Event) -> None:
        self._speed, self._now, self._stop = speed, now, stop
        self._origin: tuple[datetime, datetime] | None = None

    def is_ahead_of(self, ts: datetime) -> bool:
        """Whether ``ts`` is not due yet. Raises Stopped."""
        return self._wait_s(ts) > 0

    def wait_for(self, ts: datetime) -> None:
        """Return when ``ts`` is due. Raises Stopped."""
        wait_s = self._wait_s(ts)
        if wait_s > 0 and self._stop.wait(wait_s):
            raise Stopped("the replay was stopped")

    def pause(self, duration: timedelta) -> None:
        """Take out of the count what a stop took."""
        if self._origin:
            self._origin = (self._origin[0], self._origin[1] + duration)

    def _wait_s(self, ts: datetime) -> float:
        if self._stop.is_set():
            raise Stopped("the replay was stopped")
        if self._speed is None:
            return 0.0
        if self._origin is None:
            self._origin = (ts, self._now())
        first, began = self._origin
        return (began + (ts - first) / self._speed - self._now()).total_seconds()


class Playback:
    """Sends one recording. Times inside are the recording's; ``at_service`` turns them into the service's."""

    def __init__(
        self,
        recording: Recording,
        *,
        site: str,
        shift: timedelta,
        speed: float | None,
        client: ConsoleClient,
        known: Mapping[str, Registered],
        devices: Mapping[str, Device],
        now: Callable[[], datetime],
        stop: threading.Event,
        say: Callable[[str], None],
    ) -> None:
        self.client = client
        self.rows_sent = 0
        self._recording = recording
        self._site = site
        self._shift = shift
        self._known = known
        self._devices = devices
        self._now = now
        self._stop = stop
        self._say = say
        self._pace = Pace(speed, now, stop)
        self._waiting: dict[str, list[Sample]] = {name: [] for name in devices}
        # How far each device's rows are with the service, from an earlier run and from this one.
        self._sent_until: dict[str, datetime | None] = {
            name: device.last_reading_at - shift if device.last_reading_at else None for name, device in known.items()
        }

    def play(self, caretaker: Caretaker | None) -> None:
        """Send what an earlier run has not sent, stopping where the caretaker has something to do. Raises Stopped."""
        begin = self._begin()
        if begin is None:
            self._send_history()
        done_until = begin
        for ts, group in groupby(self._items_from(begin), _time_of):
            while caretaker and (stop_at := caretaker.next_stop(done_until)) <= ts:
                self._attend(caretaker, stop_at)
                done_until = stop_at
            if self._pace.is_ahead_of(ts):
                self._flush()
                self._pace.wait_for(ts)
            items = list(group)
            # The recordings' row at the instant of a replacement shows the new part already.
            self._send_replacements([item for item in items if isinstance(item, Replacement)])
            self._send_errors([item for item in items if isinstance(item, RecordedError)])
            self._send_rows([item for item in items if isinstance(item, RecordedRow)])
        self._flush()
        self.wait_until_caught_up(list(self._devices))

    def at_service(self, ts: datetime) -> datetime:
        """Return the service's time for a time of the recording."""
        return ts + self._shift

    def in_recording(self, ts: datetime) -> datetime:
        """Return the recording's time for a time of the service."""
        return ts - self._shift

    def say(self, line: str) -> None:
        """Tell people how it goes."""
        self._say(f"{self._recording.name}: {line}")

    def wait_until_caught_up(self, devices: Sequence[str]) -> None:
        """Return when the service has stored and judged all that these devices sent."""
        for name in devices:
            self._devices[name].wait_until_sent()
        what = f"{self._recording.name} to be judged"
        wait_until(partial(self._are_caught_up, devices), what, self._now, self._stop)

    def _begin(self) -> datetime | None:
        """Return where to begin: None for the beginning, else the device that is least far."""
        reached = [until for until in self._sent_until.values() if until is not None]
        return min(reached) if len(reached) == len(self._sent_until) else None

    def _items_from(self, begin: datetime | None) -> Iterator[Item]:
        recording = self._recording
        replacements = [each for each in recording.replacements if each.ts >= recording.first_row_at]
        sources: list[Sequence[Item]] = [replacements, recording.errors, recording.rows]
        return (item for item in merge(*sources, key=_time_of) if begin is None or item.ts >= begin)

    def _attend(self, caretaker: Caretaker, at: datetime) -> None:
        self._flush()
        began = self._now()
        caretaker.attend(at)
        self._pace.pause(self._now() - began)

    def _send_history(self) -> None:
        """Tell the service about parts fitted before the readings begin, so that it knows their age."""
        first = self._recording.first_row_at
        self._send_replacements([each for each in self._recording.replacements if each.ts < first])

    def _send_replacements(self, replacements: Sequence[Replacement]) -> None:
        """Report replacements as operator events and return when the service knows the new parts.

        The baselines start anew with the readings that follow, so these must not overtake the event.
        """
        for replacement in replacements:
            self._flush_device(replacement.device)
            self._devices[replacement.device].publish_event(
                self.at_service(replacement.ts),
                kind="operator",
                code="component_replaced",
                severity="info",
                text=f"{replacement.component} replaced",
                attributes={"component": replacement.component},
            )
        for replacement in replacements:
            what = f"{replacement.device} to have its new {replacement.component}"
            wait_until(partial(self._knows, replacement), what, self._now, self._stop)

    def _send_errors(self, errors: Sequence[RecordedError]) -> None:
        """Report error codes; they are with the broker before anything later is sent.

        Telemetry and events travel on two topics: only what the broker has stored is sure to arrive first.
        """
        for error in errors:
            self._flush_device(error.device)
            at = self.at_service(error.ts)
            self._devices[error.device].publish_event(at, kind="error", code=error.code, severity="error")
        for error in errors:
            self._devices[error.device].wait_until_sent()

    def _send_rows(self, rows: Sequence[RecordedRow]) -> None:
        for row in rows:
            until = self._sent_until[row.device]
            if until is not None and row.ts <= until:
                continue
            waiting = self._waiting[row.device]
            waiting.append(Sample(self.at_service(row.ts), self._devices[row.device].next_sequence(), row.values))
            self._sent_until[row.device] = row.ts
            self.rows_sent += 1
            if len(waiting) >= ROWS_PER_MESSAGE:
                self._flush_device(row.device)

    def _flush(self) -> None:
        for name in self._devices:
            self._flush_device(name)

    def _flush_device(self, name: str) -> None:
        self._devices[name].publish_samples(self._waiting[name])
        self._waiting[name] = []

    def _are_caught_up(self, devices: Sequence[str]) -> bool:
        assets: dict[str, Json] = {}
        for asset_type in {device.asset_type for device in self._recording.devices}:
            for asset in self.client.items("/assets", {"asset_type": asset_type, "site": self._site}):
                assets[text(asset, "tag")] = asset
        return all(self._is_caught_up(name, assets[name]) for name in devices)

    def _is_caught_up(self, name: str, asset: Json) -> bool:
        until = self._sent_until[name]
        seen = registered(asset, name)
        arrived = seen.last_reading_at
        has_arrived = until is None or (arrived is not None and arrived >= self.at_service(until))
        return has_arrived and seen.is_assessed

    def _knows(self, replacement: Replacement) -> bool:
        asset = self.client.get(f"/assets/{self._known[replacement.device].asset_id}")
        installed = asset.get("installed")
        if not isinstance(installed, dict):
            raise TypeError(f"an asset's 'installed' is expected to map components to times, got {installed!r:.100}")
        fitted = moment(installed, replacement.component)
        is_fitted = fitted is not None and fitted >= self.at_service(replacement.ts)
        return is_fitted and asset.get("assessed") is True


def _time_of(item: Item) -> datetime:
    return item.ts
