"""Remaining life in the service: learnt from closed tickets and stored readings, told of live assets (SPEC D5)."""

from __future__ import annotations

import pytest
from procrastinate import App
from psycopg import Connection
from psycopg.types.json import Jsonb

from detectors.similarity import LEAST_RUNS
from domain.regimes import OperatingRegimes
from domain.remaining_life import LeftOut, LifeMethod, RemainingLife, RunsLearnt
from runtime.jobs import make_app
from runtime.remaining_life import TREND_COVERAGE, tell_remaining_lives
from storage.alarms import shelve, unshelve
from storage.regimes import save_regimes
from storage.remaining_life import (
    PartLife,
    learning_of_mode,
    lives_of_asset,
    of_asset,
    parts_in_service,
    replace_lives,
    runs_to_failure,
    steps,
)
from tests.api_builders import TestClock, an_api
from tests.life_builders import METRICS, a_life, a_plant, a_run, lengths, repaired
from tests.rollup_builders import open_autocommit, refresh_everything
from tests.ticket_builders import DAY, HOUR, MINUTE, NOW, SITE, House, a_finding
from ticketing.actors import Role

BEGAN = NOW - 60 * DAY
LIFE_H = 64


@pytest.fixture
def connection(database):
    yield from open_autocommit(database)


def a_fleet(connection: Connection, runs: int, **known: float) -> tuple[House, dict[str, House]]:
    """Bring so many motors from a new bearing to its repaired failure; return the house, and motors in service by tag.

    Those have lived through the share ``known`` of a life of LIFE_H hours.
    """
    with connection.transaction():
        house = a_plant(connection)
        for number, hours in enumerate(lengths(runs)):
            one = a_life(connection, house, f"R-{number}", BEGAN, a_run(hours, seed=number))
            repaired(connection, one, BEGAN + HOUR * hours)
        live = {
            tag: a_life(connection, house, tag, BEGAN, a_run(LIFE_H, seed=1_000 + number, known=share))
            for number, (tag, share) in enumerate(known.items())
        }
    refresh_everything(connection)
    return house, live


def tell(dsn: str) -> None:
    tell_remaining_lives(dsn, TestClock(NOW))


def a_limit_coming(connection: Connection, house: House, opened_at=NOW - HOUR, **evidence: float) -> None:
    """A finding of the motor's vibration that says in how many seconds the limit will be reached."""
    finding = a_finding(connection, house, opened_at)
    connection.execute("update finding set evidence = %s where id = %s", (Jsonb(evidence), finding))


def test_each_asset_is_told_how_long_it_has_left_and_the_truth_lies_in_the_interval(database, connection):
    """SPEC D5: 25 runs to failure in the store; bearings new, half-way and worn in a life of 64 hours."""
    _, live = a_fleet(connection, 25, new=0.1, halfway=0.5, worn=0.9)
    tell(database)
    new, halfway, worn = (of_asset(connection, house.asset_id)["bearing_wear"] for house in live.values())
    assert (halfway.method, halfway.runs, halfway.coverage) == (LifeMethod.SIMILARITY, 25, 0.8)
    assert halfway.as_of == BEGAN + LIFE_H // 2 * HOUR
    assert halfway.low_h < halfway.middle_h < halfway.high_h
    for life in (new, halfway, worn):
        lived_h = (life.as_of - BEGAN) / HOUR
        assert life.low_h <= LIFE_H - lived_h <= life.high_h
    assert worn.high_h < new.low_h
    # The lives themselves spread over 50 hours.
    assert worn.high_h - worn.low_h < 15
    assert halfway.high_h - halfway.low_h < 30


