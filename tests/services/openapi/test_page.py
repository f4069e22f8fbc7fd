"""The document: valid, whole, and true in its examples."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import BaseRoute, Route

from bentos.catalog import CATALOG, path_name
from core.errors import SeptetError
from services.app import create_app
from services.docs import docs_files
from services.openapi.page import build_document
from services.openapi.problems import AT_THE_GATE, OF_A_BODY, ON_THE_WIRE
from services.openapi.snapshot import shipped_face
from services.predictions.schema import Face
from services.runtime import Runtime

Json = dict[str, Any]
# Parts of the page /docs, of no use by themselves.
UNDOCUMENTED = {"/docs/start.js", "/docs/files"}
OPEN = {"/livez", "/readyz"}


def flat_routes(routes: Iterable[BaseRoute]) -> Iterator[BaseRoute]:
    """Give each single route: FastAPI keeps a router that was included as one, without a path."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is None:
            yield route
        else:
            yield from flat_routes(included.routes)


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return create_app(Runtime(), docs_files=docs_files())


@pytest.fixture(scope="module")
def document(app: FastAPI) -> Json:
    return build_document(app, [shipped_face(model) for model in CATALOG])


def single(routes: Iterable[BaseRoute]) -> Iterator[BaseRoute]:
    """Give each route; FastAPI keeps a router that was included as one of them."""
    for route in routes:
        included = getattr(route, "original_router", None)
        yield from [route] if included is None else single(included.routes)


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, found in document["paths"].items():
        for method, operation in found.items():
            yield path, method, operation


