"""Waveform messages: every one gives a block or a named refusal, never a crash (SPEC E3, E5)."""

from __future__ import annotations

import base64
import json
import math
import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detectors.vibration import FeatureSettings, features
from domain.waveforms import WaveformBlock
from ingest.decoders.native import check_name
from ingest.decoders.waveform import MAX_METRIC_LENGTH, decode_waveform, to_samples
from ingest.limits import MAX_METRICS, MAX_WAVEFORM_BYTES, MAX_WAVEFORM_SAMPLES
from ingest.quarantine_reasons import Reason, Unusable

RAMP = np.arange(32, dtype="<f4") / 8
HEADER: dict[str, object] = {"ts": 1_000, "seq": 7, "metric": "drive_end", "unit": "m/s2", "rate_hz": 25_600}


def as_json(**changes: object) -> bytes:
    return json.dumps({**HEADER, "samples": RAMP.tolist(), **changes}).encode()


def without_samples() -> bytes:
    return json.dumps(HEADER).encode()


def as_binary(raw: bytes = RAMP.tobytes(), header: bytes | None = None, version: int = 1, **changes: object) -> bytes:
    text = json.dumps({**HEADER, **changes}).encode() if header is None else header
    return struct.pack("<4sHH", b"WSWF", version, len(text)) + text + raw


def reason_of(payload: bytes) -> Reason:
    with pytest.raises(Unusable) as refused:
        decode_waveform(payload)
    assert refused.value.detail
    return refused.value.reason


def base64_message(raw: bytes = RAMP.tobytes(), text: str | None = None) -> bytes:
    return json.dumps({**HEADER, "samples_b64": base64.b64encode(raw).decode() if text is None else text}).encode()


@pytest.mark.parametrize("payload", [as_json(), base64_message(), as_binary()], ids=["numbers", "base64", "binary"])
def test_the_three_forms_say_the_same(payload: bytes) -> None:
    """SPEC E3."""
    (block,), seq = decode_waveform(payload)
    assert block == WaveformBlock(1_000_000, "drive_end", "m/s2", 25_600.0, RAMP.tobytes())
    assert (len(block), seq) == (32, 7)


def test_the_sequence_number_is_optional_and_a_time_may_be_rfc_3339() -> None:
    (block,), seq = decode_waveform(as_binary(seq=None, ts="2026-03-02T08:00:00.250Z"))
    assert (block.ts_us, seq) == (1_772_438_400_250_000, None)


def test_the_ten_lines_of_the_guide_make_a_message_that_is_read() -> None:
    samples = np.sin(np.arange(25_600) * 0.1)
    header = json.dumps({"ts": 1767225600000, "metric": "de_x", "unit": "g", "rate_hz": 25600}).encode()
    payload = struct.pack("<4sHH", b"WSWF", 1, len(header)) + header + np.asarray(samples, dtype="<f4").tobytes()
    (block,), _ = decode_waveform(payload)
    assert np.allclose(np.frombuffer(block.samples, "<f4"), samples, atol=1e-6)


BAD_HEADERS = [
    ({"ts": -1}, Reason.BAD_TIMESTAMP),
    ({"ts": "yesterday"}, Reason.BAD_TIMESTAMP),
    ({"ts": [1]}, Reason.BAD_TIMESTAMP),
    ({"ts": 1e300}, Reason.TOO_FAR_AHEAD),
    ({"seq": -1}, Reason.BAD_SEQUENCE),
    ({"seq": "7"}, Reason.BAD_SEQUENCE),
    ({"metric": ""}, Reason.BAD_METRIC_NAME),
    ({"metric": "a\u0000b"}, Reason.BAD_METRIC_NAME),
    ({"metric": "m" * (MAX_METRIC_LENGTH + 1)}, Reason.BAD_METRIC_NAME),
    ({"metric": 5}, Reason.BAD_WAVEFORM),
    ({"unit": ""}, Reason.BAD_WAVEFORM),
    ({"unit": "m" * 33}, Reason.BAD_WAVEFORM),
    ({"unit": "g\n"}, Reason.BAD_WAVEFORM),
    ({"rate_hz": 0}, Reason.BAD_WAVEFORM),
    ({"rate_hz": 0.99}, Reason.BAD_WAVEFORM),
    ({"rate_hz": 1_000_001}, Reason.BAD_WAVEFORM),
    ({"rate_hz": -25_600}, Reason.BAD_WAVEFORM),
    ({"rate_hz": "25600"}, Reason.BAD_WAVEFORM),
    ({"rate_hz": True}, Reason.BAD_WAVEFORM),
]


