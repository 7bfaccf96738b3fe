"""Next steps: what an actor may do with a ticket now, and what it needs, so that no client has rules of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ticketing.actors import Actor
from ticketing.closure import unpassed_gates
from ticketing.deciding import steps_for, unmet
from ticketing.facts import BEST_RATING, Fact, FactType
from ticketing.lifecycle import Command, Condition, Step
from ticketing.operations import PHASES, is_turn
from ticketing.ticket import State, Ticket

LABELS: dict[Command, tuple[str, str]] = {
    Command.DISPATCH: ("Dispatch", "分派"),
    Command.ACCEPT: ("Accept", "受理"),
    Command.DEPART: ("Depart", "出发"),
    Command.ARRIVE: ("Arrive on site", "到达现场"),
    Command.REMOTE_ACTION: ("Act remotely", "远程处理"),
    Command.EXECUTE: ("Start work", "开始执行"),
    Command.NOTE: ("Add a note", "添加记录"),
    Command.APPROVAL_REQUEST: ("Ask for approval", "申请审批"),
    Command.TRANSFER: ("Transfer to a colleague", "转派同事"),
    Command.HAND_OVER: ("Hand over to another team", "移交其他班组"),
    Command.RATE_HAND_OVER: ("Rate the hand-over", "评价移交"),
    Command.HOLD: ("Put on hold", "挂起"),
    Command.EXTEND_HOLD: ("Move the review date", "调整复查时间"),
    Command.RESUME: ("Resume", "恢复"),
    Command.USE_PARTS: ("Record parts", "登记备件"),
    Command.COMPLETE_TASK: ("Complete a task", "完成任务"),
    Command.START_OPERATION: ("Start an operation", "开始工序"),
    Command.FINISH_OPERATION: ("Finish an operation", "完成工序"),
    Command.CHECK_OPERATION: ("Check an operation", "工序质检"),
    Command.RESOLVE: ("Submit resolution", "提交处理结论"),
    Command.REQUEST_CONFIRMATION: ("Ask for confirmation", "请求确认"),
    Command.CONFIRM: ("Confirm for the requester", "代报修人确认"),
    Command.DISPUTE: ("Not solved", "未解决"),
    Command.CLOSE: ("Close", "关闭"),
    Command.CANCEL: ("Cancel", "取消"),
    Command.OVERRIDE_PRIORITY: ("Set the priority", "设定优先级"),
    Command.END_OVERRIDE: ("Let the score decide again", "恢复按评分定级"),
    Command.SPLIT: ("Split off a ticket", "拆分工单"),
    Command.LINK: ("Link to another ticket", "关联其他工单"),
    Command.MERGE: ("Merge into another ticket", "合并到其他工单"),
    Command.REOPEN: ("Reopen", "重新打开"),
    Command.VIEW: ("View", "查看"),
    Command.OPEN: ("Opened", "新建"),
    Command.JOIN: ("New evidence joined", "新证据并入"),
    Command.UNASSIGNED: ("Nobody fits", "无人可派"),
    Command.OVERDUE: ("Overdue", "超时"),
    Command.REVIEW: ("Hold is due for review", "挂起到期复查"),
    Command.REPLAN: ("Replanned: the calendar changed", "日历变更，重新排期"),
    Command.ACKNOWLEDGE: ("Acknowledge the escalation", "确认收到升级"),
    Command.ESCALATE: ("Escalated", "升级"),
    Command.PASS_TO_BACKUP: ("Passed to the backup team", "转备用班组"),
    Command.REPRIORITISE: ("Scored again", "重新评分"),
    Command.LINKED: ("Linked from another ticket", "被其他工单关联"),
    Command.ABSORB: ("Another ticket merged in", "并入其他工单"),
}

OPTION_LABELS: dict[str, tuple[str, str]] = {
    "repaired": ("Repaired", "已修复"),
    "false_alarm": ("False alarm", "误报"),
    "no_fault_found": ("No fault found", "未发现故障"),
    "deferred": ("Deferred", "延期处理"),
    "passed": ("Passed", "合格"),
    "failed": ("Failed", "不合格"),
    "parts": ("Waiting for parts", "等待备件"),
    "requester": ("Waiting for the requester", "等待报修人"),
    "approval": ("Waiting for approval", "等待审批"),
    "access": ("No access", "无法进入现场"),
    "shutdown_window": ("Waiting for a shutdown", "等待停机窗口"),
    "unassigned": ("Nobody has it", "无人接手"),
    "not_accepted": ("Not accepted", "未受理"),
    "nudge": ("No progress for a day", "一天无进展"),
    "yellow": ("Yellow: no progress for three days", "黄色：三天无进展"),
    "red": ("Red: no progress for five days", "红色：五天无进展"),
    "notify": ("People told", "通知相关人员"),
    "pass_to_backup": ("To the backup team", "转备用班组"),
    "backup_team": ("no backup team", "无备用班组"),
    "assignee": ("no engineer", "无工程师"),
    "on_call": ("nobody on call", "无人值班"),
    "lead": ("no team lead", "无班组长"),
    "supervisors": ("no supervisor", "无主管"),
    "directors": ("no director", "无总监"),
    "inbox": ("inbox", "站内消息"),
    "sms": ("text message", "短信"),
    "phone": ("phone call", "电话"),
    **{f"P{level}": (f"P{level}", f"P{level}") for level in range(5)},
    "ok": ("In order", "正常"),
    "not_applicable": ("Does not apply", "不适用"),
    "split": ("Split off", "拆分"),
    "related": ("Related", "相关"),
    "causes": ("Causes the other", "引发对方"),
    "duplicates": ("Duplicates the other", "与对方重复"),
}

# What comes next, state by state, the most advanced first: the first of these that is legal and not blocked is
# the primary step. Once under way the engineer starts work; before, they depart.
PRIMARY: dict[State, tuple[Command, ...]] = {
    State.NEW: (Command.DISPATCH, Command.ACCEPT),
    State.DISPATCHED: (Command.ACCEPT,),
    State.ACCEPTED: (Command.RESUME, Command.DEPART, Command.EXECUTE),
    State.EXECUTING: (
        Command.RESUME,
        Command.CLOSE,
        Command.CONFIRM,
        Command.START_OPERATION,
        Command.FINISH_OPERATION,
        Command.CHECK_OPERATION,
        Command.COMPLETE_TASK,
        Command.USE_PARTS,
        Command.RESOLVE,
        Command.REQUEST_CONFIRMATION,
    ),
    State.CLOSED: (),
}
HIDDEN = (Command.VIEW,)
RATINGS = tuple(str(rating) for rating in range(1, BEST_RATING + 1))


@dataclass(frozen=True, slots=True)
class Option:
    """One choice of a fact, with its label."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class FactNeed:
    """A fact to ask for. ``type`` is a ``FactType``; ``options`` are filled for choices, people, tasks and files."""

    name: str
    type: str
    label: str
    required: bool
    options: list[Option]


