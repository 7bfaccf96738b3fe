"""Recorded data played as devices over MQTT, at any speed, with the simulated engineer in the loop (SPEC R2).

Every time of the recording is shifted by one constant, so that the last row lies at the start of the replay and
the spacing stays as recorded. Rows go out in the global order of time. At a *stop* the replay holds all devices at
one instant, waits until the service has judged everything sent so far, and lets the engineer do what was done on
the real machine at that instant. So what the service has seen when a ticket is closed does not depend on how fast
the replay runs.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from simulators.care import Caretaker
from simulators.console_client import ConsoleClient
from simulators.device import Device, DeviceStopped
from simulators.people import CannotCarry, Staff
from simulators.playback import Playback
from simulators.recordings import READERS, Recording, available, time_shift
from simulators.register import Equipment, Registered, ensure_equipment, ensure_logins, last_sequence
from simulators.waiting import StillWaiting, Stopped


class ReplayRefused(Exception):
    """The replay cannot run as asked; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """``speed`` is seconds of recording per second of wall time, None for as fast as the service takes it.

    With ``with_engineer`` the simulated engineer carries tickets to closed when the recording says that the work
    was done; without, tickets stay for people.
    """

    site: str = "plant-1"
    speed: float | None = None
    with_engineer: bool = True

    def __post_init__(self) -> None:
        if self.speed is not None and not self.speed > 0:
            raise ValueError(f"the speed of a replay is above 0, or none for as fast as it goes; got {self.speed}")


@dataclass(frozen=True, slots=True)
class Replayed:
    """What was played. ``shift`` taken from the service's times gives the recording's; ``rows`` were sent now.

    ``closed`` are the codes of the tickets that the simulated engineer closed; ``is_whole`` is False when the
    replay was stopped before its end.
    """

    recording: Recording
    shift: timedelta
    rows: int
    closed: tuple[str, ...]
    is_whole: bool


def run_replays(
    names: Sequence[str],
    data: Path,
    plan: ReplayPlan,
    *,
    api: str,
    token: str,
    broker: str,
    folder: Path,
    now: Callable[[], datetime],
    stop: threading.Event,
    say: Callable[[str], None],
) -> list[Replayed]:
    """Play recordings (all that ``data`` has if none is named) side by side until they end or ``stop`` is set.

    See ``run_replay``. Raises ReplayRefused also where there is nothing to play, and WrongData for damaged files.
    """
    chosen = list(names) or available(data)
    unknown = sorted(set(chosen) - set(READERS))
    if unknown or not chosen:
        raise ReplayRefused(
            f"there is no recording {', '.join(unknown) or f'in {data}'}; known are {', '.join(READERS)}. "
            "`wearsight datasets` says where they come from"
        )
    recordings = [READERS[name](data) for name in chosen]

    def play(recording: Recording) -> Replayed:
        return run_replay(
            recording, plan, api=api, token=token, broker=broker, folder=folder, now=now, stop=stop, say=say
        )

    with ThreadPoolExecutor(len(recordings), thread_name_prefix="replay") as threads:
        return list(threads.map(play, recordings))


def run_replay(
    recording: Recording,
    plan: ReplayPlan,
    *,
    api: str,
    token: str,
    broker: str,
    folder: Path,
    now: Callable[[], datetime],
    stop: threading.Event,
    say: Callable[[str], None],
) -> Replayed:
    """Play one recording to its end, or until ``stop`` is set.

    ``folder`` keeps the shift, so that a replay that was interrupted goes on where the service's readings end.
    Raises ReplayRefused where the service holds readings of these devices that this folder knows nothing of, and
    where the service does not do its part.
    """
    equipment = [
        Equipment(device.name, device.title, device.asset_type, device.name, device.expected_interval_s, "recorded")
        for device in recording.devices
    ]
    with ExitStack() as stack:
        client = stack.enter_context(ConsoleClient(api, token, stop))
        staff = stack.enter_context(Staff(client, api, stop, now))
        known = ensure_equipment(client, plan.site, equipment)
        shift = _shift(recording, known, folder, now())
        logins = ensure_logins(client, known, folder / f"credentials-{recording.name}.json")
        devices = {
            name: stack.enter_context(Device(broker, plan.site, name, stop, login=logins[name])) for name in known
        }
        for name, device in devices.items():
            device.resume_after(last_sequence(client, known[name].device_id) or 0)
        playback = Playback(
            recording,
            site=plan.site,
            shift=shift,
            speed=plan.speed,
            client=client,
            known=known,
            devices=devices,
            now=now,
            stop=stop,
            say=say,
        )
        caretaker = Caretaker(recording, playback, staff) if plan.with_engineer else None
        is_whole = True
        try:
            playback.play(caretaker)
        except (DeviceStopped, Stopped, CannotCarry, StillWaiting) as reason:
            if not stop.is_set():
                raise ReplayRefused(f"{recording.name} cannot go on: {reason}") from reason
            is_whole = False
            playback.say(f"{reason}; the next replay goes on from here")
        else:
            playback.say(f"all {len(recording.rows)} rows are with the service")
        closed = tuple(caretaker.closed) if caretaker else ()
        return Replayed(recording, shift, playback.rows_sent, closed, is_whole)


def _shift(recording: Recording, known: Mapping[str, Registered], folder: Path, now: datetime) -> timedelta:
    """Return the shift of an earlier replay that this one continues, else a new one; it is kept in ``folder``."""
    note = folder / f"replay-{recording.name}.json"
    if note.is_file():
        return timedelta(seconds=json.loads(note.read_text(encoding="utf-8"))["shift_s"])
    fed = sorted(name for name, device in known.items() if device.last_reading_at is not None)
    if fed:
        raise ReplayRefused(
            f"the service holds readings of {', '.join(fed)} already, but {note} does not say how they were shifted; "
            "a second copy would mix with the first. Replay into a fresh data directory"
        )
    shift = time_shift(recording, now)
    folder.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps({"shift_s": shift.total_seconds()}), encoding="utf-8")
    return shift
