"""Labels of a backtest as a table: which machine had which failure, and when (SPEC D7).

One row a failure: the asset's tag, the failure mode by code or name (empty: nobody knows which), the time at which it
failed or was repaired. What a ticket of that mode may be early by is the mode's own, so no other times are asked for.
A table is taken whole or not at all; what is wrong is told row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from zoneinfo import ZoneInfo

from api.backtest_schemas import LABELS_MAX, LabelShape
from api.register_columns import WrongCell, moment, text
from api.register_tables import plain_title
from api.routes.register_import import with_errors
from api.spreadsheets import Cell, Row, read_table
from domain.failure_modes import FailureMode
from storage.importing import Errors, Value

# Column and the ways to write its title.
TITLES: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "asset": ("asset", "asset tag", "tag", "设备", "设备位号"),
        "failure_mode": ("failure mode", "mode", "失效模式", "故障模式"),
        "at": ("at", "time", "failed at", "时间", "故障时间"),
    }
)
NEEDED = ("asset", "at")
PARSERS: Mapping[str, Callable[[Cell], Value]] = MappingProxyType({"asset": text, "failure_mode": text, "at": moment})
COLUMN_OF = {plain_title(title): name for name, titles in TITLES.items() for title in titles}


def read_labels(
    content: bytes, machines: Mapping[str, Sequence[int]], modes: Sequence[FailureMode], zone: str
) -> list[LabelShape]:
    """Return the labels of a CSV or XLSX table, or refuse it with every error that it has.

    ``machines`` maps the tags of the machines to try to their ids (several where sites use the same tag), ``modes``
    are those of their type; a time without a zone is one of ``zone`` (IANA name).
    """
    table = read_table(content, lambda title: plain_title(title) in COLUMN_OF)
    errors = Errors()
    columns = _columns(table.header, errors)
    found = [_label(row, columns, machines, modes, zone, errors) for row in table.rows] if columns else []
    if len(table.rows) > LABELS_MAX:
        errors.add(table.rows[LABELS_MAX].number, None, f"{len(table.rows)} rows", f"at most {LABELS_MAX} rows")
    if not table.rows:
        errors.add(table.header.number, None, "nothing", "at least one row below the header")
    if errors.count:
        raise with_errors(errors)
    return [label for label in found if label is not None]


def _columns(header: Row, errors: Errors) -> list[str | None]:
    found: list[str | None] = []
    for cell in header.cells:
        title = str("" if cell is None else cell).strip()
        column = COLUMN_OF.get(plain_title(title))
        if title and column is None:
            errors.add(header.number, title, f"the column '{title}'", f"a known column: one of {', '.join(TITLES)}")
        elif column is not None and column in found:
            errors.add(header.number, column, f"'{title}' a second time", "each column once")
        found.append(column)
    for name in NEEDED:
        if name not in found:
            errors.add(header.number, name, "no such column", f"the column '{name}' ({TITLES[name][-1]})")
    return found if not errors.count else []


def _label(
    row: Row,
    columns: Sequence[str | None],
    machines: Mapping[str, Sequence[int]],
    modes: Sequence[FailureMode],
    zone: str,
    errors: Errors,
) -> LabelShape | None:
    before = errors.count
    values: dict[str, Value] = {}
    for name, cell in zip(columns, row.cells, strict=False):
        if name is not None and cell is not None and str(cell).strip():
            try:
                values[name] = PARSERS[name](cell)
            except WrongCell as error:
                errors.add(row.number, name, cell, str(error))
    for name in NEEDED:
        if name not in values and errors.count == before:
            errors.add(row.number, name, "nothing", "a value")
    asset_ids = machines.get(str(values.get("asset")), ())
    if "asset" in values and not asset_ids:
        errors.add(row.number, "asset", values["asset"], "the tag of a machine that is tried")
    elif "asset" in values and len(asset_ids) > 1:
        errors.add(row.number, "asset", values["asset"], "a tag that only one of the sites has")
    meant = _meant(modes, values.get("failure_mode"))
    if not meant:
        known = ", ".join(mode.code for mode in modes)
        errors.add(
            row.number, "failure_mode", values.get("failure_mode", "nothing"), f"a failure mode of the type: {known}"
        )
    at = values.get("at")
    if errors.count > before or not isinstance(at, datetime):
        return None
    ended = at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone))
    begun = ended - timedelta(hours=max(mode.window_to_h for mode in meant))
    code = meant[0].code if "failure_mode" in values else None
    return LabelShape(begin=begun, end=ended, failure_mode=code, asset_id=asset_ids[0])


def _meant(modes: Sequence[FailureMode], said: Value) -> Sequence[FailureMode]:
    """Return the mode of this code or name, all of them where nothing is said."""
    if said is None:
        return modes
    word = str(said).strip().lower()
    return [mode for mode in modes if word in (mode.code, mode.name_en.lower(), mode.name_zh)][:1]
