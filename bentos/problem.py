"""Every error as one shape: a problem document (RFC 9457), made in one place."""

from __future__ import annotations

import json
from collections.abc import Mapping

import orjson

from core.errors import SeptetError
from core.refusals import (
    AccessDenied,
    ContentTypeUnsupported,
    MethodNotAllowed,
    PathUnknown,
    reason_of,
)

MEDIA_TYPE = "application/problem+json"
HeaderList = list[tuple[bytes, bytes]]


def to_bytes(content: object) -> bytes:
    """Write JSON as it is sent: compact, UTF-8.

    Raises
    ------
    ValueError
        A number is NaN or infinite: that is never sent.
    """
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()


def to_fast_bytes(content: object) -> bytes:
    """Write an answer's JSON ten times as fast; its numbers were found finite before.

    Parameters
    ----------
    content
        Plain data without NaN or infinity, which this writer would send as null.
    """
    return orjson.dumps(content)


def render(
    error: SeptetError, *, instance: str | None, status: int | None = None
) -> tuple[int, HeaderList, bytes]:
    """Give status, headers and body of an error.

    Parameters
    ----------
    error
        What went wrong.
    instance
        The request's id.
    status
        A status other than the error's own, for errors that another library answered with.
    """
    document = error.to_problem(instance=instance)
    code = error.status if status is None else status
    if code != error.status:
        document |= {"title": reason_of(code), "status": code, "code": f"Http{code}"}
        document["type"] = f"urn:septet:problem:Http{code}"
    body = to_fast_bytes(document)
    headers: HeaderList = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        *((k.lower().encode(), v.encode()) for k, v in error.headers.items()),
    ]
    return code, headers, body


def from_status(
    status: int, *, method: str, path: str, content_type: str, answer: Mapping[str, str]
) -> SeptetError:
    """Name the error behind a bare status that a library answered with.

    Parameters
    ----------
    status
        What the library sent.
    method, path, content_type
        Of the request.
    answer
        Headers of the library's answer, names in lower case.
    """
    if status == AccessDenied.status:
        return AccessDenied("The key does not open this path.")
    if status == PathUnknown.status:
        return PathUnknown(path)
    if status == MethodNotAllowed.status:
        allowed = [part.strip() for part in answer.get("allow", "").split(",") if part.strip()]
        return MethodNotAllowed(method, sorted(allowed))
    if status == ContentTypeUnsupported.status:
        return ContentTypeUnsupported(content_type)
    if status < SeptetError.status:
        return SeptetError("The request was refused; see /docs for what is accepted.")
    return SeptetError("The server failed on this request; the reason stands in its log.")
