"""Kills of two schedulers in the middle of their work: no escalation missed, at most one effect of each (SPEC N4)."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from psycopg import Connection
from psycopg.conninfo import make_conninfo

from bench.campaign.house import wait_until
from bench.campaign.outcome import Outcome
from notify.channels.recording import RecordingChannel
from notify.relay import Patience, deliver_due
from runtime.clock import SystemClock
from runtime.embedded_postgres import EmbeddedPostgres
from runtime.seeding import seed_house
from storage.casework import create_report, perform
from storage.database import connect, migrate, open_pool
from storage.policies import publish_policy, shipped_body
from ticketing.actors import SYSTEM
from ticketing.lifecycle import Command

ESCALATIONS = 4_000
KILLS = 40
SPREAD_S = 70
GAP_S = 25
LATE_S = 60.0
QUIET_S = 12.0
SEED = 20261122
_REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the escalations: each is one rung of one ticket."""

    planned: int
    missed: int
    doubled: int
    broken: int
    late_s: float
    calls: int

    @property
    def is_right(self) -> bool:
        """Whether each had its one effect and its one call at the provider."""
        return not (self.missed or self.doubled or self.broken) and self.calls == self.planned


def kills_of_schedulers(size: float, bug: str) -> Outcome:
    """0 missed and none doubled of 4,000 escalations over 40 kill -9 of two schedulers, less than 60 s late."""
    with tempfile.TemporaryDirectory(prefix="ws-esc-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        postgres = EmbeddedPostgres(folder / "pg")
        dsn = postgres.start()
        try:
            migrate(dsn)
            tickets = max(1, round(ESCALATIONS * size) // 2)
            gap_s = max(3, round(GAP_S * size))
            _fill(dsn, tickets, SPREAD_S * size, gap_s)
            with _schedulers(dsn, bug, folder) as schedulers:
                kills = _kill(schedulers, max(3, round(KILLS * size)), SPREAD_S * size + gap_s)
                _wait_until_done(dsn, 2 * tickets)
            tally = _count(dsn, 2 * tickets)
        finally:
            postgres.stop()
    told = (
        f"{tally.missed:,} missed, {tally.doubled:,} doubled of {tally.planned:,} escalations, {tally.broken:,} chains"
        f" broken; {tally.calls:,} calls at the provider; at most {tally.late_s:.1f} s late; {kills} kills of"
        f" two schedulers (seed {SEED})"
    )
    missed = (
        "" if tally.late_s < LATE_S else f"one was taken {tally.late_s:.0f} s late, at most {LATE_S:.0f} s are allowed"
    )
    return Outcome(tally.is_right, told, missed)


class _Scheduler:
    """One scheduler, started again whenever it is killed."""

    def __init__(self, dsn: str, bug: str, log: Path) -> None:
        self._dsn, self._bug, self._log = dsn, bug, log
        self._starts = 0
        self.start()

    @property
    def _name(self) -> str:
        return f"scheduler-{id(self)}-{self._starts}"

    def start(self) -> None:
        """Start it, as the supervisor would."""
        self._starts += 1
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bench.campaign.scheduler", self._bug],
                cwd=_REPOSITORY,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )
        assert self._process.stdin is not None
        self._process.stdin.write(f"{make_conninfo(self._dsn, application_name=self._name)}\n".encode())
        self._process.stdin.close()

    def wait_until_it_works(self) -> None:
        """Wait until it is at the database: to kill one that is still starting would try nothing."""

        def works() -> bool:
            with connect(self._dsn) as connection:
                return connection.execute(_AT_WORK, (self._name,)).fetchone() is not None

        wait_until(works, "the scheduler is at the database", 60)

    def kill(self) -> None:
        """Kill -9."""
        self._process.kill()
        self._process.wait(20)


@contextmanager
def _schedulers(dsn: str, bug: str, folder: Path) -> Iterator[list[_Scheduler]]:
    found = [_Scheduler(dsn, bug, folder / "schedulers.log") for _ in range(2)]
    try:
        yield found
    finally:
        for scheduler in found:
            scheduler.kill()


def _kill(schedulers: list[_Scheduler], times: int, within_s: float) -> int:
    """Kill one or the other, now and then both, at random moments, and start them again at once."""
    rng = random.Random(SEED)
    done = 0
    while done < times:
        time.sleep(rng.uniform(0.5, 1.5) * within_s / times)
        victims = schedulers if rng.random() < 0.15 and done + 2 <= times else [rng.choice(schedulers)]
        for victim in victims:
            victim.wait_until_it_works()
        for victim in victims:
            victim.kill()
            done += 1
        for victim in victims:
            victim.start()
    return done


def _fill(dsn: str, tickets: int, spread_s: float, gap_s: int) -> None:
    """Let ``tickets`` tickets be dispatched and not accepted, their first rungs due at moments spread over a time."""
    now = datetime.now(UTC)
    with connect(dsn) as connection:
        seed_house(connection, now)
        body = shipped_body("repair")
        body["escalation"] = {
            "urgent": 1,
            "hand_over": ["phone", "sms", "inbox"],
            "ladder": [
                {
                    "name": "not_accepted",
                    "starts_on": "not_accepted",
                    "runs": "round_the_clock",
                    "repeat_s": 86_400,
                    "rung": [
                        {"after_s": after_s, "to": ["lead"], "channels": ["phone"], "effect": "notify"}
                        for after_s in (600, 600 + gap_s)
                    ],
                }
            ],
        }
        publish_policy(connection, body, person_id=None, now=now)
        connection.execute("update team set lead_id = (select id from person where login = 'supervisor')")
        code = _one_ticket(connection, now)
        start = datetime.now(UTC) + timedelta(seconds=4)
        values = {"code": code, "tickets": tickets, "start": start, "spread": spread_s}
        connection.execute(_CLONE, values)
        connection.execute("update outbox set done_at = now()")
        connection.execute("delete from escalation_step where escalation_id in (select id from escalation "
                           "where ticket_id = (select id from ticket where code = %s))", (code,))  # fmt: skip
        connection.execute("update escalation set ended_at = now() where ticket_id = "
                           "(select id from ticket where code = %s)", (code,))  # fmt: skip


def _one_ticket(connection: Connection, now: datetime) -> str:
    row = connection.execute(
        """insert into asset (site_id, asset_type_id, tag, name, criticality, created_at)
           select site.id, asset_type.id, 'M-1', 'Motor', 3, %s from site, asset_type limit 1 returning id""",
        (now,),
    ).fetchone()
    assert row is not None
    code = create_report(connection, asset_id=row[0], title="Howls", description="", reporter=SYSTEM, now=now)
    engineer = connection.execute("select id from person where login = 'wang'").fetchone()
    assert engineer is not None
    perform(connection, code, Command.DISPATCH, None, "", {"assignee_id": engineer[0]}, SYSTEM, now)
    return code


def _wait_until_done(dsn: str, escalations: int) -> None:
    """Wait until every escalation is taken, or none was for a while: what is missing is counted."""
    done, quiet_since = -1, time.monotonic()
    while done < escalations and time.monotonic() - quiet_since < QUIET_S:
        time.sleep(0.5)
        with connect(dsn) as connection:
            row = connection.execute("select count(*) from escalation_step where done_at is not null").fetchone()
        if row is not None and int(row[0]) > done:
            done, quiet_since = int(row[0]), time.monotonic()


def _count(dsn: str, planned: int) -> Tally:
    """Compare every rung of every ticket with what is on its timeline, in the outbox, and at the provider."""
    with open_pool(dsn, size=2) as pool:
        channels = {"phone": RecordingChannel("phone")}
        while deliver_due(pool, channels, SystemClock(), Patience(batch=200)):
            pass
    with connect(dsn) as connection:
        row = connection.execute(_TALLY).fetchone()
        calls = connection.execute("select count(*) from recorded_notice").fetchone()
    assert row is not None
    assert calls is not None
    return Tally(planned, planned - int(row[0]), int(row[1]), int(row[2]), float(row[3] or 0), int(calls[0]))


_AT_WORK = "select 1 from pg_stat_activity where application_name = %s"
_CLONE = """
with original as (
  select * from ticket where code = %(code)s
), wanted as (
  select n, gen_random_uuid() as id, %(start)s::timestamptz + random() * %(spread)s * interval '1 second' as due_at
  from generate_series(1, %(tickets)s) as n
), made as (
  insert into ticket
  select (jsonb_populate_record(null::ticket, to_jsonb(original) || jsonb_build_object(
    'id', wanted.id, 'code', 'P' || (900000 - wanted.n)))).*
  from original, wanted
  returning id
), ladder as (
  insert into escalation (ticket_id, ladder, starts_on, round, subject, began_at)
  select wanted.id, 'not_accepted', 'not_accepted', 1, 'person ' || original.assignee_id,
         wanted.due_at - interval '600 seconds'
  from wanted
  join made on made.id = wanted.id
  cross join original
  returning id, began_at
)
insert into escalation_step (escalation_id, number, due_at)
select id, 1, began_at + interval '600 seconds' from ladder
"""
# Of every rung that was to be taken: on how many timelines it is, how often it is there or told more than once, how
# many ladders stand without a next step, and how late the latest was.
_TALLY = """
with rung as (
  select e.ticket_id, n as number from escalation e cross join generate_series(1, 2) as n where e.ended_at is null
), written as (
  select ticket_id, (facts ->> 'step')::integer as number, count(*) as times
  from ticket_event where command = 'escalate' group by 1, 2
), told as (
  select ticket_id, count(*) as times from outbox where kind like 'escalation.%' group by 1
)
select
  (select count(*) from rung join written using (ticket_id, number)),
  (select coalesce(sum(times - 1), 0) from written) + (select coalesce(sum(greatest(times - 2, 0)), 0) from told),
  (select count(*) from escalation e where e.ended_at is null and not exists (
     select from escalation_step s where s.escalation_id = e.id and s.done_at is null and s.dropped_at is null)),
  (select extract(epoch from max(done_at - due_at)) from escalation_step)
"""
