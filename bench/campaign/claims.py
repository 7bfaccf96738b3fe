"""Contested claims: fifty engineers reach for tickets at the same moment, over HTTP (SPEC X5).

Every ticket is new and is claimed by several engineers at once, half of whom go to one process of the application and
half to another, on one database. Of each contest exactly one is answered with success; the others are refused as
``already_claimed`` by the name of the one who won, whether they say which version they saw or not. Then the database
is asked: one accept event, by the winner, who is the assignee; the timeline whole.

The rules of dispatch hold during all this, the load limit of 3 too. So that nobody is refused for a full load instead
of a lost race, the claims come in waves: in each an engineer reaches for one ticket, and before the next one a
supervisor cancels what was won. It is a contest only when the losers had asked before the winner was answered.

    python -m bench.campaign.claims                 # 10,000 tickets
    python -m bench.campaign.claims --tickets 500
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from bench.campaign.outcome import Outcome
from bench.campaign.progress import telling
from bench.served import served
from runtime.clock import SystemClock
from runtime.embedded_postgres import EmbeddedPostgres
from runtime.seeding import SITE_ID, seed_house
from simulators.console_client import ApiRefusal, ConsoleClient
from storage.casework import create_report
from storage.database import connect, migrate
from storage.people import create_person, issue_token
from storage.tickets import verify_timeline
from ticketing.actors import Actor, ActorKind, Role, RoleHeld

TICKETS, ENGINEERS = 10_000, 50
# How many reach for one ticket; drawn for each, so that a wave has duels and crowds.
CONTESTANTS = (2, 3, 4, 5, 6, 8, 10)
PROCESSES = 2
REPORTS_A_TRANSACTION = 100
CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class Contest:
    """One ticket and the engineers, by their places in the list, who reach for it."""

    code: str
    contestants: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one engineer was told: ``refusal`` is empty for the winner. Seconds of a monotonic clock."""

    contest: Contest
    engineer: int
    refusal: str
    told: str
    asked_s: float
    answered_s: float


@dataclass(frozen=True, slots=True)
class House:
    """Who claims (person id, name, token), who cancels, and the tickets."""

    engineers: Sequence[tuple[int, str, str]]
    supervisor_token: str
    codes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Tally:
    """What the contests came to; ``violations`` says in words what must not be."""

    tickets: int
    claims: int
    overlapped: int
    refusals: Counter[str]
    violations: list[str]
    seconds: float
    p50_ms: float
    p95_ms: float

    @property
    def told(self) -> str:
        """The figures in a line."""
        losers = self.claims - self.tickets
        share = self.overlapped / losers if losers else 0.0
        refused = ", ".join(f"{count:,} {name}" for name, count in sorted(self.refusals.items())) or "nobody refused"
        return (
            f"{self.tickets:,} tickets, {self.claims:,} claims by {ENGINEERS} engineers at {PROCESSES} processes:"
            f" {refused}; {share:.1%} of the losers had asked before the winner was answered;"
            f" {len(self.violations)} violations; {self.claims / self.seconds:.0f} claims/s, answered in"
            f" {self.p50_ms:.0f} ms (p95 {self.p95_ms:.0f} ms), all at once"
        )


def contested_claims(size: float, bug: str) -> Outcome:
    """0 violations in 10,000 contested claims."""
    folder = Path(tempfile.mkdtemp(prefix="wc-", dir="/tmp"))
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "pg")
    try:
        dsn = server.start()
        migrate(dsn)
        tally = contest(dsn, max(20, round(TICKETS * size)), bug=bug)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    for violation in tally.violations[:20]:
        print(f"  {violation}", flush=True)
    first = f"; first: {tally.violations[0]}" if tally.violations else ""
    return Outcome(not tally.violations, tally.told + first)


def contest(dsn: str, tickets: int, *, bug: str = "none", seed: int = 1) -> Tally:
    """Have ``tickets`` tickets of a migrated, empty database claimed, and judge the answers and what is stored."""
    house = furnish(dsn, tickets)
    answers: list[Answer] = []
    with ExitStack() as stack:
        addresses = [stack.enter_context(served(dsn, bug=bug)) for _ in range(PROCESSES)]
        stack.enter_context(telling(lambda: f"{len(answers):,} claims answered"))
        began_s = time.monotonic()
        with _claimants(house, addresses) as claim:
            for wave in waves(house.codes, random.Random(seed)):
                answers += claim(wave)
        seconds = time.monotonic() - began_s
    return judge(dsn, house, answers, seconds)


