"""The one transaction: a batch's readings, events, findings, quarantine, gaps, presence and checkpoint (ADR 3).

``process`` goes in three steps. *Prepare* reads what the batch needs (devices, series, rules, anchors) and makes
series and partitions, all of it harmless to repeat. *Judge* changes memory only. *Write* is the transaction. When
anything fails, the memory is thrown away: ``reset`` starts from the database as a restarted process would, so there
is one way to recover and it is used every day.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from psycopg import Connection

from detectors.bank import FindingChange, Opened
from domain.readings import Readings
from ingest import metrics
from ingest.columns import Columns, Newest, build, days_of
from ingest.intake import Intake, Router
from ingest.judging import Judge
from ingest.limits import MAX_DAYS, MAX_NEW_DAYS, IngestOptions
from ingest.quarantine_reasons import Unusable
from ingest.registry import KnownDevice, Registry
from ingest.reorder import Holding
from ingest.source import Message
from ingest.times import to_microseconds
from storage import checkpoints, devices, events, findings, partitions, quarantine, readings
from storage.database import detect_server

_NO_READINGS = Readings(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0))


class TooManyDaysError(Exception):
    """The batch would open more partitions than one batch may; smaller batches may pass."""


@dataclass(slots=True)
class Plan:
    """What one transaction writes. ``new`` is newer than all that is stored, ``old`` may be there already."""

    new: Readings = _NO_READINGS
    old: Readings = _NO_READINGS
    late: Readings = _NO_READINGS
    intake: Intake | None = None
    changes: list[FindingChange] = field(default_factory=list)
    # The findings were read back: events that followed them have been put before the desk already.
    is_catching_up: bool = False
    states: dict[int, bytes] = field(default_factory=dict)
    released: list[int] = field(default_factory=list)


class Pipeline:
    """One partition's way into the database, on one connection in autocommit mode, owned by one thread."""

    def __init__(self, connection: Connection, partition: str, fence: int, options: IngestOptions) -> None:
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
        self._router = Router()
        self._registry = Registry()
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

    def process(self, messages: Sequence[Message], now: datetime, now_s: float, *, settled: bool) -> None:
        """Store a batch in one transaction. When it returns, the batch is committed.

        ``now`` is the wall clock, ``now_s`` seconds on the monotonic clock. On any exception nothing is committed
        (or, when the connection broke at the end, perhaps everything, which is harmless to repeat): call ``reset``.
        """
        self._prepare(now_s, settled=settled)
        routes = [self._router.route(message.topic) for message in messages]
        touched = self._read_devices({route.address for route in routes if route is not None})
        intake = Intake(self._registry, now)
        for message, route in zip(messages, routes, strict=True):
            intake.take(message, route)
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
        self._write(plan, now)
        self._after_commit(plan, now_s, len(messages))

    def set_aside(self, message: Message, refusal: Unusable, now: datetime) -> None:
        """Store nothing of this message but itself, in quarantine."""
        intake = Intake(self._registry, now)
        intake.set_aside(message, self._router.route(message.topic), refusal)
        self._write(Plan(intake=intake), now)
        self._count(Plan(intake=intake), 1)

    def to_replay(self) -> list[Message]:
        """Return messages in quarantine that somebody asked to try again, as messages to ``process``."""
        return [
            Message(one.topic, one.payload, quarantine_id=one.id, received_at=one.received_at)
            for one in quarantine.to_replay(self._connection, self._options.replay_messages)
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
        found = _NO_READINGS
        if len(series):
            found = readings.read_after(self._connection, series, self._judge.watermark_us(series), limit)
            if len(found):
                plan.changes = self._judge.feed(found, [device.id for device in chosen])
        plan.states = self._judge.states(chosen, now_s)
        plan.released = _read_to_the_end(chosen, found, limit)
        if plan.changes or plan.states or plan.released:
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
        self._save(Plan(changes=changes), now, now_s)

    def flush(self, now: datetime, now_s: float) -> None:
        """Save the state of every device that was judged since it was saved last."""
        self._save(Plan(), now, now_s, everything=True)

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
            new, changed = self._registry.refresh(self._connection)
            for device_id in new:
                self._holding.hold(device_id)
            self._judge.refresh_rules(self._connection, self._registry.known, changed)
            self._refreshed_s = now_s
        self._holding.settle(settled, self._registry.device_ids)

    def _read_devices(self, addresses: Collection[tuple[str, str]]) -> list[KnownDevice]:
        """Have every device of the batch that is registered read, and return them all."""
        for device_id in self._registry.look_up(self._connection, addresses):
            self._holding.hold(device_id)
        ids = self._registry.ids_at(addresses)
        self._read(ids)
        return [self._registry.by_id(device_id) for device_id in ids]

    def _read(self, device_ids: Collection[int]) -> None:
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
            checkpoints.hold_fence(connection, self._partition, self._fence)
            readings.copy_new(connection, plan.new)
            metrics.READINGS.inc(len(plan.new) + readings.insert(connection, plan.old))
            late = readings.insert(connection, plan.late)
            if intake is not None:
                metrics.EVENTS.inc(events.insert(connection, intake.events, now))
                quarantine.set_aside(connection, intake.aside, now)
                quarantine.mark_replayed(connection, intake.tried, now)
                removed = [gap for track in intake.tracks.values() for gap in track.removed]
                added = [gap for track in intake.tracks.values() for gap in track.added]
                devices.change_gaps(connection, removed, added, now)
                devices.record_presence(connection, intake.presence.heard(now, intake.tracks, self._holding.holds))
            findings.save_changes(connection, plan.changes, now)
            devices.release_devices(connection, plan.released)
            if plan.is_catching_up:
                events.judge_again(connection, _first_opened(plan.changes))
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
        self._count(plan, messages)

    def _count(self, plan: Plan, messages: int) -> None:
        metrics.MESSAGES.inc(messages)
        metrics.CHANGES.inc(len(plan.changes))
        if plan.intake is not None:
            for one in plan.intake.aside:
                metrics.QUARANTINED.labels(one.reason).inc()
            for tried in plan.intake.tried:
                metrics.REPLAYED.labels(tried.result).inc()

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


def _first_opened(changes: Sequence[FindingChange]) -> dict[int, datetime]:
    """Return, by asset id, when the first of the findings opened."""
    first: dict[int, datetime] = {}
    for change in changes:
        if isinstance(change, Opened):
            finding = change.finding
            first[finding.asset_id] = min(finding.opened_at, first.get(finding.asset_id, finding.opened_at))
    return first


def _read_to_the_end(chosen: Sequence[KnownDevice], found: Readings, limit: int) -> list[int]:
    """Return the devices of which no series gave as many rows as were asked for: nothing more of them waits."""
    series, counts = np.unique(found.series_id, return_counts=True)
    unfinished = set(series[counts >= limit].tolist())
    return [device.id for device in chosen if unfinished.isdisjoint(device.series.values())]
