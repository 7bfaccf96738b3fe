"""Features of a vibration block: a second of waveform as two dozen numbers that detectors can judge (SPEC E3, D4).

Everything is taken from the block less its mean y, because an accelerometer's offset says nothing about the machine.
With n samples, sampling rate r, and P(f) the mean square of y at frequency f (``spectrum.py``):

- ``rms``            sqrt(mean(y^2))
- ``peak``           max |y|
- ``crest``          peak / rms: 1.4 for a sine, about 4 for noise, more for knocks
- ``kurtosis``       mean(y^4) / mean(y^2)^2: 1.5 for a sine, 3 for noise, more for knocks, falling again late in a
                     fault's life when knocks overlap (Dyer and Stewart 1978)
- ``velocity_rms_mm_s``  sqrt(sum of P_v(f) from 10 to 1000 Hz), the figure of ISO 20816-1 and -3. Of acceleration
                     P_v(f) = P(f) / (2 pi f)^2, which integrates in the frequency domain; a velocity as it is
- ``band_i``         sqrt(sum of P(f) over band i), i from 1
- ``envelope_peak_i_hz``, ``envelope_peak_i``  frequency and amplitude of the i-th strongest line of the envelope
                     spectrum (``envelope.py``): at a worn bearing the fault frequency of the part that is spalled
- ``bpfo`` ``bpfi`` ``bsf`` ``ftf``  how far the lines at the fault frequencies of outer race, inner race, rolling
                     element and cage stand out of the envelope spectrum (``bearings.py``), where the bearing is known

All but crest, kurtosis, ``_hz`` and the fault frequencies' ratios are in the unit of the samples. Every number is
finite. What is undefined is left out: crest and kurtosis of a block that stands still, bands beyond half the sampling
rate, the velocity of a block too short or too slowly sampled for its band or whose unit is neither acceleration nor
velocity, an envelope with no line, fault frequencies beyond the envelope.

Source: ISO 20816-1:2016 and ISO 20816-3:2022; D. Dyer and R. M. Stewart, Detection of rolling element bearing damage
by statistical vibration analysis, Journal of Mechanical Design 100 (1978).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from detectors.bearings import TurningBearing, examine
from detectors.envelope import envelope_lines, strongest
from detectors.spectrum import Transform, transform
from domain.waveforms import WaveformBlock

STANDARD_GRAVITY_M_S2 = 9.80665
# One unit of acceleration in mm/s2, one unit of velocity in mm/s. As devices write them, in any case.
ACCELERATION_MM_S2: Mapping[str, float] = MappingProxyType(
    {
        "m/s2": 1000.0,
        "m/s^2": 1000.0,
        "m/s²": 1000.0,
        "mm/s2": 1.0,
        "g": 1000.0 * STANDARD_GRAVITY_M_S2,
        "mg": STANDARD_GRAVITY_M_S2,
    }
)
VELOCITY_MM_S: Mapping[str, float] = MappingProxyType({"mm/s": 1.0, "m/s": 1000.0, "in/s": 25.4})
# Lines weaker than this part of the block's RMS are the rounding of 32-bit samples, not an envelope.
_DUST = 1e-6
# A line that is less than this many bins from the mean is not told apart from it by a Hann window.
_BINS_FROM_MEAN = 3


@dataclass(frozen=True, slots=True)
class FeatureSettings:
    """Which features are made. Frequencies in Hz, the envelope's band in parts of the sampling rate.

    The default bands are two octaves wide each; ``band_edges_hz`` has one edge more than there are bands. The default
    envelope band, 3.2 to 10.2 kHz at 25.6 kHz, is where housings ring and shaft and gear lines do not reach.
    """

    band_edges_hz: tuple[float, ...] = (10.0, 40.0, 160.0, 640.0, 2_560.0, 10_240.0, 40_960.0)
    velocity_band_hz: tuple[float, float] = (10.0, 1_000.0)
    envelope_band: tuple[float, float] = (0.125, 0.4)
    envelope_range_hz: tuple[float, float] = (5.0, 1_000.0)
    envelope_peaks: int = 3

    def __post_init__(self) -> None:
        for name in ("band_edges_hz", "velocity_band_hz", "envelope_band", "envelope_range_hz"):
            edges: tuple[float, ...] = getattr(self, name)
            rising = all(low < high for low, high in pairwise(edges))
            if len(edges) < 2 or not rising or edges[0] <= 0 or not math.isfinite(edges[-1]):
                raise ValueError(f"{name} must be at least two rising frequencies above 0, got {edges}")
        if self.envelope_band[1] > 0.5:
            raise ValueError(f"envelope_band ends at half the sampling rate, 0.5, got {self.envelope_band[1]}")
        if not 0 <= self.envelope_peaks <= 10:
            raise ValueError(f"envelope_peaks must lie between 0 and 10, got {self.envelope_peaks}")
        if len(self.band_edges_hz) > 33:
            raise ValueError(f"at most 32 bands, got {len(self.band_edges_hz) - 1}")


DEFAULT_SETTINGS = FeatureSettings()


def features(
    block: WaveformBlock, settings: FeatureSettings = DEFAULT_SETTINGS, bearing: TurningBearing | None = None
) -> dict[str, float]:
    """Return the block's features by name, all of them finite; those of fault frequencies only with a ``bearing``.

    >>> turns = np.arange(8_000) / 8_000 * 100
    >>> sine = np.sin(2 * np.pi * turns).astype("<f4").tobytes()
    >>> found = features(WaveformBlock(0, "drive_end", "m/s2", 8_000.0, sine))
    >>> [round(found[name], 3) for name in ("rms", "crest", "kurtosis", "velocity_rms_mm_s")]
    [0.707, 1.414, 1.5, 1.125]
    """
    raw = np.frombuffer(block.samples, dtype="<f4").astype(np.float64)
    # A block that stands still is told by equality: its mean, rounded, would leave dust that looks like a signal.
    is_still = bool(raw.min() == raw.max())
    centred = np.zeros_like(raw) if is_still else raw - raw.mean()
    squares = centred * centred
    mean_square = float(squares.mean())
    rms = math.sqrt(mean_square)
    peak = math.sqrt(float(squares.max()))
    found = {"rms": rms, "peak": peak}
    if not is_still:
        found["crest"] = peak / rms
        found["kurtosis"] = float(squares @ squares) / len(raw) / mean_square**2
    spectrum = transform(centred, block.rate_hz)
    power = spectrum.power()
    velocity = _velocity_rms_mm_s(spectrum, power, block, settings)
    if velocity is not None:
        found["velocity_rms_mm_s"] = velocity
    edges = settings.band_edges_hz
    for number, (low_hz, high_hz) in enumerate(pairwise(edges), start=1):
        band = power[spectrum.bins(low_hz, high_hz)]
        if len(band):
            found[f"band_{number}"] = math.sqrt(float(band.sum()))
    low, high = settings.envelope_band
    lines = envelope_lines(spectrum, low * block.rate_hz, high * block.rate_hz)
    if lines is not None:
        from_hz = max(settings.envelope_range_hz[0], _BINS_FROM_MEAN * spectrum.step_hz)
        peaks = strongest(lines, settings.envelope_peaks, from_hz, settings.envelope_range_hz[1], _DUST * rms)
        for number, (frequency_hz, amplitude) in enumerate(peaks, start=1):
            found[f"envelope_peak_{number}_hz"] = frequency_hz
            found[f"envelope_peak_{number}"] = amplitude
        # Where there is no line there is no envelope, and the ratio of dust to dust says nothing.
        if bearing is not None and peaks:
            found.update({part.value: one.ratio for part, one in examine(lines, bearing).items()})
    return found


def _velocity_rms_mm_s(
    spectrum: Transform, power: NDArray[np.float64], block: WaveformBlock, settings: FeatureSettings
) -> float | None:
    """Return the RMS velocity in the ISO band, None where the block cannot say."""
    low_hz, high_hz = settings.velocity_band_hz
    unit = block.unit.strip().lower()
    # A Hann window spreads the mean over two bins; the band must begin beyond them and end below half the rate.
    if spectrum.step_hz * _BINS_FROM_MEAN > low_hz or block.rate_hz < 2 * high_hz:
        return None
    band = spectrum.bins(low_hz, high_hz + spectrum.step_hz / 2)
    if unit in VELOCITY_MM_S:
        return math.sqrt(float(power[band].sum())) * VELOCITY_MM_S[unit]
    if unit not in ACCELERATION_MM_S2:
        return None
    radians_per_s = 2 * np.pi * spectrum.step_hz * np.arange(band.start, band.stop)
    return math.sqrt(float((power[band] / radians_per_s**2).sum())) * ACCELERATION_MM_S2[unit]
