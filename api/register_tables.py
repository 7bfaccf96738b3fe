"""Which columns each table of the register has, and how a file's table is read against them (SPEC E1)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from functools import cache

from api.languages import Language
from api.register_columns import Column, WrongCell, day, matching, moment, number, one_of, text, whole_number
from api.spreadsheets import Cell, Row, Table
from storage.importing import Errors, Incoming, Value
from storage.register_import import ImportKind

NOTES_MARK = "#"
_IGNORED_IN_TITLES = re.compile(r"[\s_\-*:：()（）]+")
_LOW = r"[a-z0-9_-]{1,64}"
_WORD = r"[A-Za-z0-9_-]{1,64}"
_TAG = r"[A-Za-z0-9_.-]{1,64}"


def _site() -> Column:
    said = "1 to 64 of A-Z a-z 0-9 _ -"
    return Column("site", "Site", "站点", "id of the site", "站点编号", matching(_WORD, said), "plant-1", is_key=True)


def _asset(*, is_key: bool) -> Column:
    parse = matching(_TAG, "1 to 64 of A-Z a-z 0-9 _ . -")
    return Column("asset", "Asset", "资产位号", "tag of the asset", "所属资产的位号", parse, "M-101", is_key=is_key)


def _words(name: str, title_en: str, title_zh: str, note_en: str, note_zh: str, example: str) -> Column:
    return Column(name, title_en, title_zh, note_en, note_zh, text, example)


_LATITUDE = Column("latitude", "Latitude", "纬度", "degrees, WGS84", "度，WGS84", number(-90, 90), 31.304)
_LONGITUDE = Column("longitude", "Longitude", "经度", "degrees, WGS84", "度，WGS84", number(-180, 180), 120.715)
_NAME = _words("name", "Name", "名称", "for people", "便于识别的名称", "Motor 101")
_SERIAL = _words("serial_number", "Serial number", "序列号", "of the nameplate", "铭牌上的序列号", "SN-2024-0815")
_BRAND = _words("brand", "Brand", "品牌", "maker", "制造商", "ABB")
_MODEL = _words("model", "Model", "型号", "of the nameplate", "铭牌上的型号", "M3BP 160")
_TIME_EN, _TIME_ZH = "with a time zone, else the site's time", "可带时区，否则按站点时区"

COLUMNS: Mapping[ImportKind, Sequence[Column]] = {
    ImportKind.SITES: (
        _site(),
        _words("name", "Name", "名称", "for people", "便于识别的名称", "Plant 1"),
        Column(
            "calendar", "Calendar", "日历", "id of a calendar", "日历编号", matching(_LOW, "a calendar id"), "plant-1"
        ),
        _LATITUDE,
        _LONGITUDE,
    ),
    ImportKind.AREAS: (
        _site(),
        Column("name", "Name", "名称", "hall, line ...", "车间、产线等", text, "Hall 1", is_key=True),
    ),
    ImportKind.ASSETS: (
        _site(),
        Column(
            "tag",
            "Tag",
            "位号",
            "unique at the site",
            "站点内唯一",
            matching(_TAG, "1 to 64 of A-Z a-z 0-9 _ . -"),
            "M-101",
            is_key=True,
        ),
        _NAME,
        Column(
            "asset_type", "Asset type", "设备类型", "id of a type", "设备类型编号", matching(_LOW, "a type id"), "motor"
        ),
        _words("area", "Area", "区域", "made when it is new", "不存在时自动创建", "Hall 1"),
        Column(
            "status",
            "Status",
            "状态",
            "in_service or decommissioned",
            "在用 或 停用",
            one_of(in_service="在用", decommissioned="停用"),
            "in_service",
            blank="in_service",
        ),
        Column(
            "criticality",
            "Criticality",
            "重要度",
            "1 (low) to 5 (high); 3 when empty",
            "1（低）至 5（高），空为 3",
            whole_number(1, 5),
            3,
            blank=3,
        ),
        _SERIAL,
        _BRAND,
        _MODEL,
        _words("batch", "Batch", "批次", "production batch", "生产批次", "2024-07"),
        Column("purchase_date", "Purchase date", "采购日期", "year first", "年在前", day, "2024-07-01"),
        Column("warranty_until", "Warranty until", "保修截止", "the last day", "最后一天", day, "2027-06-30"),
        _words("firmware", "Firmware", "固件版本", "version", "版本号", "1.4.2"),
        _words(
            "contract_number", "Contract number", "合同编号", "of the service contract", "服务合同编号", "C-2024-17"
        ),
        _words("location", "Location", "位置", "where to find it", "具体位置", "Row 3, behind the press"),
        _LATITUDE,
        _LONGITUDE,
        Column(
            "requester",
            "Requester",
            "报修人",
            "login of the owner",
            "负责人的登录名",
            matching(r"[a-z0-9._-]{1,64}", "a login: a-z 0-9 . _ -"),
            None,
        ),
        Column("commissioned_at", "Commissioned at", "投运时间", _TIME_EN, _TIME_ZH, moment, "2024-08-01 08:00"),
    ),
    ImportKind.COMPONENTS: (
        _site(),
        _asset(is_key=True),
        Column(
            "code",
            "Component",
            "部件代码",
            "as failure modes name it",
            "与失效模式库一致",
            matching(_LOW, "1 to 64 of a-z 0-9 _ -"),
            "bearing",
            is_key=True,
        ),
        _words("name", "Name", "名称", "for people", "便于识别的名称", "Drive end bearing"),
        _SERIAL,
        _BRAND,
        _MODEL,
        Column("installed_at", "Installed at", "安装时间", _TIME_EN, _TIME_ZH, moment, "2025-02-11 09:30"),
    ),
    ImportKind.DEVICES: (
        _site(),
        Column(
            "name",
            "Name",
            "名称",
            "as in its topics",
            "与主题中的名称一致",
            matching(_WORD, "1 to 64 of A-Z a-z 0-9 _ -"),
            "M-101-gw",
            is_key=True,
        ),
        _asset(is_key=False),
        Column(
            "time_policy",
            "Time policy",
            "时间策略",
            "live or recorded; live when empty",
            "实时 或 录制，空为实时",
            one_of(live="实时", recorded="录制"),
            "live",
            blank="live",
        ),
        Column(
            "expected_interval_s",
            "Expected interval s",
            "预期间隔秒",
            "silence is noticed; empty: never",
            "用于发现静默，空为不监测",
            number(1e-9, 31_536_000),
            5,
        ),
        _words("feed", "Feed", "接入源", "name of a feed; empty: its own topics", "接入源名称，空为原生主题", ""),
        _words("feed_key", "Feed key", "接入源键", "what the feed calls it", "接入源中的设备标识", ""),
    ),
}


def names_of(kind: ImportKind) -> Mapping[str, Column]:
    """Return the columns by every way to write their names, brought to one form by ``plain_title``."""
    return _names_of(kind)


@cache
def _names_of(kind: ImportKind) -> Mapping[str, Column]:
    return titles_of(COLUMNS[kind])


def titles_of(columns: Sequence[Column]) -> Mapping[str, Column]:
    """Return columns by every way to write their names, brought to one form by ``plain_title``."""
    return {
        plain_title(title): column for column in columns for title in (column.name, column.title_en, column.title_zh)
    }


def plain_title(title: str) -> str:
    """Return a header without what people write differently: case, blanks, underscores, hyphens, brackets."""
    return _IGNORED_IN_TITLES.sub("", title).lower()


def read_rows(kind: ImportKind, table: Table, errors: Errors) -> list[Incoming]:
    """Return the rows of a table by column names; what is wrong in a cell or a header goes to ``errors``.

    A row without its key, or with an error, is left out. Rows that begin with ``#`` are notes.
    """
    return rows_of(COLUMNS[kind], table, errors)


def rows_of(known: Sequence[Column], table: Table, errors: Errors) -> list[Incoming]:
    """Return the rows of a table that has these columns, as ``read_rows`` does."""
    columns = _columns(known, table.header, errors)
    if columns is None:
        return []
    rows = []
    for row in table.rows:
        if str(row.cells[0] if row.cells else "").lstrip().startswith(NOTES_MARK):
            continue
        values = _values(row, columns, errors)
        if values is not None:
            rows.append(Incoming(row.number, values))
    return rows


def _columns(known: Sequence[Column], header: Row, errors: Errors) -> list[Column | None] | None:
    """Return what each column of the header is, None for one without a title; None for all when one is wrong."""
    names, before = titles_of(known), errors.count
    found: list[Column | None] = []
    for cell in header.cells:
        title = str("" if cell is None else cell).strip()
        column = names.get(plain_title(title))
        if title and column is None:
            near = difflib.get_close_matches(plain_title(title), names, n=1, cutoff=0.5)
            hint = f"'{names[near[0]].name}'?" if near else "one of " + ", ".join(one.name for one in known)
            errors.add(header.number, title, f"the column '{title}'", f"a known column: {hint}")
        elif column is not None and column in found:
            errors.add(header.number, column.name, f"'{title}' a second time", "each column once")
        found.append(column)
    for column in known:
        if column.is_key and column not in found:
            errors.add(header.number, column.name, "no such column", f"the column '{column.name}' ({column.title_zh})")
    return None if errors.count > before else found


def _values(row: Row, columns: Sequence[Column | None], errors: Errors) -> dict[str, Value] | None:
    before = errors.count
    values: dict[str, Value] = {}
    for place, column in enumerate(columns):
        cell = row.cells[place] if place < len(row.cells) else None
        is_blank = cell is None or (isinstance(cell, str) and not cell.strip())
        if column is None:
            if not is_blank:
                errors.add(row.number, None, cell, "nothing in a column without a title")
        elif is_blank:
            values[column.name] = column.blank
            if column.is_key:
                errors.add(row.number, column.name, "nothing", "a value")
        else:
            try:
                values[column.name] = column.parse(cell)
            except WrongCell as error:
                errors.add(row.number, column.name, cell, str(error))
    for cell in row.cells[len(columns) :]:
        if cell is not None and cell != "":
            errors.add(row.number, None, cell, "no more cells than the header has")
    return None if errors.count > before else values


def template(kind: ImportKind, language: Language) -> tuple[list[str], list[list[Cell]]]:
    """Return a header, a row of notes and a row to be replaced."""
    columns = COLUMNS[kind]
    notes: list[Cell] = [column.note(language) for column in columns]
    notes[0] = f"{NOTES_MARK} {notes[0]}"
    return [column.title(language) for column in columns], [notes, [column.example for column in columns]]


def exported(
    kind: ImportKind, records: Sequence[Mapping[str, Value]], language: Language
) -> tuple[list[str], list[list[Cell]]]:
    """Return the header and the rows of an export, which ``read_rows`` takes back."""
    columns = COLUMNS[kind]
    rows: list[list[Cell]] = [[record.get(column.name) for column in columns] for record in records]
    return [column.title(language) for column in columns], rows
