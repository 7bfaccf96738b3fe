"""One command being carried out, as its checks and effects see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from psycopg import Connection

from domain.refusals import Refused
from storage.policies import read_policy_version
from storage.ticket_views import TicketRow
from ticketing.actors import Actor
from ticketing.deciding import Decision
from ticketing.facts import FactValue
from ticketing.lifecycle import Command
from ticketing.policy.whole import Policy


@dataclass(frozen=True, slots=True)
class FollowUp:
    """What a command brings about at another ticket: the system's command there, in the same transaction."""

    code: str
    command: Command
    facts: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Case:
    """A command that the table allows: the row it found, what was decided, by whom and when.

    ``follow_ups`` collects what the command brings about at other tickets.
    """

    connection: Connection
    row: TicketRow
    decision: Decision
    actor: Actor
    now: datetime
    follow_ups: list[FollowUp] = field(default_factory=list)

    def fact(self, name: str) -> FactValue:
        """Return a fact that the command requires."""
        return self.decision.facts[name]

    @property
    def policy(self) -> Policy:
        """The policy that is frozen on the ticket."""
        return read_policy_version(self.connection, self.row.policy_id)


def refuse_fact(name: str, expected: str, got: object) -> Refused:
    """Return the refusal of a fact that only the database can tell to be wrong."""
    return Refused("invalid_fact", expected=f"'{name}': {expected}", got=str(got)[:80], remedy=f"Correct '{name}'.")
