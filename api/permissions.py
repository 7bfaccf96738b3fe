"""Who may do what: one table of action and roles, the source of the code and of the test that walks every route.

A role counts at the site where it is held, or everywhere when held without a site. What lies at other sites does not
exist for the caller: it is answered as unknown, never as forbidden. Which command of a ticket a role may give is the
lifecycle table's to say (ticketing/lifecycle.py); here stands only who may knock.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from ticketing.actors import Role


class Action(StrEnum):
    """What a route does, in the words of this table."""

    USE_OWN_ACCOUNT = "use_own_account"
    READ_REGISTER = "read_register"
    CHANGE_REGISTER = "change_register"
    READ_REGISTER_FILES = "read_register_files"
    READ_CHANGES = "read_changes"
    ADOPT_DEVICE = "adopt_device"
    READ_FEEDS = "read_feeds"
    CHANGE_FEEDS = "change_feeds"
    READ_SIGNALS = "read_signals"
    READ_DETECTION = "read_detection"
    CHANGE_RULES = "change_rules"
    READ_POLICIES = "read_policies"
    CHANGE_POLICIES = "change_policies"
    READ_BACKTESTS = "read_backtests"
    RUN_BACKTESTS = "run_backtests"
    DECIDE_PREDICTION = "decide_prediction"
    ACKNOWLEDGE_ALARM = "acknowledge_alarm"
    SHELVE_ALARM = "shelve_alarm"
    READ_TICKETS = "read_tickets"
    REPORT_FAULT = "report_fault"
    READ_REFUSED_INTAKE = "read_refused_intake"
    SETTLE_REFUSED_INTAKE = "settle_refused_intake"
    WORK_ON_TICKET = "work_on_ticket"
    READ_ARTICLES = "read_articles"
    CHANGE_ARTICLES = "change_articles"
    READ_SCHEDULES = "read_schedules"
    CHANGE_SCHEDULES = "change_schedules"
    READ_RECORDED_NOTICES = "read_recorded_notices"
    READ_PARTS = "read_parts"
    CHANGE_PARTS = "change_parts"
    READ_PEOPLE = "read_people"
    CHANGE_PEOPLE = "change_people"
    PLAN_SHIFTS = "plan_shifts"
    READ_QUARANTINE = "read_quarantine"
    REPLAY_QUARANTINE = "replay_quarantine"
    DISMISS_QUARANTINE = "dismiss_quarantine"
    READ_BROKER_ACCESS = "read_broker_access"
    CHANGE_BROKER_ACCESS = "change_broker_access"
    LISTEN = "listen"
    READ_HEALTH = "read_health"
    READ_RETENTION = "read_retention"
    CHANGE_RETENTION = "change_retention"
    READ_API_DESCRIPTION = "read_api_description"


_EVERYBODY = frozenset(Role)
_STAFF = _EVERYBODY - {Role.REQUESTER}
_PLANNING = frozenset({Role.ADMIN, Role.PLANNER})
_LEADING = _PLANNING | {Role.SUPERVISOR}

PERMISSIONS: Mapping[Action, frozenset[Role]] = MappingProxyType(
    {
        Action.USE_OWN_ACCOUNT: _EVERYBODY,
        Action.READ_REGISTER: _EVERYBODY,
        Action.CHANGE_REGISTER: _PLANNING | {Role.INTEGRATION},
        Action.READ_REGISTER_FILES: _STAFF,
        Action.READ_CHANGES: _LEADING,
        Action.ADOPT_DEVICE: _PLANNING,
        Action.READ_FEEDS: _STAFF,
        Action.CHANGE_FEEDS: _PLANNING | {Role.INTEGRATION},
        Action.READ_SIGNALS: _STAFF,
        Action.READ_DETECTION: _STAFF,
        Action.CHANGE_RULES: _PLANNING,
        Action.READ_POLICIES: _STAFF,
        Action.CHANGE_POLICIES: _PLANNING,
        Action.READ_BACKTESTS: _STAFF,
        Action.RUN_BACKTESTS: _PLANNING,
        Action.DECIDE_PREDICTION: _LEADING,
        Action.ACKNOWLEDGE_ALARM: _STAFF - {Role.INTEGRATION},
        Action.SHELVE_ALARM: _LEADING,
        Action.READ_TICKETS: _EVERYBODY,
        Action.REPORT_FAULT: _EVERYBODY,
        Action.READ_REFUSED_INTAKE: _LEADING,
        Action.SETTLE_REFUSED_INTAKE: _LEADING,
        Action.WORK_ON_TICKET: _EVERYBODY - {Role.INTEGRATION},
        # What is shown with a ticket: requesters read it there, and may read it here.
        Action.READ_ARTICLES: _EVERYBODY,
        Action.CHANGE_ARTICLES: _LEADING,
        Action.READ_SCHEDULES: _STAFF,
        Action.CHANGE_SCHEDULES: _PLANNING,
        Action.READ_RECORDED_NOTICES: _LEADING,
        Action.READ_PARTS: _STAFF,
        Action.CHANGE_PARTS: _PLANNING | {Role.INTEGRATION},
        Action.READ_PEOPLE: _STAFF - {Role.INTEGRATION},
        Action.CHANGE_PEOPLE: frozenset({Role.ADMIN}),
        Action.PLAN_SHIFTS: _LEADING,
        Action.READ_QUARANTINE: _PLANNING | {Role.INTEGRATION},
        Action.REPLAY_QUARANTINE: _PLANNING,
        Action.DISMISS_QUARANTINE: _PLANNING,
        Action.READ_BROKER_ACCESS: _PLANNING | {Role.INTEGRATION},
        Action.CHANGE_BROKER_ACCESS: _PLANNING | {Role.INTEGRATION},
        Action.LISTEN: _STAFF,
        Action.READ_HEALTH: _LEADING | {Role.INTEGRATION},
        Action.READ_RETENTION: _LEADING | {Role.INTEGRATION},
        Action.CHANGE_RETENTION: frozenset({Role.ADMIN}),
        Action.READ_API_DESCRIPTION: _EVERYBODY,
    }
)

# What answers without a credential, and why. A route that is neither here nor names its action fails the tests.
OPEN_ROUTES: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("POST", "/api/v1/session"): "signing in is how a credential is got",
        ("GET", "/api/v1/health"): "load balancers ask; the answer is ok or not ok, nothing else",
        ("GET", "/api/v1/confirm/{secret}"): "the requester's secret is the credential",
        ("POST", "/api/v1/confirm/{secret}"): "the requester's secret is the credential",
        ("GET", "/login"): "signing in is how a credential is got",
        ("POST", "/login"): "signing in is how a credential is got",
        ("GET", "/icon.svg"): "the console's icon, the same for everybody",
        ("GET", "/c/{secret}"): "the requester's secret is the credential",
        ("POST", "/c/{secret}"): "the requester's secret is the credential",
    }
)
