"""Errors that only an HTTP request can meet; the tree is drawn in ``core.errors``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from core.errors import ContractError, FieldProblem, NotFound, SeptetError


class RequestError(SeptetError):
    """The request cannot be understood."""

    status = 400
    title = "The request is malformed"


class JsonInvalid(RequestError):
    """The body is not strict JSON.

    Parameters
    ----------
    fault
        What the parser met, with its position.
    """

    title = "The body is not valid JSON"

    def __init__(self, fault: str) -> None:
        super().__init__(
            f"{fault}. Send strict JSON (RFC 8259) in UTF-8: no NaN or Infinity, no key twice, "
            "numbers that a 64-bit float holds."
        )


class TableInvalid(RequestError):
    """The body is no table of the type that was declared.

    Parameters
    ----------
    kind
        The content type as sent.
    fault
        What the reader met.
    """

    title = "The body is not a valid table"

    def __init__(self, kind: str, fault: str) -> None:
        super().__init__(
            f"The body cannot be read as {kind}: {fault}. Send one table with a column a field, "
            "named as in the model's template."
        )


class QueryInvalid(RequestError):
    """A query parameter is wrong.

    Parameters
    ----------
    name
        Name of the parameter.
    fault
        What is wrong.
    allowed
        What would be accepted.
    """

    title = "A query parameter is wrong"

    def __init__(self, name: str, fault: str, allowed: str) -> None:
        problem = FieldProblem(f"?{name[:80]}", fault, allowed)
        end = "" if allowed.endswith(("?", ".")) else "."
        super().__init__(f"?{name[:80]} {fault}; {allowed}{end}", problems=[problem])


class FieldsInvalid(ContractError):
    """Fields of a body or of a command are wrong.

    Parameters
    ----------
    problems
        At least one fault.
    """

    title = "Some fields are wrong"

    def __init__(self, problems: Sequence[FieldProblem]) -> None:
        several = f"{len(problems)} fields are wrong, the first: " if len(problems) > 1 else ""
        super().__init__(f"{several}{problems[0]}", problems=problems)


class BodyTooLarge(RequestError):
    """The body is over the limit.

    Parameters
    ----------
    limit_bytes
        Most bytes a body may have.
    """

    status = 413
    title = "The body is too large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            f"The body has more than the {limit_bytes:,} bytes allowed. Send fewer rows a request, "
            "or a file: `septet predict` scores one, `septet outcomes load` tells what happened."
        )


class BodyTooSlow(RequestError):
    """The body did not arrive in time.

    Parameters
    ----------
    limit_seconds
        Seconds that a body may take.
    """

    status = 408
    title = "The body came too slowly"

    def __init__(self, limit_seconds: float) -> None:
        super().__init__(
            f"The body was not complete after {limit_seconds:g} seconds. Send it at once, or in "
            "smaller requests."
        )

    @property
    def headers(self) -> Mapping[str, str]:
        """The rest of the body is not waited for."""
        return {"Connection": "close"}


class HttpInvalid(RequestError):
    """The bytes on the wire are no HTTP.

    Parameters
    ----------
    fault
        What the parser says.
    """

    title = "This is not HTTP/1.1"

    def __init__(self, fault: str) -> None:
        super().__init__(f"{fault} Use an HTTP client; see /docs for what is accepted.")


class HeadersTooLarge(RequestError):
    """The headers are over the limit.

    Parameters
    ----------
    limit_bytes
        Most bytes the headers may have together.
    """

    status = 431
    title = "The headers are too large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            f"The headers have more than the {limit_bytes:,} bytes allowed. Send only those needed."
        )


class ContentTypeUnsupported(RequestError):
    """The body is of a type that the route does not take.

    Parameters
    ----------
    given
        The content type as sent.
    also
        What the route takes beside JSON.
    """

    status = 415
    title = "The content type is not supported"

    def __init__(self, given: str, *, also: Sequence[str] = ()) -> None:
        shown = repr(given[:80]) if given else "No Content-Type"
        more = "".join(f", or {kind}" for kind in also)
        super().__init__(f"{shown} was sent; send `Content-Type: application/json`{more}.")


class AccessDenied(SeptetError):
    """No key was sent, or one that does not open anything.

    Parameters
    ----------
    fault
        What is wrong with the key.
    """

    status = 401
    title = "A valid API key is needed"

    def __init__(self, fault: str) -> None:
        super().__init__(f"{fault} Send a key in the header `X-API-Key`.")

    @property
    def headers(self) -> Mapping[str, str]:
        """The challenge; Basic lets a browser ask for the key (as the password)."""
        return {"WWW-Authenticate": 'Basic realm="Septet: any name, the API key as password"'}


class PathUnknown(NotFound):
    """No route has that path.

    Parameters
    ----------
    path
        The path asked for.
    """

    title = "No such path"

    def __init__(self, path: str) -> None:
        super().__init__(f"Nothing is served under {path[:200]!r}. All routes stand in /docs.")


class MethodNotAllowed(SeptetError):
    """The path exists, but not with this method.

    Parameters
    ----------
    method
        The method that was used.
    allowed
        The methods the path has.
    """

    status = 405
    title = "The method is not allowed here"

    def __init__(self, method: str, allowed: Sequence[str]) -> None:
        self.allowed = tuple(allowed)
        use = f"Use {' or '.join(self.allowed)}." if allowed else "See /docs for what is allowed."
        super().__init__(f"{method[:20]} is not allowed here. {use}")

    @property
    def headers(self) -> Mapping[str, str]:
        """Allow, as RFC 9110 asks."""
        return {"Allow": ", ".join(self.allowed)} if self.allowed else {}


class BatchTooLarge(SeptetError):
    """More rows than one request may hold.

    Parameters
    ----------
    rows
        Rows that were sent.
    limit
        Most rows a request may hold.
    otherwise
        How a whole file is sent.
    """

    status = 413
    title = "The batch has too many rows"

    def __init__(
        self, rows: int, limit: int, *, otherwise: str = "score a file with `septet predict`"
    ) -> None:
        super().__init__(
            f"The batch has {rows:,} rows; at most {limit:,} are taken at once. Split it, or "
            f"{otherwise}."
        )


class RowUnanswered(SeptetError):
    """The model failed on a row that keeps to the contract.

    Parameters
    ----------
    model
        Name of the model.
    version
        Version that failed.
    """

    title = "The row could not be answered"

    def __init__(self, model: str, version: str) -> None:
        super().__init__(
            f"{model} version {version} failed on this row, though it keeps to the contract. The "
            "reason stands in the server's log; other rows are answered. Report it, or move the "
            "alias champion back to an earlier version."
        )


class ModelUnhealthy(SeptetError):
    """A model does not answer its own example any more.

    Parameters
    ----------
    model
        Name of the model.
    version
        Version that is served.
    fault
        What does not hold.
    """

    status = 503
    title = "The model is not healthy"

    def __init__(self, model: str, version: str, fault: str) -> None:
        super().__init__(
            f"{model} version {version} does not answer its own example: {fault}. Move the alias "
            f"champion back to an earlier version, or run `septet train {model}`."
        )


class ModelUnreachable(SeptetError):
    """The process that holds a model does not answer the platform.

    Parameters
    ----------
    model
        Name of the model.
    address
        Where it was looked for.
    fault
        What was met there.
    """

    status = 503
    title = "The model cannot be reached"

    def __init__(self, model: str, address: str, fault: str) -> None:
        super().__init__(
            f"The bento of {model} at {address} does not answer ({fault}). Try again in a few "
            "seconds; other models are not touched. Whoever runs it: start it again, or correct "
            "its address in SEPTET_BENTOS."
        )

    @property
    def headers(self) -> Mapping[str, str]:
        """When to ask again."""
        return {"Retry-After": "2"}


class NotReady(SeptetError):
    """The process runs, but has nothing to answer with.

    Parameters
    ----------
    models
        Names of the models it could serve.
    """

    status = 503
    title = "Not ready"

    def __init__(self, models: Sequence[str]) -> None:
        super().__init__(
            f"No champion is loaded for {', '.join(models)}. Run `septet train {models[0]}`; it is "
            "taken up within seconds, without a restart."
        )

    @property
    def headers(self) -> Mapping[str, str]:
        """When to ask again."""
        return {"Retry-After": "5"}


class DeadlinePassed(SeptetError):
    """The answer was not ready in time.

    Parameters
    ----------
    limit_seconds
        Seconds that an answer may take.
    """

    status = 504
    title = "The answer took too long"

    def __init__(self, limit_seconds: float) -> None:
        super().__init__(
            f"The answer was not ready within {limit_seconds:g} seconds. Send fewer rows a "
            "request, or ask without explain."
        )


def reason_of(status: int) -> str:
    """Standard phrase of an HTTP status."""
    return HTTPStatus(status).phrase
