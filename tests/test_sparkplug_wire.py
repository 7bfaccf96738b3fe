"""Sparkplug B as bytes: golden messages, every data type there and back, and whatever else bytes may be."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.refusals import Refused
from ingest.decoders.sparkplug_b import SparkplugB
from ingest.quarantine_reasons import Reason, Unusable
from ingest.sparkplug.feed_settings import settings_of
from ingest.sparkplug.wire import MAX_BIRTH_BYTES, rebirth_request
from simulators.sparkplug_node import Metric, Type, encode, has_rebirth_request
from tests.ingest_builders import NOW, ms
from tests.sparkplug_builders import (
    a_birth,
    a_death,
    an_unstored_feed,
    data,
    presence_of,
    temperature,
    topic_of,
    values_of,
)

# NBIRTH by hand: timestamp 1772438400000, metrics bdSeq = 3 (Int64) and Temp = 21.5 (Double, alias 5), seq 0.
GOLDEN_BIRTH = bytes.fromhex(
    "0880d8beecca33"
    "120b" "0a056264536571" "2004" "5803"
    "1213" "0a0454656d70" "1005" "200a" "690000000000803540"
    "1800"
)  # fmt: skip
# NDATA by hand: alias 5 = -1.25, seq 1, a second later.
GOLDEN_DATA = bytes.fromhex("08" "e8dfbeecca33" "120b" "1005" "69000000000000f4bf" "1801")  # fmt: skip


def reason_of(told_by, *arguments) -> Reason:
    with pytest.raises(Unusable) as raised:
        told_by(*arguments)
    return raised.value.reason


def decode(metric: Metric) -> float | None:
    told = SparkplugB(an_unstored_feed()).decode(*a_birth(NOW, metric), NOW)
    return values_of(told).get(("hall/press", str(metric.name)))


def test_a_golden_birth_and_data_by_alias_are_read():
    decoder = SparkplugB(an_unstored_feed())
    born = decoder.decode(topic_of("NBIRTH"), GOLDEN_BIRTH, NOW)
    assert [(one.address, one.online) for one in born] == [((7, "hall/press"), True)]
    assert [(sample.ts_us, sample.values) for sample in born[0].samples] == [(ms(NOW) * 1000, {"Temp": 21.5})]
    told = decoder.decode(topic_of("NDATA"), GOLDEN_DATA, NOW)
    assert [(sample.ts_us, sample.values) for sample in told[0].samples] == [
        (ms(NOW) * 1000 + 1_000_000, {"Temp": -1.25})
    ]


def test_the_simulators_encoder_writes_the_golden_bytes():
    birth = [Metric("bdSeq", Type.INT64, 3), Metric("Temp", Type.DOUBLE, 21.5, 5)]
    assert encode(birth, ts=ms(NOW), seq=0) == GOLDEN_BIRTH
    sent = [Metric(None, None, -1.25, 5)]
    assert encode(sent, ts=ms(NOW) + 1000, seq=1, types={5: Type.DOUBLE}) == GOLDEN_DATA


WHOLE = {
    Type.INT8: (-(2**7), 2**7 - 1),
    Type.INT16: (-(2**15), 2**15 - 1),
    Type.INT32: (-(2**31), 2**31 - 1),
    Type.INT64: (-(2**63), 2**63 - 1),
    Type.UINT8: (0, 2**8 - 1),
    Type.UINT16: (0, 2**16 - 1),
    Type.UINT32: (0, 2**32 - 1),
    Type.UINT64: (0, 2**64 - 1),
    Type.DATE_TIME: (-(2**63), 2**63 - 1),
}


@given(st.sampled_from(sorted(WHOLE)).flatmap(lambda kind: st.tuples(st.just(kind), st.integers(*WHOLE[kind]))))
def test_every_whole_number_comes_back(case: tuple[Type, int]):
    kind, value = case
    assert decode(Metric("m", kind, value)) == float(value)


@pytest.mark.parametrize("kind", sorted(WHOLE))
def test_the_bounds_of_whole_numbers_come_back(kind: Type):
    for value in WHOLE[kind]:
        assert decode(Metric("m", kind, value)) == float(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_double_comes_back(value: float):
    assert decode(Metric("m", Type.DOUBLE, value)) == value


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.booleans())
def test_every_float_and_boolean_comes_back(value: float, flag: bool):
    assert decode(Metric("m", Type.FLOAT, value)) == value
    assert decode(Metric("m", Type.BOOLEAN, flag)) == float(flag)


@pytest.mark.parametrize(("sent", "meant"), [(0xFF, -1), (0xFFFFFFFF, -1), (0x80, -128), (0x7F, 127)])
def test_a_small_negative_number_may_come_in_its_own_width_or_widened(sent: int, meant: int):
    assert decode(Metric("m", Type.INT8, sent)) == meant


@pytest.mark.parametrize(
    ("kind", "sent"), [(Type.INT8, 300), (Type.UINT8, 256), (Type.INT16, 70_000), (Type.UINT16, 2**32 - 1)]
)
def test_a_number_that_does_not_fit_its_type_is_refused(kind: Type, sent: int):
    assert reason_of(decode, Metric("m", kind, sent)) is Reason.BAD_SPARKPLUG


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", [Type.FLOAT, Type.DOUBLE])
def test_what_is_not_finite_is_refused(kind: Type, value: float):
    assert reason_of(decode, Metric("m", kind, value)) is Reason.NOT_A_NUMBER


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        (Metric("m", Type.DATA_SET, b"\x08\x01"), Reason.SPARKPLUG_DATA_SET),
        (Metric("m", Type.TEMPLATE, b"\x28\x01"), Reason.SPARKPLUG_TEMPLATE),
    ],
)
def test_data_sets_and_templates_are_refused_by_name_unless_they_are_not_chosen(metric: Metric, reason: Reason):
    assert reason_of(decode, metric) is reason
    chosen = SparkplugB(an_unstored_feed(metrics=["T*"]))
    told = chosen.decode(*a_birth(NOW, metric, temperature()), NOW)
    assert values_of(told) == {("hall/press", "T"): 20.0}


@pytest.mark.parametrize(
    "skipped",
    [
        Metric("text", Type.STRING, "idle"),
        Metric("text", Type.TEXT, "idle"),
        Metric("id", Type.UUID, "0b1c"),
        Metric("blob", Type.BYTES, b"\0\1"),
        Metric("file", Type.FILE, b"\0\1"),
        Metric("none", Type.DOUBLE, None),
        Metric("passing", Type.DOUBLE, 1.0, is_transient=True),
        Metric("bad", Type.DOUBLE, 1.0, quality=0),
        Metric("stale", Type.DOUBLE, 1.0, quality=500),
        Metric("ignition", Type.DOUBLE, 1.0, quality=-2147483132),
        Metric("Node Control/Reboot", Type.BOOLEAN, False),
    ],
    ids=lambda metric: metric.name,
)
def test_what_is_no_reading_is_skipped_and_the_rest_is_used(skipped: Metric):
    told = SparkplugB(an_unstored_feed()).decode(*a_birth(NOW, skipped, temperature()), NOW)
    assert values_of(told) == {("hall/press", "T"): 20.0}


@pytest.mark.parametrize("quality", [192, 200, 1073742080])
def test_a_good_or_uncertain_value_is_a_reading(quality: int):
    assert decode(Metric("m", Type.DOUBLE, 1.5, quality=quality)) == 1.5


def test_a_metrics_own_time_goes_before_the_messages_time():
    then = ms(NOW) - 60_000
    late = Metric("m", Type.DOUBLE, 1.0, ts=then, is_historical=True)
    told = SparkplugB(an_unstored_feed()).decode(*a_birth(NOW, late, temperature()), NOW)
    assert [(sample.ts_us, sample.values) for sample in told[0].samples] == [
        (then * 1000, {"m": 1.0}),
        (ms(NOW) * 1000, {"T": 20.0}),
    ]
    assert not told[0].timed_by_receipt


def test_the_time_of_receipt_stands_in_where_there_is_none():
    payload = encode([temperature()], ts=None, seq=0)
    told = SparkplugB(an_unstored_feed()).decode(topic_of("NBIRTH"), payload, NOW)
    assert told[0].timed_by_receipt
    assert told[0].samples[0].ts_us == ms(NOW) * 1000


def test_a_time_beyond_every_calendar_is_refused():
    payload = encode([temperature()], ts=2**64 - 1, seq=0)
    assert reason_of(SparkplugB(an_unstored_feed()).decode, topic_of("NBIRTH"), payload, NOW) is Reason.BAD_TIMESTAMP


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_a_compressed_body_is_unpacked(pack):
    _, inner = a_birth(NOW, temperature())
    body = pack(inner)
    uuid = b"SPBV1.0_COMPRESSED"
    outer = b"\x22" + bytes([len(uuid)]) + uuid + b"\x2a" + struct.pack("B", len(body)) + body
    told = SparkplugB(an_unstored_feed()).decode(topic_of("NBIRTH"), outer, NOW)
    assert values_of(told) == {("hall/press", "T"): 20.0}


def test_a_compressed_bomb_is_refused_before_it_grows():
    body = zlib.compress(bytes(64 * MAX_BIRTH_BYTES))
    length = len(body)
    varint = bytes([length & 0x7F | 0x80, length >> 7 & 0x7F | 0x80, length >> 14])
    outer = b"\x22\x12SPBV1.0_COMPRESSED\x2a" + varint + body
    assert reason_of(SparkplugB(an_unstored_feed()).decode, topic_of("NBIRTH"), outer, NOW) is Reason.TOO_LARGE


def test_data_over_64_kib_is_refused_and_a_birth_of_two_thousand_metrics_is_not():
    decoder = SparkplugB(an_unstored_feed())
    many = [temperature(number, float(number), f"Line 4/Motor {number}/Temperature") for number in range(2_000)]
    topic, payload = a_birth(NOW, *many)
    assert len(payload) > 64 * 1024
    told = decoder.decode(topic, payload, NOW)
    assert [len(sample.values) for sample in told[0].samples] == [256] * 7 + [208]
    assert len(values_of(told)) == 2_000
    assert reason_of(decoder.decode, topic_of("NDATA"), payload, NOW) is Reason.TOO_LARGE


def test_the_rebirth_request_is_what_an_edge_node_understands():
    assert has_rebirth_request(rebirth_request(NOW))
    assert not has_rebirth_request(a_birth(NOW, temperature())[1])


@pytest.mark.parametrize(
    "topic",
    ["spBv1.0/STATE/scada", "spBv1.0/hall/NCMD/press", "spBv1.0/hall/DCMD/press/robot"],
)
def test_commands_and_the_state_of_hosts_are_nobodys_data(topic: str):
    assert SparkplugB(an_unstored_feed()).decode(topic, b"\xff\xff", NOW) == ()


@pytest.mark.parametrize(
    "topic",
    [
        "spBv1.0/hall/NBIRTH/press/robot",
        "spBv1.0/hall/DDATA/press",
        "spBv1.0/hall/NTHING/press",
        "spBv1.0/hall/NDATA/",
        "spAv1.0/hall/NDATA/press",
        f"spBv1.0/hall/NDATA/{'p' * 300}",
        "spBv1.0/hall/NDATA/a\x01b",
    ],
)
def test_other_topics_are_refused(topic: str):
    assert reason_of(SparkplugB(an_unstored_feed()).decode, topic, b"", NOW) is Reason.BAD_TOPIC


@pytest.mark.parametrize(
    ("topic", "given"),
    [
        ("wearsight/#", {}),
        ("spBv1.0/hall/NDATA/+", {}),
        ("spBv1.0/#", {"host_id": "a/b"}),
        ("spBv1.0/#", {"host_id": 5}),
        ("spBv1.0/#", {"reorder_s": -1}),
        ("spBv1.0/#", {"rebirth_pause_s": True}),
        ("spBv1.0/#", {"metrics": []}),
        ("spBv1.0/#", {"metrics": ["x" * 200]}),
        ("spBv1.0/#", {"hostid": "x"}),
    ],
)
def test_a_feed_with_settings_that_cannot_be_meant_is_refused(topic: str, given: dict[str, object]):
    with pytest.raises(Refused) as raised:
        settings_of(an_unstored_feed(topic, **given))
    assert raised.value.name == "invalid_feed"


def test_feeds_of_one_group_and_of_all_are_accepted():
    assert settings_of(an_unstored_feed("spBv1.0/hall/#", host_id="scada")).host_id == "scada"
    assert settings_of(an_unstored_feed("spBv1.0/#")).reorder_s == 2.0


TOPICS = st.sampled_from([topic_of(kind, "robot" if kind[0] == "D" else "") for kind in
                          ("NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH")])  # fmt: skip
METRICS = st.builds(
    Metric,
    st.none() | st.text(max_size=8),
    st.none() | st.sampled_from(Type),
    st.none()
    | st.integers(0, 2**64 - 1)
    | st.floats(width=32)
    | st.booleans()
    | st.text(max_size=4)
    | st.binary(max_size=4),
    st.none() | st.integers(0, 2**64 - 1),
    st.none() | st.integers(0, 2**64 - 1),
    st.booleans(),
    st.booleans(),
    st.none() | st.text(max_size=5),
    st.none() | st.integers(-(2**31), 2**32 - 1),
)


def _encoded(metrics: list[Metric], ts: int | None, seq: int | None) -> bytes:
    try:
        return encode(metrics, ts=ts, seq=seq)
    except (struct.error, ValueError, OverflowError, TypeError):  # a value that is none of its type
        return b""


PAYLOADS = st.binary(max_size=200) | st.builds(
    _encoded,
    st.lists(METRICS, max_size=6),
    st.none() | st.integers(0, 2**64 - 1),
    st.none() | st.integers(0, 300),
)


@settings(max_examples=400)
@given(st.lists(st.tuples(TOPICS, PAYLOADS), max_size=8))
def test_whatever_comes_gives_readings_or_a_named_refusal(messages: list[tuple[str, bytes]]):
    decoder = SparkplugB(an_unstored_feed())
    received = datetime(2026, 3, 2, 8, tzinfo=UTC)
    for topic, payload in messages:
        try:
            told = decoder.decode(topic, payload, received)
        except Unusable:
            continue
        for one in told:
            assert one.address[0] == 7
            assert all(math.isfinite(value) for sample in one.samples for value in sample.values.values())
    decoder.due(received)


@settings(max_examples=200)
@given(st.data())
def test_a_damaged_birth_gives_readings_or_a_named_refusal(draw: st.DataObject):
    payload = bytearray(a_birth(NOW, temperature(), Metric("n", Type.INT8, -1, 2, unit="mm", quality=192))[1])
    for place in draw.draw(st.lists(st.integers(0, len(payload) - 1), max_size=4)):
        payload[place] = draw.draw(st.integers(0, 255))
    decoder = SparkplugB(an_unstored_feed())
    try:
        decoder.decode(topic_of("NBIRTH"), bytes(payload), NOW)
        decoder.decode(*data(NOW, 1, {1: 2.0}), NOW)
        told = decoder.decode(*a_death(NOW), NOW)
    except Unusable:
        return
    assert set(presence_of(told).values()) <= {False}
