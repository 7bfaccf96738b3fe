"""Damaged bearing parts are named by their fault frequencies, and healthy ones are left in peace (SPEC D4)."""

from __future__ import annotations

import doctest
import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors import bearings
from detectors.bearings import (
    BearingGeometry,
    FaultOrders,
    FittedBearing,
    Part,
    PartEvidence,
    TurningBearing,
    Verdict,
    examine,
    healthy_limits,
    identify,
)
from detectors.envelope import envelope_spectrum
from detectors.spectrum import Lines
from detectors.vibration import DEFAULT_SETTINGS, features
from domain.waveforms import WaveformBlock
from ingest.decoders.waveform import to_samples
from simulators.machine import WearPlan
from simulators.motor import Motor
from simulators.waveform import BALL_TO_PITCH, BALLS

RATE_HZ, COUNT = 25_600.0, 25_600
SECONDS = np.arange(COUNT) / RATE_HZ
SPEED_RPM = 1_772.0
SHAFT_HZ = SPEED_RPM / 60
DEEP_GROOVE = BearingGeometry(9, 7.94, 39.04)
BEARING = TurningBearing(DEEP_GROOVE.orders(), SPEED_RPM)
TEETH = 23


def sound(seed: int) -> NDArray[np.float64]:
    """A healthy machine: noise, unbalance, and a gear whose mesh is modulated by the shaft: a distractor."""
    random = np.random.default_rng(seed)
    swell = 1 + 0.3 * np.cos(2 * np.pi * SHAFT_HZ * SECONDS + random.uniform(0, 6))
    # The sixth harmonic of the mesh lies within the band of the envelope.
    mesh = 2 * np.sin(2 * np.pi * TEETH * SHAFT_HZ * SECONDS) + 0.5 * np.sin(2 * np.pi * 6 * TEETH * SHAFT_HZ * SECONDS)
    return 0.5 * random.standard_normal(COUNT) + 3 * np.sin(2 * np.pi * SHAFT_HZ * SECONDS) + swell * mesh


def damaged(part: Part, seed: int, *, force: float = 1.0, slip: float = 0.005) -> NDArray[np.float64]:
    """The same machine with a spall on one part: knocks that ring, at a frequency up to 0.8 % off the computed one."""
    random = np.random.default_rng(10_000 + seed)
    # A ball meets both races in a turn; what turns with shaft or cage is loaded once a turn of it.
    times = 2 if part is Part.ROLLING_ELEMENT else 1
    swells_at = {Part.INNER_RACE: SHAFT_HZ, Part.ROLLING_ELEMENT: BEARING.orders.ftf * SHAFT_HZ}.get(part)
    every_hz = BEARING.orders.of(part) * SHAFT_HZ * times * (1 + random.uniform(-0.008, 0.008))
    starts = np.cumsum((1 + slip * random.standard_normal(int(every_hz * 1.3) + 5)) / every_hz)
    starts = starts[starts < 1]
    struck = np.zeros(COUNT)
    swell = 0.0 if swells_at is None else 0.7 * np.cos(2 * np.pi * swells_at * starts)
    np.add.at(struck, (starts * RATE_HZ).astype(int), force * (1 + swell))
    ring = np.exp(-SECONDS[:600] * 900) * np.sin(2 * np.pi * 5_200 * SECONDS[:600])
    return sound(seed) + np.convolve(struck, ring)[:COUNT]


def seen(signal: NDArray[np.float64], bearing: TurningBearing = BEARING) -> dict[Part, PartEvidence]:
    lines = envelope_spectrum(signal.astype("<f4"), RATE_HZ, DEFAULT_SETTINGS.envelope_band)
    assert lines is not None
    return examine(lines, bearing)


@pytest.fixture(scope="module")
def limits() -> dict[Part, float]:
    return healthy_limits([seen(sound(seed)) for seed in range(20)])


