"""Waveform blocks over the wire: the list, a block with its samples, its spectrum, and which blocks are kept."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from api.schemas import Asked, Told
from storage.waveform_keeping import Keep
from storage.waveforms import WaveformRow


class Waveforms(Told):
    """A page of kept blocks, the newest stored first."""

    items: list[WaveformRow]
    next_cursor: str | None


class WaveformDetail(Told):
    """A kept block; ``samples`` are in the block's unit, ``rate_hz`` of them a second."""

    waveform: WaveformRow
    samples: list[float]


class SpectrumKind(StrEnum):
    """What is shown: the block's own spectrum, or that of its envelope (how often something knocks)."""

    AMPLITUDE = "amplitude"
    ENVELOPE = "envelope"


class Spectrum(Told):
    """Two columns: frequencies in Hz, and the amplitude (zero to peak, in ``unit``) at each.

    Reduced to the points asked for by keeping the highest of neighbours, so no peak is lost. Empty when the block is
    too short for an envelope.
    """

    waveform_id: int
    kind: SpectrumKind
    unit: str
    frequency_hz: list[float]
    amplitude: list[float]


class SampleFormat(StrEnum):
    """How samples are downloaded: little-endian float32, or CSV with a column of seconds since the first sample."""

    FLOAT32 = "float32"
    CSV = "csv"


class KeepPolicyShape(Told):
    """Which blocks are kept: none, the first of every ``every_s`` seconds, or all; and for how long."""

    keep: Keep
    every_s: int
    keep_when_finding: bool
    keep_days: int
    device_day_bytes: int


class NewKeepPolicy(Asked):
    """The next version of the policy; editions/policy/waveforms.toml says what each field means."""

    keep: Keep
    every_s: Annotated[int, Field(ge=1, le=366 * 86_400)]
    keep_when_finding: bool
    keep_days: Annotated[int, Field(ge=1, le=3_660)]
    device_day_bytes: Annotated[int, Field(ge=1, le=2**40)]
