"""What a segment tells of a release, so that whoever reads it needs nothing else.

A log may be read years after a release, its config and this version of the platform are gone.
"""

from __future__ import annotations

from datetime import datetime
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import orjson

if TYPE_CHECKING:
    from pydantic import BaseModel

    from bentos.release import ReleaseFacts
    from core.contract import Contract

_KINDS: dict[object, str] = {
    float: "number", int: "integer", bool: "boolean", str: "text", datetime: "time",
}  # fmt: skip
_OF_FEATURES = {
    "number": "number", "integer": "integer", "boolean": "boolean", "category": "text",
}  # fmt: skip


def describe(release: ReleaseFacts) -> bytes:
    """Describe a release as JSON.

    Parameters
    ----------
    release
        Who answers.

    Returns
    -------
    bytes
        Its model, version, run and digests, the names of its key columns, and the kind of each
        input and of each field of its result: number, integer, boolean, text, time, or json for
        what has parts.
    """
    config, manifest = release.contract.config, release.manifest
    return orjson.dumps(
        {
            "model": release.model,
            "version": release.version,
            "run_id": release.identity.run_id,
            "manifest_sha256": release.identity.manifest_sha256,
            "data_sha256": manifest.data.digest,
            "entity": config.entity,
            "as_of": config.as_of,
            **columns_of(release.contract, release.kind.RESULT),
        }
    )


def columns_of(contract: Contract, result: type[BaseModel]) -> dict[str, dict[str, str]]:
    """Give the kind of each input and of each field of the result, as ``describe`` does.

    Parameters
    ----------
    contract
        What a model accepts.
    result
        What it answers.
    """
    return {"inputs": inputs_of(contract), "result": _kinds(result)}


def inputs_of(contract: Contract) -> dict[str, str]:
    """Give the kind of each input that a request may have, its keys left out."""
    config = contract.config
    keys = {config.entity, config.as_of}
    inputs: dict[str, str] = {}
    for shape in (contract.usual, *contract.marked):
        for name, kind in _kinds(shape.row_type).items():
            if name not in keys:
                feature = config.features.get(name)
                inputs[name] = kind if feature is None else _OF_FEATURES[feature.type]
    return inputs


def _kinds(kind: type[BaseModel]) -> dict[str, str]:
    """Name the kind of each field."""
    return {name: _kind(field.annotation) for name, field in kind.model_fields.items()}


def _kind(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kind(get_args(annotation)[0])
    if origin in {Union, UnionType}:
        inner = [part for part in get_args(annotation) if part is not NoneType]
        return _kind(inner[0]) if len(inner) == 1 else "json"
    if origin is Literal:
        kinds = {type(value) for value in get_args(annotation)}
        return _KINDS.get(kinds.pop(), "json") if len(kinds) == 1 else "json"
    return _KINDS.get(annotation, "json")
