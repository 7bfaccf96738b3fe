"""A source with positions: stored with the batch, moved by compare-and-set, and no zombie writes (SPEC E4; ADR 25).

The same worker and the same pipeline as with MQTT, on another source: what a Kafka source will need is here.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ingest.slices import keyed
from ingest.worker import Worker
from storage import checkpoints
from storage.checkpoints import FenceLostError
from storage.database import connect
from tests.ingest_builders import CLOCK, NOW, SECOND, Line, telemetry, until
from tests.log_source import OPTIONS, LogSource, append, assign, partition_name
from tests.slices_builders import NORTH, REPOSITORY, SOUTH, a_stream, outcome, topic_of, two_sites

PARTITIONS, DEVICES, EACH = 4, 6, 800
_numbers = itertools.count(1)


@pytest.fixture
def plant(database):
    """Two sites with one device each; the partition 'p' is there."""
    with two_sites(database, 1) as connection:
        checkpoints.take_fence(connection, "p", "t", NOW)
        yield connection


def test_a_position_moves_only_from_where_it_is(plant):
    """ADR 25: compare and set."""
    assert checkpoints.stored_position(plant, "p") is None
    checkpoints.advance(plant, "p", 1, None, 10)
    checkpoints.advance(plant, "p", 1, 10, 20)
    with pytest.raises(FenceLostError, match="position 10"):
        checkpoints.advance(plant, "p", 1, 10, 30)
    assert checkpoints.stored_position(plant, "p") == 20


def test_a_position_moved_twice_to_one_place_is_there_once(plant):
    """The connection may break after the commit and before its answer: the batch is done again."""
    checkpoints.advance(plant, "p", 1, None, 10)
    checkpoints.advance(plant, "p", 1, None, 10)
    assert checkpoints.stored_position(plant, "p") == 10


def test_a_position_under_an_older_fence_is_refused(plant):
    checkpoints.advance(plant, "p", 1, None, 10)
    checkpoints.take_fence(plant, "p", "t", NOW)
    with pytest.raises(FenceLostError):
        checkpoints.advance(plant, "p", 1, 10, 20)


def test_a_source_without_positions_moves_none(plant):
    checkpoints.advance(plant, "p", 1, None, None)
    assert checkpoints.stored_position(plant, "p") is None


@pytest.fixture
def frozen(plant, database):
    """The owner of 'p', stopped within a transaction: it keeps its locks for as long as it is stopped."""
    plant.execute("set lock_timeout = '10s'")
    with connect(database) as connection:
        connection.autocommit = True
        checkpoints.note_session(connection, "p", 1)
        connection.execute("begin")
        checkpoints.hold_fence(connection, "p", 1)
        yield connection


def test_a_partition_is_taken_over_from_an_owner_that_froze(plant, frozen):
    assert checkpoints.take_fence(plant, "p", "another", NOW) == 2
    with pytest.raises(psycopg.OperationalError):
        frozen.execute("select 1")


def test_a_partition_is_taken_over_from_an_owner_that_froze_in_the_middle_of_a_copy(plant, frozen):
    """There none of the server's timeouts counts: it waits for the client's next bytes."""
    taken = []

    def copy_on() -> None:
        with frozen.cursor() as cursor, cursor.copy("copy reading from stdin") as copy:
            taken.append(checkpoints.take_fence(plant, "p", "another", NOW))
            for _ in range(100):
                copy.write(b"1\t2026-01-01\t1\n" * 10_000)

    with pytest.raises(psycopg.OperationalError):
        copy_on()
    assert taken == [2]


def test_the_session_of_an_owner_is_noted_by_its_own_fence_only(plant, database):
    with connect(database) as former:
        former.autocommit = True
        checkpoints.note_session(former, "p", 1)
        assert checkpoints.take_fence(plant, "p", "another", NOW) == 2
    with connect(database) as again:
        again.autocommit = True
        checkpoints.note_session(again, "p", 1)
        assert checkpoints.take_fence(plant, "p", "a third", NOW) == 3
        assert again.execute("select 1").fetchone() == (1,)


def test_the_server_lets_go_of_an_owner_that_froze_within_a_transaction(plant, database):
    """A stopped process holds its locks for as long as it is stopped; the server must let go of it."""
    with connect(database) as frozen:
        frozen.autocommit = True
        checkpoints.let_go_when_idle(frozen, 0.5)
        frozen.execute("begin")
        checkpoints.hold_fence(frozen, "p", 1)
        plant.execute("set lock_timeout = '10s'")
        assert checkpoints.take_fence(plant, "p", "another", NOW) == 2
        with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
            frozen.execute("select 1")


def test_a_worker_lets_go_of_its_partition_when_it_freezes(one_partition, database, tmp_path):
    """The worker's own connection is one that the server may take away."""
    worker, _ = a_worker(database, tmp_path, threading.Event())
    worker.step()
    shown = worker._connection.execute("show idle_in_transaction_session_timeout").fetchone()
    assert shown == (f"{OPTIONS.frozen_after_s:.0f}s",)


