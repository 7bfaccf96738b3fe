"""Every decoder as one function, with messages that it reads and what must hold of whatever it tells.

Used by the fuzzer and by the conformance suite: a decoder that is added to the catalogue gets both.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from api.dialects import Preset, shipped_presets
from ingest.decoders.catalogue import DECODERS
from ingest.decoders.native import check_name, check_sequence, decode_events, decode_state, decode_telemetry
from ingest.decoders.telling import TimedSample, Told
from ingest.decoders.waveform import decode_waveform, to_samples
from ingest.mapping.topics import MAX_KEY_LENGTH
from ingest.quarantine_reasons import Unusable
from ingest.stencils import NO_STENCIL, Stencils, Texts
from ingest.times import to_us
from storage.feeds import Feed

RECEIVED = datetime(2026, 3, 2, 8, tzinfo=UTC)
FEED_ID = 7
NATIVE_TOPIC = "wearsight/v1/plant-1/press-7/"
_LARGEST_US = 2**63 - 1

# What breaks parsers; put into an example it leaves most of it whole, so that the decoder goes on behind the parser.
HOSTILE = (
    b"NaN", b"-Infinity", b"1e400", b"9" * 400, b"9" * 5_000, b"null", b"true", b'"', b"{", b"}", b"[", b"]", b",",
    b":", b"\\", b"\\ud800", b"\\u0000", b"\\u003a", b"\x00", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"-1", b"0.0",
    b"1e308", b'{"a":1,"a":2}', b"[" * 40 + b"]" * 40, b"[" * 3_000, b'""', b"=", b" ", b"\n", b"18446744073709551616i",
    b"#", b"12.", b'"2026-03-29T02:30:00"', b'"0001-01-01T00:00:00Z"', b'"9999-12-31T23:59:59+14:00"',
    b"-1e308", b"false", b"0",
)  # fmt: skip

Decode = Callable[[str, bytes, datetime], Sequence[Told]]


@dataclass(frozen=True, slots=True)
class Setting:
    """A decoder with the settings of one feed: ``make`` gives a fresh one. ``messages`` are (topic, payload)."""

    name: str
    make: Callable[[], Decode]
    messages: Sequence[tuple[str, bytes]]


def targets() -> Mapping[str, Sequence[Setting]]:
    """Return the settings to try each decoder with, by the decoder's name."""
    found: dict[str, list[Setting]] = {"native": [_native()], "waveform": [_waveform()]}
    for preset in shipped_presets():
        if preset.decoder in DECODERS:
            found.setdefault(preset.decoder, []).append(_of_preset(preset))
    missing = DECODERS.keys() - found.keys()
    if missing:
        raise ValueError(f"editions/feeds has no preset of {sorted(missing)}: without examples nothing is tried")
    return found


def feed_of(preset: Preset) -> Feed:
    """Return a feed with the preset's settings."""
    return Feed(FEED_ID, preset.name, "plant-1", preset.topic, preset.decoder, preset.settings, True, None, None)


def bytes_of(payload: str, encoding: str) -> bytes:
    """Return the bytes of an example's payload."""
    return base64.b64decode(payload) if encoding == "base64" else payload.encode()


def faults(told: Sequence[Told]) -> Iterator[str]:
    """Say what is wrong with what a decoder tells; nothing, when it keeps its word."""
    for one in told:
        place, key = one.address
        if not (isinstance(place, str) or place == FEED_ID) or not 1 <= len(key) <= MAX_KEY_LENGTH:
            yield f"address {one.address!r}"
        if not (one.samples or one.events or one.waveforms or one.online is not None):
            yield f"nothing about {one.address!r}"
        for ts_us in (*(sample.ts_us for sample in one.samples), *(event.ts_us for event in one.events)):
            if type(ts_us) is not int or not 0 <= ts_us <= _LARGEST_US:
                yield f"time {ts_us!r}"
        for sample in one.samples:
            if not sample.values:
                yield "a sample without values"
            if sample.seq is not None and type(sample.seq) is not int:
                yield f"sequence {sample.seq!r}"
            for name, value in sample.values.items():
                if not isinstance(name, str) or not name or type(value) is not float or not math.isfinite(value):
                    yield f"value {value!r} of {name!r}"
                else:
                    # What has no UTF-8 would be refused by the database, late.
                    name.encode()
        for event in one.events:
            "".join((event.event.code, event.event.text, *event.event.attributes.values())).encode()


