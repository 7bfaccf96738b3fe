"""The API's own description (OpenAPI): its routes only, and every refusal marked as problem+json."""

from __future__ import annotations

from typing import cast

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

PROBLEM_TYPE = "application/problem+json"


def describe(app: FastAPI) -> dict[str, object]:
    """Return the OpenAPI document of ``app``, made once."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
        for path in schema["paths"].values():
            for operation in path.values():
                _mark_problems(operation)
        app.openapi_schema = schema
    return cast("dict[str, object]", app.openapi_schema)


def _mark_problems(operation: dict[str, dict[str, dict[str, dict[str, object]]]]) -> None:
    for answer in operation["responses"].values():
        # The framework files them under the media type of the route's own answer.
        for shape in answer.get("content", {}).values():
            if "ProblemDocument" in str(shape):
                answer["content"] = {PROBLEM_TYPE: shape}
                break
