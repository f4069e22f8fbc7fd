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
        super().__init__(f"?{name[:80]} {fault}; {allowed}.", problems=[problem])


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
            "or score a file with `septet predict`."
        )


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
    """The body is of another type than JSON.

    Parameters
    ----------
    given
        The content type as sent.
    """

    status = 415
    title = "The content type is not supported"

    def __init__(self, given: str) -> None:
        shown = given[:80] if given else "no Content-Type"
        super().__init__(f"{shown!r} was sent; send `Content-Type: application/json`.")


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


class Forbidden(SeptetError):
    """The key opens the platform, but not this."""

    status = 403
    title = "The key does not open this"


class RoleTooLow(Forbidden):
    """The role of the key may not do this.

    Parameters
    ----------
    held
        The role of the key.
    needed
        The least role that may; nothing when no role may.
    """

    title = "The role is not enough"

    def __init__(self, held: str, needed: str | None) -> None:
        self.held, self.needed = held, needed
        need = f"this needs {needed}" if needed else "this is open to no role"
        super().__init__(
            f"The key has the role {held}; {need}. Ask an admin for a key that may do it."
        )


class ModelOutOfScope(Forbidden):
    """The key may not ask this model.

    Parameters
    ----------
    model
        The model asked for.
    allowed
        The models that the key may ask.
    """

    title = "The model is out of the key's scope"

    def __init__(self, model: str, allowed: Sequence[str]) -> None:
        self.model, self.allowed = model, tuple(allowed)
        super().__init__(
            f"The key does not open {model[:80]!r}, only {', '.join(allowed)}. Ask an admin for a "
            "key with this model."
        )


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
    """

    status = 413
    title = "The batch has too many rows"

    def __init__(self, rows: int, limit: int) -> None:
        super().__init__(
            f"The batch has {rows:,} rows; at most {limit:,} are answered at once. Split it, or "
            "score a file with `septet predict`."
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
