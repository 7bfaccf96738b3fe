"""Both languages are complete: every message of Python, templates and scripts is in the one catalogue."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.pofile import read_po

from api import i18n
from api.i18n import catalogue
from api.languages import Language
from api.pages import dispatch_words, times, words
from api.pages.predictions import STATUSES
from api.pages.times import from_input, offset_name, site_time
from detectors.catalogue import CATALOGUE
from domain.findings import Direction, Severity
from domain.predictions import EvidenceKind, Stage
from tests.console_builders import NOW
from ticketing.actors import Role
from ticketing.dispatching.rules import Rule
from ticketing.lifecycle import TABLE
from ticketing.ticket import Clock, Kind, Outcome, State

REPOSITORY = Path(__file__).resolve().parent.parent
MARKUP = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}|<svg.*?</svg>|<!doctype html>", re.DOTALL)
PLACEHOLDER = re.compile(r"%\((\w+)\)s|\{(\w+)\}")


def extracted() -> dict[str, set[str]]:
    """Every message with the files that use it, found as docs/console.md says."""
    with (REPOSITORY / "babel.cfg").open() as file:
        methods, options = parse_mapping_cfg(file)
    found: dict[str, set[str]] = {}
    keywords = {"_": None, "gettext": None, "N_": None}
    for folder in ("api", "web/src"):
        for name, _line, message, _comments, _context in extract_from_dir(
            REPOSITORY / folder,
            method_map=[(pattern.removeprefix(f"{folder}/"), method) for pattern, method in methods],
            options_map={pattern.removeprefix(f"{folder}/"): given for pattern, given in options.items()},
            keywords=keywords,
        ):
            found.setdefault(message, set()).add(f"{folder}/{name}")
    return found


def test_every_message_has_a_chinese_translation_and_none_is_left_over():
    messages = extracted()
    with (i18n.LOCALE / "zh_CN/LC_MESSAGES/wearsight.po").open("rb") as file:
        entries = {entry.id: entry for entry in read_po(file, locale="zh_CN", abort_invalid=True) if entry.id}
    assert set(messages) - set(entries) == set(), "extract again (docs/console.md) and translate"
    assert set(entries) - set(messages) == set(), "no longer used"
    assert [key for key, entry in entries.items() if not entry.string or entry.fuzzy] == []
    assert {key: {name for name, _ in entry.locations} for key, entry in entries.items()} == messages


def test_scripts_messages_are_all_found_by_the_extractor():
    """Babel's lexer once missed calls inside nested template literals."""
    messages = extracted()
    for path in (REPOSITORY / "web/src").glob("*.ts"):
        for written in re.findall(r'\b_\("((?:[^"\\]|\\.)*)"\)', path.read_text(encoding="utf-8")):
            assert f"web/src/{path.name}" in messages.get(written, set()), f"{path.name}: {written}"


def test_translations_keep_their_placeholders():
    wrong = {
        message: translation
        for message, translation in catalogue(Language.ZH).messages.items()
        if set(PLACEHOLDER.findall(message)) != set(PLACEHOLDER.findall(translation))
    }
    assert wrong == {}


def test_templates_hold_no_text_outside_the_catalogue():
    for path in (REPOSITORY / "api/templates").rglob("*.html"):
        text = MARKUP.sub(" ", path.read_text(encoding="utf-8"))
        visible = re.sub(r"""<[^>]*>|[\w-]+="[^"]*\"""", " ", text).replace("Wearsight", "")
        words = re.findall(r"[A-Za-z]{2,}", re.sub(r"\bkB\b|\bUTC\b", "", visible))
        assert words == [], f"{path.name}: {words}"
        attributes = re.findall(r'(?:placeholder|aria-label|title|alt)="([^"{]+)"', text)
        assert [one for one in attributes if one.strip()] == [], f"{path.name}: {attributes}"


def test_scripts_get_only_their_own_words():
    words = catalogue(Language.ZH).script_words
    assert words["{time} left"] == "剩余 {time}"
    assert "Sign in" not in words
    assert catalogue(Language.EN).script_words == {}


def test_every_code_that_a_page_may_meet_has_a_word():
    tables = (
        (words.STATES, State),
        (words.OUTCOMES, Outcome),
        (words.KINDS, Kind),
        (words.CLOCKS, Clock),
        (words.SEVERITIES, Severity),
        (words.DIRECTIONS, Direction),
        (words.STAGES, Stage),
        (words.EVIDENCE_KINDS, EvidenceKind),
        (words.DETECTORS, CATALOGUE),
        (words.ROLES, Role),
        (dispatch_words.DISPATCH_RULES, Rule),
        (words.PREDICTION_STATUSES, STATUSES),
    )
    for table, codes in tables:
        assert set(map(str, codes)) <= set(table), codes
    assert set(words.PRIORITIES) == set(range(5))
    facts = {fact.name for step in TABLE for fact in step.facts}
    assert facts <= set(words.FACTS)


def test_english_is_the_language_of_the_messages():
    assert catalogue(Language.EN).gettext("Sign in") == "Sign in"
    assert catalogue(Language.ZH).gettext("Sign in") == "登录"
    assert catalogue(Language.ZH).gettext("no such message") == "no such message"


@pytest.mark.parametrize(
    ("seconds", "english"),
    [
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (95, "1 min 35 s"),
        (7200, "2 h"),
        (7260, "2 h 1 min"),
        (-90_000, "1 d 1 h"),
        (172_800, "2 d"),
    ],
)
def test_durations_are_written_with_their_two_largest_units(seconds, english):
    message, values = times.duration(seconds)
    assert message.format_map(values) == english


def test_working_time_is_told_in_hours_however_long():
    """Two days of it would be read as two working days."""
    message, values = times.duration(172_800, in_days=False)
    assert message.format_map(values) == "48 h"


def test_times_are_the_sites_with_the_zone_beside():
    assert site_time(NOW, "Asia/Shanghai").text == "2026-03-02 10:00"
    assert offset_name(NOW, "Asia/Shanghai") == "UTC+8"
    assert offset_name(NOW, "America/St_Johns") == "UTC-3:30"
    assert offset_name(NOW, "UTC") == "UTC+0"


def test_a_time_typed_into_a_form_is_the_sites_and_nonsense_is_handed_on():
    assert from_input("2026-03-02T10:30", "Asia/Shanghai") == "2026-03-02T10:30:00+08:00"
    assert from_input("2026-07-02T10:30", "Europe/Berlin") == "2026-07-02T10:30:00+02:00"
    assert from_input("soon", "Asia/Shanghai") == "soon"
