"""What a month of a plant is made of, drawn from a seed before it begins: machines, people and faults (SPEC R4).

Nothing here depends on what the service does, so two policies meet the same machines, the same sick days and the same
faults: only what they make of them differs.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
EARTH_RADIUS_KM = 6371.0
# Roads are longer than the straight line.
ROAD_FACTOR = 1.3
ROAD_KM_H = 35.0
GETTING_READY = timedelta(minutes=6)

# Site, name, degrees north and east of the first: the three lie 16 to 25 km apart.
SITES = (("plant-1", "Plant 1", 0.0, 0.0), ("plant-2", "Plant 2", 0.12, 0.10), ("plant-3", "Plant 3", -0.10, 0.22))
LATITUDE, LONGITUDE = 31.3040, 120.7150
ASSET_TYPES = ("motor", "pump", "oven", "gearbox", "hydraulic_rig", "milling")
MACHINES_PER_ENGINEER = 15
FAULTS_PER_ENGINEER_DAY = 1.7
# How a fault begins: the sensors tell of one that comes, or of one that is none; otherwise a person notices it.
SHOWN, FALSE_ALARM = 0.45, 0.12
LINE_STOPS = 0.08
SAME_MODE_RESTS = 6 * DAY
# What engineers can do, with the level they are best at; levels are drawn around it.
PROFILES: tuple[Mapping[str, int], ...] = (
    {"mechanical": 5, "hydraulic": 3},
    {"electrical": 5, "thermal": 4},
    {"mechanical": 3, "hydraulic": 5},
    {"thermal": 4, "electrical": 3, "mechanical": 2},
)
DAY_SHIFT, LATE_SHIFT, WEEKEND_SHIFT = (time(8), 9.5), (time(13), 9.0), (time(8), 9.0)
SICK_ON_A_DAY = 0.02
FORGETFUL = 0.25
FORGETS = 0.2


@dataclass(frozen=True, slots=True)
class MonthPlan:
    """How long, with how many engineers, from which midnight (aware, in the plant's own time zone), by which luck."""

    seed: int
    starts_at: datetime
    days: int = 30
    engineers: int = 8

    @property
    def ends_at(self) -> datetime:
        """When no new faults come any more; what is open is still worked on."""
        return self.starts_at + self.days * DAY


@dataclass(frozen=True, slots=True)
class Place:
    """A position, WGS84 degrees."""

    latitude: float
    longitude: float

    def moved(self, north: float, east: float) -> Place:
        """Return the place so many degrees from here."""
        return Place(self.latitude + north, self.longitude + east)


@dataclass(frozen=True, slots=True)
class Mode:
    """A failure mode of the library: what it asks for, and how many hours after its signs the machine fails."""

    asset_type: str
    code: str
    name: str
    severity: int
    skills: tuple[str, ...]
    window_h: tuple[float, float]
    parts: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine of the plant."""

    tag: str
    site: str
    asset_type: str
    place: Place
    criticality: int


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, its end not in it."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Worker:
    """An engineer: skills 1 to 5, shifts without the sick days, hours without network, and a memory that may fail."""

    login: str
    name: str
    home: Place
    skills: Mapping[str, int]
    shifts: tuple[Span, ...]
    sick: frozenset[date]
    offline: tuple[Span, ...]
    forgets: float

    def is_at_work(self, at: datetime) -> bool:
        """Say whether a shift is on."""
        return any(span.start <= at < span.end for span in self.shifts)

    def at_work_from(self, at: datetime) -> datetime:
        """Return ``at`` within a shift, else the beginning of the next; far away when there is none."""
        begins = [max(span.start, at) for span in self.shifts if span.end > at]
        return min(begins, default=at + 30 * DAY)

    def shift_left(self, at: datetime) -> timedelta:
        """Return how long the shift at this time goes on; nothing between shifts."""
        return next((span.end - at for span in self.shifts if span.start <= at < span.end), timedelta(0))

    def done_at(self, start: datetime, work: timedelta, *, urgent: bool) -> datetime:
        """Return when work is done that goes on in the next shift, unless it is urgent or nearly finished."""
        at = start
        while True:
            left = self.shift_left(at)
            if urgent or work <= left + 45 * MINUTE:
                return at + work
            work -= left
            at = self.at_work_from(at + left)

    def online_from(self, at: datetime) -> datetime:
        """Return when the phone reaches the network."""
        return next((span.end for span in self.offline if span.start <= at < span.end), at)

    def level(self, skills: Sequence[str]) -> float:
        """Return the mean level in these skills; 5 where none is asked for."""
        return sum(self.skills.get(skill, 0) for skill in skills) / len(skills) if skills else 5.0


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one machine. ``shown``: by its sensors. ``fails_at``: when it stops, if nothing is done."""

    number: int
    machine: Machine
    mode: Mode
    begins_at: datetime
    shown: bool
    is_real: bool
    fails_at: datetime
    stops_line: bool


def luck(seed: int, *what: object) -> random.Random:
    """Return the luck of one thing, the same under every policy and whatever happened before."""
    return random.Random(":".join(str(part) for part in (seed, *what)))


def road_km(one: Place, other: Place) -> float:
    """Return the way by road, in kilometres."""
    north = math.radians(other.latitude - one.latitude)
    east = math.radians(other.longitude - one.longitude) * math.cos(math.radians(one.latitude))
    return EARTH_RADIUS_KM * math.hypot(north, east) * ROAD_FACTOR


def travel_time(km: float) -> timedelta:
    """Return how long a way takes."""
    return GETTING_READY + timedelta(hours=km / ROAD_KM_H)


def draw_machines(plan: MonthPlan) -> tuple[Machine, ...]:
    """Return the machines, spread over the sites in turn."""
    found = []
    for number in range(MACHINES_PER_ENGINEER * plan.engineers):
        site, _, north, east = SITES[number % len(SITES)]
        asset_type = ASSET_TYPES[number // len(SITES) % len(ASSET_TYPES)]
        dice = luck(plan.seed, "machine", number)
        place = Place(LATITUDE, LONGITUDE).moved(
            north + round(dice.uniform(-0.01, 0.01), 5), east + round(dice.uniform(-0.01, 0.01), 5)
        )
        criticality = dice.choice((2, 2, 3, 3, 3, 4, 5))
        found.append(Machine(f"{asset_type[:2].upper()}-{number + 1:03}", site, asset_type, place, criticality))
    return tuple(found)


def draw_workers(plan: MonthPlan) -> tuple[Worker, ...]:
    """Return the engineers with everything that will happen to them anyway."""
    return tuple(_draw_worker(plan, number) for number in range(plan.engineers))


def _draw_worker(plan: MonthPlan, number: int) -> Worker:
    dice = luck(plan.seed, "worker", number)
    _, _, north, east = SITES[number % len(SITES)]
    home = Place(LATITUDE, LONGITUDE).moved(
        north + round(dice.uniform(-0.05, 0.05), 5), east + round(dice.uniform(-0.05, 0.05), 5)
    )
    skills = {skill: max(1, level - dice.choice((0, 0, 1, 2))) for skill, level in PROFILES[number % 4].items()}
    sick = _sick_days(plan, number)
    shifts = tuple(_shifts(plan, number, sick))
    forgets = FORGETS if dice.random() < FORGETFUL else 0.0
    return Worker(
        f"month-{number + 1}",
        f"Engineer {number + 1}",
        home,
        skills,
        shifts,
        sick,
        tuple(_offline(plan, number, shifts)),
        forgets,
    )


def _days(plan: MonthPlan) -> list[date]:
    """Return the days that are planned: more than the month, for what is open at its end is worked on."""
    return [plan.starts_at.date() + timedelta(days=offset) for offset in range(plan.days + 30)]


def _sick_days(plan: MonthPlan, number: int) -> frozenset[date]:
    dice = luck(plan.seed, "sick", number)
    found: set[date] = set()
    for day in _days(plan):
        lasts = dice.choice((1, 2))
        if dice.random() < SICK_ON_A_DAY:
            found |= {day + timedelta(days=offset) for offset in range(lasts)}
    return frozenset(found)


def _shifts(plan: MonthPlan, number: int, sick: frozenset[date]) -> list[Span]:
    found = []
    for day in _days(plan):
        hours = _hours(plan, number, day)
        if hours is not None and day not in sick:
            begin = datetime.combine(day, hours[0], plan.starts_at.tzinfo)
            found.append(Span(begin, begin + timedelta(hours=hours[1])))
    return found


def _hours(plan: MonthPlan, number: int, day: date) -> tuple[time, float] | None:
    """Return when the engineer works that day: every fourth late, and a quarter of them each weekend."""
    if day.isoweekday() <= 5:
        return LATE_SHIFT if number % 4 == 3 else DAY_SHIFT
    week = (day - plan.starts_at.date()).days // 7
    return WEEKEND_SHIFT if number % 4 == week % 4 or plan.engineers < 4 else None


def _offline(plan: MonthPlan, number: int, shifts: Sequence[Span]) -> list[Span]:
    dice = luck(plan.seed, "offline", number)
    found = []
    for shift in shifts:
        if dice.random() < 0.5:
            start = shift.start + dice.random() * (shift.end - shift.start)
            found.append(Span(start, start + timedelta(minutes=dice.uniform(10, 90))))
    return found


def draw_faults(plan: MonthPlan, machines: Sequence[Machine], modes: Sequence[Mode]) -> tuple[Fault, ...]:
    """Return the faults of the month in order; one mode of one machine rests some days before it comes again."""
    dice = luck(plan.seed, "faults")
    rate_s = DAY.total_seconds() / (FAULTS_PER_ENGINEER_DAY * plan.engineers)
    last: dict[tuple[str, str], datetime] = {}
    found: list[Fault] = []
    at = plan.starts_at
    while True:
        at += timedelta(seconds=round(dice.expovariate(1 / rate_s)))
        if at >= plan.ends_at:
            return tuple(found)
        machine = dice.choice(machines)
        mode = dice.choice([mode for mode in modes if mode.asset_type == machine.asset_type])
        fault = _draw_fault(plan, len(found) + 1, machine, mode, at)
        key = machine.tag, mode.code
        if at - last.get(key, at - SAME_MODE_RESTS) >= SAME_MODE_RESTS:
            last[key] = at
            found.append(fault)


def _draw_fault(plan: MonthPlan, number: int, machine: Machine, mode: Mode, at: datetime) -> Fault:
    dice = luck(plan.seed, "fault", number)
    kind = dice.random()
    shown = kind < SHOWN + FALSE_ALARM
    is_real = not SHOWN <= kind < SHOWN + FALSE_ALARM
    earliest, latest = mode.window_h
    fails_at = at + timedelta(hours=dice.uniform(max(2.0, earliest), max(6.0, latest))) if shown else at
    stops_line = not shown and dice.random() < LINE_STOPS
    begins_at = at
    if not shown and not stops_line and not 6 <= at.hour < 22:
        # Nobody walks by at night: what does not stop the line is noticed in the morning.
        morning = at.replace(hour=6, minute=0, second=0)
        begins_at = (morning if at.hour < 6 else morning + DAY) + timedelta(minutes=round(dice.uniform(0, 90)))
    return Fault(number, machine, mode, begins_at, shown, is_real, fails_at, stops_line)
