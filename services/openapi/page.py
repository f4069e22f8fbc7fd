"""The whole document, put together from its parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fastapi.openapi.utils import get_openapi

from bentos.catalog import path_name
from core.denials import ModelOutOfScope, RoleTooLow
from core.errors import SeptetError
from services.access.caller import Role
from services.access.rules import Rule, find_route, rule_of
from services.openapi.examples import example_of
from services.openapi.plain import described_paths, errors_of
from services.openapi.problems import (
    AT_THE_GATE,
    OF_A_BODY,
    OF_AN_EFFECT,
    OF_ONE_TIME,
    ON_THE_WIRE,
    SCHEMA_REF,
    Json,
    Kinds,
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
    "history": "What was predicted, how that went over time, and what then happened.",
    "outcomes": "What really happened, for predictions to be held against.",
    "models": "Which models there are, what they are, how they are.",
    "keys": "API keys, for admins.",
    "audit": "Who did what, for admins.",
    "operations": "What the platform tells of itself.",
    "probes": "For supervisors and load balancers; without a key.",
    "pages": "This document.",
}
_UNUSED = ("HTTPValidationError", "ValidationError")
_JSON = "application/json"
_PARTS = {
    "model": "Name of the model.",
    "key_id": "Public id of the key: its part after `sep_live_`.",
}
_IDEMPOTENCY_KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Any text of the caller's, such as a UUID: the same request under the same key "
    "is carried out once, and its answer is given again for a day.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
}


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
    for path, method, operation in _operations(document):
        _name_parts(operation, faces)
        _name_body(operation, components["schemas"])
        _complete(path, method.upper(), operation)
    add_components(document)
    for *_, operation in _operations(document):
        _add_examples(operation, components["schemas"])
    components["securitySchemes"] = {
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "bearer": {"type": "http", "scheme": "bearer"},
    }
    document["security"] = [{"key": []}, {"bearer": []}]
    used = {tag for *_, operation in _operations(document) for tag in operation["tags"]}
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


def _operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield path, method, operation


def _complete(path: str, method: str, operation: Json) -> None:
    """Add what the gate does to every route: its rule, its errors, the headers of its answers."""
    is_open = operation.get("security") == []
    responses: Json = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422")):
        # FastAPI documents its own, which no route of ours gives.
        del responses["422"]
    named = ["X-Request-Id"] if is_open else ["X-Request-Id", "RateLimit-Policy", "RateLimit"]
    kinds = [*ON_THE_WIRE, *errors_of(path)]
    if not is_open:
        template, _ = find_route(method, path)
        rule = rule_of(method, template)
        kinds += [*AT_THE_GATE, *_denials(rule)]
        operation["description"] += f" Role: {rule.least.label if rule.least else 'none'}."
    if "requestBody" in operation:
        kinds += OF_A_BODY
    if method == "POST":
        named.append("Idempotent-Replayed")
        operation["parameters"] = [*operation.get("parameters", ()), _IDEMPOTENCY_KEY]
        kinds += [*OF_ONE_TIME, *(() if "predictions" in operation["tags"] else OF_AN_EFFECT)]
    for response in responses.values():
        if not _is_problem(response):
            response["headers"] = response.get("headers", {}) | {n: header(n) for n in named}
    add_errors(operation, kinds)


def _denials(rule: Rule) -> Kinds:
    """Give how a rule may refuse a key that opens."""
    found: list[type[SeptetError]] = []
    if rule.least is None or rule.least > min(Role):
        found.append(RoleTooLow)
    if rule.is_scoped or rule.is_whole:
        found.append(ModelOutOfScope)
    return found


def _is_problem(response: Json) -> bool:
    return any(kind.endswith("problem+json") for kind in response.get("content", {}))


def _name_parts(operation: Json, faces: Sequence[Face]) -> None:
    """Say what the parts of a path are, and list the models where one of them is meant."""
    for parameter in operation.get("parameters", ()):
        if parameter["in"] != "path":
            continue
        if parameter["name"] == "model":
            names = [path_name(face.model) for face in faces]
            parameter["schema"] = {"type": "string", "enum": names}
        parameter.setdefault("description", _PARTS.get(parameter["name"], parameter["name"]))


def _name_body(operation: Json, schemas: Json) -> None:
    """Give the type of a body its name, by which generators of clients name it too."""
    content = operation.get("requestBody", {}).get("content", {}).get(_JSON)
    if content is None or "$ref" in content["schema"] or "title" not in content["schema"]:
        return
    schema = content["schema"]
    schemas |= schema.pop("$defs", {})
    schemas[schema["title"]] = schema
    content["schema"] = {"$ref": SCHEMA_REF + schema["title"]}


def _add_examples(operation: Json, schemas: Json) -> None:
    """Make an example for each JSON content that has none."""
    parts = [operation.get("requestBody", {}), *operation["responses"].values()]
    for part in parts:
        content = part.get("content", {}).get(_JSON)
        if content is not None and not {"example", "examples"} & content.keys():
            content["example"] = example_of(content["schema"], schemas)
