"""On a Chinese page a refusal reads as Chinese, with the names and numbers of the rule's own English sentence."""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.languages import Language
from api.pages.general_refusals import GENERAL
from api.pages.rendering import shown
from api.pages.saying import FORMS, SENTENCE_MAX, cell_said, said, specifics
from domain.refusals import REFUSALS, Refused

REPOSITORY = Path(__file__).resolve().parent.parent

# Whose refusals the pages of predictions, devices, quarantine, feeds, tables, adoption, broker access, backtests,
# people, plans, calendars and dispatch rules show, and those of the checks, operations, links and claims of tickets.
PLACES = (
    "api/adoption_schemas.py", "api/backtest_labels.py", "api/bearing_schemas.py", "api/dependencies.py",
    "api/files.py", "api/identity.py", "api/quarantine_schemas.py",
    "api/register_columns.py", "api/register_schemas.py", "api/register_tables.py", "api/spreadsheet_child.py",
    "api/spreadsheets.py", "api/pages/adoption.py", "api/pages/backtests.py",
    "api/pages/broker_access.py", "api/pages/devices.py",
    "api/pages/feeds.py", "api/pages/forms.py", "api/pages/gateways.py", "api/pages/prediction_view.py",
    "api/pages/policies.py", "api/pages/predictions.py", "api/pages/quarantine.py", "api/pages/regimes.py",
    "api/pages/vibration.py",
    "api/pages/register_files.py", "api/pages/service_health.py", "api/problems.py",
    "api/routes/backtests.py", "api/routes/device_credentials.py", "api/routes/devices.py", "api/routes/feeds.py",
    "api/routes/bearings.py", "api/routes/health.py", "api/routes/policies.py", "api/routes/regimes.py",
    "api/routes/quarantine.py", "api/routes/register_files.py", "api/routes/register_import.py",
    "api/routes/articles.py", "api/routes/drafts.py", "api/routes/intake.py", "api/routes/priorities.py",
    "api/routes/schedules.py", "api/pages/reporting.py", "api/pages/report_view.py", "api/pages/refused_requests.py",
    "storage/articles.py", "storage/critical_windows.py", "storage/drafts.py", "storage/intake.py",
    "storage/intaking/records.py", "storage/intaking/refusals.py", "storage/priority_control.py",
    "storage/schedules.py", "ticketing/critical_windows.py", "ticketing/intake.py",
    "api/routes/unknown_devices.py", "detectors/bearings.py", "detectors/parameters.py",
    "detectors/rules.py", "domain/regimes.py",
    "domain/broker_grants.py", "domain/topic_filters.py", "runtime/dialects.py",
    "storage/adoption.py", "storage/assets.py", "storage/backtests.py", "storage/device_credentials.py",
    "storage/bearings.py", "storage/detection_policy.py", "storage/feeds.py", "storage/parts_policy.py",
    "storage/policy_book.py", "storage/regimes.py",
    "storage/importers.py", "storage/importing.py", "storage/prediction_decisions.py",
    "storage/quarantine.py", "storage/register_files.py",
    "storage/register_import.py", "storage/reviews.py", "storage/sites.py",
    "api/calendar_schemas.py", "api/people_tables.py", "api/pages/calendars.py", "api/pages/dispatch.py",
    "api/pages/people.py", "api/pages/people_files.py", "api/pages/person.py", "api/pages/shift_plan.py",
    "api/pages/teams.py", "api/routes/calendars.py", "api/routes/dispatch.py", "api/routes/people.py",
    "api/routes/people_import.py", "api/routes/qualifications.py", "api/routes/shifts.py", "domain/official_days.py",
    "storage/calendar_book.py", "storage/dispatch_rules.py", "storage/people_import.py", "storage/qualifications.py",
    "storage/shifts.py",
    "storage/effects/checking.py", "storage/effects/freezing.py", "storage/effects/joining.py",
    "storage/effects/producing.py", "storage/offers.py", "ticketing/checks.py", "ticketing/operations.py",
    "ticketing/summaries.py",
)  # fmt: skip
# Calls that make a refusal, or say something of a message, a field or a cell: whatever text they are given is shown.
MAKERS = {
    "Refused", "Unusable", "UnknownDevices", "WrongCell", "Unreadable", "TooManyDaysError", "ValueError",
    "unknown", "invalid", "complain", "add", "note", "matching", "_bad", "_broken", "_in_use", "_invalid",
    "_leave", "_no_json", "_refuse_with_ticket", "_refused", "_take", "_tell", "_too_large", "_unknown", "_unread",
    "_stale", "_unsupported", "_wrong_shape", "require_every_site",
}  # fmt: skip
# Names of refusals, of fields and of other things that are no sentences, by the call and the place of the argument.
NO_SENTENCES = {
    ("Refused", 0), ("invalid", 0), ("add", 0), ("add", 1), ("complain", 0), ("matching", 0), ("_broken", 0),
    ("_in_use", 0), ("_leave", 0), ("_leave", 1), ("_leave", 2), ("_take", 0), ("_take", 1), ("_take", 2),
    ("UnknownDevices", 0), ("note", 0), ("_tell", 1), ("unknown", 1),
}  # fmt: skip
# These refuse settings of the service, before there is a page.
OF_OPERATORS = frozenset({"mqtt_source", "slices"})
# Raised for programmers, or told to nobody.
NOT_SHOWN = {"no number", "expected ids, a reason or an address, got none: say which messages"}


def said_in(path: Path) -> Iterator[tuple[int, str]]:
    """Every sentence that the code of a file may say, with its line; names and numbers are made up."""
    for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(call, ast.Call):
            continue
        name = getattr(call.func, "id", getattr(call.func, "attr", ""))
        if name not in MAKERS:
            continue
        given = [one for place, one in enumerate(call.args) if (name, place) not in NO_SENTENCES]
        given += [one.value for one in call.keywords if one.arg in (None, "expected", "got", "remedy")]
        for one in given:
            yield from ((call.lineno, text) for text in texts(one) if text not in NOT_SHOWN)


