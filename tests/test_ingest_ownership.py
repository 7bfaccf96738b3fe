"""Whose a device is: it belongs to one partition, moves with its state, and its former owner is refused (ADR 25)."""

from __future__ import annotations

import threading

import pytest

from ingest.ownership import Ownership
from ingest.slices import keyed
from storage import checkpoints
from storage.database import connect
from storage.devices import all_devices
from tests.ingest_builders import NOW, Line
from tests.slices_builders import NORTH, SOUTH, a_stream, owners, two_sites


@pytest.fixture
def house(database):
    """Two sites with one device each, and two partitions."""
    with two_sites(database, 1) as plant:
        yield plant


def test_a_device_that_is_claimed_comes_with_its_state_and_its_former_owner_is_refused(house):
    first, second = (checkpoints.take_fence(house, name, "t", NOW) for name in ("p", "q"))
    checkpoints.claim(house, "p", first, [1, 2])
    assert checkpoints.load_states(house, "p", [1, 2]) == []  # nothing was saved yet
    checkpoints.save_states(house, "p", "v1", {1: b"one", 2: b"two"}, NOW)
    checkpoints.claim(house, "q", second, [2])
    checkpoints.claim(house, "q", second, [2])
    assert owners(house) == [(1, "p", b"one"), (2, "q", b"two")]
    assert [saved.state for saved in checkpoints.load_states(house, "q", [1, 2])] == [b"two"]
    checkpoints.hold_devices(house, "p", [1])
    with pytest.raises(checkpoints.FenceLostError, match="another slice"):
        checkpoints.hold_devices(house, "p", [1, 2])
    assert checkpoints.owned_devices(house, "p") == {1}


def test_a_writer_that_lost_its_fence_claims_nothing(house):
    old = checkpoints.take_fence(house, "p", "t", NOW)
    checkpoints.take_fence(house, "p", "t", NOW)
    with pytest.raises(checkpoints.FenceLostError):
        checkpoints.claim(house, "p", old, [1])
    assert owners(house) == []


def test_a_claim_waits_for_what_the_former_owner_is_writing(house, database):
    """Otherwise it would read the state before the last batch, and judge that batch again."""
    first, second = (checkpoints.take_fence(house, name, "t", NOW) for name in ("p", "q"))
    checkpoints.claim(house, "p", first, [1])
    with connect(database) as writing, connect(database) as other:
        other.autocommit = True
        checkpoints.hold_fence(writing, "p", first)
        checkpoints.hold_devices(writing, "p", [1])
        claiming = threading.Thread(target=checkpoints.claim, args=(other, "q", second, [1]))
        claiming.start()
        claiming.join(0.5)
        assert claiming.is_alive()
        checkpoints.save_states(writing, "p", "v1", {1: b"newest"}, NOW)
        writing.commit()
        claiming.join(10)
    assert owners(house) == [(1, "q", b"newest")]


def test_of_two_who_claim_at_once_one_has_the_device(house, database):
    """Devices that nobody had yet, and fences taken crosswise: no double owner, no deadlock."""
    for _ in range(10):
        house.execute("delete from checkpoint")
        fences = {name: checkpoints.take_fence(house, name, "t", NOW) for name in ("p", "q")}
        failures: list[Exception] = []

        def work(name: str, fence: int, failures: list[Exception] = failures) -> None:
            try:
                with connect(database) as connection:
                    connection.autocommit = True
                    checkpoints.claim(connection, name, fence, [1, 2])
            except Exception as error:  # noqa: BLE001 - told to the test
                failures.append(error)

        threads = [threading.Thread(target=work, args=one) for one in fences.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert failures == []
        assert [device for device, _, _ in owners(house)] == [1, 2]


def test_a_pipeline_that_lost_a_device_stores_nothing_of_its_batch(house, database):
    """SPEC E6: what the former owner has in memory is not the truth any more."""
    line = Line(database)
    line.now = NOW
    line.take(*a_stream(NORTH, 1, 0, 5, NOW))
    other = checkpoints.take_fence(house, "q", "t", NOW)
    checkpoints.claim(house, "q", other, [1])
    with pytest.raises(checkpoints.FenceLostError):
        line.take(*a_stream(SOUTH, 1, 0, 5, NOW), *a_stream(NORTH, 1, 5, 10, NOW))
    assert house.execute("select count(*) from reading").fetchone() == (5,)


def test_the_partitions_of_a_log_know_the_devices_that_they_have_heard(house):
    """Where keys deal out devices, no setting says whose they are."""
    fence = checkpoints.take_fence(house, "log-0", "t", NOW)
    ownership = Ownership(house, keyed("log-0"), fence)
    heard, other = all_devices(house)
    assert not ownership.chooser()(heard)
    ownership.claim([heard.id])
    assert ownership.chooser()(heard)
    assert not ownership.chooser()(other)
    assert ownership.to_replay(10) == []
