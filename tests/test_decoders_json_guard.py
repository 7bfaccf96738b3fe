"""Keys named twice are found however their colons are written: what hides them from a count is looked at slowly."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.decoders.native import decode_telemetry
from ingest.json_guard import MAX_DEPTH, parse
from ingest.quarantine_reasons import Reason, Unusable

NAMES = st.text(alphabet='ab:\\"\u003a\n', max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(value=JSON, ascii_only=st.booleans())
def test_what_has_no_key_twice_is_read_as_it_is(value, ascii_only):
    assert parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@pytest.mark.parametrize(
    "payload",
    [
        b'{"a": 1, "a": 2}',
        b'[{"x": {"a": 1, "b": 2, "a": 3}}]',
        b'{"a:": 1, "a\\u003a": 2}',
        b'{"t\\u003a": 1, "b": 1, "b": 2}',
        b'{"t": "\\u003A", "b": 1, "b": 2}',
    ],
)
def test_a_key_named_twice_is_refused(payload):
    with pytest.raises(Unusable) as refused:
        parse(payload)
    assert refused.value.reason == Reason.DUPLICATE_KEY


def test_the_native_decoder_is_not_deceived_by_a_time_with_escaped_colons():
    """Two values for t: the colon that the lost key brought was made up for by one that the time hid."""
    payload = b'{"ts": "2026-03-02T08\\u003a00:00Z", "values": {"t": 1, "t": 2}}'
    with pytest.raises(Unusable) as refused:
        decode_telemetry(payload)
    assert refused.value.reason == Reason.DUPLICATE_KEY
    (sample,) = decode_telemetry(payload.replace(b'"t": 1, ', b""))
    assert sample.values == {"t": 2.0}


def test_nesting_ends_where_the_limit_says():
    assert parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH) is not None
    with pytest.raises(Unusable) as refused:
        parse(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))
    assert refused.value.reason == Reason.BAD_JSON
