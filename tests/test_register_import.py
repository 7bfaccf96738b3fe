"""Tables in and out of the register: all or nothing, an error for every cell, and a round trip that changes nothing."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime

import psycopg
import pytest
import xlsxwriter
from httpx2 import Response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg_pool import ConnectionPool

from api.languages import Language
from api.register_columns import WrongCell, day, moment, number, text, whole_number
from api.register_schemas import shown_text
from api.register_tables import COLUMNS, exported, names_of, plain_title, read_rows
from api.spreadsheets import ROWS_MAX, Cell, Table, csv_bytes, guarded, read_table, unguarded, xlsx_bytes
from domain.refusals import Refused
from storage.assets import AssetFacts, AssetStatus, DeviceFacts, create_asset, register_device
from storage.components import Component, put_component
from storage.importing import ERRORS_SHOWN, Errors
from storage.register_import import ImportKind, Outcome, export_rows, import_rows
from tests.api_builders import BASE, NORTH, NOW, SOUTH, Api, a_feed, a_person, an_api, an_asset
from tests.ingest_builders import CLOCK
from ticketing.actors import Role, RoleHeld

# As spreadsheets have them: without a time zone.
FIRST_OF_JULY, LAST_OF_JANUARY = datetime(2024, 7, 1), datetime(2026, 1, 31, 8, 0)  # noqa: DTZ001
EARLIEST, LATEST = datetime(1971, 1, 1), datetime(2198, 1, 1)  # noqa: DTZ001
HEADER = "site,tag,name,asset_type"


@pytest.fixture
def api(pool: ConnectionPool) -> Iterator[Api]:
    with an_api(pool) as opened:
        yield opened


def send(
    api: Api,
    content: bytes | str,
    kind: str = "assets",
    role: Role = Role.PLANNER,
    site: str | None = None,
    *,
    dry_run: bool = False,
) -> Response:
    sent = content.encode() if isinstance(content, str) else content
    asked = {"kind": kind, "dry_run": str(dry_run).lower()}
    files = {"file": ("table.csv", sent)}
    return api.client.post(f"{BASE}/register/import", params=asked, files=files, headers=api.headers(role, site))


def counts(answer: Response) -> tuple[int, int, int]:
    assert answer.status_code == 200, answer.text
    told = answer.json()
    return told["created"], told["changed"], told["unchanged"]


def errors_of(answer: Response) -> list[tuple[int, str | None]]:
    assert answer.status_code == 422, answer.text
    assert answer.json()["type"] == "urn:wearsight:refusal:invalid_import"
    return [(one["row"], one["column"]) for one in answer.json()["errors"]]


def workbook(rows: Sequence[Sequence[object]], **formats: object) -> bytes:
    """A workbook as people make them: dates as date cells, numbers as numbers."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True, "default_date_format": "yyyy-mm-dd hh:mm", **formats}) as book:
        sheet = book.add_worksheet()
        for number, row in enumerate(rows):
            for column, cell in enumerate(row):
                if cell is not None:
                    sheet.write(number, column, cell)
    return out.getvalue()


# What is imported


def test_a_table_creates_then_changes_then_leaves_alone(api: Api) -> None:
    first = f"{HEADER},area,brand\nnorth,M-1,Motor 1,motor,Hall 1,ABB\nnorth,M-2,Motor 2,motor,Hall 1,\n"
    assert counts(send(api, first)) == (2, 0, 0)
    assert counts(send(api, first)) == (0, 0, 2)
    second = send(api, "site,tag,brand\nnorth,M-1,Siemens\nnorth,M-2,\n")
    assert counts(second) == (0, 1, 1)
    assert second.json()["changes"] == [{"row": 2, "key": "north/M-1", "what": "changed", "fields": ["brand"]}]
    (asset,) = api.get("/assets", tag="M-1").json()["items"]
    # What the second table had no column for stayed.
    assert (asset["brand"], asset["area"], asset["name"], asset["version"]) == ("Siemens", "Hall 1", "Motor 1", 2)


def test_an_empty_cell_clears_and_a_missing_column_does_not(api: Api) -> None:
    assert counts(send(api, f"{HEADER},brand,model\nnorth,M-1,Motor 1,motor,ABB,M3\n")) == (1, 0, 0)
    assert counts(send(api, "site,tag,brand\nnorth,M-1,\n")) == (0, 1, 0)
    (asset,) = api.get("/assets", tag="M-1").json()["items"]
    assert (asset["brand"], asset["model"]) == (None, "M3")