def a_worker(dsn: str, folder: Path, stop: threading.Event) -> tuple[Worker, LogSource]:
    source = LogSource(folder, partition_name(0))
    return Worker(lambda: connect(dsn), source, CLOCK, stop, OPTIONS, slice_=keyed(partition_name(0))), source


def rows(connection) -> int:
    return connection.execute("select count(*) from reading").fetchone()[0]


@pytest.fixture
def one_partition(database, tmp_path):
    """A log of one partition with 120 messages of one device, 50 to a batch."""
    with two_sites(database, 1) as connection:
        start = CLOCK.now() - timedelta(hours=1)
        append(tmp_path, a_stream(NORTH, 1, 0, 120, start), 1)
        yield connection


def test_on_assignment_the_source_is_given_the_stored_position(one_partition, database, tmp_path):
    stop = threading.Event()
    worker, source = a_worker(database, tmp_path, stop)
    for _ in range(3):
        worker.step()
    assert (source.given, rows(one_partition)) == ([None], 100)
    stored = checkpoints.stored_position(one_partition, partition_name(0))
    again, second = a_worker(database, tmp_path, stop)
    for _ in range(3):
        again.step()
    assert (second.given, rows(one_partition)) == ([stored], 120)
    stop.set()
    again.run()


def test_a_zombie_that_wakes_after_its_partition_moved_writes_nothing(one_partition, database, tmp_path):
    """It has a batch in its hands, polled before; nothing of it is stored, and the position stays the successor's."""
    stop = threading.Event()
    zombie, source = a_worker(database, tmp_path, stop)
    zombie.step()
    zombie.step()
    held = source.poll(50, 0)  # and here it falls asleep
    successor, _ = a_worker(database, tmp_path, stop)
    successor.step()
    before = (rows(one_partition), checkpoints.stored_position(one_partition, partition_name(0)))
    source.poll = lambda *_: held
    with pytest.raises(FenceLostError):
        zombie.step()
    assert (rows(one_partition), checkpoints.stored_position(one_partition, partition_name(0))) == before
    for _ in range(4):
        successor.step()
    stop.set()
    successor.run()
    assert rows(one_partition) == 120


def test_the_position_of_a_batch_with_poison_in_it_moves_with_its_last_part(database, tmp_path, monkeypatch):
    """SPEC E5: halved until the culprit stands alone; were the position moved before, a kill would lose the rest."""
    start = CLOCK.now() - timedelta(hours=1)
    moves: list[tuple[int | None, int | None]] = []
    sound = checkpoints.advance

    def note(connection, partition, fence, from_position, to_position) -> None:
        moves.append((from_position, to_position))
        sound(connection, partition, fence, from_position, to_position)

    monkeypatch.setattr(checkpoints, "advance", note)
    with two_sites(database, 1) as connection:
        connection.execute("alter table reading add constraint poison check (value <> 666)")
        messages = a_stream(NORTH, 1, 0, 30, start)
        messages.insert(10, (topic_of(NORTH, "d0"), telemetry(start - SECOND, t=666.0)))
        append(tmp_path, messages, 1)
        stop = threading.Event()
        worker, _ = a_worker(database, tmp_path, stop)
        for _ in range(3):
            worker.step()
        assert rows(connection) == 30
        assert connection.execute("select reason from quarantine").fetchall() == [("database_refused",)]
        end = (tmp_path / partition_name(0)).stat().st_size
        # Twice with the whole batch, in vain; then with its second half, which is the last to be stored.
        assert [move for move in moves if move != (None, None)] == [(None, end)] * 3
        assert checkpoints.stored_position(connection, partition_name(0)) == end
        stop.set()
        worker.run()


