"""Which route a request means."""

from __future__ import annotations

import pytest

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
        ("POST", "/models", "/models", None),
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
