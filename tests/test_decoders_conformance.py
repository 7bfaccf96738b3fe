"""One suite over every decoder: what it tells could be stored, and nothing but Unusable is ever raised (SPEC E3, E5).

A decoder that is added to the catalogue is tested here without a new test, as soon as it has a preset with examples.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Sequence
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.dialects import shipped_presets
from bench.decoder_targets import RECEIVED, Decode, bytes_of, faults, feed_of, spliced, targets
from ingest.decoders.catalogue import DECODERS
from ingest.decoders.telling import Told
from ingest.limits import MAX_PAYLOAD_BYTES, MAX_WAVEFORM_BYTES
from ingest.quarantine_reasons import Reason, Unusable
from ingest.times import to_datetime

TARGETS = targets()
SETTINGS = {f"{name}-{setting.name}": setting for name, found in TARGETS.items() for setting in found}
EXAMPLES = [
    pytest.param(preset, example, id=f"{preset['name']}-{place}")
    for entry in sorted((files("editions") / "feeds").iterdir(), key=str)
    for preset in [tomllib.loads(entry.read_text(encoding="utf-8"))]
    for place, example in enumerate(preset["example"])
]
PRESETS = {preset.name: preset for preset in shipped_presets()}


def said(told: Sequence[Told]) -> list[dict[str, object]]:
    """What was told, in the words of the presets' examples."""
    found: list[dict[str, object]] = []
    for one in told:
        for sample in one.samples:
            row = {"device": one.address[1], "ts": to_datetime(sample.ts_us), "values": sample.values}
            row |= {} if sample.seq is None else {"seq": sample.seq}
            row |= {"by_receipt": True} if one.timed_by_receipt else {}
            row |= {"events": [event.event.code for event in one.events]} if one.events else {}
            found.append(row)
        if one.online is not None:
            found.append({"device": one.address[1], "online": one.online})
    return found


@pytest.mark.parametrize(("preset", "example"), EXAMPLES)
def test_an_example_of_a_preset_gives_what_the_preset_says(preset, example):
    decode = DECODERS[preset["decoder"]](feed_of(PRESETS[preset["name"]])).decode
    payload = bytes_of(example["payload"], example.get("encoding", "text"))
    if "refused" in example:
        with pytest.raises(Unusable) as refused:
            decode(example["topic"], payload, RECEIVED)
        assert refused.value.reason == Reason(example["refused"])
        assert refused.value.detail
    else:
        assert said(decode(example["topic"], payload, RECEIVED)) == example["told"]


def test_every_decoder_has_at_least_three_examples():
    assert set(TARGETS) == {"native", "waveform", *DECODERS}
    assert {name: n for name, found in TARGETS.items() if (n := sum(len(one.messages) for one in found)) < 3} == {}


def test_every_preset_is_said_in_both_languages_and_belongs_to_a_decoder():
    for preset in PRESETS.values():
        assert preset.title_en
        assert preset.title_zh
        assert preset.note_en
        assert preset.note_zh
        assert preset.decoder in DECODERS, preset.name


@pytest.mark.parametrize("name", SETTINGS)
def test_its_examples_give_what_could_be_stored(name):
    setting, accepted = SETTINGS[name], 0
    for topic, payload in setting.messages:
        try:
            told = setting.make()(topic, payload, RECEIVED)
        except Unusable:
            continue
        assert list(faults(told)) == [], payload
        accepted += bool(told)
    assert accepted >= 1, "no example is accepted"


@pytest.mark.parametrize("name", SETTINGS)
def test_a_message_over_the_limit_is_too_large_and_an_empty_one_is_no_fault(name):
    setting = SETTINGS[name]
    topic = setting.messages[0][0]
    # A birth of Sparkplug names everything at once and may be as large as a waveform.
    largest = MAX_WAVEFORM_BYTES if name.startswith(("waveform", "sparkplug")) else MAX_PAYLOAD_BYTES
    assert reason_of(setting.make(), topic, b" " * (largest + 1)) == Reason.TOO_LARGE
    assert reason_of(setting.make(), topic, b" " * largest) != Reason.TOO_LARGE
    reason_of(setting.make(), topic, b"")


def reason_of(decode: Decode, topic: str, payload: bytes) -> Reason | None:
    """Why the message is refused, None when it is accepted; what is told then must be sound."""
    try:
        told = decode(topic, payload, RECEIVED)
    except Unusable as error:
        refusal = error
    else:
        assert list(faults(told)) == []
        return None
    assert refusal.detail
    return Reason(refusal.reason)


def try_it(name: str, topic: str, payload: bytes) -> bool:
    """Decode with a fresh decoder, and say whether the message was accepted."""
    return reason_of(SETTINGS[name].make(), topic, payload) is None


@pytest.mark.parametrize("name", SETTINGS)
def test_any_bytes_on_its_topics_are_read_or_refused(name):
    topics = sorted({topic for topic, _ in SETTINGS[name].messages})

    @settings(max_examples=150, deadline=None)
    @given(topic=st.sampled_from(topics), payload=st.binary(max_size=120))
    def check(topic: str, payload: bytes) -> None:
        try_it(name, topic, payload)

    check()


@pytest.mark.parametrize("name", SETTINGS)
def test_any_topic_is_read_or_refused(name):
    payload = SETTINGS[name].messages[0][1]

    @settings(max_examples=100, deadline=None)
    @given(topic=st.text(max_size=40) | st.lists(st.text(max_size=5), max_size=6).map("/".join))
    def check(topic: str) -> None:
        try_it(name, topic, payload)

    check()


def mutated(payload: bytes, rng: random.Random) -> bytes:
    """The payload with hostile pieces in it, or bits flipped, or a part repeated."""
    kind = rng.randrange(3)
    if kind == 0:
        return spliced(payload, rng.randbytes(3 * rng.randint(1, 4)))
    if kind == 1:
        at, end = sorted((rng.randint(0, len(payload)), rng.randint(0, len(payload))))
        return payload[:end] + payload[at:]
    at = rng.randrange(len(payload))
    return payload[:at] + bytes([payload[at] ^ (1 << rng.randrange(8))]) + payload[at + 1 :]


@pytest.mark.parametrize("name", SETTINGS)
def test_examples_with_something_broken_are_read_or_refused(name):
    rng, accepted, tried = random.Random(name), 0, 0
    for topic, payload in SETTINGS[name].messages:
        for _ in range(400):
            tried += 1
            accepted += try_it(name, topic, mutated(payload, rng))
    # Neither all refused nor all accepted: both ways were walked.
    assert 0 < accepted < tried


def test_the_suite_finds_a_decoder_that_tells_what_cannot_be_stored():
    """The judge itself: each kind of wrong telling is named."""
    good = Told((7, "a"), online=True)
    assert list(faults([good])) == []
    for wrong in (
        Told((8, "a"), online=True),
        Told((7, ""), online=True),
        Told((7, "a" * 257), online=True),
        Told((7, "a")),
        *(Told((7, "a"), [sample]) for sample in samples_that_are_wrong()),
    ):
        assert list(faults([wrong])), wrong


def samples_that_are_wrong():
    from ingest.decoders.telling import TimedSample

    yield TimedSample(1, {})
    yield TimedSample(-1, {"a": 1.0})
    yield TimedSample(2**63, {"a": 1.0})
    yield TimedSample(1, {"": 1.0})
    yield TimedSample(1, {"a": float("nan")})
    yield TimedSample(1, {"a": 1}, None)
    yield TimedSample(1, {"a": 1.0}, 2.5)
