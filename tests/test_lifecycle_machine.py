"""The lifecycle table as a state machine: random commands by random people, with the clocks beside it (SPEC T1-T5, T9).

``make campaign-tickets`` runs 20,000 steps; the tests run fewer. Hypothesis prints the seed and the shortest way to
a broken invariant.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from domain.refusals import Refused
from domain.working_time import ROUND_THE_CLOCK, Segment, WorkingCalendar
from tests.ticket_builders import DAY, HOUR, MINUTE, NOW, a_ticket, an_actor, the_policy
from ticketing.actors import SYSTEM, Actor, Role, link_holder
from ticketing.closure import unpassed_gates
from ticketing.deciding import Decision, decide, steps_for
from ticketing.lifecycle import TABLE, Command
from ticketing.sla import Hold, RunningClock, after_step, open_clocks, ticket_due
from ticketing.steps import next_steps
from ticketing.ticket import RESOLUTION_CODES, Clock, HoldReason, Kind, LinkKind, Outcome, State, Ticket

STEPS = int(os.environ.get("LIFECYCLE_STEPS", "2000"))
STEPS_A_RUN, MEAN_OF_A_RUN = 100, 25
MOST_TO_FINISH = 40

ENGINEERS = (an_actor(1, Role.ENGINEER), an_actor(2, Role.ENGINEER))
SUPERVISOR, PLANNER = an_actor(3, Role.SUPERVISOR), an_actor(4, Role.PLANNER)
BOTH = an_actor(5, Role.ENGINEER, Role.SUPERVISOR)
RECEIVER, REQUESTER = an_actor(7), an_actor(9, Role.REQUESTER)
LINK = link_holder("Requester")
STRANGER = an_actor(8, Role.SUPERVISOR, site="elsewhere")
PEOPLE = (*ENGINEERS, SUPERVISOR, PLANNER, BOTH, RECEIVER, REQUESTER, STRANGER, LINK, SYSTEM)

OFFICE = WorkingCalendar(
    "Asia/Shanghai", ((Segment(8 * 3600, 12 * 3600), Segment(13 * 3600, 17 * 3600 + 1800)),) * 5 + ((), ())
)
WORKING = {None: ROUND_THE_CLOCK, "weekdays": OFFICE}
SUMMARY = "bearing replaced"
TEXT = "Outer race pitted over a third of its width"
REFUSALS = {"not_a_legal_step", "not_permitted", "already_claimed", "gate_not_passed", "missing_fact", "invalid_fact"}

# What may be done at any time, or ends a life early, comes seldom, so that lives get somewhere.
SELDOM = {
    *(Command.CANCEL, Command.MERGE, Command.SPLIT, Command.LINK, Command.NOTE, Command.VIEW, Command.OVERDUE),
    *(Command.JOIN, Command.UNASSIGNED, Command.LINKED, Command.ABSORB, Command.REVIEW),
}

DISTURBANCES = (
    *(Command.HOLD, Command.EXTEND_HOLD, Command.TRANSFER, Command.HAND_OVER, Command.DISPUTE),
    *(Command.APPROVAL_REQUEST, Command.REMOTE_ACTION),
)

done: Counter[str] = Counter()
unexpected: set[str] = set()


def facts_for(command: Command, number: int, now: datetime) -> dict[str, object]:
    """Return good facts of a command; ``number`` chooses among them."""
    soon = (now + (1 + number % 5) * HOUR).isoformat()
    colleague = 1 + number % 2
    table: dict[Command, dict[str, object]] = {
        Command.DISPATCH: {"assignee_id": colleague},
        Command.ACCEPT: {"expected_response_at": soon},
        Command.REMOTE_ACTION: {"action": TEXT},
        Command.EXECUTE: {"attachment_id": str(UUID(int=7))},
        Command.NOTE: {"content": TEXT},
        Command.APPROVAL_REQUEST: {"what": TEXT, "amount": number},
        Command.TRANSFER: {"assignee_id": colleague, "reason": TEXT},
        Command.HAND_OVER: {"team_id": 1 + number % 3, "asked": TEXT, "history": TEXT},
        Command.RATE_HAND_OVER: {"rating": 1 + number % 5},
        Command.HOLD: {"reason": list(HoldReason)[number % len(HoldReason)], "review_at": soon},
        Command.EXTEND_HOLD: {"review_at": soon, "reason": TEXT},
        Command.USE_PARTS: {"lines": [{"part_number": "6204-2RS", "issued": 2, "used": 1, "returned": 1}]},
        Command.COMPLETE_TASK: {"number": 1},
        Command.START_OPERATION: {"operation": 1},
        Command.FINISH_OPERATION: {"operation": 1},
        Command.CHECK_OPERATION: {"operation": 1, "result": "passed"},
        Command.RESOLVE: {
            "resolution_code": RESOLUTION_CODES[number % len(RESOLUTION_CODES)],
            "cause": TEXT,
            "action_taken": TEXT,
        },
        Command.DISPUTE: {"cause": TEXT},
        Command.CANCEL: {"reason": TEXT},
        Command.SPLIT: {"title": TEXT, "team_id": 2},
        Command.LINK: {"other": "D000002", "kind": list(LinkKind)[number % 3]},
        Command.MERGE: {"merged_into": "D000002"},
        Command.REOPEN: {"reason": TEXT},
    }
    return table.get(command, {})


class Life(RuleBasedStateMachine):
    """One ticket with its clocks and holds, as the edge would keep them."""

    @initialize(kind=st.sampled_from((Kind.PREVENTIVE, Kind.CORRECTIVE, Kind.INSPECTION)), level=st.integers(0, 4))
    def open(self, kind: Kind, level: int) -> None:
        """Open a ticket."""
        self.policy = the_policy()
        self.now = NOW
        self.ticket: Ticket = a_ticket(kind=kind, open_tasks=2)
        self.clocks: tuple[RunningClock, ...] = open_clocks(self.policy, level, "standard", NOW, "weekdays", OFFICE)
        self.holds: list[Hold] = []

    @rule(who=st.sampled_from(PEOPLE), command=st.sampled_from(list(Command)), number=st.integers(0, 59))
    def try_anything(self, who: Actor, command: Command, number: int) -> None:
        """Let anybody try any command."""
        self._try(who, command, number)

    @rule(who=st.sampled_from(PEOPLE), choice=st.integers(0, 99), number=st.integers(0, 59))
    def do_something_legal(self, who: Actor, choice: int, number: int) -> None:
        """Let somebody do what the table offers them; whoever has the ticket acts most."""
        actor = self._holder() if choice % 2 and self.ticket.assignee_id is not None else who
        steps = [step for step in steps_for(self.ticket, actor) if choice > 90 or step.command not in SELDOM]
        if steps:
            self._try(actor, steps[choice % len(steps)].command, number)

    @rule(times=st.integers(1, 4))
    def go_on(self, times: int) -> None:
        """Let whoever is next do what comes next: most lives are ordinary ones."""
        for _ in range(times):
            if self.ticket.state is not State.CLOSED:
                self._finish_a_little()

    @rule(command=st.sampled_from(DISTURBANCES), number=st.integers(0, 59))
    def disturb(self, command: Command, number: int) -> None:
        """Let work stop, change hands or be found wanting."""
        self._try(LINK if command is Command.DISPUTE else self._holder(), command, number)

    @rule(minutes=st.sampled_from((1, 20, 90, 600, 4_000)))
    def wait(self, minutes: int) -> None:
        """Let time pass, over nights and weekends too."""
        self.now += minutes * MINUTE

    @rule(hot=st.booleans(), photos=st.integers(0, 2), parts=st.booleans(), receiver=st.booleans())
    def change_beside(self, hot: bool, photos: int, parts: bool, receiver: bool) -> None:
        """Let happen what no command of this ticket does: heat, uploads, parts from the store, a hand-over to rate."""
        self.ticket = replace(
            self.ticket,
            is_heat_locked=hot,
            attachments=max(photos, self.ticket.attachments),
            unreconciled_parts=("6204-2RS",) if parts else self.ticket.unreconciled_parts,
            receiver_ids=(7,) if receiver else (),
        )

    @invariant()
    def is_sound(self) -> None:
        """What must hold after every step."""
        ticket = self.ticket
        assert (ticket.state is State.CLOSED) == (ticket.outcome is not None) == (ticket.closed_at is not None)
        assert (ticket.outcome is Outcome.MERGED) == (ticket.merged_into is not None)
        assert sum(hold.ended_at is None for hold in self.holds) == int(ticket.is_on_hold) <= 1
        if ticket.is_on_hold:
            assert ticket.state in (State.ACCEPTED, State.EXECUTING)
        assert (ticket.assignee_id is None) <= (ticket.state in (State.NEW, State.CLOSED))
        assert (ticket.assignee_id is not None) <= (ticket.state is not State.NEW)
        if ticket.state is State.EXECUTING:
            assert ticket.responded_at is not None
        if ticket.confirmed_at is not None:
            assert ticket.resolved_at is not None
        assert len({clock.clock for clock in self.clocks}) == len(self.clocks)
        for clock in self.clocks:
            assert clock.started_at <= min(clock.due_at, clock.stopped_at or clock.due_at)
        if ticket.state is State.CLOSED:
            assert all(clock.stopped_at is not None for clock in self.clocks if clock.clock is Clock.CLOSE)

    def teardown(self) -> None:
        """Once faults stop, everybody doing their next step brings the ticket to its end."""
        if not hasattr(self, "ticket"):
            return
        for _ in range(MOST_TO_FINISH):
            if self.ticket.state is State.CLOSED:
                break
            self._finish_a_little()
        assert self.ticket.state is State.CLOSED, f"nobody could finish {self.ticket}"
        done["finished"] += 1

    def _holder(self) -> Actor:
        held = self.ticket.assignee_id
        return next((one for one in PEOPLE if one.person_id == held), an_actor(held or 1, Role.ENGINEER))

    def _finish_a_little(self) -> None:
        ticket = self.ticket
        self.ticket = replace(ticket, attachments=max(1, ticket.attachments))
        for actor in (self._holder(), SUPERVISOR):
            offered = next_steps(self.ticket, actor, "en")
            primary = next((step for step in offered if step.primary), None)
            if primary is not None and primary.command != Command.REQUEST_CONFIRMATION:
                assert self._try(actor, Command(primary.command), 0) is not None
                return
        raise AssertionError(f"nobody has a next step for {self.ticket}")

    def _try(self, actor: Actor, command: Command, number: int) -> Decision | None:
        """Have a command judged; when it is legal do what the edge does, and hold it against its row."""
        done["tried"] += 1
        before = self.ticket
        try:
            decision = decide(before, command, facts_for(command, number, self.now), actor, self.now, summary=SUMMARY)
        except Refused as refused:
            done["refused"] += 1
            unexpected.update({refused.name} - REFUSALS)
            return None
        done[command.value] += 1
        self._keep(decision)
        self._check_step(before, decision)
        return decision

    def _keep(self, decision: Decision) -> None:
        step, after = decision.step, decision.after
        hold = next((one for one in self.holds if one.ended_at is None), None)
        ends = hold is not None and (step.command is Command.RESUME or after.state is State.CLOSED)
        self.before_clocks = self.clocks
        if not step.observes:
            self.clocks = after_step(
                self.clocks,
                stops=step.stops,
                starts=step.starts,
                anew=step.anew,
                ended_hold=hold if ends else None,
                expected_response_at=after.expected_response_at,
                policy=self.policy,
                now=self.now,
                working=WORKING,
            )
        if ends and hold is not None:
            self.holds = [replace(one, ended_at=self.now) if one is hold else one for one in self.holds]
        if step.command is Command.HOLD:
            reason, review_at = decision.facts["reason"], decision.facts["review_at"]
            assert isinstance(review_at, datetime)
            self.holds.append(Hold(self.now, HoldReason(str(reason)), review_at))
        self.ticket = replace(
            after,
            is_on_hold=any(one.ended_at is None for one in self.holds),
            due_at=ticket_due(self.clocks, None),
            open_tasks=max(0, after.open_tasks - (step.command is Command.COMPLETE_TASK)),
            unreconciled_parts=() if step.command is Command.USE_PARTS else after.unreconciled_parts,
            receiver_ids=() if step.command is Command.RATE_HAND_OVER else after.receiver_ids,
            reopens_until=self.now + 30 * DAY if after.state is State.CLOSED else None,
        )

    def _check_step(self, before: Ticket, decision: Decision) -> None:
        step, after = decision.step, decision.after
        assert step in TABLE
        assert before.state in step.origins
        assert after.state is (step.to or before.state)
        assert after.version == before.version + (not step.observes)
        assert after.last_effective_at == (self.now if step.effective else before.last_effective_at)
        if before.state is State.CLOSED:
            assert step.observes or step.command is Command.REOPEN
            assert (step.command is Command.REOPEN) <= (before.outcome in RESOLUTION_CODES)
        if step.observes:
            assert after == before
            assert self.clocks == self.before_clocks
        if step.command is Command.CLOSE:
            assert not unpassed_gates(before)
            assert after.outcome is before.resolution_code
        self._check_clocks(decision)

    def _check_clocks(self, decision: Decision) -> None:
        """A clock stops by its row, starts by its row, and its due time only ever moves on."""
        step, old = decision.step, {clock.clock: clock for clock in self.before_clocks}
        assert set(old) - {Clock.PROMISE} == {clock.clock for clock in self.clocks} - {Clock.PROMISE}
        for clock in self.clocks:
            was = old.get(clock.clock)
            if was is None or clock.clock in (*step.anew, *step.starts):
                continue
            assert (clock.started_at, clock.target_s) == (was.started_at, was.target_s)
            assert clock.due_at >= was.due_at
            if was.stopped_at is not None:
                assert clock.stopped_at == was.stopped_at
            elif clock.stopped_at is not None:
                assert clock.clock in step.stops
                assert clock.stopped_at == self.now
            if step.command is not Command.RESUME and decision.after.state is not State.CLOSED:
                assert clock.due_at == was.due_at


def test_random_lives_break_no_invariant_and_can_always_end() -> None:
    """SPEC T1-T5, T9: with the time since the first step, over nights, weekends and holds."""
    done.clear()
    unexpected.clear()
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=max(1, STEPS // MEAN_OF_A_RUN),
            stateful_step_count=STEPS_A_RUN,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
            database=None,
            # The same lives at every test run; the campaign is given a seed, and prints it.
            derandomize="LIFECYCLE_STEPS" not in os.environ,
        ),
    )
    told = ", ".join(f"{name} {count:,}" for name, count in sorted(done.items()))
    sys.stdout.write(f"\n{done['tried']:,} commands tried: {told}\n")
    assert not unexpected
    assert done["tried"] >= STEPS
    assert done["tried"] - done["refused"] > STEPS / 5
    assert {"close", "merge", "reopen", "hand_over", "transfer", "hold", "dispute", "finished"} <= set(done)
