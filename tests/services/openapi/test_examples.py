"""An example for a schema that brings none."""

from __future__ import annotations

from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator

from services.openapi.examples import example_of

INNER: dict[str, Any] = {
    "type": "object",
    "required": ["count"],
    "properties": {"count": {"type": "integer", "exclusiveMinimum": 2}},
}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"type": "string", "format": "date-time"},
        {"type": "string", "format": "uuid"},
        {"type": "string", "enum": ["a", "b"]},
        {"const": 5},
        {"type": "number", "minimum": 0, "maximum": 1},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.5},
        {"type": "number", "maximum": -3},
        {"type": "integer", "minimum": 30},
        {"type": "boolean"},
        {"type": "null"},
        {"anyOf": [{"type": "null"}, {"type": "string"}]},
        {"type": "array", "minItems": 3, "items": {"$ref": "#/components/schemas/Inner"}},
        {"type": "object", "additionalProperties": {"type": "number"}},
        {"type": "object", "required": ["a"], "properties": {"a": INNER, "b": INNER}},
        {"type": "object", "required": ["seed"], "properties": {"seed": {"type": "string"}}},
        {"type": "object", "required": ["title"], "properties": {"title": {"type": "integer"}}},
    ],
)
def test_an_example_is_one_that_the_schema_accepts(schema: dict[str, Any]) -> None:
    found = example_of(schema, {"Inner": INNER})
    OAS31Validator({**schema, "components": {"schemas": {"Inner": INNER}}}).validate(found)


def test_the_example_of_a_schemas_own_goes_first() -> None:
    assert example_of({"type": "integer", "examples": [7], "minimum": 1}, {}) == 7
