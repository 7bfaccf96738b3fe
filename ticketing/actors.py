"""Who acts on a ticket: a signed-in person, a requester holding a link, or the system itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ActorKind(StrEnum):
    """How the actor proved who they are: by signing in, by a confirmation link, or by being this program."""

    PERSON = "person"
    REQUESTER = "requester"
    SYSTEM = "system"


class Role(StrEnum):
    """What a person may be at a site."""

    ADMIN = "admin"
    PLANNER = "planner"
    SUPERVISOR = "supervisor"
    ENGINEER = "engineer"
    REQUESTER = "requester"
    INTEGRATION = "integration"


@dataclass(frozen=True, slots=True)
class RoleHeld:
    """A role held at one site, or at every site when ``site_id`` is None."""

    role: Role
    site_id: str | None = None


@dataclass(frozen=True, slots=True)
class Actor:
    """One who acts. ``channel`` says from where: console, api, link, desk ... and goes on the timeline."""

    kind: ActorKind
    person_id: int | None
    name: str
    roles: frozenset[RoleHeld]
    channel: str

    def holds(self, role: Role, site_id: str) -> bool:
        """Say whether the actor has ``role`` at ``site_id``, there or everywhere."""
        return RoleHeld(role, site_id) in self.roles or RoleHeld(role, None) in self.roles


SYSTEM = Actor(ActorKind.SYSTEM, None, "Wearsight", frozenset(), "desk")


def link_holder(name: str) -> Actor:
    """Return the actor behind a confirmation link: whoever holds the secret, under the requester's name."""
    return Actor(ActorKind.REQUESTER, None, name, frozenset(), "link")
