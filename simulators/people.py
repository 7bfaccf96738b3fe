"""Simulated engineers and requesters, who carry tickets to closed over HTTP, as people do with a phone (SPEC R4).

Each engineer acts under a token of their own. What an engineer does next depends only on what the ticket says, so
a ticket that somebody else has begun is carried on from where it stands, and a step that lost a race against the
service's own dispatch is simply looked at again.
"""

from __future__ import annotations

import json
import struct
import threading
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from simulators.console_client import ApiRefusal, ConsoleClient, Json, objects, text, whole
from simulators.machine import Phase
from simulators.tickets import Resolution, Ticket, no_fault_found, repaired

PROMISE = timedelta(minutes=30)
STEPS_LIMIT = 60
TOKEN_DAYS = 1
FLEET_TYPES = ("motor", "pump", "oven")
# A race with the service's own rounds is lost with one of these; looking again resolves it.
OPEN_STATES = ("new", "dispatched", "accepted", "executing")
LOST_RACES = (
    "stale_version",
    "not_a_legal_step",
    "already_claimed",
    "link_used",
    "link_expired",
    "link_unknown",
)


class CannotCarry(Exception):
    """A ticket did not reach closed; the text says where it stands."""


class Staff:
    """The people of one plant: engineers with a token each, and the requester with the link. A context manager.

    ``client`` is an administrator's: it issues the tokens and dispatches what the rules left lying.
    """

    def __init__(self, client: ConsoleClient, api: str, stop: threading.Event, now: Callable[[], datetime]) -> None:
        self._client = client
        self._api = api
        self._stop = stop
        self._now = now
        self._stack = ExitStack()
        self._clients: dict[int, ConsoleClient] = {}
        self._turn = 0
        self._requester = self._stack.enter_context(ConsoleClient(api, None, stop))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def carry(self, code: str, resolution: Resolution, *, work_s: float = 0.0) -> None:
        """Take one ticket from wherever it stands to closed; ``work_s`` is how long the work itself lasts.

        Raises CannotCarry when it does not get there, or when ``stop`` is set.
        """
        ticket = self._look(code)
        for _ in range(STEPS_LIMIT):
            if ticket.state == "closed":
                return
            if self._stop.is_set():
                raise CannotCarry(f"{code} is {ticket.state}: stopped")
            try:
                self._next_step(ticket, resolution, work_s)
            except ApiRefusal as refusal:
                if refusal.name not in LOST_RACES:
                    raise
            ticket = self._look(code)
        raise CannotCarry(
            f"{code} is still {ticket.state} after {STEPS_LIMIT} steps; open gates: {', '.join(ticket.gates)}"
        )

    def _next_step(self, ticket: Ticket, resolution: Resolution, work_s: float) -> None:
        """Do the one thing that brings the ticket forward."""
        if ticket.state == "new":
            self._command(self._client, ticket, "dispatch", {"assignee_id": self._somebody(ticket.site)})
            return
        if ticket.assignee_id is None:
            raise CannotCarry(f"{ticket.code} is {ticket.state} and has no engineer")
        engineer = self._engineer(ticket.assignee_id)
        if ticket.state == "dispatched":
            self._command(engineer, ticket, "accept", {"expected_response_at": (self._now() + PROMISE).isoformat()})
        elif ticket.state == "accepted":
            self._go_there(engineer, ticket)
        elif ticket.is_on_hold:
            self._command(engineer, ticket, "resume", {})
        elif not ticket.is_resolved:
            self._work(engineer, ticket, resolution, work_s)
        elif "confirmation" in ticket.gates:
            self._have_it_confirmed(engineer, ticket)
        else:
            self._command(engineer, ticket, "close", {})

    def _go_there(self, engineer: ConsoleClient, ticket: Ticket) -> None:
        if not ticket.has_responded:
            self._command(engineer, ticket, "depart", {})
            ticket = self._look(ticket.code)
            self._command(engineer, ticket, "arrive", {})
            ticket = self._look(ticket.code)
        photo = engineer.upload(
            f"/tickets/{ticket.code}/attachments",
            name="before.png",
            content=a_photo(ticket.code),
            media_type="image/png",
            fields={"kind": "photo"},
        )
        self._command(
            engineer, ticket, "execute", {"attachment_id": text(photo, "id")}, "Locked out, photo of the machine taken"
        )

    def _work(self, engineer: ConsoleClient, ticket: Ticket, resolution: Resolution, work_s: float) -> None:
        if work_s > 0 and self._stop.wait(work_s):
            raise CannotCarry(f"{ticket.code} is {ticket.state}: stopped")
        if resolution.is_repair:
            for number in ticket.open_tasks:
                self._command(engineer, ticket, "complete_task", {"number": number})
                ticket = self._look(ticket.code)
        lines = resolution.lines(ticket.bill)
        if lines:
            self._command(engineer, ticket, "use_parts", {"lines": lines})
            ticket = self._look(ticket.code)
        detail = self._command(
            engineer, ticket, "resolve", resolution.facts(), f"Resolved: {resolution.code.replace('_', ' ')}"
        )
        secret = detail.get("confirmation_url_secret")
        if isinstance(secret, str):
            self._answer(secret)

    def _have_it_confirmed(self, engineer: ConsoleClient, ticket: Ticket) -> None:
        """The first link got lost (the engineer before us had it): ask for another and have it answered."""
        detail = self._command(engineer, ticket, "request_confirmation", {})
        self._answer(text(detail, "confirmation_url_secret"))

    def _answer(self, secret: str) -> None:
        """The requester opens the link and answers the two questions."""
        self._requester.get(f"/confirm/{secret}")
        self._requester.post(f"/confirm/{secret}", {"solved": True, "satisfied": True, "comment": "Runs as it should"})

    def _look(self, code: str) -> Ticket:
        return Ticket.read(self._client.get(f"/tickets/{code}"))

    def _command(self, who: ConsoleClient, ticket: Ticket, command: str, facts: Json, summary: str = "") -> Json:
        body: Json = {"version": ticket.version, "summary": summary, "facts": facts}
        return who.post(f"/tickets/{ticket.code}/commands/{command}", body)

    def _engineer(self, person_id: int) -> ConsoleClient:
        """Return the engineer's own session, made on first use with a token that the administrator issues."""
        if person_id not in self._clients:
            answer = self._client.post(f"/people/{person_id}/tokens", {"name": "simulated", "days": TOKEN_DAYS})
            own = ConsoleClient(self._api, text(answer, "token"), self._stop)
            self._clients[person_id] = self._stack.enter_context(own)
        return self._clients[person_id]

    def _somebody(self, site: str) -> int:
        """Return an engineer of the site, each in turn: what a planner does when the rules found nobody."""
        people = list(self._client.items("/people", {"role": "engineer"}))
        engineers = sorted(
            whole(person, "id")
            for person in people
            if any(
                grant.get("role") == "engineer" and grant.get("site") in (site, None)
                for grant in objects(person, "roles")
            )
        )
        if not engineers:
            raise CannotCarry(f"there is no engineer at {site}; add one with POST /people")
        self._turn += 1
        return engineers[self._turn % len(engineers)]


