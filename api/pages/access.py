"""What the reader of a page may see and do: the same table of roles as the API's, asked by pages."""

from __future__ import annotations

from dataclasses import dataclass

from api.i18n import N_
from api.identity import Caller
from api.permissions import PERMISSIONS, Action
from storage.people import Person
from ticketing.actors import Role


@dataclass(frozen=True, slots=True)
class MenuEntry:
    """A page of the main menu: shown to those whose roles permit ``action`` somewhere.

    ``is_folded``: behind "Administration", because it is opened once a week and the bar has one line. ``role``: only
    those who hold it find anything there, though the action is open to more.
    """

    section: str
    address: str
    name: str
    action: Action
    is_folded: bool = False
    role: Role | None = None


MENU = (
    MenuEntry("tickets", "/", N_("Tickets"), Action.READ_TICKETS),
    MenuEntry("offers", "/offers", N_("Offers"), Action.WORK_ON_TICKET, role=Role.ENGINEER),
    MenuEntry("predictions", "/predictions", N_("Predictions"), Action.READ_DETECTION),
    MenuEntry("alarms", "/alarms", N_("Alarms"), Action.READ_DETECTION),
    MenuEntry("schedules", "/schedules", N_("Schedules"), Action.READ_SCHEDULES),
    MenuEntry("parts", "/parts", N_("Parts"), Action.READ_PARTS),
    MenuEntry("assets", "/assets", N_("Assets"), Action.READ_REGISTER),
    MenuEntry("devices", "/devices", N_("Devices"), Action.READ_SIGNALS),
    MenuEntry("people", "/people", N_("People"), Action.READ_PEOPLE),
    MenuEntry("rules", "/rules", N_("Rules"), Action.READ_DETECTION, is_folded=True),
    MenuEntry("dispatch", "/dispatch", N_("Dispatch"), Action.READ_POLICIES, is_folded=True),
    MenuEntry("calendars", "/calendars", N_("Calendars"), Action.READ_PEOPLE, is_folded=True),
    MenuEntry("articles", "/articles", N_("Knowledge"), Action.READ_ARTICLES, is_folded=True),
    MenuEntry("intake", "/intake", N_("Refused requests"), Action.READ_REFUSED_INTAKE, is_folded=True),
    MenuEntry("windows", "/windows", N_("Critical windows"), Action.READ_POLICIES, is_folded=True),
    MenuEntry("notices", "/notices", N_("Recorded notices"), Action.READ_RECORDED_NOTICES, is_folded=True),
    MenuEntry("quarantine", "/quarantine", N_("Quarantine"), Action.READ_QUARANTINE, is_folded=True),
    MenuEntry("feeds", "/feeds", N_("Feeds"), Action.READ_FEEDS, is_folded=True),
    MenuEntry("gateways", "/gateways", N_("Gateways"), Action.READ_BROKER_ACCESS, is_folded=True),
    MenuEntry("policy", "/policy", N_("Policies"), Action.READ_POLICIES, is_folded=True),
    MenuEntry("service", "/service", N_("Service"), Action.READ_HEALTH, is_folded=True),
)


@dataclass(frozen=True, slots=True)
class Sight:
    """Which tickets exist for a reader: those at ``sites`` (None: all), of one requester unless that is None."""

    sites: list[str] | None
    requester_id: int | None


def may(person: Person, action: Action, site_id: str | None = None) -> bool:
    """Tell whether a role of ``person`` permits ``action``, at ``site_id`` or (None) anywhere."""
    roles = PERMISSIONS[action]
    return any(held.role in roles and (site_id is None or held.site_id in (None, site_id)) for held in person.roles)


def menu_of(person: Person | None) -> list[MenuEntry]:
    """Return the menu of a person: what their roles permit, and what concerns them."""
    if person is None:
        return []
    held = {one.role for one in person.roles}
    return [one for one in MENU if may(person, one.action) and (one.role is None or one.role in held)]


def sight_of(caller: Caller) -> Sight:
    """Return which tickets the caller may list: as staff those of their sites, else their own reports."""
    staff_sites = caller.staff_sites()
    if staff_sites == []:
        return Sight(caller.site_list(), caller.person.id)
    return Sight(staff_sites, None)
