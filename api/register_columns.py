"""What a column of an imported table may hold, and how its cells are read, however they were filled (SPEC E1)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

from api.languages import Language
from api.register_schemas import shown_text
from api.spreadsheets import Cell
from storage.importing import Value

TEXT_LENGTH_MAX = 200
# Excel keeps fifteen digits of a number: of a longer one it has changed the last.
_EXACT_NUMBER_MAX = 1e15
_DAY = re.compile(r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*日?")
_YEARS = (1970, 2199)


class WrongCell(Exception):
    """A cell does not hold what its column does; the text says what was expected."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name for programs, its titles, what is in it, and an example."""

    name: str
    title_en: str
    title_zh: str
    note_en: str
    note_zh: str
    parse: Callable[[Cell], Value]
    example: Cell
    # What an empty cell means; for a key column there is none.
    blank: Value = None
    is_key: bool = False

    def title(self, language: Language) -> str:
        """Return the header in a language."""
        return self.title_zh if language is Language.ZH else self.title_en

    def note(self, language: Language) -> str:
        """Return what people should know before they fill it in."""
        return self.note_zh if language is Language.ZH else self.note_en


def text(cell: Cell) -> Value:
    """Return a cell as text: what a spreadsheet took for a number is written as people wrote it."""
    if isinstance(cell, bool):
        found = "TRUE" if cell else "FALSE"
    elif isinstance(cell, float):
        if abs(cell) >= _EXACT_NUMBER_MAX:
            raise WrongCell("text: as a number its last digits are lost, so format the cell as text and type it again")
        found = str(int(cell)) if cell.is_integer() else repr(cell)
    elif isinstance(cell, date):
        raise WrongCell("text: format the cell as text, so that it is not taken for a date")
    else:
        found = str(cell)
    found = found.strip()
    if len(found) > TEXT_LENGTH_MAX:
        raise WrongCell(f"at most {TEXT_LENGTH_MAX} characters")
    try:
        return shown_text(found)
    except ValueError as error:
        raise WrongCell("text on one line, without control characters") from error


def matching(pattern: str, said: str) -> Callable[[Cell], Value]:
    """Return a parser of text of one form."""
    compiled = re.compile(pattern)

    def parse(cell: Cell) -> Value:
        found = text(cell)
        if compiled.fullmatch(str(found)) is None:
            raise WrongCell(said)
        return found

    return parse


def number(low: float, high: float) -> Callable[[Cell], Value]:
    """Return a parser of numbers from ``low`` to ``high``; blanks inside a number are left out."""
    said = f"a number from {low:g} to {high:g}"

    def parse(cell: Cell) -> Value:
        try:
            found = float(re.sub(r"\s", "", cell) if isinstance(cell, str) else _a_number(cell))
        except ValueError as error:
            raise WrongCell(said) from error
        if not math.isfinite(found) or not low <= found <= high:
            raise WrongCell(said)
        return found

    return parse


def whole_number(low: int, high: int) -> Callable[[Cell], Value]:
    """Return a parser of whole numbers from ``low`` to ``high``."""
    any_number, said = number(low, high), f"a whole number from {low} to {high}"

    def parse(cell: Cell) -> Value:
        try:
            found = any_number(cell)
        except WrongCell as error:
            raise WrongCell(said) from error
        if not isinstance(found, float) or not found.is_integer():
            raise WrongCell(said)
        return int(found)

    return parse


def one_of(**names: str) -> Callable[[Cell], Value]:
    """Return a parser of fixed words; each may be written in Chinese as well."""
    known = {**{name: name for name in names}, **{chinese: name for name, chinese in names.items()}}

    def parse(cell: Cell) -> Value:
        found = known.get(str(text(cell)).lower())
        if found is None:
            raise WrongCell("one of " + ", ".join(known))
        return found

    return parse


def day(cell: Cell) -> Value:
    """Return a date: a date cell, or text that begins with the year."""
    return _a_day(cell)


def _a_day(cell: Cell) -> date:
    said = "a date such as 2026-01-31, year first"
    if isinstance(cell, datetime):
        cell = cell.date()
    if isinstance(cell, str) and (found := _DAY.fullmatch(cell.strip())) is not None:
        try:
            cell = date(int(found[1]), int(found[2]), int(found[3]))
        except ValueError as error:
            raise WrongCell(said) from error
    if not isinstance(cell, date) or not 1900 <= cell.year <= _YEARS[1]:
        raise WrongCell(said)
    return cell


def moment(cell: Cell) -> Value:
    """Return a time. Without a time zone, as date cells are, it is the site's, which the import knows."""
    said = "a time such as 2026-01-31T08:00:00Z or 2026-01-31 08:00 (then in the site's time zone)"
    if isinstance(cell, str):
        written = cell.strip()
        try:
            cell = datetime.fromisoformat(written)
        except ValueError as error:
            if _DAY.fullmatch(written) is None:
                raise WrongCell(said) from error
            cell = _a_day(written)
    if isinstance(cell, date) and not isinstance(cell, datetime):
        cell = datetime(cell.year, cell.month, cell.day)  # noqa: DTZ001 -- the site's time zone follows
    if not isinstance(cell, datetime) or not _YEARS[0] < cell.year < _YEARS[1]:
        raise WrongCell(said)
    return cell


def _a_number(cell: Cell) -> float:
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        raise ValueError("no number")
    return cell