def texts(node: ast.expr) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else a_value(part)
                for part in parts
                if isinstance(part, ast.Constant | ast.FormattedValue)
            )
        case ast.IfExp(body=one, orelse=other):
            yield from texts(one)
            yield from texts(other)
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            yield from (a + b for a in [*texts(left)] or ["7"] for b in [*texts(right)] or ["7"])
        case ast.BoolOp(values=values):
            for value in values:
                yield from texts(value)


def a_value(part: ast.FormattedValue) -> str:
    return "'X 7'" if part.conversion == ord("r") else "7"


def spoken() -> list[str]:
    """The files above, and those of ingest that set messages aside or refuse a feed's settings."""
    found = [path for path in sorted((REPOSITORY / "ingest").rglob("*.py")) if "refus" in path.read_text().lower()]
    assert len(found) > 15
    return [*PLACES, *(str(path.relative_to(REPOSITORY)) for path in found if path.stem not in OF_OPERATORS)]


@pytest.mark.parametrize("place", spoken())
def test_whatever_is_said_on_a_page_of_operations_can_be_said_in_chinese(place: str) -> None:
    english = [(line, text) for line, text in said_in(REPOSITORY / place) if said(text, Language.ZH) is None]
    assert english == [], "add a form to api/pages/forms_of_*.py and translate it (docs/console.md)"


def test_a_sentence_is_said_with_its_names_and_numbers() -> None:
    told = {
        "got 'abc' in line 3, expected a closing quote": "第 3 行收到 'abc'，应为结束引号",
        "got a list in 'temp': [1, 2], expected a number": "'temp' 中收到列表：[1, 2]，应为数值",
        "Expected `float`, got `str` - at `$.values[...]`; expected finite numbers": (
            "`$.values[...]` 处应为 `float`，收到 `str`；应为有限数值"
        ),
        "name: Field required; site: String should match pattern '^[a-z]{1,64}$'": (
            "name：必填；site：应符合格式 '^[a-z]{1,64}$'"
        ),
        "at most 5 live credentials of north.dev-1": "north.dev-1 最多 5 个有效凭据",
        "the key of a known device": "已有采集设备的编号",
        "no device is registered for this feed under 'a', 'b' and 3 more; register it. What the message says of other "
        "devices is stored": (
            "该接入源未登记标识为 'a', 'b' 等另外 3 台的采集设备；请登记；消息中其他采集设备的内容已存储"
        ),
    }
    assert {english: said(english, Language.ZH) for english in told} == told
    assert [said(english, Language.EN) for english in told] == list(told)


def test_what_has_no_form_is_not_half_said() -> None:
    for english in ("the moon is full", "got the moon is full, expected a number", "x" * (SENTENCE_MAX + 1)):
        assert said(english, Language.ZH) is None, english
    assert said("'wearsight/+' 17", Language.ZH) == "'wearsight/+' 17", "names and numbers are the same everywhere"
    assert specifics("expected 'a b' in \"c\" at 2026-03-01T08:00:00Z, got 7 of x9, 7 times") == [
        "'a b'", '"c"', "2026-03-01T08:00:00Z", "7"
    ]  # fmt: skip


def test_what_somebody_wrote_into_a_cell_stays_as_it_is() -> None:
    assert cell_said("one", Language.ZH) == "one"
    assert cell_said("nothing", Language.ZH) == "空"
    assert cell_said("'Tag' a second time", Language.ZH) == "'Tag' 第二次出现"
    assert cell_said("nothing", Language.EN) == "nothing"


def test_no_sentence_takes_long_to_be_recognised() -> None:
    """Devices choose what stands in a detail: neither its length nor its likeness to a form may cost much."""
    started = time.process_time()
    for number in range(20):
        for part in (", expected ", "got x in y, ", "; ", " to ", "'a' of 1 characters, ", "no device 'a' of "):
            said(f"got {number} {part * 200}"[:SENTENCE_MAX], Language.ZH)
    assert time.process_time() - started < 2.0


def test_every_refusal_is_explained_in_general_too() -> None:
    assert set(GENERAL) == set(REFUSALS)
    for name in REFUSALS:
        refusal = Refused(name, expected="the moon 'full'", got="it is 3 quarters", remedy="Wait for the right night.")
        chinese = shown(refusal, Language.ZH)
        assert (chinese.expected, chinese.got, chinese.specifics) == (None, None, ["'full'", "3"])
        assert chinese.technical is refusal
        for text in (chinese.title, chinese.told or "", chinese.remedy):
            assert any("\u4e00" <= letter <= "\u9fff" for letter in text), f"{name}: {text}"
        english = shown(refusal, Language.EN)
        assert (english.expected, english.told, english.technical) == (refusal.expected, None, None)


def test_a_refusal_that_can_be_said_needs_no_general_words() -> None:
    refusal = Refused(
        "feed_in_use", expected="a feed without devices", got="feed 3 with 2 of them", remedy="Correct it."
    )
    chinese = shown(refusal, Language.ZH)
    assert (chinese.expected, chinese.got, chinese.remedy) == (
        "没有采集设备的接入源", "接入源 3 仍有 2 台采集设备", "请更正。"
    )  # fmt: skip
    assert (chinese.told, chinese.specifics) == (None, [])


def test_no_form_stands_twice_or_has_a_place_twice() -> None:
    assert len(FORMS) == len(set(FORMS))
    for form in FORMS:
        places = re.findall(r"\{\w+\}", form)
        assert len(places) == len(set(places)), form
