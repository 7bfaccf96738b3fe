"""Influx line protocol: the grammar with its escapes, and how lines become devices and metrics (SPEC E3)."""

from __future__ import annotations

import pytest

from ingest.mapping.line_protocol import Line, lines
from ingest.quarantine_reasons import Reason, Unusable
from tests.decoder_builders import RECEIVED_US, Spoken, settings_refusal

NS = 1_772_438_398_000_000_000


def influx(**settings: object) -> Spoken:
    return Spoken("influx", "telegraf/p-7", {"topics": ["telegraf/{where}"], **settings})


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("m f=1", Line("m", {}, {"f": 1.0}, None)),
        ("m,a=b f=1 5", Line("m", {"a": "b"}, {"f": 1.0}, 5)),
        ("m f=1i,g=2u,h=-3.5e2 -7", Line("m", {}, {"f": 1.0, "g": 2.0, "h": -350.0}, -7)),
        ("m i=.5,j=5.,k=+1 0", Line("m", {}, {"i": 0.5, "j": 5.0, "k": 1.0}, 0)),
        ("m a=t,b=F,c=true,d=FALSE 5", Line("m", {}, {"a": True, "b": False, "c": True, "d": False}, 5)),
        (r"a\,b\ c\=d,t\,1\ 2\==v\,\ \= f\,\ \==1 5", Line("a,b c=d", {"t,1 2=": "v, ="}, {"f, =": 1.0}, 5)),
        (r'm f="a \"b\" \\ , = \n" 5', Line("m", {}, {"f": 'a "b" \\ , = \\n'}, 5)),
        ('m f="two\nlines",g=1 5', Line("m", {}, {"f": "two\nlines", "g": 1.0}, 5)),
        ('m f="" 5', Line("m", {}, {"f": ""}, 5)),
        (r"m\x f=1", Line(r"m\x", {}, {"f": 1.0}, None)),
        ("m   f=1   5  \r\n", Line("m", {}, {"f": 1.0}, 5)),
        ("m f=1\r\n", Line("m", {}, {"f": 1.0}, None)),
        ("# note\n\n  m f=1\n# end", Line("m", {}, {"f": 1.0}, None)),
        ("温度,位=一 值=1 5", Line("温度", {"位": "一"}, {"值": 1.0}, 5)),
    ],
)  # fmt: skip
def test_a_line_is_read(text, line):
    assert list(lines(text)) == [line]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("m", Reason.BAD_LINE_PROTOCOL),
        ("m ", Reason.BAD_LINE_PROTOCOL),
        ("m f", Reason.BAD_LINE_PROTOCOL),
        ("m f=", Reason.BAD_LINE_PROTOCOL),
        ("m f=1,", Reason.BAD_LINE_PROTOCOL),
        ("m, f=1", Reason.BAD_LINE_PROTOCOL),
        ("m,a= f=1", Reason.BAD_LINE_PROTOCOL),
        ("m,a f=1", Reason.BAD_LINE_PROTOCOL),
        (",a=b f=1", Reason.BAD_LINE_PROTOCOL),
        ("m f=1 5x", Reason.BAD_LINE_PROTOCOL),
        ("m f=1 5.5", Reason.BAD_LINE_PROTOCOL),
        ("m f=1 5 6", Reason.BAD_LINE_PROTOCOL),
        ("m f=on", Reason.BAD_LINE_PROTOCOL),
        ("m f=1ii", Reason.BAD_LINE_PROTOCOL),
        ("m f=1.5i", Reason.BAD_LINE_PROTOCOL),
        ("m f=-1u", Reason.BAD_LINE_PROTOCOL),
        ("m f=0x1F", Reason.BAD_LINE_PROTOCOL),
        ("m f=1_000", Reason.BAD_LINE_PROTOCOL),
        ("m f=١", Reason.BAD_LINE_PROTOCOL),
        ('m f="open', Reason.BAD_LINE_PROTOCOL),
        ('m f="a"b', Reason.BAD_LINE_PROTOCOL),
        ("m\tf=1", Reason.BAD_LINE_PROTOCOL),
        ("m f=nan", Reason.NOT_A_NUMBER),
        ("m f=-Inf", Reason.NOT_A_NUMBER),
        ("m f=1e400", Reason.NOT_A_NUMBER),
        ("m f=9223372036854775808i", Reason.NOT_A_NUMBER),
        ("m f=18446744073709551616u", Reason.NOT_A_NUMBER),
        ("m f=1,f=2", Reason.DUPLICATE_KEY),
        (r"m f\=a=1,f\=a=2", Reason.DUPLICATE_KEY),
        ("m,a=1,a=2 f=1", Reason.DUPLICATE_KEY),
    ],
)
def test_a_line_that_is_none_is_refused_by_name(text, reason):
    """SPEC E5."""
    with pytest.raises(Unusable) as refused:
        list(lines(text))
    assert refused.value.reason == reason
    assert refused.value.detail


