"""Waveforms: what the features of one block cost, and what decoding and keeping it add.

A block of one second at 25.6 kHz: a knocking bearing in noise. Process time of one core, the best of many runs,
because other processes share the caches. The ceiling beside each row is one real FFT of the same block by numpy: what
looking at its spectrum costs at the very least, on this machine, in this run.
"""

from __future__ import annotations

import base64
import json
import struct
import time
from collections.abc import Callable

import numpy as np

from bench.rows import Row
from detectors.bearings import BearingGeometry, TurningBearing
from detectors.vibration import features
from domain.waveforms import WaveformBlock
from ingest.decoders.waveform import decode_waveform, to_samples
from storage.waveforms import encode

# A 6205 on a four-pole motor.
BEARING = TurningBearing(BearingGeometry(9, 7.94, 39.04).orders(), 1_482.0)
RATE_HZ, SAMPLES = 25_600.0, 25_600
BAR_MS = 2.0
RUNS = 60


def measure() -> list[Row]:
    """Measure features, decoding in both forms, and encoding for the store; takes a few seconds."""
    raw = _signal().astype("<f4").tobytes()
    block = WaveformBlock(0, "drive_end", "m/s2", RATE_HZ, raw)
    said = {"ts": 0, "metric": block.metric, "unit": block.unit, "rate_hz": RATE_HZ}
    header = json.dumps(said).encode()
    binary = struct.pack("<4sHH", b"WSWF", 1, len(header)) + header + raw
    text = json.dumps({**said, "samples_b64": base64.b64encode(raw).decode()}).encode()
    rows = [
        (
            "all features of a 1-s block at 25.6 kHz, fault frequencies of a bearing included",
            lambda: features(block, bearing=BEARING),
            BAR_MS,
        ),
        ("the same without a bearing", lambda: features(block), None),
        ("binary message to readings", lambda: to_samples(decode_waveform(binary)[0]), None),
        ("base64 message to readings", lambda: to_samples(decode_waveform(text)[0]), None),
        ("encoding a kept block", lambda: encode(raw), None),
    ]
    return [_row(name, work, bar) for name, work, bar in rows]


def _row(name: str, work: Callable[[], object], bar: float | None) -> Row:
    signal = _signal()
    ceiling = min(_best_ms(lambda: np.fft.rfft(signal)) for _ in range(2))
    cost = _best_ms(work)
    ceiling = min(ceiling, _best_ms(lambda: np.fft.rfft(signal)))
    return Row(
        name=f"waveforms: {name}",
        value=cost,
        unit="ms",
        ceiling=f"{ceiling:.3f} ms for one numpy FFT of the block",
        ratio=ceiling / cost,
        bar=bar,
        bar_is_absolute=bar is not None,
    )


def _best_ms(work: Callable[[], object]) -> float:
    costs = []
    for _ in range(RUNS):
        began = time.process_time_ns()
        work()
        costs.append(time.process_time_ns() - began)
    return min(costs) / 1e6


def _signal() -> np.ndarray:
    random = np.random.default_rng(0)
    seconds = np.arange(SAMPLES) / RATE_HZ
    struck = np.zeros(SAMPLES)
    struck[(np.arange(0, 1, 1 / 107.3) * RATE_HZ).astype(int)] = 1
    ring = np.exp(-seconds[:400] * 800) * np.sin(2 * np.pi * 4_000 * seconds[:400])
    knocks = 5 * np.convolve(struck, ring)[:SAMPLES]
    return knocks + 3 * np.sin(2 * np.pi * 24.7 * seconds) + 0.3 * random.standard_normal(SAMPLES)
