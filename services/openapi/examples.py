"""An example for every schema that brings none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]
_REF = "#/components/schemas/"
_TEXTS = {
    "date-time": "2026-01-31T00:00:00Z",
    "date": "2026-01-31",
    "uuid": "01a208e3-aa18-7595-b18e-361f686aad6c",
}


def example_of(schema: Mapping[str, Any], schemas: Mapping[str, Json]) -> Any:
    """Make an example that a schema accepts.

    Parameters
    ----------
    schema
        Of JSON Schema, as pydantic writes it.
    schemas
        What it may refer to, by name.

    Returns
    -------
    object
        The schema's own example where it has one, else plain data made from its types.
    """
    for key in ("example", "const"):
        if key in schema:
            return schema[key]
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].removeprefix(_REF)], schemas)
    if schema.get("default") is not None:
        return schema["default"]
    for key in ("anyOf", "oneOf"):
        if key in schema:
            kinds = [kind for kind in schema[key] if kind.get("type") != "null"]
            return example_of(kinds[0], schemas)
    return _of_type(schema, schemas)


def _of_type(schema: Mapping[str, Any], schemas: Mapping[str, Json]) -> Any:
    kind = schema.get("type")
    if kind == "object":
        return _object(schema, schemas)
    if kind == "array":
        count = max(1, schema.get("minItems", 1))
        return [example_of(schema.get("items", {}), schemas)] * count
    if kind in {"number", "integer"}:
        return _number(schema, whole=kind == "integer")
    if kind == "string":
        return _TEXTS.get(schema.get("format", ""), "text")
    return kind == "boolean" or None


def _object(schema: Mapping[str, Any], schemas: Mapping[str, Json]) -> Json:
    needed = set(schema.get("required", ()))
    found = {
        name: example_of(inner, schemas)
        for name, inner in schema.get("properties", {}).items()
        if name in needed
    }
    rest = schema.get("additionalProperties")
    if isinstance(rest, dict) and not found:
        found["name"] = example_of(rest, schemas)
    return found


def _number(schema: Mapping[str, Any], *, whole: bool) -> float | int:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if whole:
        return int(low) + ("exclusiveMinimum" in schema) if low is not None else 1
    if low is not None and high is not None:
        return float(low + (high - low) / 4)
    if low is not None:
        return float(low) + 1
    return float(high) - 1 if high is not None else 1.5