def test_a_dry_run_gives_the_same_answer_and_changes_nothing(api: Api) -> None:
    table = f"{HEADER},area\nnorth,M-1,Motor 1,motor,Hall 9\n"
    api.token(Role.PLANNER)

    def there() -> list[tuple[object, ...] | None]:
        with api.pool.connection() as connection:
            nouns = ("asset", "area", "audit")
            return [connection.execute(f"select count(*) from {noun}").fetchone() for noun in nouns]

    before = there()
    tried = send(api, table, dry_run=True).json()
    assert there() == before
    assert {**send(api, table).json(), "dry_run": True} == tried


def test_every_error_is_named_with_its_row_and_column_and_nothing_is_written(api: Api) -> None:
    table = (
        f"{HEADER},criticality,purchase_date,requester,latitude\n"
        "north,M-1,Motor 1,motor,3,2024-01-01,,31\n"
        "north,M 2,Motor 2,motor,9,01/02/2024,,91\n"
        "east,M-3,Motor 3,motor,,,,\n"
        "north,M-4,,engine,,,nobody,\n"
        "north,M-1,Again,motor,,,,\n"
        "\n"
        "north,M-5,Motor 5,turbine,,,nobody,\n"
    )
    answer = send(api, table)
    assert errors_of(answer) == [
        (3, "tag"), (3, "criticality"), (3, "purchase_date"), (3, "latitude"),
        (4, "site"), (5, "name"), (6, "tag"), (8, "asset_type"), (8, "requester"),
    ]  # fmt: skip
    last = answer.json()["errors"][-2]
    assert (last["got"], last["expected"]) == ("turbine", "one of generic, motor")
    assert api.get("/assets").json()["items"] == []
    assert errors_of(send(api, table, dry_run=True)) == errors_of(answer)


def test_an_unknown_column_is_an_error_that_suggests_the_nearest(api: Api) -> None:
    answer = send(api, f"{HEADER},serial_nummer\nnorth,M-1,Motor,motor,1\n")
    assert errors_of(answer) == [(1, "serial_nummer")]
    assert "'serial_number'" in answer.json()["errors"][0]["expected"]
    assert errors_of(send(api, "site,name\nnorth,Motor\n")) == [(1, "tag")]
    assert errors_of(send(api, f"{HEADER},Tag\nnorth,M-1,Motor,motor,1\n")) == [(1, "tag")]


def test_a_thousand_errors_are_shown_and_the_others_counted(api: Api) -> None:
    rows = "".join(f"north,bad tag,Motor {number},motor\n" for number in range(ERRORS_SHOWN + 5))
    told = send(api, f"{HEADER}\n{rows}").json()
    assert (len(told["errors"]), told["error_count"]) == (ERRORS_SHOWN, ERRORS_SHOWN + 5)


def test_a_caller_of_one_site_imports_only_there(api: Api) -> None:
    table = f"{HEADER}\nnorth,M-1,Motor,motor\nsouth,M-1,Motor,motor\n"
    assert errors_of(send(api, table, role=Role.PLANNER, site=NORTH)) == [(3, "site")]
    site = "site,name,calendar,latitude,longitude\nwest,West,day,1,2\n"
    assert errors_of(send(api, site, "sites", Role.PLANNER, NORTH)) == [(2, "site")]
    assert counts(send(api, site, "sites")) == (1, 0, 0)
    assert counts(send(api, site.replace("West", "Far West"), "sites")) == (0, 1, 0)


def test_components_and_devices_refer_to_assets_by_tag(api: Api) -> None:
    with api.pool.connection() as connection:
        an_asset(connection, NORTH, "M-1")
        an_asset(connection, SOUTH, "M-9")
    parts = "site,asset,code,serial_number,installed_at\nnorth,M-1,bearing,B-1,2025-02-11 09:30\n"
    assert counts(send(api, parts, "components")) == (1, 0, 0)
    assert counts(send(api, parts, "components")) == (0, 0, 1)
    assert errors_of(send(api, parts.replace("M-1", "M-9"), "components")) == [(2, "asset")]
    devices = "site,name,asset,expected_interval_s\nnorth,gw-1,M-1,5\n"
    assert counts(send(api, devices, "devices")) == (1, 0, 0)
    assert counts(send(api, devices, "devices")) == (0, 0, 1)
    assert errors_of(send(api, devices + "north,gw-2,M-9,\n", "devices")) == [(3, "asset")]


