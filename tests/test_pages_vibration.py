"""The page of vibration: severity zones, the damaged bearing part in one sentence, the register entry (SPEC D4, E1)."""

from __future__ import annotations

import re

import numpy as np
import pytest

from detectors.bearings import BearingGeometry
from domain.readings import Readings
from storage import readings
from storage.bearings import list_bearings
from storage.evidence_packs import freeze_next
from storage.partitions import ensure_partitions
from tests.console_builders import NOW, Console
from tests.operations_builders import a_planner_elsewhere
from tests.ticket_builders import HOUR, MINUTE, a_finding
from tests.vibration_builders import BPFO_HZ, POINT, SHAFT_HZ, a_block, a_known_bearing, keep_all, some_blocks

PAGE = "/assets/1/vibration"
FORM = {
    "metric": POINT,
    "component": "bearing_de",
    "designation": "6308",
    "speed_rpm": "1482",
    "elements": "8",
    "ball_diameter_mm": "12",
    "pitch_diameter_mm": "50",
    "contact_angle_deg": "",
}


@pytest.fixture
def spalled(console: Console) -> Console:
    """The console over a motor whose outer race is spalled in its newest block."""
    with console.pool.connection() as connection:
        some_blocks(connection, console.house, bearing=a_known_bearing(connection, console.house))
    return console


def sentence_of(page: str) -> str:
    (found,) = re.findall(r'id="verdict-\d+"><strong>(.*?)</strong>', page)
    return found


def read(console: Console, language: str = "en") -> str:
    with console.reader(console.house.near, language) as browser:
        answer = browser.get(PAGE)
    assert answer.status_code == 200
    return answer.text


def test_a_velocity_is_told_with_its_zone_and_the_limits_of_all_zones(console):
    """SPEC D4: 7.8 mm/s is zone D of a medium machine that stands rigid."""
    page = read(console)
    for told in ("Zone D: may cause damage", "up to 1.4 mm/s", "above 4.5 mm/s", "ISO 20816-3:2022", "Nobody has said"):
        assert told in page, told
    chinese = read(console, "zh")
    assert 'lang="zh-CN"' in chinese
    assert "ISO 20816-3:2022" in chinese


def test_who_may_change_the_register_says_the_class_and_the_zone_follows(console):
    asked = {"group": "large", "foundation": "flexible"}
    with console.reader(console.house.near) as browser:
        assert browser.post("/assets/1/severity-class", data=asked).status_code == 403
    with console.reader(console.house.planner) as browser:
        assert browser.post("/assets/1/severity-class", data=asked).status_code == 303
        page = browser.get(PAGE).text
        assert browser.post("/assets/1/severity-class", data={**asked, "group": "huge"}).status_code == 422
        assert "Class for severity zones" in browser.get("/assets/1").text
    assert "Zone C: fit for a limited time only" in page
    assert "Nobody has said" not in page
    assert "up to 7.1 mm/s" in page


def test_a_spalled_outer_race_is_named_in_one_sentence_and_drawn(spalled):
    """SPEC D4."""
    page = read(spalled)
    said = sentence_of(page)
    assert re.fullmatch(r"Outer race \(BPFO\) 75\.1 Hz seen in 3 of 3 harmonics, \d+\.\d × its baseline\.", said), said
    assert f"{BPFO_HZ:.1f}" == "75.1"
    assert '<path d="M' in page
    assert "1 × BPFO" in page
    assert "style=" not in page.split("<main", 1)[1]


def test_a_healthy_bearing_is_told_to_be_so(console):
    with console.pool.connection() as connection:
        some_blocks(
            connection, console.house, healthy=14, damage=None, bearing=a_known_bearing(connection, console.house)
        )
    assert sentence_of(read(console)).startswith("No bearing line is beyond its baseline; the nearest is ")


def test_too_few_healthy_blocks_name_nothing(console):
    with console.pool.connection() as connection:
        some_blocks(connection, console.house, healthy=4, bearing=a_known_bearing(connection, console.house))
    assert sentence_of(read(console)) == "4 healthy blocks are known of the 10 from which on a line is judged."


def test_what_is_missing_for_a_verdict_is_said(console):
    with console.pool.connection() as connection:
        keep_all(connection)
        a_known_bearing(connection, console.house, speed_rpm=None)
    assert "No block is kept whole yet" in read(console)
    with console.pool.connection() as connection:
        a_block(connection, console.house, NOW - HOUR, np.random.default_rng(3), 0.5)
    assert "does not tell the shaft&#39;s speed" in read(console)


def test_a_block_is_judged_at_the_speed_that_it_told(console):
    """SPEC D4: fault frequencies follow the shaft; a kept block remembers its speed."""
    with console.pool.connection() as connection:
        keep_all(connection)
        bearing = a_known_bearing(connection, console.house, speed_rpm=3 * SHAFT_HZ * 60)
        random = np.random.default_rng(5)
        for number in range(13):
            at = NOW - 4 * HOUR + number * 10 * MINUTE
            damage = 0.6 if number == 12 else 0.0
            a_block(connection, console.house, at, random, damage, bearing, speed_rpm=SHAFT_HZ * 60)
    page = read(console)
    assert "Outer race (BPFO) 75.1 Hz" in sentence_of(page)
    assert "1482 rpm, told by the block" in page


def test_other_orders_forget_what_was_normal(spalled):
    with spalled.reader(spalled.house.planner) as browser:
        changed = {**FORM, "elements": "9"}
        assert browser.post("/assets/1/bearings", data=changed).status_code == 303
        assert sentence_of(browser.get(PAGE).text).startswith("0 healthy blocks are known")
    with spalled.pool.connection() as connection:
        (known,) = list_bearings(connection, 1)
    assert known.geometry == BearingGeometry(9, 12.0, 50.0)


