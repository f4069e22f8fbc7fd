"""Which route a request means."""

from __future__ import annotations

import pytest

from services.places import Places


@pytest.fixture
def places() -> Places:
    return Places({})


@pytest.mark.parametrize(
    ("method", "path", "template", "model"),
    [
        ("GET", "/models", "/models", None),
        ("HEAD", "/docs", "/docs", None),
        ("GET", "/models/revenue-leak/info", "/models/{model}/info", "revenue-leak"),
        ("GET", "/docs/files/swagger-ui.css", "/docs/files/{path:path}", None),
        ("POST", "/api/nothing", "/api/{model}", "nothing"),
        ("POST", "/api/keys", "/api/keys", None),
        ("GET", "/nothing", "", None),
    ],
)
def test_a_request_is_counted_under_the_template_of_its_route(
    places: Places, method: str, path: str, template: str, model: str | None
) -> None:
    found = places.find(method, path)
    assert (found.template, found.model, found.allowed) == (template, model, ())


@pytest.mark.parametrize(
    ("method", "path", "template", "allowed"),
    [
        ("POST", "/models", "/models", ("GET",)),
        ("PUT", "/api/churn/batch", "/api/{model}/batch", ("POST",)),
        ("PATCH", "/api/keys/0123", "/api/keys/{key_id}", ("DELETE", "GET")),
    ],
)
def test_a_method_that_the_path_has_not_is_told_from_a_path_that_is_not_there(
    places: Places, method: str, path: str, template: str, allowed: tuple[str, ...]
) -> None:
    found = places.find(method, path)
    assert (found.template, found.allowed) == (template, allowed)
