"""Libraries taken into a running house and out of it: all or nothing, told, and nothing referred to is lost (P1)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
from httpx2 import Response
from psycopg_pool import ConnectionPool

from detectors.library import Library, RuleMode, parse_library
from detectors.library_text import library_as_text
from domain.regimes import OperatingRegimes
from runtime.assessing import assess_due
from storage.library import failure_modes, install_library, shipped_libraries
from storage.rules import newest_rules, rules_in_force
from tests.api_builders import BASE, NORTH, Api, an_api
from tests.conftest import REPOSITORY
from tests.test_assessing import NOW, StoppedClock, a_press, count, drift, fitted, predictions, raised, told
from ticketing.actors import Role

MOTOR = (files("editions") / "library" / "motor.toml").read_text(encoding="utf-8")
LIBRARIES = {library.asset_type: library for library in shipped_libraries()}


@pytest.fixture
def api(pool: ConnectionPool) -> Iterator[Api]:
    with an_api(pool) as opened:
        with pool.connection() as connection:
            for library in shipped_libraries():
                install_library(connection, library, NOW)
                connection.execute(
                    "update asset_type set name_en = %s, name_zh = %s where id = %s",
                    (library.name_en, library.name_zh, library.asset_type),
                )
        yield opened


def put(
    api: Api, text: str | bytes, asset_type: str = "motor", *, site: str | None = None, dry_run: bool = False
) -> Response:
    headers = {**api.headers(Role.PLANNER, site), "Content-Type": "application/toml"}
    content = text.encode() if isinstance(text, str) else text
    query = "?dry_run=true" if dry_run else ""
    return api.client.put(f"{BASE}/failure-mode-libraries/{asset_type}{query}", content=content, headers=headers)


def changes(answer: Response) -> list[tuple[str, str, str]]:
    assert answer.status_code == 200, answer.text
    return [(one["noun"], one["name"], one["deed"]) for one in answer.json()["changes"]]


def exported(api: Api, asset_type: str = "motor") -> Library:
    answer = api.get(f"/failure-mode-libraries/{asset_type}", Role.PLANNER)
    assert answer.headers["content-type"].startswith("application/toml")
    return parse_library(answer.text)


@pytest.mark.parametrize("asset_type", LIBRARIES)
def test_what_is_exported_is_what_was_installed_and_importing_it_changes_nothing(api: Api, asset_type: str) -> None:
    library = exported(api, asset_type)
    assert {mode.code for mode in library.modes} == {mode.code for mode in LIBRARIES[asset_type].modes}
    assert sorted(library.rules, key=lambda rule: rule.name) == sorted(
        LIBRARIES[asset_type].rules, key=lambda rule: rule.name
    )
    assert changes(put(api, library_as_text(library), asset_type)) == []
    assert changes(put(api, library_as_text(LIBRARIES[asset_type]), asset_type)) == []


def test_an_import_tells_what_it_changed_and_a_rule_gets_a_version_only_where_it_differs(api: Api) -> None:
    text = MOTOR.replace("prior = 0.01", "prior = 0.02").replace("high = 1.3", "high = 1.4")
    text += MOTOR[MOTOR.index("[[mode]]") : MOTOR.index("[[rule]]")].replace("bearing_wear", "imbalance")
    text = text.replace('name = "motor.temperature_level"', 'name = "motor.heat_level"')
    assert changes(put(api, text)) == [
        ("mode", "bearing_wear", "changed"),
        ("mode", "imbalance", "added"),
        ("rule", "motor.vibration_level", "changed"),
        ("rule", "motor.heat_level", "added"),
        ("rule", "motor.temperature_level", "removed"),
    ]
    with api.pool.connection() as connection:
        versions = {rule.draft.name: (rule.version, rule.draft.mode) for rule in newest_rules(connection)}
        assert versions["motor.vibration_level"] == (2, RuleMode.AUTO)
        assert versions["motor.vibration_limit"] == (1, RuleMode.AUTO)
        assert versions["motor.temperature_level"] == (2, RuleMode.OFF)
        modes = failure_modes(connection, "motor").values()
        assert [(mode.code, mode.prior) for mode in modes] == [("bearing_wear", 0.02), ("imbalance", 0.01)]
        assert "motor.temperature_level" not in [rule.name for rule in rules_in_force(connection, "motor")]
    assert changes(put(api, text)) == []


def test_a_trial_tells_the_same_and_changes_nothing(api: Api) -> None:
    text = MOTOR.replace("severity = 7", "severity = 8").replace("high = 1.3", "high = 1.4")
    asked = changes(put(api, text, dry_run=True))
    assert exported(api) == parse_library(library_as_text(exported(api)))
    with api.pool.connection() as connection:
        assert {mode.severity for mode in failure_modes(connection, "motor").values()} == {7}
        assert {rule.version for rule in newest_rules(connection)} == {1}
    assert (
        changes(put(api, text))
        == asked
        == [
            ("mode", "bearing_wear", "changed"),
            ("rule", "motor.vibration_level", "changed"),
        ]
    )


def test_a_library_of_a_new_asset_type_is_made_known(api: Api) -> None:
    text = MOTOR.replace('id = "motor"', 'id = "fan"').replace('name = "motor.', 'name = "fan.')
    told_changes = changes(put(api, text, "fan"))
    assert told_changes[:2] == [("asset_type", "fan", "added"), ("mode", "bearing_wear", "added")]
    assert exported(api, "fan").modes[0].asset_type == "fan"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("high = 1.1", "high = 0.9"), "rule 4 'motor.temperature_level'"),
        (("severity = 7", "severity = 11"), "mode 1 'bearing_wear'"),
        (('name = "motor.vibration_level"', 'name = "pump.flow_level"'), "rule 'pump.flow_level'"),
        (('id = "motor"', 'id = "fan"'), "asset type 'motor' of the address"),
        (("[asset_type]", "[asset_type"), "TOML"),
    ],
)
def test_a_library_with_an_error_is_refused_whole_and_by_name(api: Api, change: tuple[str, str], named: str) -> None:
    assert change[0] in MOTOR
    text = MOTOR.replace("prior = 0.01", "prior = 0.02").replace(*change)
    answer = put(api, text)
    assert answer.status_code == 422
    assert named in answer.json()["detail"] + answer.json()["expected"]
    with api.pool.connection() as connection:
        assert {mode.prior for mode in failure_modes(connection, "motor").values()} == {0.01}
        assert {rule.version for rule in newest_rules(connection)} == {1}


def test_regimes_are_taken_in_changed_and_taken_away(api: Api) -> None:
    """SPEC D2."""
    regime = '[regime]\nmetric = "speed_rpm"\nedges = [100.0, 900.0]\nsettle_s = 30.0\n\n[[mode]]'
    with_regimes = MOTOR.replace("[[mode]]", regime, 1)
    assert changes(put(api, with_regimes)) == [("regime", "motor", "added")]
    assert exported(api).regimes == OperatingRegimes("speed_rpm", (100.0, 900.0), 30.0)
    assert changes(put(api, with_regimes)) == []
    assert changes(put(api, with_regimes.replace("900.0", "800.0"))) == [("regime", "motor", "changed")]
    assert changes(put(api, MOTOR)) == [("regime", "motor", "removed")]
    assert exported(api).regimes is None


def test_bytes_that_are_no_text_are_refused(api: Api) -> None:
    answer = put(api, b"\xff\xfe")
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:wearsight:refusal:invalid_library")


def test_a_planner_of_one_site_changes_no_library(api: Api) -> None:
    assert put(api, MOTOR, site=NORTH).status_code == 403
    assert api.get("/failure-mode-libraries/motor", Role.PLANNER, NORTH).status_code == 200


def test_the_library_of_an_unknown_type_is_unknown(api: Api) -> None:
    assert api.get("/failure-mode-libraries/spaceship").status_code == 404


def test_iso_14224_names_and_ratings_come_back(api: Api) -> None:
    (mode,) = parse_library(MOTOR).modes
    named = replace(
        mode,
        item_en="Radial bearing",
        item_zh="径向轴承",
        mechanism_en="Wear",
        mechanism_zh="磨损",
        cause_en="Lubrication",
        cause_zh="润滑不良",
        occurrence=5,
        detection=3,
    )
    text = library_as_text(replace(parse_library(MOTOR), modes=(named,)))
    assert changes(put(api, text)) == [("mode", "bearing_wear", "changed")]
    (back,) = exported(api).modes
    assert replace(back, parts=()) == replace(named, parts=())
    shown = api.get("/failure-modes", Role.PLANNER, asset_type="motor").json()["items"][0]["mode"]
    assert (shown["mechanism_zh"], shown["occurrence"]) == ("磨损", 5)


def test_a_mode_that_tickets_refer_to_is_retired_and_not_deleted(seeded: str, pool: ConnectionPool) -> None:
    from storage.library_import import import_library

    press = LIBRARIES["press"]
    with pool.connection() as connection:
        one, other = a_press(connection), a_press(connection, "PR-2")
    fitted(pool, one, "comp1", days_before=60)
    raised(pool, drift(one), drift(other, number=2))
    told(pool, one, "error1", hours=1)
    assess_due(pool, StoppedClock())
    assert sorted(stage for _, stage, _ in predictions(pool)) == ["ticket", "watch"]
    without = replace(press, modes=press.modes[1:])
    with pool.connection() as connection:
        (change, *_) = import_library(connection, without, NOW)
        assert (change.name, change.deed) == ("comp1_failure", "removed")
        assert "comp1_failure" not in [mode.code for mode in failure_modes(connection, "press").values()]
    assert sorted((stage, status) for _, stage, status in predictions(pool)) == [
        ("ticket", "open"),
        ("watch", "closed"),
    ], "what a ticket is working on stays open"
    assert count(pool, "select count(*) from ticket t join failure_mode m on m.id = t.failure_mode_id") == 1
    raised(pool, drift(other, hours=30, number=3))
    assess_due(pool, StoppedClock())
    assert len(predictions(pool)) == 2, "a retired mode is no longer looked for"
    with pool.connection() as connection:
        assert [one.deed for one in import_library(connection, press, NOW)] == ["added"]
        assert count(pool, "select count(*) from failure_mode where asset_type_id = 'press'") == 4, "the same row again"


def test_from_the_command_line_a_library_is_checked_tried_taken_in_and_written(
    seeded: str, pool: ConnectionPool, tmp_path: Path
) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "runtime.commands", "library", *words],
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(REPOSITORY),
                "COLUMNS": "200",
                "WEARSIGHT_DATABASE_URL": seeded,
                "WEARSIGHT_DATA_DIR": str(tmp_path / "data"),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text(MOTOR.replace("severity = 7", "severity = 8"), "utf-8")
    bad.write_text(MOTOR.replace("severity = 7", "severity = 70"), "utf-8")
    checked = run("check", "good.toml", "bad.toml")
    assert checked.returncode == 1
    assert "1 modes and 4 rules" in checked.stdout
    assert "mode 1 'bearing_wear'" in checked.stdout + checked.stderr
    tried = run("import", "good.toml", "--dry-run")
    assert "mode bearing_wear: would be changed" in tried.stdout, tried.stdout + tried.stderr
    assert "mode bearing_wear: would be changed" in run("import", "good.toml", "--dry-run").stdout
    assert "mode bearing_wear: changed" in run("import", "good.toml").stdout
    assert "0 changes" in run("import", "good.toml").stdout
    written = run("export", "motor", "--out", "out.toml")
    assert written.returncode == 0, written.stdout + written.stderr
    assert parse_library((tmp_path / "out.toml").read_text("utf-8")).modes[0].severity == 8
    assert run("export", "spaceship").returncode == 1
