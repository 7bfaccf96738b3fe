"""Sessions of edge nodes: births, aliases and their age, gaps, deaths, restarts, and what may be read when."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ingest.decoders.sparkplug_b import SparkplugB
from ingest.quarantine_reasons import Reason, Unusable
from ingest.sparkplug import memory
from ingest.sparkplug.nodes import Counter
from simulators.sparkplug_node import Metric, Type, encode, has_rebirth_request
from tests.ingest_builders import NOW, a_device, a_plant, ms
from tests.sparkplug_builders import (
    EDGE,
    GROUP,
    SECOND,
    Ear,
    a_birth,
    a_death,
    a_feed,
    data,
    presence_of,
    temperature,
    topic_of,
    values_of,
)

NODE, ROBOT = f"{GROUP}/{EDGE}", f"{GROUP}/{EDGE}/robot"
PRESSURE = Metric("P", Type.INT16, 5, 2, unit="bar")


@pytest.fixture
def ear(database: str) -> Ear:
    return Ear(database, a_feed(database, reorder_s=2, rebirth_pause_s=10))


def refused(ear: Ear, message: tuple[str, bytes], *, at=NOW) -> Reason:
    with pytest.raises(Unusable) as raised:
        ear.hear(message, at=at)
    return raised.value.reason


def asked(ear: Ear, at) -> int:
    """How many requests to be born again are due."""
    due = ear.decoder.due(at)
    assert all(one.topic == f"spBv1.0/{GROUP}/NCMD/{EDGE}" and has_rebirth_request(one.payload) for one in due)
    return len(due)


def test_aliases_of_the_node_and_its_devices_are_read_with_the_types_of_their_births(ear: Ear):
    ear.hear(a_birth(NOW, temperature()), a_birth(NOW, PRESSURE, device="robot", seq=1))
    told = ear.hear(
        data(NOW + SECOND, 2, {1: 21.0}), data(NOW + SECOND, 3, {2: -7}, {2: Type.INT16}, "robot"), at=NOW + SECOND
    )
    assert values_of(told) == {(NODE, "T"): 21.0, (ROBOT, "P"): -7.0}
    assert presence_of(told) == {NODE: True, ROBOT: True}


def test_an_alias_of_one_device_is_not_readable_in_another(ear: Ear):
    ear.hear(a_birth(NOW, temperature()), a_birth(NOW, PRESSURE, device="robot", seq=1))
    assert refused(ear, data(NOW + SECOND, 2, {2: -7}, {2: Type.INT16})) is Reason.UNKNOWN_ALIAS


def test_a_restart_keeps_aliases_counter_and_session(ear: Ear):
    huge = 2**64 - 1  # aliases may be any unsigned number of 64 bits
    ear.hear(a_birth(NOW, temperature(huge), number=3), a_birth(NOW, PRESSURE, device="robot", seq=1))
    ear.restart()
    told = ear.hear(
        data(NOW + SECOND, 2, {huge: 22.0}), data(NOW + SECOND, 3, {2: -1}, {2: Type.INT16}, "robot"), at=NOW + SECOND
    )
    assert values_of(told) == {(NODE, "T"): 22.0, (ROBOT, "P"): -1.0}
    assert asked(ear, NOW + 60 * SECOND) == 0
    ear.restart()
    assert presence_of(ear.hear(a_death(NOW, 3), at=NOW + 2 * SECOND)) == {NODE: False, ROBOT: False}


def test_a_restart_sees_what_was_lost_while_nobody_listened(ear: Ear):
    ear.hear(a_birth(NOW, temperature()))
    ear.restart()
    ear.hear(data(NOW + SECOND, 5, {1: 22.0}), at=NOW + SECOND)
    assert asked(ear, NOW + 2 * SECOND) == 0
    assert asked(ear, NOW + 4 * SECOND) == 1


def test_what_is_not_committed_is_forgotten(ear: Ear):
    ear.decoder.decode(*a_birth(NOW, temperature()), NOW)
    ear.decoder.forget()
    assert refused(ear, data(NOW + SECOND, 1, {1: 22.0})) is Reason.UNKNOWN_ALIAS


def test_messages_out_of_order_within_the_time_to_reorder_are_no_gap(ear: Ear):
    ear.hear(a_birth(NOW, temperature()))
    late = [data(NOW + SECOND, seq, {1: float(seq)}) for seq in (2, 3, 1, 4)]
    assert len(ear.hear(*late, at=NOW + SECOND)) == 4
    assert asked(ear, NOW + 60 * SECOND) == 0


def test_sequence_numbers_go_round_after_255(ear: Ear):
    ear.hear(a_birth(NOW, temperature()))
    ear.hear(*(data(NOW + SECOND, number % 256, {1: 1.0}) for number in range(1, 600)), at=NOW + SECOND)
    assert asked(ear, NOW + 60 * SECOND) == 0


def test_the_birth_of_a_device_does_not_mend_a_gap_but_that_of_the_node_does(ear: Ear):
    ear.hear(a_birth(NOW, temperature()))
    ear.hear(data(NOW + SECOND, 3, {1: 1.0}), at=NOW + SECOND)
    assert asked(ear, NOW + 4 * SECOND) == 1
    ear.hear(a_birth(NOW + 5 * SECOND, PRESSURE, device="robot", seq=4), at=NOW + 5 * SECOND)
    assert asked(ear, NOW + 20 * SECOND) == 1
    ear.hear(a_birth(NOW + 21 * SECOND, temperature()), at=NOW + 21 * SECOND)
    assert asked(ear, NOW + 3600 * SECOND) == 0


def test_a_message_heard_twice_is_no_gap(ear: Ear):
    ear.hear(a_birth(NOW, temperature()))
    again = data(NOW + SECOND, 1, {1: 1.0})
    ear.hear(again, again, data(NOW + SECOND, 2, {1: 1.0}), again, at=NOW + SECOND)
    assert asked(ear, NOW + 60 * SECOND) == 0


def test_a_gap_asks_for_a_birth_once_and_values_by_known_aliases_are_used_meanwhile(ear: Ear):
    ear.hear(a_birth(NOW, temperature()))
    told = ear.hear(data(NOW + SECOND, 3, {1: 23.0}), at=NOW + SECOND)
    assert values_of(told) == {(NODE, "T"): 23.0}
    assert not ear.sent
    ear.hear(data(NOW + 4 * SECOND, 4, {1: 23.0}), at=NOW + 4 * SECOND)
    assert [one.topic for one in ear.sent] == [f"spBv1.0/{GROUP}/NCMD/{EDGE}"]
    ear.hear(data(NOW + 5 * SECOND, 5, {1: 23.0}), at=NOW + 5 * SECOND)
    assert not ear.sent
    ear.hear(a_birth(NOW + 6 * SECOND, temperature()), at=NOW + 6 * SECOND)
    assert asked(ear, NOW + 3600 * SECOND) == 0


def test_a_node_that_does_not_answer_is_asked_ever_more_seldom(ear: Ear):
    ear.hear(a_birth(NOW, temperature()))
    ear.hear(data(NOW + SECOND, 3, {1: 23.0}), at=NOW + SECOND)
    at_s = [second for second in range(1, 24 * 3600) if asked(ear, NOW + second * SECOND)]
    assert at_s[:5] == [3, 13, 33, 73, 153]
    assert at_s[-1] - at_s[-2] == 3600  # doubled up to an hour


def test_the_pause_between_requests_outlives_a_batch_that_failed(ear: Ear):
    ear.hear(a_birth(NOW, temperature()))
    ear.hear(data(NOW + SECOND, 3, {1: 23.0}), at=NOW + SECOND)
    assert asked(ear, NOW + 4 * SECOND) == 1
    ear.decoder.forget()
    ear.hear(data(NOW + 5 * SECOND, 9, {1: 23.0}), at=NOW + 5 * SECOND)
    assert asked(ear, NOW + 8 * SECOND) == 0


def test_a_node_that_never_was_born_is_asked_to_be(ear: Ear):
    assert refused(ear, data(NOW, 17, {1: 23.0})) is Reason.UNKNOWN_ALIAS
    assert asked(ear, NOW + 3 * SECOND) == 1


def test_what_waited_for_a_birth_is_asked_to_be_replayed_and_read_then(ear: Ear):
    early = data(NOW, 17, {1: 23.0})
    assert refused(ear, early) is Reason.UNKNOWN_ALIAS
    keep(ear, early, "unknown_alias")
    ear.hear(a_birth(NOW + 5 * SECOND, temperature()), at=NOW + 5 * SECOND)
    assert waiting(ear) == [early[0]]
    assert values_of(ear.hear(early, at=NOW)) == {(NODE, "T"): 23.0}
    assert asked(ear, NOW + 60 * SECOND) == 0


def test_what_waited_is_read_after_a_death_and_a_birth_nobody_heard(ear: Ear):
    ear.hear(a_birth(NOW, temperature(), PRESSURE))
    ear.hear(a_death(NOW), at=NOW + SECOND)
    early = data(NOW + 2 * SECOND, 4, {1: 24.0})
    assert refused(ear, early, at=NOW + 2 * SECOND) is Reason.UNKNOWN_ALIAS
    ear.hear(a_birth(NOW + 4 * SECOND, temperature(), PRESSURE, number=1), at=NOW + 4 * SECOND)
    assert values_of(ear.hear(early, at=NOW + 2 * SECOND)) == {(NODE, "T"): 24.0}


def test_an_alias_that_means_something_else_since_is_not_read_by_its_new_meaning(ear: Ear):
    ear.hear(a_birth(NOW, temperature(1), Metric("P", Type.DOUBLE, 5.0, 2)))
    late = data(NOW + SECOND, 1, {1: 24.0})
    ear.hear(a_birth(NOW + 2 * SECOND, temperature(2), Metric("P", Type.DOUBLE, 5.0, 1)), at=NOW + 2 * SECOND)
    assert refused(ear, late, at=NOW + 3 * SECOND) is Reason.STALE_ALIAS
    told = ear.hear(data(NOW + 4 * SECOND, 2, {1: 6.0, 2: 25.0}), at=NOW + 4 * SECOND)
    assert values_of(told) == {(NODE, "P"): 6.0, (NODE, "T"): 25.0}
    ear.restart()
    assert refused(ear, late, at=NOW + 5 * SECOND) is Reason.STALE_ALIAS


def test_what_waited_is_not_read_by_an_alias_that_meant_something_else_before(ear: Ear):
    ear.hear(a_birth(NOW, temperature(1)))
    ear.hear(a_death(NOW), at=NOW + SECOND)
    early = data(NOW + 2 * SECOND, 4, {1: 24.0})
    assert refused(ear, early, at=NOW + 2 * SECOND) is Reason.UNKNOWN_ALIAS
    ear.hear(a_birth(NOW + 4 * SECOND, Metric("P", Type.DOUBLE, 5.0, 1), number=1), at=NOW + 4 * SECOND)
    assert refused(ear, early, at=NOW + 2 * SECOND) is Reason.STALE_ALIAS


def test_an_alias_that_a_repeated_birth_repeats_reads_older_messages_too(ear: Ear):
    ear.hear(a_birth(NOW, temperature()))
    late = data(NOW + SECOND, 1, {1: 24.0})
    ear.hear(a_birth(NOW + 2 * SECOND, temperature()), at=NOW + 2 * SECOND)
    assert values_of(ear.hear(late, at=NOW + SECOND)) == {(NODE, "T"): 24.0}


def test_a_devices_aliases_wait_for_its_own_birth_in_the_new_session(ear: Ear):
    ear.hear(a_birth(NOW, temperature()), a_birth(NOW, PRESSURE, device="robot", seq=1))
    ear.hear(a_birth(NOW + SECOND, temperature(), number=1), at=NOW + SECOND)
    soon = data(NOW + 2 * SECOND, 1, {2: 9}, {2: Type.INT16}, "robot")
    assert refused(ear, soon, at=NOW + 2 * SECOND) is Reason.UNKNOWN_ALIAS
    old = data(NOW, 2, {2: 8}, {2: Type.INT16}, "robot")
    assert values_of(ear.hear(old, at=NOW + 2 * SECOND)) == {(ROBOT, "P"): 8.0}
    ear.hear(a_birth(NOW + 3 * SECOND, PRESSURE, device="robot", seq=2), at=NOW + 3 * SECOND)
    assert values_of(ear.hear(soon, at=NOW + 2 * SECOND)) == {(ROBOT, "P"): 9.0}


def test_a_node_whose_clock_was_set_back_is_asked_and_read_again(ear: Ear):
    ear.hear(a_birth(NOW + timedelta(days=1), temperature(1)), at=NOW)
    ear.hear(a_birth(NOW + timedelta(days=1), Metric("P", Type.DOUBLE, 1.0, 1)), at=NOW)
    corrected = data(NOW + SECOND, 1, {1: 2.0})
    assert refused(ear, corrected, at=NOW + SECOND) is Reason.STALE_ALIAS
    assert asked(ear, NOW + 4 * SECOND) == 1
    ear.hear(a_birth(NOW + 5 * SECOND, Metric("P", Type.DOUBLE, 1.0, 1)), at=NOW + 5 * SECOND)
    assert values_of(ear.hear(data(NOW + 6 * SECOND, 1, {1: 3.0}), at=NOW + 6 * SECOND)) == {(NODE, "P"): 3.0}


def test_our_own_clock_set_back_does_not_make_us_deaf(ear: Ear):
    ear.hear(a_birth(NOW, temperature(1)), at=NOW + timedelta(hours=1))
    ear.hear(data(NOW + SECOND, 1, {1: 1.0}), at=NOW)
    ear.hear(a_birth(NOW + SECOND, temperature(5)), at=NOW + SECOND)
    assert values_of(ear.hear(data(NOW + 2 * SECOND, 1, {5: 3.0}), at=NOW + 2 * SECOND)) == {(NODE, "T"): 3.0}


def test_a_birth_out_of_quarantine_gives_its_values_and_changes_nothing(ear: Ear):
    old = a_birth(NOW, temperature(1), number=0)
    ear.hear(old)
    ear.hear(a_death(NOW, 0), at=NOW + SECOND)
    told = ear.hear(old, at=NOW)
    assert values_of(told) == {(NODE, "T"): 20.0}
    assert presence_of(told) == {NODE: False}
    ear.hear(a_birth(NOW + 2 * SECOND, temperature(9), number=1), at=NOW + 2 * SECOND)
    ear.hear(old, at=NOW)
    told = ear.hear(data(NOW + 3 * SECOND, 1, {9: 4.0}), at=NOW + 3 * SECOND)
    assert values_of(told) == {(NODE, "T"): 4.0}
    assert asked(ear, NOW + 60 * SECOND) == 0


def test_only_the_death_of_the_session_that_lives_is_honoured(ear: Ear):
    ear.hear(a_birth(NOW, temperature(), number=4), a_birth(NOW, PRESSURE, device="robot", seq=1))
    ear.hear(a_birth(NOW + SECOND, temperature(), number=5), at=NOW + SECOND)
    ear.hear(a_birth(NOW + SECOND, PRESSURE, device="robot", seq=1), at=NOW + SECOND)
    assert ear.hear(a_death(NOW, 4), at=NOW + 2 * SECOND) == []
    assert ear.hear(a_death(NOW, None), at=NOW + 2 * SECOND) == []
    assert presence_of(ear.hear(a_death(NOW, 5), at=NOW + 3 * SECOND)) == {NODE: False, ROBOT: False}
    assert ear.hear(a_death(NOW, 5), at=NOW + 4 * SECOND) == []


def test_the_death_of_a_device_leaves_its_node_online(ear: Ear):
    ear.hear(a_birth(NOW, temperature()), a_birth(NOW, PRESSURE, device="robot", seq=1))
    died = ear.hear((topic_of("DDEATH", "robot"), encode([], ts=ms(NOW), seq=2)), at=NOW + SECOND)
    assert presence_of(died) == {ROBOT: False}
    assert presence_of(ear.hear(data(NOW + SECOND, 3, {1: 1.0}), at=NOW + SECOND)) == {NODE: True}
    assert asked(ear, NOW + 60 * SECOND) == 0


def test_data_after_a_death_is_not_read_by_the_dead_sessions_aliases(ear: Ear):
    ear.hear(a_birth(NOW, temperature()), a_death(NOW))
    assert refused(ear, data(NOW + SECOND, 1, {1: 5.0}), at=NOW + SECOND) is Reason.UNKNOWN_ALIAS


def test_data_with_name_and_type_needs_no_birth_but_asks_for_one(ear: Ear):
    named = encode([Metric("T", Type.DOUBLE, 5.0)], ts=ms(NOW), seq=4)
    told = ear.hear((topic_of("NDATA"), named))
    assert values_of(told) == {(NODE, "T"): 5.0}
    assert presence_of(told) == {NODE: None}
    assert asked(ear, NOW + 3 * SECOND) == 1


def test_a_whole_number_without_a_type_waits_for_the_birth_that_gives_it(ear: Ear):
    untyped = encode([Metric("P", None, -3)], ts=ms(NOW + SECOND), seq=1)
    assert refused(ear, (topic_of("NDATA"), untyped)) is Reason.UNKNOWN_ALIAS
    ear.hear(a_birth(NOW + SECOND, PRESSURE), at=NOW + SECOND)
    assert values_of(ear.hear((topic_of("NDATA"), untyped), at=NOW + SECOND)) == {(NODE, "P"): -3.0}


def test_a_birth_with_a_value_that_is_refused_still_gives_its_names(ear: Ear):
    assert refused(ear, a_birth(NOW, temperature(), Metric("set", Type.DATA_SET, b"", 2))) is Reason.SPARKPLUG_DATA_SET
    told = ear.hear(data(NOW + SECOND, 1, {1: 6.0}), at=NOW + SECOND)
    assert values_of(told) == {(NODE, "T"): 6.0}
    assert presence_of(told) == {NODE: True}


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 129, "T"], ids=["empty", "NUL", "long", "twice"])
def test_a_birth_with_a_bad_name_is_refused_and_its_other_names_are_known(ear: Ear, name: str):
    birth = a_birth(NOW, temperature(), Metric(name, Type.DOUBLE, 1.0, 2))
    assert refused(ear, birth) is Reason.BAD_METRIC_NAME
    told = ear.hear(data(NOW + SECOND, 1, {1: 6.0, 2: 7.0}), at=NOW + SECOND)
    assert values_of(told) == {(NODE, "T"): 6.0}


def test_two_metrics_of_one_birth_with_one_alias_are_refused(ear: Ear):
    assert refused(ear, a_birth(NOW, temperature(1), temperature(1, name="U"))) is Reason.BAD_SPARKPLUG


def test_an_alias_moves_from_one_device_to_another(ear: Ear):
    ear.hear(a_birth(NOW, temperature()), a_birth(NOW, PRESSURE, device="robot", seq=1))
    ear.hear(a_birth(NOW + SECOND, PRESSURE, device="lift", seq=2), at=NOW + SECOND)
    ear.restart()
    told = ear.hear(data(NOW + 2 * SECOND, 3, {2: 3}, {2: Type.INT16}, "lift"), at=NOW + 2 * SECOND)
    assert values_of(told) == {(f"{GROUP}/{EDGE}/lift", "P"): 3.0}
    gone = data(NOW + 2 * SECOND, 4, {2: 3}, {2: Type.INT16}, "robot")
    assert refused(ear, gone, at=NOW + 2 * SECOND) is Reason.UNKNOWN_ALIAS


def test_only_chosen_metrics_are_stored_and_only_whoever_has_some_is_a_device(database: str):
    ear = Ear(database, a_feed(database, metrics=["*/Temperature", "Speed"]))
    mine, other = temperature(1, 5.0, "Motor/Temperature"), temperature(2, 6.0, "Motor/Power")
    told = ear.hear(a_birth(NOW, other), a_birth(NOW, mine, temperature(3, 7.0, "Speed"), device="robot", seq=1))
    assert values_of(told) == {(ROBOT, "Motor/Temperature"): 5.0, (ROBOT, "Speed"): 7.0}
    assert presence_of(told) == {ROBOT: True}
    assert ear.hear(data(NOW + SECOND, 2, {2: 1.0}), at=NOW + SECOND) == []
    ear.restart()
    assert ear.hear(data(NOW + SECOND, 3, {2: 1.0}), at=NOW + SECOND) == []
    assert presence_of(ear.hear(a_death(NOW), at=NOW + 2 * SECOND)) == {ROBOT: False}


def test_engineering_units_of_births_are_given_to_the_series(database: str):
    feed = a_feed(database)
    ear = Ear(database, feed)
    with a_plant(database) as plant:
        device = a_device(plant, "robot", feed=(feed.id, ROBOT))
        plant.execute("insert into series (device_id, metric, created_at) values (%s, 'P', %s)", (device, NOW))
        ear.hear(a_birth(NOW, temperature()), a_birth(NOW, PRESSURE, device="robot", seq=1))
        assert plant.execute("select metric, unit from series").fetchall() == [("P", "bar")]


def test_an_unknown_node_costs_one_query_and_a_known_one_none(ear: Ear):
    ear.hear(a_birth(NOW, temperature()))
    ear.restart()
    asked_for = []
    ear.connection.execute = lambda *given: (
        asked_for.append(given) or type(ear.connection).execute(ear.connection, *given)
    )
    topics = [topic_of("NDATA", edge=f"edge-{number}") for number in range(50)] + [topic_of("NDATA"), "nonsense"]
    ear.decoder.prepare(ear.connection, topics)
    assert len(asked_for) == 1
    ear.decoder.prepare(ear.connection, [topic_of("NDATA")])
    assert len(asked_for) == 1


def test_memory_is_bounded(ear: Ear, monkeypatch: pytest.MonkeyPatch):
    for name, limit in {"MAX_NODES": 3, "MAX_UNITS": 3, "MAX_DECLARED": 5, "MAX_DECLARED_ALL": 9}.items():
        monkeypatch.setattr(memory, name, limit)
    five = [temperature(number, 1.0, f"m{number}") for number in range(5)]
    ear.hear(a_birth(NOW, *five[:4]))
    assert refused(ear, a_birth(NOW, *five)) is Reason.TOO_MANY_METRICS
    assert values_of(ear.hear(data(NOW + SECOND, 1, {3: 2.0}))) == {(NODE, "m3"): 2.0}
    ear.hear(a_birth(NOW, device="a", seq=2), a_birth(NOW, device="b", seq=3))
    assert refused(ear, a_birth(NOW, device="c", seq=4)) is Reason.TOO_MANY_NAMES
    second = topic_of("NBIRTH", edge="2"), encode(five[:4], ts=ms(NOW), seq=0)
    third = topic_of("NBIRTH", edge="3"), encode(five[:1], ts=ms(NOW), seq=0)
    ear.hear(second)
    assert refused(ear, third) is Reason.TOO_MANY_METRICS
    assert refused(ear, (topic_of("NBIRTH", edge="4"), third[1])) is Reason.TOO_MANY_NAMES


@pytest.mark.parametrize(
    ("sequences", "missing"),
    [([0, 1, 2], 0), ([0, 2], 1), ([0, 250], 0), ([250, 5], 10), ([0, 3, 1], 1), ([9, 9, 8], 0)],
)
def test_the_counter_tells_how_many_are_missing(sequences: list[int], missing: int):
    counter = Counter()
    for sequence in sequences:
        counter.take(sequence)
    assert counter.give_up() == missing
    assert not counter.has_gap


def keep(ear: Ear, message: tuple[str, bytes], reason: str) -> None:
    ear.connection.execute(
        "insert into quarantine (received_at, last_received_at, times_received, topic, payload, fingerprint, reason,"
        " detail, feed_id) values (%s, %s, 1, %s, %s, sha256(%s), %s, '', %s)",
        (NOW, NOW, message[0], message[1], message[1], reason, ear.feed.id),
    )


def waiting(ear: Ear) -> list[str]:
    rows = ear.connection.execute("select topic from quarantine where replay_requested_at is not null").fetchall()
    return [topic for (topic,) in rows]


def test_the_decoder_is_in_the_catalogue():
    from ingest.decoders.catalogue import DECODERS

    assert DECODERS["sparkplug_b"] is SparkplugB