def test_a_device_is_bound_to_a_feed_of_its_site_by_a_key_that_is_free(api: Api) -> None:
    with api.pool.connection() as connection:
        an_asset(connection, NORTH, "M-1")
        a_feed(connection, NORTH, "line")
        a_feed(connection, SOUTH, "other")
    head = "site,name,asset,feed,feed_key\n"
    assert errors_of(send(api, f"{head}north,a,M-1,line,\nnorth,b,M-1,other,k\n", "devices")) == [
        (2, "feed_key"),
        (3, "feed"),
    ]
    assert errors_of(send(api, f"{head}north,a,M-1,line,k\nnorth,b,M-1,line,k\n", "devices")) == [(3, "feed_key")]
    assert counts(send(api, f"{head}north,a,M-1,line,k\nnorth,b,M-1,line,k2\n", "devices")) == (2, 0, 0)


def test_a_time_without_a_zone_is_the_sites_own(api: Api) -> None:
    with api.pool.connection() as connection:
        connection.execute("update calendar set time_zone = 'Asia/Shanghai'")
    table = (
        f"{HEADER},commissioned_at\nnorth,M-1,Motor,motor,2026-01-05 08:00\nnorth,M-2,Motor,motor,2026-01-05T08:00Z\n"
    )
    assert counts(send(api, table)) == (2, 0, 0)
    found = {one["tag"]: one["commissioned_at"] for one in api.get("/assets").json()["items"]}
    assert found == {"M-1": "2026-01-05T00:00:00Z", "M-2": "2026-01-05T08:00:00Z"}


def test_who_imported_is_in_the_changes_of_each_asset(api: Api) -> None:
    send(api, f"{HEADER}\nnorth,M-1,Motor,motor\n", role=Role.PLANNER)
    (asset,) = api.get("/assets").json()["items"]
    (change,) = api.get(f"/assets/{asset['id']}/changes").json()["items"]
    assert (change["noun"], change["person"], change["before"]) == ("asset", "planner.everywhere", None)


@pytest.mark.slow
def test_the_largest_table_is_written_within_a_minute_and_once(api: Api) -> None:
    rows = "".join(f"north,T-{number},Motor,motor,Hall {number % 50}\n" for number in range(ROWS_MAX))
    began_s = CLOCK.monotonic_s()
    assert counts(send(api, f"{HEADER},area\n{rows}")) == (ROWS_MAX, 0, 0)
    assert counts(send(api, f"{HEADER},area\n{rows}")) == (0, 0, ROWS_MAX)
    assert CLOCK.monotonic_s() - began_s < 60


# How files are written


CHINESE = "站点,位号,名称,设备类型,品牌\nnorth,M-1,一号电机,motor,西门子\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "gbk", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_is_read_in_the_encodings_and_separators_of_real_programs(encoding: str, separator: str) -> None:
    table = read(CHINESE.replace(",", separator).encode(encoding))
    errors = Errors()
    (row,) = read_rows(ImportKind.ASSETS, table, errors)
    assert errors.shown == []
    assert row.values == {"site": "north", "tag": "M-1", "name": "一号电机", "asset_type": "motor", "brand": "西门子"}


def read(content: bytes) -> Table:
    return read_table(content, lambda title: plain_title(title) in names_of(ImportKind.ASSETS))


