"""Mapped JSON: topics, devices, times, fields, presence and events, each as its settings say (SPEC E3)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from domain.events import EventKind, EventSeverity
from ingest.mapping.topics import Template
from ingest.quarantine_reasons import Reason
from tests.decoder_builders import RECEIVED_US, Spoken, settings_refusal

BASE = {"topics": ["plant/{device}/data"], "missing_time": "receipt"}


def mapped(topic: str = "plant/p-7/data", **settings: object) -> Spoken:
    return Spoken("mapped_json", topic, {**BASE, **settings})


# Topics


@pytest.mark.parametrize(
    ("text", "topic", "captures"),
    [
        ("tele/{device}/SENSOR", "tele/plug/SENSOR", {"device": "plug"}),
        ("tele/{device}/SENSOR", "tele/a/b/SENSOR", None),
        ("tele/{device}/SENSOR", "tele//SENSOR", None),
        ("tele/{device}/SENSOR", "tele/plug/SENSOR/", None),
        ("z/{device...}", "z/Hall 1/lamp", {"device": "Hall 1/lamp"}),
        ("z/{device...}", "z/", None),
        ("z/{device...}/availability", "z/a/availability/availability", {"device": "a/availability"}),
        ("{site}/+/{device}", "north/any/p", {"site": "north", "device": "p"}),
        ("{site}/+/{device}", "north//p", {"site": "north", "device": "p"}),
        ("devices/{device}/events/#", "devices/p/events", {"device": "p"}),
        ("devices/{device}/events/#", "devices/p/events/a/b", {"device": "p"}),
        ("devices/{device}/events/#", "devices/p/eventsX", None),
        ("#", "any/thing", {}),
        ("a.c/{device}", "abc/p", None),
        ("a/{device}", "a/p\n", {"device": "p\n"}),
    ],
)
def test_a_template_selects_topics_and_captures_names(text, topic, captures):
    assert Template(text).match(topic) == captures


@pytest.mark.parametrize(
    ("text", "selects"),
    [("tele/{d}/S", "tele/+/S"), ("z/{d...}", "z/#"), ("z/{d...}/set", "z/#"), ("a/+/#", "a/+/#"), ("a/b", "a/b")],
)
def test_a_template_knows_the_filter_that_brings_its_topics(text, selects):
    assert Template(text).filter == selects


@pytest.mark.parametrize("text", ["", "a/{d", "a/{d}x", "a/{1}", "{d}/{d}", "{a...}/{b...}", "a/#/b", "a+/b", "a/{}"])
def test_a_text_that_is_no_template_is_refused(text):
    with pytest.raises(ValueError, match="expected"):
        Template(text)


def test_a_topic_that_no_template_names_goes_to_quarantine_and_an_ignored_one_to_nobody():
    """SPEC E5: nothing is dropped in silence but what the settings name."""
    speak = mapped(ignore_topics=["plant/+/debug"])
    assert speak.refusal('{"a": 1}', "plant/p-7/other") == Reason.BAD_TOPIC
    assert speak.hear("not even JSON", "plant/p-7/debug") == ()


def test_the_device_is_put_together_from_the_topic():
    speak = mapped("north/l2/oven", topics=["{site}/{line}/{machine}"], device="{line}.{machine}")
    assert speak.hear('{"a": 1}')[0].address == (7, "l2.oven")


@pytest.mark.parametrize(
    ("payload", "device"),
    [('{"id": "p-9", "a": 1}', "p-9"), ('{"id": 12, "a": 1}', "12"), ('{"id": "\\u6cf5", "a": 1}', "泵")],
)
def test_the_device_can_stand_in_a_field(payload, device):
    (told,) = mapped(device_field="id").hear(payload)
    assert told.address == (7, device)
    assert told.samples[0].values == {"a": 1.0}


@pytest.mark.parametrize(
    "field", ['""', "null", "true", "1.5", "[]", "9" * 40, '"a\\u0000"', f'"{"x" * 257}"', '"\\u0085"']
)
def test_a_name_that_calls_no_device_is_refused(field):
    assert mapped(device_field="id").refusal(f'{{"id": {field}, "a": 1}}') == Reason.BAD_DEVICE_NAME


def test_one_message_can_speak_for_several_devices_at_several_times():
    speak = mapped(by_device=True, values="values", time={"field": "ts", "format": "ms"})
    told = speak.hear(
        '{"B": [{"ts": 2, "values": {"t": 1}}, {"ts": 3, "values": {"t": 2}}], "A": {"ts": 9, "values": {"t": 3}}}'
    )
    assert [(one.address[1], [s.ts_us for s in one.samples]) for one in told] == [("B", [2000, 3000]), ("A", [9000])]


# Fields


@pytest.mark.parametrize(
    ("settings", "payload", "values"),
    [
        ({}, '{"a": 1, "b": {"c": {"d": -2.5}}}', {"a": 1.0, "b.c.d": -2.5}),
        ({}, '{"a": 1, "s": "on", "t": true, "n": null, "l": [1, 2]}', {"a": 1.0}),
        ({"booleans": "number"}, '{"a": true, "b": false}', {"a": 1.0, "b": 0.0}),
        ({"arrays": "number"}, '{"a": [1, {"b": 2}], "c": []}', {"a.0": 1.0, "a.1.b": 2.0}),
        ({"text": "number"}, '{"a": "1.5", "b": "-2e3", "c": "x1", "d": "١"}', {"a": 1.5, "b": -2000.0}),
        ({"words": {"ON": 1, "OFF": 0}}, '{"a": "ON", "b": "OFF", "c": "?"}', {"a": 1.0, "b": 0.0}),
        ({"ignore": ["b", "d.*"]}, '{"a": 1, "b": {"c": 2}, "d": {"e": 3}, "be": 4}', {"a": 1.0, "be": 4.0}),
        ({"ignore": ["*_raw"]}, '{"a": 1, "a_raw": 2, "b": {"c_raw": 3}}', {"a": 1.0}),
        ({"ignore": ["a*b*c"]}, '{"abc": 1, "axbxc": 2, "acb": 3}', {"acb": 3.0}),
        ({"metrics": {"t": {"name": "c", "factor": 0.1, "offset": -40}}}, '{"t": 655, "u": 1}', {"c": 25.5, "u": 1.0}),
        ({"metrics": {"b.c": {"name": "c"}}, "only_listed": True}, '{"a": 1, "b": {"c": 2}}', {"c": 2.0}),
        ({"values": "d.v"}, '{"d": {"v": {"a": 1}, "w": 2}, "x": 3}', {"a": 1.0}),
        ({"values": "values", "values_missing": "record"}, '{"a": 1}', {"a": 1.0}),
        ({"name_field": "n", "value_field": "v"}, '[{"n": "a", "v": 1}, {"n": "b", "v": 3}]', {"a": 1.0, "b": 3.0}),
        ({"name_field": "n", "value_field": "v"}, '[{"n": "a", "v": 1}, {"n": "b", "v": "x"}]', {"a": 1.0}),
        ({"bare": "{device}_raw"}, "17", {"p-7_raw": 17.0}),
        ({"bare": "level"}, "-1e3", {"level": -1000.0}),
        ({"records": "list"}, '{"list": [{"a": 1}, {"b": 2}]}', {"a": 1.0, "b": 2.0}),
    ],
)  # fmt: skip
def test_fields_become_metrics_as_the_settings_say(settings, payload, values):
    assert mapped(**settings).values(payload) == values


@pytest.mark.parametrize(
    ("settings", "payload", "reason"),
    [
        ({}, "{", Reason.BAD_JSON),
        ({}, "", Reason.BAD_JSON),
        ({}, "7", Reason.WRONG_SHAPE),
        ({}, "[[1]]", Reason.WRONG_SHAPE),
        ({}, "[]", Reason.EMPTY),
        ({}, "{}", Reason.EMPTY),
        ({}, '{"a": "x"}', Reason.EMPTY),
        ({}, '{"": 1}', Reason.BAD_METRIC_NAME),
        ({}, '{"a": 1, "a": 2}', Reason.DUPLICATE_KEY),
        ({}, '{"x": {"a": 1, "\\u0061": 2}, "b": 1}', Reason.DUPLICATE_KEY),
        ({}, '{"a\\u003a": 1, "b": 1, "b": 2}', Reason.DUPLICATE_KEY),
        ({}, '{"a": {"b": 1}, "a.b": 2}', Reason.DUPLICATE_KEY),
        ({"metrics": {"a": {"name": "b"}}}, '{"a": 1, "b": 2}', Reason.DUPLICATE_KEY),
        ({}, '{"a": NaN}', Reason.NOT_A_NUMBER),
        ({}, '{"a": -Infinity}', Reason.NOT_A_NUMBER),
        ({}, '{"a": 1e400}', Reason.NOT_A_NUMBER),
        ({}, '{"a": 1' + "0" * 400 + "}", Reason.NOT_A_NUMBER),
        ({}, '{"a": 1' + "0" * 5_000 + "}", Reason.NOT_A_NUMBER),
        ({"metrics": {"a": {"factor": 1e200}}}, '{"a": 1e200}', Reason.NOT_A_NUMBER),
        ({}, '{"a": "\\ud800"}', Reason.BAD_JSON),
        ({}, b'{"a\xff": 1}', Reason.BAD_JSON),
        ({}, b'\xef\xbb\xbf{"a": 1}', Reason.BAD_JSON),
        ({}, '{"a":' * 33 + "1" + "}" * 33, Reason.BAD_JSON),
        ({}, '{"a":' * 9_000 + "1" + "}" * 9_000, Reason.BAD_JSON),
        ({}, "[" * 60_000, Reason.BAD_JSON),
        ({}, " " * 65_537, Reason.TOO_LARGE),
        ({"text": "refuse"}, '{"a": 1, "s": "x"}', Reason.NOT_A_NUMBER),
        ({"booleans": "refuse"}, '{"a": 1, "s": true}', Reason.NOT_A_NUMBER),
        ({"nulls": "refuse"}, '{"a": 1, "s": null}', Reason.NOT_A_NUMBER),
        ({"arrays": "refuse"}, '{"a": 1, "s": [1]}', Reason.NOT_A_NUMBER),
        ({"values": "v"}, '{"a": 1}', Reason.WRONG_SHAPE),
        ({"values": "v"}, '{"v": 1}', Reason.WRONG_SHAPE),
        ({"records": "r"}, '{"a": 1}', Reason.WRONG_SHAPE),
        ({"by_device": True}, "[]", Reason.WRONG_SHAPE),
        ({"by_device": True}, '{"": {"a": 1}}', Reason.BAD_DEVICE_NAME),
        ({"name_field": "n", "value_field": "v"}, '[{"n": 1, "v": 1}]', Reason.WRONG_SHAPE),
        ({"name_field": "n", "value_field": "v"}, '[{"n": "a"}]', Reason.WRONG_SHAPE),
        ({"name_field": "n", "value_field": "v"}, '[{"n": "", "v": 1}]', Reason.BAD_METRIC_NAME),
        ({"bare": "x"}, '"text"', Reason.EMPTY),
    ],
)
def test_a_message_that_cannot_be_used_is_refused_by_name(settings, payload, reason):
    """SPEC E5."""
    assert mapped(**settings).refusal(payload) == reason


def test_json_nested_as_deep_as_allowed_is_read():
    assert mapped().values('{"a":' * 31 + "1" + "}" * 31) == {".".join("a" * 31): 1.0}


def test_a_message_of_which_nothing_is_left_can_be_ignored_when_asked():
    assert list(mapped(nothing="ignore").hear('{"action": "single"}')) == []


# Times


@pytest.mark.parametrize(
    ("format", "written", "ts_us"),
    [
        ("s", "1772438398", 1_772_438_398_000_000),
        ("s", "1772438398.25", 1_772_438_398_250_000),
        ("s", '"1772438398"', 1_772_438_398_000_000),
        ("ms", "1772438398123", 1_772_438_398_123_000),
        ("us", "1772438398123456", 1_772_438_398_123_456),
        ("ns", "1772438398123456789", 1_772_438_398_123_456),
        ("rfc3339", '"2026-03-02T15:59:58.5+08:00"', 1_772_438_398_500_000),
    ],
)
def test_a_time_is_read_as_the_setting_says(format, written, ts_us):
    speak = mapped(time={"field": "t", "format": format}, missing_time="refuse")
    assert speak.time(f'{{"t": {written}, "a": 1}}') == ts_us
    assert speak.values(f'{{"t": {written}, "a": 1}}') == {"a": 1.0}


@pytest.mark.parametrize(
    ("format", "written", "reason"),
    [
        ("s", '"2026-03-02T08:00:00Z"', Reason.BAD_TIMESTAMP),
        ("s", "true", Reason.BAD_TIMESTAMP),
        ("s", "-1", Reason.BAD_TIMESTAMP),
        ("s", "{}", Reason.BAD_TIMESTAMP),
        ("s", "1772438398000", Reason.TOO_FAR_AHEAD),
        ("ns", "9" * 400, Reason.TOO_FAR_AHEAD),
        ("ns", "1e300", Reason.TOO_FAR_AHEAD),
        ("rfc3339", "1772438398", Reason.BAD_TIMESTAMP),
        ("rfc3339", '"2026-03-02T08:00:00"', Reason.BAD_TIMESTAMP),
        ("ms", "null", Reason.BAD_TIMESTAMP),
    ],
)
def test_a_time_in_another_form_than_said_is_refused_and_not_guessed(format, written, reason):
    speak = mapped(time={"field": "t", "format": format}, missing_time="refuse")
    assert speak.refusal(f'{{"t": {written}, "a": 1}}') == reason


def local(zone: str = "Europe/Berlin") -> Spoken:
    return mapped(time={"field": "t", "format": "local", "zone": zone}, missing_time="refuse")


def test_a_local_time_is_read_in_the_zone_of_the_settings():
    assert local("Asia/Shanghai").time('{"t": "2026-03-02T15:59:58", "a": 1}') == 1_772_438_398_000_000
    assert local().time('{"t": "2026-07-02 10:00:00.25", "a": 1}') == 1_782_979_200_250_000
    assert local().refusal('{"t": "2026-03-02T15:59:58Z", "a": 1}') == Reason.BAD_TIMESTAMP
    assert local().refusal('{"t": "0001-01-01T00:00:00", "a": 1}') in (Reason.BAD_TIMESTAMP, Reason.TOO_OLD)


def test_the_hour_that_the_clocks_skip_is_refused_and_the_repeated_one_is_the_pass_nearer_to_the_receipt():
    assert local().refusal('{"t": "2026-03-29T02:30:00", "a": 1}') == Reason.BAD_TIMESTAMP
    repeated = '{"t": "2026-10-25T02:30:00", "a": 1}'
    first, second = (datetime(2026, 10, 25, hour, 30, 1, tzinfo=UTC) for hour in (0, 1))
    assert local().time(repeated, at=first) == (int(first.timestamp()) - 1) * 1_000_000
    assert local().time(repeated, at=second) == (int(second.timestamp()) - 1) * 1_000_000


def test_without_a_time_the_receipt_counts_only_when_the_settings_say_so():
    (told,) = mapped().hear('{"a": 1}')
    assert (told.samples[0].ts_us, told.timed_by_receipt) == (RECEIVED_US, True)
    strict = mapped(time={"field": "t", "format": "ms"}, missing_time="refuse")
    assert strict.refusal('{"a": 1}') == Reason.BAD_TIMESTAMP
    timed, untimed = mapped(time={"field": "t", "format": "ms"}).hear('[{"t": 5, "a": 1}, {"a": 2}]')
    assert (timed.samples[0].ts_us, timed.timed_by_receipt) == (5000, False)
    assert (untimed.samples[0].ts_us, untimed.timed_by_receipt) == (RECEIVED_US, True)


def test_records_without_a_time_are_one_sample_unless_they_contradict_each_other():
    assert mapped().values('[{"a": 1}, {"b": 2}]') == {"a": 1.0, "b": 2.0}
    assert mapped().refusal('[{"a": 1}, {"a": 2}]') == Reason.BAD_TIMESTAMP


def test_a_time_of_the_whole_message_holds_for_its_records():
    speak = mapped(records="list", time={"field": "$.t", "format": "ms"}, missing_time="refuse")
    assert speak.time('{"t": 5, "list": [{"a": 1}]}') == 5000


# Sequence, events, presence


def test_the_sequence_number_is_read_from_its_field():
    speak = mapped(sequence="n", time={"field": "t", "format": "ms"})
    (told,) = speak.hear('[{"t": 1, "n": 4, "a": 1}, {"t": 2, "n": 5, "a": 2}, {"t": 3, "a": 2}]')
    assert [sample.seq for sample in told.samples] == [4, 5, None]
    for wrong in ("-1", "1.5", '"4"', "true", str(2**53)):
        assert speak.refusal(f'{{"t": 1, "n": {wrong}, "a": 1}}') == Reason.BAD_SEQUENCE, wrong


def test_a_field_with_a_code_is_an_event_and_one_that_says_all_is_well_is_none():
    """SPEC E9."""
    rule = {"field": "err.code", "text_field": "err.text", "code": "X-{value}", "kind": "error", "severity": "warning"}
    speak = mapped(events=[rule])
    (told,) = speak.hear('{"err": {"code": 107, "text": "fan blocked"}, "a": 1}')
    (heard,) = told.events
    assert (heard.event.code, heard.event.text) == ("X-107", "fan blocked")
    assert (heard.event.kind, heard.event.severity) == (EventKind.ERROR, EventSeverity.WARNING)
    assert told.samples[0].values == {"a": 1.0}
    for quiet in ('"code": 0', '"code": ""', '"code": "0"', '"code": null', '"text": "x"'):
        assert speak.hear(f'{{"err": {{{quiet}}}, "a": 1}}')[0].events == [], quiet
    # false is no 0: a sender that says so must be asked what it means.
    assert speak.hear('{"err": {"code": false}, "a": 1}')[0].events[0].event.code == "X-false"
    for wrong in ("{}", "[]", f'"{"x" * 200}"', '"a\\u0000"', "9" * 60):
        assert speak.refusal(f'{{"err": {{"code": {wrong}}}, "a": 1}}') == Reason.BAD_EVENT, wrong


def test_an_event_without_values_carries_the_sequence_number_and_with_values_the_sample_does():
    speak = mapped(events=[{"field": "e"}], sequence="n")
    (alone,) = speak.hear('{"e": "E1", "n": 4}')
    assert (alone.events[0].seq, list(alone.samples)) == (4, [])
    (both,) = speak.hear('{"e": "E1", "n": 4, "a": 1}')
    assert (both.events[0].seq, both.samples[0].seq) == (None, 4)


@pytest.mark.parametrize(
    ("payload", "online"),
    [("online", True), (" offline\n", False), ('{"state": "online"}', True), ('{"state": "offline", "x": 1}', False)],
)
def test_presence_is_read_as_text_or_from_a_field(payload, online):
    """SPEC E8."""
    speak = mapped("plant/p-7/state", presence={"topics": ["plant/{device}/state"], "field": "state"})
    (told,) = speak.hear(payload)
    assert (told.address, told.online, list(told.samples)) == ((7, "p-7"), online, [])


@pytest.mark.parametrize("payload", ["", "on", '{"state": 1}', "{}", "\xff", '{"state": "ONLINE"}'])
def test_a_presence_that_is_neither_is_refused(payload):
    speak = mapped("plant/p-7/state", presence={"topics": ["plant/{device}/state"], "field": "state"})
    assert speak.refusal(payload) == Reason.BAD_STATE
    assert speak.refusal('{"state": "online", "state": "offline"}') == Reason.DUPLICATE_KEY


# Settings


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"topics": []}, "topics"),
        ({"topics": "plant/{device}"}, "topics"),
        ({"topics": ["a/{device}"] * 17}, "at most 16"),
        ({"topics": ["plant/{name}"]}, "{device}"),
        ({"topics": ["elsewhere/{device}"]}, "never comes"),
        ({"unheard": 1}, "unheard"),
        ({"missing_time": "refuse"}, "time"),
        ({"time": {"field": "", "format": "ms"}}, "time.field"),
        ({"time": {"field": "t", "format": "guess"}}, "time.format"),
        ({"time": {"field": "t", "format": "local"}}, "time.zone"),
        ({"time": {"field": "t", "format": "ms", "zone": "UTC"}}, "time.zone"),
        ({"time": {"field": "t", "format": "local", "zone": "../../etc/passwd"}}, "time.zone"),
        ({"metrics": {"a": {"factor": 0}}}, "metrics.a"),
        ({"metrics": {"a": {"factor": float("nan")}}}, "metrics.a"),
        ({"metrics": {"a": {"name": "x" * 129}}}, "metrics.a.name"),
        ({"only_listed": True}, "only_listed"),
        ({"words": {"on": float("inf")}}, "words"),
        ({"name_field": "n"}, "value_field"),
        ({"presence": {"topics": ["plant/+/state"]}}, "presence.topics"),
        ({"presence": {"topics": ["plant/{device}/state"], "online": ["x"], "offline": ["x"]}}, "presence"),
        ({"device_field": "id", "presence": {"topics": ["plant/{device}/state"]}}, "presence.device"),
        ({"events": [{"field": "e", "kind": "fault"}]}, "events[0].kind"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_the_name_of_the_field(settings, said):
    assert said in settings_refusal("mapped_json", {**BASE, **settings}, "plant/#")