def test_the_docstrings_example_holds() -> None:
    assert doctest.testmod(bearings).failed == 0


def test_fault_orders_of_a_deep_groove_bearing_are_those_of_the_literature() -> None:
    """A 6205: 5.4152, 3.5848, 0.39828 in the tables of Case Western Reserve University; 4.7135 is twice the spin."""
    orders = DEEP_GROOVE.orders()
    assert [orders.bpfi, orders.bpfo, orders.ftf, 2 * orders.bsf] == pytest.approx(
        [5.4152, 3.5848, 0.39828, 4.7135], rel=2e-4
    )


@given(
    elements=st.integers(3, 60),
    ball_mm=st.floats(0.5, 50),
    clearance=st.floats(1.05, 20),
    angle=st.floats(0, 80),
)
def test_the_races_share_the_passes_between_them(elements: int, ball_mm: float, clearance: float, angle: float) -> None:
    """Whatever the geometry: BPFO + BPFI = n, and the cage passes n elements by the outer race."""
    try:
        orders = BearingGeometry(elements, ball_mm, ball_mm * clearance, angle).orders()
    except ValueError:
        assert clearance * 0.5 > 100 or elements > 100, "only orders beyond 100 are refused"
        return
    assert orders.bpfo + orders.bpfi == pytest.approx(elements)
    assert elements * orders.ftf == pytest.approx(orders.bpfo)
    assert orders.bsf < clearance / 2


@pytest.mark.parametrize("part", [Part.OUTER_RACE, Part.INNER_RACE, Part.ROLLING_ELEMENT])
@pytest.mark.parametrize("slip", [0.0, 0.01])
def test_each_damaged_part_is_named_right_under_a_gear(part: Part, slip: float, limits: dict[Part, float]) -> None:
    """SPEC D4."""
    verdicts = [identify(seen(damaged(part, seed, slip=slip)), limits) for seed in range(10)]
    assert [verdict.part for verdict in verdicts] == [part] * 10
    assert all(verdict.evidence[part].ratio > limits[part] for verdict in verdicts)


def test_a_broken_cage_is_named_when_it_knocks_hard(limits: dict[Part, float]) -> None:
    """Not always first: six times the cage's frequency is 1.4 % from this bearing's ball spin."""
    verdicts = [identify(seen(damaged(Part.CAGE, seed, force=4.0)), limits) for seed in range(10)]
    assert all(verdict.evidence[Part.CAGE].ratio > limits[Part.CAGE] for verdict in verdicts)
    assert sum(verdict.part is Part.CAGE for verdict in verdicts) >= 8


def test_a_healthy_machine_is_told_to_have_no_damage(limits: dict[Part, float]) -> None:
    """SPEC D4: plainly "none", with the evidence all the same."""
    verdicts = [identify(seen(sound(seed)), limits) for seed in range(100, 160)]
    assert {verdict.name for verdict in verdicts} == {"none"}
    assert set(verdicts[0].evidence) == set(Part)
    assert verdicts[0].in_words().startswith("none: no part is above its limit (bpfo ")


def test_a_gear_that_grows_five_times_louder_is_no_bearing_damage(limits: dict[Part, float]) -> None:
    """Its lines in the envelope are whole orders of the shaft, which are left out."""
    for seed in range(200, 220):
        random = np.random.default_rng(seed)
        swell = sum(np.cos(2 * np.pi * turns * SHAFT_HZ * SECONDS + random.uniform(0, 6)) for turns in range(1, 20))
        louder = sound(seed) + 0.5 * swell * np.sin(2 * np.pi * 6 * TEETH * SHAFT_HZ * SECONDS)
        assert identify(seen(louder), limits).part is None


