"""What a budget is asked with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from core.errors import FieldProblem
from core.task import Conflict, Part, Task

MOST_WEEKS = 520
MOST_AMOUNT = 1e12
_Name = Annotated[str, Field(min_length=1, max_length=128)]
_Amount = Annotated[float, Field(ge=0, le=MOST_AMOUNT)]


class ChannelLimits(Part):
    """Between which amounts a channel's share of the budget may lie."""

    least_amount: _Amount | None = Field(
        default=None, description="Least that the channel must get over the period; null for 0."
    )
    most_amount: _Amount | None = Field(
        default=None, description="Most that it may get over the period; null for no limit."
    )
    fixed_amount: _Amount | None = Field(
        default=None, description="What it gets in any case over the period; null to let it vary."
    )


class BudgetTask(Task):
    """A total, a period, and what is already settled."""

    ASKS_FEATURES: ClassVar[bool] = False
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"total_amount": 1500.0, "period_weeks": 13}

    total_amount: float = Field(
        gt=0, le=MOST_AMOUNT, description="What is to be spent over the period, on all channels."
    )
    period_weeks: int = Field(
        ge=1, le=MOST_WEEKS, description="Length of the period in weeks; spent evenly."
    )
    channels: dict[_Name, ChannelLimits] | None = Field(
        default=None, description="Limits by channel; null, or left out, for none."
    )
    objective: Literal["return", "revenue_at_least_return"] = Field(
        default="return",
        description="return: spend the total where it brings most. revenue_at_least_return: spend "
        "of the total as much as still brings least_return_ratio back on average.",
    )
    least_return_ratio: float | None = Field(
        default=None, gt=0, le=1e6,
        description="Least expected return over spend, all channels together; only with the "
        "objective revenue_at_least_return.",
    )  # fmt: skip
    current_split: dict[_Name, _Amount] | None = Field(
        default=None,
        description="What each channel gets over the period today, to compare with; null for the "
        "mean weekly spend of the last 13 weeks of the history.",
    )
    with_curves: bool = Field(
        default=False, description="Whether to add the response curve of each channel."
    )

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        problems = [*self._wrong_objective()]
        for name, limits in (self.channels or {}).items():
            problems += _wrong_limits(f"channels.{name}", limits)
        if problems:
            raise Conflict(problems)
        return self

    def _wrong_objective(self) -> Iterator[FieldProblem]:
        wants = self.objective == "revenue_at_least_return"
        if wants and self.least_return_ratio is None:
            yield FieldProblem(
                "least_return_ratio", "is missing",
                "the objective revenue_at_least_return needs it, such as 2.0",
            )  # fmt: skip
        if not wants and self.least_return_ratio is not None:
            yield FieldProblem(
                "least_return_ratio", f"does not go with the objective {self.objective}",
                "leave it out, or choose the objective revenue_at_least_return",
            )  # fmt: skip


def _wrong_limits(path: str, limits: ChannelLimits) -> Iterator[FieldProblem]:
    least, most, fixed = limits.least_amount or 0.0, limits.most_amount, limits.fixed_amount
    if most is not None and least > most:
        yield FieldProblem(
            f"{path}.least_amount", f"is {least:g}, above most_amount {most:g}",
            f"at most {most:g} is allowed",
        )  # fmt: skip
    elif fixed is not None and (fixed < least or (most is not None and fixed > most)):
        top = "no limit" if most is None else f"{most:g}"
        yield FieldProblem(
            f"{path}.fixed_amount", f"is {fixed:g}, outside of its own limits",
            f"from {least:g} to {top} is allowed; leave the limits out",
        )  # fmt: skip
