"""The campaign's own instruments: what judges the service must itself be right (SPEC E4, E5)."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.campaign import packets
from bench.campaign.house import Count
from bench.campaign.mosquitto import judge_losses
from bench.campaign.outcome import Outcome
from bench.campaign.results import TITLE, write_cells
from bench.campaign.sender import Stream, message, number_of
from bench.campaign.tap import Tap
from bench.report import read_section, write_section

STREAM = Stream(port=1, messages=1_000, devices=100, start_ms=1_700_000_000_000)
FIRST, SECOND = (message(STREAM, number) for number in (205, 206))


def heard(tap: Tap, connection: int, *parts: bytes, is_from_broker: bool) -> None:
    for part in parts:
        tap.hear(connection, part, is_from_broker=is_from_broker)


def test_packets_are_cut_wherever_the_network_cut_them() -> None:
    long = packets.publish(b"t", b"x" * 200, 7)  # its length takes two bytes
    stream = packets.acknowledge(5) + long + packets.publish(b"t", b"y", 0)
    for cut in range(len(stream) + 1):
        found, rest = packets.split(stream[:cut])
        more, rest = packets.split(rest + stream[cut:])
        assert rest == b""
        first, second, third = found + more
        assert (first.kind, first.packet_id) == (packets.PUBACK, 5)
        assert packets.read_publish(second) == (7, b"t", b"x" * 200)
        assert packets.read_publish(third) == (0, b"t", b"y")


def test_a_message_is_known_again_by_its_topic_and_payload() -> None:
    for number in (0, 99, 100, 4_950, 999):
        assert number_of(STREAM, *message(STREAM, number)) == number


def test_the_tap_tells_what_was_delivered_from_what_was_acknowledged() -> None:
    tap = Tap()
    both = packets.publish(*FIRST, 1) + packets.publish(*SECOND, 2)
    heard(tap, 1, both[:9], both[9:], is_from_broker=True)
    heard(tap, 1, packets.acknowledge(2), is_from_broker=False)
    assert tap.delivered == {FIRST, SECOND}
    assert tap.acknowledged == {SECOND}


def test_the_tap_does_not_take_an_acknowledgement_for_that_of_another_connection() -> None:
    tap = Tap()
    heard(tap, 1, packets.publish(*FIRST, 1), is_from_broker=True)
    heard(tap, 2, packets.acknowledge(1), is_from_broker=False)
    assert tap.acknowledged == frozenset()
    assert tap.strays == 1


def test_the_tap_forgets_what_was_delivered_and_never_what_was_acknowledged() -> None:
    tap = Tap()
    heard(tap, 1, packets.publish(*FIRST, 1), is_from_broker=True)
    heard(tap, 1, packets.acknowledge(1), is_from_broker=False)
    tap.forget_delivered()
    assert not tap.delivered
    assert tap.acknowledged == {FIRST}


@pytest.mark.parametrize(
    ("missing", "reported", "given", "passed"),
    [
        ((), (), (205, 206), True),
        ((205,), (205,), (206,), True),  # Mosquitto lost it, and we say so
        ((205,), (205,), (205,), False),  # it was given to us
        ((205,), (), (206,), False),  # nobody says so
        ((205,), (206,), (207,), False),  # the right number of them, the wrong ones
    ],
)
def test_of_mosquittos_losses_only_what_it_had_given_us_is_ours(
    missing: tuple[int, ...], reported: tuple[int, ...], given: tuple[int, ...], passed: bool
) -> None:
    count = Count(1_000, frozenset(missing), frozenset(reported), doubled=0, wrong=0, quarantined=0)
    told = frozenset(message(STREAM, number) for number in given)
    outcome = judge_losses(STREAM, count, told, "Mosquitto 2.0.11", its_lost=1)
    assert outcome.passed is passed
    assert bool(outcome.missed) is bool(missing)


def test_a_bar_that_was_missed_is_said_beside_the_promise_that_was_kept() -> None:
    assert Outcome(True, "", "0 lost, by the broker").verdict == "held; **bar missed**: 0 lost, by the broker"
    assert Outcome(False, "", "0 lost, by the broker").verdict == "**broken**"


def test_the_rows_of_several_commands_add_up(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    write_section("Another", "stays\n", path)
    write_cells("disk full", path, outcome="0 lost | 0 doubled", verdict="held", took="90 s")
    write_cells("kills of ingester and database", path, planted="`acknowledge_early`: found")
    write_cells("disk full", path, planted="`acknowledge_early`: found")
    rows = [line for line in read_section(TITLE, path).splitlines() if line.startswith("| ")][1:]
    assert [row.split(" | ")[0] for row in rows] == ["| kills of ingester and database", "| disk full"]
    assert rows[0].split(" | ")[1:5] == ["not run"] * 4
    assert "0 lost / 0 doubled" in rows[1]
    assert rows[1].endswith("`acknowledge_early`: found |")
    assert "stays" in read_section("Another", path)