def open_tickets(client: ConsoleClient) -> list[Ticket]:
    """Return the tickets that are not closed, oldest first."""
    codes = [text(item, "code") for item in client.items("/tickets", {"state": OPEN_STATES})]
    return [Ticket.read(client.get(f"/tickets/{code}")) for code in reversed(codes)]


def run_people(
    *,
    api: str,
    token: str,
    now: Callable[[], datetime],
    stop: threading.Event,
    say: Callable[[str], None],
    truth: Path | None = None,
    is_theirs: Callable[[Ticket], bool] | None = None,
    look_every_s: float = 2.0,
    work_s: float = 5.0,
) -> None:
    """Have the simulated engineers carry tickets to closed until ``stop`` is set.

    ``is_theirs`` says which tickets; left out, those of the simulated fleet. What they find on the machine is what
    the fleet wrote to the file ``truth``; without one, every fault is taken to be there. ``work_s`` is how long the
    work itself lasts: the machine must have fallen silent before it is called finished.
    """
    is_theirs = is_theirs or _is_of_the_fleet
    with ConsoleClient(api, token, stop) as client, Staff(client, api, stop, now) as staff:
        while not stop.wait(look_every_s):
            for ticket in open_tickets(client):
                if stop.is_set() or not is_theirs(ticket):
                    continue
                try:
                    staff.carry(ticket.code, _what_is_found(ticket, truth), work_s=work_s)
                    say(f"{ticket.code} on {ticket.asset_tag} closed by the simulated engineer")
                except (ApiRefusal, CannotCarry) as reason:
                    say(f"{ticket.code} on {ticket.asset_tag} could not be carried on: {reason}")


def _is_of_the_fleet(ticket: Ticket) -> bool:
    return ticket.asset_type in FLEET_TYPES


def _what_is_found(ticket: Ticket, truth: Path | None) -> Resolution:
    """Look at the machine: its newest phase in the fleet's truth says whether its part is worn."""
    phase = Phase.WEARING
    lines = truth.read_text(encoding="utf-8").splitlines() if truth and truth.is_file() else []
    for fact in map(json.loads, lines):
        if fact["asset"] == ticket.asset_tag and "phase" in fact:
            phase = Phase(fact["phase"])
    if phase is Phase.HEALTHY or ticket.failure_mode is None:
        return no_fault_found()
    return repaired(ticket.failure_mode)


def a_photo(caption: str) -> bytes:
    """Return a small valid PNG (64 x 48, grey); the caption picks its pattern, so that photos differ."""
    width, height, phase = 64, 48, zlib.crc32(caption.encode())
    rows = b"".join(
        b"\x00" + bytes((row * 5 + column * 3 + phase) % 256 for column in range(width)) for row in range(height)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(kind, content) for kind, content in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
