"""Facts that a command needs: their types, their checks, and how the timeline records them.

Facts arrive as JSON, so this file is an edge: what leaves it is typed, and a fact nobody asked for is refused
rather than ignored (a misspelt optional fact would otherwise vanish in silence).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from uuid import UUID

from domain.refusals import Refused
from ticketing.summaries import check_text, is_empty_phrase
from ticketing.ticket import PartLine

FactValue = str | int | float | bool | Decimal | datetime | UUID | tuple[PartLine, ...]

MAX_TEXT = 4_000
MAX_LINES = 100
MAX_QUANTITY = 100_000
MAX_READING = 1e12
MAX_AMOUNT = Decimal(1_000_000_000)
BEST_RATING = 5
LATEST = timedelta(days=180)


class FactType(StrEnum):
    """What a client should ask for. ``person``, ``team`` and ``attachment`` are ids of records that must exist.

    ``ticket`` is the tracking code of another one, ``amount`` money with at most two decimals, ``rating`` a whole
    number 1 to 5.
    """

    TEXT = "text"
    CHOICE = "choice"
    FUTURE_TIME = "future_time"
    TIME = "time"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    PERSON = "person"
    ATTACHMENT = "attachment"
    FAILURE_MODE = "failure_mode"
    LINES = "lines"
    OPERATION = "operation"
    TEAM = "team"
    TICKET = "ticket"
    AMOUNT = "amount"
    RATING = "rating"
    READING = "reading"


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact of a command.

    ``options`` are the choices of a CHOICE. ``may_be_brief`` takes a TEXT as it is: a requester may well
    answer "ok", an engineer's note may not.
    """

    name: str
    type: FactType
    label_en: str
    label_zh: str
    required: bool = True
    options: tuple[str, ...] = ()
    may_be_brief: bool = False


def check_facts(wanted: Sequence[Fact], given: Mapping[str, object], now: datetime) -> dict[str, FactValue]:
    """Return the given facts, parsed. Refuse a missing, an unknown or an invalid one."""
    known = {fact.name for fact in wanted}
    unknown = sorted(set(given) - known)
    if unknown:
        raise Refused(
            "invalid_fact",
            expected="only the facts " + (", ".join(sorted(known)) if known else "(none)"),
            got=", ".join(repr(name)[:80] for name in unknown),
            remedy="Remove or rename the unknown fact.",
        )
    parsed: dict[str, FactValue] = {}
    for fact in wanted:
        value = given.get(fact.name)
        if value is None or value == "":
            if fact.required:
                raise Refused(
                    "missing_fact",
                    expected=f"'{fact.name}' ({fact.label_en})",
                    got="nothing",
                    remedy=f"Give the fact '{fact.name}' as {fact.type}.",
                )
            continue
        parsed[fact.name] = _PARSERS[fact.type](fact, value, now)
    return parsed


def as_json(facts: Mapping[str, FactValue]) -> dict[str, object]:
    """Return facts as plain JSON values for the timeline; times become RFC 3339 in UTC."""
    return {name: _as_json(value) for name, value in facts.items()}


def _as_json(value: FactValue) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, UUID | Decimal):
        return str(value)
    if isinstance(value, tuple):
        return [
            {"part_number": line.part_number, "issued": line.issued, "used": line.used, "returned": line.returned}
            for line in value
        ]
    return value


def _invalid(fact: Fact, value: object, expected: str) -> Refused:
    return Refused(
        "invalid_fact",
        expected=f"'{fact.name}' as {expected}",
        got=repr(value)[:80],
        remedy=f"Correct the fact '{fact.name}' ({fact.label_en}).",
    )


def _text(fact: Fact, value: object, now: datetime) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_TEXT:
        raise _invalid(fact, value, f"text of 1 to {MAX_TEXT} characters")
    check_text(fact.name, value)
    if not fact.may_be_brief and is_empty_phrase(value):
        raise Refused(
            "empty_phrase",
            expected=f"'{fact.name}' with content",
            got=f"'{value.strip()[:80]}'",
            remedy="Say what was seen or done; a phrase that says only that work goes on does not count.",
        )
    return value.strip()


def _choice(fact: Fact, value: object, now: datetime) -> str:
    if not isinstance(value, str) or value not in fact.options:
        raise _invalid(fact, value, "one of " + ", ".join(fact.options))
    return str(value)


def _time(fact: Fact, value: object, now: datetime) -> datetime:
    """Take an aware datetime or RFC 3339 text; a time without zone would mean another instant at every site."""
    moment = value
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            raise _invalid(fact, value, "RFC 3339 time with zone") from None
    if not isinstance(moment, datetime) or moment.tzinfo is None or not 1970 < moment.year < 9000:
        raise _invalid(fact, value, "RFC 3339 time with zone")
    return moment.astimezone(UTC)


def _future_time(fact: Fact, value: object, now: datetime) -> datetime:
    moment = _time(fact, value, now)
    if not now < moment <= now + LATEST:
        raise _invalid(fact, value, f"a time after {now.isoformat()} and within {LATEST.days} days")
    return moment


