"""One failure mode in the console: its figures, and the arithmetic of what closures made of them (SPEC P1, P3, P4)."""

from __future__ import annotations

import re

from psycopg.types.json import Jsonb

from runtime.learning import learn_what_is_due
from tests.console_builders import Console, a_worn_motor
from tests.lesson_builders import SIGNATURE, lessons
from tests.operations_builders import HOSTILE
from tests.test_pages_predictions import with_signs


def learnt(console: Console) -> int:
    """Let eight closures confirm the bearing and two find nothing; return the mode's id."""
    with console.pool.connection() as connection:
        with_signs(connection)
        lessons(connection, console.house, right=8, wrong=2)
        learn_what_is_due(connection, console.clock)
    return console.house.mode_id


def test_a_mode_shows_its_figures_beside_the_arithmetic_of_closures(console):
    address = f"/failure-modes/{learnt(console)}"
    with console.reader(console.house.near) as browser:
        page = browser.get(address).text
        told = browser.get(f"/api/v1{address}/learning").json()
    (sign,) = told["learnt"]["signs"]
    (part,) = told["learnt"]["parts"]
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page))
    for expected in (
        "Bearing wear", "Seizes", "8 of 10", "+0.70 if it was repaired", "24 to 96 h of the evidence",
        "Learnt from 10 closures",
        "It spoke before 10 closures", f"+3.00 + {sign['shift']:.2f} = {sign['learnt']:+.2f}",
        "Used in 8 of 8 repairs", f"(20 × 0.9 + 8) / (20 + 8) = {part['probability'] * 100:.3g} %",
        "6204-2RS", "found 8 times, 8 expected", "Nothing yet: it has spoken before no closure.",
    ):  # fmt: skip
        assert expected in text, expected
    assert sign["learnt"] != sign["library"]


def test_a_mode_that_nobody_has_closed_a_ticket_of_shows_the_librarys_figures(console):
    with console.pool.connection() as connection:
        with_signs(connection)
    with console.reader(console.house.planner) as browser:
        page = browser.get(f"/failure-modes/{console.house.mode_id}").text
        assert "No closure of this asset type has taught anything yet" in page
        assert "+3.00" in page
        assert "90 %" in page
        assert browser.get("/failure-modes/99").status_code == 404
        assert browser.get("/failure-modes/0").status_code == 422


def test_what_the_library_changed_since_is_not_explained_by_old_arithmetic(console):
    """Learning has not run again: the weight in force is the library's new one."""
    mode_id = learnt(console)
    changed = {**SIGNATURE, "findings": [{**SIGNATURE["findings"][0], "log_odds": 1.5}]}
    with console.pool.connection() as connection:
        connection.execute("update failure_mode set signature = %s, prior = 0.05", (Jsonb(changed),))
        connection.execute("update failure_mode_part set probability = 0.5")
    with console.reader(console.house.planner) as browser:
        page = browser.get(f"/failure-modes/{mode_id}").text
    assert "+1.50" in page
    for old in ("It spoke before", "Used in", "expected</dd>", "found 8 times"):
        assert old not in page, old


def test_a_part_that_repairs_used_too_seldom_is_told_and_not_expected(console):
    mode_id = learnt(console)
    with console.pool.connection() as connection:
        connection.execute(
            """update learnt_mode set learnt = jsonb_set(learnt, '{parts}', learnt->'parts' || %s)""",
            (
                Jsonb(
                    [
                        {
                            "number": HOSTILE, "name_en": HOSTILE, "name_zh": "油封", "repairs": 8, "used": 1,
                            "library_probability": None, "probability": 0.035714, "library_quantity": None,
                            "quantity": 1,
                        }
                    ]
                ),
            ),
        )  # fmt: skip
    with console.reader(console.house.near) as browser:
        page = browser.get(f"/failure-modes/{mode_id}").text
    assert "too seldom to be expected" in page
    assert HOSTILE not in page


def test_modes_are_for_the_staff_and_read_in_chinese(console):
    mode_id = learnt(console)
    with console.pool.connection() as connection:
        worn = a_worn_motor(connection, console.house)
    with console.reader(console.house.near, "zh") as browser:
        assert f'href="/failure-modes/{mode_id}"' in browser.get(f"/predictions/{worn}").text
        page = browser.get(f"/failure-modes/{mode_id}").text
    for told in ("轴承磨损", "卡死", "更换轴承", "关闭"):
        assert told in page, told
    with console.reader(console.house.requester) as browser:
        assert browser.get(f"/failure-modes/{mode_id}").status_code == 403


def test_a_pair_of_codes_is_one_sign_with_its_own_arithmetic(console):
    pair = {"code": "E7", "also": ["E9"], "within_h": 24.0, "log_odds": 2.0}
    with console.pool.connection() as connection:
        connection.execute("update failure_mode set signature = %s", (Jsonb({**SIGNATURE, "events": [pair]}),))
    with console.reader(console.house.near) as browser:
        page = browser.get(f"/failure-modes/{console.house.mode_id}").text
    assert "E7+E9" in page


def test_what_iso_14224_and_the_fmea_say_is_shown_where_somebody_has_said_it(console):
    address = f"/failure-modes/{console.house.mode_id}"
    with console.pool.connection() as connection:
        with_signs(connection)
    with console.reader(console.house.near) as browser:
        assert "Mechanism" not in browser.get(address).text
        with console.pool.connection() as connection:
            connection.execute("update failure_mode set mechanism_en = %s, occurrence = 4", (HOSTILE,))
        page = browser.get(address).text
    assert "Mechanism" in page
    assert "4 of 10" in page
    assert HOSTILE not in page


def test_a_mode_that_is_retired_is_named_and_neither_offered_nor_linked(console):
    with console.pool.connection() as connection:
        worn = a_worn_motor(connection, console.house)
        connection.execute("update failure_mode set retired_at = %s", (console.clock.now(),))
    with console.reader(console.house.planner) as browser:
        page = browser.get(f"/predictions/{worn}").text
        assert browser.get(f"/failure-modes/{console.house.mode_id}").status_code == 404
    assert "no longer looked for" in page
    assert "/failure-modes/" not in page
    assert 'value="bearing_wear">Bearing wear' not in page
