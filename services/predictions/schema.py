"""The page of the predictions in ``/openapi.json``, made from the contracts that are served."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from bentos.catalog import path_name
from bentos.predictor import Explanation, Flag
from core import errors as e
from core import overload as o
from core import refusals as r
from core.contract import Contract
from core.denials import RoleTooLow
from core.header import HeaderInvalid
from services.openapi.examples import example_of
from services.openapi.problems import SCHEMA_REF, Json, Kinds, responses_of
from services.openapi.samples import INSTANCE, sample
from services.predictions.backfill import NAME as PAST
from services.predictions.tables import KINDS
from services.releases.champions import Champions

_PREDICTING: Kinds = (
    r.QueryInvalid,
    e.RowInvalid,
    e.NoChampion,
    r.ModelUnreachable,
    o.SpoolFull,
)
ROW_ERRORS: Kinds = (*_PREDICTING, e.AnswerRefused, r.RowUnanswered)
BATCH_ERRORS: Kinds = (*_PREDICTING, r.TableInvalid, r.BatchTooLarge, HeaderInvalid, RoleTooLow)
_SHARED: tuple[type[BaseModel], ...] = (Flag, Explanation)


@dataclass(frozen=True, slots=True)
class Face:
    """What a model takes and answers.

    Parameters
    ----------
    model
        Its name.
    contract
        The champion's own; nothing without a champion.
    result
        Type of its result.
    ranks_by
        Field of the result that a batch is ranked by.
    """

    model: str
    contract: Contract | None = None
    result: type[BaseModel] | None = None
    ranks_by: str | None = None

    @property
    def name(self) -> str:
        """Start of the names of its types."""
        return "".join(part.title() for part in self.model.split("_"))

    @property
    def title(self) -> str:
        """What it answers, as a sentence."""
        title = self.model if self.contract is None else self.contract.config.title
        return title if title.endswith(("?", ".")) else f"{title}."

    @property
    def description(self) -> str:
        """What it is for."""
        if self.contract is None:
            return f"{self.model} has no champion yet."
        return self.contract.config.description


def faces_of(champions: Champions) -> list[Face]:
    """Give the faces of the champions.

    Parameters
    ----------
    champions
        Who answers.
    """
    faces = []
    for model in champions.models:
        release = champions.find(model)
        if release is None:
            faces.append(Face(model))
        else:
            kind = release.kind
            faces.append(Face(model, release.contract, kind.RESULT, kind.RANK_BY))
    return faces


def add_predictions(document: Json, faces: Sequence[Face]) -> None:
    """Add two paths a model, with the types of the champion's own contract.

    Parameters
    ----------
    document
        An OpenAPI document; changed in place.
    faces
        The models.
    """
    schemas: Json = document.setdefault("components", {}).setdefault("schemas", {})
    paths: Json = document.setdefault("paths", {})
    for kind in _SHARED:
        _add_type(schemas, kind.__name__, kind, prefix="")
    for face in faces:
        _add_types(schemas, face)
        path = f"/api/{path_name(face.model)}"
        paths[path] = {"post": _row_operation(face, schemas)}
        paths[f"{path}/batch"] = {"post": _batch_operation(face, schemas)}


def _add_types(schemas: Json, face: Face) -> None:
    """Add what a model takes and answers, under names of its own."""
    name = face.name
    rows: Json = {"type": "array", "minItems": 1, "items": _ref(f"{name}Row")}
    if face.contract is None or face.result is None:
        schemas[f"{name}Row"] = {"type": "object", "description": face.description}
        schemas[f"{name}Result"] = {"type": "object", "description": face.description}
    else:
        rows["maxItems"] = face.contract.config.serving.max_batch_rows
        _add_rows(schemas, face, face.contract)
        _add_type(schemas, f"{name}Result", face.result, prefix=name)
    schemas[f"{name}Answer"] = _answer_schema(name, face.model)
    schemas[f"{name}Rows"] = _object(f"{name}Rows", {"rows": rows})
    schemas[f"{name}Outcome"] = _outcome_schema(name)
    schemas[f"{name}Batch"] = _batch_schema(name, face.model)


def _add_rows(schemas: Json, face: Face, contract: Contract) -> None:
    """Add every shape of a model's rows under one name."""
    name = face.name
    if not contract.marked:
        _add_type(schemas, f"{name}Row", contract.row_type, prefix=name)
        return
    shapes = (contract.usual, *contract.marked)
    names = [f"{name}Usual", *(f"{name}{(shape.mark or '').title()}" for shape in contract.marked)]
    for shape, shape_name in zip(shapes, names, strict=True):
        _add_type(schemas, shape_name, shape.row_type, prefix=name)
    schemas[f"{name}Row"] = {
        "title": f"{name}Row",
        "oneOf": [_ref(shape_name) for shape_name in names],
    }


