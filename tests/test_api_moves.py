"""What a client of the API sees of tickets that move, are joined or checked: facts, choices, answers (SPEC T8, T9)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from notify.texts import texts_of
from tests.api_builders import an_api
from tests.test_api_tickets import Plant
from tests.ticket_builders import HOUR, NOW, SITE, House, a_device_ticket, a_house, carry
from ticketing.actors import Actor
from ticketing.ticket import State


@pytest.fixture
def plant(pool: ConnectionPool) -> Iterator[Plant]:
    houses: list[House] = []

    def furnish(connection: Connection) -> None:
        houses.append(a_house(connection))
        connection.execute("update asset set serial_number = 'SN-1'")
        connection.execute("insert into team (name, site_id) values ('Electrical', %s)", (SITE,))

    with an_api(pool, furnish, NOW) as api:
        yield Plant(api, houses[0], {})


def step_of(answer: dict[str, Any], command: str) -> dict[str, Any]:
    return next(step for step in answer["next_steps"] if step["command"] == command)


def choices(step: dict[str, Any], name: str) -> list[dict[str, str]]:
    return next(fact["options"] for fact in step["facts"] if fact["name"] == name)


def seen(plant: Plant, code: str, who: Actor) -> dict[str, Any]:
    answer = plant.get(f"/tickets/{code}", who)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_a_hand_over_needs_only_what_the_answer_offers(plant: Plant) -> None:
    with plant.api.pool.connection() as connection:
        code = a_device_ticket(connection, plant.house)
    step = step_of(seen(plant, code, plant.house.supervisor), "hand_over")
    assert [(fact["name"], fact["type"], fact["required"]) for fact in step["facts"]][:3] == [
        ("team_id", "team", True),
        ("asked", "text", True),
        ("history", "text", True),
    ]
    (team,) = choices(step, "team_id")
    facts = {"team_id": int(team["value"]), "asked": "Check the winding", "history": "Bearing is sound"}
    answer = plant.command(code, "hand_over", plant.house.supervisor, **facts)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["ticket"]["team_name"], answer.json()["hand_overs"][0]["serial_number"]) == (
        ("Electrical", "SN-1")
    )


def test_a_merge_offers_open_tickets_and_its_answer_shows_both_ends(plant: Plant) -> None:
    codes = [plant.report(), plant.report()]
    offered = choices(step_of(seen(plant, codes[0], plant.house.planner), "merge"), "merged_into")
    assert [option["value"] for option in offered] == [codes[1]]
    merged = plant.command(codes[0], "merge", plant.house.planner, merged_into=codes[1]).json()
    assert (merged["ticket"]["outcome"], merged["ticket"]["merged_into_code"]) == ("merged", codes[1])
    survivor = seen(plant, codes[1], plant.house.planner)
    assert [origin["code"] for origin in survivor["origins"]] == [codes[0]]
    assert survivor["links"][0]["kind"] == "merged"
    with plant.api.pool.connection() as connection:
        (body,) = connection.execute("select body from outbox where kind = 'ticket.merged'").fetchone()
        assert body["person_ids"] == [plant.house.requester.person_id]
        assert texts_of("ticket.merged", body)[0] == f"{codes[0]} goes on as {codes[1]}: Motor howls."


def test_a_crossed_link_is_a_conflict_and_an_unknown_one_is_not_there(plant: Plant) -> None:
    codes = [plant.report(), plant.report()]
    assert plant.command(codes[0], "link", plant.house.near, other=codes[1], kind="causes").status_code == 200
    assert plant.command(codes[1], "link", plant.house.near, other=codes[0], kind="causes").status_code == 409
    assert plant.command(codes[0], "link", plant.house.near, other="P999999", kind="causes").status_code == 404
    assert plant.command(codes[0], "link", plant.house.requester, other=codes[1], kind="related").status_code == 403


def test_a_check_tells_its_unit_its_limits_and_what_it_came_to(plant: Plant) -> None:
    with plant.api.pool.connection() as connection:
        code = a_device_ticket(connection, plant.house)
        carry(connection, plant.house, code, State.EXECUTING)
        connection.execute(
            "update ticket_task set unit = 'mm/s', high_limit = 4.5, opens_ticket = true where number = 2"
        )
    answer = seen(plant, code, plant.house.near)
    assert [fact["name"] for fact in step_of(answer, "complete_task")["facts"]] == [
        *("number", "result", "reading", "remark"),
    ]
    assert (answer["tasks"][1]["unit"], answer["tasks"][1]["high_limit"]) == ("mm/s", 4.5)
    missing = plant.command(code, "complete_task", plant.house.near, number=2)
    assert (missing.status_code, missing.json()["type"].rsplit(":", 1)[-1]) == (422, "missing_fact")
    failed = plant.command(code, "complete_task", plant.house.near, number=2, reading=7).json()
    assert (failed["tasks"][1]["result"], failed["links"][0]["kind"]) == ("failed", "causes")
    assert failed["links"][0]["code"] == failed["tasks"][1]["opened_code"]


def test_a_reopened_ticket_says_so_and_supervisors_are_told(plant: Plant) -> None:
    code = plant.report()
    plant.command(code, "cancel", plant.house.supervisor, reason="Reported twice")
    refused = plant.command(code, "reopen", plant.house.supervisor, reason="Howls again")
    assert (refused.status_code, refused.json()["type"].rsplit(":", 1)[-1]) == (409, "not_a_legal_step")
    with plant.api.pool.connection() as connection:
        connection.execute("update ticket set outcome = 'repaired' where code = %s", (code,))
    plant.api.clock.move(HOUR)
    answer = plant.command(code, "reopen", plant.house.requester, reason="Howls again")
    assert answer.status_code == 200, answer.text
    assert (answer.json()["ticket"]["state"], answer.json()["ticket"]["reopened_count"]) == ("new", 1)
    with plant.api.pool.connection() as connection:
        (body,) = connection.execute("select body from outbox where kind = 'ticket.reopened'").fetchone()
        assert body["supervisors_of"] == SITE
        assert "Howls again" in texts_of("ticket.reopened", body)[1]
