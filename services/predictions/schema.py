"""The page of the predictions in ``/openapi.json``, made from the contracts that are served."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from bentos.catalog import path_name
from bentos.holder import Holder
from bentos.predictor import Explanation, Flag
from bentos.problem import MEDIA_TYPE
from bentos.release import Release
from core import conflicts as c
from core import denials as d
from core import errors as e
from core import overload as o
from core import refusals as r

Json = dict[str, Any]
_REF = "#/components/schemas/"
EVERYWHERE: tuple[type[e.SeptetError], ...] = (
    r.AccessDenied,
    d.RoleTooLow,
    d.ModelOutOfScope,
    d.LockedOut,
    o.RateLimited,
    o.TooManyAtOnce,
    o.Overloaded,
    d.HostUnknown,
    r.HeadersTooLarge,
    e.SeptetError,
    r.DeadlinePassed,
)
READING_ERRORS = (*EVERYWHERE, e.ModelUnknown, e.NoChampion, r.ModelUnhealthy)
_POSTING: tuple[type[e.SeptetError], ...] = (
    *EVERYWHERE,
    r.JsonInvalid,
    r.QueryInvalid,
    r.BodyTooLarge,
    r.BodyTooSlow,
    r.ContentTypeUnsupported,
    c.IdempotencyKeyInvalid,
    c.IdempotencyReused,
    c.StillRunning,
    d.RecordsDown,
    e.RowInvalid,
    e.NoChampion,
)
ROW_ERRORS = (*_POSTING, e.AnswerRefused, r.RowUnanswered)
BATCH_ERRORS = (*_POSTING, r.BatchTooLarge, r.TableInvalid)

PROBLEM: Json = {
    "title": "Problem",
    "description": "A problem document (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "description": "A URN that names the kind of problem."},
        "title": {"type": "string", "description": "The kind of problem, in words."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "code": {"type": "string", "description": "The kind of problem, for programs."},
        "detail": {"type": "string", "description": "What is wrong, and what to do."},
        "instance": {"type": "string", "description": "The request's id (X-Request-Id)."},
        "problems": {
            "type": "array",
            "description": "The single faults, when there are several.",
            "items": {
                "type": "object",
                "required": ["field", "problem", "allowed"],
                "properties": {
                    "field": {"type": "string", "description": "Which field."},
                    "problem": {"type": "string", "description": "What is wrong with it."},
                    "allowed": {"type": "string", "description": "What is allowed."},
                },
            },
        },
    },
}


def responses_of(kinds: Iterable[type[e.SeptetError]]) -> Json:
    """Document errors, gathered by status.

    Parameters
    ----------
    kinds
        Error classes; several may share a status.
    """
    by_status: dict[int, list[type[e.SeptetError]]] = {}
    for kind in kinds:
        by_status.setdefault(kind.status, []).append(kind)
    return {
        str(status): {
            "description": "; ".join(f"{kind.title} (`{kind.__name__}`)" for kind in found),
            "content": {MEDIA_TYPE: {"schema": {"$ref": f"{_REF}Problem"}}},
        }
        for status, found in sorted(by_status.items())
    }


def add_predictions(document: Json, holder: Holder) -> None:
    """Add two paths a model, with the types of the champion's own contract.

    Parameters
    ----------
    document
        An OpenAPI document; changed in place.
    holder
        The champions.
    """
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = PROBLEM
    for kind in (Flag, Explanation):
        _add_type(schemas, kind.__name__, kind)
    for model in holder.models:
        release = holder.find(model)
        name = "".join(part.title() for part in model.split("_"))
        row, answer = f"{name}Row", f"{name}Answer"
        if release is None:
            schemas[row] = {"type": "object", "description": f"{model} has no champion yet."}
            schemas[f"{name}Result"] = {"type": "object"}
        else:
            _add_rows(schemas, row, release)
            _add_type(schemas, f"{name}Result", release.predictor.RESULT)
        schemas[answer] = _answer_schema(f"{name}Result")
        schemas[f"{name}Batch"] = _batch_schema(answer)
        path = f"/api/{path_name(model)}"
        paths = document.setdefault("paths", {})
        paths[path] = {"post": _row_operation(model, name, release)}
        paths[f"{path}/batch"] = {"post": _batch_operation(model, name, release)}


def _add_rows(schemas: Json, name: str, release: Release) -> None:
    """Add every shape of a model's rows under one name."""
    contract = release.contract
    if not contract.marked:
        _add_type(schemas, name, contract.row_type)
        return
    shapes = (contract.usual, *contract.marked)
    names = [f"{name}Usual", *(f"{name}{(shape.mark or '').title()}" for shape in contract.marked)]
    for shape, shape_name in zip(shapes, names, strict=True):
        _add_type(schemas, shape_name, shape.row_type)
    schemas[name] = {"oneOf": [{"$ref": _REF + shape_name} for shape_name in names]}


