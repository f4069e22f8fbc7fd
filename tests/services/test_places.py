"""Which route a request means."""

from __future__ import annotations

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.app import create_app
from services.docs import docs_files
from services.places import Places
from services.runtime import Runtime


@pytest.fixture(scope="module")
def places() -> Places:
    return Places(create_app(Runtime(), docs_files=docs_files()).routes, handlers={})


@pytest.mark.parametrize(
    ("method", "path", "template", "model"),
    [
        ("GET", "/models", "/models", None),
        ("GET", "/models/revenue-leak/info", "/models/{model}/info", "revenue_leak"),
        ("GET", "/openapi.json", "/openapi.json", None),
        ("GET", "/docs/files/swagger-ui.css", "/docs/files", None),
        ("POST", "/api/nothing", "/api/{model}", "nothing"),
        ("GET", "/nothing", "", None),
    ],
)
def test_a_request_is_counted_under_the_template_of_its_route(
    places: Places, method: str, path: str, template: str, model: str | None
) -> None:
    scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}
    found = places.find(scope)
    assert (found.template, found.model) == (template, model)


@pytest.mark.parametrize(
    ("method", "path", "template", "allowed"),
    [
        ("POST", "/models", "/models", ("GET",)),
        ("PUT", "/api/churn/batch", "/api/{model}/batch", ("POST",)),
        ("DELETE", "/docs", "/docs", ("GET", "HEAD")),
    ],
)
def test_a_method_that_the_path_has_not_is_told_from_a_path_that_is_not_there(
    places: Places, method: str, path: str, template: str, allowed: tuple[str, ...]
) -> None:
    scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}
    found = places.find(scope)
    assert (found.template, found.allowed) == (template, allowed)


def test_a_route_that_has_the_method_is_found_behind_one_that_has_it_not() -> None:
    async def answer(_: Request) -> Response:
        return Response()

    routes = [
        Route("/x/{id}", answer, methods=["GET"]),
        Route("/x/{id}", answer, methods=["DELETE"]),
        Route("/{any}/{id}", answer, methods=["PATCH"]),
    ]
    places = Places(routes, handlers={})
    scope = {"type": "http", "path": "/x/1", "root_path": "", "headers": []}
    assert places.find(scope | {"method": "DELETE"}).template == "/x/{id}"
    assert places.find(scope | {"method": "PATCH"}).template == "/{any}/{id}"
    assert places.find(scope | {"method": "PUT"}).allowed == ("DELETE", "GET", "HEAD")
