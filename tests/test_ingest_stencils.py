"""Stencils read what the decoder reads, and nothing that it refuses (SPEC E3, E5, E6)."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.decoder_targets import HOSTILE
from ingest.decoders.native import Sample, decode_telemetry
from ingest.limits import MAX_PAYLOAD_BYTES
from ingest.quarantine_reasons import Unusable
from ingest.source import Message
from ingest.stencils import NO_SEQUENCE, NO_STENCIL, STENCILS_OF_A_DEVICE, Stencils, Texts
from tests.ingest_builders import NOW, SECOND, Line, a_device, a_plant, a_rule, findings, ms, readings, topic

NAMES = st.lists(st.text(st.characters(codec="utf-8"), max_size=6), min_size=1, max_size=5, unique=True)
# As devices write numbers, and as none should.
NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(-1e6, 1e6).map(lambda value: repr(round(value, 3))),
    st.integers(-(10**18), 10**18).map(str),
    st.sampled_from(
        ["-0", "-0.0", "0.000", "00", "01", "-01", "1.", ".5", "-", "--1", "+1", "1e5", "1E400", "0x1", "null", '"1"']
    ),
    st.sampled_from(
        ["999999999999999", "9999999999999999", "0.00000000000001", "0.000000000000001", "9007199254740993"]
    ),
)


def written(names: list[str], ts: str, seq: str | None, numbers: list[str]) -> bytes:
    counted = "" if seq is None else f'"seq": {seq}, '
    values = ", ".join(f"{json.dumps(name)}: {number}" for name, number in zip(names, numbers, strict=True))
    return f'{{"ts": {ts}, {counted}"values": {{{values}}}}}'.encode()


def by_decoder(payload: bytes) -> Sample | None:
    try:
        samples = decode_telemetry(payload)
    except Unusable:
        return None
    return samples[0] if len(samples) == 1 else None


def by_stencil(stencils: Stencils, texts: Texts, payload: bytes) -> tuple[tuple[str, ...], int, int, bytes] | None:
    """What the stencils read: names, time, number, and the bits of the values."""
    found = stencils.read([payload], [texts])
    number = found.stencil[0]
    if number == NO_STENCIL:
        return None
    metrics = stencils.metrics[number]
    return metrics, int(found.ts_ms[0]), int(found.sequence[0]), found.values[: len(metrics)].tobytes()


def as_stencils_say(sample: Sample) -> tuple[tuple[str, ...], object, int, bytes]:
    seq = sample.seq if isinstance(sample.seq, int) else NO_SEQUENCE
    return tuple(sample.values), sample.ts, seq, np.array(list(sample.values.values())).tobytes()


def learnt(*payloads: bytes) -> tuple[Stencils, Texts]:
    stencils, texts = Stencils(), Texts()
    for payload in payloads:
        assert stencils.learn(payload, texts)
    return stencils, texts


@given(data=st.data(), names=NAMES, has_seq=st.booleans())
@settings(max_examples=600, deadline=None)
def test_a_stencil_reads_what_the_decoder_reads_bit_for_bit_or_nothing(data, names, has_seq):
    stencils, texts = learnt(written(names, "1", "1" if has_seq else None, ["1.5"] * len(names)))
    moments = st.one_of(NUMBERS, st.integers(0, 2 * 10**12).map(str))
    payload = written(
        names,
        data.draw(moments),
        data.draw(moments) if has_seq else None,
        data.draw(st.lists(NUMBERS, min_size=len(names), max_size=len(names))),
    )
    read = by_stencil(stencils, texts, payload)
    sample = by_decoder(payload)
    if read is not None:
        assert sample is not None, "the decoder refuses what a stencil fits"
        assert read == as_stencils_say(sample)


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 6), st.integers(0, len(HOSTILE) - 1)), max_size=3))
@example([(0, 0, HOSTILE.index(b"["))])
@settings(max_examples=800, deadline=None)
def test_a_message_that_is_damaged_anywhere_is_read_as_the_decoder_reads_it_or_not_at_all(damages):
    whole = b'{"ts": 1772438398000, "seq": 17, "note": "a:1", "values": {"a": 61.5, "b": -2, "c\\u00e9": 0.125}}'
    stencils, texts = learnt(whole)
    payload = whole
    for at, cut, piece in damages:
        place = at * (len(payload) + 1) // 256
        payload = payload[:place] + HOSTILE[piece] + payload[place + cut :]
    read = by_stencil(stencils, texts, payload)
    if read is not None:
        sample = by_decoder(payload)
        assert sample is not None
        assert read == as_stencils_say(sample)


@pytest.mark.parametrize(
    "number", ["5", "-5", "0", "-0", "0.5", "-0.0", "12.250", "999999999999999", "0.00000000000001"]
)
def test_the_numbers_that_devices_send_are_read_by_stencil(number):
    """Without this, a stencil that never fits would pass every other test."""
    stencils, texts = learnt(written(["a"], "1", "1", ["1.5"]))
    payload = written(["a"], "1772438398000", "17", [number])
    sample = by_decoder(payload)
    assert sample is not None
    assert by_stencil(stencils, texts, payload) == as_stencils_say(sample)


@pytest.mark.parametrize("number", ["9999999999999999", "1e3", "50.12300109863281"])
def test_numbers_that_cannot_be_read_exactly_are_left_to_the_decoder(number):
    stencils, texts = learnt(written(["a"], "1", "1", ["1.5"]))
    assert by_stencil(stencils, texts, written(["a"], "1", "1", [number])) is None


@pytest.mark.parametrize(
    "payload",
    [
        b'{"ts": 1, "values": {"a": 1}, "x": 5}',
        b'{"ts": 1, "values": {"a": 1}, "x": {"y": 5}}',
        b'{"ts": 1, "values": {"a": 1}, "x": []}',
        b'[{"ts": 1, "values": {"a": 1}}]',
        b'{"ts": "2026-03-02T08:00:00Z", "values": {"a": 1}}',
        b'{"ts": 1.5, "values": {"a": 1}}',
        b'{"\\u0074s": 1, "values": {"a": 1}}',
        b'{"ts": 1, "values": {"a": 1, "a": 2}}',
        b'{"ts": 1, "values": {}}',
        b"nothing",
    ],
)
def test_no_stencil_is_cut_from_what_has_other_numbers_or_is_no_single_sample(payload):
    stencils, texts = Stencils(), Texts()
    assert not stencils.learn(payload, texts)
    assert by_stencil(stencils, texts, payload) is None


def test_a_payload_over_the_limit_fits_no_stencil():
    """SPEC E5: the digits may make a text that was short enough longer than one may be."""
    names = [f"metric_{place:03}_{'x' * 228}" for place in range(256)]
    short, long = (written(names, "1", None, [number] * 256) for number in ("1", "1.2345678901"))
    assert len(short) <= MAX_PAYLOAD_BYTES < len(long)
    stencils, texts = learnt(short)
    assert by_stencil(stencils, texts, short) is not None
    assert by_stencil(stencils, texts, long) is None


def test_devices_that_send_the_same_text_share_a_stencil_and_each_keeps_its_newest_few():
    stencils, one, other = Stencils(), Texts(), Texts()
    payloads = [written([f"m{number}"], "1", None, ["1"]) for number in range(STENCILS_OF_A_DEVICE + 1)]
    for payload in payloads:
        assert stencils.learn(payload, one)
    assert stencils.learn(payloads[0], other)
    assert len(stencils.metrics) == len(payloads)
    assert [by_stencil(stencils, one, payload) is None for payload in payloads] == [True] + [False] * 8
    assert [by_stencil(stencils, other, payload) is None for payload in payloads] == [False] + [True] * 8


def test_a_device_whose_messages_never_fit_is_looked_at_seldom():
    texts = Texts()
    assert sum(texts.is_worth_a_try() for _ in range(2560)) == 8 + 10


# The whole way, beside one without stencils


def stream(seed: int) -> list[list[Message]]:
    """Batches of two devices that change their text, send lists, repeat, overtake, leave gaps and talk nonsense."""
    dice = random.Random(seed)
    batches = []
    for batch in range(12):
        messages = []
        for place in range(12):
            second = batch * 12 + place + dice.choice([0, 0, 0, 0, -3, 2])
            names = dice.choice([("t",), ("t",), ("t", "u"), ("u", "t"), ("v",)])
            number = dice.choice(["{:.1f}", "{:.1f}", "{:.3f}", "{!r}"]).format(dice.uniform(0, 99))
            at = dice.choice([ms(NOW + second * SECOND)] * 12 + [5, ms(NOW) + 10**10])
            payload = written(list(names), str(at), str(max(0, second)), [number] * len(names))
            payload = dice.choice([payload] * 8 + [b"[" + payload + b"]", payload[:-1], payload.replace(b"u", b"t")])
            message = Message(topic(dice.choice(["m1", "m1", "m2", "m9"])), payload, is_repeat=dice.random() < 0.1)
            messages.append(message)
        batches.append(messages + dice.sample(messages, 2))
    return batches


def taken(database: str, batches: list[list[Message]]) -> list[object]:
    line = Line(database)
    for batch in batches:
        line.wait(3.0)
        line.take(*batch)
    line.wait(60.0)
    line.catch_up()
    return [
        readings(line),
        findings(line),
        line.rows("select topic, payload, reason, detail from quarantine order by id"),
        line.rows("select device_id, after_sequence, before_sequence from sequence_gap order by 1, 2"),
        line.rows("select name, last_sequence, last_reading_at, clock_ahead_s, held from device order by 1"),
    ]


@pytest.mark.parametrize("seed", range(6))
def test_what_is_stored_is_the_same_as_without_stencils(database, seed, monkeypatch):
    """Order, repeats, late readings, gaps and quarantine included; the first of two readings of one time counts."""
    with a_plant(database) as connection:
        a_device(connection)
        a_device(connection, "m2", time_policy="recorded")
        a_rule(connection, high=50.0, consecutive=3)
        batches = stream(seed)
        fits = []
        read = Stencils.read

        def counted(self, payloads, texts):
            found = read(self, payloads, texts)
            fits.append(int((found.stencil != NO_STENCIL).sum()))
            return found

        monkeypatch.setattr(Stencils, "read", counted)
        with_stencils = taken(database, batches)
        assert sum(fits) > 30
        monkeypatch.setattr(Stencils, "learn", lambda *_: False)
        fits.clear()
        # Schedules stand on series and tickets on schedules: the guard of the timeline is told to look away.
        connection.execute(
            "set session_replication_role = replica;"
            "truncate reading, finding, quarantine, sequence_gap, checkpoint, checkpoint_fence, series cascade;"
            "reset session_replication_role"
        )
        connection.execute(
            "update device set last_sequence = null, last_reading_at = null, sequences_ahead = '{}',"
            " clock_ahead_s = null, held = false"
        )
        assert taken(database, batches) == with_stencils
        assert sum(fits) == 0


def test_repeats_that_a_stencil_would_fit_say_nothing_about_the_clock(database):
    """SPEC E6: they were sent once before, and came late."""
    with a_plant(database) as connection:
        for name in ("m1", "m2"):
            a_device(connection, name)
        line = Line(database)
        for second in range(0, 120, 12):
            line.wait(12.0)
            payload = written(["t"], str(ms(NOW + second * SECOND)), None, ["1.5"])
            line.take(Message(topic("m1"), payload, is_repeat=second > 0), Message(topic("m2"), payload))
        ahead = dict(line.rows("select name, clock_ahead_s from device"))
        assert ahead["m1"] is None
        assert ahead["m2"] == pytest.approx(-12.0)