def _add_type(schemas: Json, name: str, kind: type[BaseModel]) -> None:
    """Add a pydantic type and what it refers to."""
    schema = kind.model_json_schema(ref_template=_REF + "{model}")
    schemas |= schema.pop("$defs", {})
    schemas[name] = schema


def _row_operation(model: str, name: str, release: Release | None) -> Json:
    content: Json = {"schema": {"$ref": f"{_REF}{name}Row"}}
    if release is not None:
        content["example"] = release.contract.example()
    return {
        "tags": ["predictions"],
        "summary": f"{_title(model, release)} One row.",
        "operationId": f"predict_{model}",
        "parameters": [_EXPLAIN],
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": _answers(f"{name}Answer", "The answer.") | responses_of(ROW_ERRORS),
    }


def _batch_operation(model: str, name: str, release: Release | None) -> Json:
    rows: Json = {"type": "array", "minItems": 1, "items": {"$ref": f"{_REF}{name}Row"}}
    content: Json = {
        "schema": {
            "type": "object",
            "required": ["rows"],
            "additionalProperties": False,
            "properties": {"rows": rows},
        }
    }
    if release is not None:
        rows["maxItems"] = release.contract.config.serving.max_batch_rows
        content["example"] = {"rows": [release.contract.example()]}
    return {
        "tags": ["predictions"],
        "summary": f"{_title(model, release)} Many rows, each answered or refused on its own.",
        "operationId": f"predict_{model}_batch",
        "parameters": [_EXPLAIN],
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": _answers(f"{name}Batch", "What became of each row.")
        | responses_of(BATCH_ERRORS),
    }


def _title(model: str, release: Release | None) -> str:
    title = release.contract.config.title if release is not None else model
    return title if title.endswith(("?", ".")) else f"{title}."


def _answers(schema: str, description: str) -> Json:
    return {
        "200": {
            "description": description,
            "content": {"application/json": {"schema": {"$ref": _REF + schema}}},
        }
    }


def _answer_schema(result: str) -> Json:
    text: Json = {"type": "string"}
    nullable_text: Json = {"anyOf": [text, {"type": "null"}]}
    return _object(
        {
            "prediction_id": text | {"format": "uuid", "description": "UUIDv7 of this answer."},
            "model": text | {"description": "Name of the model."},
            "version": text | {"description": "Version that answered."},
            "entity": nullable_text | {"description": "Whom the row is about, as it was sent."},
            "as_of": nullable_text | {"description": "As of when the row holds."},
            "result": {"$ref": _REF + result},
            "flags": {
                "type": "array",
                "description": "Inputs outside of the training range.",
                "items": {"$ref": f"{_REF}Flag"},
            },
            "drivers": {"$ref": f"{_REF}Explanation"},
        },
        optional={"drivers"},
    )


def _batch_schema(answer: str) -> Json:
    count: Json = {"type": "integer", "minimum": 0}
    row = _object(
        {
            "index": count | {"description": "Position of the row in the request, from 0."},
            "answer": {"anyOf": [{"$ref": _REF + answer}, {"type": "null"}]},
            "problem": {"anyOf": [{"$ref": f"{_REF}Problem"}, {"type": "null"}]},
        }
    )
    ranks = {"type": "array", "items": count}
    return _object(
        {
            "model": {"type": "string", "description": "Name of the model."},
            "version": {"type": "string", "description": "Version that answered."},
            "answered": count | {"description": "Rows with an answer."},
            "refused": count | {"description": "Rows with a problem."},
            "rows": {"type": "array", "items": row},
            "ranking": {
                "anyOf": [ranks, {"type": "null"}],
                "description": "Indexes of the answered rows, the most worth looking at first; "
                "null for a model that ranks by nothing.",
            },
            "summary": {
                "anyOf": [{"type": "object"}, {"type": "null"}],
                "description": "What only the batch as a whole can say; null for most models.",
            },
        }
    )


def _object(
    properties: Mapping[str, Json], optional: frozenset[str] | set[str] = frozenset()
) -> Json:
    needed = [name for name in properties if name not in optional]
    return {"type": "object", "required": needed, "properties": dict(properties)}


_EXPLAIN: Json = {
    "name": "explain",
    "in": "query",
    "required": False,
    "description": "Whether to add drivers: additive reasons whose sum is the prediction.",
    "schema": {"type": "boolean", "default": False},
}