def _integer(fact: Fact, value: object, now: datetime) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**53:
        raise _invalid(fact, value, "positive whole number")
    return value


def _number(fact: Fact, value: object, now: datetime) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _invalid(fact, value, "number of degrees")
    if not (math.isfinite(value) and abs(value) <= 180):
        raise _invalid(fact, value, "number of degrees")
    # Plus zero: the database knows no minus zero, and the timeline's hash must not change on the way through it.
    return float(value) + 0.0


def _rating(fact: Fact, value: object, now: datetime) -> int:
    rating = _integer(fact, value, now)
    if rating > BEST_RATING:
        raise _invalid(fact, value, f"a whole number 1 to {BEST_RATING}")
    return rating


def _amount(fact: Fact, value: object, now: datetime) -> Decimal:
    """Take money as text or number; a float is read as it is written, not as the binary fraction beside it."""
    shape = f"an amount of 0 to {MAX_AMOUNT} with at most two decimals"
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal) or len(str(value)) > 16:
        raise _invalid(fact, value, shape)
    try:
        amount = Decimal(str(value))
        exact = amount.quantize(Decimal("0.01"))
    except InvalidOperation:
        raise _invalid(fact, value, shape) from None
    if not (amount == exact and 0 <= amount <= MAX_AMOUNT):
        raise _invalid(fact, value, shape)
    return abs(exact)


def _tracking_code(fact: Fact, value: object, now: datetime) -> str:
    if not isinstance(value, str) or re.fullmatch(r"[DPSI][0-9]{6}", value) is None:
        raise _invalid(fact, value, "the tracking code of a ticket, one letter and six digits")
    return value


def _reading(fact: Fact, value: object, now: datetime) -> float:
    """Take a measured number, in the unit that the task names."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_READING:
        raise _invalid(fact, value, f"a number from -{MAX_READING:g} to {MAX_READING:g}")
    return float(value) + 0.0


def _boolean(fact: Fact, value: object, now: datetime) -> bool:
    if not isinstance(value, bool):
        raise _invalid(fact, value, "true or false")
    return value


def _uuid(fact: Fact, value: object, now: datetime) -> UUID:
    if isinstance(value, UUID):
        return value
    try:
        return UUID(str(value))
    except ValueError:
        raise _invalid(fact, value, "id of an attachment that is uploaded already") from None


def _code(fact: Fact, value: object, now: datetime) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= 64 or not value.isprintable():
        raise _invalid(fact, value, "code of a failure mode")
    return value


def _lines(fact: Fact, value: object, now: datetime) -> tuple[PartLine, ...]:
    """Take a list of {part_number, issued, used, returned}: totals for the ticket, not additions.

    Totals make a repeat harmless: sending the same lines twice moves no stock twice.
    """
    shape = f"1 to {MAX_LINES} lines {{part_number, issued, used, returned}}, each part once"
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= MAX_LINES:
        raise _invalid(fact, value, shape)
    lines = tuple(_line(fact, line) for line in value)
    if len({line.part_number for line in lines}) != len(lines):
        raise _invalid(fact, value, shape)
    return lines


def _line(fact: Fact, value: object) -> PartLine:
    shape = f"{{part_number, issued, used, returned}}, counts 0 to {MAX_QUANTITY}, used + returned <= issued"
    if not isinstance(value, Mapping) or set(value) - {"part_number", "issued", "used", "returned"}:
        raise _invalid(fact, value, shape)
    number = value.get("part_number")
    counts = [value.get(name, 0) for name in ("issued", "used", "returned")]
    if not isinstance(number, str) or not 1 <= len(number) <= 64 or not number.isprintable():
        raise _invalid(fact, value, shape)
    if any(isinstance(count, bool) or not isinstance(count, int) for count in counts):
        raise _invalid(fact, value, shape)
    issued, used, returned = counts
    if not (min(counts) >= 0 and max(counts) <= MAX_QUANTITY and used + returned <= issued):
        raise _invalid(fact, value, shape)
    return PartLine(number, issued, used, returned)


_PARSERS: dict[FactType, Callable[[Fact, object, datetime], FactValue]] = {
    FactType.TEXT: _text,
    FactType.CHOICE: _choice,
    FactType.FUTURE_TIME: _future_time,
    FactType.TIME: _time,
    FactType.INTEGER: _integer,
    FactType.NUMBER: _number,
    FactType.BOOLEAN: _boolean,
    FactType.PERSON: _integer,
    FactType.ATTACHMENT: _uuid,
    FactType.FAILURE_MODE: _code,
    FactType.LINES: _lines,
    FactType.OPERATION: _integer,
    FactType.TEAM: _integer,
    FactType.TICKET: _tracking_code,
    FactType.AMOUNT: _amount,
    FactType.RATING: _rating,
    FactType.READING: _reading,
}
