"""Sentences of rules and decoders in the reader's language.

Rules, repositories and decoders write what was expected, what came and what to do as one English sentence each, with
names and numbers filled in. Here such a sentence is recognised by its form, ``at most {count} filters each way``, whose
translation is in the catalogue like any other message, and said again with the same names and numbers. What has no form
stays unsaid: a page then explains the refusal in general and shows the English under "technical detail".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from api import i18n
from api.languages import Language
from api.pages.forms_of_crew import CREW_FORMS
from api.pages.forms_of_details import DETAIL_FORMS
from api.pages.forms_of_intake import INTAKE_FORMS
from api.pages.forms_of_refusals import REFUSAL_FORMS
from api.pages.forms_of_settings import SETTING_FORMS
from api.pages.forms_of_tickets import TICKET_FORMS

FORMS = (*DETAIL_FORMS, *REFUSAL_FORMS, *SETTING_FORMS, *CREW_FORMS, *INTAKE_FORMS, *TICKET_FORMS)
# A sentence longer than this is none that a rule wrote for a person.
SENTENCE_MAX = 1_200
DEPTH_MAX = 5
REMEMBERED = 4_096
SPECIFICS_MAX = 8
# What is said of a cell or a column; whatever else "came" in a table is somebody's own text, and stays as it is.
_OF_CELLS = re.compile(r"nothing|no such column|the column '.*'|'.*' a second time", re.DOTALL)
# Places with these names hold what may be a sentence itself; these others what somebody wrote, whatever it is. In all
# other places stand names and numbers.
_NESTED = frozenset({"got", "expected", "said", "rest", "what", "noun"})
_FREE = frozenset({"error", "text", "title"})
_PLACE = re.compile(r"\{(\w+)\}")
_SPACED_PLACE = re.compile(r"( ?)\{(\w+)\}( ?)")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_PROSE = re.compile(r"[A-Za-z]{2,} +[A-Za-z]{2,}")
_HAN = re.compile(r"[\u3400-\u9fff]")
_SPECIFIC = re.compile(r"'[^']+'|\"[^\"]+\"|(?<!\w)[+-]?\d[\w.:+-]*")


@dataclass(frozen=True, slots=True)
class _Form:
    """A form: the message of the catalogue, what is fixed in it, and how to recognise it."""

    message: str
    fixed: Sequence[str]
    pattern: re.Pattern[str]


def said(sentence: str, language: Language) -> str | None:
    """Return the sentence in ``language``; None when it has no form. A bare name or number is the same in each."""
    if language is Language.EN:
        return sentence
    return _said(sentence, language)


def cell_said(got: str, language: Language) -> str:
    """Return what came in a cell of a table, or what is said of it."""
    return (said(got, language) if _OF_CELLS.fullmatch(got) else None) or got


def specifics(sentence: str) -> Sequence[str]:
    """Return the names in quotes and the numbers of a sentence, in order, each once."""
    return list(dict.fromkeys(_SPECIFIC.findall(sentence)))[:SPECIFICS_MAX]


@lru_cache(REMEMBERED)
def _said(sentence: str, language: Language, depth: int = 0) -> str | None:
    if len(sentence) > SENTENCE_MAX or depth > DEPTH_MAX:
        return None
    for form in _forms():
        if not all(part in sentence for part in form.fixed):
            continue
        found = form.pattern.fullmatch(sentence)
        values = None if found is None else _values(found.groupdict(), language, depth)
        if values is not None:
            return _filled(i18n.catalogue(language).gettext(form.message), values)
    return sentence if _is_bare(sentence) else None


def _values(found: Mapping[str, str], language: Language, depth: int) -> dict[str, str] | None:
    """Return what stands in the places, sentences among it said too; None when one of them cannot be."""
    values: dict[str, str] = {}
    for name, text in found.items():
        value = _said(text, language, depth + 1) if name in _NESTED | _FREE else text if _is_bare(text) else None
        if value is None and name not in _FREE:
            return None
        values[name] = text if value is None else value
    return values


def _filled(form: str, values: Mapping[str, str]) -> str:
    """Fill the places; a space sets names and numbers apart from Chinese, but not Chinese from Chinese."""

    def fill(place: re.Match[str]) -> str:
        before, name, after = place.groups()
        value = values[name]
        if name in _NESTED:
            before, after = ("" if _HAN.match(end) else space for end, space in ((value, before), (value[-1], after)))
        return f"{before}{value}{after}"

    return _SPACED_PLACE.sub(fill, form)


def _is_bare(text: str) -> bool:
    """Tell whether a text is names and numbers, and no English to be understood."""
    return _PROSE.search(_QUOTED.sub("''", text)) is None


@cache
def _forms() -> Sequence[_Form]:
    """Return all forms; the one that says most comes first, so that a general form never hides a closer one."""
    forms = [_form(message) for message in dict.fromkeys(FORMS)]
    return sorted(forms, key=lambda form: (-sum(map(len, form.fixed)), form.message))


def _form(message: str) -> _Form:
    parts = _PLACE.split(message)
    fixed, names = parts[::2], parts[1::2]
    pattern = re.escape(fixed[0])
    for name, after in zip(names, fixed[1:], strict=True):
        pattern += f"(?P<{name}>.+?)" + re.escape(after)
    return _Form(message, [part for part in fixed if part], re.compile(pattern, re.DOTALL))
