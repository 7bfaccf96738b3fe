"""Dispatch: one round of 500 tickets and 200 engineers, from what the rules read to who goes.

A plant of five sites and forty failure modes, a crew with one to four of ten skills each, shifts, certificates and
brands, a limit of three tickets: more tickets than slots, so that tickets contend. The time is that of the process.
The ceiling is scipy's solver alone on a matrix of that shape: what the assignment costs without any rule or weight.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date

import numpy as np
from scipy.optimize import linear_sum_assignment

from bench.rows import Row
from storage.policies import DEFAULT_POLICY, shipped_body
from ticketing.dispatching.assignment import Round
from ticketing.dispatching.shapes import Certificate, Engineer, Job, Place, Presence
from ticketing.policy.dispatch import DispatchPolicy
from ticketing.policy.whole import read_policy

TICKETS, ENGINEERS = 500, 200
SITES, MODES, TYPES, SKILLS, BRANDS = 5, 40, 12, 10, 6
BAR_MS = 50.0
REPEATS = 15
DAY = date(2026, 3, 2)


def measure() -> list[Row]:
    """Measure the plan of a round, and the plan with every decision explained; takes some seconds."""
    policy = read_policy(shipped_body(DEFAULT_POLICY)).dispatch
    jobs, crew = plant(np.random.default_rng(0))
    ceiling_ms = _best_ms(_bare_solver())
    return [
        _row("plan", lambda: _plan(jobs, crew, policy), ceiling_ms, BAR_MS),
        _row("plan, and 500 decisions explained", lambda: _explain(_plan(jobs, crew, policy)), ceiling_ms, None),
    ]


def plant(random: np.random.Generator) -> tuple[list[Job], list[Engineer]]:
    """Return the tickets, the most urgent first, and the crew."""
    asked = [tuple(f"skill-{k}" for k in random.choice(SKILLS, random.integers(1, 3), False)) for _ in range(MODES)]
    jobs = []
    for number in range(TICKETS):
        mode = int(random.integers(MODES))
        jobs.append(
            Job(
                code=f"D{number:06}",
                priority=number * 5 // TICKETS,
                site_id=f"site-{random.integers(SITES)}",
                place=_place(random),
                day=DAY,
                skills=asked[mode],
                certificates=("high_voltage",) if mode % 8 == 0 else (),
                brand=f"brand-{random.integers(BRANDS)}",
                asset_type_id=f"type-{mode % TYPES}",
                failure_mode_id=mode,
                last_engineer_id=int(random.integers(1, ENGINEERS + 1)),
            )
        )
    return jobs, [_engineer(number, random) for number in range(1, ENGINEERS + 1)]


def _engineer(number: int, random: np.random.Generator) -> Engineer:
    skills = random.choice(SKILLS, random.integers(1, 5), False)
    certificates = (Certificate("high_voltage", DAY, None),) if number % 3 == 0 else ()
    return Engineer(
        person_id=number,
        name=f"Engineer {number}",
        place=_place(random),
        sites=frozenset(f"site-{k}" for k in random.choice(SITES, 3, False)),
        presence=Presence.OFF if number % 7 == 0 else Presence.ON_CALL if number % 5 == 0 else Presence.AT_WORK,
        skills={f"skill-{k}": int(random.integers(1, 6)) for k in skills},
        certificates=certificates,
        brands=frozenset(f"brand-{k}" for k in random.choice(BRANDS, 3, False)) if number % 2 else frozenset(),
        open_tickets=int(random.integers(3)),
        repairs={f"type-{k}": (20, int(random.integers(10, 21))) for k in random.choice(TYPES, 4, False)},
        handled_h={int(k): float(random.integers(100)) for k in random.choice(MODES, 3, False)},
    )


def _place(random: np.random.Generator) -> Place:
    return Place(31 + float(random.random()), 120 + float(random.random()))


def _plan(jobs: list[Job], crew: list[Engineer], policy: DispatchPolicy) -> Round:
    return Round(jobs, [policy] * len(jobs), crew)


def _explain(planned: Round) -> None:
    for number in range(len(planned.jobs)):
        planned.choice(number)


def _bare_solver() -> Callable[[], object]:
    matrix = np.random.default_rng(1).random((TICKETS, ENGINEERS * 2))
    return lambda: linear_sum_assignment(matrix, maximize=True)


def _row(name: str, work: Callable[[], object], ceiling_ms: float, bar: float | None) -> Row:
    spent_ms = _best_ms(work)
    return Row(
        name=f"dispatch: {TICKETS} tickets, {ENGINEERS} engineers, {name}",
        value=spent_ms,
        unit="ms",
        ceiling=f"{ceiling_ms:.1f} ms for the solver alone",
        ratio=ceiling_ms / spent_ms,
        bar=bar,
        bar_is_absolute=bar is not None,
    )


def _best_ms(work: Callable[[], object]) -> float:
    found = []
    for _ in range(REPEATS):
        began = time.process_time_ns()
        work()
        found.append((time.process_time_ns() - began) / 1e6)
    return min(found)
