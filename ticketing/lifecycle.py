"""The life of a ticket, whole: the theory in prose, and THE TABLE. ``deciding.py`` interprets it.

A ticket is in exactly one of five states: new, dispatched, accepted, executing, closed. Everything that
happens to it is a *command*. A command is legal when the table has a row for it that starts in the ticket's
state, names the actor among those who may, and whose conditions hold; otherwise it is refused and nothing
changes. Hold, resolution and confirmation are facts about an executing ticket, not further states: they are
the *conditions* of the table.

Three ideas keep the clocks honest (SPEC T3, T4). Viewing is not accepting, accepting is not responding: only
to depart, to arrive, or to start executing with a photo or an operation log stops the respond clock. Only
*effective* commands, those that leave evidence of work, renew ``last_effective_at``. And a resolution that the
requester disputes was none: its clock runs on from where it would be.

Work changes hands in three ways: a supervisor dispatches again, an engineer transfers to a named colleague, or the
ticket is handed over to another team and is new there. None of them stops a clock of the SLA; only one who had
accepted is followed by an accept clock of the next one's own. The hottest tickets stay with the engineer who took
them, unless a supervisor says otherwise (SPEC S5): that is the condition ``not_heat_locked``.

Every command writes one event to the timeline. Commands that only observe (view, join, overdue, unassigned,
review, replan, escalate, acknowledge) keep the version, so that they never make a person's half-written form stale.

``docs/lifecycle.md`` is generated from this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from ticketing.checks import CheckResult
from ticketing.facts import Fact, FactType
from ticketing.ticket import RESOLUTION_CODES, SLA_CLOCKS, Clock, HoldReason, LinkKind, State


class Command(StrEnum):
    """What can be done to a ticket. From ``OPEN`` on they are the system's own."""

    DISPATCH = "dispatch"
    ACCEPT = "accept"
    DEPART = "depart"
    ARRIVE = "arrive"
    REMOTE_ACTION = "remote_action"
    EXECUTE = "execute"
    NOTE = "note"
    APPROVAL_REQUEST = "approval_request"
    TRANSFER = "transfer"
    HAND_OVER = "hand_over"
    RATE_HAND_OVER = "rate_hand_over"
    HOLD = "hold"
    EXTEND_HOLD = "extend_hold"
    RESUME = "resume"
    USE_PARTS = "use_parts"
    COMPLETE_TASK = "complete_task"
    START_OPERATION = "start_operation"
    FINISH_OPERATION = "finish_operation"
    CHECK_OPERATION = "check_operation"
    RESOLVE = "resolve"
    REQUEST_CONFIRMATION = "request_confirmation"
    CONFIRM = "confirm"
    DISPUTE = "dispute"
    CLOSE = "close"
    CANCEL = "cancel"
    OVERRIDE_PRIORITY = "override_priority"
    END_OVERRIDE = "end_override"
    SPLIT = "split"
    LINK = "link"
    MERGE = "merge"
    REOPEN = "reopen"
    ACKNOWLEDGE = "acknowledge"
    VIEW = "view"
    OPEN = "open"
    JOIN = "join"
    UNASSIGNED = "unassigned"
    OVERDUE = "overdue"
    REVIEW = "review"
    REPLAN = "replan"
    ESCALATE = "escalate"
    PASS_TO_BACKUP = "pass_to_backup"
    REPRIORITISE = "reprioritise"
    LINKED = "linked"
    ABSORB = "absorb"


class Who(StrEnum):
    """Who may. A supervisor's rights are an admin's too; roles count at the ticket's site.

    A receiver is an engineer or the lead of a team that was handed the ticket and has not rated the hand-over yet.
    """

    ASSIGNEE = "assignee"
    ENGINEER = "engineer"
    SUPERVISOR = "supervisor"
    PLANNER = "planner"
    RECEIVER = "receiver"
    REQUESTER = "requester"
    LINK = "link"
    SYSTEM = "system"
    REACHED = "reached"