def test_a_bearing_is_entered_by_its_geometry_or_its_orders_and_never_by_both(console):
    with console.pool.connection() as connection:
        some_blocks(connection, console.house, healthy=1, damage=None)
    with console.reader(console.house.planner) as browser:
        page = browser.get(PAGE).text
        assert "The inside of the bearing is not known" in page
        orders = {"bpfo": "3.04", "bpfi": "4.96", "bsf": "1.96", "ftf": "0.38"}
        refused = browser.post("/assets/1/bearings", data={**FORM, **orders})
        assert refused.status_code == 422
        assert 'value="3.04"' in refused.text, "what was typed stays"
        by_orders = {"metric": POINT, "component": "bearing_de", **orders}
        assert browser.post("/assets/1/bearings", data=by_orders).status_code == 303
        assert browser.post("/assets/1/bearings", data={**FORM, "component": "No Word!"}).status_code == 422
        assert browser.post("/assets/1/bearings", data={**FORM, "ball_diameter_mm": "60"}).status_code == 422
        assert browser.post("/assets/1/bearings", data=FORM).status_code == 303
        page = browser.get(PAGE).text
        assert "6308" in page
        assert "8 elements of 12 mm on 50 mm" in page
        assert browser.post("/assets/1/bearings", data={**FORM, "step": "forget"}).status_code == 303
        assert "The inside of the bearing is not known" in browser.get(PAGE).text
        assert browser.post("/assets/1/bearings", data={**FORM, "step": "forget"}).status_code == 404


def test_who_may_not_change_the_register_sees_and_changes_nothing(spalled):
    with spalled.reader(spalled.house.near) as browser:
        page = browser.get(PAGE).text
        assert "/bearings" not in page
        assert "severity-class" not in page
        assert browser.post("/assets/1/bearings", data=FORM).status_code == 403
    with spalled.reader(spalled.house.requester) as browser:
        assert browser.get(PAGE).status_code == 403
    with spalled.pool.connection() as connection:
        stranger = a_planner_elsewhere(connection)
    with spalled.reader(stranger) as browser:
        assert browser.get(PAGE).status_code == 404
        assert browser.post("/assets/1/bearings", data=FORM).status_code == 404


def test_a_finding_keeps_which_part_its_bearing_named_when_it_opened(console):
    """SPEC D4, D8: judged once, by the desk; later blocks and another geometry do not change it."""
    with console.pool.connection() as connection:
        bearing = a_known_bearing(connection, console.house)
        at = some_blocks(connection, console.house, bearing=bearing)
        finding_id = a_finding(connection, console.house, at + MINUTE)
        before = a_finding(connection, console.house, at - MINUTE)
        connection.execute("insert into evidence_pack_due select id from finding")
        while freeze_next(connection, NOW):
            pass
        connection.execute("delete from waveform")
    with console.reader(console.house.near) as browser:
        page = browser.get(f"/findings/{finding_id}").text
        assert "Outer race (BPFO) 75.1 Hz seen in 3 of 3 harmonics" in page
        assert "No bearing line is beyond its baseline" in browser.get(f"/findings/{before}").text
        told = browser.get(f"/api/v1/findings/{finding_id}").json()["bearings"]
    assert [(one["component"], one["part"]) for one in told] == [("bearing_de", "bpfo")]


def test_the_api_tells_the_same_as_the_page(spalled):
    with spalled.reader(spalled.house.planner) as browser:
        told = browser.get("/api/v1/assets/1/vibration").json()
    points = {one["metric"]: one for one in told["items"]}
    assert told["is_assumed"] is True
    assert points["vibration_mm_s"]["zone"] == "D"
    assert points[POINT]["verdict"]["part"] == "bpfo"
    assert points[POINT]["zone"] == "B"


@pytest.mark.parametrize(("hours_later", "highest", "zone"), [(1, 7.8, "D"), (30, 0.05, "A")])
def test_of_a_machine_that_stands_the_highest_of_the_day_before_is_told(console, hours_later, highest, zone):
    """Tripped by its vibration it rests in zone A, which is no word about how it ran."""
    at_us = round((NOW + hours_later * HOUR).timestamp() * 1e6)
    with console.pool.connection() as connection:
        ensure_partitions(connection, range(at_us // 86_400_000_000, at_us // 86_400_000_000 + 1))
        ids, at = np.array([console.house.series_id], dtype=np.int32), np.array([at_us], dtype=np.int64)
        readings.insert(connection, Readings(ids, at, np.array([0.05])))
    with console.reader(console.house.near) as browser:
        (told,) = [
            one
            for one in browser.get("/api/v1/assets/1/vibration").json()["items"]
            if one["metric"] == "vibration_mm_s"
        ]
        page = browser.get(PAGE).text
    assert (told["velocity_mm_s"], told["zone"]) == (0.05, "A")
    assert told["highest_mm_s"] == pytest.approx(highest, abs=0.5)
    assert told["highest_zone"] == zone
    assert "Highest in a day" in page
    assert ("Zone D: may cause damage" in page) == (zone == "D")


def test_the_asset_leads_to_its_vibration_instead_of_plotting_every_feature(spalled):
    with spalled.reader(spalled.house.near) as browser:
        page = browser.get("/assets/1").text
    assert f'href="{PAGE}"' in page
    assert page.count("<ws-chart") == 2
    assert "kurtosis" not in page
