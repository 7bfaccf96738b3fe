"""Tickets: the API and the console with a million of them, beside a bare query through the same stack.

A database filled by ``bench/fill_tickets.py`` (a million tickets, a thousand engineers), the application as a process
of its own, one client with a connection kept open. The ceiling is ``select 1`` behind the same sign-in, middleware and
pool; every round asks it once beside each of the others. Reads are drawn anew each time: another ticket, engineer,
machine, page. Commands carry tickets that the run itself reports from new to closed.

    python -m bench bench_tickets                                   # a million, into bench/RESULTS.md
    python -m bench.bench_tickets --tickets 10000 --engineers 50    # printed only
    python -m bench.bench_tickets --database DSN --explain          # plans of the queries that touch tickets
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import httpx2

from bench.explain_tickets import plans
from bench.fill_tickets import ENGINEERS, TICKETS, broken_timelines, fill, furnish
from bench.rows import Row
from bench.served import SELECT_ONE, served
from bench.ticket_lives import code_of
from runtime.clock import SystemClock
from runtime.embedded_postgres import EmbeddedPostgres
from simulators.people import a_photo
from storage.database import connect, migrate
from storage.people import create_person, issue_session, issue_token
from ticketing.actors import Role, RoleHeld

BASE_PATH = "/api/v1"
BAR_MS = 50.0
READ_ROUNDS, COMMAND_ROUNDS, WARM_UP = 200, 100, 5
CLOCK = SystemClock()
LIVE = "state=new&state=dispatched&state=accepted&state=executing"


@dataclass(frozen=True, slots=True)
class Plant:
    """Whom and what the requests are drawn from. People are (id, credential)."""

    tickets: int
    supervisor: tuple[int, str]
    engineer: tuple[int, str]
    requester: tuple[int, str]
    session: str
    assets: tuple[tuple[int, str], ...]
    own_asset: int
    engineers: tuple[int, ...]
    live: tuple[str, ...]
    cursors: tuple[str, ...]


Draw = Callable[[Plant, random.Random], str]
# What is asked -> who asks ("page": a browser's session), and the path.
READS: Mapping[str, tuple[str, Draw]] = {
    "the list, first page": ("supervisor", lambda _p, _d: "/tickets"),
    "the list, a page further on": ("supervisor", lambda p, d: f"/tickets?cursor={d.choice(p.cursors)}"),
    "the list, new ones": ("supervisor", lambda _p, _d: "/tickets?state=new"),
    "the list, live ones of the engineer's site": ("engineer", lambda _p, _d: f"/tickets?{LIVE}"),
    "the list, closed ones of the engineer's site": ("engineer", lambda _p, _d: "/tickets?state=closed"),
    "the list of an asset": ("supervisor", lambda p, d: f"/tickets?asset={d.choice(p.assets)[0]}"),
    "the list of any engineer": ("supervisor", lambda p, d: f"/tickets?assignee={d.choice(p.engineers)}"),
    "my tickets": ("engineer", lambda p, _d: f"/tickets?assignee={p.engineer[0]}"),
    "my live tickets": ("engineer", lambda p, _d: f"/tickets?assignee={p.engineer[0]}&{LIVE}"),
    "a requester's own": ("requester", lambda _p, _d: "/tickets"),
    "search by code": ("supervisor", lambda p, d: f"/tickets?text={code_of(d.randrange(p.tickets))}"),
    "search by a machine's tag": ("supervisor", lambda p, d: f"/tickets?text={d.choice(p.assets)[1]}"),
    "search by a common word": ("supervisor", lambda _p, _d: "/tickets?text=howls"),
    "search by a word that is nowhere": ("supervisor", lambda _p, d: f"/tickets?text=zz{d.randrange(10**9)}"),
    "a closed ticket, whole": ("supervisor", lambda p, d: f"/tickets/{code_of(d.randrange(p.tickets))}"),
    "a live ticket with its next steps": ("supervisor", lambda p, d: f"/tickets/{d.choice(p.live)}"),
    "predictions": ("supervisor", lambda _p, _d: "/predictions"),
    "page: the board": ("page", lambda _p, _d: "/"),
    "page: the board, breached": ("page", lambda _p, _d: "/?work=breached"),
    "page: everything": ("page", lambda _p, _d: "/?state=all"),
    "page: a ticket": ("page", lambda p, d: f"/tickets/{d.choice(p.live)}"),
    "page: predictions": ("page", lambda _p, _d: "/predictions"),
}


@dataclass(slots=True)
class Times:
    """Milliseconds of each kind of request, in the order in which they were asked."""

    of: dict[str, list[float]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def row(self, name: str, beside: str) -> Row:
        """Return the figure: the 95th percentile against its bar, the ratio of the medians."""
        own, bare = sorted(self.of[name]), sorted(self.of[beside])
        half, bare_half = own[len(own) // 2], bare[len(bare) // 2]
        return Row(
            name=f"tickets: {name}, p95",
            value=own[int(len(own) * 0.95)],
            unit="ms",
            ceiling=f"p50 {half:.1f} ms; select 1 through the same API {bare_half:.1f} ms,"
            f" p95 {bare[int(len(bare) * 0.95)]:.1f} ms",
            ratio=bare_half / half,
            bar=BAR_MS,
            bar_is_absolute=True,
        )


class Client:
    """One client of the application: each request is timed under a name; a refusal is kept as a failure."""

    def __init__(self, address: str, plant: Plant) -> None:
        self._http = httpx2.Client(base_url=address, timeout=120.0)
        self._headers = {
            "supervisor": {"Authorization": f"Bearer {plant.supervisor[1]}"},
            "engineer": {"Authorization": f"Bearer {plant.engineer[1]}"},
            "requester": {"Authorization": f"Bearer {plant.requester[1]}"},
            "page": {"Cookie": f"wearsight_session={plant.session}"},
        }
        self.times = Times()

    def ask(
        self, name: str, who: str, method: str, path: str, *, body: object = None, photo: bytes | None = None
    ) -> httpx2.Response:
        """Send one request and keep how long its answer took."""
        prefix = "" if who == "page" else BASE_PATH
        more = {"json": body} if photo is None else {"files": {"file": ("p.png", photo)}, "data": {"kind": "photo"}}
        began_s = time.perf_counter()
        response = self._http.request(method, prefix + path, headers=self._headers[who], **more)  # type: ignore[arg-type]
        took_ms = 1000 * (time.perf_counter() - began_s)
        self.times.of.setdefault(name, []).append(took_ms)
        if not response.is_success:
            self.times.failed.append(f"{name}: {response.status_code} {response.text[:200]}")
        return response

    def forget(self) -> None:
        """Begin to count anew, when everything has been asked a few times."""
        self.times = Times(failed=self.times.failed)


def measure(tickets: int = TICKETS, engineers: int = ENGINEERS) -> list[Row]:
    """Fill a database and measure it; a million tickets take a quarter of an hour and 12 GB in the temporary folder."""
    with _filled(tickets, engineers) as (dsn, row):
        return [row, *asked(dsn)]


def asked(dsn: str, read_rounds: int = READ_ROUNDS, command_rounds: int = COMMAND_ROUNDS) -> list[Row]:
    """Measure a filled database."""
    plant = _plant(dsn)
    with served(dsn) as address:
        client = Client(address, plant)
        bare = "select 1"
        dice = random.Random(1)
        for rounds in (WARM_UP, read_rounds):
            client.forget()
            for _ in range(rounds):
                for name, (who, draw) in READS.items():
                    client.ask(name, who, "GET", draw(plant, dice))
                    client.ask(bare, "supervisor", "GET", SELECT_ONE)
        rows = [client.times.row(name, bare) for name in READS]
        for rounds in (WARM_UP, command_rounds):
            client.forget()
            for number in range(rounds):
                _carry(client, plant, number)
                client.ask(bare, "supervisor", "GET", SELECT_ONE)
        rows += [client.times.row(name, bare) for name in client.times.of if name != bare]
        if client.times.failed:
            raise RuntimeError(f"{len(client.times.failed)} requests failed: {client.times.failed[0]}")
    return rows


def _carry(client: Client, plant: Plant, number: int) -> None:
    """Report a fault and carry its ticket to closed, each command under its own name."""
    soon = (CLOCK.now() + timedelta(hours=4)).isoformat()
    report = {"asset_id": plant.own_asset, "title": f"Rattles, measured {number}"}
    detail = client.ask("report a fault", "supervisor", "POST", "/tickets", body=report).json()
    path = f"/tickets/{detail['ticket']['code']}"

    def command(who: str, name: str, facts: Mapping[str, object], summary: str = "") -> None:
        nonlocal detail
        body = {"version": detail["ticket"]["version"], "facts": facts, "summary": summary}
        detail = client.ask(f"command {name}", who, "POST", f"{path}/commands/{name}", body=body).json()

    command("supervisor", "dispatch", {"assignee_id": plant.engineer[0]})
    command("engineer", "accept", {"expected_response_at": soon})
    command("engineer", "depart", {})
    command("engineer", "note", {"content": "Coupling guard is loose"}, "coupling guard loose")
    command("engineer", "hold", {"reason": "access", "review_at": soon})
    command("engineer", "resume", {})
    photo = client.ask("a photo", "engineer", "POST", f"{path}/attachments", photo=a_photo(path)).json()
    command("engineer", "execute", {"attachment_id": photo["id"]}, "cover removed")
    done = {"resolution_code": "repaired", "cause": "Bolts worked loose", "action_taken": "Bolts replaced and secured"}
    command("engineer", "resolve", done, "bolts replaced")
    command("supervisor", "confirm", {"satisfied": True})
    command("engineer", "close", {})


def _plant(dsn: str) -> Plant:
    """Look up what to ask for, and give four people of the first site a credential."""
    now = CLOCK.now()
    with connect(dsn) as connection:
        site, engineer_id = connection.execute(
            "select site_id, assignee_id from ticket where state <> 'closed' and assignee_id is not null"
            " group by 1, 2 order by count(*), 2 limit 1"
        ).fetchall()[0]
        (requester_id,) = connection.execute(
            "select requester_id from asset where site_id = %s limit 1", (site,)
        ).fetchall()[0]
        login = f"bench-{now.timestamp():.0f}"
        supervisor_id = create_person(
            connection, login=login, name="Bench", now=now, roles=[RoleHeld(Role.SUPERVISOR), RoleHeld(Role.PLANNER)]
        )
        assets = connection.execute("select id, tag from asset order by id").fetchall()
        (own_asset,) = connection.execute("select min(id) from asset where site_id = %s", (site,)).fetchall()[0]
        engineers = connection.execute(
            "select person_id from person_role where role = 'engineer' order by 1"
        ).fetchall()
        live = connection.execute("select code from ticket where state <> 'closed' order by id").fetchall()
        (tickets,) = connection.execute("select count(*) from ticket where title_en not like 'Rattles%'").fetchall()[0]
        codes = [code_of(number * tickets // 20) for number in range(20)]
        cursors = connection.execute("select id::text from ticket where code = any(%s)", (codes,)).fetchall()
        return Plant(
            tickets=tickets,
            supervisor=(supervisor_id, issue_token(connection, supervisor_id, "bench", now)),
            engineer=(engineer_id, issue_token(connection, engineer_id, "bench", now)),
            requester=(requester_id, issue_token(connection, requester_id, "bench", now)),
            session=issue_session(connection, supervisor_id, now, now + timedelta(days=1)),
            assets=tuple((int(asset_id), str(tag)) for asset_id, tag in assets),
            own_asset=own_asset,
            engineers=tuple(row[0] for row in engineers),
            live=tuple(row[0] for row in live),
            cursors=tuple(row[0] for row in cursors),
        )


@contextmanager
def _filled(tickets: int, engineers: int) -> Iterator[tuple[str, Row]]:
    """A database of its own, gone afterwards, with the figure of how it was filled."""
    folder = Path(tempfile.mkdtemp(prefix="wt-", dir="/tmp"))
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "pg")
    try:
        dsn = server.start()
        migrate(dsn)
        yield dsn, fill_row(dsn, tickets, engineers, CLOCK.now())
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def fill_row(dsn: str, tickets: int, engineers: int, now: datetime) -> Row:
    """Fill a migrated database, verify a sample of its timelines, and return how fast that was."""
    filled = fill(dsn, furnish(dsn, tickets, engineers, now=now))
    broken = broken_timelines(dsn, tickets)
    if broken:
        raise RuntimeError(f"the timelines of {', '.join(broken)} do not verify")
    return Row(
        name=f"tickets: filled with {tickets:,} tickets for {engineers:,} engineers",
        value=filled.tickets / filled.seconds,
        unit="tickets/s",
        ceiling=f"{filled.rows:,} rows by COPY, timelines chained and a sample verified",
        ratio=1.0,
        bar=None,
    )


def main() -> None:
    """Measure, or with ``--explain`` print plans; end with 1 when a bar is missed or a plan reads a table whole."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--tickets", type=int, default=TICKETS)
    arguments.add_argument("--engineers", type=int, default=ENGINEERS)
    arguments.add_argument("--rounds", type=int, default=READ_ROUNDS)
    arguments.add_argument("--database", metavar="DSN", help="one that is filled already, instead of one of its own")
    arguments.add_argument("--explain", choices=("flagged", "all"), nargs="?", const="flagged")
    options = arguments.parse_args()
    if options.database is not None:
        sys.exit(_report(options.database, [], options))
    with _filled(options.tickets, options.engineers) as (dsn, row):
        failed = _report(dsn, [row], options)
    sys.exit(failed)


def _report(dsn: str, rows: list[Row], options: argparse.Namespace) -> int:
    from bench.__main__ import as_table

    if options.explain:
        return _explain(dsn, everything=options.explain == "all")
    rows += asked(dsn, options.rounds, max(1, options.rounds // 2))
    print(as_table(rows))
    return int(any(row.meets_bar is False for row in rows))


def _explain(dsn: str, *, everything: bool) -> int:
    """Print the plans; return whether one reads a large table from end to end."""
    with connect(dsn) as connection:
        found = list(plans(connection))
    for plan in found:
        if everything or plan.scans or plan.unplanned or plan.took_ms is not None:
            print(plan.told)
        if everything or plan.scans:
            print("\n".join(f"    {line}" for line in plan.lines))
    flagged = sum(bool(plan.scans) for plan in found)
    print(f"{len(found)} plans, {flagged} of them read a large table from end to end")
    return int(flagged > 0)


if __name__ == "__main__":
    main()