class Condition(StrEnum):
    """What must hold beside the state."""

    NOT_ON_HOLD = "not_on_hold"
    ON_HOLD = "on_hold"
    NOT_RESOLVED = "not_resolved"
    RESOLVED = "resolved"
    NOT_CONFIRMED = "not_confirmed"
    GATES_PASSED = "gates_passed"
    OPERATION_TO_START = "operation_to_start"
    OPERATION_TO_FINISH = "operation_to_finish"
    OPERATION_TO_CHECK = "operation_to_check"
    ESCALATED = "escalated"
    NOT_HEAT_LOCKED = "not_heat_locked"
    OVERRIDDEN = "overridden"
    REOPENABLE = "reopenable"


class Source(StrEnum):
    """Where a recorded value comes from when it is not the fact of the same name."""

    FACT = "fact"
    NOW = "now"
    NOW_ONCE = "now_once"
    ACTOR = "actor"
    NOTHING = "nothing"
    RESOLUTION = "resolution"
    CANCELLED = "cancelled"
    MERGED = "merged"
    ONE_MORE = "one_more"


@dataclass(frozen=True, slots=True)
class Step:
    """One row. ``to`` None leaves the state. ``records`` maps fields of the ticket to their source.

    A clock among ``starts`` goes on as if it had never stopped, or for the first time; one of ``anew`` has its whole
    target again.
    """

    command: Command
    origins: tuple[State, ...]
    to: State | None
    who: tuple[Who, ...]
    facts: tuple[Fact, ...] = ()
    when: tuple[Condition, ...] = ()
    effective: bool = False
    stops: tuple[Clock, ...] = ()
    starts: tuple[Clock, ...] = ()
    anew: tuple[Clock, ...] = ()
    records: Mapping[str, Source] | None = None
    observes: bool = False
    summary_required: bool = False


NEW, DISPATCHED, ACCEPTED, EXECUTING, CLOSED = State
OPEN_STATES = (NEW, DISPATCHED, ACCEPTED, EXECUTING)
WORKING = (ACCEPTED, EXECUTING)
PEOPLE = (Who.ASSIGNEE, Who.ENGINEER, Who.SUPERVISOR, Who.PLANNER, Who.REQUESTER)
AT_WORK = (Condition.NOT_ON_HOLD, Condition.NOT_RESOLVED)
MOVABLE = (*AT_WORK, Condition.NOT_HEAT_LOCKED)

