"""The work that a new ticket brings along: its own tasks, the operations of a production order, its bill (SPEC T8)."""

from __future__ import annotations

from uuid import UUID

from psycopg import Connection

from storage.parts import part_id_of
from storage.queries import load
from ticketing.intake import IntakeRequest

QUERIES = load("intake")


def plan_work(connection: Connection, ticket_id: UUID, request: IntakeRequest) -> None:
    """Put tasks, operations and bill of the request on the new ticket; an unknown part is refused."""
    key = {"ticket_id": ticket_id}
    if request.tasks:
        texts = {
            "texts_en": [task.text_en.strip() for task in request.tasks],
            "texts_zh": [task.text_zh.strip() for task in request.tasks],
        }
        connection.execute(QUERIES["add_own_tasks"], {**key, **texts})
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