def test_the_evidence_says_where_the_lines_were_found(limits: dict[Part, float]) -> None:
    verdict = identify(seen(damaged(Part.OUTER_RACE, 3, force=2.0)), limits)
    told = verdict.evidence[Part.OUTER_RACE]
    assert told.frequency_hz == pytest.approx(BEARING.orders.bpfo * SHAFT_HZ)
    assert len(told.found_hz) == len(told.ratios) == 3
    for harmonic, found_hz in enumerate(told.found_hz, start=1):
        assert found_hz == pytest.approx(harmonic * told.frequency_hz, rel=bearings.SEARCH, abs=1.0)
    assert told.ratio == pytest.approx(math.prod(told.ratios) ** (1 / 3))
    assert verdict.in_words().startswith(
        f"outer race: bpfo {told.ratio:.1f} above {verdict.limits[Part.OUTER_RACE]:.1f}"
    )


def test_a_line_further_off_than_slip_explains_is_not_taken_for_the_bearing(limits: dict[Part, float]) -> None:
    other = TurningBearing(BEARING.orders, SPEED_RPM * 1.04)
    assert identify(seen(damaged(Part.OUTER_RACE, 3, force=2.0), other), limits).part is not Part.OUTER_RACE
    assert identify(seen(damaged(Part.OUTER_RACE, 3, force=2.0)), limits).part is Part.OUTER_RACE


def test_one_strong_foreign_line_does_not_make_a_comb(limits: dict[Part, float]) -> None:
    lines = envelope_spectrum(sound(1).astype("<f4"), RATE_HZ, DEFAULT_SETTINGS.envelope_band)
    assert lines is not None
    amplitude = lines.amplitude.copy()
    amplitude[round(BEARING.orders.bpfo * SHAFT_HZ) - 1] = 8 * float(np.median(amplitude[:1_000]))
    told = examine(Lines(lines.frequency_hz, amplitude), BEARING)[Part.OUTER_RACE]
    assert max(told.ratios) > 2 * limits[Part.OUTER_RACE] > 2 * told.ratio * 0.9


def test_limits_are_a_margin_above_the_highest_healthy_block_and_never_in_the_noise() -> None:
    def block(ratio: float) -> dict[Part, PartEvidence]:
        return {Part.OUTER_RACE: PartEvidence(100.0, (100.0, 200.0), (ratio, ratio), ratio)}

    assert healthy_limits([block(2.0), block(5.0), block(3.0)]) == {Part.OUTER_RACE: pytest.approx(6.0)}
    assert healthy_limits([block(1.1)]) == {Part.OUTER_RACE: bearings.LEAST_LIMIT}
    assert healthy_limits([]) == {}
    assert identify(block(50.0), {}) == Verdict(None, block(50.0), {}), "without a baseline there is no verdict"
    assert identify(block(6.0), healthy_limits([block(5.0)])).part is None, "the limit itself is not above it"


def test_parts_beyond_the_spectrum_are_left_out() -> None:
    """At 60,000 rpm three harmonics of the races lie above the envelope's band; two of the cage do not."""
    found = seen(sound(1), TurningBearing(BEARING.orders, 60_000.0))
    assert Part.INNER_RACE not in found
    assert Part.CAGE in found
    crawling = seen(sound(1), TurningBearing(BEARING.orders, 1.0))
    assert crawling == {}


@settings(max_examples=60)
@given(
    orders=st.tuples(*[st.floats(0.01, 100)] * 4),
    speed_rpm=st.floats(1e-3, 1e6),
    amplitude=st.sampled_from(["zero", "flat", "noise", "dust"]),
)
def test_every_ratio_is_a_finite_number_above_zero(
    orders: tuple[float, float, float, float], speed_rpm: float, amplitude: str
) -> None:
    heights = {
        "zero": np.zeros(500),
        "flat": np.ones(500),
        "noise": np.abs(np.random.default_rng(1).standard_normal(500)),
        "dust": np.where(np.arange(500) % 7 == 0, 1e-300, 1e-308),
    }
    lines = Lines(np.arange(1, 501) * 2.0, heights[amplitude])
    found = examine(lines, TurningBearing(FaultOrders(*orders), speed_rpm))
    assert all(math.isfinite(one.ratio) and one.ratio > 0 for one in found.values())


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: BearingGeometry(2, 8, 40),
        lambda: BearingGeometry(9, 0, 40),
        lambda: BearingGeometry(9, 40, 40),
        lambda: BearingGeometry(9, 8, math.nan),
        lambda: BearingGeometry(9, 8, 40, 90),
        lambda: FaultOrders(0, 1, 1, 1),
        lambda: FaultOrders(1, math.nan, 1, 1),
        lambda: TurningBearing(BEARING.orders, 0.0),
        lambda: TurningBearing(BEARING.orders, math.inf),
    ],
)
def test_a_bearing_that_cannot_be_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="got"):
        wrong()  # type: ignore[operator]


