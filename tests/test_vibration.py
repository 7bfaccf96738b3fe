"""Features of vibration blocks against closed forms and plain computations: right, finite, and in time (SPEC D4)."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from detectors import vibration
from detectors.envelope import envelope_spectrum, strongest
from detectors.spectrum import Lines, amplitude_spectrum
from detectors.vibration import DEFAULT_SETTINGS, FeatureSettings, features
from domain.waveforms import WaveformBlock

RATE_HZ, COUNT = 25_600.0, 25_600
SECONDS = np.arange(COUNT) / RATE_HZ


def a_block(signal: NDArray[np.floating], unit: str = "m/s2", rate_hz: float = RATE_HZ) -> WaveformBlock:
    return WaveformBlock(0, "drive_end", unit, rate_hz, np.asarray(signal, dtype="<f4").tobytes())


def a_sine(frequency_hz: float, amplitude: float = 1.0, phase: float = 0.3) -> NDArray[np.float64]:
    return amplitude * np.sin(2 * np.pi * frequency_hz * SECONDS + phase)


def knocks(
    every_hz: float, seed: int, *, noise: float = 0.5, rings_hz: float = 5_200.0, slip: float = 0.01
) -> NDArray[np.float64]:
    """A spalled race: knocks with a little slip that make the housing ring, under shaft lines and noise."""
    random = np.random.default_rng(seed)
    periods = (1 + slip * random.standard_normal(int(every_hz) + 2)) / every_hz
    starts = (np.cumsum(periods) * RATE_HZ).astype(int)
    struck = np.zeros(COUNT)
    struck[starts[starts < COUNT]] = 1.0
    ring = np.exp(-SECONDS[:600] * 900) * np.sin(2 * np.pi * rings_hz * SECONDS[:600])
    return 3 * np.convolve(struck, ring)[:COUNT] + a_sine(24.7, 4.0) + noise * random.standard_normal(COUNT)


def test_the_docstrings_example_holds() -> None:
    result = doctest.testmod(vibration)
    assert (result.failed, result.attempted) == (0, 4)


def test_moments_agree_with_a_plain_computation_that_knows_nothing_of_ours() -> None:
    signal = np.asarray(knocks(87.3, 4) + 2.5, dtype="<f4").astype(np.float64)
    found = features(a_block(signal))
    deviations = signal - np.mean(signal)
    assert found["rms"] == pytest.approx(np.std(signal), rel=1e-9)
    assert found["peak"] == pytest.approx(np.max(np.abs(deviations)), rel=1e-9)
    assert found["crest"] == pytest.approx(np.max(np.abs(deviations)) / np.std(signal), rel=1e-9)
    assert found["kurtosis"] == pytest.approx(stats.kurtosis(signal, fisher=False), rel=1e-9)


@pytest.mark.parametrize("frequency_hz", [12.6, 50.0, 100.0, 100.37, 997.5])
def test_the_velocity_of_a_known_acceleration_is_exact(frequency_hz: float) -> None:
    """SPEC D4, ISO 20816: v = a / (2 pi f), whether the block holds whole turns or not."""
    acceleration_m_s2 = 5.0
    expected = 1000 * acceleration_m_s2 / math.sqrt(2) / (2 * math.pi * frequency_hz)
    found = features(a_block(a_sine(frequency_hz, acceleration_m_s2)))["velocity_rms_mm_s"]
    # The window spreads the line over neighbouring bins of 1 Hz, each divided by its own frequency.
    assert found == pytest.approx(expected, rel=0.55 / frequency_hz**2 + 3e-5)


@pytest.mark.parametrize(
    ("unit", "per_unit"), [("m/s2", 1.0), ("M/S²", 1.0), ("g", 9.80665), ("mg", 0.00980665), ("mm/s2", 0.001)]
)
def test_units_of_acceleration_are_told_apart(unit: str, per_unit: float) -> None:
    found = features(a_block(a_sine(200.0), unit))["velocity_rms_mm_s"]
    assert found == pytest.approx(per_unit * 1000 / math.sqrt(2) / (2 * math.pi * 200), rel=1e-4)


def test_a_velocity_is_taken_as_it_is_and_an_unknown_unit_has_none() -> None:
    assert features(a_block(a_sine(200.0), "mm/s"))["velocity_rms_mm_s"] == pytest.approx(1 / math.sqrt(2), rel=1e-4)
    assert features(a_block(a_sine(200.0), "in/s"))["velocity_rms_mm_s"] == pytest.approx(25.4 / math.sqrt(2), rel=1e-4)
    assert "velocity_rms_mm_s" not in features(a_block(a_sine(200.0), "V"))


def test_what_lies_outside_10_to_1000_hz_is_no_part_of_the_velocity() -> None:
    inside = features(a_block(a_sine(100.37)))["velocity_rms_mm_s"]
    outside = a_sine(3.1, 5.0) + a_sine(1_500.4, 80.0) + 9.81 + 0.5 * SECONDS
    assert features(a_block(a_sine(100.37) + outside))["velocity_rms_mm_s"] == pytest.approx(inside, rel=0.01)


@pytest.mark.parametrize(("rate_hz", "count"), [(1_999.0, 4_000), (25_600.0, 6_000), (25_600.0, 16)])
def test_a_block_too_slow_or_too_short_for_the_iso_band_has_no_velocity(rate_hz: float, count: int) -> None:
    block = a_block(np.sin(np.arange(count) * 0.37), rate_hz=rate_hz)
    assert "velocity_rms_mm_s" not in features(block)


def test_bands_of_steady_noise_add_up_to_its_mean_square_and_a_line_falls_into_its_band() -> None:
    signal = np.random.default_rng(2).standard_normal(COUNT)
    settings = FeatureSettings(band_edges_hz=(3.0, 40.0, 160.0, 640.0, 2_560.0, 10_240.0, 12_801.0))
    found = features(a_block(signal), settings)
    total = sum(found[f"band_{number}"] ** 2 for number in range(1, 7))
    assert total == pytest.approx(found["rms"] ** 2, rel=0.03)
    line = features(a_block(a_sine(300.4, 2.0)))
    assert line["band_3"] == pytest.approx(math.sqrt(2), rel=1e-3)
    assert max(line["band_1"], line["band_2"], line["band_4"], line["band_5"]) < 1e-3


def test_bands_beyond_half_the_sampling_rate_are_left_out() -> None:
    found = features(a_block(np.sin(np.arange(4_000) * 0.37), rate_hz=2_000.0))
    assert [name for name in found if name.startswith("band_")] == ["band_1", "band_2", "band_3", "band_4"]


@pytest.mark.parametrize("every_hz", [38.7, 87.3, 161.0, 236.4, 296.9])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_envelope_finds_how_often_a_bearing_knocks_within_one_bin(every_hz: float, seed: int) -> None:
    """SPEC D4: under a shaft line and noise, and with slip; one of its lines is the fault frequency itself."""
    found = features(a_block(knocks(every_hz, seed)))
    lines = [found[f"envelope_peak_{number}_hz"] for number in (1, 2, 3)]
    assert min(abs(line - every_hz) for line in lines) <= 1.0, lines


@pytest.mark.parametrize(
    ("carrier_hz", "modulating_hz"), [(3_500, 8.0), (3_500, 97.0), (6_000, 97.0), (6_000, 990.0), (9_900, 97.0)]
)
def test_the_envelope_of_a_modulated_tone_is_exact_in_frequency_and_amplitude(
    carrier_hz: int, modulating_hz: float
) -> None:
    """Wherever in the band the structure rings."""
    carrier = 2.0 * (1 + 0.4 * np.cos(2 * np.pi * modulating_hz * SECONDS)) * np.sin(2 * np.pi * carrier_hz * SECONDS)
    found = features(a_block(carrier))
    assert found["envelope_peak_1_hz"] == modulating_hz
    assert found["envelope_peak_1"] == pytest.approx(0.8, rel=1e-3)


def test_a_healthy_shaft_line_alone_makes_no_envelope() -> None:
    assert not [name for name in features(a_block(a_sine(24.7, 4.0))) if name.startswith("envelope")]


def test_knocks_raise_kurtosis_crest_and_envelope_over_noise() -> None:
    calm = features(a_block(np.random.default_rng(5).standard_normal(COUNT)))
    knocking = features(a_block(knocks(87.3, 5, noise=0.1) - a_sine(24.7, 4.0)))
    assert calm["kurtosis"] == pytest.approx(3.0, abs=0.15)
    assert knocking["kurtosis"] > 8
    assert knocking["crest"] > calm["crest"]
    assert knocking["envelope_peak_1"] > 10 * calm["envelope_peak_1"]


STILL = [0.0, 0.1, -3.5, 1e-45, 3.4e38, 16_777_217.0]


@pytest.mark.parametrize("value", STILL)
@pytest.mark.parametrize("count", [16, 17, 25_600])
def test_a_block_that_stands_still_has_no_energy_and_nothing_that_is_undefined(value: float, count: int) -> None:
    found = features(a_block(np.full(count, value)))
    assert {found["rms"], found["peak"]} == {0.0}
    assert not {"crest", "kurtosis", "envelope_peak_1"} & set(found)
    assert all(found[name] == 0.0 for name in found)


def test_one_impulse_gives_finite_numbers_wherever_it_is() -> None:
    for place in (0, 1, COUNT // 2, COUNT - 1):
        signal = np.zeros(COUNT)
        signal[place] = 1.0
        found = features(a_block(signal))
        assert all(math.isfinite(value) for value in found.values())
        assert found["kurtosis"] == pytest.approx(COUNT, rel=0.01)


def test_an_offset_changes_no_feature() -> None:
    signal = np.round(knocks(87.3, 6) * 256) / 256
    plain, shifted = features(a_block(signal)), features(a_block(signal + 64))
    assert plain.keys() == shifted.keys()
    for name, value in plain.items():
        assert shifted[name] == pytest.approx(value, rel=1e-6, abs=1e-9), name


@given(
    samples=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=16, max_size=400),
    rate_hz=st.floats(1.0, 1e6),
    unit=st.sampled_from(["m/s2", "g", "mm/s", "V"]),
)
@example(samples=[3.4e38, -3.4e38] * 8, rate_hz=1e6, unit="g")
@example(samples=[1e-45] + [0.0] * 399, rate_hz=1.0, unit="g")
@example(samples=[3.4028234663852886e38] * 399 + [3.4028232635611926e38], rate_hz=25_600.0, unit="m/s2")
@settings(max_examples=300, deadline=None)
def test_every_feature_of_whatever_block_is_finite(samples: list[float], rate_hz: float, unit: str) -> None:
    found = features(a_block(np.array(samples), unit, rate_hz))
    assert {"rms", "peak"} <= found.keys()
    assert all(math.isfinite(value) and value >= 0 for value in found.values()), found


@pytest.mark.parametrize(
    "wrong",
    [
        {"band_edges_hz": (10.0,)},
        {"band_edges_hz": (40.0, 10.0)},
        {"velocity_band_hz": (0.0, 1_000.0)},
        {"envelope_band": (0.2, 0.6)},
        {"envelope_range_hz": (5.0, math.inf)},
        {"envelope_peaks": 11},
        {"band_edges_hz": tuple(range(1, 36))},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong)) if "35" not in str(wrong) else "32 bands"):
        FeatureSettings(**wrong)  # type: ignore[arg-type]


def test_a_spectrum_shows_the_amplitude_of_a_line_and_reducing_it_keeps_every_peak() -> None:
    lines = amplitude_spectrum(np.asarray(a_sine(1_000.0, 3.0) + a_sine(7_777.0, 0.5), dtype="<f4"), RATE_HZ)
    assert len(lines.amplitude) == COUNT // 2
    reduced = lines.reduced(300)
    assert len(reduced.amplitude) <= 300
    found = dict(zip(reduced.frequency_hz.tolist(), reduced.amplitude.tolist(), strict=True))
    assert found[1_000.0] == pytest.approx(3.0, rel=1e-5)
    assert found[7_777.0] == pytest.approx(0.5, rel=1e-5)
    assert lines.reduced(COUNT) is lines


def test_the_strongest_lines_are_maxima_in_order_within_the_range() -> None:
    lines = Lines(np.arange(1.0, 9.0), np.array([9.0, 1.0, 5.0, 4.0, 6.0, 6.0, 2.0, 8.0]))
    assert strongest(lines, 3, 2.0, 8.0, 0.0) == [(5.0, 6.0), (3.0, 5.0)]
    assert strongest(lines, 1, 2.0, 8.0, 0.0) == [(5.0, 6.0)]
    assert strongest(lines, 3, 2.0, 8.0, 5.5) == [(5.0, 6.0)]


def test_a_block_too_short_for_an_envelope_has_no_envelope_spectrum() -> None:
    assert envelope_spectrum(np.arange(16, dtype="<f4"), 16.0, DEFAULT_SETTINGS.envelope_band) is None
