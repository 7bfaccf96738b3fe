"""The work that a new ticket brings along: its own tasks, the operations of a production order, its bill (SPEC T8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from uuid import UUID

from psycopg import Connection
from psycopg.types.json import Jsonb

from domain.checklists import Task
from storage.intaking.records import mode_of
from storage.parts import part_id_of
from storage.queries import load
from ticketing.intake import IntakeRequest

QUERIES = load("intake")


def plan_work(connection: Connection, ticket_id: UUID, request: IntakeRequest) -> None:
    """Put tasks, operations and bill of the request on the new ticket; an unknown part is refused."""
    key = {"ticket_id": ticket_id}
    if request.tasks:
        tasks = [as_json(task) for task in request.tasks]
        connection.execute(QUERIES["add_own_tasks"], {**key, "tasks": Jsonb(tasks)})
    if request.operations:
        planned = {
            "names": [operation.name.strip() for operation in request.operations],
            "quality_checks": [operation.quality_check.strip() for operation in request.operations],
            "engineer_ids": [operation.engineer_id for operation in request.operations],
        }
        connection.execute(QUERIES["add_operations"], {**key, **planned})
    for part in request.bill:
        part_id = part_id_of(connection, part.part_number)
        connection.execute(QUERIES["plan_bill"], {**key, "part_id": part_id, "quantity": part.quantity})


def check_modes(connection: Connection, asset_id: int, tasks: Sequence[Task]) -> None:
    """Refuse a task that names a failure mode that the asset's type does not have."""
    for code in dict.fromkeys(task.failure_mode for task in tasks):
        mode_of(connection, asset_id, code)


def as_json(task: Task) -> dict[str, object]:
    """Return a task as it is stored."""
    return {**asdict(task), "text_en": task.text_en.strip(), "text_zh": task.text_zh.strip()}


def task_of(stored: Mapping[str, object]) -> Task:
    """Return a task that ``as_json`` stored."""
    low, high, unit, mode = (stored.get(name) for name in ("low_limit", "high_limit", "unit", "failure_mode"))
    return Task(
        text_en=str(stored["text_en"]),
        text_zh=str(stored["text_zh"]),
        unit=None if unit is None else str(unit),
        low_limit=None if low is None else float(str(low)),
        high_limit=None if high is None else float(str(high)),
        opens_ticket=stored.get("opens_ticket") is True,
        failure_mode=None if mode is None else str(mode),
    )
