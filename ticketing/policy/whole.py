"""Policy: targets, weights and limits that people set, typed and validated whole (SPEC S2, T5, S1, X1, C2).

A policy is data (``editions/policy/*.toml``, then rows in the database). This file reads it strictly: a missing
field, an unknown field or an impossible value is refused with its path, because a setting that is stored and
never read is worse than none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ticketing.policy.breaker import BreakerPolicy, read_breaker
from ticketing.policy.calendar import Follows, read_sla_calendar
from ticketing.policy.control import ControlPolicy, read_control
from ticketing.policy.dispatch import DispatchPolicy, read_dispatch
from ticketing.policy.escalation import EscalationPolicy, read_escalation
from ticketing.policy.heat import HeatPolicy, read_heat
from ticketing.policy.intake import IntakePolicy, read_intake
from ticketing.policy.lifecycle import LifecyclePolicy, read_lifecycle
from ticketing.policy.priority import PriorityPolicy, read_priority
from ticketing.policy.reading import PolicyTable
from ticketing.policy.rescore import RescorePolicy, read_rescore
from ticketing.policy.score import ScorePolicy, read_score
from ticketing.policy.targets import Targets, read_targets
from ticketing.ticket import Clock, HoldReason

PRIORITIES = range(5)


@dataclass(frozen=True, slots=True)
class Policy:
    """One version of the policy, as rules read it."""

    name: str
    sla: tuple[Targets, ...]
    tier_accept_s: Mapping[str, int]
    sla_calendar: Follows
    hold_pauses: Mapping[HoldReason, frozenset[Clock]]
    priority: PriorityPolicy
    score: ScorePolicy
    rescore: RescorePolicy
    heat: HeatPolicy
    breaker: BreakerPolicy
    control: ControlPolicy
    dispatch: DispatchPolicy
    intake: IntakePolicy
    escalation: EscalationPolicy
    confirmation_days: int
    lifecycle: LifecyclePolicy


def read_policy(body: Mapping[str, object]) -> Policy:
    """Return the typed policy of a TOML or JSON table; refuse it as ``invalid_policy`` naming the path."""
    table = PolicyTable(body, "")
    sla = table.table("sla")
    targets = tuple(read_targets(sla.table(f"p{priority}")) for priority in PRIORITIES)
    sla.finish()
    pauses = table.table("hold_pauses")
    hold_pauses = {reason: frozenset(pauses.clocks(reason.value)) for reason in HoldReason}
    pauses.finish()
    priority = read_priority(table.table("priority"))
    tiers = table.table("tier_accept_s")
    tier_accept_s = {
        name: tiers.integer(name, 1, 31_536_000) for name in tiers.names() if tiers.known(name, priority.tier)
    }
    tiers.finish()
    confirmation = table.table("confirmation")
    days = confirmation.integer("valid_days", 1, 90)
    confirmation.finish()
    policy = Policy(
        name=table.text("name"),
        sla=targets,
        tier_accept_s=tier_accept_s,
        sla_calendar=read_sla_calendar(table.table("sla_calendar")),
        hold_pauses=hold_pauses,
        priority=priority,
        score=read_score(table.table("score")),
        rescore=read_rescore(table.table("rescore")),
        heat=read_heat(table.table("heat")),
        breaker=read_breaker(table.table("breaker")),
        control=read_control(table.table("control")),
        dispatch=read_dispatch(table.table("dispatch")),
        intake=read_intake(table.table("intake")),
        escalation=read_escalation(table.table("escalation")),
        confirmation_days=days,
        lifecycle=read_lifecycle(table.table("lifecycle")),
    )
    table.finish()
    return policy
