"""When the former sessions may be ended: not before everything in them has been stored (SPEC E4).

Time is moved by hand. The same over real brokers: tests/test_broker_sessions.py.
"""

from __future__ import annotations

import pytest

from ingest.decoders.telling import Outgoing
from ingest.slices import cut, whole
from ingest.source import Batch, Message
from ingest.succession import _QUIET_S, Succession
from tests.ingest_builders import NOW, PARTITION, topic

LINGER_S = 10.0


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at_s = 100.0

    def now(self):
        return NOW

    def monotonic_s(self) -> float:
        return self.at_s


class Sessions:
    """Both lanes as a source: gives out what is put ``waiting``, remembers what was acknowledged and marked."""

    partition = PARTITION

    def __init__(self, *, is_listening: bool = True, was_known: bool | None = True) -> None:
        self.is_listening = is_listening
        self.was_known = was_known
        self.settled = True
        self.waiting: list[Message] = []
        self.behind = False
        self.acknowledged: list[str] = []
        self.marked: list[Outgoing] = []
        self.closed = 0

    @property
    def queued(self) -> int:
        return len(self.waiting)

    def put(self, *topics: str) -> None:
        self.waiting += [Message(one, b"", 1, number) for number, one in enumerate(topics, 1)]

    def listen_to(self, filters, stale=()) -> None:
        pass

    def poll(self, max_messages: int, timeout_s: float) -> Batch:
        taken, self.waiting = self.waiting, []
        return Batch(self.partition, taken, self.settled, not self.behind)

    def commit(self, batch: Batch) -> None:
        self.acknowledged += [message.topic for message in batch.messages]

    def mark(self, messages) -> None:
        self.marked += messages

    def close(self) -> None:
        self.closed += 1


class Scene:
    """A succession whose loop is turned by hand."""

    def __init__(self, new: Sessions, former: Sessions, slice_=None) -> None:
        self.new, self.former, self.clock = new, former, Hand()
        self.ended = 0
        self.stored: list[str] = []
        self.succession = Succession(
            new, former, slice_ or whole(PARTITION), self.clock, linger_s=LINGER_S, end=self._end
        )

    def _end(self) -> None:
        assert self.former.closed == 1, "it is ended when we have left it"
        self.ended += 1

    def turn(self, times: int = 1, *, seconds: float = 0.0) -> Scene:
        """What the worker does: poll, store, acknowledge what there was."""
        for _ in range(times):
            self.clock.at_s += seconds
            batch = self.succession.poll(1000, 0.0)
            self.stored += [message.topic for message in batch.messages]
            if batch.messages:
                self.succession.commit(batch)
            self.succession.listen_to({"x"})
        return self

    def marks_come_back(self) -> None:
        marks = [one.topic for one in self.new.marked]
        self.former.put(*marks)
        self.new.put(*marks)


@pytest.fixture
def scene() -> Scene:
    return Scene(Sessions(), Sessions())


def test_they_are_ended_once_the_marks_have_come_back_and_some_time_has_passed(scene: Scene) -> None:
    scene.former.put(topic("m1"))
    scene.turn(3)
    assert {one.topic.rpartition("/")[2] for one in scene.new.marked} == {"telemetry", "events", "state", "waveform"}
    scene.new.put(topic("m2"))
    scene.marks_come_back()
    scene.turn(3, seconds=LINGER_S / 4)
    assert (scene.ended, scene.stored) == (0, [topic("m1")])
    scene.turn(3, seconds=LINGER_S)
    assert (scene.ended, scene.stored) == (1, [topic("m1"), topic("m2")])
    scene.turn(20, seconds=LINGER_S)
    assert scene.ended == 1
    assert len(scene.new.marked) == 4


def test_marks_are_acknowledged_where_they_came_and_stored_nowhere(scene: Scene) -> None:
    """Else they would come again with the next process, which knows nothing of them."""
    scene.turn(3)
    marks = sorted(one.topic for one in scene.new.marked)
    scene.marks_come_back()
    scene.turn(5, seconds=LINGER_S)
    assert sorted(scene.former.acknowledged) == sorted(scene.new.acknowledged) == marks
    assert scene.stored == []


def test_a_pause_in_what_comes_is_not_the_end(scene: Scene) -> None:
    """A broker may need its time to find what it kept."""
    scene.turn(20, seconds=_QUIET_S / 30)
    assert scene.ended == 0
    scene.former.put(topic("m1"))
    assert scene.turn().stored == [topic("m1")]


def test_one_mark_that_is_missing_keeps_them(scene: Scene) -> None:
    scene.turn(3)
    scene.former.put(*[one.topic for one in scene.new.marked[1:]])
    scene.turn(20, seconds=_QUIET_S / 30)
    assert scene.ended == 0


def test_while_the_new_ones_do_not_listen_the_former_stay_whatever_comes() -> None:
    """Else what is sent in between would come to nobody."""
    scene = Scene(Sessions(is_listening=False), Sessions())
    scene.turn(10, seconds=_QUIET_S)
    assert (scene.ended, scene.new.marked) == (0, [])
    lost = Scene(Sessions(is_listening=False), Sessions(was_known=False))
    assert lost.turn(10, seconds=_QUIET_S).ended == 0


def test_while_messages_may_come_again_out_of_order_nothing_is_marked_nor_ended(scene: Scene) -> None:
    scene.former.settled = False
    scene.turn(10, seconds=_QUIET_S)
    assert (scene.ended, scene.new.marked) == (0, [])
    scene.former.settled = True
    scene.turn(2)
    scene.marks_come_back()
    scene.turn()
    scene.former.settled = False  # connected anew
    scene.turn().turn(10, seconds=LINGER_S)
    assert scene.ended == 0


def test_marks_that_cannot_come_back_are_given_up_when_nothing_has_waited_for_long(scene: Scene) -> None:
    """The former sessions had other topics: the slices were cut anew in the same step."""
    scene.turn(2)
    scene.former.behind = True
    scene.turn(20, seconds=_QUIET_S)
    assert scene.ended == 0
    scene.former.behind = False
    scene.turn(10, seconds=_QUIET_S / 5)
    assert scene.ended == 1


def test_a_slice_of_named_sites_marks_each_of_them() -> None:
    scene = Scene(Sessions(), Sessions(), cut([["north", "south"], ["*"]], 0))
    scene.turn(3)
    assert {one.topic.split("/")[2] for one in scene.new.marked} == {"north", "south"}
    assert len(scene.new.marked) == 8


def test_closing_closes_what_is_there(scene: Scene) -> None:
    scene.succession.close()
    assert (scene.former.closed, scene.new.closed) == (1, 1)