def test_long_lives_are_followed_in_steps_of_several_hours_and_told_in_hours(database, connection, monkeypatch):
    monkeypatch.setattr("runtime.remaining_life.STEPS_OF_LIFE", 16)
    _, live = a_fleet(connection, LEAST_RUNS, halfway=0.5)
    tell(database)
    life = of_asset(connection, live["halfway"].asset_id)["bearing_wear"]
    assert life.as_of == BEGAN + LIFE_H // 2 * HOUR - (LIFE_H // 2 % 5) * HOUR
    assert life.low_h <= LIFE_H - (life.as_of - BEGAN) / HOUR <= life.high_h
    assert life.middle_h > 16
    assert life.middle_h % 5 == 0


def test_with_fewer_runs_nothing_is_told_and_it_is_said_so(database, connection, pool):
    _, live = a_fleet(connection, LEAST_RUNS - 1, halfway=0.5)
    tell(database)
    assert of_asset(connection, live["halfway"].asset_id) == {}
    with an_api(pool, furnish=lambda _: None) as api:
        (item,) = api.get(f"/assets/{live['halfway'].asset_id}/remaining-life").json()["items"]
    assert (item["life"], item["not_known"], item["runs"], item["runs_needed"]) == (
        None,
        "too_few_runs",
        LEAST_RUNS - 1,
        LEAST_RUNS,
    )


def test_before_there_are_enough_runs_the_newest_trend_tells_it(connection, database):
    house = a_plant(connection)
    a_limit_coming(connection, house, NOW - 3 * HOUR, time_to_limit_s=1.0)
    a_limit_coming(
        connection,
        house,
        NOW - HOUR,
        time_to_limit_low_s=36_000.0,
        time_to_limit_s=72_000.0,
        time_to_limit_high_s=108_000.0,
    )
    tell(database)
    told = of_asset(connection, house.asset_id)
    assert told == {"bearing_wear": RemainingLife(NOW - HOUR, 10.0, 20.0, 30.0, TREND_COVERAGE, LifeMethod.TREND, 0)}


@pytest.mark.parametrize(
    "change",
    [
        "cleared_at = now()",
        "shadow = true",
        "metric = 'current_a'",
        "direction = 'down'",
        "evidence = '{\"baseline\": 1}'",
        "evidence = '{\"time_to_limit_s\": -5}'",
    ],
)
def test_a_finding_that_is_over_or_of_something_else_tells_nothing(connection, database, change):
    house = a_plant(connection)
    a_limit_coming(connection, house, time_to_limit_s=3_600.0)
    connection.execute(f"update finding set {change}")
    tell(database)
    assert of_asset(connection, house.asset_id) == {}


def test_what_is_shelved_tells_nothing_until_it_counts_again(connection, database):
    """SPEC D1: a loose sensor that creeps towards its limit must not set when the bearing is due."""
    house = a_plant(connection)
    a_limit_coming(connection, house, time_to_limit_s=3_600.0)
    person = house.supervisor.person_id
    terms = {"metric": None, "rule": None, "reason": "the sensor is loose", "until": NOW + DAY}
    shelving_id = shelve(connection, asset_id=house.asset_id, person_id=person, now=NOW, **terms)
    tell(database)
    assert of_asset(connection, house.asset_id) == {}
    unshelve(connection, shelving_id, person, NOW)
    tell(database)
    assert set(of_asset(connection, house.asset_id)) == {"bearing_wear"}


def test_a_trend_without_a_far_end_is_believed_up_to_twice_its_best_guess(connection, database):
    house = a_plant(connection)
    a_limit_coming(connection, house, time_to_limit_low_s=1_800.0, time_to_limit_s=3_600.0)
    tell(database)
    life = of_asset(connection, house.asset_id)["bearing_wear"]
    assert (life.low_h, life.middle_h, life.high_h) == (0.5, 1.0, 2.0)


def test_each_round_replaces_what_was_told_before(connection, database):
    house = a_plant(connection)
    a_limit_coming(connection, house, time_to_limit_s=3_600.0)
    tell(database)
    assert of_asset(connection, house.asset_id)
    connection.execute("update finding set cleared_at = now()")
    tell(database)
    assert of_asset(connection, house.asset_id) == {}


