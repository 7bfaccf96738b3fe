"""Tables of people: engineers, skills, certificates, shifts; all or nothing, row by row (SPEC X6)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from psycopg_pool import ConnectionPool

from api.spreadsheets import xlsx_bytes
from storage.dispatching import engineer_for
from tests.api_builders import BASE, NORTH, SOUTH, Api, an_api
from ticketing.actors import Role
from ticketing.dispatching.shapes import Certificate, Presence

ENGINEERS = "login,name,site,team,load limit,latitude,longitude\n"


@pytest.fixture
def api(pool: ConnectionPool) -> Iterator[Api]:
    with an_api(pool) as opened:
        yield opened


def imported(
    api: Api,
    kind: str,
    content: str | bytes,
    role: Role = Role.ADMIN,
    site: str | None = None,
    *,
    dry_run: bool = False,
) -> tuple[int, dict[str, object]]:
    body = content.encode() if isinstance(content, str) else content
    answer = api.client.post(
        f"{BASE}/people/import",
        params={"kind": kind, "dry_run": str(dry_run).lower()},
        files={"file": ("people.csv", body)},
        headers=api.headers(role, site),
    )
    return answer.status_code, answer.json()


def the_id(api: Api, login: str) -> int:
    with api.pool.connection() as connection:
        row = connection.execute("select id from person where login = %s", (login,)).fetchone()
    assert row is not None
    return int(row[0])


def counts(found: tuple[int, dict[str, object]]) -> tuple[object, ...]:
    assert found[0] == 200, found[1]
    return tuple(found[1][name] for name in ("created", "changed", "unchanged"))


def test_a_crew_comes_in_by_four_tables_and_a_second_time_changes_nothing(api: Api) -> None:
    tables = {
        "engineers": ENGINEERS + f"wang,王磊,{NORTH},Crew,2,31.3,120.7\nchen,陈静,{NORTH},Crew,,,\n",
        "skills": "登录名,技能,等级\nwang,mechanical,5\nwang,hydraulic,\n",
        "certificates": "login;certificate;valid from;valid to\nwang;height;2026-01-01;2026-12-31\n",
        "shifts": "login,starts at,ends at,on call\nwang,2026-03-02 08:00,2026-03-02 16:00,\n"
        "chen,2026-03-02T08:00:00+08:00,2026-03-02T20:00:00+08:00,yes\n",
    }
    firsts = {kind: counts(imported(api, kind, table)) for kind, table in tables.items()}
    assert firsts == {"engineers": (2, 0, 0), "skills": (2, 0, 0), "certificates": (1, 0, 0), "shifts": (2, 0, 0)}
    again = {kind: counts(imported(api, kind, table)) for kind, table in tables.items()}
    assert again == {"engineers": (0, 0, 2), "skills": (0, 0, 2), "certificates": (0, 0, 1), "shifts": (0, 0, 2)}
    with api.pool.connection() as connection:
        wang = engineer_for(connection, the_id(api, "wang"), datetime(2026, 3, 2, 9, tzinfo=UTC))
        chen = engineer_for(connection, the_id(api, "chen"), datetime(2026, 3, 2, 9, tzinfo=UTC))
    assert wang is not None
    assert chen is not None
    assert (wang.name, wang.load_limit, wang.sites) == ("王磊", 2, frozenset({NORTH}))
    assert wang.skills == {"mechanical": 5, "hydraulic": 3}
    assert [(one.name, one.valid_to and one.valid_to.isoformat()) for one in wang.certificates] == [
        ("height", "2026-12-31")
    ]
    assert isinstance(wang.certificates[0], Certificate)
    # 08:00 without a zone is the site's, which is UTC here.
    assert (wang.presence, chen.presence) == (Presence.AT_WORK, Presence.ON_CALL)
    assert chen.load_limit == 3


def test_what_differs_is_changed_and_a_column_that_is_not_there_stays(api: Api) -> None:
    imported(api, "engineers", ENGINEERS + f"wang,Wang,{NORTH},Crew,2,31.3,120.7\n")
    assert counts(imported(api, "engineers", f"login,site,name\nwang,{NORTH},Wang Lei\n")) == (0, 1, 0)
    with api.pool.connection() as connection:
        row = connection.execute(
            "select name, load_limit, latitude, team_id is not null from person where login = 'wang'"
        ).fetchone()
    assert row == ("Wang Lei", 2, 31.3, True)
    # Another site adds the role there.
    assert counts(imported(api, "engineers", f"login,site\nwang,{SOUTH}\n")) == (0, 1, 0)
    with api.pool.connection() as connection:
        sites = connection.execute("select site_id from person_role where person_id = %s", (the_id(api, "wang"),))
        assert {site for (site,) in sites} == {NORTH, SOUTH}


@pytest.mark.parametrize(
    ("kind", "table", "at"),
    [
        ("engineers", f"login,site,name\nok,{NORTH},Fine\nnew,{NORTH},\n", [(3, "name")]),
        ("engineers", "login,site,name\nok,moon,Moon\n", [(2, "site")]),
        ("engineers", f"login,site,name\nok,{NORTH},A\nok,{NORTH},B\n", [(3, "login")]),
        ("engineers", ENGINEERS + f"ok,Fine,{NORTH},Crew,51,31.3,\n", [(2, "load_limit")]),
        ("engineers", ENGINEERS + f"ok,Fine,{NORTH},Crew,5,31.3,\n", [(2, "latitude")]),
        (
            "skills",
            "login,skill,level\nnobody,mechanical,3\nknown,Bad Skill,3\nknown,x,6\n",
            [(3, "skill"), (4, "level"), (2, "login")],
        ),
        (
            "certificates",
            "login,certificate,valid from,valid to\nknown,height,2026-02-01,2026-01-01\n",
            [(2, "valid_to")],
        ),
        ("shifts", "login,starts at,ends at\nknown,2026-03-02 08:00,2026-03-02 07:00\n", [(2, "ends_at")]),
        ("shifts", "login,starts at,ends at\nknown,2026-03-02 08:00,\n", [(2, "ends_at")]),
        ("shifts", "login,begin,ends at\nknown,2026-03-02 08:00,2026-03-02 09:00\n", [(1, "begin"), (1, "starts_at")]),
    ],
)
def test_one_wrong_cell_leaves_all_as_it_was(api: Api, kind: str, table: str, at: list[tuple[int, str]]) -> None:
    imported(api, "engineers", ENGINEERS + f"known,Known,{NORTH},,,,\n")
    tables = ("person", "person_skill", "certificate", "shift", "team")
    with api.pool.connection() as connection:
        api.headers(Role.ADMIN)
        before = [connection.execute(f"select count(*) from {one}").fetchone() for one in tables]
    status, body = imported(api, kind, table)
    assert status == 422, body
    assert body["type"] == "urn:wearsight:refusal:invalid_import"
    assert [(one["row"], one["column"]) for one in body["errors"]] == at  # type: ignore[index,attr-defined]
    with api.pool.connection() as connection:
        assert [connection.execute(f"select count(*) from {one}").fetchone() for one in tables] == before


def test_a_dry_run_says_what_it_would_do_and_a_workbook_is_read_too(api: Api) -> None:
    table = xlsx_bytes(["登录名", "姓名", "站点"], [["wang", "王磊", NORTH]], "engineers")
    assert counts(imported(api, "engineers", table, dry_run=True)) == (1, 0, 0)
    assert imported(api, "skills", "login,skill\nwang,mechanical\n")[0] == 422
    assert counts(imported(api, "engineers", table)) == (1, 0, 0)
    assert counts(imported(api, "skills", "login,skill\nwang,mechanical\n")) == (1, 0, 0)


def test_an_administrator_of_one_site_imports_no_people_of_another(api: Api) -> None:
    imported(api, "engineers", f"login,site,name\nsouth,{SOUTH},South\n")
    for kind, table, column in (
        ("engineers", f"login,site,name\nx,{SOUTH},X\n", "site"),
        ("engineers", f"login,site,name\nsouth,{NORTH},Mine\n", "login"),
        ("skills", "login,skill\nsouth,mechanical\n", "login"),
    ):
        status, body = imported(api, kind, table, Role.ADMIN, NORTH)
        assert (status, body["errors"][0]["column"]) == (422, column)  # type: ignore[index]
    assert imported(api, "engineers", f"login,site,name\nx,{NORTH},X\n", Role.SUPERVISOR, NORTH)[0] == 403


@pytest.mark.parametrize("kind", ["engineers", "skills", "certificates", "shifts"])
def test_the_template_can_be_filled_in_and_imported(api: Api, kind: str) -> None:
    imported(api, "engineers", f"login,site,name\nwang,{NORTH},Wang\n")
    for language in ("en", "zh"):
        answer = api.client.get(
            f"{BASE}/people/template",
            params={"kind": kind, "format": "csv"},
            headers={**api.headers(Role.ADMIN), "accept-language": language},
        )
        assert answer.status_code == 200
        filled = answer.content.replace(b"plant-1", NORTH.encode())
        assert imported(api, kind, filled)[0] == 200