@pytest.mark.parametrize(("changes", "reason"), BAD_HEADERS)
def test_a_header_that_cannot_be_used_is_refused_by_name_in_both_forms(
    changes: dict[str, object], reason: Reason
) -> None:
    """SPEC E5."""
    assert reason_of(as_json(**changes)) == reason
    assert reason_of(as_binary(**changes)) == reason


@pytest.mark.parametrize("name", ["ts", "metric", "unit", "rate_hz"])
def test_every_field_but_the_sequence_number_is_required(name: str) -> None:
    body = {field: value for field, value in HEADER.items() if field != name}
    assert reason_of(json.dumps({**body, "samples": RAMP.tolist()}).encode()) == Reason.BAD_WAVEFORM
    assert reason_of(as_binary(header=json.dumps(body).encode())) == Reason.BAD_WAVEFORM


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", Reason.BAD_JSON),
        (b"{", Reason.BAD_JSON),
        (b"\xff\xfe", Reason.BAD_JSON),
        (b'{"x":' + b"[" * 100_000, Reason.BAD_JSON),
        (b"[]", Reason.BAD_WAVEFORM),
        (b"null", Reason.BAD_WAVEFORM),
        (without_samples(), Reason.BAD_WAVEFORM),
        (as_json(samples_b64="AAAA"), Reason.BAD_WAVEFORM),
        (as_json(samples=[1.0] * 15), Reason.BAD_WAVEFORM),
        (as_json(samples="AAAA"), Reason.BAD_WAVEFORM),
        (as_json(samples=[1.0] * 15 + ["x"]), Reason.NOT_A_NUMBER),
        (as_json(samples=[1.0] * 15 + [[1.0]]), Reason.NOT_A_NUMBER),
        (as_json(samples=[1.0] * 15 + [math.nan]), Reason.NOT_A_NUMBER),
        (as_json(samples=[1.0] * 15 + [1e39]), Reason.NOT_A_NUMBER),
        (base64_message(text="AAA"), Reason.BAD_WAVEFORM),
        (base64_message(text="not base64!" * 8), Reason.BAD_WAVEFORM),
        (base64_message(text="\u4e2d" * 32), Reason.BAD_WAVEFORM),
        (base64_message(RAMP.tobytes()[:-1]), Reason.BAD_WAVEFORM),
        (base64_message(RAMP.tobytes()[:60]), Reason.BAD_WAVEFORM),
        (base64_message(struct.pack("<f", math.inf) * 16), Reason.NOT_A_NUMBER),
        (as_binary(struct.pack("<f", math.nan) * 16), Reason.NOT_A_NUMBER),
        (as_binary(RAMP.tobytes()[:-1]), Reason.BAD_WAVEFORM),
        (as_binary(b""), Reason.BAD_WAVEFORM),
        (as_binary(version=2), Reason.BAD_WAVEFORM),
        (as_binary(header=b"{"), Reason.BAD_JSON),
        (b"WSWF", Reason.BAD_WAVEFORM),
        (b"WSWF\x01\x00\xff\xff{}", Reason.BAD_WAVEFORM),
        (as_binary(header=b'{"ts":1,"ts":2,"metric":"a","unit":"g","rate_hz":9}'), Reason.DUPLICATE_KEY),
        (as_json().replace(b'"unit"', b'"rate_hz": 9, "unit"'), Reason.DUPLICATE_KEY),
        (as_json().replace(b'"unit"', b'"rate_\\u0068z": 9, "unit"'), Reason.DUPLICATE_KEY),
        (as_json(metric="a:b").replace(b'"a:b"', b'"a\\u003ab", "seq": 7'), Reason.DUPLICATE_KEY),
    ],
)
def test_a_message_that_cannot_be_used_is_refused_by_name(payload: bytes, reason: Reason) -> None:
    """SPEC E5."""
    assert reason_of(payload) == reason


