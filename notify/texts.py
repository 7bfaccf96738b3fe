"""What people read, in English and Chinese, per kind of message."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from notify.channel import DeliveryError

# Fields come from the message's body; titles are already in the reader's language.
TEXTS: dict[str, tuple[str, str]] = {
    "ticket.dispatched": (
        "P{priority} {code} is yours: {title}. Due {due_at} UTC.",
        "P{priority} {code} 已分派给您：{title}。截止 {due_at} UTC。",
    ),
    "ticket.unassigned": (
        "Nobody fits P{priority} {code}: {title}. See the dispatch decision for the reasons.",
        "P{priority} {code} 无人可派：{title}。原因见派工记录。",
    ),
    "ticket.overdue": (
        "P{priority} {code} is overdue ({clock}): {title}.",
        "P{priority} {code} 已超时（{clock_zh}）：{title}。",
    ),
    "ticket.review": (
        "The hold on {code} is due for review ({reason}): {title}.",
        "{code} 的挂起已到复查时间（{reason_zh}）：{title}。",
    ),
    "ticket.merged": (
        "{code} goes on as {merged_into}: {title}.",
        "{code} 已并入 {merged_into}：{title}。",
    ),
    "ticket.reopened": (
        "{code} was closed and is open again ({reason}): {title}.",
        "{code} 关闭后被重新打开（{reason}）：{title}。",
    ),
    "confirmation.requested": (
        "{code} is reported as solved: {title}. Please confirm on its page.",
        "{code} 已报告处理完成：{title}。请在工单页面确认。",
    ),
    "confirmation.disputed": (
        "The requester says {code} is not solved: {cause}",
        "报修人反馈 {code} 未解决：{cause}",
    ),
    "escalation.unassigned": (
        "P{priority} {code} is with nobody for {hours} h: {title}. Dispatch it, or acknowledge on its page.",
        "P{priority} {code} 已 {hours} 小时无人接手：{title}。请分派，或在工单页面确认收到。",
    ),
    "escalation.not_accepted": (
        "P{priority} {code} was given to {assignee} {hours} h ago and is not accepted: {title}.",
        "P{priority} {code} 分派给 {assignee} 已 {hours} 小时，仍未受理：{title}。",
    ),
    "escalation.passed": (
        "P{priority} {code} was not accepted by {assignee} and goes to the team {team}: {title}.",
        "P{priority} {code} 未被 {assignee} 受理，已转给班组 {team}：{title}。",
    ),
    "escalation.no_backup": (
        "P{priority} {code} was not accepted by {assignee} for {hours} h and no backup team can take it: {title}.",
        "P{priority} {code} 已 {hours} 小时未被 {assignee} 受理，且没有备用班组可接手：{title}。",
    ),
    "escalation.inactive": (
        "No effective action on P{priority} {code} for {hours} h: {title}. Engineer: {assignee}.",
        "P{priority} {code} 已 {hours} 小时没有有效操作：{title}。工程师：{assignee}。",
    ),
    "escalation.yellow": (
        "Yellow: no effective action on P{priority} {code} for {hours} h: {title}. Engineer: {assignee}.",
        "黄色预警：P{priority} {code} 已 {hours} 小时没有有效操作：{title}。工程师：{assignee}。",
    ),
    "escalation.red": (
        "Red: no effective action on P{priority} {code} for {hours} h: {title}. Engineer: {assignee}.",
        "红色预警：P{priority} {code} 已 {hours} 小时没有有效操作：{title}。工程师：{assignee}。",
    ),
    "service.escalation_late": (
        "{steps} rungs of escalations at site {subject} are overdue and nothing takes them.",
        "站点 {subject} 有 {steps} 级升级已超时，无人处理。",
    ),
    "ticket.reprioritised": (
        "{code} went from P{priority_before} to P{priority}: {title}. Due {due_at} UTC.",
        "{code} 优先级由 P{priority_before} 调整为 P{priority}：{title}。截止 {due_at} UTC。",
    ),
    "breaker.frozen": (
        "{open_p0} P0 are open at {site} ({codes}): from P{freezes_from} on, dispatch waits until they are cleared.",
        "{site} 有 {open_p0} 张 P0 工单未关闭（{codes}）：P{freezes_from} 及以下工单暂停派工，直至 P0 清除。",
    ),
    "breaker.thawed": (
        "The P0 of {site} are cleared: tickets from P{freezes_from} on are dispatched again.",
        "{site} 的 P0 工单已清除：P{freezes_from} 及以下工单恢复派工。",
    ),
    "service.feed_silent": (
        "Nothing was heard of the feed {subject} for more than {silent_after_s} s.",
        "数据通道 {subject} 已超过 {silent_after_s} 秒没有任何消息。",
    ),
    "service.site_silent": (
        "No device of site {subject} is heard any more; {devices} of them should speak.",
        "站点 {subject} 的设备全部静默，应有 {devices} 台设备上报。",
    ),
    "service.ingest_silent": (
        "The ingester of {subject} does not say that it lives.",
        "采集进程 {subject} 已停止心跳。",
    ),
    "service.ingest_behind": (
        "The ingester of {subject} has {queued} messages waiting and stores none.",
        "采集进程 {subject} 有 {queued} 条消息等待，但没有任何消息入库。",
    ),
    "service.process_silent": (
        "The process {subject} has not finished a round of its work.",
        "进程 {subject} 长时间没有完成一轮工作。",
    ),
    "service.quarantine_rising": (
        "{messages} messages were set aside in {minutes} minutes as {subject}. See the quarantine.",
        "{minutes} 分钟内有 {messages} 条消息因 {subject} 被隔离，请查看隔离区。",
    ),
    "service.outbox_given_up": (
        "{messages} notices could not be delivered to anybody.",
        "有 {messages} 条通知未能送达任何人。",
    ),
    "service.holidays_ending": (
        "The official holidays of the calendar {subject} are known until {until} only.",
        "日历 {subject} 的法定节假日数据仅到 {until}。",
    ),
    "service.disk_filling": (
        "The disk of {subject} is {percent} % full.",
        "{subject} 所在磁盘已使用 {percent}%。",
    ),
}

WORDS_ZH = {
    "accept": "受理",
    "respond": "响应",
    "resolve": "解决",
    "close": "关闭",
    "promise": "承诺响应",
    "parts": "备件",
    "requester": "报修人",
    "approval": "审批",
    "access": "进场",
    "shutdown_window": "停机窗口",
}


def texts_of(kind: str, body: Mapping[str, object]) -> tuple[str, str]:
    """Return the English and the Chinese text of a message; a kind without texts cannot be delivered."""
    if kind not in TEXTS:
        raise DeliveryError(f"no text for messages of kind '{kind}'")
    fields = {name: "" if value is None else str(value) for name, value in body.items()}
    if fields.get("due_at"):
        fields["due_at"] = datetime.fromisoformat(fields["due_at"]).strftime("%Y-%m-%d %H:%M")
    for name in ("clock", "reason"):
        fields[f"{name}_zh"] = WORDS_ZH.get(fields.get(name, ""), fields.get(name, ""))
    english, chinese = TEXTS[kind]
    try:
        return (
            english.format(**fields, title=fields.get("title_en", "")),
            chinese.format(**fields, title=fields.get("title_zh", "")),
        )
    except KeyError as error:
        raise DeliveryError(f"the message of kind '{kind}' lacks the field {error}") from error
