"""Refusals: every way the service says no, by name, with what was expected, what came and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Refused(Exception):
    """A request that changes nothing. Raised by rules and repositories, shown by the API as problem+json.

    ``name`` is one of ``REFUSALS``; ``expected``, ``got`` and ``remedy`` are sentences in English.
    """

    def __init__(self, name: str, *, expected: str, got: str, remedy: str) -> None:
        if name not in REFUSALS:
            raise ValueError(f"'{name}' is not in domain.refusals.REFUSALS; add it there first")
        super().__init__(f"{REFUSALS[name].title_en}: expected {expected}; got {got}. {remedy}")
        self.name = name
        self.expected = expected
        self.got = got
        self.remedy = remedy


class Kind(StrEnum):
    """What sort of no it is; the API turns each into one HTTP status."""

    BAD_INPUT = "bad_input"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    STALE = "stale"
    NOT_SIGNED_IN = "not_signed_in"
    FORBIDDEN = "forbidden"
    GONE = "gone"
    TOO_MANY = "too_many"
    WRONG_METHOD = "wrong_method"
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported"
    UNAVAILABLE = "unavailable"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class RefusalKind:
    """The kind and the titles of one refusal."""

    kind: Kind
    title_en: str
    title_zh: str


def _refusal(kind: Kind, title_en: str, title_zh: str) -> RefusalKind:
    return RefusalKind(kind, title_en, title_zh)


REFUSALS: dict[str, RefusalKind] = {
    # Requests
    "invalid_request": _refusal(Kind.BAD_INPUT, "The request is not valid", "请求无效"),
    "unknown_record": _refusal(Kind.NOT_FOUND, "There is no such record", "记录不存在"),
    "duplicate_record": _refusal(Kind.CONFLICT, "That record exists already", "记录已存在"),
    "sign_in_required": _refusal(Kind.NOT_SIGNED_IN, "Sign in first", "请先登录"),
    "sign_in_failed": _refusal(Kind.NOT_SIGNED_IN, "Login or password is wrong", "用户名或密码错误"),
    "too_many_attempts": _refusal(Kind.TOO_MANY, "Too many attempts", "尝试次数过多"),
    "not_permitted": _refusal(Kind.FORBIDDEN, "Your role does not permit this", "您的角色无此权限"),
    "cross_site_request": _refusal(Kind.FORBIDDEN, "The request came from another site", "请求来自其他网站"),
    "idempotency_mismatch": _refusal(Kind.CONFLICT, "The key was used for another request", "幂等键已用于其他请求"),
    "unknown_address": _refusal(Kind.NOT_FOUND, "There is nothing at this address", "地址不存在"),
    "method_not_allowed": _refusal(Kind.WRONG_METHOD, "This address does not take that method", "不支持该请求方法"),
    "request_too_large": _refusal(Kind.TOO_LARGE, "The request is too large", "请求过大"),
    "unsupported_file": _refusal(Kind.UNSUPPORTED, "That kind of file is not taken", "不支持该文件类型"),
    "record_in_use": _refusal(Kind.CONFLICT, "The request contradicts other records", "与其他记录冲突"),
    "stale_record": _refusal(Kind.STALE, "The record has changed since you read it", "记录已被他人更新"),
    "wrong_site": _refusal(Kind.BAD_INPUT, "The records belong to different sites", "记录属于不同站点"),
    "too_many_files": _refusal(Kind.CONFLICT, "The asset has too many files", "资产的文件过多"),
    "invalid_import": _refusal(Kind.BAD_INPUT, "The file has errors; nothing was changed", "文件有错误，未做任何更改"),
    "service_unavailable": _refusal(Kind.UNAVAILABLE, "The service cannot answer just now", "服务暂不可用"),
    "internal_error": _refusal(Kind.BROKEN, "The service made a mistake", "服务内部错误"),
    # Tickets
    "stale_version": _refusal(Kind.STALE, "The ticket has changed since you read it", "工单已被更新"),
    "not_a_legal_step": _refusal(Kind.CONFLICT, "That step is not legal in this state", "当前状态不允许该操作"),
    "missing_fact": _refusal(Kind.BAD_INPUT, "A required fact is missing", "缺少必填信息"),
    "invalid_fact": _refusal(Kind.BAD_INPUT, "A fact is not valid", "信息无效"),
    "empty_phrase": _refusal(Kind.BAD_INPUT, "The summary says nothing", "摘要内容空泛"),
    "gate_not_passed": _refusal(Kind.CONFLICT, "A closure gate is not passed", "未满足关闭条件"),
    "already_open": _refusal(Kind.CONFLICT, "An open ticket for this fault exists", "该故障已有未关闭工单"),
    "already_claimed": _refusal(Kind.CONFLICT, "Somebody else took it", "已被他人接单"),
    "not_eligible": _refusal(Kind.CONFLICT, "The dispatch rules exclude this engineer", "派工规则不允许该工程师"),
    "dispatch_frozen": _refusal(Kind.CONFLICT, "Dispatch waits for the open P0", "P0 未清除，暂停派工"),
    "link_unknown": _refusal(Kind.NOT_FOUND, "The link is not valid", "链接无效"),
    "link_used": _refusal(Kind.GONE, "The link has been used", "链接已使用"),
    "link_expired": _refusal(Kind.GONE, "The link has expired", "链接已过期"),
    "codes_exhausted": _refusal(Kind.CONFLICT, "The tracking codes of this origin are used up", "追踪码已用尽"),
    # Configuration
    "invalid_rule": _refusal(Kind.BAD_INPUT, "The rule is not valid", "规则无效"),
    "invalid_regimes": _refusal(Kind.BAD_INPUT, "The operating regimes are not valid", "运行工况无效"),
    "invalid_library": _refusal(Kind.BAD_INPUT, "The failure-mode library is not valid", "失效模式库无效"),
    "invalid_policy": _refusal(Kind.BAD_INPUT, "The policy is not valid", "策略无效"),
    "invalid_window": _refusal(Kind.BAD_INPUT, "The critical window is not valid", "关键时段无效"),
    "invalid_calendar": _refusal(Kind.BAD_INPUT, "The calendar is not valid", "日历无效"),
    "invalid_feed": _refusal(Kind.BAD_INPUT, "The feed is not valid", "接入源无效"),
    "invalid_gateway": _refusal(Kind.BAD_INPUT, "The gateway's topics are not permitted", "网关主题不被允许"),
    "too_many_credentials": _refusal(Kind.CONFLICT, "There are too many live credentials", "有效凭据过多"),
    "invalid_backtest": _refusal(Kind.BAD_INPUT, "The backtest is not valid", "回测无效"),
    "too_many_backtests": _refusal(Kind.CONFLICT, "Too many backtests wait", "等待中的回测过多"),
    "feed_in_use": _refusal(Kind.CONFLICT, "Devices speak by this feed", "该接入源仍有设备使用"),
}