def test_a_workbook_is_read_as_people_fill_it(api: Api) -> None:
    rows: list[Sequence[object]] = [
        [],
        ["Site", "Tag", "Name", "Asset type", "Serial number", "Criticality", "Purchase date", "Latitude", "Batch"],
        ["# notes are skipped"],
        ["north", 1001, "Motor", "motor", 12345, 4, FIRST_OF_JULY, " 31.5 ", "007"],
        [],
        ["north", "M-2", '=LOWER("MOTOR")', "motor", None, "=1+1", date(2024, 7, 2), "1 0.5", None],
    ]
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True, "default_date_format": "yyyy-mm-dd"}) as book:
        hidden = book.add_worksheet("hidden")
        sheet = book.add_worksheet("assets")
        sheet.activate()
        sheet.set_first_sheet()
        hidden.hide()
        for number, row in enumerate(rows):
            for column, cell in enumerate(row):
                if isinstance(cell, str) and cell.startswith("="):
                    sheet.write_formula(number, column, cell, None, 2 if "+" in cell else "motor")
                elif cell is not None:
                    sheet.write(number, column, cell)
    assert counts(send(api, out.getvalue())) == (2, 0, 0)
    first, second = api.get("/assets").json()["items"]
    assert (first["tag"], first["serial_number"], first["batch"], first["latitude"]) == ("1001", "12345", "007", 31.5)
    assert (first["purchase_date"], second["purchase_date"]) == ("2024-07-01", "2024-07-02")
    assert (second["name"], second["criticality"], second["latitude"]) == ("motor", 2, 10.5)


def test_a_number_that_a_spreadsheet_has_rounded_is_not_taken_for_a_serial_number() -> None:
    assert text(123456789012345.0) == "123456789012345"
    with pytest.raises(WrongCell, match="last digits are lost"):
        text(1234567890123456.0)


@pytest.mark.parametrize("cell", [date(2026, 1, 31), LAST_OF_JANUARY, "2026-01-31", "2026/1/31", "2026年1月31日"])
def test_a_date_is_read_year_first(cell: Cell) -> None:
    assert day(cell) == date(2026, 1, 31)


@pytest.mark.parametrize("cell", ["31/01/2026", "2026-02-30", 46_053.0, True, "soon", "1899-01-01"])
def test_what_is_no_date_or_could_be_two_is_refused(cell: Cell) -> None:
    with pytest.raises(WrongCell, match="year first"):
        day(cell)


def test_numbers_may_have_blanks_but_must_be_in_range() -> None:
    assert number(0, 10_000)(" 1 234.5\u00a0") == 1234.5
    assert whole_number(1, 5)(3.0) == 3
    for wrong in ("nan", "inf", "1e999", "", "three", True, 11_000):
        with pytest.raises(WrongCell):
            number(0, 10_000)(wrong)
    with pytest.raises(WrongCell):
        whole_number(1, 5)("2.5")
    assert moment("2026-01-31T08:00:00+08:00") == datetime(2026, 1, 31, tzinfo=UTC)


# What is refused whole


def refused(content: bytes) -> str:
    with pytest.raises(Refused) as caught:
        read(content)
    return f"{caught.value.name}: {caught.value.got}"


def test_a_workbook_that_would_fill_the_memory_is_refused_and_the_service_lives() -> None:
    # Two cells in opposite corners: whoever reads it makes a table of 17 thousand million cells.
    assert refused(two_cells(1_048_575, 16_383)).startswith("request_too_large")
    # Here the table would be there, in one and a half gigabytes, before anybody could count its rows.
    assert refused(two_cells(1_048_575, 63)).startswith("request_too_large")
    assert "1048576 rows" in refused(two_cells(1_048_575, 0))
    assert "16384 columns" in refused(two_cells(0, 16_383))


def two_cells(row: int, column: int) -> bytes:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        sheet.write_string(0, 0, "site")
        sheet.write_string(row, column, "x")
    return out.getvalue()


def test_a_zip_bomb_is_refused_by_what_it_says_and_by_what_it_is() -> None:
    honest = with_sheet(b" " * (300 << 20))
    assert len(honest) < 1 << 20
    assert "300 MiB when unpacked" in refused(honest)
    # The same file, saying that it unpacks to a hundred bytes.
    size = (300 << 20).to_bytes(4, "little")
    end = honest.rindex(b"PK\x01\x02")
    liar = honest[:end] + honest[end:].replace(size, (100).to_bytes(4, "little"))
    assert refused(liar).split(":")[0] in ("unsupported_file", "request_too_large")


def with_sheet(sheet: bytes) -> bytes:
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(workbook([["site"]]))) as book,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as to,
    ):
        for part in book.namelist():
            if not part.startswith("xl/worksheets/sheet1"):
                to.writestr(part, book.read(part))
        to.writestr("xl/worksheets/sheet1.xml", sheet)
    return out.getvalue()


def test_a_formula_that_failed_is_named_and_does_not_clear_a_value() -> None:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["site", "tag", "brand"])
        sheet.write_row(1, 0, ["north", "M-1"])
        sheet.write_formula(1, 2, "=NA()", None, "#N/A")
    assert "in cell C2" in refused(out.getvalue())


