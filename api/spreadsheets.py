"""Tables in and out: CSV as people's programs write it, and XLSX; bounded, and safe to open again (SPEC E1)."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import xlsxwriter  # type: ignore[import-untyped]

from domain.refusals import Refused

Cell = str | int | float | bool | date | datetime | None

ROWS_MAX = 50_000
CELL_LENGTH_MAX = 4_000
COLUMNS_MAX = 256
READ_TIMEOUT_S = 60
SEPARATORS = (",", ";", "\t")
# A spreadsheet program takes a cell that starts so for a formula; an apostrophe before it says that it is text.
_FORMULA_STARTS = tuple("=+-@＝＋－＠\t\r")
_GUARDED_STARTS = (*_FORMULA_STARTS, "'")
_CHILD = Path(__file__).with_name("spreadsheet_child.py")
_ZIP, _OLD_EXCEL = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_EXACT_DIGITS = ".16G"


@dataclass(frozen=True, slots=True)
class Row:
    """A row as people number it: the first of the sheet is 1."""

    number: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """The header, which is the first row that is not empty, and the rows below it that are not empty."""

    header: Row
    rows: Sequence[Row]


def read_table(content: bytes, known: Callable[[str], bool]) -> Table:
    """Return the table of a CSV or XLSX file; ``known`` tells which words are column names.

    CSV may be UTF-8, with or without a byte order mark, UTF-16 with one, or GB18030, its cells separated by comma,
    semicolon or tab. Refused when the file is none of this, empty, or beyond the bounds.
    """
    if content.startswith(_OLD_EXCEL):
        raise _unsupported("a workbook of Excel 97-2003, or one with a password")
    rows = _xlsx_rows(content) if content.startswith(_ZIP) else _csv_rows(_decoded(content), known)
    header: Row | None = None
    found: list[Row] = []
    for row in rows:
        if all(cell is None or cell == "" for cell in row.cells):
            continue
        if header is None:
            header = row
            continue
        found.append(row)
        if len(found) > ROWS_MAX:
            raise _too_large(f"at most {ROWS_MAX} rows below the header", "more")
    if header is None:
        raise Refused("invalid_import", expected="a header and rows", got="an empty table", remedy="Fill it in.")
    return Table(header, found)


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """Return the table as CSV in UTF-8 with a byte order mark, by which Excel knows the encoding."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([guarded(name) for name in header])
    for row in rows:
        writer.writerow([guarded(cell) if isinstance(cell, str) else _plain(cell) for cell in row])
    return text.getvalue().encode("utf-8-sig")


def xlsx_bytes(header: Sequence[str], rows: Iterable[Sequence[Cell]], sheet_name: str) -> bytes:
    """Return the table as a workbook of one sheet; text is written as text, never as a formula."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        # As text, so that a program does not make a number of "007" when somebody edits the cell.
        as_text, as_day = book.add_format({"num_format": "@"}), book.add_format({"num_format": "yyyy-mm-dd"})
        bold = book.add_format({"bold": True, "num_format": "@"})
        sheet = book.add_worksheet(sheet_name)
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, max(len(header) - 1, 0), 18, as_text)
        for column, name in enumerate(header):
            sheet.write_string(0, column, name, bold)
        for number, row in enumerate(rows, start=1):
            for column, cell in enumerate(row):
                if isinstance(cell, datetime | str) or _would_be_rounded(cell):
                    sheet.write_string(number, column, str(_plain(cell)), as_text)
                elif isinstance(cell, date):
                    sheet.write_datetime(number, column, cell, as_day)
                elif cell is not None:
                    sheet.write_number(number, column, cell)
    return out.getvalue()


def guarded(text: str) -> str:
    """Return text that no spreadsheet program takes for a formula; ``unguarded`` gives it back."""
    return "'" + text if text.startswith(_GUARDED_STARTS) else text


def unguarded(text: str) -> str:
    """Return text as it was before ``guarded``; an apostrophe that guards nothing is part of the text."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_GUARDED_STARTS) else text


def _plain(cell: Cell) -> str | int | float | None:
    if isinstance(cell, datetime):
        return cell.isoformat().replace("+00:00", "Z")
    if isinstance(cell, date):
        return cell.isoformat()
    return repr(cell) if isinstance(cell, float) else cell


def _would_be_rounded(cell: Cell) -> bool:
    """Tell whether a workbook, which keeps 16 digits, would bring back another number."""
    return isinstance(cell, float) and float(format(cell, _EXACT_DIGITS)) != cell


def _decoded(content: bytes) -> str:
    # Excel in Chinese writes GB18030 and nothing that says so; it is hardly ever valid UTF-8 as well.
    encodings = ["utf-16"] if content.startswith((b"\xff\xfe", b"\xfe\xff")) else ["utf-8-sig", "gb18030"]
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise _unsupported("bytes that are no text in UTF-8, UTF-16 or GB18030")


def _csv_rows(text: str, known: Callable[[str], bool]) -> Iterator[Row]:
    separator = _separator(text, known)
    try:
        for number, cells in enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=separator), start=1):
            if len(cells) > COLUMNS_MAX:
                raise _too_large(f"at most {COLUMNS_MAX} columns", f"{len(cells)} in row {number}")
            yield Row(number, tuple(unguarded(cell) for cell in cells))
    except csv.Error as error:
        raise _unsupported(f"text that is no CSV: {error}") from error


def _separator(text: str, known: Callable[[str], bool]) -> str:
    """Return the separator by which the first line has the most column names; a comma wins a tie."""
    lines = io.StringIO(text.lstrip("\r\n\ufeff")[:65_536], newline="")

    def names(separator: str) -> int:
        lines.seek(0)
        try:
            return sum(known(unguarded(cell)) for cell in next(csv.reader(lines, delimiter=separator), []))
        except csv.Error:
            return 0

    return max(SEPARATORS, key=names)


def _xlsx_rows(content: bytes) -> Iterator[Row]:
    try:
        read = subprocess.run(
            [sys.executable, "-I", str(_CHILD)], input=content, capture_output=True, check=False, timeout=READ_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise _too_large(f"a workbook that is read within {READ_TIMEOUT_S} s", "one that takes longer") from error
    if read.returncode != 0:
        raise _too_large("a workbook that fits into the memory set apart for it", "one that does not when unpacked")
    first, *lines = read.stdout.splitlines()
    opening = json.loads(first)
    for number, line in enumerate([first] if isinstance(opening, dict) else lines, start=1):
        cells = json.loads(line)
        if isinstance(cells, dict):
            raise _unsupported(str(cells["refused"]))
        yield Row(opening + number, tuple(_from_child(cell) for cell in cells))


def _from_child(cell: object) -> Cell:
    if isinstance(cell, dict):
        return datetime.fromisoformat(cell["moment"]) if "moment" in cell else date.fromisoformat(cell["day"])
    if isinstance(cell, str | int | float | bool):
        return cell
    return None


def _unsupported(got: str) -> Refused:
    return Refused(
        "unsupported_file",
        expected=f"a CSV file, or an XLSX workbook of at most {ROWS_MAX} rows whose formulas all have values",
        got=got,
        remedy="Save it as XLSX or as CSV (UTF-8), and correct what is named.",
    )


def _too_large(expected: str, got: str) -> Refused:
    return Refused("request_too_large", expected=expected, got=got, remedy="Split the table into several files.")
