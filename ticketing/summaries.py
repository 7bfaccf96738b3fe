"""Summaries of actions: short, and saying something (SPEC T4).

A summary has at most 20 Chinese characters or 80 Latin ones; mixed text shares one budget of 80 units in
which a wide character costs four. A phrase that says only that somebody is busy is refused: it would renew
the activity clock without any activity.
"""

from __future__ import annotations

import unicodedata

from domain.refusals import Refused

BUDGET = 80
WIDE_COST = 4

EMPTY_PHRASES = frozenset(
    {
        "processing", "in process", "in progress", "in handling", "handling", "working", "working on it",
        "ongoing", "on going", "done", "ok", "okay", "yes", "no", "noted", "n/a", "na", "none", "nil", "test", "tbd",
        "will check", "checking", "following up", "follow up", "pending", "as above", "see above", "same as above",
        "received", "got it", "will do", "soon", "later", "please wait", "under processing", "being processed",
        "处理中", "正在处理", "正在处理中", "在处理", "处理", "已处理", "跟进中", "正在跟进", "跟进", "继续跟进",
        "持续跟进", "已收到", "收到", "好的", "好", "是", "否", "无", "同上", "如上", "进行中", "正在进行", "待处理",
        "稍后处理", "尽快处理", "马上处理", "已知", "知悉", "了解", "测试", "等待", "等待中", "完成", "已完成", "尽快",
    }
)  # fmt: skip


def cost(text: str) -> int:
    """Return how much of the budget of 80 the text uses: 4 for each wide (Chinese) character, 1 for others."""
    return sum(WIDE_COST if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def is_empty_phrase(text: str) -> bool:
    """Say whether the text, apart from case, punctuation and spacing, is one of the phrases that say nothing."""
    kept = "".join(
        character if unicodedata.category(character)[0] in "LN" or character == "/" else " "
        for character in unicodedata.normalize("NFKC", text).casefold()
    )
    words = " ".join(kept.split())
    return not words or words in EMPTY_PHRASES or words.replace(" ", "") in EMPTY_PHRASES


def check_summary(summary: str, *, required: bool) -> str:
    """Return the summary without outer spaces; refuse a long one, an empty phrase, or a missing required one."""
    text = summary.strip()
    if not text:
        if required:
            raise Refused(
                "missing_fact",
                expected="a summary that says what was done",
                got="an empty summary",
                remedy="Say in a few words what you did or found.",
            )
        return ""
    check_text("summary", text)
    if cost(text) > BUDGET:
        raise Refused(
            "invalid_fact",
            expected=f"a summary of at most {BUDGET // WIDE_COST} Chinese or {BUDGET} Latin characters",
            got=f"{len(text)} characters worth {cost(text)} of {BUDGET}",
            remedy="Shorten the summary and put the details into the content of a note.",
        )
    if is_empty_phrase(text):
        raise Refused(
            "empty_phrase",
            expected="a summary that says what was done or found",
            got=f"'{text}'",
            remedy="Name the action or the finding, for example 'bearing replaced' or '已更换轴承'.",
        )
    return text


def check_text(name: str, text: str) -> None:
    """Refuse characters that a record cannot hold: NUL and other controls except new lines, and lone surrogates."""
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\r\t":
            raise Refused(
                "invalid_fact",
                expected=f"printable text in '{name}'",
                got=f"the character U+{ord(character):04X}",
                remedy="Remove the control character.",
            )