def test_what_was_told_of_a_part_is_not_told_of_the_one_that_replaced_it(connection):
    house = a_plant(connection)
    life = RemainingLife(NOW, 1.0, 2.0, 3.0, 0.8, LifeMethod.SIMILARITY, 20)
    replace_lives(connection, house.mode_id, {house.asset_id: life}, NOW)
    assert of_asset(connection, house.asset_id) == {"bearing_wear": life}
    fit = "insert into component_installation values (%s, %s, %s, 'event')"
    connection.execute(fit, (house.asset_id, "fan", NOW + HOUR))
    assert of_asset(connection, house.asset_id) == {"bearing_wear": life}
    connection.execute(fit, (house.asset_id, "bearing", NOW + HOUR))
    assert of_asset(connection, house.asset_id) == {}
    assert [one.life for one in lives_of_asset(connection, house.asset_id)] == [None]


def test_a_run_to_failure_lasts_from_the_fitting_to_the_repair_of_the_part_that_failed(connection):
    """The new part is noted while the ticket is open: the run is that of the old one, and ends when it was replaced."""
    house = a_life(connection, a_plant(connection), "R-1", BEGAN, a_run(100, seed=1))
    replaced_at = BEGAN + 100 * HOUR - 30 * MINUTE
    connection.execute(
        "insert into component_installation values (%s, 'bearing', %s, 'event')", (house.asset_id, replaced_at)
    )
    repaired(connection, house, BEGAN + 100 * HOUR)
    (run,) = runs_to_failure(connection, house.mode_id, 10)
    assert (run.asset_id, run.began_at, run.ended_at) == (house.asset_id, BEGAN, replaced_at)


def test_a_part_in_service_has_lived_since_the_newest_fitting_and_is_told_by_nothing_before(connection):
    """What the old bearing ran before the repair is none of the new one's life."""
    house = a_life(connection, a_plant(connection), "R-1", BEGAN, a_run(30, seed=1))
    connection.execute(
        "insert into component_installation values (%s, 'bearing', %s, 'event')", (house.asset_id, BEGAN + 10 * HOUR)
    )
    refresh_everything(connection)
    (part,) = parts_in_service(connection, house.mode_id)
    assert part == PartLife(house.asset_id, BEGAN + 10 * HOUR, BEGAN + 30 * HOUR)
    told = steps(connection, part, 5 * HOUR)
    expected = a_run(30, seed=1).metrics[10:].reshape(4, 5, 2).mean(axis=1)
    for column, metric in enumerate(METRICS):
        assert told[metric].tolist() == pytest.approx(expected[:, column].tolist())


def test_two_repairs_of_one_part_are_one_life_and_a_ticket_that_repaired_nothing_is_none(connection):
    house = a_life(connection, a_plant(connection), "R-1", BEGAN, a_run(20, seed=1))
    repaired(connection, house, BEGAN + 5 * HOUR, "deferred", found_failure_mode="bearing_wear")
    assert runs_to_failure(connection, house.mode_id, 10) == []
    repaired(connection, house, BEGAN + 10 * HOUR)
    connection.execute("delete from component_installation where source = 'ticket'")
    repaired(connection, house, BEGAN + 20 * HOUR)
    (run,) = runs_to_failure(connection, house.mode_id, 10)
    assert run.ended_at == BEGAN + 10 * HOUR


def test_a_run_is_read_in_whole_steps_and_silence_is_no_value(connection):
    house = a_life(connection, a_plant(connection), "R-1", BEGAN, a_run(30, seed=1))
    connection.execute("delete from reading where ts >= %s and ts < %s", (BEGAN + 10 * HOUR, BEGAN + 20 * HOUR))
    refresh_everything(connection)
    repaired(connection, house, BEGAN + 30 * HOUR)
    (run,) = runs_to_failure(connection, house.mode_id, 10)
    told = steps(connection, run, 5 * HOUR)
    expected = a_run(30, seed=1).metrics.reshape(6, 5, 2).mean(axis=1)
    assert set(told) == set(METRICS)
    for column, metric in enumerate(METRICS):
        assert told[metric].tolist() == pytest.approx(
            [*expected[:2, column], float("nan"), float("nan"), *expected[4:, column]], nan_ok=True
        )