def waves(codes: Sequence[str], dice: random.Random) -> Iterator[list[Contest]]:
    """Cut the tickets into waves in which each engineer reaches for one ticket at most."""
    left = list(codes)
    while left:
        engineers = dice.sample(range(ENGINEERS), ENGINEERS)
        wave: list[Contest] = []
        while left and len(engineers) >= min(CONTESTANTS):
            crowd = min(dice.choice(CONTESTANTS), len(engineers))
            wave.append(Contest(left.pop(0), tuple(engineers[:crowd])))
            engineers = engineers[crowd:]
        yield wave


@contextmanager
def _claimants(house: House, addresses: Sequence[str]) -> Iterator[Callable[[Sequence[Contest]], list[Answer]]]:
    """Yield what has a wave claimed: a thread and a connection for each engineer, released together."""
    with ExitStack() as stack:
        clients = [
            stack.enter_context(ConsoleClient(addresses[place % len(addresses)], token))
            for place, (_, _, token) in enumerate(house.engineers)
        ]
        supervisor = [
            stack.enter_context(ConsoleClient(addresses[0], house.supervisor_token)) for _ in range(len(CONTESTANTS))
        ]
        pool = stack.enter_context(ThreadPoolExecutor(ENGINEERS))

        def cancel(place: int, contests: Sequence[Contest]) -> None:
            for one in contests:
                facts = {"reason": "The contest is over, the ticket was for it alone"}
                supervisor[place].post(f"/tickets/{one.code}/commands/cancel", {"facts": facts})

        def claim(wave: Sequence[Contest]) -> list[Answer]:
            reaching = [(one, place) for one in wave for place in one.contestants]
            start = threading.Barrier(len(reaching))
            futures = [pool.submit(_reach, clients[place], one, place, start) for one, place in reaching]
            answers = [future.result() for future in futures]
            width = len(supervisor)
            for done in [pool.submit(cancel, place, wave[place::width]) for place in range(width)]:
                done.result()
            return answers

        yield claim


def _reach(client: ConsoleClient, one: Contest, place: int, start: threading.Barrier) -> Answer:
    """Claim a ticket together with the others; every second engineer says which version was seen."""
    promise = {"expected_response_at": (CLOCK.now() + timedelta(hours=1)).isoformat()}
    body: dict[str, object] = {"facts": promise} if place % 4 < 2 else {"facts": promise, "version": 1}
    refusal, told = "", ""
    start.wait(60)
    asked_s = time.monotonic()
    try:
        client.post(f"/tickets/{one.code}/commands/accept", body)
    except ApiRefusal as error:
        refusal, told = error.name, str(error)
    return Answer(one, place, refusal, told, asked_s, time.monotonic())


