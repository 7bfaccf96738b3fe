"""The loop around the pipeline: poll, store, acknowledge; and what happens when storing fails.

A lost database is waited for: nothing is acknowledged, the queue fills, the broker keeps the rest. A batch that the
database (or we ourselves) cannot digest is halved until the one message that causes it stands alone; that one goes to
quarantine and everything else is stored.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from datetime import datetime
from threading import Event
from typing import TypeVar

import psycopg
import structlog
from psycopg import Connection

from domain.clock import Clock
from ingest import metrics
from ingest.backoff import backoff_s
from ingest.decoders.telling import Outgoing
from ingest.handover import HandOver
from ingest.limits import MAX_DETAIL_LENGTH, IngestOptions
from ingest.ownership import NO_MOVE, Move
from ingest.pipeline import Pipeline, TooManyDaysError
from ingest.quarantine_reasons import Reason, Unusable
from ingest.slices import Slice, whole
from ingest.source import Batch, Message, Source
from storage.checkpoints import (
    Beat,
    FenceLostError,
    let_go_when_idle,
    note_session,
    stored_position,
    take_fence,
)
from storage.feeds import Feed

Result = TypeVar("Result")

_log = structlog.get_logger()
_BACKOFF_FIRST_S = 0.2
_JUDGE_AGAIN_S = 10.0
# Errors that speak of the data: https://www.postgresql.org/docs/current/errcodes-appendix.html. All others (no
# connection, no memory, disk full, deadlock, missing table) have nothing to do with one message and are waited out.
_ABOUT_THE_DATA = ("22", "23", "54", "P0")


class StoppedError(Exception):
    """The worker was asked to stop while it waited for the database; the batch is not acknowledged."""


class Worker:
    """Stores what one source delivers, until told to stop. Used from one thread.

    ``slice_`` says which sites are ours; it must be that of the source's partition. ``send`` is given what decoders
    want sent once a batch is committed, ``mark`` what must come back in the source's own order; ``on_feeds`` is given
    the feeds that are listened to, every second.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        source: Source,
        clock: Clock,
        stop: Event,
        options: IngestOptions | None = None,
        *,
        slice_: Slice | None = None,
        send: Callable[[Sequence[Outgoing]], None] = lambda _: None,
        mark: Callable[[Sequence[Outgoing]], None] = lambda _: None,
        on_feeds: Callable[[Sequence[Feed]], None] = lambda _: None,
    ) -> None:
        self._connect = connect
        self._source = source
        self._clock = clock
        self._stop = stop
        self._options = options or IngestOptions()
        self._owner = f"{socket.gethostname()}:{os.getpid()}"
        self._connection: Connection | None = None
        self._pipeline: Pipeline | None = None
        self._slice = slice_ or whole(source.partition)
        self._send, self._mark = send, mark
        self._on_feeds = on_feeds
        self._hand_over = HandOver(self._slice)
        self._fence: int | None = None
        self._position: int | None = None
        self._settled = self._caught_up = False
        self._is_behind = False
        self._processed_at: datetime | None = None
        self._failures = 0
        self._next_s = dict.fromkeys(("tick", "replay", "beat", "judge", "cut"), 0.0)

    def run(self) -> None:
        """Work until ``stop`` is set. Raises FenceLostError when another ingester takes over."""
        try:
            while not self._stop.is_set():
                self.step()
            self._try(lambda pipeline: pipeline.flush(self._clock.now(), self._clock.monotonic_s()))
        except StoppedError:
            pass
        finally:
            if self._connection is not None:
                self._connection.close()

    def step(self) -> None:
        """Take one batch, store it, acknowledge it, and do what else is due."""
        batch = self._source.poll(self._options.batch_messages, 0.0 if self._is_behind else self._options.poll_s)
        self._settled, self._caught_up = batch.settled, batch.caught_up
        if batch.messages:
            began_s = self._clock.monotonic_s()
            self._store_batch(batch)
            self._source.commit(batch)
            metrics.BATCH_SECONDS.observe(self._clock.monotonic_s() - began_s)
            self._processed_at = self._clock.now()
            metrics.PROCESSED_AT.set(self._processed_at.timestamp())
        self._do_the_rest(batch)

    def _store_batch(self, batch: Batch) -> None:
        own, others = self._hand_over.split(batch.messages)
        if others:
            self._on_connection(lambda connection: self._hand_over.keep(connection, others, self._clock.now()))
        if own:
            # A source without positions has none to move.
            self._store(own, NO_MOVE if batch.position is None else Move(self._position, batch.position))
            self._position = batch.position

    def _do_the_rest(self, batch: Batch) -> None:
        if self._is_due("replay", self._options.replay_every_s):
            self._replay()
        if self._is_due("beat", self._options.tick_every_s):
            self._try(lambda pipeline: pipeline.beat(self._beat(pipeline)))
            self._listen(is_drained=batch.settled and batch.caught_up and not batch.messages)
            self._try(lambda pipeline: pipeline.remind(self._clock.now()))
        if self._clock.monotonic_s() >= self._next_s["judge"]:
            self._judge(batch)

    def _listen(self, *, is_drained: bool) -> None:
        """Listen to what the registration now asks for, and give up what other slices have taken over."""
        if not self._slice.is_whole:
            if self._is_due("cut", self._options.refresh_every_s):
                self._on_connection(self._hand_over.refresh)
            if self._settled:
                self._on_connection(
                    lambda connection: self._mark(
                        self._hand_over.look(connection, self._clock.now(), is_drained=is_drained)
                    )
                )
        self._source.listen_to(self._try(lambda pipeline: pipeline.filters()), self._hand_over.stale_filters())
        self._on_feeds(self._try(lambda pipeline: pipeline.feeds))

    def _judge(self, batch: Batch) -> None:
        """Judge what waited, and silence. Should it fail, storing goes on and judging is tried again later."""
        try:
            self._is_behind = self._try(
                lambda pipeline: pipeline.catch_up(self._clock.now(), self._clock.monotonic_s(), settled=self._settled)
            )
            is_quiet = batch.settled and batch.caught_up and not self._is_behind
            if is_quiet and self._is_due("tick", self._options.tick_every_s):
                self._try(lambda pipeline: pipeline.tick(self._clock.now(), self._clock.monotonic_s()))
        except (FenceLostError, StoppedError):
            raise
        except Exception:  # noqa: BLE001 - the top of a loop: counted, logged, tried again
            metrics.JUDGING_FAILED.inc()
            _log.exception("readings are stored but could not be judged; trying again later")
            self._is_behind = False
            self._next_s["judge"] = self._clock.monotonic_s() + _JUDGE_AGAIN_S
            if self._pipeline is not None:
                self._pipeline.reset()

    def _replay(self) -> None:
        messages = self._try(lambda pipeline: pipeline.to_replay())
        if messages:
            self._store(messages)

    def _store(self, messages: Sequence[Message], move: Move = NO_MOVE) -> None:
        """Store these messages, come what may; the connection and the database are waited for.

        The position moves with the last of them: until then the whole batch comes again.
        """
        # Once more, from the database's own truth.
        error = self._attempt(messages, move) and self._attempt(messages, move)
        if error is None:
            return
        if len(messages) > 1:
            middle = len(messages) // 2
            self._store(messages[:middle])
            self._store(messages[middle:], move)
            return
        refusal = _as_refusal(error)
        _log.error("message set aside", topic=messages[0].topic, reason=refusal.reason, detail=refusal.detail)
        self._try(lambda pipeline: pipeline.set_aside(messages[0], refusal, self._clock.now(), move=move))

    def _attempt(self, messages: Sequence[Message], move: Move) -> Exception | None:
        """Store the messages; return what is wrong with them, if anything is."""
        # One time for every try: a commit whose answer was lost must not give what has no time of its own a second one.
        now = self._clock.now()
        try:
            self._try(
                lambda pipeline: pipeline.process(
                    messages,
                    now,
                    self._clock.monotonic_s(),
                    settled=self._settled,
                    caught_up=self._caught_up,
                    move=move,
                )
            )
        except (FenceLostError, StoppedError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is pinned on one message and set aside
            _log.warning("a batch could not be stored", messages=len(messages), error=repr(error)[:MAX_DETAIL_LENGTH])
            if self._pipeline is not None:
                self._pipeline.reset()
            return error
        return None

    def _try(self, work: Callable[[Pipeline], Result]) -> Result:
        """Do this on the pipeline; wait for the database as long as it takes, with bounded waits in between.

        Work that was cut off is done again from the start: all of it is harmless to repeat. Raises what is wrong
        with the data itself, and StoppedError when asked to stop while waiting.
        """
        while True:
            try:
                result = work(self._open_pipeline())
            except psycopg.Error as error:
                if (error.sqlstate or "").startswith(_ABOUT_THE_DATA):
                    raise
                self._close_pipeline()
                self._wait_for_database(error)
            else:
                self._failures = 0
                return result

    def _on_connection(self, work: Callable[[Connection], None]) -> None:
        """Do this beside the pipeline, on its connection, and wait for the database alike."""

        def work_there(_pipeline: Pipeline) -> None:
            assert self._connection is not None  # a pipeline has one
            work(self._connection)

        self._try(work_there)

    def _open_pipeline(self) -> Pipeline:
        if self._pipeline is None:
            connection = self._connection = self._connect()
            connection.autocommit = True
            let_go_when_idle(connection, self._options.frozen_after_s)
            if self._fence is None:
                self._fence = self._take_partition(connection)
            note_session(connection, self._source.partition, self._fence)
            self._pipeline = Pipeline(
                connection, self._source.partition, self._fence, self._options, slice_=self._slice, send=self._send
            )
        return self._pipeline

    def _take_partition(self, connection: Connection) -> int:
        fence = take_fence(connection, self._source.partition, self._owner, self._clock.now())
        # Only under the fence: what the former owner stores after this is refused.
        self._position = stored_position(connection, self._source.partition)
        self._source.start_at(self._position)
        return fence

    def _close_pipeline(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = self._pipeline = None

    def _wait_for_database(self, error: psycopg.Error) -> None:
        self._failures += 1
        metrics.DATABASE_RETRIES.inc()
        wait_s = backoff_s(self._failures, _BACKOFF_FIRST_S, self._options.backoff_max_s)
        _log.warning(
            "the database failed; nothing is acknowledged until it answers",
            error=repr(error)[:MAX_DETAIL_LENGTH],
            sqlstate=error.sqlstate,
            wait_s=round(wait_s, 2),
            failures=self._failures,
        )
        if self._stop.wait(wait_s):
            raise StoppedError

    def _beat(self, pipeline: Pipeline) -> Beat:
        return Beat(
            self._source.partition,
            self._owner,
            self._clock.now(),
            self._processed_at,
            self._source.queued,
            pipeline.held_devices,
            self._settled,
        )

    def _is_due(self, what: str, every_s: float) -> bool:
        now_s = self._clock.monotonic_s()
        if now_s < self._next_s[what]:
            return False
        self._next_s[what] = now_s + every_s
        return True


def _as_refusal(error: Exception) -> Unusable:
    if isinstance(error, TooManyDaysError):
        return Unusable(Reason.TOO_MANY_DAYS, str(error))
    if isinstance(error, psycopg.Error):
        return Unusable(Reason.DATABASE_REFUSED, f"{error.sqlstate}: {error}")
    return Unusable(Reason.PROCESSING_FAILED, repr(error))
