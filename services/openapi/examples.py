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

# Fields bear the same meaning wherever they bear the same name.
_BY_NAME: Mapping[str, object] = {
    "action": "key.created",
    "actor": "nightly report",
    "address": "192.0.2.7",
    "as_of": "as_of",
    "column": "churned",
    "created_by": "cli:admin",
    "data": "clients.csv",
    "description": "Probability that a client leaves within the next quarter.",
    "digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "entities": 2_000,
    "entity": "client_id",
    "first": "2023-01-01",
    "id": "4fQ7hYb2LkTz",
    "key_id": "4fQ7hYb2LkTz",
    "last": "2025-10-01",
    "latency_ms": 0.4,
    "left_out": 0,
    "manifest_sha256": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    "maximum": 1200.0,
    "max_batch_rows": 1_000,
    "minimum": 0.0,
    "model": "churn",
    "name": "tenure_months",
    "next": None,
    "outcome": "done",
    "path": "/api/churn",
    "ranks_by": "probability",
    "reason": "'encoder.json' is not the one that was written",
    "refused": None,
    "request_id": "01a208e3-aa18-7595-b18e-361f686aad6c",
    "revoked_at": None,
    "role": "analyst",
    "rotated_at": None,
    "retiring_until": None,
    "expires_at": None,
    "rows_calibration": 3_000,
    "rows_test": 4_000,
    "rows_train": 13_000,
    "run_id": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    "seed": 7,
    "source": "clients.csv",
    "target": "4fQ7hYb2LkTz",
    "template_csv": "client_id,tenure_months\nexample-1,18\n",
    "tier": "standard",
    "title": "Client churn",
    "type": "integer",
    "unit": "months",
    "version": "3",
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
        name: _named(name, inner, schemas)
        for name, inner in schema.get("properties", {}).items()
        if name in needed
    }
    rest = schema.get("additionalProperties")
    if isinstance(rest, dict) and not found:
        found["name"] = example_of(rest, schemas)
    return found


def _named(name: str, schema: Mapping[str, Any], schemas: Mapping[str, Json]) -> Any:
    """Give what is usual under a name, where the schema takes it and brings nothing itself."""
    if name not in _BY_NAME or {"examples", "enum", "const", "$ref"} & schema.keys():
        return example_of(schema, schemas)
    value = _BY_NAME[name]
    forms = {kind.get("format") for kind in schema.get("anyOf", [schema])}
    if isinstance(value, str) and forms & _TEXTS.keys():
        # What is a time in one place is the name of a column in another.
        return example_of(schema, schemas)
    kinds = {kind.get("type") for kind in schema.get("anyOf", [schema])}
    fits = {type(None): {"null"}, str: {"string"}, int: {"integer", "number"}, float: {"number"}}
    return value if kinds & fits[type(value)] else example_of(schema, schemas)


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
