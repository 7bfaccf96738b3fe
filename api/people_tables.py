"""Which columns the tables of people have: engineers, skills, certificates, shifts (SPEC X6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from api.languages import Language
from api.register_columns import Column, day, matching, moment, number, one_of, text, whole_number
from api.register_tables import NOTES_MARK
from api.spreadsheets import Cell
from storage.people_import import PeopleKind

_LOW = matching(r"[a-z0-9_-]{1,64}", "1 to 64 of a-z 0-9 _ -")
_YES_OR_NO = one_of(yes="是", no="否")
_LOGIN = Column(
    "login",
    "Login",
    "登录名",
    "a-z 0-9 . _ -",
    "小写字母、数字及 . _ -",
    matching(r"[a-z0-9._-]{1,64}", "a login: a-z 0-9 . _ -"),
    "wang",
    is_key=True,
)
_TIME_EN, _TIME_ZH = "with a time zone, else the time of the person's site", "可带时区，否则按人员所在站点时区"

PEOPLE_COLUMNS: Mapping[PeopleKind, Sequence[Column]] = {
    PeopleKind.ENGINEERS: (
        _LOGIN,
        Column("name", "Name", "姓名", "for people", "显示名称", text, "王磊"),
        Column(
            "site",
            "Site",
            "站点",
            "id of the site of the engineer's role",
            "工程师角色所在站点编号",
            matching(r"[A-Za-z0-9_-]{1,64}", "1 to 64 of A-Z a-z 0-9 _ -"),
            "plant-1",
            is_key=True,
        ),
        Column("team", "Team", "班组", "made when it is new", "不存在时自动创建", text, "Maintenance"),
        Column(
            "load_limit",
            "Load limit",
            "工单上限",
            "open tickets at once, 0 to 50; 3 when empty",
            "同时未关闭工单数，0 至 50，空为 3",
            whole_number(0, 50),
            3,
            blank=3,
        ),
        Column("latitude", "Latitude", "纬度", "degrees, WGS84", "度，WGS84", number(-90, 90), 31.304),
        Column("longitude", "Longitude", "经度", "degrees, WGS84", "度，WGS84", number(-180, 180), 120.715),
    ),
    PeopleKind.SKILLS: (
        _LOGIN,
        Column(
            "skill", "Skill", "技能", "as failure modes name it", "与失效模式库一致", _LOW, "mechanical", is_key=True
        ),
        Column(
            "level",
            "Level",
            "等级",
            "1 to 5; 3 when empty",
            "1 至 5，空为 3",
            whole_number(1, 5),
            4,
            blank=3,
        ),
    ),
    PeopleKind.CERTIFICATES: (
        _LOGIN,
        Column("certificate", "Certificate", "证书", "its name", "证书名称", _LOW, "high_voltage", is_key=True),
        Column("valid_from", "Valid from", "生效日期", "year first", "年在前", day, "2026-01-01", is_key=True),
        Column(
            "valid_to", "Valid to", "失效日期", "the last day; empty: for ever", "最后一天，空为长期", day, "2027-12-31"
        ),
    ),
    PeopleKind.SHIFTS: (
        _LOGIN,
        Column("starts_at", "Starts at", "开始时间", _TIME_EN, _TIME_ZH, moment, "2026-03-02 08:00", is_key=True),
        Column("ends_at", "Ends at", "结束时间", _TIME_EN, _TIME_ZH, moment, "2026-03-02 16:00"),
        Column(
            "on_call", "On call", "待命", "yes or no; no when empty", "是 或 否，空为否", _YES_OR_NO, "no", blank="no"
        ),
    ),
}


def people_template(kind: PeopleKind, language: Language) -> tuple[list[str], list[list[Cell]]]:
    """Return a header, a row of notes and a row to be replaced."""
    columns = PEOPLE_COLUMNS[kind]
    notes: list[Cell] = [column.note(language) for column in columns]
    notes[0] = f"{NOTES_MARK} {notes[0]}"
    return [column.title(language) for column in columns], [notes, [column.example for column in columns]]