def _add_type(schemas: Json, name: str, kind: type[BaseModel], *, prefix: str) -> None:
    """Add a pydantic type and what it refers to; parts of two models may bear the same name."""
    schema = kind.model_json_schema(ref_template=f"{SCHEMA_REF}{prefix}{{model}}")
    named = {prefix + part: inner for part, inner in schema.pop("$defs", {}).items()}
    for part, inner in (named | {name: schema}).items():
        for member in inner.get("properties", {}).values():
            if member.get("default", 0) is None:
                # It says no more than that the member is not required, and generators of clients
                # take what has a default for always there.
                del member["default"]
        schemas[part] = inner | {"title": part}


def _row_operation(face: Face, schemas: Json) -> Json:
    content: Json = {"schema": _ref(f"{face.name}Row")}
    if face.contract is not None:
        content["example"] = face.contract.example()
    answer = _response(f"{face.name}Answer", "The answer.", _answer_example(face, schemas))
    return {
        "tags": ["predictions"],
        "summary": f"{face.title} One row.",
        "description": face.description,
        "operationId": f"predict_{face.model}",
        "parameters": [_EXPLAIN],
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": answer | responses_of(ROW_ERRORS),
    }


def _batch_operation(face: Face, schemas: Json) -> Json:
    content: Json = {"schema": _ref(f"{face.name}Rows")}
    if face.contract is not None:
        content["example"] = {"rows": [face.contract.example()]}
    example = _batch_example(face, schemas)
    answer = _response(f"{face.name}Batch", "What became of each row.", example)
    answer["200"]["content"] |= _TABLES
    return {
        "tags": ["predictions"],
        "summary": f"{face.title} Many rows, each answered or refused on its own.",
        "description": f"{face.description} {_ABOUT_TABLES}",
        "operationId": f"predict_{face.model}_batch",
        "parameters": [_EXPLAIN, _PAST],
        "requestBody": {"required": True, "content": {"application/json": content, **_TABLES}},
        "responses": answer | responses_of(BATCH_ERRORS),
    }


def _response(schema: str, description: str, example: Json) -> Json:
    content = {"application/json": {"schema": _ref(schema), "example": example}}
    return {"200": {"description": description, "content": content}}


def _answer_example(face: Face, schemas: Json) -> Json:
    row = {} if face.contract is None else face.contract.example()
    config = None if face.contract is None else face.contract.config
    as_of = None if config is None or config.as_of is None else row[config.as_of]
    return {
        "prediction_id": INSTANCE,
        "model": face.model,
        "version": "3",
        "entity": None if config is None else row[config.entity],
        "as_of": None if as_of is None else str(as_of).replace("Z", "+00:00"),
        "result": example_of(_ref(f"{face.name}Result"), schemas),
        "flags": [],
    }


