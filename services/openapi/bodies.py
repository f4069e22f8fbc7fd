"""Bodies that are read by us and not by FastAPI, as OpenAPI tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from services.openapi.problems import SCHEMA_REF

if TYPE_CHECKING:
    from pydantic import BaseModel


def body_of(kind: type[BaseModel], *, may_be_empty: bool = False) -> dict[str, Any]:
    """Document the body of a route, for FastAPI's ``openapi_extra``.

    Parameters
    ----------
    kind
        What it must be.
    may_be_empty
        Whether it may be left out.
    """
    schema = kind.model_json_schema(ref_template=SCHEMA_REF + "{model}")
    content = {"application/json": {"schema": schema}}
    return {"requestBody": {"required": not may_be_empty, "content": content}}
