"""The dispatch rules as people change them: linted, tried on past tickets, published (SPEC X4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from psycopg import Connection

from domain.refusals import Refused
from storage import policies
from storage.dispatching import OpenJob, engineers, jobs_of
from storage.policies import DEFAULT_POLICY, newest_body, publish_body
from storage.queries import load
from ticketing.dispatching.lint import Grade, Trouble, lint
from ticketing.dispatching.shapes import Engineer, Job, Place, Presence
from ticketing.dispatching.trial import PastTicket, TrialOutcome, try_rules, what_happened
from ticketing.policy.dispatch import DispatchPolicy, read_dispatch
from ticketing.policy.reading import PolicyTable
from ticketing.policy.whole import read_policy

QUERIES = load("dispatch_rules")

TRIED_MAX = 2_000
NAMED_IN_REFUSAL = 3

Section = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class RulesInForce:
    """The section ``dispatch`` of the ticket policy in force."""

    policy_id: int
    section: dict[str, object]


@dataclass(frozen=True, slots=True)
class Differing:
    """A ticket to which somebody else would go."""

    code: str
    went: str | None
    would_go: str | None


@dataclass(frozen=True, slots=True)
class DryRun:
    """Rules tried on the tickets opened within ``days``; ``left_out`` counts those beyond the newest two thousand."""

    days: int
    tickets: int
    left_out: int
    happened: TrialOutcome
    in_force: TrialOutcome
    tried: TrialOutcome
    differing: list[Differing]


def rules_in_force(connection: Connection) -> RulesInForce:
    """Return the dispatch rules that new tickets are opened under."""
    found = newest_body(connection, DEFAULT_POLICY)
    if found is None:
        raise Refused("unknown_record", expected="a published policy", got="none", remedy="Seed the house.")
    section = found[1]["dispatch"]
    assert isinstance(section, dict)  # the policy was checked when it was published
    return RulesInForce(found[0], section)


def read_section(section: Section) -> DispatchPolicy:
    """Return the typed rules; refuse them as ``invalid_policy`` naming the path."""
    return read_dispatch(PolicyTable(section, "dispatch"))


def lint_section(connection: Connection, section: Section, now: datetime) -> list[Trouble]:
    """Return what these rules do to the work and the people there are."""
    return lint(_classes_of_work(connection, now), engineers(connection, now), read_section(section))


def lint_in_force(connection: Connection, now: datetime) -> list[Trouble]:
    """Return what the rules in force do to the work and the people there are."""
    return lint_section(connection, rules_in_force(connection).section, now)


def publish_section(
    connection: Connection, section: Section, *, after: int, reason: str, person_id: int | None, now: datetime
) -> list[Trouble]:
    """Publish the ticket policy with this section, in force for new tickets, and return what the lint says of it.

    Raises Refused: stale_record when another version is in force than ``after``; invalid_policy for a section that
    cannot be, or that leaves work which the rules in force do not leave.
    """
    connection.execute(policies.QUERIES["hold_policies"])
    found = newest_body(connection, DEFAULT_POLICY)
    if found is None or found[0] != after:
        raise Refused(
            "stale_record",
            expected=f"version {found[0] if found else 'none'} of the policy",
            got=f"version {after}",
            remedy="Read the rules again and repeat the change.",
        )
    before = {one for one in lint_in_force(connection, now) if one.grade is Grade.ERROR}
    troubles = lint_section(connection, section, now)
    undone = [one for one in troubles if one.grade is Grade.ERROR and one.what not in {old.what for old in before}]
    if undone:
        raise Refused(
            "invalid_policy",
            expected="dispatch rules that leave no work which nobody can be sent to",
            got=" ".join(one.told for one in undone[:NAMED_IN_REFUSAL])[:400],
            remedy="Give people the skills or certificates first, or keep the rule.",
        )
    body = {**found[1], "dispatch": dict(section)}
    read_policy(body)
    publish_body(connection, DEFAULT_POLICY, body, person_id=person_id, now=now, reason=reason)
    return troubles


def dry_run(connection: Connection, section: Section, days: int, now: datetime) -> DryRun:
    """Try rules on the tickets opened in the last days, beside what happened and what the rules in force say."""
    since = now - timedelta(days=days)
    tickets = _past_tickets(connection, since, now)
    counted = connection.execute(QUERIES["count_tickets_since"], {"since": since}).fetchone()
    crew = [replace(one, is_on_duty=True, absent_until=None) for one in engineers(connection, now)]
    presences = _presences(connection, tickets, crew)
    policy, old = read_section(section), read_section(rules_in_force(connection).section)
    happened, tried = what_happened(tickets, crew, policy), try_rules(tickets, crew, presences, policy)
    names: dict[int | None, str] = {one.person_id: one.name for one in crew}
    differing = [
        Differing(ticket.job.code, names.get(went), names.get(would))
        for ticket, went, would in zip(tickets, happened.chosen, tried.chosen, strict=True)
        if went != would
    ]
    return DryRun(
        days=days,
        tickets=len(tickets),
        left_out=(counted[0] if counted else 0) - len(tickets),
        happened=happened,
        in_force=try_rules(tickets, crew, presences, old),
        tried=tried,
        differing=differing,
    )


def _past_tickets(connection: Connection, since: datetime, now: datetime) -> list[PastTicket]:
    rows = connection.execute(QUERIES["past_tickets"], {"since": since, "limit": TRIED_MAX}).fetchall()
    jobs: dict[object, OpenJob] = {one.ticket_id: one for one in jobs_of(connection, [row[0] for row in rows], now)}
    # In the order in which they came. Certificates count as they are today, as all else of the register does.
    return [PastTicket(jobs[row[0]].job, row[1], row[2], row[3]) for row in reversed(rows)]


def _presences(connection: Connection, tickets: list[PastTicket], crew: list[Engineer]) -> list[list[Presence]]:
    moments = {"moments": [ticket.opened_at for ticket in tickets]}
    planned = {row[0] for row in connection.execute(QUERIES["planned_people"])}
    working: dict[tuple[int, int], Presence] = {}
    for number, person_id, is_on_call in connection.execute(QUERIES["plans_at"], moments):
        if working.get((number, person_id)) is not Presence.AT_WORK:
            working[number, person_id] = Presence.ON_CALL if is_on_call else Presence.AT_WORK
    away = set(connection.execute(QUERIES["absences_at"], moments).fetchall())

    def presence(number: int, person_id: int) -> Presence:
        if (number, person_id) in away:
            return Presence.OFF
        return working.get((number, person_id), Presence.OFF if person_id in planned else Presence.AT_WORK)

    return [[presence(number, one.person_id) for one in crew] for number in range(1, len(tickets) + 1)]


def _classes_of_work(connection: Connection, now: datetime) -> list[Job]:
    found = []
    for row in connection.execute(QUERIES["classes_of_work"], {"now": now}):
        site_id, latitude, longitude, day, asset_type_id, mode_id, mode, skills, certificates = row
        found.append(
            Job(
                code=f"{asset_type_id}/{mode} at {site_id}" if mode else f"{asset_type_id} at {site_id}",
                priority=0,
                site_id=site_id,
                place=Place(latitude, longitude),
                day=day,
                skills=tuple(skills),
                certificates=tuple(certificates),
                asset_type_id=asset_type_id,
                failure_mode_id=mode_id,
            )
        )
    return found