def test_a_binary_message_that_is_cut_off_within_its_header_is_told_so() -> None:
    whole = as_binary()
    with pytest.raises(Unusable, match="expected a header of") as refused:
        decode_waveform(whole[:40])
    assert refused.value.reason == Reason.BAD_WAVEFORM


def test_unknown_fields_and_colons_in_texts_are_no_reason_to_refuse() -> None:
    (block,), _ = decode_waveform(as_json(metric="ns=2;s:de", ts="2026-03-02T08:00:00Z", axis={"x": 1}))
    assert block.metric == "ns=2;s:de"


def test_the_bounds_of_size_and_number_of_samples_are_exact() -> None:
    assert len(decode_waveform(as_json(samples=[0] * 16))[0][0]) == 16
    most = as_json().replace(json.dumps(RAMP.tolist()).encode(), b"[" + b"0," * (MAX_WAVEFORM_SAMPLES - 1))
    most = most[: most.rindex(b",") + 1] + b"0]}"
    assert len(decode_waveform(most)[0][0]) == MAX_WAVEFORM_SAMPLES
    assert reason_of(most.replace(b"0]}", b"0,0]}")) == Reason.BAD_WAVEFORM
    fits = as_json() + b" " * (MAX_WAVEFORM_BYTES - len(as_json()))
    assert decode_waveform(fits)
    assert reason_of(fits + b" ") == Reason.TOO_LARGE


def test_features_become_readings_of_the_blocks_first_instant_under_names_that_fit() -> None:
    """SPEC E3: judged like any reading. The longest metric with the most features stays within the limits."""
    block = WaveformBlock(
        5_000_000, "m" * MAX_METRIC_LENGTH, "g", 500_000.0, np.sin(np.arange(40_000.0)).astype("<f4").tobytes()
    )
    most = FeatureSettings(envelope_peaks=10, band_edges_hz=tuple(10.0 * 1.3**n for n in range(33)))
    (sample,) = to_samples([block], most)
    assert (sample.ts_us, sample.seq) == (5_000_000, None)
    assert sample.values == {f"{block.metric}.{name}": value for name, value in features(block, most).items()}
    assert len(sample.values) <= MAX_METRICS
    for name in sample.values:
        check_name(name)


HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "ts": st.integers() | st.text(max_size=30) | st.floats(),
        "seq": st.integers() | st.none(),
        "metric": st.text(max_size=140),
        "unit": st.text(max_size=40),
        "rate_hz": st.floats() | st.integers(),
        "samples": st.lists(st.floats() | st.integers(), max_size=40),
        "samples_b64": st.text(max_size=100) | st.binary(max_size=200).map(lambda raw: base64.b64encode(raw).decode()),
    },
)


@given(payload=st.binary(max_size=300))
@example(payload=b"WSWF" + b"\x01\x00\x00\x00")
@settings(max_examples=400, deadline=None)
def test_arbitrary_bytes_are_refused_by_name_or_read(payload: bytes) -> None:
    """SPEC E5: nothing but Unusable."""
    for tried in (payload, b"WSWF\x01\x00" + payload, as_binary(payload), base64_message(payload)):
        with suppress(Unusable):
            blocks, _ = decode_waveform(tried)
            assert all(math.isfinite(value) for value in to_samples(blocks)[0].values.values())


@given(header=HEADERS, raw=st.binary(max_size=400))
@settings(max_examples=400, deadline=None)
def test_arbitrary_headers_are_refused_by_name_or_read(header: dict[str, object], raw: bytes) -> None:
    text = json.dumps(header).encode()
    for tried in (text, as_binary(raw, header=text)):
        with suppress(Unusable):
            blocks, _ = decode_waveform(tried)
            assert all(math.isfinite(value) for value in to_samples(blocks)[0].values.values())
