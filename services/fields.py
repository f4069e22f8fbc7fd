"""From pydantic's faults to our problem documents: the one place for every route and command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ValidationError

from bentos.catalog import CATALOG
from core.contract import wrong_with
from core.errors import FieldProblem, nearest
from core.history_faults import PathInvalid
from core.refusals import FieldsInvalid, QueryInvalid

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Kind = TypeVar("Kind", bound=BaseModel)

_MOST_PROBLEMS = 20
_SHOWN_NAME = 120


def _model(text: str) -> str:
    name = text.replace("-", "_")
    if name not in CATALOG:
        raise ValueError(f"one of {', '.join(CATALOG)} is allowed.{nearest(name, CATALOG)}")
    return name


# Name of a model, with hyphens or underscores, as a field has it.
ModelName = Annotated[str, AfterValidator(_model)]


def read_fields(kind: type[Kind], value: object) -> Kind:
    """Check the fields of a body or a command.

    Parameters
    ----------
    kind
        What they must be.
    value
        As strict JSON gave it.

    Raises
    ------
    FieldsInvalid
        Every fault, each with its field, what is wrong and what is allowed.
    """
    if not isinstance(value, dict):
        shape = f"an object with the fields {', '.join(kind.model_fields)}"
        raise FieldsInvalid([FieldProblem("body", "is not an object", shape)])
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        faults = error.errors(include_url=False)[:_MOST_PROBLEMS]
        raise FieldsInvalid([_problem(fault, kind) for fault in faults]) from None


def query_refusal(faults: Sequence[Any]) -> QueryInvalid:
    """Name the first fault of a query, or of a path.

    Parameters
    ----------
    faults
        Pydantic's, as FastAPI gathered them; at least one.
    """
    first: ErrorDetails = faults[0]
    place = first["loc"][1:] or first["loc"]
    # Which of several it is, the fault shows.
    name = ".".join(part for part in place if isinstance(part, str))
    if first["type"] == "extra_forbidden":
        return QueryInvalid(name, "is not known here", "see /docs for what is")
    if (several := _of_several(first)) is not None:
        return QueryInvalid(*several)
    kind = PathInvalid if first["loc"][0] == "path" else QueryInvalid
    return kind(name, wrong_with(first), _allowed(first))


def _problem(fault: ErrorDetails, kind: type[BaseModel]) -> FieldProblem:
    name = ".".join(str(part) for part in fault["loc"])[:_SHOWN_NAME]
    if fault["type"] == "extra_forbidden":
        known = list(kind.model_fields)
        hint = nearest(name, known)
        verb = "is" if len(known) == 1 else "are"
        return FieldProblem(name, "is not a field here", f"{', '.join(known)} {verb}.{hint}")
    if (several := _of_several(fault)) is not None:
        return FieldProblem(*several)
    return FieldProblem(name, wrong_with(fault), _allowed(fault))


def _of_several(fault: ErrorDetails) -> tuple[str, str, str] | None:
    """Read what is wrong with fields together, said as `<name> <fault>; <fix>`."""
    said = fault["msg"].removeprefix("Value error, ")
    if fault["type"] != "value_error" or not isinstance(fault["input"], dict) or "; " not in said:
        return None
    name, _, rest = said.partition(" ")
    wrong, _, fix = rest.partition("; ")
    return name, wrong, fix.rstrip(".")


def _allowed(fault: ErrorDetails) -> str:
    """Say what would have been accepted."""
    if fault["type"] == "missing":
        return "it is needed"
    if fault["type"].startswith(("datetime", "timezone")):
        return "a time with its zone is allowed, such as 2030-01-31T00:00:00Z"
    text = fault["msg"].removeprefix("Value error, ").replace("Input should", "it should")
    return text[:1].lower() + text[1:].rstrip(".")
