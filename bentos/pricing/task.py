"""What a request for a price asks beside its context: limits and an objective."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from core.errors import FieldProblem
from core.task import Conflict, Part, Task

Objective = Literal["profit", "revenue", "volume"]


class PriceLimits(Part):
    """Between which prices the recommendation must lie; a null limits nothing."""

    lowest_price: float | None = Field(
        default=None, gt=0, description="Lowest price allowed, in the unit of the price."
    )
    highest_price: float | None = Field(
        default=None, gt=0, description="Highest price allowed, in the unit of the price."
    )
    largest_change_ratio: float | None = Field(
        default=None,
        ge=0,
        le=10,
        description="Most that the price may move from the current one, as a share of it.",
    )
    least_margin_ratio: float | None = Field(
        default=None,
        ge=-1,
        lt=1,
        description=(
            "Least (price - cost) / price. Null means 0: no price below cost; a negative ratio "
            "allows one."
        ),
    )

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        low, high = self.lowest_price, self.highest_price
        if low is not None and high is not None and low > high:
            raise Conflict(
                [
                    FieldProblem(
                        "limits.lowest_price",
                        f"is {low:g}, above limits.highest_price, which is {high:g}",
                        f"lower lowest_price to at most {high:g}, or raise highest_price",
                    )
                ]
            )
        return self


class PricingTask(Task):
    """Ask for the best price of a context within limits."""

    limits: PriceLimits = Field(
        default=PriceLimits(), description="Between which prices the recommendation must lie."
    )
    objective: Objective = Field(
        default="profit",
        description=(
            "What the price is to make as large as can be: profit, revenue, or volume (the "
            "volume sold or the chance to win) at the margin floor."
        ),
    )
    margin_floor_ratio: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="Least (price - cost) / price while volume is made large; volume needs it.",
    )
    with_curve: bool = Field(
        default=False, description="Whether the curve over prices is sent along."
    )

    EXAMPLE: ClassVar[Mapping[str, Any]] = {
        "limits": {
            "lowest_price": None,
            "highest_price": None,
            "largest_change_ratio": None,
            "least_margin_ratio": 0.1,
        },
        "objective": "profit",
        "margin_floor_ratio": None,
        "with_curve": False,
    }

    @model_validator(mode="after")
    def _has_its_floor(self) -> Self:
        if self.objective == "volume" and self.margin_floor_ratio is None:
            raise Conflict(
                [
                    FieldProblem(
                        "margin_floor_ratio",
                        "is null, and the objective volume needs it",
                        "a ratio from 0 to below 1 is allowed, such as 0.2",
                    )
                ]
            )
        if self.objective != "volume" and self.margin_floor_ratio is not None:
            raise Conflict(
                [
                    FieldProblem(
                        "margin_floor_ratio",
                        f"is given with the objective {self.objective}",
                        "goes with the objective volume; else use limits.least_margin_ratio",
                    )
                ]
            )
        return self
