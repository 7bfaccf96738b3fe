"""The native decoder, times and topics: every message gives readings or a named refusal, no crash (SPEC E3, E5)."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.events import EventKind, EventSeverity
from ingest.decoders.native import check_name, decode_events, decode_state, decode_telemetry
from ingest.limits import MAX_PAYLOAD_BYTES
from ingest.quarantine_reasons import EXPLANATIONS, Reason, Unusable
from ingest.times import Window, to_datetime, to_us
from ingest.topics import Route, TopicKind, parse

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)


def reason_of(work, *arguments, **named) -> str:
    with pytest.raises(Unusable) as refused:
        work(*arguments, **named)
    assert refused.value.detail
    return refused.value.reason


def test_one_sample_a_multi_metric_sample_and_a_list_are_read():
    """SPEC E3."""
    (one,) = decode_telemetry(b'{"ts": 1, "values": {"t": 1.5}}')
    assert (one.ts, one.values) == (1, {"t": 1.5})
    (many,) = decode_telemetry(b'{"ts": "2026-03-02T08:00:00Z", "seq": 7, "values": {"t": 1, "u": -2e3}}')
    assert (many.seq, many.values) == (7, {"t": 1.0, "u": -2000.0})
    assert [sample.ts for sample in decode_telemetry(b'[{"ts":1,"values":{"t":1}},{"ts":2,"values":{"t":2}}]')] == [
        1,
        2,
    ]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", Reason.BAD_JSON),
        (b"hello", Reason.BAD_JSON),
        (b"\xff\xfe", Reason.BAD_JSON),
        (b'{"ts": 1, "values": {"t": 1}', Reason.BAD_JSON),
        (b'{"ts": 1, "values": {"t": 1}} x', Reason.BAD_JSON),
        (b'{"ts": 1, "values": {"\\ud800": 1}}', Reason.BAD_JSON),
        (b'{"ts": 1, "values": {"t\xff": 1}}', Reason.BAD_JSON),
        (b'\xef\xbb\xbf{"ts": 1, "values": {"t": 1}}', Reason.BAD_JSON),
        (b'{"ts": 1, "values": {"t": 1}, "x": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", Reason.BAD_JSON),
        (b"[" * 60_000, Reason.WRONG_SHAPE),
        (b"7", Reason.WRONG_SHAPE),
        (b"null", Reason.WRONG_SHAPE),
        (b"{}", Reason.WRONG_SHAPE),
        (b'{"values": {"t": 1}}', Reason.WRONG_SHAPE),
        (b'{"ts": 1, "values": [1]}', Reason.WRONG_SHAPE),
        (b'[{"ts": 1, "values": {"t": 1}}, 5]', Reason.WRONG_SHAPE),
        (b"[]", Reason.EMPTY),
        (b'{"ts": 1, "values": {}}', Reason.EMPTY),
        (b'{"ts": 1, "values": {"t": NaN}}', Reason.NOT_A_NUMBER),
        (b'{"ts": 1, "values": {"t": -Infinity}}', Reason.NOT_A_NUMBER),
        (b'{"ts": 1, "values": {"t": 1e400}}', Reason.NOT_A_NUMBER),
        (b'{"ts": 1, "values": {"t": 1' + b"0" * 400 + b"}}", Reason.NOT_A_NUMBER),
        (b'{"ts": 1, "values": {"t": null}}', Reason.NOT_A_NUMBER),
        (b'{"ts": 1, "values": {"t": "5"}}', Reason.NOT_A_NUMBER),
        (b'{"ts": 1, "values": {"t": true}}', Reason.NOT_A_NUMBER),
        (b'[{"ts": 1, "values": {"t": 1}}, {"ts": 1, "values": {"t": {}}}]', Reason.NOT_A_NUMBER),
        (b'{"ts": true, "values": {"t": 1}}', Reason.BAD_TIMESTAMP),
        (b'{"ts": null, "values": {"t": 1}}', Reason.BAD_TIMESTAMP),
        (b'{"ts": 1e999, "values": {"t": 1}}', Reason.BAD_TIMESTAMP),
        (b'{"ts": 1, "values": {"t": 1, "t": 2}}', Reason.DUPLICATE_KEY),
        (b'{"ts": 1, "ts": 2, "values": {"t": 1}}', Reason.DUPLICATE_KEY),
        (b'{"ts": 1, "values": {"t": 1}, "values": {"t": 1}}', Reason.DUPLICATE_KEY),
        (b'{"ts": 1, "values": {"a:b": 1, "a\\u003ab": 2}}', Reason.DUPLICATE_KEY),
        (b'{"ts": 1, "values": {"t": 1}, "x": {"a": 1, "a": 2}}', Reason.DUPLICATE_KEY),
        (b'{"ts": 1, "seq": -1, "values": {"t": 1}}', Reason.BAD_SEQUENCE),
        (b'{"ts": 1, "seq": 9007199254740992, "values": {"t": 1}}', Reason.BAD_SEQUENCE),
        (b'{"ts": 1, "seq": ' + b"9" * 5_000 + b', "values": {"t": 1}}', Reason.BAD_SEQUENCE),
        (b'{"ts": 1, "seq": "7", "values": {"t": 1}}', Reason.BAD_SEQUENCE),
        (b" " * (MAX_PAYLOAD_BYTES + 1), Reason.TOO_LARGE),
    ],
)
def test_a_telemetry_message_that_cannot_be_used_is_refused_by_name(payload, reason):
    """SPEC E5."""
    assert reason_of(decode_telemetry, payload) == reason


def test_a_message_of_exactly_64_kib_is_read_and_one_byte_more_is_refused():
    start = b'{"ts": 1, "values": {"t": 1'
    fits = start + b"0" * 5 + b" " * (MAX_PAYLOAD_BYTES - len(start) - 7) + b"}}"
    assert len(fits) == MAX_PAYLOAD_BYTES
    assert decode_telemetry(fits)
    assert reason_of(decode_telemetry, fits + b" ") == Reason.TOO_LARGE


def test_fields_we_do_not_know_and_colons_in_names_are_no_reason_to_refuse():
    (sample,) = decode_telemetry(b'{"ts": 1, "unit": "a:b", "values": {"ns=2;s:T": 1, "x": 2}, "more": {"a": [1]}}')
    assert sample.values == {"ns=2;s:T": 1.0, "x": 2.0}


def test_an_event_has_defaults_and_may_say_everything():
    """SPEC E9."""
    (short,) = decode_events(b'{"ts": 1000, "code": "E17"}')
    assert (short.event.kind, short.event.severity, short.seq) == (EventKind.ERROR, EventSeverity.ERROR, None)
    (full,) = decode_events(
        b'{"ts": 1000, "seq": 3, "kind": "operator", "code": "component_replaced", "severity": "info",'
        b' "text": "new bearing", "attrs": {"component": "bearing"}}'
    )
    assert full.event.attributes == {"component": "bearing"}
    assert (full.seq, full.ts_us, full.event.kind) == (3, 1_000_000, EventKind.OPERATOR)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"[]", Reason.EMPTY),
        (b'{"ts": 1}', Reason.WRONG_SHAPE),
        (b'{"ts": 1, "code": 5}', Reason.WRONG_SHAPE),
        (b'{"ts": 1, "code": ""}', Reason.BAD_EVENT),
        (b'{"ts": 1, "code": "' + b"x" * 129 + b'"}', Reason.BAD_EVENT),
        (b'{"ts": 1, "code": "a\\u0000"}', Reason.BAD_EVENT),
        (b'{"ts": 1, "code": "a", "text": "a\\u0000"}', Reason.BAD_EVENT),
        (b'{"ts": 1, "code": "a", "kind": "party"}', Reason.BAD_EVENT),
        (b'{"ts": 1, "code": "a", "severity": "bad"}', Reason.BAD_EVENT),
        (b'{"ts": 1, "code": "a", "attrs": {"a": 5}}', Reason.BAD_EVENT),
        (b'{"ts": 1, "code": "a", "attrs": {"a": "\\u0000"}}', Reason.BAD_EVENT),
        (b'{"ts": 1, "code": "a", "attrs": {"a": "1", "a": "2"}}', Reason.DUPLICATE_KEY),
        (b'{"ts": "soon", "code": "a"}', Reason.BAD_TIMESTAMP),
        (b'{"ts": 1, "seq": -5, "code": "a"}', Reason.BAD_SEQUENCE),
    ],
)
def test_an_event_that_cannot_be_used_is_refused_by_name(payload, reason):
    """SPEC E5, E9."""
    assert reason_of(decode_events, payload) == reason


@pytest.mark.parametrize("payload", [b"online", b" online\n", b'"online"', b'{"state": "online"}'])
def test_online_is_understood_in_its_three_spellings(payload):
    """SPEC E8."""
    assert decode_state(payload) is True


@pytest.mark.parametrize("payload", [b"", b"on", b"\xff", b"{}", b'{"state": 1}', b'{"state": "gone"}', b"[" * 60_000])
def test_a_state_that_is_neither_is_refused(payload):
    assert reason_of(decode_state, payload) == Reason.BAD_STATE


@pytest.mark.parametrize(
    ("ts", "expected"),
    [
        (NOW_MS, NOW),
        (NOW_MS + 0.5, NOW + timedelta(microseconds=500)),
        ("2026-03-02T08:00:00Z", NOW),
        ("2026-03-02t08:00:00.25z", NOW + timedelta(milliseconds=250)),
        ("2026-03-02 16:00:00+08:00", NOW),
        ("2026-03-02T08:00:00.123456789Z", NOW + timedelta(microseconds=123_456)),
    ],
)
def test_times_are_milliseconds_or_rfc_3339_with_a_zone(ts, expected):
    assert to_datetime(to_us(ts)) == expected


@pytest.mark.parametrize(
    ("ts", "reason"),
    [
        ("2026-03-02T08:00:00", Reason.BAD_TIMESTAMP),
        ("2026-03-02", Reason.BAD_TIMESTAMP),
        ("2026-02-30T08:00:00Z", Reason.BAD_TIMESTAMP),
        ("2026-03-02T08:00:60Z", Reason.BAD_TIMESTAMP),
        ("2026-03-02T08:00:00+99:00", Reason.BAD_TIMESTAMP),
        ("0001-01-01T00:00:00+14:00", Reason.TOO_OLD),
        ("1969-12-31T23:59:59Z", Reason.TOO_OLD),
        ("294276-01-01T00:00:00Z", Reason.BAD_TIMESTAMP),
        ("٢٠٢٦-03-02T08:00:00Z", Reason.BAD_TIMESTAMP),
        ("now", Reason.BAD_TIMESTAMP),
        ("2" * 10_000, Reason.BAD_TIMESTAMP),
        (-1, Reason.BAD_TIMESTAMP),
        (math.nan, Reason.BAD_TIMESTAMP),
        (9_224_318_015_999_999, Reason.TOO_FAR_AHEAD),
        pytest.param(10**5_000, Reason.TOO_FAR_AHEAD, id="5000 digits"),
        (1e300, Reason.TOO_FAR_AHEAD),
    ],
)
def test_a_time_that_is_none_is_refused_by_name(ts, reason):
    """The year 294276 is one that PostgreSQL stores and Python cannot read back."""
    assert reason_of(to_us, ts) == reason


@pytest.mark.parametrize(
    ("offset", "recorded", "reason"),
    [
        (timedelta(minutes=5), False, None),
        (timedelta(minutes=5, microseconds=1), False, Reason.TOO_FAR_AHEAD),
        (timedelta(minutes=5, microseconds=1), True, Reason.TOO_FAR_AHEAD),
        (timedelta(days=-7), False, None),
        (timedelta(days=-7, microseconds=-1), False, Reason.TOO_OLD),
        (timedelta(days=-7, microseconds=-1), True, None),
        (timedelta(days=-12_000), True, None),
        (datetime(1980, 1, 1, tzinfo=UTC) - NOW, True, None),
        (datetime(1980, 1, 1, tzinfo=UTC) - NOW - timedelta(microseconds=1), True, Reason.TOO_OLD),
    ],
)
def test_the_window_of_times_ends_where_the_device_policy_says(offset, recorded, reason):
    window, ts_us = Window(NOW), to_us(NOW_MS) + offset // timedelta(microseconds=1)
    if reason is None:
        window.check(ts_us, recorded=recorded)
    else:
        assert reason_of(window.check, ts_us, recorded=recorded) == reason


def test_a_topic_names_site_device_and_kind():
    assert parse("wearsight/v1/plant-1/m_1/events") == Route(("plant-1", "m_1"), TopicKind.EVENTS)


@pytest.mark.parametrize(
    "topic",
    ["", "wearsight/v1/a/b",
     "wearsight/v2/a/b/state", "wearsight/v1/a/b/vibration", "wearsight/v1//b/state",
     "wearsight/v1/a/b c/state", "wearsight/v1/a/ü/state", "wearsight/v1/a/b/state/",
     f"wearsight/v1/a/{'b' * 65}/state",
     "wearsight/v1/a/b/state\n"],
)  # fmt: skip
def test_a_topic_that_is_not_ours_is_refused(topic):
    assert reason_of(parse, topic) == Reason.BAD_TOPIC


@pytest.mark.parametrize("name", ["", "x" * 129, "a\0", "a\n", "\x7f"])
def test_a_metric_name_that_could_not_be_shown_is_refused(name):
    assert reason_of(check_name, name) == Reason.BAD_METRIC_NAME


def test_every_reason_is_explained_in_both_languages():
    assert set(EXPLANATIONS) == set(Reason)
    for explanation in EXPLANATIONS.values():
        assert explanation.meaning_en.endswith(".")
        assert explanation.remedy_en.endswith(".")
        assert explanation.meaning_zh.endswith("。")
        assert explanation.remedy_zh.endswith("。")


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
JSON = LEAVES | st.lists(LEAVES, max_size=3) | st.dictionaries(st.text(max_size=4), LEAVES, max_size=3)
LIKELY = st.fixed_dictionaries(
    {"ts": LEAVES | st.datetimes().map(str), "values": st.dictionaries(st.text(max_size=4), LEAVES, max_size=3)},
    optional=dict.fromkeys(("seq", "code", "kind", "severity", "text", "attrs", "state"), JSON),
)
PAYLOADS = (
    st.binary(max_size=40)
    | JSON.map(lambda body: json.dumps(body).encode())
    | LIKELY.map(lambda body: json.dumps(body).encode())
    | st.lists(LIKELY, max_size=3).map(
        lambda body: json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
    )
)


@settings(max_examples=3_000, deadline=None)
@given(payload=PAYLOADS)
@example(payload=b'{"ts":0,"values":{"a":1,"\\u0061":2}}')
def test_any_bytes_give_usable_values_or_a_named_refusal(payload):
    """SPEC E5: fuzzing the decoder of every topic; what is accepted could be stored."""
    with suppress(Unusable):
        for sample in decode_telemetry(payload):
            assert 0 <= to_us(sample.ts) < 2**63
            assert sample.values
            assert all(math.isfinite(value) for value in sample.values.values())
            for name in sample.values:
                check_name(name)
                name.encode()
    with suppress(Unusable):
        for one in decode_events(payload):
            told = [one.event.code, one.event.text, *one.event.attributes, *one.event.attributes.values()]
            assert not any("\0" in text for text in told)
            "".join(told).encode()
    with suppress(Unusable):
        assert decode_state(payload) in (True, False)
