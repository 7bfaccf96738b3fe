"""People's plans and qualifications, offers, and trying dispatch rules, over the wire."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from api.schemas import Asked, Key, Line, LowWord, Moment, Told, Word
from storage.offers import Offer
from storage.qualifications import CertificateNeeded, CertificateRow, Team
from storage.shifts import Absence, Rota, Shift

Level = Annotated[int, Field(ge=1, le=5)]
TimeZone = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_+/-]{1,64}$")]


class NewShift(Asked):
    """A shift to plan; ``on_call``: reachable, and sent only to what cannot wait."""

    person_id: Key
    starts_at: Moment
    ends_at: Moment
    on_call: bool = False


class Shifts(Told):
    """A page of shifts."""

    items: list[Shift]
    next_cursor: str | None


class RotaDayShape(Asked):
    """A worked day of the cycle, from 0; one that ends no later than it starts runs into the next day."""

    number: Annotated[int, Field(ge=0, le=365)]
    starts: time
    ends: time


class RotaMemberShape(Asked):
    """A member, who is ``offset_days`` into the cycle on its first day."""

    person_id: Key
    offset_days: Annotated[int, Field(ge=0, le=365)] = 0


class NewRotaBody(Asked):
    """A rota to add: a cycle of days in the wall time of its zone."""

    team_id: Key
    name: Line
    time_zone: TimeZone
    first_day: date
    last_day: date | None = None
    cycle_days: Annotated[int, Field(ge=1, le=366)]
    on_call: bool = False
    days: Annotated[list[RotaDayShape], Field(min_length=1, max_length=366)]
    members: Annotated[list[RotaMemberShape], Field(min_length=1, max_length=200)]


class Rotas(Told):
    """A page of rotas."""

    items: list[Rota]
    next_cursor: str | None


class NewAbsence(Asked):
    """An absence to note, and who stands in."""

    person_id: Key
    starts_at: Moment
    ends_at: Moment
    delegate_id: Key | None = None
    reason: Line


class Absences(Told):
    """A page of absences."""

    items: list[Absence]
    next_cursor: str | None


class Added(Told):
    """The id of a record that was added."""

    id: int


class AddedRule(Added):
    """A rule that was added, and what the lint says of it that it did not say before."""

    warnings: list[str]


class OnCall(Told):
    """Who of a team is on call now."""

    team_id: int
    at: datetime
    person_ids: list[int]


class QualificationsBody(Asked):
    """What a person can and may do, as a whole; empty brands or site passes narrow nothing."""

    skills: Annotated[dict[LowWord, Level], Field(max_length=50)]
    brands: Annotated[list[Line], Field(max_length=50)]
    site_access: Annotated[dict[Word, date | None], Field(max_length=200)]


class QualificationsShape(Told):
    """What a person can and may do."""

    team_id: int | None
    team: str | None
    skills: dict[str, int]
    brands: list[str]
    site_access: dict[str, date | None]
    certificates: list[CertificateRow]


class NewCertificate(Asked):
    """A certificate to note; ``valid_to`` is the last day, none: for ever."""

    name: LowWord
    valid_from: date
    valid_to: date | None = None


class NewCertificateNeeded(Asked):
    """Work that may only be done with a certificate; a failure mode is one of the type of asset."""

    certificate: LowWord
    site: Word | None = None
    asset_type: LowWord | None = None
    failure_mode: LowWord | None = None


class CertificatesNeeded(Told):
    """A page of what may only be done with a certificate."""

    items: list[CertificateNeeded]
    next_cursor: str | None


class Teams(Told):
    """A page of teams."""

    items: list[Team]
    next_cursor: str | None


class TeamBody(Asked):
    """A team's site, its lead and the team that takes over."""

    site: Word | None
    lead_id: Key | None
    backup_team_id: Key | None


class OffersShape(Told):
    """The best open tickets to take; of all ``open_tickets`` how many ``fit``, and which rules kept others away."""

    offers: list[Offer]
    open_tickets: int
    fit: int
    excluded: dict[str, int]


class ClaimBody(Asked):
    """A claim: when the engineer expects to respond (SPEC T2)."""

    expected_response_at: Moment


class DispatchWeights(Asked):
    """How much each part of a score counts."""

    distance: float
    load: float
    skill: float
    first_time_fix: float
    same_fault: float
    continuity: float


class DispatchSection(Asked):
    """The section ``dispatch`` of the ticket policy, whole."""

    skills: Literal["any", "all"]
    least_level: int
    load_limit: int
    near_km: float
    on_call_priority: int
    bonus_from: float
    same_fault_h: int
    fallback_after_s: int
    urgent_fallback_after_s: int
    remind_every_s: int
    weights: DispatchWeights


class TroubleShape(Told):
    """Something that a rule does to the people there are: an error where work is left that nobody can do."""

    grade: Literal["error", "warning"]
    kind: str
    what: str
    told: str


class DispatchRulesShape(Told):
    """The section in force, the id of its policy version, and what the lint says of it."""

    policy_id: int
    section: DispatchSection
    troubles: list[TroubleShape]


class LintShape(Told):
    """What the lint says of a section."""

    troubles: list[TroubleShape]


class NewDispatchRules(Asked):
    """The next section, why, and the policy version it was written after."""

    after: Annotated[int, Field(ge=1, le=2**63 - 1)]
    reason: Line
    section: DispatchSection


class OutcomeShape(Told):
    """What a set of rules made of the tickets of a span."""

    dispatched: int
    unassigned: int
    mean_km: float | None
    load_spread: float
    by_person: dict[str, int]


class DryRunTicket(Told):
    """One ticket whose engineer differs."""

    code: str
    went: str | None
    would_go: str | None


class DryRunShape(Told):
    """A section tried on the tickets of the last days: what happened, what the rules in force say, and these."""

    days: int
    tickets: int
    left_out: int
    happened: OutcomeShape
    in_force: OutcomeShape
    tried: OutcomeShape
    differing: list[DryRunTicket]


class DryRunBody(Asked):
    """A section to try on the tickets that were opened in the last days."""

    section: DispatchSection
    days: Annotated[int, Field(ge=1, le=90)] = 30
