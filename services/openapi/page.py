"""The whole document, put together from its parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fastapi.openapi.utils import get_openapi

from bentos.catalog import path_name
from services.openapi.examples import example_of
from services.openapi.plain import described_paths, errors_of
from services.openapi.problems import (
    AT_THE_GATE,
    OF_A_BODY,
    ON_THE_WIRE,
    Json,
    add_components,
    add_errors,
    header,
)
from services.predictions.schema import Face, add_predictions, faces_of

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.routing import APIRoute

    from services.runtime import Runtime

# Of the interface, not of the package: a change that breaks a caller raises it.
VERSION = "1"
_TAGS = {
    "predictions": "One row or many, for each model; the types are those of the model's contract.",
    "models": "Which models there are, what they are, how they are.",
    "keys": "API keys, for admins.",
    "audit": "Who did what, for admins.",
    "operations": "What the platform tells of itself.",
    "probes": "For supervisors and load balancers; without a key.",
    "pages": "This document.",
}
_UNUSED = ("HTTPValidationError", "ValidationError")
_JSON = "application/json"


class OpenApiPage:
    """``/openapi.json``: made anew when a champion is switched, for its contract may be another.

    Parameters
    ----------
    app
        Has the typed routes.
    runtime
        Has the contracts.
    """

    def __init__(self, app: FastAPI, runtime: Runtime) -> None:
        self._app = app
        self._runtime = runtime
        self._made_for: object = None
        self._document: Json = {}

    def read(self) -> Json:
        """Give the document."""
        versions = self._runtime.champions.versions
        if self._made_for != versions or not self._document:
            self._document = build_document(self._app, faces_of(self._runtime.champions))
            self._made_for = versions
        return self._document


def build_document(app: FastAPI, faces: Sequence[Face]) -> Json:
    """Build the document of an app and its models.

    Parameters
    ----------
    app
        Has the typed routes.
    faces
        What each model takes and answers.
    """
    document = get_openapi(
        title=app.title, version=VERSION, description=app.description, routes=app.routes
    )
    document["paths"] |= described_paths()
    add_predictions(document, faces)
    components: Json = document["components"]
    for unused in _UNUSED:
        components["schemas"].pop(unused, None)
    for path, operation in _operations(document):
        _name_models(operation, faces)
        _complete(path, operation)
    add_components(document)
    for _, operation in _operations(document):
        _add_examples(operation, components["schemas"])
    components["securitySchemes"] = {
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "bearer": {"type": "http", "scheme": "bearer"},
    }
    document["security"] = [{"key": []}, {"bearer": []}]
    used = {tag for _, operation in _operations(document) for tag in operation["tags"]}
    document["tags"] = [{"name": n, "description": d} for n, d in _TAGS.items() if n in used]
    return document


def operation_id(route: APIRoute) -> str:
    """Name an operation as a client's method would be named.

    Parameters
    ----------
    route
        A typed route; its first tag and its function name it.
    """
    tag = str(route.tags[0]) if route.tags else route.name
    return tag if route.name == tag else f"{tag}_{route.name}"


def _operations(document: Json) -> Iterator[tuple[str, Json]]:
    for path, operations in document["paths"].items():
        for operation in operations.values():
            yield path, operation


def _complete(path: str, operation: Json) -> None:
    """Add what the gate does to every route: its errors, and the headers of its answers."""
    is_open = operation.get("security") == []
    responses: Json = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422")):
        # FastAPI documents its own, which no route of ours gives.
        del responses["422"]
    named = ("X-Request-Id",) if is_open else ("X-Request-Id", "RateLimit-Policy", "RateLimit")
    for response in responses.values():
        if not _is_problem(response):
            response["headers"] = response.get("headers", {}) | {n: header(n) for n in named}
    kinds = (*ON_THE_WIRE, *errors_of(path))
    if not is_open:
        kinds += tuple(AT_THE_GATE)
    if "requestBody" in operation:
        kinds += tuple(OF_A_BODY)
    add_errors(operation, kinds)


def _is_problem(response: Json) -> bool:
    return any(kind.endswith("problem+json") for kind in response.get("content", {}))


def _name_models(operation: Json, faces: Sequence[Face]) -> None:
    """List the models where a path has a place for one."""
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path" and parameter["name"] == "model":
            names = [path_name(face.model) for face in faces]
            parameter["description"] = "Name of the model."
            parameter["schema"] = {"type": "string", "enum": names}


def _add_examples(operation: Json, schemas: Json) -> None:
    """Make an example for each JSON content that has none."""
    parts = [operation.get("requestBody", {}), *operation["responses"].values()]
    for part in parts:
        content = part.get("content", {}).get(_JSON)
        if content is not None and not {"example", "examples"} & content.keys():
            content["example"] = example_of(content["schema"], schemas)
