"""What the reader of a page may see and do: the same table of roles as the API's, asked by pages."""

from __future__ import annotations

from dataclasses import dataclass

from api.identity import Caller
from api.permissions import PERMISSIONS, Action
from storage.people import Person


@dataclass(frozen=True, slots=True)
class Sight:
    """Which tickets exist for a reader: those at ``sites`` (None: all), of one requester unless that is None."""

    sites: list[str] | None
    requester_id: int | None


def may(person: Person, action: Action, site_id: str | None = None) -> bool:
    """Tell whether a role of ``person`` permits ``action``, at ``site_id`` or (None) anywhere."""
    roles = PERMISSIONS[action]
    return any(held.role in roles and (site_id is None or held.site_id in (None, site_id)) for held in person.roles)


def sight_of(caller: Caller) -> Sight:
    """Return which tickets the caller may list: as staff those of their sites, else their own reports."""
    staff_sites = caller.staff_sites()
    if staff_sites == []:
        return Sight(caller.site_list(), caller.person.id)
    return Sight(staff_sites, None)