def _batch_example(face: Face, schemas: Json) -> Json:
    problem = sample(e.RowInvalid).to_problem()
    return {
        "model": face.model,
        "version": "3",
        "answered": 1,
        "refused": 1,
        "rows": [
            {"index": 0, "answer": _answer_example(face, schemas), "problem": None},
            {"index": 1, "answer": None, "problem": problem},
        ],
        "ranking": None if face.ranks_by is None else [0],
        "summary": None,
    }


def _answer_schema(name: str, model: str) -> Json:
    return _object(
        f"{name}Answer",
        {
            "prediction_id": _TEXT | {"format": "uuid", "description": "UUIDv7 of this answer."},
            "model": {"const": model, "type": "string", "description": "Name of the model."},
            "version": _TEXT | {"description": "Version that answered."},
            "entity": _MAYBE_TEXT | {"description": "Whom the row is about, as it was sent."},
            "as_of": _MAYBE_TEXT | {"description": "As of when the row holds."},
            "result": _ref(f"{name}Result"),
            "flags": {
                "type": "array",
                "description": "Inputs outside of the training range.",
                "items": _ref("Flag"),
            },
            "drivers": _ref("Explanation"),
        },
        optional={"drivers"},
    )


def _outcome_schema(name: str) -> Json:
    return _object(
        f"{name}Outcome",
        {
            "index": _COUNT | {"description": "Position of the row in the request, from 0."},
            "answer": {"anyOf": [_ref(f"{name}Answer"), _NULL]},
            "problem": {"anyOf": [_ref("Problem"), _NULL]},
        },
    )


def _batch_schema(name: str, model: str) -> Json:
    return _object(
        f"{name}Batch",
        {
            "model": {"const": model, "type": "string", "description": "Name of the model."},
            "version": _TEXT | {"description": "Version that answered."},
            "answered": _COUNT | {"description": "Rows with an answer."},
            "refused": _COUNT | {"description": "Rows with a problem."},
            "rows": {"type": "array", "items": _ref(f"{name}Outcome")},
            "ranking": {
                "anyOf": [{"type": "array", "items": _COUNT}, _NULL],
                "description": "Indexes of the answered rows, the most worth looking at first; "
                "null for a model that ranks by nothing.",
            },
            "summary": {
                "anyOf": [{"type": "object", "additionalProperties": True}, _NULL],
                "description": "What only the batch as a whole can say; null for most models.",
            },
        },
    )


def _object(name: str, properties: Mapping[str, Json], optional: Collection[str] = ()) -> Json:
    needed = [field for field in properties if field not in optional]
    return {
        "title": name,
        "type": "object",
        "required": needed,
        "additionalProperties": False,
        "properties": dict(properties),
    }


def _ref(name: str) -> Json:
    return {"$ref": SCHEMA_REF + name}


# What every field of the JSON is in these, a column is: their layout is no matter of JSON Schema.
_TABLES: Json = {
    kind.decode(): {"schema": {"type": "string", "format": "binary"}} for kind in sorted(KINDS)
}
_ABOUT_TABLES = (
    "Rows may also come as an Arrow stream or a Parquet file with a column a field; the answer "
    "then is of the same kind, or of the one that `Accept` names."
)
_NULL: Json = {"type": "null"}
_TEXT: Json = {"type": "string"}
_MAYBE_TEXT: Json = {"anyOf": [_TEXT, _NULL]}
_COUNT: Json = {"type": "integer", "minimum": 0}
_EXPLAIN: Json = {
    "name": "explain",
    "in": "query",
    "required": False,
    "description": "Whether to add drivers: additive reasons whose sum is the prediction.",
    "schema": {"type": "boolean", "default": False},
}
_PAST: Json = {
    "name": PAST,
    "in": "header",
    "required": False,
    "description": "A past time, with its zone, as of which the batch is written down: it is "
    "answered now, and stands in the history at that time, as do its prediction ids. Needs the "
    "role admin.",
    # Generators of clients know no times in headers, only texts.
    "schema": {
        "type": "string",
        "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$",
    },
    "example": "2026-03-01T09:00:00Z",
}
