"""A fleet of simulated machines that age, fail, report, and are repaired when their tickets close (SPEC R1).

One thread steps all machines at a fixed rate and publishes what their sensors show. Steps have a fixed length
whatever the wall clock does, so a run is repeatable from its seed. The truth goes beside as JSON lines.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TextIO

import numpy as np

from simulators.console_client import ConsoleClient
from simulators.device import Device, DeviceStopped
from simulators.faults import Fault, FaultOrder, Sample, disturb, faults_of
from simulators.machine import Happening, Machine, Phase, WearPlan, generator_of
from simulators.motor import Motor
from simulators.oven import Oven
from simulators.pump import Pump
from simulators.register import Equipment, ensure_equipment, ensure_logins, last_sequence
from simulators.waveform import Vibrating

PERIOD_S = 0.5
# One second of wall time is ten hours of wear: a month of it shows in a little over a minute.
DEFAULT_ACCELERATION = 36_000.0
SAVE_EVERY_STEPS = 20

# A part fitted in a repair, and those of the healthy siblings, last this long (hours of wear, drawn evenly).
REPLACEMENT_ONSET_H = (9_000.0, 18_000.0)
HEALTHY_ONSET_H = (80_000.0, 160_000.0)


@dataclass(frozen=True, slots=True)
class Post:
    """A machine of the roster: its tag, name and model, and when its first part wears out.

    ``onset_h`` None stands for a healthy sibling: whatever is raised on it soon after the start is a false alarm.
    """

    tag: str
    name: str
    model: Callable[[WearPlan, np.random.Generator], Machine]
    onset_h: float | None
    growth_h: float


ROSTER: tuple[Post, ...] = (
    Post("M-101", "Motor, conveyor 1", Motor, None, 400.0),
    Post("M-102", "Motor, conveyor 2", Motor, 650.0, 400.0),
    Post("M-103", "Motor, conveyor 3", Motor, None, 400.0),
    Post("P-201", "Cooling water pump 1", Pump, 2_400.0, 600.0),
    Post("P-202", "Cooling water pump 2", Pump, None, 600.0),
    Post("O-301", "Curing oven 1", Oven, 4_200.0, 900.0),
    Post("O-302", "Curing oven 2", Oven, None, 900.0),
)


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """How a fleet runs: ``acceleration`` is hours of wear per hour of wall time; ``period_s`` the sampling.

    Machines with an accelerometer send a block of their vibration every ``waveform_every_s`` seconds; 0: never.
    """

    site: str = "plant-1"
    seed: int = 1
    acceleration: float = DEFAULT_ACCELERATION
    period_s: float = PERIOD_S
    faults: tuple[FaultOrder, ...] = ()
    roster: tuple[Post, ...] = ROSTER
    waveform_every_s: float = 0.0

    def __post_init__(self) -> None:
        if self.acceleration <= 0 or self.period_s <= 0:
            raise ValueError(f"acceleration and period_s must be above 0, got {self.acceleration} and {self.period_s}")
        if self.waveform_every_s < 0:
            raise ValueError(f"waveform_every_s must not be below 0, got {self.waveform_every_s}")
        tags = [post.tag for post in self.roster]
        strangers = sorted({order.device for order in self.faults} - set(tags))
        if strangers:
            raise ValueError(f"faults are ordered for {', '.join(strangers)}; the fleet has {', '.join(tags)}")


class Truth:
    """What really happened, one JSON object a line: {"at", "asset", "phase" | "repaired", "mode", "damage"}."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, at: datetime, **facts: str | float) -> None:
        """Append one line at once, so that a killed fleet leaves a whole file."""
        self._stream.write(json.dumps({"at": at.isoformat(), **facts}) + "\n")
        self._stream.flush()


class Unit:
    """One machine of the fleet with its device: it steps, reports, stands still for work, and is repaired."""

    def __init__(self, post: Post, plan: FleetPlan, truth: Truth, saved: SavedUnit | None) -> None:
        self.post = post
        self._truth = truth
        self._steps = saved.steps if saved else 0
        # Blocks are counted in steps, so that a run is repeatable; 0 for never.
        self._block_steps = math.ceil(plan.waveform_every_s / plan.period_s)
        self._repairs = saved.repairs if saved else 0
        self._rng = generator_of(plan.seed, post.tag, self._steps)
        self._faults: list[Fault] = faults_of(post.tag, plan.faults, self._rng)
        onset_h = saved.onset_h if saved else post.onset_h
        if onset_h is None:
            onset_h = float(self._rng.uniform(*HEALTHY_ONSET_H))
        self._machine = post.model(WearPlan(onset_h, post.growth_h), self._rng)
        self._machine.part.age(saved.age_h if saved else 0.0)
        self._phase: Phase | None = saved.phase if saved else None
        # Tickets under whose work the machine is locked out, and those whose end is known: notices may come late.
        self._work: set[str] = set(saved.work if saved else ())
        self._closed: set[str] = set()

    def step(self, device: Device, now: datetime, dt_s: float, wear_h: float) -> None:
        """Take in notices, run one step and publish what shows. A machine that is worked on is silent."""
        for notice in device.ticket_notices():
            self._hear(device, notice, now)
        self._steps += 1
        if self._work:
            return
        seen = self._machine.step(dt_s, wear_h)
        self._note_phase(now)
        sample = Sample(now, device.next_sequence(), seen.values)
        for disturbed in disturb(self._faults, [sample]):
            device.publish_samples([disturbed])
        for happening in seen.happenings:
            _report(device, now, happening)
        if self._block_steps and self._steps % self._block_steps == 0 and isinstance(self._machine, Vibrating):
            waveform = self._machine.waveform()
            device.publish_waveform(now - timedelta(seconds=waveform.length_s), waveform)

    def saved(self) -> SavedUnit:
        """What must be kept so that a fleet that starts again goes on with the same wear."""
        part = self._machine.part
        phase = self._phase or Phase.HEALTHY
        return SavedUnit(self._steps, self._repairs, part.age_h, part.plan.onset_h, phase, tuple(sorted(self._work)))

    def _hear(self, device: Device, notice: dict[str, object], now: datetime) -> None:
        code, state = str(notice.get("code")), notice.get("state")
        if state == "executing" and code not in self._closed:
            if not self._work:
                _report(device, now, Happening("state", "maintenance", "info", f"Locked out for ticket {code}"))
            self._work.add(code)
        elif state == "closed" and code not in self._closed:
            self._closed.add(code)
            self._work.discard(code)
            if notice.get("outcome") == "repaired":
                self._repair(now, code)
            if not self._work:
                _report(device, now, Happening("state", "running", "info", f"Released after ticket {code}"))

    def _repair(self, now: datetime, code: str) -> None:
        self._repairs += 1
        onset_h = float(self._rng.uniform(*REPLACEMENT_ONSET_H))
        self._machine.part.replace(WearPlan(onset_h, self.post.growth_h))
        self._truth.write(now, asset=self.post.tag, repaired=code, mode=self._machine.failure_mode)
        self._note_phase(now)

    def _note_phase(self, now: datetime) -> None:
        phase = self._machine.part.phase
        if phase is not self._phase:
            self._phase = phase
            damage = round(self._machine.part.damage, 4)
            mode = self._machine.failure_mode
            self._truth.write(now, asset=self.post.tag, phase=phase.value, mode=mode, damage=damage)


