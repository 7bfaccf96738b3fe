"""Waveforms: one metric sampled at a high rate for a short while, as a block (SPEC E3, D4)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WaveformBlock:
    """One block as it came. ``samples`` are little-endian float32; ``ts_us`` is the time of the first one.

    ``ts_us`` counts microseconds since 1970 (equipment time), ``rate_hz`` is samples per second. ``unit`` is the
    unit of the samples as sent: "m/s2", "g", "mm/s" ... ``speed_rpm`` is the shaft's speed during the block, None where
    the device did not say; fault frequencies of bearings are multiples of it.
    """

    ts_us: int
    metric: str
    unit: str
    rate_hz: float
    samples: bytes
    speed_rpm: float | None = None

    def __len__(self) -> int:
        """Return how many samples there are."""
        return len(self.samples) // 4
