"""A policy as a form: a field for each number, what was typed read back, and what is wrong said at its field."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby

from starlette.datastructures import FormData

from api.pages import policy_words
from api.pages.forms import text
from api.pages.policy_words import FieldWords
from storage.policy_book import Body, FieldChange, PolicyField, PolicyKind, numbers_of

TEXT_MAX = 32
PREFIX = "field:"


@dataclass(frozen=True, slots=True)
class FieldView:
    """A field with what it holds as text; ``allowed`` says its limits, ``trouble`` what is wrong with the text."""

    field: PolicyField
    words: FieldWords
    site: str | None
    value: str
    allowed: str
    trouble: str | None

    @property
    def name(self) -> str:
        """The field's name in the form."""
        return PREFIX + self.field.path


@dataclass(frozen=True, slots=True)
class SectionView:
    """Fields that stand together."""

    title: str
    fields: Sequence[FieldView]


@dataclass(frozen=True, slots=True)
class ChangeView:
    """A number that differs, with its words."""

    change: FieldChange
    words: FieldWords
    site: str | None


@dataclass(frozen=True, slots=True)
class PolicyForm:
    """A policy's form at these sites: ``texts`` by path, as they are in force or were typed."""

    kind: PolicyKind
    sites: Sequence[str]
    texts: Mapping[str, str]

    @classmethod
    def of_body(cls, kind: PolicyKind, sites: Sequence[str], body: Body) -> PolicyForm:
        """Return the form that says what a body says."""
        return cls(kind, sites, {path: written(number) for path, number in numbers_of(body).items()})

    @classmethod
    def of_posted(cls, kind: PolicyKind, sites: Sequence[str], form: FormData) -> PolicyForm:
        """Return the form as it was posted."""
        paths = [one.path for _, one, _ in _expanded(kind, sites)]
        return cls(kind, sites, {path: text(form, PREFIX + path)[:TEXT_MAX] for path in paths})

    def numbers(self) -> dict[str, float]:
        """Return what the texts say, those left out that are wrong: ``is_right`` tells whether there are any."""
        read = {one.path: _read(one, self.texts.get(one.path, "")) for _, one, _ in _expanded(self.kind, self.sites)}
        return {path: number for path, number in read.items() if number is not None}

    def digest(self) -> str:
        """Return a mark of the values, by which a page tells whether they are those that somebody looked at."""
        return sha256(repr(sorted(self.numbers().items())).encode()).hexdigest()

    def is_right(self) -> bool:
        """Tell whether every field can be read and lies within its limits."""
        return not any(self._is_wrong(one, is_optional) for _, one, is_optional in _expanded(self.kind, self.sites))

    def sections(self, translate: Callable[[str], str]) -> list[SectionView]:
        """Return the fields as the page shows them."""
        rows = [
            (section, self._view(one, is_optional, translate))
            for section, one, is_optional in _expanded(self.kind, self.sites)
        ]
        return [
            SectionView(policy_words.SECTIONS[section], [view for _, view in group])
            for section, group in groupby(rows, key=lambda row: row[0])
        ]

    def _is_wrong(self, one: PolicyField, is_optional: bool) -> bool:
        typed = self.texts.get(one.path, "")
        return _read(one, typed) is None and not (is_optional and not typed)

    def _view(self, one: PolicyField, is_optional: bool, translate: Callable[[str], str]) -> FieldView:
        typed = self.texts.get(one.path, "")
        message = policy_words.ABOVE if one.is_above else policy_words.WHOLE if one.is_whole else policy_words.NUMBER
        allowed = translate(message).format(least=written(one.least), most=written(one.most))
        trouble = None
        if self._is_wrong(one, is_optional):
            got = f"'{typed}'" if typed else translate(policy_words.NOTHING)
            trouble = translate(policy_words.EXPECTED).format(what=allowed, got=got)
        words, site = words_of(one.path)
        return FieldView(one, words, site, typed, allowed, trouble)


def change_views(found: Sequence[FieldChange]) -> list[ChangeView]:
    """Return changes with the words of their fields."""
    return [ChangeView(change, *words_of(change.path)) for change in found]


def words_of(path: str) -> tuple[FieldWords, str | None]:
    """Return the words of a field, and the site that it is of."""
    if path in policy_words.FIELDS:
        return policy_words.FIELDS[path], None
    table, _, site = path.rpartition(".")
    known = policy_words.FIELDS.get(table)
    return (known, site) if known is not None else (FieldWords(path, "", ""), None)


def written(number: float) -> str:
    """Return a number as people type it."""
    return f"{number:.12g}"


def _expanded(kind: PolicyKind, sites: Sequence[str]) -> list[tuple[str, PolicyField, bool]]:
    """Return every field with its section and whether it may be empty; tables by site have one field a site."""
    found = []
    for one in kind.fields:
        if one.by_site:
            found += [(one.path, one.of_site(site), True) for site in sites]
        else:
            found.append((one.path.rpartition(".")[0], one, False))
    return found


def _read(one: PolicyField, typed: str) -> float | None:
    """Return what a text says, None for what is no number of the field."""
    try:
        number = int(typed) if one.is_whole else float(typed)
    except ValueError:
        return None
    return number if one.allows(number) else None