def test_the_refusal_says_in_which_line():
    with pytest.raises(Unusable, match="in line 3"):
        list(lines("# a\nm f=1\nm f=x\nm f=1"))


@pytest.mark.timeout(20)
def test_a_very_long_number_costs_no_time():
    """Found by the fuzzer: digits that could be matched in two ways cost minutes of backtracking."""
    assert influx().refusal(f"m,host=a f={'9' * 60_000}i {NS}") == Reason.BAD_LINE_PROTOCOL
    assert influx().refusal(f"m,host=a f={'9' * 60_000}x {NS}") == Reason.BAD_LINE_PROTOCOL
    assert influx().refusal(f'm,host=a f="{chr(92) * 60_000} {NS}') == Reason.BAD_LINE_PROTOCOL


def test_devices_and_metrics_are_put_together_from_tags_measurement_and_topic():
    text = f"cpu,host=a,core=0 idle=1,user=2 {NS}\ncpu,host=b,core=1 idle=3 {NS}"
    told = influx(device="{where}.{tag.host}", metric="{measurement}.{tag.core}.{field}").hear(text)
    assert [(one.address[1], one.samples[0].values) for one in told] == [
        ("p-7.a", {"cpu.0.idle": 1.0, "cpu.0.user": 2.0}),
        ("p-7.b", {"cpu.1.idle": 3.0}),
    ]
    assert influx(device="{measurement}", metric="{field}").hear(f"pump f=1 {NS}")[0].address == (7, "pump")
    assert influx().refusal(f"cpu idle=1 {NS}") == Reason.BAD_DEVICE_NAME
    assert influx(metric="{tag.core}.{field}").refusal(f"cpu,host=a idle=1 {NS}") == Reason.BAD_METRIC_NAME


@pytest.mark.parametrize(
    ("precision", "written"), [("ns", NS), ("us", NS // 10**3), ("ms", NS // 10**6), ("s", NS // 10**9)]
)
def test_times_are_in_the_unit_of_the_settings(precision, written):
    assert influx(precision=precision).time(f"m,host=a f=1 {written}") == NS // 1000


def test_a_time_that_is_missing_negative_or_absurd_is_refused_unless_the_receipt_may_stand_in():
    assert influx().refusal("m,host=a f=1") == Reason.BAD_TIMESTAMP
    assert influx().refusal("m,host=a f=1 -5") == Reason.BAD_TIMESTAMP
    assert influx(precision="s").refusal(f"m,host=a f=1 {NS}") == Reason.TOO_FAR_AHEAD
    (told,) = influx(missing_time="receipt").hear("m,host=a f=1")
    assert (told.samples[0].ts_us, told.timed_by_receipt) == (RECEIVED_US, True)


def test_what_is_no_number_follows_the_settings():
    text = f'm,host=a f=1,b=true,s="x" {NS}'
    assert influx().values(text) == {"m.f": 1.0}
    assert influx(booleans="number").values(text) == {"m.f": 1.0, "m.b": 1.0}
    for setting in ("booleans", "text"):
        assert influx(**{setting: "refuse"}).refusal(text) == Reason.NOT_A_NUMBER
    assert influx().refusal(f'm,host=a s="x" {NS}') == Reason.EMPTY
    assert list(influx(nothing="ignore").hear(f'm,host=a s="x" {NS}')) == []
    assert list(influx(ignore_measurements=["m"]).hear(f"m f=1 {NS}")) == []
    for settings in ({}, {"nothing": "ignore"}, {"ignore_measurements": ["m"]}):
        assert influx(**settings).refusal("# nothing\n") == Reason.EMPTY


def test_bytes_that_are_no_utf_8_and_topics_of_others_are_refused():
    assert influx().refusal(b"m,host=\xff f=1 5") == Reason.BAD_LINE_PROTOCOL
    assert influx().refusal(f"m,host=a f=1 {NS}", "other/topic") == Reason.BAD_TOPIC
    assert influx().refusal("#" * 65_537) == Reason.TOO_LARGE


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"metric": "{measurement}"}, "metric"),
        ({"device": "{field}"}, "device"),
        ({"device": "{plant}"}, "{plant}"),
        ({"precision": "h"}, "precision"),
        ({"topics": []}, "topics"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, said):
    assert said in settings_refusal("influx", {"topics": ["t/{where}"], **settings})
