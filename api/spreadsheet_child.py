"""Reads one XLSX workbook from stdin in a process of its own, and writes its first visible sheet as lines of JSON.

A workbook is a zip file and may unpack to far more than it weighs, and a sheet with one cell in its last corner is
a table of 17 thousand million cells to whoever reads it. Here memory and time are bounded by the system: such a file
ends this process, not the service. Started by path, so it imports nothing of ours.

A line is a list of cells: text, numbers, true or false, null, ``{"day": ...}`` or ``{"moment": ...}``. The first line
is the number of empty rows above. When the file cannot be used the last line is ``{"refused": sentence}``.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import resource
import sys
import zipfile
from collections.abc import Iterator
from datetime import date, datetime

from python_calamine import CalamineError, CalamineSheet, SheetVisibleEnum, load_workbook

MEMORY_BYTES = 1 << 30
CPU_S = 30
UNPACKED_BYTES = 256 << 20
OUTPUT_BYTES = 64 << 20
COLUMNS_MAX = 256
# Header, notes and a margin of blank rows beside the rows that an import may have; whoever asked counts those.
ROWS_MAX = 60_000
# calamine shows a formula that failed as an empty cell, which would clear a value in silence.
_ERROR_CELL = re.compile(rb"""<(?:\w+:)?c\b(?=[^>]*\bt\s*=\s*["']e["'])[^>]*\br\s*=\s*["']([A-Z]+[0-9]+)["']""")


class Unreadable(Exception):
    """The file cannot be used; the text says what came."""


def main() -> int:
    """Read stdin, write lines; return the exit code."""
    for kind, bound in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CPU, CPU_S)):
        # Some systems do not know the bound; the sizes below hold everywhere.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (bound, bound))
    content = sys.stdin.buffer.read()
    written = 0
    try:
        for line in _lines(content):
            written += len(line)
            if written > OUTPUT_BYTES:
                raise Unreadable(f"more than {OUTPUT_BYTES >> 20} MiB of cells")
            sys.stdout.write(line)
    except Unreadable as error:
        sys.stdout.write(json.dumps({"refused": str(error)}) + "\n")
    except (CalamineError, zipfile.BadZipFile, OSError, ValueError) as error:
        sys.stdout.write(json.dumps({"refused": f"something else inside ({type(error).__name__})"}) + "\n")
    return 0


def _lines(content: bytes) -> Iterator[str]:
    _check_archive(content)
    with load_workbook(io.BytesIO(content)) as book:
        visible = [one.name for one in book.sheets_metadata if one.visible is SheetVisibleEnum.Visible]
        if not visible:
            raise Unreadable("a workbook without a visible sheet")
        sheet = book.get_sheet_by_name(visible[0])
        yield from _rows(sheet)


def _rows(sheet: CalamineSheet) -> Iterator[str]:
    if sheet.width > COLUMNS_MAX:
        raise Unreadable(f"{sheet.width} columns, at most {COLUMNS_MAX} can be read")
    if sheet.height > ROWS_MAX:
        raise Unreadable(f"{sheet.height} rows, at most {ROWS_MAX} can be read")
    yield f"{sheet.start[0] if sheet.start else 0}\n"
    for row in sheet.to_python(skip_empty_area=True):
        yield json.dumps([_cell(cell) for cell in row]) + "\n"


def _cell(cell: object) -> object:
    if isinstance(cell, datetime):
        return {"moment": cell.isoformat()}
    if isinstance(cell, date):
        return {"day": cell.isoformat()}
    if isinstance(cell, str | int | float | bool) or cell is None:
        return cell
    return str(cell)


def _check_archive(content: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = archive.infolist()
        unpacked = sum(part.file_size for part in parts)
        if unpacked > UNPACKED_BYTES:
            raise Unreadable(f"{unpacked >> 20} MiB when unpacked, at most {UNPACKED_BYTES >> 20} can be read")
        if not any(part.filename == "xl/workbook.xml" for part in parts):
            raise Unreadable("a zip file that is no XLSX workbook")
        for part in parts:
            if part.filename.startswith("xl/worksheets/") and part.filename.endswith(".xml"):
                failed = _ERROR_CELL.search(archive.read(part))
                if failed is not None:
                    raise Unreadable(f"a formula that failed (#N/A, #REF! ...) in cell {failed[1].decode()}")


if __name__ == "__main__":
    sys.exit(main())