def test_runs_without_readings_do_not_count(database, connection):
    """The last five have tickets but no readings: 19 are left, one too few."""
    _, live = a_fleet(connection, LEAST_RUNS + 4, halfway=0.5)
    gone = "select series.id from series join device on device.id = device_id where name like 'dev-R-1_'"
    connection.execute(f"delete from reading_1h where series_id in ({gone} limit 10)")
    tell(database)
    assert of_asset(connection, live["halfway"].asset_id) == {}
    learnt = learning_of_mode(connection, live["halfway"].mode_id)
    assert learnt == RunsLearnt(LEAST_RUNS + 4, 0, {LeftOut.NO_READINGS: 5})


def test_runs_that_cannot_be_used_are_told_with_their_reasons_and_the_others_used(database, connection, pool):
    """SPEC D5: nothing is left out in silence; the API says it beside the life."""
    house, live = a_fleet(connection, LEAST_RUNS + 2, halfway=0.5)
    series = "select series.id from series join device on device.id = device_id where name = %s and metric like %s"
    connection.execute(f"delete from reading_1h where series_id in ({series})", ("dev-R-3", "temp%"))
    connection.execute(
        f"delete from reading_1h where series_id in ({series}) and bucket > %s", ("dev-R-5", "%", BEGAN + 5 * HOUR)
    )
    tell(database)
    with an_api(pool, furnish=lambda _: None) as api:
        (item,) = api.get(f"/assets/{live['halfway'].asset_id}/remaining-life").json()["items"]
    assert item["life"]["runs"] == LEAST_RUNS
    assert item["learnt"] == {
        "runs": LEAST_RUNS + 2,
        "used": LEAST_RUNS,
        "left_out": {"metric_missing": 1, "little_measured": 1},
    }
    learnt = learning_of_mode(connection, house.mode_id)
    assert learnt == RunsLearnt(LEAST_RUNS + 2, LEAST_RUNS, {LeftOut.METRIC_MISSING: 1, LeftOut.LITTLE_MEASURED: 1}), (
        "what the API told is what is stored"
    )


def test_lives_too_short_to_be_followed_by_hours_are_said_to_be(database, connection, pool, monkeypatch):
    """SPEC D5: they were left out without a word before."""
    monkeypatch.setattr("runtime.remaining_life.LEAST_STEPS_OF_LIFE", 200)
    _, live = a_fleet(connection, LEAST_RUNS, halfway=0.5)
    tell(database)
    with an_api(pool, furnish=lambda _: None) as api:
        (item,) = api.get(f"/assets/{live['halfway'].asset_id}/remaining-life").json()["items"]
    assert (item["life"], item["not_known"]) == (None, "too_few_usable")
    assert item["learnt"] == {"runs": LEAST_RUNS, "used": 0, "left_out": {"too_short": LEAST_RUNS}}


