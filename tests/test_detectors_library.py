"""The shipped libraries: valid, complete, and right about the simulated machines."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.closed_loop import ClosedLoop, Machine, Ticket
from detectors.library import Library, RuleDraft, RuleMode, parse_library
from detectors.library_text import library_as_text
from domain.checklists import Task
from domain.events import Event, EventKind, EventSeverity
from domain.failure_modes import (
    EventSign,
    FailureMode,
    FindingSign,
    HistorySign,
    PartAgeSign,
    PartNeed,
    Signature,
)
from domain.findings import Direction, Severity
from domain.refusals import Refused
from domain.regimes import OperatingRegimes
from simulators.fleet import DEFAULT_ACCELERATION, PERIOD_S, ROSTER, Post
from simulators.machine import Phase, WearPlan, generator_of
from storage.library import shipped_libraries

LIBRARIES = {library.asset_type: library for library in shipped_libraries()}
START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
WEARING = [post for post in ROSTER if post.onset_h is not None]
HEALTHY = [post for post in ROSTER if post.onset_h is None]


def test_every_asset_type_that_ships_has_a_library() -> None:
    assert set(LIBRARIES) == {
        "motor",
        "pump",
        "oven",
        "furnace",
        "press",
        "generic",
        "bearing_rig",
        "gearbox",
        "hydraulic_rig",
        "milling",
        "water_rig",
        "turbofan",
    }


def test_rule_names_are_unique_over_all_libraries_and_codes_within_one() -> None:
    names = [rule.name for library in LIBRARIES.values() for rule in library.rules]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("library", LIBRARIES.values(), ids=LIBRARIES.keys())
def test_every_finding_in_a_signature_has_a_rule_that_can_raise_it(library: Library) -> None:
    raised = {(rule.metric, rule.detector) for rule in library.rules}
    asked = {(sign.metric, sign.detector) for mode in library.modes for sign in mode.signature.findings}
    assert asked <= raised


@pytest.mark.parametrize("library", LIBRARIES.values(), ids=LIBRARIES.keys())
def test_every_mode_says_what_to_do_who_can_and_what_it_is_called(library: Library) -> None:
    for mode in library.modes:
        assert mode.tasks
        assert mode.skills
        assert mode.effect_zh


GREASE = 'zh = "检查对中并加注润滑脂"'


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("prior = 0.01", "prior = 0.5"), "prior < watch_probability"),
        (("window_h = [24, 336]", "window_h = [24]"), "window_h"),
        (('detector = "cusum"\nseverity', 'detector = "magic"\nseverity'), "one of the detectors"),
        (('direction = "up"', 'direction = "sideways"'), "direction"),
        (("quantity = 1", "quantity = 0"), "'quantity' of 1 to 10000 in parts 1 'MO-6308' of mode 1 'bearing_wear'"),
        (('code = "bearing_wear"', "code = 7"), "a text 'code'"),
        (("[asset_type]", "[asset_type"), "TOML"),
        (("severity = 7", "severity = 7\nserverity = 8"), "'serverity'"),
        (
            (
                'metric = "vibration_mm_s"\ndetector = "threshold"\nseverity',
                'metric = ""\ndetector = "threshold"\nseverity',
            ),
            "'metric'",
        ),
        (("high = 4.5", "heigh = 4.5"), "in rule 1 'motor.vibration_limit'"),
        ((GREASE, f"{GREASE}, high = 4"), "a unit with the limits of a reading"),
        ((GREASE, f'{GREASE}, unit = "g", low = 9, high = 4'), "limits in order"),
        ((GREASE, f'{GREASE}, unit = "{"g" * 17}"'), "a unit of at most 16"),
        ((GREASE, f'{GREASE}, unit = "g", low = inf'), "'low'"),
        ((GREASE, f'{GREASE}, failure_mode = "bearing_wear"'), "only where a failure opens a ticket"),
        ((GREASE, f'{GREASE}, opens_ticket = true, failure_mode = "rust"'), "of the library; got 'rust'"),
    ],
)
def test_a_library_with_an_error_is_refused_whole(change: tuple[str, str], told: str) -> None:
    text = (files("editions") / "library" / "motor.toml").read_text(encoding="utf-8")
    assert change[0] in text
    with pytest.raises(Refused, match=told):
        parse_library(text.replace(*change))


def lived(post: Post, *, onset_h: float, seconds: float, seed: int = 1) -> tuple[list[Ticket], dict[Phase, datetime]]:
    """Run a simulated machine at the fleet's own pace through its library's rules."""
    machine = post.model(WearPlan(onset_h, post.growth_h), generator_of(seed, post.tag))
    wear_h = PERIOD_S * DEFAULT_ACCELERATION / 3600
    rows: list[dict[str, float]] = []
    times: list[datetime] = []
    events: list[Event] = []
    phases: dict[Phase, datetime] = {}
    for step in range(int(seconds / PERIOD_S)):
        now = START + timedelta(seconds=step * PERIOD_S)
        seen = machine.step(PERIOD_S, wear_h)
        times.append(now)
        rows.append(seen.values)
        phases.setdefault(machine.part.phase, now)
        events += [
            Event(now, EventKind(one.kind), one.code, EventSeverity(one.severity), one.text) for one in seen.happenings
        ]
    readings = pd.DataFrame(rows, index=pd.DatetimeIndex(times))
    library = LIBRARIES[machine.asset_type]
    return ClosedLoop(library, Machine(1, readings, events)).run(), phases


@pytest.mark.parametrize("post", WEARING, ids=lambda post: post.tag)
def test_a_wearing_machine_gets_its_ticket_between_onset_and_failure(post: Post) -> None:
    assert post.onset_h is not None
    tickets, phases = lived(post, onset_h=post.onset_h, seconds=560)
    (ticket,) = tickets
    assert ticket.prediction.failure_mode == post.model(WearPlan(0, 1), generator_of(1, "")).failure_mode
    assert phases[Phase.WEARING] < ticket.opened_at < phases[Phase.FAILED]


def test_the_first_ticket_of_the_fleet_comes_within_two_minutes() -> None:
    post = min(WEARING, key=lambda post: post.onset_h or 0)
    tickets, _ = lived(post, onset_h=post.onset_h or 0, seconds=120)
    assert len(tickets) == 1


@pytest.mark.parametrize("post", HEALTHY, ids=lambda post: post.tag)
def test_a_healthy_machine_gets_no_ticket(post: Post) -> None:
    tickets, _ = lived(post, onset_h=1e9, seconds=1_200)
    assert tickets == []


@pytest.mark.parametrize("library", LIBRARIES.values(), ids=LIBRARIES.keys())
def test_a_shipped_library_written_as_text_reads_back_equal(library: Library) -> None:
    """SPEC P1."""
    assert parse_library(library_as_text(library)) == library


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=30)
WEIGHT = st.floats(-20, 20).map(lambda value: round(value, 3))
FINDING_SIGN = st.builds(
    FindingSign,
    metric=TEXT,
    detector=st.sampled_from(["*", "level", "cusum"]),
    direction=st.sampled_from([None, *Direction]),
    within_h=st.floats(0, 1000),
    log_odds=WEIGHT,
)
EVENT_SIGN = st.builds(
    EventSign,
    code=TEXT,
    within_h=st.floats(0, 1000),
    log_odds=WEIGHT,
    also=st.just(()) | TEXT.map(lambda text: (f"also {text}",)),
)
SIGNATURE = st.builds(
    Signature,
    findings=st.lists(FINDING_SIGN, min_size=1, max_size=3).map(tuple),
    events=st.lists(EVENT_SIGN.filter(lambda sign: sign.code not in sign.also), max_size=3).map(tuple),
    part_age=st.none() | st.builds(PartAgeSign, st.floats(0, 1000), WEIGHT, WEIGHT),
    history=st.just(HistorySign()) | st.builds(HistorySign, WEIGHT, WEIGHT),
)
RATING = st.none() | st.integers(1, 10)
TASK = st.builds(Task, TEXT, TEXT) | st.builds(
    Task,
    TEXT,
    TEXT,
    unit=st.sampled_from(["mm/s", "°C"]),
    low_limit=st.none() | st.floats(-1e6, 0),
    high_limit=st.none() | st.floats(0, 1e6),
    opens_ticket=st.booleans(),
)
PART = st.builds(PartNeed, TEXT, TEXT, TEXT, st.integers(1, 9), st.floats(0.01, 1))
MODE = st.builds(
    FailureMode,
    code=st.from_regex(r"[a-z0-9_.-]{1,12}", fullmatch=True),
    asset_type=st.just("mill"),
    name_en=TEXT,
    name_zh=TEXT,
    effect_en=TEXT,
    effect_zh=TEXT,
    severity=st.integers(1, 10),
    component=TEXT,
    prior=st.floats(0.001, 0.01),
    watch_probability=st.floats(0.02, 0.3),
    ticket_probability=st.floats(0.4, 0.99),
    window_from_h=st.floats(0, 10),
    window_to_h=st.floats(11, 1000),
    skills=st.lists(TEXT, max_size=2).map(tuple),
    tasks=st.lists(TASK, max_size=2).map(tuple),
    parts=st.lists(PART, max_size=2, unique_by=lambda part: part.number).map(tuple),
    signature=SIGNATURE,
    cause_en=st.just("Worn"),
    cause_zh=TEXT,
    occurrence=RATING,
    detection=RATING,
)
RULE = st.builds(
    RuleDraft,
    name=st.from_regex(r"[a-z0-9_.-]{1,12}", fullmatch=True),
    asset_type=st.sampled_from([None, "mill"]),
    metric=TEXT,
    detector=st.just("level"),
    parameters=st.fixed_dictionaries({"high": st.floats(1.01, 9)}, optional={"latch": st.booleans()}),
    severity=st.sampled_from(Severity),
    mode=st.sampled_from(RuleMode),
)
REGIMES = st.none() | st.builds(
    OperatingRegimes,
    TEXT,
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=7, unique=True).map(lambda edges: tuple(sorted(edges))),
    st.floats(0, 1000),
)
LIBRARY = st.builds(
    Library,
    asset_type=st.just("mill"),
    name_en=TEXT,
    name_zh=TEXT,
    modes=st.lists(MODE, max_size=3, unique_by=lambda mode: mode.code).map(tuple),
    rules=st.lists(RULE, max_size=3, unique_by=lambda rule: rule.name).map(tuple),
    regimes=REGIMES,
)


@given(LIBRARY)
def test_any_library_written_as_text_reads_back_equal(library: Library) -> None:
    assert parse_library(library_as_text(library)) == library


@given(library=LIBRARY.filter(lambda library: library.modes), data=st.data())
def test_tasks_that_name_a_mode_of_the_library_read_back_equal(library: Library, data: st.DataObject) -> None:
    first, *others = library.modes
    code = data.draw(st.sampled_from([mode.code for mode in library.modes]))
    named = replace(first, tasks=(Task("Listen", "听音", opens_ticket=True, failure_mode=code),))
    changed = replace(library, modes=(named, *others))
    assert parse_library(library_as_text(changed)) == changed


@given(st.text(max_size=60) | st.sampled_from(["[" * 5000, "x = {}", '[asset_type]\nid = "A"']))
def test_whatever_is_given_as_a_library_is_read_or_refused(text: str) -> None:
    with pytest.raises(Refused):
        parse_library(text)
