"""Waveform blocks (SPEC E3): one metric sampled at a high rate, as JSON or as a binary message with a JSON header.

JSON: {"ts", "seq"?, "metric", "unit", "rate_hz", "speed_rpm"?} and either "samples", numbers, or "samples_b64", base64
of little-endian float32. Binary, a quarter smaller: the four bytes WSWF, two little-endian uint16 (version 1, length
of the header in bytes), the header (the JSON object without samples), then the little-endian float32 samples to the
end.

``ts`` is the time of the first sample, and also that of the block's features: a point of a feature's curve leads to
the very block it was computed from. ``speed_rpm`` is the shaft's speed, which fault frequencies of bearings follow.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from detectors.bearings import FittedBearing
from detectors.vibration import DEFAULT_SETTINGS, FeatureSettings, features
from domain.waveforms import WaveformBlock
from ingest.decoders.native import check_name, check_sequence
from ingest.decoders.telling import TimedSample
from ingest.json_guard import check_size, refuse_duplicate_keys, says_not_finite
from ingest.limits import (
    MAX_NAME_LENGTH,
    MAX_RATE_HZ,
    MAX_SEQUENCE,
    MAX_UNIT_LENGTH,
    MAX_WAVEFORM_BYTES,
    MAX_WAVEFORM_SAMPLES,
    MIN_RATE_HZ,
    MIN_WAVEFORM_SAMPLES,
)
from ingest.quarantine_reasons import Reason, Unusable
from ingest.times import to_us

MAGIC, VERSION = b"WSWF", 1
MAX_SPEED_RPM = 1_000_000.0
NO_BEARINGS: Mapping[str, FittedBearing] = MappingProxyType({})
_START = struct.Struct("<4sHH")
# The names of features, which have the metric's name in front, must be names of metrics too.
MAX_METRIC_LENGTH = MAX_NAME_LENGTH - 24
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_REASONS = {".ts`": Reason.BAD_TIMESTAMP, ".seq`": Reason.BAD_SEQUENCE, ".samples[": Reason.NOT_A_NUMBER}


class _Header(msgspec.Struct, frozen=True):
    ts: int | float | str
    metric: str
    unit: str
    rate_hz: float
    seq: int | UnsetType | None = UNSET
    speed_rpm: float | UnsetType | None = UNSET


class _Whole(_Header, frozen=True):
    samples: list[float] | UnsetType = UNSET
    samples_b64: str | UnsetType = UNSET


_HEADERS = msgspec.json.Decoder(_Header)
_WHOLES = msgspec.json.Decoder(_Whole)


def decode_waveform(payload: bytes) -> tuple[Sequence[WaveformBlock], int | None]:
    """Return the block of a message, as a sequence of one, and its sequence number. Raises Unusable.

    Its time is not checked against a window yet: see ``ingest.times``.
    """
    check_size(payload, MAX_WAVEFORM_BYTES)
    if payload.startswith(MAGIC):
        header, samples = _binary(payload)
    else:
        header, samples = _json(payload)
    _check_header(header)
    if not MIN_WAVEFORM_SAMPLES <= len(samples) <= MAX_WAVEFORM_SAMPLES:
        raise _bad(f"got {len(samples)} samples, expected {MIN_WAVEFORM_SAMPLES} to {MAX_WAVEFORM_SAMPLES}")
    finite = np.isfinite(samples)
    if not finite.all():
        place = int(np.argmin(finite))
        raise Unusable(Reason.NOT_A_NUMBER, f"got {samples[place]} as sample {place}, expected finite 32-bit numbers")
    block = WaveformBlock(
        to_us(header.ts), header.metric, header.unit, header.rate_hz, samples.tobytes(), _speed_rpm(header)
    )
    return (block,), check_sequence(header.seq)


def to_samples(
    blocks: Sequence[WaveformBlock],
    settings: FeatureSettings = DEFAULT_SETTINGS,
    bearings: Mapping[str, FittedBearing] = NO_BEARINGS,
) -> list[TimedSample]:
    """Return the features of each block as one sample at the block's time, named ``{metric}.{feature}``.

    ``bearings`` has the bearing that the accelerometer of a metric hears.
    """
    samples = []
    for block in blocks:
        fitted = bearings.get(block.metric)
        turning = None if fitted is None else fitted.turning(block.speed_rpm)
        found = features(block, settings, turning)
        samples.append(TimedSample(block.ts_us, {f"{block.metric}.{name}": value for name, value in found.items()}))
    return samples


def _binary(payload: bytes) -> tuple[_Header, NDArray[np.float32]]:
    if len(payload) < _START.size:
        raise _bad(f"got {len(payload)} bytes, expected the {_START.size} bytes of magic, version and header length")
    _, version, header_length = _START.unpack_from(payload)
    if version != VERSION:
        raise _bad(f"got version {version} of the binary form, expected {VERSION}")
    start = _START.size + header_length
    if start > len(payload):
        raise _bad(f"got {len(payload)} bytes, expected a header of {header_length} bytes and samples after it")
    text = payload[_START.size : start]
    try:
        header = _HEADERS.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refusal(error, text) from None
    refuse_duplicate_keys(text)
    return header, _float32(payload[start:])


def _json(payload: bytes) -> tuple[_Header, NDArray[np.float32]]:
    try:
        whole = _WHOLES.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refusal(error, payload) from None
    # Each key brings a colon. As many as keys and texts have: nothing was named twice. Else a slower look tells.
    colons = 5 + (whole.seq is not UNSET) + (whole.speed_rpm is not UNSET)
    colons += sum(text.count(":") for text in (whole.ts, whole.metric, whole.unit) if isinstance(text, str))
    if payload.count(b":") != colons or b"\\" in payload:
        refuse_duplicate_keys(payload)
    if isinstance(whole.samples, UnsetType) == isinstance(whole.samples_b64, UnsetType):
        raise _bad('expected either "samples" or "samples_b64", got both or neither')
    if not isinstance(whole.samples, UnsetType):
        # What is beyond float32 becomes infinite here and is refused with the other non-finite samples.
        with np.errstate(over="ignore"):
            return whole, np.array(whole.samples, dtype=np.float64).astype("<f4")
    try:
        return whole, _float32(base64.b64decode(str(whole.samples_b64), validate=True))
    except (binascii.Error, ValueError) as error:
        raise _bad(f"samples_b64 is not base64: {error}") from None


def _float32(raw: bytes) -> NDArray[np.float32]:
    if len(raw) % 4:
        raise _bad(f"got {len(raw)} bytes of samples, expected a multiple of 4: little-endian float32")
    return np.frombuffer(raw, dtype="<f4")


def _check_header(header: _Header) -> None:
    check_name(header.metric)
    if len(header.metric) > MAX_METRIC_LENGTH:
        raise Unusable(
            Reason.BAD_METRIC_NAME,
            f"got a metric of {len(header.metric)} characters, expected at most {MAX_METRIC_LENGTH}: "
            "the names of its features are longer",
        )
    if not 1 <= len(header.unit) <= MAX_UNIT_LENGTH or _CONTROL.search(header.unit):
        raise _bad(f"got unit {header.unit[:MAX_UNIT_LENGTH]!r}, expected 1 to {MAX_UNIT_LENGTH} characters, as m/s2")
    if not MIN_RATE_HZ <= header.rate_hz <= MAX_RATE_HZ:
        expected = f"{MIN_RATE_HZ:,.0f} to {MAX_RATE_HZ:,.0f} samples per second"
        raise _bad(f"got rate_hz {header.rate_hz!r}, expected {expected}")
    speed_rpm = _speed_rpm(header)
    if speed_rpm is not None and not 0 <= speed_rpm <= MAX_SPEED_RPM:
        raise _bad(f"got speed_rpm {speed_rpm!r}, expected 0 to {MAX_SPEED_RPM:,.0f} turns a minute, or none")


def _speed_rpm(header: _Header) -> float | None:
    return None if isinstance(header.speed_rpm, UnsetType) else header.speed_rpm


def _bad(detail: str) -> Unusable:
    return Unusable(Reason.BAD_WAVEFORM, detail)


def _refusal(error: Exception, payload: bytes) -> Unusable:
    """Name what msgspec found wrong."""
    said = str(error)[:300]
    if isinstance(error, msgspec.ValidationError):
        path = said.rpartition(" - at `$")[2]
        reason = next((reason for place, reason in _REASONS.items() if path.startswith(place)), Reason.BAD_WAVEFORM)
        hint = f"; expected 0 to {MAX_SEQUENCE}" if reason is Reason.BAD_SEQUENCE else ""
        return Unusable(reason, said + hint)
    if says_not_finite(payload):
        return Unusable(Reason.NOT_A_NUMBER, f"{said}; NaN and Infinity are neither JSON nor finite numbers")
    return Unusable(Reason.BAD_JSON, said)