def test_wear_is_told_within_the_operating_regime_of_each_step(database, connection):
    """SPEC D2, D5: a load that moves the metrics more than wear does hides it, unless regimes tell it apart."""
    _, live = a_fleet(connection, LEAST_RUNS, worn=0.9)
    metric = METRICS[1]
    loads = f"""
        with load as (
          select series_id, bucket,
            case when hashint8(extract(epoch from bucket)::bigint) % 2 = 0 then 20 else 80 end as v
          from reading_1h join series on series.id = series_id where metric = '{metric}'
        )
        update reading_1h set s = n * load.v from load
        where reading_1h.series_id = load.series_id and reading_1h.bucket = load.bucket"""
    connection.execute(loads)
    connection.execute(
        f"""update reading_1h set s = reading_1h.s + case when load.s / load.n > 50 then 60 * reading_1h.n else 0 end
        from reading_1h as load, series as told, series as other
        where told.id = load.series_id and told.metric = '{metric}'
          and other.id = reading_1h.series_id and other.device_id = told.device_id and other.metric = '{METRICS[0]}'
          and load.bucket = reading_1h.bucket"""
    )
    width = {}
    for name in ("one", "two"):
        if name == "two":
            save_regimes(connection, "motor", OperatingRegimes(metric, (50.0,), 0.0), NOW)
        tell(database)
        worn = of_asset(connection, live["worn"].asset_id)["bearing_wear"]
        width[name] = worn.high_h - worn.low_h
        left_h = LIFE_H - (worn.as_of - BEGAN) / HOUR
    assert worn.low_h <= left_h <= worn.high_h
    assert width["two"] < 20
    assert width["two"] < width["one"] / 1.5


def test_a_mode_that_cannot_be_told_keeps_what_it_had_and_holds_up_no_other(database, connection):
    """Constant metrics teach nothing; the other mode, after it in the order of codes, is told all the same."""
    house, live = a_fleet(connection, LEAST_RUNS, halfway=0.5)
    connection.execute("update reading_1h set s = n")
    connection.execute(
        """insert into failure_mode (asset_type_id, code, name_en, name_zh, effect_en, effect_zh, severity, component,
             prior, watch_probability, ticket_probability, window_from_h, window_to_h, skills, tasks, signature)
           select asset_type_id, 'winding', name_en, name_zh, effect_en, effect_zh, severity, 'winding', prior,
             watch_probability, ticket_probability, window_from_h, window_to_h, skills, tasks, signature
           from failure_mode"""
    )
    before = RemainingLife(BEGAN + DAY, 1.0, 2.0, 3.0, 0.8, LifeMethod.SIMILARITY, 20)
    replace_lives(connection, house.mode_id, {live["halfway"].asset_id: before}, NOW)
    a_limit_coming(connection, live["halfway"], time_to_limit_s=3_600.0)
    tell(database)
    told = of_asset(connection, live["halfway"].asset_id)
    assert told["bearing_wear"] == before
    assert told["winding"].method is LifeMethod.TREND


def test_the_api_tells_it_to_who_may_see_the_asset(connection, pool):
    house = a_plant(connection)
    life = RemainingLife(NOW, 1.0, 2.0, 3.0, 0.8, LifeMethod.SIMILARITY, 20)
    replace_lives(connection, house.mode_id, {house.asset_id: life}, NOW)
    connection.execute("insert into site values ('elsewhere', 'Elsewhere', 'weekdays', 31, 120)")
    path = f"/assets/{house.asset_id}/remaining-life"
    with an_api(pool, furnish=lambda _: None) as api:
        answer = api.get(path, Role.ENGINEER, SITE)
        assert answer.status_code == 200
        (item,) = answer.json()["items"]
        assert item["failure_mode"] == "bearing_wear"
        assert item["life"] == {
            "as_of": NOW.isoformat().replace("+00:00", "Z"),
            "low_h": 1.0,
            "middle_h": 2.0,
            "high_h": 3.0,
            "coverage": 0.8,
            "method": "similarity",
            "runs": 20,
        }
        assert item["not_known"] is None
        assert api.get(path, Role.ENGINEER, "elsewhere").status_code == 404
        assert api.get(path, Role.REQUESTER, SITE).status_code == 403
        assert api.get("/assets/999999/remaining-life").status_code == 404


def test_the_jobs_process_does_it_by_itself(database):
    app: App = make_app(database, TestClock(NOW))
    assert "remaining_life" in app.tasks
    assert ("remaining_life", "") in app.periodic_registry.periodic_tasks
