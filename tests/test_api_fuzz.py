"""The API against its own description: generated requests, valid and not, never make it fail or answer otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg_pool import ConnectionPool
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.api_builders import Api, an_api
from tests.ticket_builders import NOW, a_device_ticket, a_house
from ticketing.actors import Role

EXAMPLES_PER_OPERATION = 8
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
# The stream never ends; its test is test_api_stream.py.
ENDLESS = {"/api/v1/stream"}


KNOWN = {"code": "D000001", "asset_id": 1, "series_id": 1, "device_id": 1, "person_id": 1}


@pytest.fixture
def api(pool: ConnectionPool) -> Iterator[Api]:
    def furnish(connection: psycopg.Connection) -> None:
        a_device_ticket(connection, a_house(connection))
        connection.execute("""update failure_mode set signature = '{"findings": [], "events": [], "part_age": null}'""")

    with an_api(pool, furnish, NOW) as opened:
        yield opened


@pytest.mark.parametrize("signed_in", [True, False])
def test_generated_requests_are_answered_as_described(api: Api, signed_in: bool) -> None:
    admin = api.headers(Role.ADMIN)
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", api.app, headers=admin)
    headers = admin if signed_in else {}
    statuses: Counter[int] = Counter()
    operations = [found.ok() for found in schema.get_all_operations()]
    for operation in operations:
        if operation.path in ENDLESS:
            continue

        @settings(
            max_examples=EXAMPLES_PER_OPERATION if signed_in else 2,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(), is_known=st.booleans())
        def check(case: schemathesis.Case, is_known: bool) -> None:
            # Generated keys fit nothing; half of the requests are about records that are there.
            if is_known:
                case.path_parameters.update({name: KNOWN[name] for name in case.path_parameters if name in KNOWN})
            answer = case.call(headers=headers)
            statuses[answer.status_code] += 1
            case.validate_response(answer, checks=CHECKS)

        check()
    assert len(operations) > 30
    assert not [status for status in statuses if status >= 500]
    # Without these the run would have proven nothing.
    assert statuses[200 if signed_in else 401] > 20, statuses


def test_every_operation_describes_its_refusals_as_problems(api: Api) -> None:
    described = api.get("/openapi.json").json()
    undescribed = [
        f"{method} {path} {status}"
        for path, operations in described["paths"].items()
        for method, operation in operations.items()
        for status, answer in operation["responses"].items()
        if int(status) >= 400 and path != "/api/v1/health" and "application/problem+json" not in answer["content"]
    ]
    assert undescribed == []
    assert not any("HTTPValidationError" in name for name in described["components"]["schemas"])
