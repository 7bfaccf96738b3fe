"""Operating regimes (SPEC D2): which rows belong to which, what a baseline per regime is, and who may say so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from detectors.bank import Cleared
from domain.refusals import Refused
from domain.regimes import OperatingRegimes
from storage.database import connect
from storage.regimes import read_regimes, regimes_of, save_regimes
from storage.rules import rules_version
from tests.api_builders import NORTH, Api, an_api
from tests.detection_builders import a_rule, noise, opened_in
from tests.ingest_builders import NOW, SECOND, Line, a_device, a_plant, findings, telemetry, topic
from tests.ingest_builders import a_rule as a_stored_rule
from tests.machine_builders import ASSET, HIGH_LOAD, LOAD, LOW_LOAD, REGIMES, a_machine, messages, restarted, tell
from ticketing.actors import Role

LEVEL = a_rule("level", consecutive=3)
CALM, FAULT = noise(60), noise(20, centre=30.0)


@pytest.mark.parametrize(
    ("metric", "edges", "settle_s", "told"),
    [
        ("", (1.0,), 0.0, "1 to 128 characters"),
        ("load", (), 0.0, "1 to 7 edges"),
        ("load", tuple(map(float, range(8))), 0.0, "1 to 7 edges"),
        ("load", (1.0, 1.0), 0.0, "must rise"),
        ("load", (1.0, float("nan")), 0.0, "must be numbers"),
        ("load", (1.0,), -1.0, "settle_s"),
    ],
)
def test_regimes_that_make_no_sense_are_refused(
    metric: str, edges: tuple[float, ...], settle_s: float, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        OperatingRegimes(metric, edges, settle_s)


def test_a_value_on_an_edge_belongs_to_the_regime_above_it() -> None:
    regimes = OperatingRegimes("load", (20.0, 80.0), 0.0)
    assert [regimes.regime_of(value) for value in (-5.0, 19.9, 20.0, 79.9, 80.0, 1e9)] == [0, 0, 1, 1, 2, 2]
    rule = replace(LEVEL, parameters={**LEVEL.parameters, "consecutive": 1})
    for value in (19.9, 20.0, 79.9, 80.0):
        bank = a_machine(rule, regimes=regimes)
        tell(bank, messages(CALM, value))
        (finding,) = opened_in(tell(bank, messages(FAULT, value, first=60)))
        assert finding.evidence["regime"] == regimes.regime_of(value)


def test_rows_before_the_metric_has_spoken_or_has_settled_are_not_judged() -> None:
    rule = a_rule("level", learn_samples=8, consecutive=1)
    bank = a_machine(rule)
    assert tell(bank, messages([*noise(20), *noise(20, centre=30.0)])) == []
    # The load speaks at 40; the regime counts from 45 on, when eight rows are learnt from.
    calm = messages(noise(12), LOW_LOAD, first=40)
    assert tell(bank, calm) == []
    assert tell(bank, messages([30.0], LOW_LOAD, first=52)) == []
    (finding,) = opened_in(tell(bank, messages([30.0], LOW_LOAD, first=53)))
    assert finding.evidence["baseline"] == pytest.approx(10.0, abs=6.0)


def test_a_value_is_believed_until_the_next_one() -> None:
    """Sources that report by exception speak only when something changes."""
    bank = a_machine(LEVEL)
    tell(bank, messages(CALM, [LOW_LOAD] + [None] * 59))
    assert len(opened_in(tell(bank, messages(FAULT, first=60)))) == 1


def test_to_the_counts_an_absence_is_a_gap() -> None:
    """Two rows beyond the limit before the machine went to full load and one after are not three in a row."""
    bank = a_machine(LEVEL, regimes=replace(REGIMES, settle_s=0.0))
    tell(bank, messages(CALM, LOW_LOAD))
    assert tell(bank, messages(FAULT[:2], LOW_LOAD, first=60)) == []
    assert tell(bank, messages([10.0], HIGH_LOAD, first=62)) == []
    assert tell(bank, messages(FAULT[2:4], LOW_LOAD, first=63)) == []
    assert len(opened_in(tell(bank, messages(FAULT[4:5], LOW_LOAD, first=65)))) == 1


def test_findings_of_two_regimes_are_two() -> None:
    bank = a_machine(LEVEL)
    tell(bank, messages([*CALM, *CALM], [LOW_LOAD] * 60 + [HIGH_LOAD] * 60))
    changes = tell(bank, messages([*FAULT, *FAULT], [LOW_LOAD] * 20 + [HIGH_LOAD] * 20, first=120))
    first, second = opened_in(changes)
    assert (first.evidence["regime"], second.evidence["regime"]) == (0, 1)
    alone = a_machine(LEVEL, regimes=None)
    tell(alone, messages([*CALM, *CALM]))
    (same,) = opened_in(tell(alone, messages(FAULT, first=120)))
    assert len({first.id, second.id, same.id}) == 3
    assert "regime" not in same.evidence


def test_what_opened_at_the_same_moment_in_another_regime_is_another_finding() -> None:
    """Edges may change and the same readings be judged again: "regime 0" must not stand for "regime 1" or for all."""
    ids = set()
    for regimes in (None, replace(REGIMES, edges=(50.0,)), replace(REGIMES, edges=(5.0, 50.0))):
        bank = a_machine(LEVEL, regimes=regimes)
        tell(bank, messages(CALM, LOW_LOAD))
        (finding,) = opened_in(tell(bank, messages(FAULT, LOW_LOAD, first=60)))
        ids.add((finding.opened_at, finding.id))
    assert len({opened_at for opened_at, _ in ids}) == 1
    assert len(ids) == 3


@pytest.mark.parametrize("load", [LOW_LOAD, HIGH_LOAD])
def test_each_regime_keeps_its_own_baseline_over_a_restart(load: float) -> None:
    """SPEC D2: ten is normal under low load, thirty under full load, before and after."""
    bank = a_machine(LEVEL)
    tell(bank, messages([*CALM, *noise(60, centre=30.0)], [LOW_LOAD] * 60 + [HIGH_LOAD] * 60))
    again = restarted(bank, a_machine(LEVEL))
    normal, fault = (10.0, 30.0) if load == LOW_LOAD else (30.0, 60.0)
    assert tell(again, messages(noise(40, centre=normal), load, first=120)) == []
    (finding,) = opened_in(tell(again, messages(noise(20, centre=fault), load, first=160)))
    assert finding.evidence["baseline"] == pytest.approx(normal, abs=1.0)


def test_an_asset_without_the_metric_has_one_regime_until_it_comes() -> None:
    bank = a_machine(LEVEL, regimes=replace(REGIMES, metric="speed"))
    tell(bank, messages(CALM))
    (finding,) = opened_in(tell(bank, messages(FAULT, first=60)))
    bank.add_series(3, ASSET, "speed", [])
    changes = tell(bank, messages(FAULT, first=80))
    assert changes == [Cleared(1, 1, finding.opened_at, changes[0].cleared_at)]  # type: ignore[union-attr]


def test_a_rule_may_ask_for_one_baseline_in_all_regimes() -> None:
    bank = a_machine(a_rule("level", consecutive=1, by_regime=False), regimes=replace(REGIMES, settle_s=10.0))
    tell(bank, messages([*CALM[:40], *CALM], [LOW_LOAD] * 40 + [HIGH_LOAD] * 60))
    assert tell(bank, messages([30.0] * 5, LOW_LOAD, first=100)) == []
    (finding,) = opened_in(tell(bank, messages([30.0] * 10, LOW_LOAD, first=105)))
    assert "regime" not in finding.evidence


def test_what_the_quality_gate_takes_out_tells_no_regime() -> None:
    gate = a_rule("quality", rule_id=9, low=0.0, high=100.0)
    judged, misled = a_machine(LEVEL, load_rules=[gate]), a_machine(LEVEL)
    for bank in (judged, misled):
        tell(bank, messages(CALM, LOW_LOAD))
    nonsense = messages(FAULT, [3_000.0 if number % 4 == 0 else LOW_LOAD for number in range(20)], first=60)
    assert [finding.rule_id for finding in opened_in(tell(judged, nonsense))] == [1]
    assert opened_in(tell(misled, nonsense)) == []


def test_other_edges_start_new_baselines_and_another_settling_time_does_not() -> None:
    bank = a_machine(LEVEL)
    tell(bank, messages(CALM, LOW_LOAD))
    bank.set_regimes(ASSET, replace(REGIMES, settle_s=1.0))
    (finding,) = opened_in(tell(bank, messages(FAULT, LOW_LOAD, first=60)))
    bank.set_regimes(ASSET, replace(REGIMES, edges=(40.0,)))
    changes = tell(bank, messages(FAULT, LOW_LOAD, first=80))
    assert [(type(change), change.opened_at) for change in changes] == [(Cleared, finding.opened_at)]  # type: ignore[union-attr]


def test_state_saved_under_other_regimes_is_dropped_on_restore_and_its_finding_cleared() -> None:
    bank = a_machine(LEVEL)
    tell(bank, messages([*CALM, *FAULT], LOW_LOAD))
    same = restarted(bank, a_machine(LEVEL))
    other = restarted(bank, a_machine(LEVEL, regimes=replace(REGIMES, edges=(40.0,))))
    assert tell(same, messages(FAULT, LOW_LOAD, first=80)) == []
    assert [type(change) for change in tell(other, messages(FAULT, LOW_LOAD, first=80))] == [Cleared]


def test_the_load_of_one_asset_says_nothing_of_another() -> None:
    bank = a_machine(LEVEL)
    bank.set_regimes(ASSET + 1, REGIMES)
    bank.add_series(LOAD + 1, ASSET + 1, "load", [])
    tell(bank, messages(CALM, LOW_LOAD))
    assert len(opened_in(tell(bank, messages(FAULT, LOW_LOAD, first=60)))) == 1


# In the database, through the API and in the ingesters


@pytest.fixture
def plant(database: str) -> Iterator[Connection]:
    with a_plant(database) as connection:
        yield connection


def test_regimes_are_stored_replaced_and_taken_back(plant: Connection) -> None:
    assert regimes_of(plant, "motor") is None
    for regimes in (REGIMES, replace(REGIMES, edges=(20.0, 80.0)), None, REGIMES):
        before = rules_version(plant)
        save_regimes(plant, "motor", regimes, NOW)
        assert regimes_of(plant, "motor") == regimes
        assert read_regimes(plant, "motor").updated_at == NOW
        assert rules_version(plant) > before


def test_what_is_set_already_is_no_change(plant: Connection) -> None:
    save_regimes(plant, "motor", REGIMES, NOW)
    before = rules_version(plant)
    save_regimes(plant, "motor", REGIMES, NOW + SECOND)
    assert (rules_version(plant), read_regimes(plant, "motor").updated_at) == (before, NOW)


@pytest.mark.parametrize("regimes", [REGIMES, None])
def test_regimes_of_an_asset_type_that_does_not_exist_are_refused(
    plant: Connection, regimes: OperatingRegimes | None
) -> None:
    with pytest.raises(Refused, match="an asset type that exists"):
        save_regimes(plant, "rocket", regimes, NOW)


def test_a_running_ingester_takes_regimes_up_and_judges_by_them_over_restarts(plant: Connection, database: str) -> None:
    """SPEC D2, ADR 3: with the next batch, as it takes up rules; and the same findings from a new process."""
    a_device(plant)
    a_stored_rule(plant, detector="level", metric="t", high=1.5, learn_samples=8, consecutive=2)
    line = Line(database)

    def said(first: int, count: int, **values: float) -> list[tuple[str, bytes]]:
        return [(topic(), telemetry(NOW + second * SECOND, **values)) for second in range(first, first + count)]

    line.take(*said(0, 1, t=10.0, load=LOW_LOAD))
    with connect(database) as other:
        save_regimes(other, "motor", replace(REGIMES, settle_s=0.0), NOW)
    line.connection.execute("select 1")
    line.take(*said(1, 20, t=10.0, load=LOW_LOAD))
    line.restart()
    line.take(*said(21, 20, t=30.0, load=HIGH_LOAD))
    assert findings(line) == []
    line.restart()
    line.take(*said(41, 2, t=30.0, load=LOW_LOAD))
    assert findings(line) == [(NOW + 42 * SECOND, None, "t")]
    assert line.rows("select (evidence ->> 'regime')::int from finding") == [(0,)]


@pytest.fixture
def api(pool: ConnectionPool) -> Iterator[Api]:
    with an_api(pool) as opened:
        yield opened


def test_planners_set_operating_regimes_and_a_refusal_is_named(api: Api) -> None:
    address = "/asset-types/motor/operating-regimes"
    body = {"regimes": {"metric": "load", "edges": [20.0, 80.0], "settle_s": 60.0}}

    def put(sent: object, role: Role = Role.PLANNER, site: str | None = None) -> tuple[int, str]:
        answer = api.client.put("/api/v1" + address, json=sent, headers=api.headers(role, site))
        return answer.status_code, answer.json().get("type", "")

    assert api.get(address).json() == {"asset_type": "motor", "regimes": None, "updated_at": None}
    assert put(body) == (200, "")
    assert api.get(address).json()["regimes"] == body["regimes"]
    for wrong in ({"edges": [80.0, 20.0]}, {"edges": []}, {"settle_s": -1.0}):
        assert put({"regimes": {**body["regimes"], **wrong}}) == (422, "urn:wearsight:refusal:invalid_regimes"), wrong
    assert put(body, Role.ENGINEER)[0] == 403
    assert put(body, Role.PLANNER, NORTH) == (403, "urn:wearsight:refusal:not_permitted")
    assert api.get("/asset-types/rocket/operating-regimes").status_code == 404
    assert put({"regimes": None}) == (200, "")
    assert api.get(address).json()["regimes"] is None