@pytest.mark.parametrize(
    "content",
    [
        b"\xd0\xcf\x11\xe0old excel",
        b"PK\x03\x04 broken",
        b"\x80\xff\xfe not text",
        b"site,tag\nnorth,\x00\n",
        b"%PDF-1.7 \xff\xfe\xfd",
        b"",
        b"\n\n",
        b'site,tag\nnorth,"' + b"x" * 200_000,
    ],
)
def test_what_is_no_table_is_refused_by_name(content: bytes) -> None:
    assert refused(content).split(":")[0] in ("unsupported_file", "invalid_import")


def test_too_many_rows_and_too_large_a_file_are_refused(api: Api) -> None:
    assert "more" in refused(b"site,tag\n" + b"north,M\n" * 50_001)
    answer = send(api, b"x" * (11 << 20))
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:wearsight:refusal:request_too_large")
    assert send(api, b"").status_code == 422


def test_requesters_cannot_import_or_export(api: Api) -> None:
    assert send(api, HEADER, role=Role.REQUESTER).status_code == 403
    assert api.get("/register/export", Role.REQUESTER, kind="assets").status_code == 403


# The way out, and back


DANGEROUS = ["=1+1", "+1", "-1", "@SUM(A1)", "'=x", "''", "'", "'abc", "=cmd|' /C calc'!A0", "\t=1", "＝1", "''=x"]


@pytest.mark.parametrize("said", DANGEROUS)
def test_no_exported_cell_is_a_formula_and_each_comes_back(said: str) -> None:
    assert not guarded(said).startswith(("=", "+", "-", "@", "\t", "＝"))
    assert unguarded(guarded(said)) == said


LINE = st.text(min_size=1, max_size=30).map(str.strip).filter(lambda said: said != "" and is_shown(said))
WORDS = st.one_of(
    st.none(), LINE, st.sampled_from(DANGEROUS).map(str.strip).filter(bool), st.sampled_from(["007", "1E5"])
)
DEGREES = st.one_of(st.none(), st.floats(-90, 90), st.just(0.1 + 0.2))
DAYS = st.one_of(st.none(), st.dates(date(1900, 1, 1), date(2199, 12, 31)))
MOMENTS = st.one_of(st.none(), st.datetimes(EARLIEST, LATEST, timezones=st.just(UTC)))


def is_shown(said: str) -> bool:
    try:
        return shown_text(said) == said
    except ValueError:
        return False


@st.composite
def some_facts(draw: st.DrawFn, tag: str) -> AssetFacts:
    return AssetFacts(
        site_id=draw(st.sampled_from([NORTH, SOUTH])), tag=tag, name=draw(LINE), asset_type_id="motor",
        area=draw(WORDS), status=draw(st.sampled_from(AssetStatus)), criticality=draw(st.integers(1, 5)),
        serial_number=draw(WORDS), brand=draw(WORDS), model=draw(WORDS), batch=draw(WORDS),
        purchase_date=draw(DAYS), warranty_until=draw(DAYS), firmware=draw(WORDS), contract_number=draw(WORDS),
        location=draw(WORDS), latitude=draw(DEGREES), longitude=draw(DEGREES), requester_id=None,
        commissioned_at=draw(MOMENTS),
    )  # fmt: skip


FLEETS = st.lists(st.integers(0, 3), min_size=1, max_size=4).flatmap(
    lambda sizes: st.tuples(*(some_facts(f"T-{number}") for number in range(len(sizes))))
)


def brought_back(connection: psycopg.Connection, kind: ImportKind, language: Language, *, as_workbook: bool) -> Outcome:
    records = export_rows(connection, kind, None, None)
    header, rows = exported(kind, records, language)
    content = xlsx_bytes(header, rows, kind) if as_workbook else csv_bytes(header, rows)
    errors = Errors()
    table = read_table(content, lambda title: plain_title(title) in names_of(kind))
    incoming = read_rows(kind, table, errors)
    assert len(incoming) == len(records)
    done = import_rows(connection, kind, incoming, errors, sites=None, now=NOW)
    assert done is not None, errors.shown
    return done