_ASSIGNEE_ID = Fact("assignee_id", FactType.PERSON, "Engineer", "工程师")
_EXPECTED = Fact("expected_response_at", FactType.FUTURE_TIME, "Expected response time", "预计响应时间")
_LATITUDE = Fact("latitude", FactType.NUMBER, "Latitude", "纬度", required=False)
_LONGITUDE = Fact("longitude", FactType.NUMBER, "Longitude", "经度", required=False)
_EVIDENCE = Fact("attachment_id", FactType.ATTACHMENT, "First photo or operation log", "首张照片或操作日志")
_CONTENT = Fact("content", FactType.TEXT, "Content", "内容")
_HOLD_REASON = Fact("reason", FactType.CHOICE, "Reason", "原因", options=tuple(HoldReason))
_REVIEW_AT = Fact("review_at", FactType.FUTURE_TIME, "Review date", "复查时间")
_LINES = Fact("lines", FactType.LINES, "Parts issued, used, returned (totals)", "备件领用、使用、退回（累计）")
_TASK = Fact("number", FactType.INTEGER, "Task", "任务")
_RESULT = Fact("result", FactType.CHOICE, "Result", "结果", required=False, options=tuple(CheckResult))
_READING = Fact("reading", FactType.READING, "Reading", "读数", required=False)
_REMARK = Fact("remark", FactType.TEXT, "Remark", "备注", required=False, may_be_brief=True)
_CODE = Fact("resolution_code", FactType.CHOICE, "Resolution", "处理结论", options=tuple(RESOLUTION_CODES))
_FOUND = Fact("found_failure_mode", FactType.FAILURE_MODE, "Failure mode found", "实际失效模式", required=False)
_CAUSE = Fact("cause", FactType.TEXT, "Cause", "原因")
_ACTION = Fact("action_taken", FactType.TEXT, "Action taken", "处理措施")
_FINISHED = Fact(
    "work_finished_at", FactType.TIME, "Work finished (equipment time)", "完工时间（设备时间）", required=False
)
_SATISFIED = Fact("satisfied", FactType.BOOLEAN, "Satisfied?", "是否满意？", required=False)
_COMMENT = Fact("comment", FactType.TEXT, "Comment", "意见", required=False, may_be_brief=True)
_STILL_WRONG = Fact("cause", FactType.TEXT, "What is still wrong?", "仍存在什么问题？", may_be_brief=True)
_OPERATION = Fact("operation", FactType.OPERATION, "Operation", "工序")
_LEVEL = Fact("level", FactType.CHOICE, "Priority", "优先级", options=("P0", "P1", "P2", "P3", "P4"))
_CHECK_RESULT = Fact("result", FactType.CHOICE, "Quality check", "质检结果", options=("passed", "failed"))
_MEASURED = Fact("remark", FactType.TEXT, "What was measured or is wrong", "实测情况或不合格原因", required=False)
_REASON = Fact("reason", FactType.TEXT, "Reason", "原因")
_TEAM = Fact("team_id", FactType.TEAM, "Backup team", "备用班组")
_FROM_TEAM = Fact("from_team_id", FactType.INTEGER, "Team before", "原班组", required=False)
_REMOTE = Fact("action", FactType.TEXT, "What was done remotely", "远程操作内容")
_WHAT = Fact("what", FactType.TEXT, "What needs approval", "申请审批的内容")
_AMOUNT = Fact("amount", FactType.AMOUNT, "Amount", "金额", required=False)
_HAND_OVER = (
    Fact("team_id", FactType.TEAM, "Receiving team", "接收班组"),
    Fact("asked", FactType.TEXT, "What is asked of them", "请对方完成的工作"),
    Fact("history", FactType.TEXT, "What was done so far", "已完成的工作"),
    Fact("serial_number", FactType.TEXT, "Serial number", "序列号", required=False, may_be_brief=True),
    Fact(
        "requester_contact",
        FactType.TEXT,
        "Requester and how to reach them",
        "报修人及联系方式",
        required=False,
        may_be_brief=True,
    ),
)
_RATING = Fact("rating", FactType.RATING, "Rating, 1 (poor) to 5 (complete)", "评分：1（差）至 5（完整）")

_TITLE = Fact("title", FactType.TEXT, "Title", "标题")
_DESCRIPTION = Fact("description", FactType.TEXT, "Description", "描述", required=False, may_be_brief=True)
_OTHER_MODE = Fact("failure_mode", FactType.FAILURE_MODE, "Its failure mode", "其失效模式", required=False)
_OTHER_TEAM = Fact("team_id", FactType.TEAM, "Its team", "其班组", required=False)
_OTHER_TICKET = Fact("other", FactType.TICKET, "Other ticket", "另一工单")
_LINK_KIND = Fact("kind", FactType.CHOICE, "How they belong together", "关联方式", options=tuple(LinkKind))
_SURVIVOR = Fact("merged_into", FactType.TICKET, "Ticket that goes on", "保留的工单")

_TO_COLLEAGUE = {"assignee_id": Source.FACT, "expected_response_at": Source.NOTHING}
_TO_TEAM = {"team_id": Source.FACT, "assignee_id": Source.NOTHING, "expected_response_at": Source.NOTHING}
_FORGET_RESOLUTION = dict.fromkeys(("resolved_at", "confirmed_at", "confirmed_by"), Source.NOTHING)

_BEGIN_AGAIN = {
    **_FORGET_RESOLUTION,
    **dict.fromkeys(("outcome", "closed_at", "assignee_id", "expected_response_at"), Source.NOTHING),
    **dict.fromkeys(("resolution_code", "found_failure_mode", "cause", "action_taken"), Source.NOTHING),
    "work_finished_at": Source.NOTHING,
    "reopened_count": Source.ONE_MORE,
}

