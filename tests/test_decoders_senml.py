"""SenML packs: base fields, relative times, sums, and what must be understood (RFC 8428; SPEC E3)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.quarantine_reasons import Reason, Unusable
from tests.decoder_builders import RECEIVED_US, Spoken, settings_refusal

BT = 1_772_438_398


def senml(**settings: object) -> Spoken:
    return Spoken("senml", "s/p-7", {"topics": ["s/{device}"], **settings})


def by_base_name(**settings: object) -> Spoken:
    return senml(device_from="base_name", **settings)


def pack(*records: dict[str, object]) -> str:
    return json.dumps(records)


def test_base_fields_hold_for_the_records_after_them_until_they_change():
    told = by_base_name().hear(
        pack(
            {"bn": "urn:dev:a:", "bt": BT, "bv": 10, "n": "x", "v": 1},
            {"n": "y", "v": 2},
            {"bn": "urn:dev:b/", "bt": BT + 1, "bv": 0, "n": "x", "v": 3},
        )
    )
    assert [(one.address[1], one.samples[0].ts_us, one.samples[0].values) for one in told] == [
        ("urn:dev:a", BT * 10**6, {"x": 11.0, "y": 12.0}),
        ("urn:dev:b", (BT + 1) * 10**6, {"x": 3.0}),
    ]


def test_the_device_is_the_topic_the_base_name_or_the_whole_name():
    assert senml().hear(pack({"n": "t", "v": 1, "bt": BT}))[0].address == (7, "p-7")
    (told,) = by_base_name().hear(pack({"n": "urn:dev:mac:1", "v": 1, "bt": BT}))
    assert (told.address, told.samples[0].values) == ((7, "urn:dev:mac:1"), {"value": 1.0})
    told = by_base_name().hear(
        pack({"bt": BT, "n": "mac:1", "v": 1}, {"n": "mac:2", "v": 2}, {"bn": ":", "n": "m", "v": 3})
    )
    assert [(one.address[1], one.samples[0].values) for one in told] == [
        ("mac:1", {"value": 1.0}),
        ("mac:2", {"value": 2.0}),
        ("m", {"m": 3.0}),
    ]
    (told,) = by_base_name(unnamed="t").hear(pack({"bn": "urn:dev:mac:1", "v": 1, "bt": BT}))
    assert (told.address, told.samples[0].values) == ((7, "urn:dev:mac:1"), {"t": 1.0})
    assert by_base_name().refusal(pack({"v": 1})) == Reason.BAD_DEVICE_NAME
    assert senml(metric="full_name").values(pack({"bn": "a:", "n": "t", "v": 1})) == {"a:t": 1.0}


@pytest.mark.parametrize(
    ("times", "ts_us", "by_receipt"),
    [
        ({}, RECEIVED_US, True),
        ({"t": 0}, RECEIVED_US, True),
        ({"t": -5}, RECEIVED_US - 5_000_000, True),
        ({"t": 2.5}, RECEIVED_US + 2_500_000, True),
        ({"t": 2**28 - 1}, RECEIVED_US + (2**28 - 1) * 10**6, True),
        ({"t": 2**28}, 2**28 * 10**6, False),
        ({"bt": BT}, BT * 10**6, False),
        ({"bt": BT, "t": -5}, (BT - 5) * 10**6, False),
        ({"bt": BT, "t": 0.25}, BT * 10**6 + 250_000, False),
    ],
)
def test_a_time_below_two_to_the_28_counts_from_the_receipt(times, ts_us, by_receipt):
    (told,) = senml().hear(pack({"n": "a", "v": 1, **times}))
    assert (told.samples[0].ts_us, told.timed_by_receipt) == (ts_us, by_receipt)


def test_a_sum_is_a_metric_of_its_own_and_base_values_stand_for_missing_ones():
    values = senml().values(
        pack({"bt": BT, "bs": 100, "bv": 20, "n": "w", "v": 1.5, "s": 5}, {"n": "g", "s": 7}, {"n": "b"})
    )
    assert values == {"w": 21.5, "w.sum": 105.0, "g.sum": 107.0, "b": 20.0, "b.sum": 100.0}


def test_a_record_of_base_fields_alone_measures_nothing():
    assert senml().values(pack({"bn": "a:", "bt": BT, "bv": 1, "bver": 10}, {"n": "t", "v": 1})) == {"t": 2.0}


def test_what_is_no_number_follows_the_settings():
    records = pack({"bt": BT, "n": "a", "v": 1}, {"n": "b", "vb": True}, {"n": "c", "vs": "x"}, {"n": "d", "vd": "eA"})
    assert senml().values(records) == {"a": 1.0}
    assert senml(booleans="number").values(records) == {"a": 1.0, "b": 1.0}
    for setting in ("booleans", "text", "data"):
        assert senml(**{setting: "refuse"}).refusal(records) == Reason.NOT_A_NUMBER
    assert senml().refusal(pack({"n": "c", "vs": "x"})) == Reason.EMPTY
    assert list(senml(nothing="ignore").hear(pack({"n": "c", "vs": "x"}))) == []


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("{}", Reason.WRONG_SHAPE),
        ("[1]", Reason.WRONG_SHAPE),
        ("[]", Reason.EMPTY),
        (pack({"n": "a", "v": "1"}), Reason.NOT_A_NUMBER),
        (pack({"n": "a", "v": True}), Reason.NOT_A_NUMBER),
        (pack({"n": "a", "v": None}), Reason.NOT_A_NUMBER),
        (pack({"n": 1, "v": 1}), Reason.WRONG_SHAPE),
        (pack({"n": "a", "vb": 1}), Reason.WRONG_SHAPE),
        (pack({"n": "a", "v": 1, "vs": "x"}), Reason.WRONG_SHAPE),
        (pack({"n": "a", "v": 1, "new_": 1}), Reason.WRONG_SHAPE),
        (pack({"n": "a", "v": 1, "bver": 11}), Reason.WRONG_SHAPE),
        (pack({"n": "a", "v": 1, "bver": True}), Reason.WRONG_SHAPE),
        (pack({"n": "a", "v": 1, "t": "now"}), Reason.BAD_TIMESTAMP),
        (pack({"n": "a", "v": 1, "t": -1e15}), Reason.TOO_OLD),
        (pack({"n": "a", "v": 1, "t": -1e308}), Reason.TOO_OLD),
        (pack({"n": "a", "v": 1, "t": 1e15}), Reason.TOO_FAR_AHEAD),
        (pack({"n": "a", "v": 1, "t": 1e308, "bt": 1e308}), Reason.BAD_TIMESTAMP),
        (pack({"n": "a", "v": 1e308, "bv": 1e308}), Reason.NOT_A_NUMBER),
        (pack({"n": "a", "v": 10**400}), Reason.NOT_A_NUMBER),
        (pack({"n": "a", "s": 1e308, "bs": 1e308}), Reason.NOT_A_NUMBER),
        ('[{"n": "a", "v": 1, "v": 2}]', Reason.DUPLICATE_KEY),
        ('[{"n": "a", "v": 1, "\\u0076": 1}]', Reason.DUPLICATE_KEY),
        ('[{"bn": "a:b:", "v": 1, "v": 2}, {"n": "c:", "v": 3}]', Reason.DUPLICATE_KEY),
        ('[{"n": "a\\u003a", "v": 1, "v": 1}]', Reason.DUPLICATE_KEY),
        ('[{"n": "a", "v": 1, "\\u0076s": "x"}]', Reason.WRONG_SHAPE),
        ('[{"n": "a", "vb": true, "vd": "eA"}]', Reason.WRONG_SHAPE),
        ('[{"n": "a", "v": 1}, {"n": "b", "v": NaN}]', Reason.NOT_A_NUMBER),
        (pack({"n": "a", "v": 1}, {"n": "a", "v": 2}), Reason.BAD_TIMESTAMP),
        (pack({"bn": "a" * 60_000, "n": "a", "v": 1}) + " " * 6_000, Reason.TOO_LARGE),
    ],
)
def test_a_pack_that_cannot_be_used_is_refused_by_name(payload, reason):
    """SPEC E5."""
    assert senml().refusal(payload) == reason


NUMBERS = st.sampled_from([0, 1, -5, 0.1, BT, BT + 0.25, 2**28, 2**28 - 1, 2**36, 1e15, 1e308, -1e308, 10**400, True])
NAMES = st.sampled_from(["a", "b", "a:b", "urn:dev:", "", ":", "温度", "\x01", '"', "\\"])
RECORDS = st.fixed_dictionaries(
    {"n": NAMES},
    optional={
        **dict.fromkeys(("bt", "bv", "bs", "t", "v", "s"), NUMBERS),
        **dict.fromkeys(("bn", "u", "vs", "vd"), NAMES),
        "vb": st.booleans(),
        "bver": st.sampled_from([10, 11, 5.0]),
    },
)


@pytest.mark.parametrize(
    "settings", [{}, {"device_from": "base_name", "booleans": "number"}, {"metric": "full_name", "nothing": "ignore"}]
)
@given(records=st.lists(RECORDS, max_size=4), is_escaped=st.booleans())
def test_a_pack_says_the_same_with_a_field_that_nobody_knows_in_it(settings, records, is_escaped):
    """Packs of known fields are read at once, others record by record."""
    said = []
    for more in ({}, {"new": 1}):
        payload = json.dumps([{**record, **more} for record in records], ensure_ascii=is_escaped)
        try:
            said.append(list(senml(**settings).hear(payload)))
        except Unusable as refusal:
            said.append((refusal.reason, str(refusal)))
    assert said[0] == said[1]


def test_fields_that_nobody_knows_are_passed_over():
    assert senml().values(pack({"n": "a", "v": 1, "bt": BT, "u": "Cel", "ut": 60, "new": {}})) == {"a": 1.0}


def test_a_time_can_be_required():
    assert senml(missing_time="refuse").refusal(pack({"n": "a", "v": 1})) == Reason.BAD_TIMESTAMP
    assert senml(missing_time="refuse").time(pack({"n": "a", "v": 1, "t": BT})) == BT * 10**6


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"topics": []}, "topics"),
        ({"topics": ["s/#"]}, "{device}"),
        ({"topics": ["s/{device}"], "unnamed": ""}, "unnamed"),
        ({"topics": ["s/{device}"], "text": "number"}, "text"),
        ({"topics": ["s/{device}"], "device_from": "name"}, "device_from"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, said):
    assert said in settings_refusal("senml", settings)
