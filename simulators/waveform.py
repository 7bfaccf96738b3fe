"""What an accelerometer at the drive end of a motor records: a second of vibration, as a binary waveform message.

Four sources add up. The rotor: unbalance and misalignment at one, two and three times the shaft's speed, with the
velocity of the healthy machine. The spall: its overrolling shakes the housing at the outer race's fault frequency and
its harmonics, with the velocity that the motor's own reading shows. The knocks: each overrolling, a little irregular
because the rolling elements slip, makes the housing ring at its resonance; they are sharp from the first small spall
on and grow more slowly than the rest. And noise, that grows as the races roughen. So kurtosis and envelope rise first
and the velocity last, as in a real bearing.

Source of the kinematics: the outer race is overrolled n/2 (1 - d/D) times a turn, n balls of diameter d on a pitch
circle D (Randall and Antoni, Mechanical Systems and Signal Processing 25, 2011).
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 12_800.0
SAMPLE_COUNT = 8_192
UNIT = "m/s2"

BALLS, BALL_TO_PITCH = 8, 0.24
OUTER_RACE_PER_TURN = BALLS / 2 * (1 - BALL_TO_PITCH)
SLIP = 0.01
# Shares of the rotor's velocity at one, two and three times the shaft's speed; their squares add up to one.
ROTOR_SHARES = (0.88, 0.42, 0.22)
SPALL_HARMONICS = 6
RESONANCE_HZ, DECAY_PER_S = 3_200.0, 800.0
KNOCK_M_S2 = 60.0
NOISE_M_S2, ROUGHENED_NOISE_M_S2 = 0.3, 3.0


@dataclass(frozen=True, slots=True)
class Waveform:
    """A block of samples in ``unit``, ``rate_hz`` of them a second; ``speed_rpm`` is the shaft's, where it is known."""

    metric: str
    unit: str
    rate_hz: float
    samples: NDArray[np.float32]
    speed_rpm: float | None = None

    @property
    def length_s(self) -> float:
        """Return how long the recording took."""
        return len(self.samples) / self.rate_hz

    def encode(self, ts_ms: int, sequence: int) -> bytes:
        """Return the binary message of the block whose first sample was taken at ``ts_ms``."""
        said: dict[str, int | float | str] = {
            "ts": ts_ms, "seq": sequence, "metric": self.metric, "unit": self.unit, "rate_hz": self.rate_hz,
        }  # fmt: skip
        if self.speed_rpm is not None:
            said["speed_rpm"] = round(self.speed_rpm, 2)
        header = json.dumps(said, separators=(",", ":")).encode()
        return struct.pack("<4sHH", b"WSWF", 1, len(header)) + header + self.samples.astype("<f4").tobytes()


@runtime_checkable
class Vibrating(Protocol):
    """A machine that an accelerometer is fitted to."""

    def waveform(self) -> Waveform:
        """Return what the accelerometer records now."""
        ...


def bearing_vibration(
    rng: np.random.Generator, *, shaft_hz: float, rotor_mm_s: float, spall_mm_s: float, damage: float
) -> NDArray[np.float32]:
    """Return acceleration in m/s2: RMS velocities of rotor and spall in mm/s, ``damage`` from 0 to 1."""
    seconds = np.arange(SAMPLE_COUNT) / RATE_HZ
    signal = (NOISE_M_S2 + ROUGHENED_NOISE_M_S2 * damage) * rng.standard_normal(SAMPLE_COUNT)
    for turns, share in enumerate(ROTOR_SHARES, start=1):
        signal += _line(rng, seconds, turns * shaft_hz, share * rotor_mm_s)
    fault_hz = OUTER_RACE_PER_TURN * shaft_hz
    for harmonic in range(1, SPALL_HARMONICS + 1):
        signal += _line(rng, seconds, harmonic * fault_hz, spall_mm_s / SPALL_HARMONICS**0.5)
    if damage > 0 and fault_hz > 0:
        signal += KNOCK_M_S2 * damage**0.5 * _knocks(rng, fault_hz)
    return signal.astype("<f4")


def _line(rng: np.random.Generator, seconds: NDArray[np.float64], hz: float, rms_mm_s: float) -> NDArray[np.float64]:
    """Return the acceleration of a line of this RMS velocity, at a random phase."""
    amplitude_m_s2 = 2**0.5 * rms_mm_s / 1000 * 2 * np.pi * hz
    wave: NDArray[np.float64] = amplitude_m_s2 * np.sin(2 * np.pi * hz * seconds + rng.uniform(0, 2 * np.pi))
    return wave


def _knocks(rng: np.random.Generator, fault_hz: float) -> NDArray[np.float64]:
    """Return unit knocks, each ringing out, ``fault_hz`` times a second with the slip of rolling elements."""
    length_s = SAMPLE_COUNT / RATE_HZ
    periods = (1 + SLIP * rng.standard_normal(int(length_s * fault_hz * 1.2) + 2)) / fault_hz
    times_s = np.cumsum(periods) - rng.uniform(0, 1) / fault_hz
    struck = np.zeros(SAMPLE_COUNT)
    places = (times_s[(times_s >= 0) & (times_s < length_s)] * RATE_HZ).astype(int)
    struck[places] = 1.0
    ringing_s = np.arange(int(RATE_HZ * 8 / DECAY_PER_S)) / RATE_HZ
    ring = np.exp(-DECAY_PER_S * ringing_s) * np.sin(2 * np.pi * RESONANCE_HZ * ringing_s)
    knocks: NDArray[np.float64] = np.convolve(struck, ring)[:SAMPLE_COUNT]
    return knocks
