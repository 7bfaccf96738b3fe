"""Who is asking, and where their roles permit what they ask for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from fastapi import Request
from psycopg_pool import ConnectionPool

from api.permissions import PERMISSIONS, Action
from domain.refusals import Refused
from storage.people import Person, person_by_credential
from ticketing.actors import Actor, ActorKind, Role

SESSION_COOKIE = "wearsight_session"
_HARMLESS_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Caller:
    """A signed-in person whose roles permit ``action`` at ``sites`` (None: at every site)."""

    person: Person
    action: Action
    sites: frozenset[str] | None
    channel: str

    def sees(self, site_id: str) -> bool:
        """Tell whether records of this site exist for the caller."""
        return self.sites is None or site_id in self.sites

    def site_list(self) -> list[str] | None:
        """Return the sites for a query's filter, None for all."""
        return None if self.sites is None else sorted(self.sites)

    def require_every_site(self, because: str, remedy: str) -> None:
        """Refuse, as ``not_permitted``, a role that holds at some sites only; ``because`` follows "because"."""
        if self.sites is not None:
            raise Refused(
                "not_permitted",
                expected=f"a role held at every site, because {because}",
                got="a role at " + ", ".join(sorted(self.sites)),
                remedy=remedy,
            )

    def roles_at(self, site_id: str) -> frozenset[Role]:
        """Return the roles held at a site, those held everywhere included."""
        return frozenset(held.role for held in self.person.roles if held.site_id in (None, site_id))

    def sees_ticket(self, site_id: str, requester_id: int | None) -> bool:
        """Tell whether a ticket exists for the caller: who is no more than a requester at its site sees own reports."""
        if not self.sees(site_id):
            return False
        return self.is_staff_at(site_id) or requester_id == self.person.id

    def is_staff_at(self, site_id: str) -> bool:
        """Tell whether the caller is more than a requester at a site."""
        return bool(self.roles_at(site_id) - {Role.REQUESTER})

    def staff_sites(self) -> list[str] | None:
        """Return the sites where the caller is more than a requester, None for all; empty for a requester."""
        places = {held.site_id for held in self.person.roles if held.role is not Role.REQUESTER}
        return None if None in places else sorted(place for place in places if place is not None)

    def is_only_a_requester(self) -> bool:
        """Tell whether the caller may see own reports only."""
        return self.staff_sites() == []

    def actor(self) -> Actor:
        """Return the caller as the ticket's rules see them."""
        return Actor(ActorKind.PERSON, self.person.id, self.person.name, frozenset(self.person.roles), self.channel)


def visitor(request: Request, pool: ConnectionPool, now: datetime) -> Person | None:
    """Return who sent the request, or None without a live credential.

    A browser sends its cookie along with requests that other sites make it send, so a cookie counts for a
    state-changing request only when the browser says that it comes from our own pages.
    """
    secret = bearer_secret(request)
    if secret is None:
        secret = request.cookies.get(SESSION_COOKIE)
        if secret is None:
            return None
        refuse_cross_site(request, required=True)
    with pool.connection() as connection:
        return person_by_credential(connection, secret, now)


def permitted(person: Person, action: Action, channel: str) -> Caller:
    """Return ``person`` as the caller of ``action``; refused as ``not_permitted`` when no role held permits it."""
    roles = PERMISSIONS[action]
    places = {held.site_id for held in person.roles if held.role in roles}
    if not places:
        raise Refused(
            "not_permitted",
            expected="one of the roles " + ", ".join(sorted(roles)),
            got=", ".join(sorted({held.role.value for held in person.roles})) or "no role",
            remedy="Ask an administrator for the role.",
        )
    sites = None if None in places else frozenset(place for place in places if place is not None)
    return Caller(person, action, sites, channel)


def channel_of(request: Request) -> str:
    """Return how the request came in, for the timeline: ``api`` with a token, ``console`` with a session."""
    return "api" if bearer_secret(request) is not None else "console"


def bearer_secret(request: Request) -> str | None:
    """Return the secret of an ``Authorization: Bearer`` header, or None without the header."""
    header = request.headers.get("authorization")
    if header is None:
        return None
    scheme, _, secret = header.partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def refuse_cross_site(request: Request, *, required: bool) -> None:
    """Refuse a state-changing request that another site made the browser send.

    With ``required`` the browser must say where the request comes from: Sec-Fetch-Site (every browser since 2023),
    else Origin. Without, a client that says nothing passes: signing in carries no cookie that could be abused.
    """
    if request.method in _HARMLESS_METHODS:
        return
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        own = site in ("same-origin", "none")
    elif origin is not None:
        own = urlsplit(origin).netloc == request.headers.get("host")
    else:
        own = not required
    if not own:
        raise Refused(
            "cross_site_request",
            expected="a request from one of our own pages (Sec-Fetch-Site same-origin or none, or our Origin)",
            got=f"Sec-Fetch-Site {site or 'absent'}, Origin {origin or 'absent'}",
            remedy="Programs use a bearer token instead of the browser's cookie.",
        )
