"""Backtest: a machine-year of 20 metrics at one a minute, from the database to the comparison.

One database of the embedded server, filled once by binary COPY day by day, as it arrives: 10,512,000 readings in 365
partitions. The rule set is a typical one: threshold, level, cusum and step on each metric. Reading and judging are
timed apart and together; the ceiling of reading is the server's own count over the same rows, that of judging the same
columns copied by numpy. Two machines on two cores are set beside the same two one after the other.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from psycopg import Connection

from bench.rows import Row
from detectors.backtest import Case, backtest
from detectors.bank import Bank
from detectors.library import RuleDraft, RuleMode, parse_library
from detectors.parameters import Scalar
from detectors.rules import RuleInForce
from detectors.trial import warm_up
from domain.findings import Severity
from domain.readings import Readings
from runtime.backtesting import Plan, plan_of, try_machine
from runtime.embedded_postgres import EmbeddedPostgres
from runtime.fanning_out import fan_out
from storage import partitions, readings
from storage.backtest_json import BacktestRequest
from storage.cases import read_case
from storage.database import connect, migrate
from storage.history import read_columns
from storage.library import install_library
from storage.rules import install_rule

Made = TypeVar("Made")

BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
DAYS, METRICS = 365, 20
END = BEGIN + timedelta(days=DAYS)
MINUTES = 1_440
BAR_S = 8.0
BAR_PER_S = 20e6
# Limits that calm noise does not cross; wear does.
RULES: dict[str, dict[str, Scalar]] = {
    "threshold": {"high": 16.0, "low": 4.0},
    "level": {"high": 1.25, "learn_samples": 10_000},
    "cusum": {"h": 60.0, "learn_samples": 10_000},
    "step": {},
}


def measure() -> list[Row]:
    """Fill a database and measure; takes about three minutes."""
    folder = Path(tempfile.mkdtemp(prefix="ws-bench-", dir="/tmp"))
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "pg")
    try:
        dsn = server.start()
        migrate(dsn)
        warm_up()
        with connect(dsn) as connection:
            connection.autocommit = True
            connection.execute("set statement_timeout = '10min'")
            _furnish(connection)
            _fill(connection)
            connection.execute("vacuum analyze reading")
            plan = plan_of(connection, dsn, "motor", BEGIN, END, BacktestRequest(()))
            return [*_rows(connection, plan), _fan_out_row(connection, plan)]
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def rules() -> list[RuleInForce]:
    """The rule set, on every metric."""
    return [
        RuleInForce(number, f"motor.{name}", 1, "*", name, RULES[name], Severity.HIGH, shadow=False)
        for number, name in enumerate(RULES, start=1)
    ]


def _rows(connection: Connection, plan: Plan) -> list[Row]:
    count_s, _ = _timed(lambda: connection.execute("select count(*), sum(value) from reading").fetchone())
    read_s, bank_s, copy_s = _columns_s(connection)
    loop_s = _loop_s(connection, plan)
    whole_s, result = _timed(lambda: try_machine(plan, 1))
    if not result.in_force.tickets or result.rows != DAYS * METRICS * MINUTES:
        raise AssertionError("the wear of the record opened no ticket")
    per_s = result.rows / bank_s
    return [
        Row("backtest: a machine-year of 10.5 million readings, end to end", whole_s, "s",
            f"{count_s:.1f} s for the server to add them up", count_s / whole_s, BAR_S, bar_is_absolute=True),
        Row("backtest: reading it as columns", result.rows / read_s / 1e6, "million readings/s",
            f"{result.rows / count_s / 1e6:.1f} million/s added up by the server", count_s / read_s, None),
        Row("backtest: four detectors on it, one core", per_s / 1e6, "million readings/s",
            f"the bar of {BAR_PER_S / 1e6:g} million readings/s", per_s / BAR_PER_S, 1.0),
        Row("backtest: the same", 1e9 * bank_s / result.rows / len(RULES), "ns/sample and detector",
            f"{1e9 * copy_s / result.rows:.1f} ns to copy a row of the columns", copy_s / bank_s, None),
        Row("backtest: loop with fusion, tickets and score", result.rows / loop_s / 1e6, "million readings/s",
            f"{per_s / 1e6:.1f} million/s by the detectors alone", bank_s / loop_s, None),
    ]  # fmt: skip


def _columns_s(connection: Connection) -> tuple[float, float, float]:
    """Seconds to read the columns, to judge them, and to copy them."""
    series = list(range(1, METRICS + 1))
    read_s, columns = _timed(lambda: read_columns(connection, series, BEGIN, END))
    if len(columns) != DAYS * METRICS * MINUTES:
        raise AssertionError(f"read {len(columns)} readings")
    bank_s = _judged_s(columns)
    copy_s, _ = _timed(lambda: [column.copy() for column in (columns.series_id, columns.ts_us, columns.value)])
    return read_s, bank_s, copy_s


def _loop_s(connection: Connection, plan: Plan) -> float:
    case = read_case(connection, 1, plan.modes, BEGIN, END)
    return _timed(lambda: _replayed(case, plan))[0]


def _judged_s(columns: Readings) -> float:
    """The process time of the detectors alone, the better of two."""
    taken = []
    for _ in range(2):
        bank = Bank()
        for series_id in range(1, METRICS + 1):
            bank.add_series(series_id, 1, f"m{series_id}", rules())
        began = time.process_time()
        bank.feed(columns)
        taken.append(time.process_time() - began)
    return min(taken)


def _replayed(case: Case, plan: Plan) -> object:
    return backtest(case, plan.modes, plan.in_force, plan.in_force)


def _fan_out_row(connection: Connection, plan: Plan) -> Row:
    """Two machines of half the year each, with one worker and with two, the workers' start taken off both."""
    connection.execute("update device set asset_id = 2 where id = 2")
    half = Plan(plan.dsn, BEGIN, BEGIN + timedelta(days=DAYS // 2), plan.modes, plan.candidate, plan.in_force)
    took = {}
    for workers in (1, 2):
        start_s, _ = _timed(lambda workers=workers: list(fan_out(_nothing, [0] * workers, workers=workers)))
        all_s, made = _timed(lambda workers=workers: list(fan_out(partial(try_machine, half), [1, 2], workers=workers)))
        if sum(result.rows for _, result in made) != DAYS // 2 * METRICS * MINUTES:
            raise AssertionError(f"a machine was lost: {made}")
        took[workers] = all_s - start_s
    return Row(
        name="backtest: two machines over two cores",
        value=took[2],
        unit="s",
        ceiling=f"{took[1]:.1f} s one after the other; the server works on the same two cores",
        ratio=took[1] / took[2],
        bar=None,
    )


def _nothing(_item: int) -> None:
    """What a worker costs before it works."""
    warm_up()


def _furnish(connection: Connection) -> None:
    connection.execute(
        "insert into calendar (id, name, time_zone) values ('day', 'Day', 'UTC');"
        "insert into site values ('north', 'North', 'day', 31, 120);"
        "insert into asset_type values ('motor', 'Motor', 'Motor');"
        "insert into asset (site_id, asset_type_id, tag, name, created_at)"
        " select 'north', 'motor', 'M-' || n, 'M', now() from generate_series(1, 2) as n;"
        "insert into device (site_id, name, asset_id, time_policy, created_at)"
        " select 'north', 'd-' || n, 1, 'recorded', now() from generate_series(1, 2) as n"
    )
    connection.execute(
        "insert into series (device_id, metric, created_at)"
        " select case when n <= %s then 1 else 2 end, 'm' || n, now() from generate_series(1, %s) as n",
        (METRICS // 2, METRICS),
    )
    library = """
[asset_type]
id = "motor"
name_en = "Motor"
name_zh = "Motor"
[[mode]]
code = "wear"
name_en = "Wear"
name_zh = "Wear"
effect_en = "It stops"
effect_zh = "It stops"
severity = 7
component = "bearing"
prior = 0.01
watch_probability = 0.05
ticket_probability = 0.6
window_h = [24, 240]
skills = []
tasks = []
parts = []
[[mode.finding]]
metric = "m*"
detector = "*"
within_h = 72
log_odds = 6.0
"""
    install_library(connection, parse_library(library), BEGIN)
    for rule in rules():
        draft = RuleDraft(rule.name, "motor", "*", rule.detector, rule.parameters, Severity.HIGH, RuleMode.AUTO)
        install_rule(connection, draft, BEGIN)


def _fill(connection: Connection) -> None:
    """A day a transaction, in the order of arrival; one metric wears in the last month."""
    random = np.random.default_rng(0)
    first = int(BEGIN.timestamp()) // 86_400
    for start in range(0, DAYS + 1, partitions.DAYS_AT_ONCE):
        stop = min(start + partitions.DAYS_AT_ONCE, DAYS + 1)
        partitions.ensure_partitions(connection, range(first + start, first + stop))
    for day in range(DAYS):
        ts_us = ((first + day) * 86_400 + np.arange(MINUTES, dtype=np.int64) * 60) * 1_000_000
        value = 10 + 0.5 * random.standard_normal((MINUTES, METRICS))
        value[:, 0] += max(0, day - (DAYS - 30)) * 0.3
        series = np.tile(np.arange(1, METRICS + 1, dtype=np.int32), MINUTES)
        with connection.transaction():
            readings.copy_new(connection, Readings(series, np.repeat(ts_us, METRICS), value.ravel()))


def _timed(work: Callable[[], Made]) -> tuple[float, Made]:
    """Return the wall time in seconds and what the work made."""
    began = time.perf_counter()
    made = work()
    return time.perf_counter() - began, made