def resolve(document: Json, part: Json) -> Json:
    while "$ref" in part:
        target: Any = document
        for name in part["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        part = target
    return part


def contents(document: Json) -> Iterator[tuple[str, Json]]:
    """Give each content of a body, asked or answered, by where it stands."""
    for path, method, operation in operations(document):
        parts = {"asked": operation.get("requestBody", {}), **operation["responses"]}
        for name, part in parts.items():
            for kind, content in resolve(document, part).get("content", {}).items():
                yield f"{method} {path} {name} {kind}", content


def examples_of(document: Json, content: Json) -> list[Any]:
    if "example" in content:
        return [content["example"]]
    named = content.get("examples", {}).values()
    return [resolve(document, example)["value"] for example in named]


def validator(document: Json, schema: Json) -> OAS31Validator:
    whole = {**schema, "components": document["components"]}
    return OAS31Validator(whole, format_checker=OAS31Validator.FORMAT_CHECKER)


def test_it_is_valid_openapi_3_1(document: Json) -> None:
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()


def test_every_route_is_documented(app: FastAPI, document: Json) -> None:
    known = set(document["paths"])
    for route in single(app.routes):
        path = getattr(route, "path", "").replace(":path}", "}")
        if path in UNDOCUMENTED:
            continue
        assert isinstance(route, Route)
        if path.startswith("/api/{model}"):
            for model in CATALOG:
                assert path.replace("{model}", path_name(model)) in known
        else:
            assert path in known
            methods = {method.lower() for method in route.methods or ()} - {"head"}
            assert methods <= set(document["paths"][path])
    assert known >= OPEN


def test_every_operation_says_what_it_is_for_under_a_name_of_its_own(document: Json) -> None:
    seen: set[str] = set()
    for path, method, operation in operations(document):
        assert operation["summary"], (path, method)
        assert operation["description"], (path, method)
        assert operation["tags"], (path, method)
        assert operation["operationId"] not in seen
        seen.add(operation["operationId"])
        for parameter in operation.get("parameters", ()):
            assert parameter["description"], (path, parameter["name"])
    tags = {tag["name"] for tag in document["tags"]}
    assert tags == {tag for *_, operation in operations(document) for tag in operation["tags"]}


def test_every_body_has_an_example_that_its_own_schema_accepts(document: Json) -> None:
    for place, content in contents(document):
        if content["schema"].get("format") == "binary":
            continue
        found = examples_of(document, content)
        assert found, place
        for example in found:
            faults = list(validator(document, content["schema"]).iter_errors(example))
            assert not faults, (place, faults[0])


@pytest.mark.parametrize("model", CATALOG)
def test_an_example_row_is_one_that_the_contract_itself_accepts(document: Json, model: str) -> None:
    contract = shipped_face(model).contract
    assert contract is not None
    operation = document["paths"][f"/api/{path_name(model)}"]["post"]
    content = operation["requestBody"]["content"]["application/json"]
    for example in examples_of(document, content):
        assert contract.parse_row(example)


@pytest.mark.parametrize("model", CATALOG)
def test_an_example_answer_is_one_that_the_model_could_give(document: Json, model: str) -> None:
    result = shipped_face(model).result
    assert result is not None
    operation = document["paths"][f"/api/{path_name(model)}"]["post"]
    example = operation["responses"]["200"]["content"]["application/json"]["example"]
    result.model_validate_json(json.dumps(example["result"]))


def test_every_error_that_any_route_can_give_is_documented_everywhere(document: Json) -> None:
    for path, method, operation in operations(document):
        kinds = [*ON_THE_WIRE]
        kinds += [] if path in OPEN else AT_THE_GATE
        kinds += OF_A_BODY if method == "post" and "requestBody" in operation else []
        for kind in kinds:
            response = resolve(document, operation["responses"][str(kind.status)])
            assert f"`{kind.__name__}`" in response["description"], (path, kind)
            assert kind.__name__ in response["content"]["application/problem+json"]["examples"]


def test_the_example_of_an_error_is_what_the_error_says(document: Json) -> None:
    for name, example in document["components"]["examples"].items():
        value = example["value"]
        assert value["code"] == name
        assert len(value["detail"]) > 40, "give its arguments a sample in services.openapi.samples"
        assert value["type"] == f"urn:septet:problem:{name}"
        assert example["summary"] == value["title"]


def test_an_error_that_says_when_to_come_back_documents_that_header(document: Json) -> None:
    for path, _, operation in operations(document):
        for status in {"429", "503"} & set(operation["responses"]):
            response = resolve(document, operation["responses"][status])
            assert "Retry-After" in response["headers"], (path, status)


def test_every_answer_behind_the_gate_documents_its_headers(document: Json) -> None:
    for path, method, operation in operations(document):
        for status, given in operation["responses"].items():
            headers = resolve(document, given)["headers"]
            assert "X-Request-Id" in headers, (path, method, status)
            if status.startswith("2") and path not in OPEN:
                assert {"RateLimit", "RateLimit-Policy"} <= set(headers)
    for header in document["components"]["headers"].values():
        validator(document, header["schema"]).validate(header["example"])


def test_all_but_the_probes_ask_for_a_key(document: Json) -> None:
    assert set(document["components"]["securitySchemes"]) == {"key", "bearer"}
    assert document["security"] == [{"key": []}, {"bearer": []}]
    unlocked = {path for path, _, operation in operations(document) if "security" in operation}
    assert unlocked == OPEN
    assert all(
        operation["security"] == [] for path, _, operation in operations(document) if path in OPEN
    )


def test_types_of_two_models_that_bear_one_name_stay_apart(document: Json) -> None:
    schemas = document["components"]["schemas"]
    assert "price_amount" in schemas["PricingCurvePoint"]["properties"]
    assert "expected_return_amount" in schemas["BudgetCurvePoint"]["properties"]


def test_a_model_without_a_champion_is_documented_as_such(app: FastAPI) -> None:
    document = build_document(app, [Face("churn")])
    OpenAPIV31SpecValidator(document).validate()
    assert "no champion" in document["paths"]["/api/churn"]["post"]["description"]


def test_a_typed_route_that_is_added_gets_the_errors_of_all_by_itself() -> None:
    app = FastAPI(title="t", description="d")

    @app.get("/more", summary="More", tags=["models"])
    async def more() -> dict[str, int]:
        """Give more."""
        return {}

    responses = build_document(app, [])["paths"]["/more"]["get"]["responses"]
    assert {"401", "421", "429", "431", "500", "503", "504"} <= set(responses)
    assert SeptetError.__name__ in str(responses["500"])