# As features


def test_features_of_a_block_have_the_ratios_where_the_bearing_is_known() -> None:
    """SPEC D4, E3: and nothing else changes."""
    block = WaveformBlock(0, "de", "m/s2", RATE_HZ, damaged(Part.INNER_RACE, 1).astype("<f4").tobytes())
    plain, known = features(block), features(block, bearing=BEARING)
    assert {name: known[name] for name in plain} == plain
    added = {name: value for name, value in known.items() if name not in plain}
    assert set(added) == {"bpfo", "bpfi", "bsf", "ftf"}
    assert added["bpfi"] > 5 > added["bpfo"]


@pytest.mark.parametrize("signal", [np.full(COUNT, 2.0), np.sin(2 * np.pi * 5_000 * SECONDS)], ids=["still", "a tone"])
def test_a_signal_without_an_envelope_has_no_ratio_of_dust_to_dust(signal: NDArray[np.float64]) -> None:
    block = WaveformBlock(0, "de", "m/s2", RATE_HZ, signal.astype("<f4").tobytes())
    assert "bpfo" not in features(block, bearing=BEARING)


def test_the_speed_of_the_block_counts_before_the_usual_one_and_standstill_has_no_fault_frequency() -> None:
    raw = damaged(Part.OUTER_RACE, 1).astype("<f4").tobytes()

    def ratios(said_rpm: float | None, usual_rpm: float | None, metric: str = "de") -> dict[str, float]:
        block = WaveformBlock(0, metric, "m/s2", RATE_HZ, raw, said_rpm)
        (sample,) = to_samples([block], bearings={"de": FittedBearing(BEARING.orders, usual_rpm)})
        return {name: value for name, value in sample.values.items() if name.endswith((".bpfo", ".ftf"))}

    right = ratios(SPEED_RPM, None)
    assert right["de.bpfo"] > 4
    assert ratios(None, SPEED_RPM) == right == ratios(SPEED_RPM, 3_000.0)
    assert ratios(3_000.0, SPEED_RPM)["de.bpfo"] < 4
    assert ratios(0.0, SPEED_RPM) == {} == ratios(None, None) == ratios(SPEED_RPM, SPEED_RPM, "nde")


def test_the_simulated_motor_shows_its_outer_race_long_before_it_fails() -> None:
    """SPEC R1: its bearing has 8 balls, 0.24 of the pitch diameter wide; blocks tell the shaft's speed."""
    fitted = FittedBearing(BearingGeometry(BALLS, BALL_TO_PITCH, 1.0).orders())
    ratios = []
    for age_h in (100.0, 1_200.0):
        motor = Motor(WearPlan(1_000.0, 400.0), np.random.default_rng(4))
        motor.part.age(age_h)
        sent = motor.waveform()
        block = WaveformBlock(0, sent.metric, sent.unit, sent.rate_hz, sent.samples.tobytes(), sent.speed_rpm)
        found = features(block, bearing=fitted.turning(block.speed_rpm))
        ratios.append(found["bpfo"])
    assert ratios[1] > 2 * ratios[0]
    assert sum(astuple(fitted.orders)[:2]) == pytest.approx(BALLS)
