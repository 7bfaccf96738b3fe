"""What routes and pages ask for: the caller, the language, the database, the time.

A connection is taken and given back inside one function, never held from one dependency to the next: each of them
runs on a worker thread, and threads that hold connections while they wait for threads that wait for connections
would all stand still.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, cast

from fastapi import Depends, Request
from psycopg_pool import ConnectionPool

from api.dialects import Dialects
from api.identity import Caller, channel_of, permitted, visitor
from api.languages import Language, preferred_language
from api.permissions import Action
from domain.clock import Clock
from domain.refusals import Refused
from storage.people import Person


def pool_of(request: Request) -> ConnectionPool:
    """Return the database pool; ``with pool.connection() as connection:`` is one transaction."""
    return cast(ConnectionPool, request.app.state.pool)


def clock_of(request: Request) -> Clock:
    """Return the clock."""
    return cast(Clock, request.app.state.clock)


def dialects_of(request: Request) -> Dialects:
    """Return what knows the decoders."""
    return cast(Dialects, request.app.state.dialects)


def now_of(request: Request) -> datetime:
    """Return the wall-clock time of the request."""
    return clock_of(request).now()


def visitor_of(request: Request) -> Person | None:
    """Return who is signed in, or None: for pages that show themselves to both."""
    return visitor(request, pool_of(request), now_of(request))


class Permit:
    """The dependency with which a route names its action: nobody else gets in."""

    def __init__(self, action: Action) -> None:
        self.action = action

    def __call__(self, request: Request) -> Caller:
        """Return the caller; refused without a live credential, or without a role that permits the action."""
        person = visitor_of(request)
        if person is None:
            raise Refused(
                "sign_in_required",
                expected="a live bearer token or session",
                got="none, or one that is unknown, revoked or expired",
                remedy="Sign in (POST /api/v1/session) or send 'Authorization: Bearer <token>'.",
            )
        return permitted(person, self.action, channel_of(request))


Database = Annotated[ConnectionPool, Depends(pool_of)]
Now = Annotated[datetime, Depends(now_of)]
ClockUsed = Annotated[Clock, Depends(clock_of)]
DialectsUsed = Annotated[Dialects, Depends(dialects_of)]
LanguageAsked = Annotated[Language, Depends(preferred_language)]
Visitor = Annotated[Person | None, Depends(visitor_of)]

UseOwnAccount = Annotated[Caller, Depends(Permit(Action.USE_OWN_ACCOUNT))]
ReadRegister = Annotated[Caller, Depends(Permit(Action.READ_REGISTER))]
ChangeRegister = Annotated[Caller, Depends(Permit(Action.CHANGE_REGISTER))]
ReadRegisterFiles = Annotated[Caller, Depends(Permit(Action.READ_REGISTER_FILES))]
ReadChanges = Annotated[Caller, Depends(Permit(Action.READ_CHANGES))]
AdoptDevice = Annotated[Caller, Depends(Permit(Action.ADOPT_DEVICE))]
ReadFeeds = Annotated[Caller, Depends(Permit(Action.READ_FEEDS))]
ChangeFeeds = Annotated[Caller, Depends(Permit(Action.CHANGE_FEEDS))]
ReadSignals = Annotated[Caller, Depends(Permit(Action.READ_SIGNALS))]
ReadDetection = Annotated[Caller, Depends(Permit(Action.READ_DETECTION))]
ChangeRules = Annotated[Caller, Depends(Permit(Action.CHANGE_RULES))]
ReadPolicies = Annotated[Caller, Depends(Permit(Action.READ_POLICIES))]
ChangePolicies = Annotated[Caller, Depends(Permit(Action.CHANGE_POLICIES))]
ReadBacktests = Annotated[Caller, Depends(Permit(Action.READ_BACKTESTS))]
RunBacktests = Annotated[Caller, Depends(Permit(Action.RUN_BACKTESTS))]
DecidePrediction = Annotated[Caller, Depends(Permit(Action.DECIDE_PREDICTION))]
AcknowledgeAlarm = Annotated[Caller, Depends(Permit(Action.ACKNOWLEDGE_ALARM))]
ShelveAlarm = Annotated[Caller, Depends(Permit(Action.SHELVE_ALARM))]
ReadTickets = Annotated[Caller, Depends(Permit(Action.READ_TICKETS))]
ReportFault = Annotated[Caller, Depends(Permit(Action.REPORT_FAULT))]
ReadRefusedIntake = Annotated[Caller, Depends(Permit(Action.READ_REFUSED_INTAKE))]
SettleRefusedIntake = Annotated[Caller, Depends(Permit(Action.SETTLE_REFUSED_INTAKE))]
WorkOnTicket = Annotated[Caller, Depends(Permit(Action.WORK_ON_TICKET))]
ReadArticles = Annotated[Caller, Depends(Permit(Action.READ_ARTICLES))]
ChangeArticles = Annotated[Caller, Depends(Permit(Action.CHANGE_ARTICLES))]
ReadSchedules = Annotated[Caller, Depends(Permit(Action.READ_SCHEDULES))]
ChangeSchedules = Annotated[Caller, Depends(Permit(Action.CHANGE_SCHEDULES))]
ReadRecordedNotices = Annotated[Caller, Depends(Permit(Action.READ_RECORDED_NOTICES))]
ReadParts = Annotated[Caller, Depends(Permit(Action.READ_PARTS))]
ChangeParts = Annotated[Caller, Depends(Permit(Action.CHANGE_PARTS))]
ReadPeople = Annotated[Caller, Depends(Permit(Action.READ_PEOPLE))]
ChangePeople = Annotated[Caller, Depends(Permit(Action.CHANGE_PEOPLE))]
PlanShifts = Annotated[Caller, Depends(Permit(Action.PLAN_SHIFTS))]
ReadQuarantine = Annotated[Caller, Depends(Permit(Action.READ_QUARANTINE))]
ReplayQuarantine = Annotated[Caller, Depends(Permit(Action.REPLAY_QUARANTINE))]
DismissQuarantine = Annotated[Caller, Depends(Permit(Action.DISMISS_QUARANTINE))]
ReadBrokerAccess = Annotated[Caller, Depends(Permit(Action.READ_BROKER_ACCESS))]
ChangeBrokerAccess = Annotated[Caller, Depends(Permit(Action.CHANGE_BROKER_ACCESS))]
Listen = Annotated[Caller, Depends(Permit(Action.LISTEN))]
ReadHealth = Annotated[Caller, Depends(Permit(Action.READ_HEALTH))]
ReadRetention = Annotated[Caller, Depends(Permit(Action.READ_RETENTION))]
ChangeRetention = Annotated[Caller, Depends(Permit(Action.CHANGE_RETENTION))]
ReadApiDescription = Annotated[Caller, Depends(Permit(Action.READ_API_DESCRIPTION))]
