"""The envelope spectrum: how often something knocks (SPEC D4).

Theory. Each time a rolling element passes a spall it strikes the structure, which rings at its own frequency, some
kilohertz. The knocks come tens to hundreds of times a second, at the bearing's fault frequencies, but carry little
energy there; in the plain spectrum shaft and gear lines hide them. So the high band in which the structure rings is
cut out of the spectrum, made analytic by leaving out the negative frequencies (Hilbert transform), and transformed
back; its magnitude is the envelope, and the lines of the envelope's spectrum stand at the frequencies of the knocks.

Only the band's bins are transformed back, on a grid twice as fine as the band is wide: enough for the magnitude's
lines up to the band's width, and a fraction of the work. The window that the spectrum carries (``spectrum.py``) goes
over to the envelope, because it is slow beside the band, and serves the second transform too.

Source: R. B. Randall and J. Antoni, Rolling element bearing diagnostics - a tutorial, Mechanical Systems and Signal
Processing 25 (2011); P. D. McFadden and J. D. Smith, Vibration monitoring of rolling element bearings by the
high-frequency resonance technique - a review, Tribology International 17 (1984).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from detectors.spectrum import WINDOW_MEAN, Lines, Transform, hann, lines_of, transform

# Fewer bins than this say nothing about an envelope.
_FEWEST_BINS = 8


def envelope_lines(found: Transform, low_hz: float, high_hz: float) -> Lines | None:
    """Return the spectrum of the envelope of the band from ``low_hz`` to ``high_hz``.

    The mean of the envelope is taken off. None when the block is too short to resolve the band.
    """
    band = found.values[found.bins(low_hz, high_hz)]
    if len(band) < _FEWEST_BINS:
        return None
    count = fft.next_fast_len(2 * len(band))
    analytic = fft.ifft(band, count)
    # ifft divides by its own length, a one-sided line is half of a real one.
    envelope = np.sqrt(analytic.real**2 + analytic.imag**2) * (2 * count / found.sample_count)
    envelope -= hann(count) * (envelope.mean() / WINDOW_MEAN)
    return lines_of(fft.rfft(envelope, overwrite_x=True), found.step_hz, WINDOW_MEAN * count)


def envelope_spectrum(samples: NDArray[np.float32], rate_hz: float, band: tuple[float, float]) -> Lines | None:
    """Return the envelope spectrum of a block; ``band`` is given in parts of the sampling rate."""
    raw = samples.astype(np.float64)
    return envelope_lines(transform(raw - raw.mean(), rate_hz), band[0] * rate_hz, band[1] * rate_hz)


def strongest(lines: Lines, count: int, low_hz: float, high_hz: float, floor: float) -> list[tuple[float, float]]:
    """Return (frequency in Hz, amplitude) of at most ``count`` local maxima above ``floor``, the strongest first."""
    amplitude = lines.amplitude
    is_peak = np.zeros(len(amplitude), dtype=bool)
    is_peak[1:-1] = (amplitude[1:-1] > amplitude[:-2]) & (amplitude[1:-1] >= amplitude[2:])
    is_peak &= (lines.frequency_hz >= low_hz) & (lines.frequency_hz <= high_hz) & (amplitude > floor)
    places = np.flatnonzero(is_peak)
    best = places[np.argsort(-amplitude[places], kind="stable")[:count]]
    return [(float(lines.frequency_hz[place]), float(amplitude[place])) for place in best]