@pytest.mark.parametrize(("as_workbook", "examples"), [(False, 60), (True, 12)])
@pytest.mark.parametrize("language", list(Language))
def test_what_is_exported_comes_back_and_changes_nothing(
    api: Api, language: Language, as_workbook: bool, examples: int
) -> None:
    """SPEC E1: the export is a table that the import takes back, whatever people wrote into the register."""
    with api.pool.connection() as connection:
        requester = a_person(connection, "line.7", RoleHeld(Role.REQUESTER, NORTH))

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(fleet=FLEETS, plate=WORDS, fitted_at=MOMENTS)
    def check(fleet: tuple[AssetFacts, ...], plate: str | None, fitted_at: datetime | None) -> None:
        with api.pool.connection() as connection, connection.transaction(force_rollback=True):
            for facts in fleet:
                asset_id = create_asset(connection, facts, NOW)
                connection.execute("update asset set requester_id = %s where id = %s", (requester, asset_id))
                put_component(connection, asset_id, Component("bearing", plate, plate, None, None, fitted_at))
                device = DeviceFacts(facts.site_id, f"gw-{asset_id}", asset_id, "recorded", 0.1 + 0.2)
                register_device(connection, device, NOW)
            before = connection.execute("select count(*) from audit").fetchone()
            for kind in ImportKind:
                done = brought_back(connection, kind, language, as_workbook=as_workbook)
                assert (done.created, done.changed) == (0, 0), done.changes
            assert connection.execute("select count(*) from audit").fetchone() == before

    check()


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("written", ["csv", "xlsx"])
@pytest.mark.parametrize("kind", list(ImportKind))
def test_a_template_says_what_to_fill_in_and_its_example_is_valid(
    api: Api, kind: ImportKind, written: str, language: str
) -> None:
    answer = api.get("/register/template", Role.PLANNER, kind=kind, format=written, lang=language)
    assert answer.status_code == 200
    assert f"{kind}-template.{written}" in answer.headers["content-disposition"]
    table = read_table(answer.content, lambda title: plain_title(title) in names_of(kind))
    titles = [column.title_zh if language == "zh" else column.title_en for column in COLUMNS[kind]]
    assert list(table.header.cells) == titles
    assert str(table.rows[0].cells[0]).startswith("#")
    errors = Errors()
    (example,) = read_rows(kind, table, errors)
    assert (errors.shown, example.number) == ([], 3)


def test_an_export_has_only_the_callers_sites_and_the_site_asked_for(api: Api) -> None:
    with api.pool.connection() as connection:
        an_asset(connection, NORTH, "N-1")
        an_asset(connection, SOUTH, "S-1")

    def exported_tags(role: Role, at: str | None, **asked: str) -> str:
        answer = api.get("/register/export", role, at, kind="assets", **asked)
        assert answer.status_code == 200, answer.text
        return ",".join(line.split(",")[1] for line in answer.content.decode("utf-8-sig").splitlines()[1:])

    assert exported_tags(Role.PLANNER, None) == "N-1,S-1"
    assert exported_tags(Role.PLANNER, None, site_=SOUTH) == "S-1"
    assert exported_tags(Role.PLANNER, NORTH) == "N-1"
    assert api.get("/register/export", Role.PLANNER, NORTH, kind="assets", site_=SOUTH).status_code == 404


def test_a_record_that_somebody_else_makes_meanwhile_refuses_the_import_whole(api: Api, database: str) -> None:
    table = read(f"{HEADER}\nnorth,M-1,Motor,motor\nnorth,M-2,Motor,motor\n".encode())
    errors = Errors()
    rows = read_rows(ImportKind.ASSETS, table, errors)
    with api.pool.connection() as connection:
        # In the transaction of the import, after its look at what is there: as a rival's commit would be.
        connection.execute(
            "create function rival() returns trigger language plpgsql as $$ begin"
            " insert into asset (site_id, asset_type_id, tag, name, created_at)"
            " select site_id, asset_type_id, 'M-2', name, created_at from asset where tag = 'M-1'; return null; end $$"
        )
        connection.execute("create trigger rival after insert on asset for each row when (new.tag = 'M-1')"
                           " execute function rival()")  # fmt: skip
        with pytest.raises(Refused) as caught:
            import_rows(connection, ImportKind.ASSETS, rows, errors, sites=None, now=NOW)
        connection.rollback()
    assert caught.value.name == "stale_record"