C, W, K, S = Command, Who, Clock, Source
# fmt: off
TABLE: tuple[Step, ...] = (
    Step(C.DISPATCH, (NEW,), DISPATCHED, (W.SUPERVISOR, W.PLANNER, W.SYSTEM), (_ASSIGNEE_ID,),
         records={"assignee_id": S.FACT}),
    Step(C.DISPATCH, (DISPATCHED,), DISPATCHED, (W.SUPERVISOR, W.PLANNER), (_ASSIGNEE_ID,),
         records={"assignee_id": S.FACT}),
    # Taken from the one who had accepted it: the next engineer gets an accept clock of their own.
    Step(C.DISPATCH, WORKING, DISPATCHED, (W.SUPERVISOR,), (_ASSIGNEE_ID,), AT_WORK,
         stops=(K.PROMISE,), starts=(K.ACCEPT,),
         records={"assignee_id": S.FACT, "expected_response_at": S.NOTHING}),
    Step(C.ACCEPT, (DISPATCHED,), ACCEPTED, (W.ASSIGNEE,), (_EXPECTED,),
         stops=(K.ACCEPT,), starts=(K.PROMISE,), records={"expected_response_at": S.FACT}),
    # A claim: an engineer whom the dispatch rules allow takes a new ticket.
    Step(C.ACCEPT, (NEW,), ACCEPTED, (W.ENGINEER,), (_EXPECTED,),
         stops=(K.ACCEPT,), starts=(K.PROMISE,), records={"assignee_id": S.ACTOR, "expected_response_at": S.FACT}),
    Step(C.DEPART, WORKING, None, (W.ASSIGNEE,), (_LATITUDE, _LONGITUDE), AT_WORK, effective=True,
         stops=(K.RESPOND, K.PROMISE), records={"responded_at": S.NOW_ONCE}),
    Step(C.ARRIVE, WORKING, None, (W.ASSIGNEE,), (_LATITUDE, _LONGITUDE), AT_WORK, effective=True,
         stops=(K.RESPOND, K.PROMISE), records={"responded_at": S.NOW_ONCE}),
    # A response without a journey, if it is named (SPEC T3).
    Step(C.REMOTE_ACTION, WORKING, None, (W.ASSIGNEE,), (_REMOTE,), AT_WORK, effective=True,
         stops=(K.RESPOND, K.PROMISE), records={"responded_at": S.NOW_ONCE}, summary_required=True),
    Step(C.EXECUTE, (ACCEPTED,), EXECUTING, (W.ASSIGNEE,), (_EVIDENCE,), AT_WORK, effective=True,
         stops=(K.RESPOND, K.PROMISE), records={"responded_at": S.NOW_ONCE}, summary_required=True),
    Step(C.NOTE, OPEN_STATES, None, (W.ASSIGNEE, W.ENGINEER, W.SUPERVISOR, W.PLANNER), (_CONTENT,), effective=True,
         summary_required=True),
    # A requester who asks again is no sign that anybody works.
    Step(C.NOTE, OPEN_STATES, None, (W.REQUESTER,), (_CONTENT,)),
    Step(C.APPROVAL_REQUEST, WORKING, None, (W.ASSIGNEE,), (_WHAT, _AMOUNT), (Condition.NOT_RESOLVED,),
         effective=True, summary_required=True),
    # To a named colleague. Where nobody has accepted yet, the accept clock runs on: passing on is no way to win time.
    Step(C.TRANSFER, (DISPATCHED,), DISPATCHED, (W.SUPERVISOR,), (_ASSIGNEE_ID, _REASON), effective=True,
         records=_TO_COLLEAGUE),
    Step(C.TRANSFER, (DISPATCHED,), DISPATCHED, (W.ASSIGNEE,), (_ASSIGNEE_ID, _REASON), (Condition.NOT_HEAT_LOCKED,),
         effective=True, records=_TO_COLLEAGUE),
    Step(C.TRANSFER, WORKING, DISPATCHED, (W.SUPERVISOR,), (_ASSIGNEE_ID, _REASON), AT_WORK, effective=True,
         stops=(K.PROMISE,), starts=(K.ACCEPT,), records=_TO_COLLEAGUE),
    Step(C.TRANSFER, WORKING, DISPATCHED, (W.ASSIGNEE,), (_ASSIGNEE_ID, _REASON), MOVABLE, effective=True,
         stops=(K.PROMISE,), starts=(K.ACCEPT,), records=_TO_COLLEAGUE),
    # To another team, where it is new again.
    Step(C.HAND_OVER, (NEW, DISPATCHED), NEW, (W.SUPERVISOR,), _HAND_OVER, effective=True, records=_TO_TEAM),
    Step(C.HAND_OVER, (NEW, DISPATCHED), NEW, (W.ASSIGNEE, W.PLANNER), _HAND_OVER, (Condition.NOT_HEAT_LOCKED,),
         effective=True, records=_TO_TEAM),
    Step(C.HAND_OVER, WORKING, NEW, (W.SUPERVISOR,), _HAND_OVER, AT_WORK, effective=True,
         stops=(K.PROMISE,), starts=(K.ACCEPT,), records=_TO_TEAM),
    Step(C.HAND_OVER, WORKING, NEW, (W.ASSIGNEE, W.PLANNER), _HAND_OVER, MOVABLE, effective=True,
         stops=(K.PROMISE,), starts=(K.ACCEPT,), records=_TO_TEAM),
    Step(C.RATE_HAND_OVER, tuple(State), None, (W.RECEIVER,), (_RATING, _COMMENT), observes=True),
    Step(C.HOLD, WORKING, None, (W.ASSIGNEE, W.SUPERVISOR), (_HOLD_REASON, _REVIEW_AT), AT_WORK),
    Step(C.EXTEND_HOLD, WORKING, None, (W.ASSIGNEE, W.SUPERVISOR), (_REVIEW_AT, _REASON), (Condition.ON_HOLD,)),
    Step(C.RESUME, WORKING, None, (W.ASSIGNEE, W.SUPERVISOR, W.PLANNER), (), (Condition.ON_HOLD,)),
    Step(C.USE_PARTS, (EXECUTING,), None, (W.ASSIGNEE, W.SUPERVISOR), (_LINES,), (Condition.NOT_ON_HOLD,),
         effective=True),
    Step(C.COMPLETE_TASK, (EXECUTING,), None, (W.ASSIGNEE,), (_TASK, _RESULT, _READING, _REMARK),
         (Condition.NOT_ON_HOLD,), effective=True),
    # One operation after the other; who worked on it does not check it (storage/effects/producing.py).
    Step(C.START_OPERATION, (EXECUTING,), None, (W.ASSIGNEE, W.ENGINEER, W.SUPERVISOR), (_OPERATION,),
         (*AT_WORK, Condition.OPERATION_TO_START), effective=True),
    Step(C.FINISH_OPERATION, (EXECUTING,), None, (W.ASSIGNEE, W.ENGINEER, W.SUPERVISOR), (_OPERATION,),
         (*AT_WORK, Condition.OPERATION_TO_FINISH), effective=True),
    Step(C.CHECK_OPERATION, (EXECUTING,), None, (W.ENGINEER, W.SUPERVISOR, W.PLANNER),
         (_OPERATION, _CHECK_RESULT, _MEASURED), (*AT_WORK, Condition.OPERATION_TO_CHECK), effective=True),
    Step(C.RESOLVE, (EXECUTING,), None, (W.ASSIGNEE,), (_CODE, _FOUND, _CAUSE, _ACTION, _FINISHED), AT_WORK,
         effective=True, stops=(K.RESOLVE,), summary_required=True,
         records={"resolution_code": S.FACT, "found_failure_mode": S.FACT, "cause": S.FACT, "action_taken": S.FACT,
                  "work_finished_at": S.FACT, "resolved_at": S.NOW}),
    Step(C.REQUEST_CONFIRMATION, (EXECUTING,), None, (W.ASSIGNEE, W.SUPERVISOR, W.REQUESTER), (),
         (Condition.RESOLVED, Condition.NOT_CONFIRMED)),
    Step(C.CONFIRM, (EXECUTING,), None, (W.LINK, W.SUPERVISOR), (_SATISFIED, _COMMENT),
         (Condition.RESOLVED, Condition.NOT_CONFIRMED), records={"confirmed_at": S.NOW, "confirmed_by": S.ACTOR}),
    # "Not solved": the resolution is taken back and its clock has never stopped.
    Step(C.DISPUTE, (EXECUTING,), None, (W.LINK, W.SUPERVISOR), (_STILL_WRONG, _COMMENT, _SATISFIED),
         (Condition.RESOLVED, Condition.NOT_CONFIRMED), starts=(K.RESOLVE,), records=_FORGET_RESOLUTION),
    Step(C.CLOSE, (EXECUTING,), CLOSED, (W.ASSIGNEE, W.SUPERVISOR), (),
         (Condition.NOT_ON_HOLD, Condition.GATES_PASSED), stops=(K.CLOSE,),
         records={"closed_at": S.NOW, "outcome": S.RESOLUTION}),
    Step(C.CANCEL, OPEN_STATES, CLOSED, (W.SUPERVISOR, W.PLANNER), (_REASON,), stops=(*SLA_CLOCKS, K.PROMISE),
         records={"closed_at": S.NOW, "outcome": S.CANCELLED}),
    # What a person set stays, whatever the score says, until somebody ends it (SPEC S1).
    Step(C.OVERRIDE_PRIORITY, OPEN_STATES, None, (W.SUPERVISOR, W.PLANNER), (_LEVEL, _REASON)),
    Step(C.END_OVERRIDE, OPEN_STATES, None, (W.SUPERVISOR, W.PLANNER), (), (Condition.OVERRIDDEN,)),
    Step(C.SPLIT, OPEN_STATES, None, (W.ASSIGNEE, W.ENGINEER, W.SUPERVISOR, W.PLANNER),
         (_TITLE, _DESCRIPTION, _OTHER_MODE, _OTHER_TEAM)),
    Step(C.LINK, tuple(State), None, (W.ASSIGNEE, W.ENGINEER, W.SUPERVISOR, W.PLANNER), (_OTHER_TICKET, _LINK_KIND),
         observes=True),
    Step(C.MERGE, OPEN_STATES, CLOSED, (W.ENGINEER, W.SUPERVISOR, W.PLANNER), (_SURVIVOR,),
         (Condition.NOT_RESOLVED,), stops=(*SLA_CLOCKS, K.PROMISE),
         records={"closed_at": S.NOW, "outcome": S.MERGED, "merged_into": S.FACT}),
    # What was said to be solved is not: whoever takes it next has time to accept, and the work its whole target again.
    Step(C.REOPEN, (CLOSED,), NEW, (W.ASSIGNEE, W.SUPERVISOR, W.PLANNER, W.REQUESTER), (_REASON,),
         (Condition.REOPENABLE,), anew=(K.ACCEPT, K.RESOLVE, K.CLOSE), records=_BEGIN_AGAIN),
    Step(C.VIEW, tuple(State), None, PEOPLE, observes=True),
    Step(C.JOIN, OPEN_STATES, None, (W.SYSTEM,), observes=True),
    Step(C.UNASSIGNED, (NEW,), None, (W.SYSTEM,), observes=True),
    Step(C.OVERDUE, OPEN_STATES, None, (W.SYSTEM,), observes=True),
    Step(C.REVIEW, WORKING, None, (W.SYSTEM,), (), (Condition.ON_HOLD,), observes=True),
    # A calendar changed: due dates move, and what people have before them stays right.
    Step(C.REPLAN, OPEN_STATES, None, (W.SYSTEM,), observes=True),
    # The other end of a link, a split, a failed check; and the survivor's side of a merge.
    Step(C.LINKED, tuple(State), None, (W.SYSTEM,), observes=True),
    Step(C.ABSORB, OPEN_STATES, None, (W.SYSTEM,), observes=True),
    Step(C.ESCALATE, OPEN_STATES, None, (W.SYSTEM,), observes=True),
    # Whoever it reached has seen it: silence until the next ladder. It is no work, and renews nothing.
    Step(C.ACKNOWLEDGE, OPEN_STATES, None, (W.REACHED, W.SUPERVISOR), (_COMMENT,), (Condition.ESCALATED,),
         observes=True),
    # Nobody accepted it: the backup team's engineers get an accept clock of their own.
    Step(C.PASS_TO_BACKUP, (DISPATCHED,), NEW, (W.SYSTEM,), (_TEAM, _FROM_TEAM), anew=(K.ACCEPT,),
         records={"assignee_id": S.NOTHING, "team_id": S.FACT}),
    Step(C.REPRIORITISE, OPEN_STATES, None, (W.SYSTEM,), observes=True),
)
# fmt: on
OBSERVING = frozenset(step.command for step in TABLE if step.observes)