@dataclass(frozen=True, slots=True)
class SavedUnit:
    """The wear of one machine between two runs of the fleet."""

    steps: int
    repairs: int
    age_h: float
    onset_h: float
    phase: Phase
    work: tuple[str, ...]


def run_fleet(
    plan: FleetPlan,
    *,
    api: str,
    token: str,
    broker: str,
    folder: Path,
    now: Callable[[], datetime],
    stop: threading.Event,
    say: Callable[[str], None],
) -> None:
    """Register the fleet where it is absent, then run it until ``stop`` is set.

    In ``folder`` it writes ``truth.jsonl`` (what really happened) and ``fleet.json`` (the wear, so that the next
    run goes on from there). ``say`` gets a line of progress for people.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ConsoleClient(api, token, stop) as client:
        known = ensure_equipment(client, plan.site, [_equipment(post, plan.period_s) for post in plan.roster])
        logins = ensure_logins(client, known, folder / "credentials.json")
        sequences = {tag: last_sequence(client, device.device_id) or 0 for tag, device in known.items()}
    say(f"{len(plan.roster)} simulated machines report every {plan.period_s:g} s and age {plan.acceleration:g}x")
    saved = _load(folder / "fleet.json")
    with ExitStack() as stack:
        truth = Truth(stack.enter_context((folder / "truth.jsonl").open("a", encoding="utf-8")))
        crew = [
            (
                Unit(post, plan, truth, saved.get(post.tag)),
                stack.enter_context(Device(broker, plan.site, post.tag, stop, listen=True, login=logins[post.tag])),
            )
            for post in plan.roster
        ]
        for unit, device in crew:
            device.resume_after(sequences[unit.post.tag])
        try:
            _run(crew, plan, folder / "fleet.json", now, stop)
        except DeviceStopped:
            pass
        finally:
            _save(folder / "fleet.json", [unit for unit, _ in crew])


def _run(
    crew: Sequence[tuple[Unit, Device]],
    plan: FleetPlan,
    state: Path,
    now: Callable[[], datetime],
    stop: threading.Event,
) -> None:
    wear_h = plan.period_s * plan.acceleration / 3600
    due = now()
    for step in range(1, 1 << 62):
        for unit, device in crew:
            unit.step(device, now(), plan.period_s, wear_h)
        if step % SAVE_EVERY_STEPS == 0:
            _save(state, [unit for unit, _ in crew])
        due += timedelta(seconds=plan.period_s)
        late_s = (now() - due).total_seconds()
        if late_s > plan.period_s:
            # After a stall (a suspended machine, a broker that was away) go on from here, without a rush.
            due = now()
        if stop.wait(max(0.0, -late_s)):
            return


def _report(device: Device, now: datetime, happening: Happening) -> None:
    device.publish_event(
        now, kind=happening.kind, code=happening.code, severity=happening.severity, text=happening.text
    )


def _equipment(post: Post, period_s: float) -> Equipment:
    # The models are classes that carry their asset type.
    asset_type = str(getattr(post.model, "asset_type", "generic"))
    return Equipment(post.tag, post.name, asset_type, post.tag, period_s, "live")


def _load(path: Path) -> dict[str, SavedUnit]:
    if not path.is_file():
        return {}
    saved = json.loads(path.read_text(encoding="utf-8"))
    return {
        tag: SavedUnit(
            unit["steps"],
            unit["repairs"],
            unit["age_h"],
            unit["onset_h"],
            Phase(unit["phase"]),
            tuple(unit["work"]),
        )
        for tag, unit in saved.items()
    }


def _save(path: Path, units: Sequence[Unit]) -> None:
    kept = {unit.post.tag: unit.saved() for unit in units}
    body = {
        tag: {
            "steps": unit.steps,
            "repairs": unit.repairs,
            "age_h": unit.age_h,
            "onset_h": unit.onset_h,
            "phase": unit.phase.value,
            "work": list(unit.work),
        }
        for tag, unit in kept.items()
    }
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(body), encoding="utf-8")
    partial.replace(path)
