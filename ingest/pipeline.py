"""The one transaction: a batch's readings, events, findings, quarantine, gaps, presence and checkpoint (ADR 3).

``process`` goes in three steps. *Prepare* reads what the batch needs (devices, series, rules, anchors) and makes
series and partitions, all of it harmless to repeat. *Judge* changes memory only. *Write* is the transaction. When
anything fails, the memory is thrown away: ``reset`` starts from the database as a restarted process would, so there
is one way to recover and it is used every day.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

import numpy as np
from psycopg import Connection

from domain.readings import MICROSECONDS_PER_SECOND, Readings
from ingest import metrics
from ingest.columns import Columns, Newest, build, days_of
from ingest.decoders.catalogue import DECODERS
from ingest.decoders.telling import Decoder, Outgoing
from ingest.dialects import Dialects
from ingest.intake import Intake
from ingest.judging import Judge, cut_level
from ingest.limits import MAX_DAYS, MAX_NEW_DAYS, IngestOptions
from ingest.ownership import NO_MOVE, Move, Ownership
from ingest.plans import NO_READINGS, Plan, addresses
from ingest.quarantine_reasons import Unusable
from ingest.registry import KnownDevice, Registry
from ingest.reorder import Holding
from ingest.slices import Slice, whole
from ingest.source import Message
from ingest.stencils import Stencils
from ingest.times import to_microseconds
from ingest.topics import Router
from storage import checkpoints, devices, events, feeds, findings, partitions, quarantine, readings, rollups, waveforms
from storage.database import detect_server
from storage.devices import Address
from storage.feeds import Feed


class TooManyDaysError(Exception):
    """The batch would open more partitions than one batch may; smaller batches may pass."""


class Pipeline:
    """One partition's way into the database, on one connection in autocommit mode, owned by one thread."""

    def __init__(
        self,
        connection: Connection,
        partition: str,
        fence: int,
        options: IngestOptions,
        *,
        slice_: Slice | None = None,
        send: Callable[[Sequence[Outgoing]], None] = lambda _: None,
        decoders: Mapping[str, Callable[[Feed], Decoder]] = DECODERS,
    ) -> None:
        self._send = send
        self._dialects = Dialects(decoders)
        self._slice = slice_ or whole(partition)
        self._connection = connection
        self._partition = partition
        self._fence = fence
        self._options = options
        self._makes_partitions = partitions.needs_partitions(detect_server(connection))
        self._must_refresh = True
        devices.listen_for_registration(connection)
        connection.add_notify_handler(lambda _: self.registration_changed())
        self.reset()

    def reset(self) -> None:
        """Forget everything and begin again from the database, as after a restart."""
        self._dialects.forget()
        self._router = Router(self._dialects.feeds)
        self._registry = Registry()
        self._stencils = Stencils()
        self._ownership = Ownership(self._connection, self._slice, self._fence)
        self._judge = Judge(self._partition, self._options.checkpoint_every_s)
        self._newest = Newest()
        self._holding = Holding()
        self._days: set[int] = set()
        self._must_refresh = True
        self._refreshed_s = float("-inf")

    def registration_changed(self) -> None:
        """Have devices and rules read again before the next batch."""
        self._must_refresh = True

    @property
    def held_devices(self) -> int:
        """How many devices wait to be judged in order."""
        return len(self._holding)

    def process(
        self,
        messages: Sequence[Message],
        now: datetime,
        now_s: float,
        *,
        settled: bool,
        caught_up: bool = False,
        move: Move = NO_MOVE,
    ) -> None:
        """Store a batch in one transaction. When it returns, the batch is committed.

        ``now`` is the wall clock when the batch came, ``now_s`` seconds on the monotonic clock. On any exception
        nothing is committed (or, when the connection broke at the end, perhaps everything, which is harmless to repeat
        with the same messages and ``now``): call ``reset``.
        """
        self._prepare(now_s, settled=settled)
        routes = [self._router.route(message.topic) for message in messages]
        heard = self._dialects.hear(self._connection, messages, routes, now, now_s)
        touched = self._read_devices(addresses(routes, heard))
        intake = Intake(self._registry, now, self._stencils)
        intake.take_all(messages, routes, heard)
        for message, received_at in intake.partly:
            self._dialects.keep_receipt(message, received_at)
        if intake.new_series:
            made = self._registry.create_series(self._connection, intake.new_series, now)
            for device_id, series in made.items():
                self._judge.watch(self._connection, self._registry.by_id(device_id), series)
        columns = build(intake.samples)
        self._open_days(columns.readings)
        self._hold_for_gaps(intake, now_s)
        if touched:
            self._judge.set_anchors(self._connection, touched)
        plan = self._judge_batch(columns, intake)
        plan.states = self._judge.states(touched, now_s)
        plan.device_ids, plan.move = [device.id for device in touched], move
        if settled and caught_up:
            plan.clocks_s = self._clocks_s(intake, now, now_s)
        plan.dialects = self._dialects
        self._write(plan, now)
        self._after_commit(plan, now_s, len(messages))

    def set_aside(self, message: Message, refusal: Unusable, now: datetime, *, move: Move = NO_MOVE) -> None:
        """Store nothing of this message but itself, in quarantine."""
        intake = Intake(self._registry, now)
        intake.set_aside(message, self._router.route(message.topic), refusal)
        plan = Plan(intake=intake, move=move)
        self._write(plan, now)
        plan.count(1)

    def to_replay(self) -> list[Message]:
        """Return messages in quarantine that somebody asked to try again, as messages to ``process``."""
        return [
            Message(one.topic, one.payload, quarantine_id=one.id, received_at=one.received_at)
            for one in self._ownership.to_replay(self._options.replay_messages)
        ]

    def catch_up(self, now: datetime, now_s: float, *, settled: bool) -> bool:
        """Read back, in time order, what held devices have not been judged on; return whether more is waiting."""
        self._prepare(now_s, settled=settled)
        due = self._holding.due(now_s, self._options.catch_up_series)
        if not due:
            return False
        self._read(due)
        chosen = self._as_many_as_fit([id_ for id_ in due if id_ in self._registry.device_ids])
        for id_ in set(due).difference(self._registry.device_ids):
            self._holding.release(id_)
        self._judge.set_anchors(self._connection, chosen)
        series = np.array([id_ for device in chosen for id_ in device.series.values()], np.int32)
        limit = max(1, self._options.catch_up_rows // max(1, len(series)))
        plan = Plan(is_catching_up=True)
        found = NO_READINGS
        if len(series):
            found = readings.read_after(self._connection, series, self._judge.watermark_us(series), limit)
            if len(found):
                level = cut_level(found, limit, [device.series.values() for device in chosen])
                plan.changes = self._judge.feed(level, [device.id for device in chosen])
        plan.states = self._judge.states(chosen, now_s)
        plan.released = _read_to_the_end(chosen, found, limit)
        if plan.changes or plan.states or plan.released:
            plan.device_ids = [device.id for device in chosen]
            self._write(plan, now)
            self._judge.saved(plan.states, now_s)
            metrics.CHANGES.inc(len(plan.changes))
        for id_ in plan.released:
            self._holding.release(id_)
        metrics.HELD.set(len(self._holding))
        return bool(self._holding.due(now_s, 1))

    def tick(self, now: datetime, now_s: float) -> None:
        """Judge silence of live devices that are expected to speak. Call it only when nothing is waiting."""
        self._prepare(now_s, settled=True)
        watched = [
            device
            for device in self._registry.known
            if device.record.expected_interval_s is not None
            and not device.is_recorded
            and not self._holding.holds(device.id)
        ]
        series = [id_ for device in watched for id_ in device.series.values()]
        changes = self._judge.tick(series, to_microseconds(now)) if series else []
        self._settle_sequences(now, now_s)
        self._save(Plan(changes=changes), now, now_s)

    def flush(self, now: datetime, now_s: float) -> None:
        """Save the state of every device that was judged since it was saved last."""
        self._save(Plan(), now, now_s, everything=True)

    def filters(self) -> set[str]:
        """Return the topic filters that this slice listens to: the native ones and those of its enabled feeds."""
        if self._must_refresh:
            self._refresh_feeds()
        return self._slice.native_filters() | self._dialects.filters()

    @property
    def feeds(self) -> list[Feed]:
        """The feeds of this slice, enabled or not."""
        return self._dialects.feeds

    def remind(self, now: datetime) -> None:
        """Send what decoders waited to send. To be called again and again."""
        if outgoing := self._dialects.due(now):
            self._send(outgoing)

    def beat(self, told: checkpoints.Beat) -> None:
        """Tell the database that we live."""
        checkpoints.beat(self._connection, self._fence, told)

    def _save(self, plan: Plan, now: datetime, now_s: float, *, everything: bool = False) -> None:
        waiting = self._judge.unsaved()
        known = [device for device in self._registry.known if device.id in waiting]
        plan.states = self._judge.states(known, now_s, everything=everything)
        if plan.changes or plan.states:
            self._write(plan, now)
            self._judge.saved(plan.states, now_s)
            metrics.CHANGES.inc(len(plan.changes))

    def _prepare(self, now_s: float, *, settled: bool) -> None:
        if self._must_refresh or now_s - self._refreshed_s >= self._options.refresh_every_s:
            self._must_refresh = False
            self._refresh_feeds()
            new, changed = self._registry.refresh(self._connection, self._ownership.chooser())
            for device_id in new:
                self._holding.hold(device_id)
            self._judge.refresh_rules(self._connection, self._registry.known, changed)
            self._refreshed_s = now_s
        self._holding.settle(settled, self._registry.device_ids)

    def _refresh_feeds(self) -> None:
        ours = [feed for feed in feeds.all_feeds(self._connection) if self._slice.hears(feed.site)]
        if self._dialects.refresh(ours):
            self._router = Router(self._dialects.feeds)

    def _clocks_s(self, intake: Intake, now: datetime, now_s: float) -> dict[int, float]:
        """Return new estimates of how far clocks of live devices are ahead, by device id."""
        now_us = to_microseconds(now)
        found: dict[int, float] = {}
        for device_id, newest_us in intake.presence.fresh_us().items():
            device = self._registry.by_id(device_id)
            if not device.is_recorded:
                ahead_s = device.clock.observe((newest_us - now_us) / MICROSECONDS_PER_SECOND, now_s)
                if ahead_s is not None:
                    found[device_id] = ahead_s
        return found

    def _settle_sequences(self, now: datetime, now_s: float) -> None:
        """Judge numbers that came early and have waited: nothing is on its way any more that could precede them."""
        intake = Intake(self._registry, now)
        for device in self._registry.known:
            if device.has_waited(now_s, self._options.gap_wait_s):
                intake.settle(device)
        if intake.tracks:
            self._hold_for_gaps(intake, now_s)
            self._write(Plan(intake=intake, device_ids=list(intake.tracks)), now)
            for track in intake.tracks.values():
                track.stored()

    def _read_devices(self, addresses: Collection[Address]) -> list[KnownDevice]:
        """Have every device of the batch that is registered read, and return them all."""
        for device_id in self._registry.look_up(self._connection, addresses):
            self._holding.hold(device_id)
        ids = self._registry.ids_at(addresses)
        self._read(ids)
        return [self._registry.by_id(device_id) for device_id in ids]

    def _read(self, device_ids: Collection[int]) -> None:
        self._ownership.claim(device_ids)
        known = self._registry.read(self._connection, device_ids)
        if not known:
            return
        for device in known:
            self._holding.hold(device.id)
        self._judge.add(self._connection, known)
        series = np.array([id_ for device in known for id_ in device.series.values()], np.int32)
        for series_id, ts_us in readings.newest_us(self._connection, series).items():
            self._newest.set(series_id, ts_us)

    def _open_days(self, batch: Readings) -> None:
        """Make the partitions of days that come for the first time, within bounds: times can be hostile."""
        if not self._makes_partitions or not len(batch):
            return
        days = days_of(batch)
        if days <= self._days:
            return
        self._days = partitions.existing_days(self._connection)
        missing = days - self._days
        if len(missing) > MAX_NEW_DAYS or len(missing) + len(self._days) > MAX_DAYS:
            raise TooManyDaysError(
                f"readings of {len(missing)} new days, expected at most {MAX_NEW_DAYS} in one batch and "
                f"{MAX_DAYS} altogether ({len(self._days)} are there)"
            )
        partitions.ensure_partitions(self._connection, missing)
        self._days |= missing

    def _hold_for_gaps(self, intake: Intake, now_s: float) -> None:
        for device_id in intake.opened_gaps:
            self._holding.hold_until(device_id, now_s + self._options.gap_wait_s)
        metrics.GAPS.inc(len(intake.opened_gaps))
        for device_id, track in intake.tracks.items():
            if track.is_whole:
                self._holding.gap_filled(device_id)

    def _judge_batch(self, columns: Columns, intake: Intake) -> Plan:
        batch = columns.readings
        if not len(batch):
            return Plan(intake=intake)
        is_new = batch.ts_us > self._newest.of(batch.series_id)
        is_late = batch.ts_us <= self._judge.watermark_us(batch.series_id)
        senders = {device.id for device in intake.samples.devices}
        held = [id_ for id_ in senders if self._holding.holds(id_)]
        at_once = is_new & ~is_late
        if held:
            at_once &= ~np.isin(columns.device_id, held)
        plan = Plan(intake=intake, new=columns.where(is_new))
        if not is_new.all():
            is_old = ~is_new & ~is_late
            plan.old, plan.late = columns.where(is_old), columns.where(~is_new & is_late)
            self._judge.passed_over(np.unique(columns.device_id[is_late]).tolist())
            # Stored before and yet not judged: only reading back can put it in order.
            for device_id in np.unique(columns.device_id[is_old]).tolist():
                self._holding.hold(device_id)
        if at_once.any():
            plan.changes = self._judge.feed(columns.where(at_once), senders.difference(held))
        return plan

    def _write(self, plan: Plan, now: datetime) -> None:
        connection, intake = self._connection, plan.intake
        with connection.transaction():
            self._ownership.hold({*plan.device_ids, *plan.states}, plan.move)
            readings.copy_new(connection, plan.new)
            metrics.READINGS.inc(len(plan.new) + readings.insert(connection, plan.old))
            late = readings.insert(connection, plan.late)
            rollups.mark_due(connection, [plan.new, plan.old, plan.late])
            if intake is not None:
                metrics.EVENTS.inc(events.insert(connection, intake.events, now))
                quarantine.set_aside(connection, intake.aside, now)
                quarantine.mark_replayed(connection, intake.tried, now)
                removed = [gap for track in intake.tracks.values() for gap in track.removed]
                added = [gap for track in intake.tracks.values() for gap in track.added]
                devices.change_gaps(connection, removed, added, now)
                heard = intake.presence.heard(now, intake.tracks, plan.clocks_s, self._holding.holds)
                devices.record_presence(connection, heard)
            if plan.dialects is not None:
                plan.dialects.write(connection, now)
            findings.save_changes(connection, plan.changes, now)
            if intake is not None:
                # After the findings: the block that opened one is kept for it.
                waveforms.insert(connection, intake.waveforms, now)
            devices.release_devices(connection, plan.released)
            if plan.is_catching_up:
                events.judge_again(connection, plan.first_opened())
            checkpoints.save_states(connection, self._partition, self._judge.layout, plan.states, now)
        metrics.LATE.inc(late)
        metrics.READINGS.inc(late)
        metrics.REPEATED.inc(len(plan.late) - late)

    def _after_commit(self, plan: Plan, now_s: float, messages: int) -> None:
        self._newest.update(plan.new)
        self._judge.saved(plan.states, now_s)
        if plan.intake is not None:
            for track in plan.intake.tracks.values():
                track.stored()
        plan.count(messages)
        if outgoing := self._dialects.stored():
            self._send(outgoing)

    def _as_many_as_fit(self, device_ids: Sequence[int]) -> list[KnownDevice]:
        chosen: list[KnownDevice] = []
        room = self._options.catch_up_series
        for device_id in device_ids:
            device = self._registry.by_id(device_id)
            if chosen and len(device.series) > room:
                break
            chosen.append(device)
            room -= len(device.series)
        return chosen


def _read_to_the_end(chosen: Sequence[KnownDevice], found: Readings, limit: int) -> list[int]:
    """Return the devices of which no series gave as many rows as were asked for: nothing more of them waits."""
    series, counts = np.unique(found.series_id, return_counts=True)
    unfinished = set(series[counts >= limit].tolist())
    return [device.id for device in chosen if unfinished.isdisjoint(device.series.values())]
