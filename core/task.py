"""What a task asks by nature, beside the features of its config: limits, a horizon, a window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from core.errors import FieldProblem

# A time of RFC 3339 starts with a year of so many digits, and a hyphen.
_YEAR = 4


def _time_text(value: object) -> object:
    """Refuse what pydantic would read as seconds since 1970: numbers, and texts of digits."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise ValueError("not a text")  # noqa: TRY004 - pydantic turns only this into a fault
    if value[_YEAR : _YEAR + 1] != "-":
        raise PydanticCustomError("datetime_text", "Input should be a time with its zone")
    return value


# A time as JSON has it: a text with its zone.
Time = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_time_text)]


class Conflict(ValueError):
    """Fields that are valid on their own, and not together.

    To be raised in a validator of a ``Task``; the contract turns it into ``RowInvalid``.

    Parameters
    ----------
    problems
        What conflicts: at least one.
    """

    def __init__(self, problems: Sequence[FieldProblem]) -> None:
        super().__init__("; ".join(f"{p.field} {p.problem}" for p in problems))
        self.problems = tuple(problems)


class Part(BaseModel):
    """A piece of a task's request, such as its limits; strict, as all input is."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Task(Part):
    """The fields that a request has by the nature of its task.

    A subclass adds fields, each with its description, and may check them together.
    """

    ASKS_FEATURES: ClassVar[bool] = True
    # A field whose presence chooses this task; without one it is the model's usual question.
    MARK: ClassVar[str | None] = None
    EXAMPLE: ClassVar[Mapping[str, Any]] = {}
