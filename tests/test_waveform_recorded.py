"""Features on real recordings: two public sets of rolling bearings and gears (SPEC D4)."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal, stats

from detectors.vibration import features
from domain.waveforms import WaveformBlock
from tests.conftest import recorded_data

pytestmark = pytest.mark.recorded

# 2,000 rpm, Rexnord ZA-2115.
IMS_RATE_HZ, IMS_OUTER_RACE_HZ, IMS_INNER_RACE_HZ = 20_000.0, 236.4, 296.9
GEAR_BLOCK = 8_192


def a_block(samples: NDArray[np.float32], rate_hz: float) -> WaveformBlock:
    return WaveformBlock(0, "a", "V", rate_hz, np.ascontiguousarray(samples, dtype="<f4").tobytes())


def table(path: Path, delimiter: str, skip: int) -> NDArray[np.float32]:
    with gzip.open(path, "rt") as lines:
        return np.loadtxt(lines, delimiter=delimiter, skiprows=skip, dtype=np.float32)


@pytest.fixture(scope="module")
def bearings() -> list[NDArray[np.float32]]:
    """Six snapshots of one second of eight accelerometers on four healthy bearings."""
    folder = recorded_data()
    assert folder is not None
    return [table(path, "\t", 0) for path in sorted((folder / "ims-bearing" / "raw").glob("*.gz"))]


@pytest.fixture(scope="module")
def gears() -> dict[tuple[str, int], NDArray[np.float32]]:
    """Recordings of a gearbox by state (h healthy, b broken tooth) and load in percent; four accelerometers."""
    folder = recorded_data()
    assert folder is not None
    return {
        (state, load): table(folder / "gearbox-gfd" / f"{state}30hz{load}.csv.gz", ",", 1)
        for state in "hb"
        for load in (0, 20, 50, 90)
    }


def test_features_of_real_blocks_agree_with_a_plain_computation(bearings: list[NDArray[np.float32]]) -> None:
    for snapshot in bearings:
        for samples in snapshot.T:
            found = features(a_block(samples, IMS_RATE_HZ))
            plain = samples.astype(np.float64)
            assert found["rms"] == pytest.approx(np.std(plain), rel=1e-9)
            assert found["kurtosis"] == pytest.approx(stats.kurtosis(plain, fisher=False), rel=1e-9)
            assert found["crest"] == pytest.approx(np.max(np.abs(plain - plain.mean())) / np.std(plain), rel=1e-9)
            frequencies, density = signal.periodogram(plain, IMS_RATE_HZ, window="hann", detrend="constant")
            in_band = (frequencies >= 2_560) & (frequencies < 10_240)
            power = density[in_band].sum() * frequencies[1]
            assert found["band_5"] == pytest.approx(np.sqrt(power), rel=1e-6)


def test_healthy_bearings_stay_level_from_snapshot_to_snapshot(bearings: list[NDArray[np.float32]]) -> None:
    """The level detector's ratio of 1.25 is nowhere near, and no knock is named at a race's frequency."""
    assert len(bearings) == 6
    for channel in range(bearings[0].shape[1]):
        life = [features(a_block(snapshot[:, channel], IMS_RATE_HZ)) for snapshot in bearings]
        for name in ("rms", "band_5"):
            values = [found[name] for found in life]
            assert max(values) < 1.15 * min(values), (channel, name, values)
        assert max(found["kurtosis"] for found in life) < 6.5
        for found in life:
            for fault_hz in (IMS_OUTER_RACE_HZ, IMS_INNER_RACE_HZ):
                assert abs(found["envelope_peak_1_hz"] / fault_hz - 1) > 0.015


def test_a_broken_tooth_is_told_from_a_healthy_gear_at_every_load(
    gears: dict[tuple[str, int], NDArray[np.float32]],
) -> None:
    """By the first accelerometer, whose level the break changes by a third; the rig gets quieter, not louder.

    The sampling rate is not stated, so nothing is said here about frequencies.
    """
    for load in (0, 20, 50, 90):
        levels = {
            state: [
                features(a_block(recording[start : start + GEAR_BLOCK, 0], 10_000.0))["rms"]
                for start in range(0, len(recording) - GEAR_BLOCK, GEAR_BLOCK)
            ]
            for state, recording in ((state, gears[state, load]) for state in "hb")
        }
        assert min(len(values) for values in levels.values()) >= 10
        assert max(levels["b"]) < min(levels["h"]), (load, levels)
        assert np.median(levels["b"]) < 0.75 * np.median(levels["h"])


def test_a_healthy_gear_stays_level_within_a_recording(gears: dict[tuple[str, int], NDArray[np.float32]]) -> None:
    for (state, load), recording in gears.items():
        if state == "h":
            values = [
                features(a_block(recording[start : start + GEAR_BLOCK, 0], 10_000.0))["rms"]
                for start in range(0, len(recording) - GEAR_BLOCK, GEAR_BLOCK)
            ]
            assert max(values) < 1.25 * float(np.median(values)), load