# -- a group of two workers ------------------------------------------------------------------------------------------


@pytest.fixture
def reference_database(postgres, template):
    """A second database, for the run that nobody interrupts."""
    name = f"reference_log_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template))
        )
    yield make_conninfo(postgres, dbname=name)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def member_of(database, tmp_path):
    """Starts workers as processes; none outlives the test, not even one that sleeps."""
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str) -> subprocess.Popen[bytes]:
        with (tmp_path / f"{name}.log").open("ab") as log:
            started.append(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.log_source", database, str(tmp_path), name],
                    cwd=REPOSITORY,
                    stdout=log,
                    stderr=log,
                )
            )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait(10)


def test_partitions_that_change_hands_while_workers_are_killed_and_sleep_lose_and_double_nothing(
    database, reference_database, tmp_path, member_of
):
    """SPEC E4, E6; ADR 25: kill -9 of one worker, the other put to sleep and woken after its partitions moved:
    readings, findings and state are those of a run that nobody interrupted, and the zombie wrote nothing."""
    chance = random.Random(20260302)
    start = CLOCK.now().replace(microsecond=0) - timedelta(hours=1)
    names = [partition_name(number) for number in range(PARTITIONS)]
    stream = [one for site in (NORTH, SOUTH) for one in a_stream(site, DEVICES, 0, EACH, start)]
    total = len(stream)
    with two_sites(database, DEVICES) as plant:
        append(tmp_path, stream[: total // 2], PARTITIONS)
        assign(tmp_path, {name: "ab"[at % 2] for at, name in enumerate(names)})
        a, b = member_of("a"), member_of("b")
        until(lambda: rows(plant) > chance.randrange(500, 2_000), "they have begun", 60)
        a.kill()
        a.wait(10)
        assign(tmp_path, dict.fromkeys(names, "b"))
        until(lambda: rows(plant) > chance.randrange(2_500, 4_000), "the other has taken over", 60)
        b.send_signal(signal.SIGSTOP)
        assign(tmp_path, dict.fromkeys(names, "a"))
        a = member_of("a")
        append(tmp_path, stream[total // 2 :], PARTITIONS)
        until(lambda: rows(plant) > total * 0.7, "and back", 60)
        b.send_signal(signal.SIGCONT)
        # Refused by the fence, or stopped by its own look at the assignment because its session is gone: both end it.
        ended = tmp_path / "ended-b"
        until(lambda: ended.exists() and len(ended.read_text().split()) >= 2 * PARTITIONS, "the zombie ended", 30)
        a.kill()
        a.wait(10)
        a = member_of("a")
        until(lambda: rows(plant) == total, "all are stored", 60)
        with two_sites(reference_database, DEVICES) as reference_plant:
            reference = Line(reference_database)
            reference.now = start + timedelta(hours=1)
            for at in range(0, total, 1_000):
                reference.take(*stream[at : at + 1_000])
            reference.wait(60)
            reference.pipeline.flush(reference.now, reference.now_s)
            expected = outcome(reference_plant)
        until(lambda: outcome(plant)[:2] == expected[:2], "readings and findings are alike", 60)
        sizes = {name: (tmp_path / name).stat().st_size for name in names}
        until(lambda: {name: checkpoints.stored_position(plant, name) for name in names} == sizes, "at the end")
        until(lambda: outcome(plant) == expected, "the state is alike", 30)
        assert plant.execute("select count(*) from quarantine").fetchone() == (0,)