@dataclass(frozen=True, slots=True)
class NextStep:
    """A command the actor may take; with ``blocked_by`` sentences while something else must come first."""

    command: str
    label: str
    primary: bool
    summary_required: bool
    facts: list[FactNeed]
    blocked_by: list[str]


def label(command: Command, language: str) -> str:
    """Return the command's name in ``language`` ("en" or "zh")."""
    return LABELS[command][language == "zh"]


def next_steps(ticket: Ticket, actor: Actor, language: str) -> list[NextStep]:
    """Return the commands that the table allows the actor now, the primary one first.

    Steps that only a passing condition blocks are left out, except to close: its open gates are the to-do list.
    """
    found: list[NextStep] = []
    seen: set[Command] = set()
    for step in steps_for(ticket, actor):
        # One who may twice, as assignee and as supervisor, is judged by the first row, as the interpreter does.
        if step.command in seen:
            continue
        seen.add(step.command)
        blocked = unmet(step, ticket)
        if step.command is Command.COMPLETE_TASK and ticket.open_tasks == 0:
            continue
        if step.command in PHASES and not is_turn(
            PHASES[step.command], ticket.current_operation, actor, ticket.site_id
        ):
            continue
        if step.command in HIDDEN or (blocked and blocked != [Condition.GATES_PASSED]):
            continue
        found.append(_next_step(step, ticket, blocked, language))
    return _with_primary(found, ticket)


def _next_step(step: Step, ticket: Ticket, blocked: list[Condition], language: str) -> NextStep:
    gates = unpassed_gates(ticket) if blocked else []
    return NextStep(
        command=step.command.value,
        label=label(step.command, language),
        primary=False,
        summary_required=step.summary_required,
        facts=[_need(fact, language) for fact in step.facts],
        blocked_by=[gate.remedy_zh if language == "zh" else gate.remedy_en for gate in gates],
    )


def _need(fact: Fact, language: str) -> FactNeed:
    choices = fact.options or (RATINGS if fact.type is FactType.RATING else ())
    options = [Option(option, OPTION_LABELS.get(option, (option, option))[language == "zh"]) for option in choices]
    text = fact.label_zh if language == "zh" else fact.label_en
    return FactNeed(fact.name, fact.type.value, text, fact.required, options)


def _with_primary(steps: list[NextStep], ticket: Ticket) -> list[NextStep]:
    order = [command.value for command in PRIMARY[ticket.state] if not _is_done(command, ticket)]
    ready = [step for step in steps if step.command in order and not step.blocked_by]
    chosen = min(ready, key=lambda step: order.index(step.command), default=None)
    return sorted((replace(step, primary=step is chosen) for step in steps), key=lambda step: not step.primary)


def _is_done(command: Command, ticket: Ticket) -> bool:
    """Say whether the step, though legal, has nothing left to do, so that it is not the next one."""
    match command:
        case Command.DEPART:
            return ticket.responded_at is not None
        case Command.COMPLETE_TASK:
            return ticket.open_tasks == 0
        case Command.USE_PARTS:
            return not ticket.unreconciled_parts
        case _:
            return False
