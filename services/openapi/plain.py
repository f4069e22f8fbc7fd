"""The routes without a contract, described: probes, metrics, pages, and the document itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.refusals import NotReady
from services.openapi.problems import Kinds

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Described:
    """A route that answers something else than typed JSON.

    Parameters
    ----------
    path
        Its path.
    name
        Id of the operation.
    tag
        Group of the operation.
    summary, description
        What it is for.
    answer
        What the answer is.
    media_type
        Of the answer; empty for an answer without content.
    status
        Of the answer.
    example
        Of the answer.
    is_open
        Whether it needs no key.
    errors
        What it may refuse, beside what any route may.
    """

    path: str
    name: str
    tag: str
    summary: str
    description: str
    answer: str
    media_type: str
    example: object
    status: int = 200
    is_open: bool = False
    errors: Kinds = ()

    def operation(self) -> Json:
        """Write it as an operation; the errors of all routes are added elsewhere."""
        answer: Json = {"description": self.answer}
        if self.media_type:
            kind = "object" if self.media_type == "application/json" else "string"
            answer["content"] = {
                self.media_type: {"schema": {"type": kind}, "example": self.example}
            }
        if self.status in _MOVED:
            answer["headers"] = {
                "Location": {"description": "Where to go.", "schema": {"type": "string"}}
            }
        return {
            "tags": [self.tag],
            "summary": self.summary,
            "description": self.description,
            "operationId": self.name,
            "responses": {str(self.status): answer},
            **({"security": []} if self.is_open else {}),
        }


_MOVED = frozenset({307})
_METRICS = """# HELP septet_requests_total Requests answered.
# TYPE septet_requests_total counter
septet_requests_total{method="POST",route="/api/{model}",status="2xx",tier="standard"} 3.0
"""

DESCRIBED: Sequence[Described] = (
    Described(
        "/livez",
        "live",
        "probes",
        "Whether the process runs",
        "For a supervisor: without an answer the process is to be started anew.",
        "It runs.",
        "text/plain",
        "\n",
        is_open=True,
    ),
    Described(
        "/readyz",
        "ready",
        "probes",
        "Whether any model can answer",
        "For a load balancer: requests are to be sent here while this answers 200.",
        "It answers.",
        "text/plain",
        "\n",
        is_open=True,
        errors=(NotReady,),
    ),
    Described(
        "/metrics",
        "metrics",
        "operations",
        "What the platform counts of itself",
        "In Prometheus' text form; labels are templates of routes, models, versions and tiers.",
        "The counts.",
        "text/plain",
        _METRICS,
    ),
    Described(
        "/openapi.json",
        "openapi",
        "pages",
        "This document",
        "OpenAPI 3.1, made from the contracts of the champions: it changes when one is switched.",
        "The document.",
        "application/json",
        {"openapi": "3.1.0", "info": {"title": "Septet", "version": "1"}, "paths": {}},
    ),
    Described(
        "/docs",
        "docs",
        "pages",
        "This document as a page",
        "To be read and tried in a browser, which asks for a name (any) and the key as password.",
        "The page.",
        "text/html",
        "<!doctype html>",
    ),
    Described(
        "/",
        "home",
        "pages",
        "The front",
        "Leads to the page of this document.",
        "Go to /docs.",
        "",
        None,
        status=307,
    ),
)


def described_paths() -> Json:
    """Give the paths of these routes."""
    return {route.path: {"get": route.operation()} for route in DESCRIBED}


def errors_of(path: str) -> Kinds:
    """Give what one of these routes may refuse by itself.

    Parameters
    ----------
    path
        Of any route.
    """
    return next((route.errors for route in DESCRIBED if route.path == path), ())
