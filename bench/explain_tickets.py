"""Plans of every named query that reads or writes tickets: which of them would read a large table from end to end.

Each is planned without values, as the server plans a statement that it has kept (``explain (generic_plan)``). Queries
whose filters are optional are carried out besides, with the values of a console that is in use (``CASES``): there a
walk along an index that throws nearly everything away counts as a sequential scan too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from importlib.resources import files

import psycopg
from psycopg import Connection
from psycopg.sql import SQL

from storage.queries import load, split

# Smaller tables are read whole because that is quicker; so many rows read for nothing are too many.
LARGE_ROWS, THROWN_AWAY_ROWS = 5_000, 20_000
_PARAMETER = re.compile(r"%\((\w+)\)s")
_TYPED_PARAMETER = re.compile(r"%\((\w+)\)s(::[a-z0-9]+(?:\[\])?)?")
# What the driver says of a value and the server cannot guess where a query adds or compares it.
_TYPES = {
    **dict.fromkeys(("now", "at", "soon", "since", "until", "opened_at", "due_at", "review_at"), "timestamptz"),
    **dict.fromkeys(("within_minutes", "wait_s", "quantity", "limit"), "integer"),
}
_TICKETS = re.compile(
    r"\b(ticket|ticket_\w+|hold|dispatch_decision|bill_line|confirmation_link|survey_answer|outbox|notification)\b"
)
# They would be judged by what they write to, and have no plan.
_NOT_PLANNED = re.compile(r"^\s*(lock|truncate|set|notify)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Plan:
    """A query's plan: ``scans`` names what it reads from end to end; ``took_ms`` only when it was carried out."""

    name: str
    scans: tuple[str, ...]
    cost: float
    took_ms: float | None
    lines: tuple[str, ...]
    unplanned: str = ""

    @property
    def told(self) -> str:
        """The plan in a line."""
        if self.unplanned:
            return f"{self.name}: not planned without values: {self.unplanned}"
        took = f", {self.took_ms:.1f} ms" if self.took_ms is not None else ""
        verdict = "SCANS " + ", ".join(self.scans) if self.scans else "ok"
        return f"{self.name}: {verdict} (cost {self.cost:,.0f}{took})"


def plans(connection: Connection) -> Iterator[Plan]:
    """Plan every named query that speaks of tickets, then carry out the cases."""
    large = _large_tables(connection)
    yield from generic_plans(connection, large)
    samples = _samples(connection)
    for title, (noun, name, chosen) in CASES.items():
        values = {**dict.fromkeys(_PARAMETER.findall(load(noun)[name].as_string())), "limit": 51}
        values |= {parameter: samples[sample] for parameter, sample in chosen.items()}
        yield _carried_out(connection, f"{noun}.{name} ({title})", load(noun)[name], values, large)


def generic_plans(connection: Connection, large: frozenset[str]) -> Iterator[Plan]:
    """Plan every named query that speaks of tickets without values; ``large`` are the tables not to be read whole."""
    for path in sorted(files("storage").joinpath("sql").iterdir(), key=lambda one: one.name):
        noun = path.name.removesuffix(".sql")
        for name, _, text in split(path.read_text(encoding="utf-8"), noun):
            if _TICKETS.search(text) and not _NOT_PLANNED.match(text):
                yield _generic(connection, f"{noun}.{name}", text, large)


# What a console in use asks: title -> (noun, query, parameter -> sample).
CASES: Mapping[str, tuple[str, str, Mapping[str, str]]] = {
    "first page": ("tickets", "list_tickets", {}),
    "a page from the middle": ("tickets", "list_tickets", {"before": "ticket_id"}),
    "the new ones": ("tickets", "list_tickets", {"states": "new"}),
    "live ones of a site": ("tickets", "list_tickets", {"states": "live", "sites": "sites"}),
    "closed ones of a site": ("tickets", "list_tickets", {"states": "closed", "sites": "sites"}),
    "of an asset": ("tickets", "list_tickets", {"asset_id": "asset_id"}),
    "of an engineer": ("tickets", "list_tickets", {"assignee_id": "engineer_id"}),
    "an engineer's live ones": ("tickets", "list_tickets", {"assignee_id": "engineer_id", "states": "live"}),
    "a requester's own": ("tickets", "list_tickets", {"requester_id": "requester_id"}),
    "by a word that is rare": ("tickets", "list_tickets", {"pattern": "rare", "asset_ids": "nothing"}),
    "the board": ("console", "ticket_rows", {"states": "live"}),
    "the board of a site, breached": ("console", "ticket_rows", {"states": "live", "sites": "sites", "due_to": "now"}),
    "everything": ("console", "ticket_rows", {}),
    "my own": ("console", "ticket_rows", {"states": "live", "assignee_id": "engineer_id"}),
    "an asset's": ("console", "ticket_rows", {"asset_id": "asset_id"}),
    "a requester's": ("console", "ticket_rows", {"requester_id": "requester_id", "states": "live"}),
    "by a rare word": ("console", "ticket_rows", {"text": "rare", "asset_ids": "nothing"}),
    "all sites": ("console", "work_counts", {"now": "now", "soon": "soon", "person_id": "engineer_id"}),
    "open ones": ("console", "prediction_rows", {"status": "open"}),
    "overdue": ("sweeping", "overdue_clocks", {"now": "now"}),
    "to review": ("sweeping", "holds_to_review", {"now": "now"}),
    "to give out": ("dispatching", "tickets_to_dispatch", {}),
    "for one ticket": ("dispatching", "candidates", {"ticket_id": "ticket_id"}),
    "bill": ("tickets", "ticket_bill", {"ticket_id": "device_ticket_id"}),
    "answers": ("tickets", "ticket_answers", {"ticket_id": "ticket_id"}),
    "due": ("outbox", "lease", {"now": "now", "until": "soon"}),
    "an inbox": ("outbox", "inbox", {"person_id": "engineer_id"}),
}


