"""Operating regimes in the console: told, set with a reason, and which one each machine is in (SPEC D2)."""

from __future__ import annotations

import pytest

from domain.regimes import OperatingRegimes
from storage.regimes import read_regimes, save_regimes
from tests.console_builders import NOW, Console
from tests.operations_builders import a_planner_elsewhere

ADDRESS = "/regimes/motor"
FORM = {"metric": "temperature_c", "edges": "40, 60", "settle_s": "120", "reason": "night shift runs cold"}
SHIPPED = OperatingRegimes("temperature_c", (40.0, 60.0), 120.0)


@pytest.fixture
def parted(console: Console) -> Console:
    """The console over motors that are told apart by their temperature, which is 65 degrees now."""
    with console.pool.connection() as connection:
        save_regimes(connection, "motor", SHIPPED, NOW)
    return console


def stored(console: Console) -> OperatingRegimes | None:
    with console.pool.connection() as connection:
        return read_regimes(connection, "motor").regimes


def test_the_regimes_of_a_type_and_the_one_of_each_machine_are_told(parted):
    with parted.reader(parted.house.near) as browser:
        listed = browser.get("/regimes").text
        page = browser.get(ADDRESS).text
        assert 'href="/regimes"' in browser.get("/rules").text
    for told in ("temperature_c", "below 40 · 40 to below 60 · from 60 on", "120 s"):
        assert told in listed, told
    for told in ("M-1", "2: from 60 on", "40 to below 60"):
        assert told in page, told
    assert 'name="edges"' not in page, "engineers change nothing here"


def test_a_machine_whose_metric_has_not_spoken_is_in_no_regime(console):
    with console.pool.connection() as connection:
        save_regimes(connection, "motor", OperatingRegimes("load_percent", (50.0,), 0.0), NOW)
    with console.reader(console.house.near) as browser:
        assert "not known: the metric has not spoken" in browser.get(ADDRESS).text


def test_regimes_are_set_with_a_reason_that_stands_in_the_history(console, admin):
    with console.reader(admin) as browser:
        assert "These machines have one regime" in browser.get(ADDRESS).text
        assert browser.post(ADDRESS, data=FORM).status_code == 303
        assert browser.post(ADDRESS, data={**FORM, "edges": "40 60 80", "reason": "and a hot one"}).status_code == 303
        page = browser.get(ADDRESS).text
    assert stored(console) == OperatingRegimes("temperature_c", (40.0, 60.0, 80.0), 120.0)
    assert page.index("and a hot one") < page.index("night shift runs cold")
    assert "assets that it concerns: 1" in page


def test_one_regime_only_is_a_choice(parted, admin):
    with parted.reader(admin, "zh") as browser:
        assert browser.post(ADDRESS, data={"step": "one", "reason": "all the same"}).status_code == 303
        assert 'lang="zh-CN"' in browser.get(ADDRESS).text
    assert stored(parted) is None


@pytest.mark.parametrize(
    "wrong",
    [{"edges": "60, 40"}, {"edges": "warm"}, {"edges": ""}, {"settle_s": "-1"}, {"metric": ""}, {"reason": ""}],
    ids=str,
)
def test_what_does_not_hold_together_is_refused_and_what_was_typed_stays(parted, admin, wrong):
    with parted.reader(admin) as browser:
        refused = browser.post(ADDRESS, data={**FORM, **wrong})
        assert refused.status_code == 422
        assert 'id="refusal"' in refused.text
        for value in {**FORM, **wrong}.values():
            assert value in refused.text
    assert stored(parted) == SHIPPED


def test_who_plans_for_one_site_only_changes_no_regime(parted):
    with parted.pool.connection() as connection:
        stranger = a_planner_elsewhere(connection)
    for actor in (parted.house.planner, stranger, parted.house.near):
        with parted.reader(actor) as browser:
            assert browser.post(ADDRESS, data={**FORM, "edges": "1"}).status_code == 403
            assert 'name="edges"' not in browser.get(ADDRESS).text
    with parted.reader(stranger) as browser:
        assert "M-1" not in browser.get(ADDRESS).text
    with parted.reader(parted.house.requester) as browser:
        assert browser.get(ADDRESS).status_code == 403
    assert stored(parted) == SHIPPED


def test_an_unknown_type_is_told_as_such(console, admin):
    with console.reader(admin) as browser:
        assert browser.get("/regimes/spaceship").status_code == 404
        assert browser.post("/regimes/spaceship", data=FORM).status_code == 404