def spliced(payload: bytes, instructions: bytes) -> bytes:
    """Return the payload with hostile pieces put into it: where, over how much, and which, three bytes for each."""
    for start in range(0, len(instructions) - 2, 3):
        at, cut, piece = instructions[start : start + 3]
        place = at * (len(payload) + 1) // 256
        payload = payload[:place] + HOSTILE[piece % len(HOSTILE)] + payload[place + cut % 16 :]
    return payload


def _of_preset(preset: Preset) -> Setting:
    def make() -> Decode:
        return DECODERS[preset.decoder](feed_of(preset)).decode

    messages = [(example.topic, bytes_of(example.payload, example.encoding)) for example in preset.examples]
    return Setting(preset.name, make, messages)


def _native() -> Setting:
    """The native decoder reads four kinds of topics; what it gives is put as feeds tell it.

    What a stencil reads must be what the decoder reads; where the decoder refuses, no stencil may fit.
    """
    address = ("plant-1", "press-7")
    stencils, texts = Stencils(), Texts()

    def decode(topic: str, payload: bytes, _received_at: datetime) -> Sequence[Told]:
        kind = topic.rpartition("/")[2]
        if kind == "state":
            return [Told(address, online=decode_state(payload))]
        if kind == "events":
            return [Told(address, events=decode_events(payload))]
        (stencil,) = stencils.read([payload], [texts]).stencil
        try:
            decoded = decode_telemetry(payload)
        except Unusable:
            assert stencil == NO_STENCIL, "a stencil fits what the decoder refuses"
            raise
        if stencil != NO_STENCIL or texts.is_worth_a_try():
            is_learned = stencils.learn(payload, texts)  # compares
            assert is_learned or stencil == NO_STENCIL, "a stencil reads something else than the decoder"
        samples = [TimedSample(to_us(one.ts), one.values, check_sequence(one.seq)) for one in decoded]
        for sample in samples:
            for name in sample.values:
                check_name(name)
        return [Told(address, samples)]

    messages = [
        (f"{NATIVE_TOPIC}telemetry", b'{"ts": 1772438398000, "seq": 17, "values": {"a": 61.5, "b": -2e3}}'),
        (f"{NATIVE_TOPIC}telemetry", b'[{"ts": "2026-03-02T07:59:58.25Z", "values": {"a": 1}}]'),
        (
            f"{NATIVE_TOPIC}events",
            b'{"ts": 1772438398000, "code": "E-107", "severity": "warning", "attrs": {"p": "2"}}',
        ),
        (f"{NATIVE_TOPIC}state", b'{"state": "online"}'),
    ]
    return Setting("native", lambda: decode, messages)


def _waveform() -> Setting:
    def decode(_topic: str, payload: bytes, _received_at: datetime) -> Sequence[Told]:
        blocks, seq = decode_waveform(payload)
        check_sequence(seq)
        return [Told(("plant-1", "press-7"), to_samples(blocks), waveforms=blocks)]

    def message(samples: str) -> bytes:
        return f'{{"ts": 1772438398000, "metric": "v", "unit": "m/s2", "rate_hz": 1000, {samples}}}'.encode()

    numbers = [math.sin(place) for place in range(64)]
    raw = b"\x00\x00\x80\x3f\x00\x00\x00\x00" * 16
    header = b'{"ts": 1772438398000, "metric": "v", "unit": "g", "rate_hz": 1000.0}'
    topic = f"{NATIVE_TOPIC}waveform"
    messages = [
        (topic, message(f'"samples": {numbers}')),
        (topic, message(f'"seq": 5, "samples_b64": "{base64.b64encode(raw).decode()}"')),
        (topic, b"WSWF\x01\x00" + len(header).to_bytes(2, "little") + header + raw),
    ]
    return Setting("waveform", lambda: decode, messages)
