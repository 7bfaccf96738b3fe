"""The spectrum of one block of samples: windowed once, used for bands, velocity, envelope and charts (SPEC D4).

Theory. The block, less its mean, is multiplied by a Hann window before the Fourier transform. A block cut out of a
running machine never holds a whole number of turns; without a window every strong line would leak over the whole
spectrum with 1/distance, and dividing by the square of the frequency, as velocity does, would blow the leak up. With
Hann it falls with the cube of the distance. Amplitudes are divided by the window's sum, powers by the sum of its
squares, so that a steady tone shows its amplitude and the powers of steady vibration add up to its mean square
(Parseval).

Source: F. J. Harris, On the use of windows for harmonic analysis with the discrete Fourier transform, Proc. IEEE 66
(1978).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

# A Hann window of n points sums to n/2, its squares to 3n/8.
WINDOW_MEAN, _WINDOW_MEAN_SQUARE = 0.5, 0.375


@dataclass(frozen=True, slots=True)
class Transform:
    """The Fourier transform of the windowed block: bin k of ``values`` stands for k * ``step_hz``."""

    values: NDArray[np.complex128]
    step_hz: float
    sample_count: int

    def power(self) -> NDArray[np.float64]:
        """Return the mean square that each bin contributes, in the samples' unit squared."""
        scale = 2 / (_WINDOW_MEAN_SQUARE * self.sample_count**2)
        power = scale * (self.values.real**2 + self.values.imag**2)
        # The bins at 0 and at half the sampling rate stand for themselves, all others for a pair.
        power[0] /= 2
        if self.sample_count % 2 == 0:
            power[-1] /= 2
        return power

    def bins(self, low_hz: float, high_hz: float) -> slice:
        """Return the bins from ``low_hz``, included, to ``high_hz``, excluded; bin 0, the mean, is never among them."""
        first, last = (int(np.ceil(edge / self.step_hz - 1e-9)) for edge in (low_hz, high_hz))
        return slice(max(1, first), min(max(1, last), len(self.values)))


@dataclass(frozen=True, slots=True)
class Lines:
    """An amplitude spectrum: ``amplitude`` (zero to peak, in the samples' unit) at each ``frequency_hz``."""

    frequency_hz: NDArray[np.float64]
    amplitude: NDArray[np.float64]

    def reduced(self, points: int) -> Lines:
        """Return at most ``points`` lines with every peak kept: of each run of neighbours the highest."""
        if len(self.amplitude) <= points:
            return self
        run = -(-len(self.amplitude) // points)
        short = -len(self.amplitude) % run
        padded = np.append(self.amplitude, np.full(short, -1.0)).reshape(-1, run)
        highest = np.arange(len(padded)) * run + padded.argmax(axis=1)
        return Lines(self.frequency_hz[highest], self.amplitude[highest])


def lines_of(values: NDArray[np.complex128], step_hz: float, window_sum: float) -> Lines:
    """Return the amplitude spectrum of a one-sided transform, its mean left out."""
    amplitude: NDArray[np.float64] = np.abs(values[1:]) * (2 / window_sum)
    frequency_hz: NDArray[np.float64] = np.arange(1, len(values)) * np.float64(step_hz)
    return Lines(frequency_hz, amplitude)


def transform(centred: NDArray[np.float64], rate_hz: float) -> Transform:
    """Return the windowed transform of samples whose mean has been taken off."""
    count = len(centred)
    return Transform(fft.rfft(centred * hann(count)), rate_hz / count, count)


def amplitude_spectrum(samples: NDArray[np.float32], rate_hz: float) -> Lines:
    """Return the one-sided amplitude spectrum of a block, without its mean."""
    raw = samples.astype(np.float64)
    found = transform(raw - raw.mean(), rate_hz)
    return lines_of(found.values, found.step_hz, WINDOW_MEAN * found.sample_count)


@lru_cache(maxsize=8)
def hann(count: int) -> NDArray[np.float64]:
    """Return the periodic Hann window of ``count`` points; devices send blocks of few lengths, so it is kept."""
    window: NDArray[np.float64] = 0.5 - 0.5 * np.cos(np.arange(count) * (2 * np.pi / count))
    window.setflags(write=False)
    return window
