"""The errors of the routes, as OpenAPI tells them: from the classes that are raised."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bentos.problem import MEDIA_TYPE
from core import conflicts as c
from core import denials as d
from core import errors as e
from core import overload as o
from core import refusals as r
from services.openapi.samples import INSTANCE, sample

Json = dict[str, Any]
Kinds = Sequence[type[e.SeptetError]]

SCHEMA_REF = "#/components/schemas/"
_EXAMPLE_REF = "#/components/examples/"
_HEADER_REF = "#/components/headers/"
_RESPONSE_REF = "#/components/responses/"

# What any route may answer, whatever it does; in order of where it is found out.
ON_THE_WIRE: Kinds = (
    r.HttpInvalid,
    o.TooManyConnections,
    r.HeadersTooLarge,
    e.SeptetError,
    r.DeadlinePassed,
)
# What any route behind the gate may answer beside that.
AT_THE_GATE: Kinds = (
    r.AccessDenied,
    d.HostUnknown,
    d.LockedOut,
    o.RateLimited,
    o.TooManyAtOnce,
    o.Overloaded,
)
# What any route that takes a body may answer beside that.
OF_A_BODY: Kinds = (
    r.BodyTooSlow,
    r.BodyTooLarge,
    r.ContentTypeUnsupported,
    r.JsonInvalid,
)
# What any route may answer whose request is carried out once by its Idempotency-Key.
OF_ONE_TIME: Kinds = (
    c.IdempotencyKeyInvalid,
    c.IdempotencyReused,
    c.StillRunning,
    d.RecordsDown,
    d.RecordsBehind,
)
# What it may answer beside that, when it has an effect.
OF_AN_EFFECT: Kinds = (c.RequestInterrupted,)

PROBLEM: Json = {
    "title": "Problem",
    "description": "A problem document (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "additionalProperties": False,
    "properties": {
        "type": {"type": "string", "description": "A URN that names the kind of problem."},
        "title": {"type": "string", "description": "The kind of problem, in words."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "code": {"type": "string", "description": "The kind of problem, for programs."},
        "detail": {"type": "string", "description": "What is wrong, and what to do."},
        "instance": {"type": "string", "description": "The request's id (X-Request-Id)."},
        "problems": {
            "type": "array",
            "description": "The single faults, where fields are at fault.",
            "items": {"$ref": f"{SCHEMA_REF}FieldProblem"},
        },
    },
}
FIELD_PROBLEM: Json = {
    "title": "FieldProblem",
    "description": "One thing wrong with one field.",
    "type": "object",
    "required": ["field", "problem", "allowed"],
    "additionalProperties": False,
    "properties": {
        "field": {"type": "string", "description": "Which field."},
        "problem": {"type": "string", "description": "What is wrong with it."},
        "allowed": {"type": "string", "description": "What is allowed."},
    },
}
HEADERS: Mapping[str, Json] = {
    "X-Request-Id": {
        "description": "Id of the request, also in the log: the caller's own when it sent one of "
        "up to 64 letters, digits, dots, hyphens and underscores.",
        "schema": {"type": "string"},
        "example": INSTANCE,
    },
    "RateLimit-Policy": {
        "description": "The limits of the key's tier (q) and their windows in seconds (w); "
        "after the IETF's draft of the RateLimit header fields.",
        "schema": {"type": "string"},
        "example": '"requests";q=6000;w=60, "rows";q=600000;w=60, "burst";q=500;w=1',
    },
    "RateLimit": {
        "description": "Requests that are left (r), and seconds until some come back (t).",
        "schema": {"type": "string"},
        "example": '"requests";r=5999;t=60',
    },
    "Retry-After": {
        "description": "Seconds to wait before the next try.",
        "schema": {"type": "integer", "minimum": 1},
        "example": 7,
    },
    "Idempotent-Replayed": {
        "description": "`true`: this is the answer that the same request had before.",
        "schema": {"type": "string"},
        "example": "true",
    },
    "WWW-Authenticate": {
        "description": "Lets a browser ask for the key, as a password.",
        "schema": {"type": "string"},
        "example": 'Basic realm="Septet: any name, the API key as password"',
    },
    "Link": {
        "description": "Of a table: the query of the following page (RFC 8288); none on the last.",
        "schema": {"type": "string"},
        "example": '<?model=churn&format=csv&cursor=AAAA>; rel="next"',
    },
    "Septet-Notes": {
        "description": "Of a table: what its reader must know, such as files of the log that could "
        "not be read; ASCII, and only where there is something.",
        "schema": {"type": "string"},
        "example": "1 file of the log could not be read and is left out; "
        "the historian's log names it.",
    },
    "Connection": {
        "description": "`close`: the rest of the request is not read.",
        "schema": {"type": "string"},
        "example": "close",
    },
}


def responses_of(kinds: Iterable[type[e.SeptetError]]) -> Json:
    """Document errors, gathered by status, each with an example.

    Parameters
    ----------
    kinds
        Error classes; several may share a status.
    """
    by_status: dict[int, list[type[e.SeptetError]]] = {}
    for kind in dict.fromkeys(kinds):
        by_status.setdefault(kind.status, []).append(kind)
    return {str(status): _response(found) for status, found in sorted(by_status.items())}


def route_errors(*kinds: type[e.SeptetError]) -> dict[int | str, Json]:
    """Document the errors of a typed route, for FastAPI's ``responses``.

    Parameters
    ----------
    kinds
        What it may refuse beside what any route may.
    """
    return {int(status): found for status, found in responses_of(kinds).items()}


def add_errors(operation: Json, kinds: Kinds) -> None:
    """Add errors to those that an operation documents already.

    Parameters
    ----------
    operation
        Of an OpenAPI document; changed in place.
    kinds
        Error classes.
    """
    responses: Json = operation.setdefault("responses", {})
    for status, added in responses_of(kinds).items():
        known = responses.get(status)
        examples = _examples_of(known)
        if known is None or not examples:
            responses[status] = added
            continue
        new = _examples_of(added)
        told = [known["description"]]
        told += [part for part in added["description"].split("; ") if part not in told[0]]
        known["description"] = "; ".join(told)
        examples |= {name: example for name, example in new.items() if name not in examples}
        known["headers"] = known.get("headers", {}) | added["headers"]
    operation["responses"] = dict(sorted(responses.items()))


def add_components(document: Json) -> None:
    """Move the documented errors to where all routes share them, with what they refer to.

    Parameters
    ----------
    document
        An OpenAPI document; changed in place.
    """
    components: Json = document.setdefault("components", {})
    schemas: Json = components.setdefault("schemas", {})
    schemas |= {"Problem": PROBLEM, "FieldProblem": FIELD_PROBLEM}
    shared: Json = {}
    names: set[str] = set()
    for operations in document["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                found = sorted(_examples_of(response))
                if found:
                    shared["-or-".join(found)] = response
                    operation["responses"][status] = {"$ref": _RESPONSE_REF + "-or-".join(found)}
                    names.update(found)
    kinds = {kind.__name__: kind for kind in _all_kinds(e.SeptetError)}
    components["responses"] = dict(sorted(shared.items()))
    components["examples"] = {
        name: {
            "summary": kinds[name].title,
            "value": sample(kinds[name]).to_problem(instance=INSTANCE),
        }
        for name in sorted(names)
    }
    components["headers"] = dict(HEADERS)


def header(name: str) -> Json:
    """Refer to a header.

    Parameters
    ----------
    name
        One of ``HEADERS``.
    """
    return {"$ref": _HEADER_REF + name}


def _response(kinds: Kinds) -> Json:
    named = dict.fromkeys(name for kind in kinds for name in sample(kind).headers)
    return {
        "description": "; ".join(f"{kind.title} (`{kind.__name__}`)" for kind in kinds),
        "headers": {name: header(name) for name in ("X-Request-Id", *named) if name in HEADERS},
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": f"{SCHEMA_REF}Problem"},
                "examples": {
                    kind.__name__: {"$ref": _EXAMPLE_REF + kind.__name__} for kind in kinds
                },
            }
        },
    }


def _examples_of(response: Json | None) -> Json:
    """Give the examples of a documented error, by the names of their classes."""
    content: Json = (response or {}).get("content", {}).get(MEDIA_TYPE, {})
    found: Json = content.get("examples", {})
    return found


def _all_kinds(kind: type[e.SeptetError]) -> list[type[e.SeptetError]]:
    found = [kind]
    for lower in kind.__subclasses__():
        found += _all_kinds(lower)
    return found