def _samples(connection: Connection) -> dict[str, object]:
    row = connection.execute(
        "with middle as (select * from ticket where state = 'closed' order by id offset"
        " (select count(*) / 2 from ticket) limit 1)"
        " select id, asset_id, assignee_id, requester_id, site_id, now(),"
        " (select id from ticket where prediction_id is not null and state = 'closed' order by id limit 1) from middle"
    ).fetchone()
    assert row is not None
    named = dict(zip(("ticket_id", "asset_id", "engineer_id", "requester_id", "site", "now"), row[:6], strict=True))
    return {
        **named,
        "device_ticket_id": row[6],
        "sites": [row[4]],
        "soon": row[5] + timedelta(hours=2),
        "new": ["new"],
        "live": ["new", "dispatched", "accepted", "executing"],
        "closed": ["closed"],
        "open": "open",
        "rare": "%no such words anywhere%",
        "nothing": [],
    }


def _large_tables(connection: Connection) -> frozenset[str]:
    rows = connection.execute(
        "select relname from pg_class"
        " where relkind = 'r' and relnamespace = 'public'::regnamespace and reltuples >= %s",
        (LARGE_ROWS,),
    ).fetchall()
    return frozenset(row[0] for row in rows)


def _generic(connection: Connection, name: str, text: str, large: frozenset[str]) -> Plan:
    numbers: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        typed = f"::{_TYPES[found[1]]}" if found[1] in _TYPES and found[2] is None else found[2] or ""
        return f"${numbers.setdefault(found[1], len(numbers) + 1)}{typed}"

    # Without values the text goes to the server as it is, so that the doubled per cent signs must be single ones.
    numbered = _TYPED_PARAMETER.sub(number, text).replace("%%", "%")
    try:
        with connection.transaction():
            row = connection.execute(SQL("explain (generic_plan, format json) " + numbered)).fetchone()
    except psycopg.errors.ProgrammingError as error:
        return Plan(name, (), 0.0, None, (), str(error).partition("\n")[0])
    assert row is not None
    return plan_of(name, row[0][0], large)


def _carried_out(
    connection: Connection, name: str, query: SQL, values: Mapping[str, object], large: frozenset[str]
) -> Plan:
    asked = SQL("explain (analyze, buffers, format json) ") + query
    with connection.transaction(force_rollback=True):
        # Not kept by the server: planned for these values.
        row = connection.execute(asked, values, prepare=False).fetchone()
    assert row is not None
    return plan_of(name, row[0][0], large)


def plan_of(name: str, found: Mapping[str, object], large: frozenset[str]) -> Plan:
    """Return what a plan in the server's JSON says; ``large`` are the tables not to be read from end to end."""
    scans: list[str] = []
    lines: list[str] = []
    root = found["Plan"]
    assert isinstance(root, dict)
    _walk(root, large, scans, lines, 0)
    took = found.get("Execution Time")
    return Plan(
        name,
        tuple(dict.fromkeys(scans)),
        float(root["Total Cost"]),
        float(took) if isinstance(took, int | float) else None,
        tuple(lines),
    )


def _walk(node: Mapping[str, object], large: frozenset[str], scans: list[str], lines: list[str], depth: int) -> None:
    kind, table = str(node["Node Type"]), str(node.get("Relation Name", ""))
    thrown_away = _number(node, "Rows Removed by Filter") * _number(node, "Actual Loops")
    if kind == "Seq Scan" and table in large:
        scans.append(table)
    elif thrown_away >= THROWN_AWAY_ROWS:
        scans.append(f"{table} by {node.get('Index Name', kind)}, {thrown_away:,.0f} rows for nothing")
    told = " ".join(str(node[key]) for key in ("Relation Name", "Index Name", "Index Cond", "Filter") if key in node)
    actual = f", {_number(node, 'Actual Rows'):,.0f} rows" if "Actual Rows" in node else ""
    lines.append(f"{'  ' * depth}{kind} {told} (cost {_number(node, 'Total Cost'):,.0f}{actual})")
    below = node.get("Plans", [])
    assert isinstance(below, list)
    for one in below:
        _walk(one, large, scans, lines, depth + 1)


def _number(node: Mapping[str, object], key: str) -> float:
    value = node.get(key, 0)
    return float(value) if isinstance(value, int | float) else 0.0