def judge(dsn: str, house: House, answers: Sequence[Answer], seconds: float) -> Tally:
    """Compare what the engineers were told with what is stored."""
    by_code: dict[str, list[Answer]] = {}
    for answer in answers:
        by_code.setdefault(answer.contest.code, []).append(answer)
    accepted = _accepted(dsn)
    violations, overlapped = [], 0
    for code in house.codes:
        told = by_code.get(code, [])
        found, overlaps = _judge_one(code, told, house, accepted.get(code, []))
        violations += found
        overlapped += overlaps
    violations += _broken_timelines(dsn, house.codes)
    if 2 * overlapped < len(answers) - len(house.codes):
        violations.append(f"only {overlapped} losers had asked before the winner was answered: that is no contest")
    took_ms = sorted(1000 * (answer.answered_s - answer.asked_s) for answer in answers)
    return Tally(
        tickets=len(house.codes),
        claims=len(answers),
        overlapped=overlapped,
        refusals=Counter(answer.refusal for answer in answers if answer.refusal),
        violations=violations,
        seconds=seconds,
        p50_ms=took_ms[len(took_ms) // 2],
        p95_ms=took_ms[int(len(took_ms) * 0.95)],
    )


def _judge_one(
    code: str, told: Sequence[Answer], house: House, stored: Sequence[tuple[int, int]]
) -> tuple[list[str], int]:
    """Return what is wrong with one contest, and how many losers had asked before the winner was answered."""
    winners = [answer for answer in told if not answer.refusal]
    if len(winners) != 1:
        return [f"{code}: {len(winners)} of {len(told)} were told that they have it"], 0
    winner_id, winner_name, _ = house.engineers[winners[0].engineer]
    found = []
    if [actor for actor, _ in stored] != [winner_id]:
        found.append(f"{code}: accept events by {[actor for actor, _ in stored]}, the winner is {winner_id}")
    elif stored[0][1] != winner_id:
        found.append(f"{code}: accepted by {winner_id}, and assigned to {stored[0][1]}")
    losers = [answer for answer in told if answer.refusal]
    for loser in losers:
        if loser.refusal != "already_claimed" or winner_name not in loser.told:
            found.append(f"{code}: a loser was not told that {winner_name} has it: {loser.told}")
    return found, sum(loser.asked_s < winners[0].answered_s for loser in losers)


def _accepted(dsn: str) -> dict[str, list[tuple[int, int]]]:
    """Return of each ticket its accept events: who accepted, and to whom it is assigned now."""
    found: dict[str, list[tuple[int, int]]] = {}
    with connect(dsn) as connection:
        rows = connection.execute(
            "select ticket.code, ticket_event.actor_id, ticket.assignee_id"
            " from ticket_event join ticket on ticket.id = ticket_event.ticket_id where ticket_event.command = 'accept'"
        ).fetchall()
    for code, actor_id, assignee_id in rows:
        found.setdefault(code, []).append((actor_id, assignee_id))
    return found


def _broken_timelines(dsn: str, codes: Sequence[str]) -> list[str]:
    with connect(dsn) as connection:
        breaks = {code: verify_timeline(connection, code) for code in codes}
    return [f"{code}: the timeline breaks at event {number}" for code, number in breaks.items() if number is not None]


def furnish(dsn: str, tickets: int) -> House:
    """Seed the house, fifty engineers with a token each, a supervisor, a few machines and the tickets."""
    now = CLOCK.now()
    with connect(dsn) as connection:
        seed_house(connection, now)
        held = [RoleHeld(Role.ENGINEER, SITE_ID)]
        engineers = []
        for number in range(ENGINEERS):
            name = f"Claimant {number:02} Ying"
            person_id = create_person(connection, login=f"claimant-{number:02}", name=name, now=now, roles=held)
            engineers.append((person_id, name, issue_token(connection, person_id, "campaign", now)))
        chief = create_person(
            connection, login="chief", name="Chief", now=now, roles=[RoleHeld(Role.SUPERVISOR, SITE_ID)]
        )
        token = issue_token(connection, chief, "campaign", now)
        assets = [
            row[0]
            for row in connection.execute(
                "insert into asset (site_id, asset_type_id, tag, name, created_at)"
                " select %s, 'motor', 'C-' || n, 'Machine ' || n, %s from generate_series(1, 20) as n returning id",
                (SITE_ID, now),
            ).fetchall()
        ]
    reporter = Actor(ActorKind.PERSON, chief, "Chief", frozenset({RoleHeld(Role.SUPERVISOR, SITE_ID)}), "campaign")
    codes: list[str] = []
    with connect(dsn) as connection:
        while len(codes) < tickets:
            with connection.transaction():
                for number in range(len(codes), min(len(codes) + REPORTS_A_TRANSACTION, tickets)):
                    asset_id, title = assets[number % len(assets)], f"Noise number {number}"
                    code = create_report(
                        connection, asset_id=asset_id, title=title, description="", reporter=reporter, now=CLOCK.now()
                    )
                    codes.append(code)
    return House(engineers, token, codes)


def main() -> None:
    """Run it and print what it came to; end with 1 when a claim went wrong."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--tickets", type=int, default=TICKETS)
    arguments.add_argument("--bug", default="none", help="a bug of bench/served.py to plant")
    options = arguments.parse_args()
    outcome = contested_claims(options.tickets / TICKETS, options.bug)
    print(f"{outcome.verdict}: {outcome.told}")
    sys.exit(0 if outcome.passed else 1)


if __name__ == "__main__":
    main()
